/* SPDX-License-Identifier: Apache-2.0 */
#include "peak.h"

/* After so many halvings any 64-bit value is 0. */
#define PEAK_HALVINGS_MAX 63

uint64_t peak_value(const struct peak *p, uint64_t now_usec, uint64_t half_life_usec)
{
    if (!p->value)
        return 0;
    uint64_t age = now_usec > p->seen_usec ? now_usec - p->seen_usec : 0;
    uint64_t halvings = age / half_life_usec;
    uint64_t rest = age % half_life_usec;

    if (halvings > PEAK_HALVINGS_MAX)
        return 0;
    uint64_t value = p->value >> halvings;
    /* Between two halvings on the straight line from v to v/2: off by 6 % from the exponential at most, but exact. */
    if (value <= UINT32_MAX && half_life_usec <= UINT32_MAX) /* 4 TiB, 71 min: no need of a wide division */
        return value - value * rest / half_life_usec / 2;
    return value - (uint64_t)((unsigned __int128)value * rest / half_life_usec / 2);
}

void peak_see(struct peak *p, uint64_t value, uint64_t now_usec, uint64_t half_life_usec)
{
    if (value < peak_value(p, now_usec, half_life_usec))
        return;
    p->value = value;
    p->seen_usec = now_usec;
}
