/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* Arithmetic on sizes that saturates: a hostile-large input ends at the largest or smallest value, never wraps. */

/* As wide as any product of two sizes, and signed where a capacity can be negative. */
__extension__ typedef unsigned __int128 kib_wide;
__extension__ typedef __int128 kib_signed;

static inline uint64_t kib_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t kib_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* a + b, at most UINT64_MAX. */
static inline uint64_t kib_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* a - b, at least 0. */
static inline uint64_t kib_sub(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* Where low > high, low wins: a minimum is a promise, a maximum a wish. */
static inline uint64_t kib_clamp(uint64_t x, uint64_t low, uint64_t high)
{
    return kib_max(kib_min(x, high), low);
}

static inline uint64_t kib_saturate(kib_wide x)
{
    return x > UINT64_MAX ? UINT64_MAX : (uint64_t)x;
}

/* ceil(a / b), b > 0. */
static inline uint64_t kib_div_up(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

/* floor(x * part / whole): exact up to its saturation and without a product wider than 64 bits, as long as
 * part and whole (> 0) stay below 2^32. */
static inline uint64_t kib_scale(uint64_t x, uint64_t part, uint64_t whole)
{
    uint64_t times = x / whole;
    uint64_t most = part ? UINT64_MAX / part : UINT64_MAX;

    if (times > most)
        return UINT64_MAX;
    return kib_add(times * part, x % whole * part / whole);
}

/* ceil(x * part / whole), likewise. */
static inline uint64_t kib_scale_up(uint64_t x, uint64_t part, uint64_t whole)
{
    uint64_t times = x / whole;
    uint64_t most = part ? UINT64_MAX / part : UINT64_MAX;

    if (times > most)
        return UINT64_MAX;
    return kib_add(times * part, kib_div_up(x % whole * part, whole));
}
