/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Repeatable random numbers for property tests: the same seed gives the same run. (splitmix64) */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RANDOM_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define RANDOM_SANITIZED 1
#endif
#endif
#ifndef RANDOM_SANITIZED
#define RANDOM_SANITIZED 0
#endif

/* How often a property is tried: a sanitizer makes each try ten times as slow. */
#define RANDOM_TRIES(n) (RANDOM_SANITIZED ? (n) / 20 : (n))

struct random {
    uint64_t state;
};

static inline uint64_t random_bits(struct random *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15ULL);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

/* 0 .. n - 1; n > 0. Small bias, large enough for none to matter here. */
static inline uint64_t random_below(struct random *r, uint64_t n)
{
    return random_bits(r) % n;
}

static inline uint64_t random_between(struct random *r, uint64_t from, uint64_t to)
{
    return from + random_below(r, to - from + 1);
}

static inline bool random_percent(struct random *r, unsigned int percent)
{
    return random_below(r, 100) < percent;
}

/* Any magnitude alike, up to `bits` bits: small values as often as large ones, 0 and all ones included. */
static inline uint64_t random_magnitude(struct random *r, unsigned int bits)
{
    unsigned int width = (unsigned int)random_below(r, bits + 1);

    if (random_percent(r, 5))
        return width ? UINT64_MAX >> (64 - width) : 0;
    return width ? random_bits(r) >> (64 - width) : 0;
}
