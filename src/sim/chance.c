/* SPDX-License-Identifier: Apache-2.0 */
#include "chance.h"

void chance_seed(struct chance *c, uint64_t seed)
{
    c->state = seed * 0x9e3779b97f4a7c15ULL + 0x2545f4914f6cdd1dULL;
}

uint64_t chance_next(struct chance *c)
{
    uint64_t z = c->state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

uint64_t chance_between(struct chance *c, uint64_t low, uint64_t high)
{
    if (high <= low)
        return low;
    if (high - low == UINT64_MAX)
        return chance_next(c);
    return low + chance_next(c) % (high - low + 1);
}
