/* SPDX-License-Identifier: Apache-2.0 */
#include "number.h"

#include <errno.h>

static int digit_of(char c, unsigned base)
{
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;

    return digit < (int)base ? digit : -1;
}

static int take(const char **p, const char *end, unsigned base, uint64_t *ret)
{
    const char *at = *p;
    uint64_t value = 0;
    const char *first;

    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    for (first = at; at < end && digit_of(*at, base) >= 0; at++)
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, (unsigned)digit_of(*at, base), &value))
            return -EINVAL;
    if (at == first)
        return -EINVAL;
    *p = at;
    *ret = value;
    return 0;
}

int number_take_u64(const char **p, const char *end, uint64_t *ret)
{
    return take(p, end, 10, ret);
}

int number_take_hex(const char **p, const char *end, uint64_t *ret)
{
    return take(p, end, 16, ret);
}
