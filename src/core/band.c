/* SPDX-License-Identifier: Apache-2.0 */
#include "band.h"

#include "policy_defaults.h"

/* Weight of one sample: room for 21,600 of them (6 h) in a bin, and enough that a day's decay does not round it away. */
#define BAND_SAMPLE_WEIGHT 65536U
/* Decay in steps of 5 min: 2^(-5/360) = 0.990420. */
#define BAND_AGE_USEC (5 * USEC_PER_MIN)
#define BAND_AGE_PPM 990420ULL
/* 30 half-lives: nothing is left. */
#define BAND_AGE_STEPS_MAX 2160
#define BAND_LOW_QUANTILE 10
#define BAND_HIGH_QUANTILE 90
#define BAND_LOW_REACH 20  /* low mark at most 20 points below p* */
#define BAND_HIGH_REACH 10 /* high mark at most 10 points above it */
#define BAND_HIGH_MAX 95   /* a guest at 95 % has no room to be left alone in */
#define BAND_RAISE_POINTS 2

static void band_age(struct band *b, uint64_t now_usec)
{
    if (!b->aged_usec)
        b->aged_usec = now_usec;
    uint64_t steps = (now_usec - b->aged_usec) / BAND_AGE_USEC;
    if (!steps)
        return;
    b->aged_usec += steps * BAND_AGE_USEC;
    if (steps > BAND_AGE_STEPS_MAX)
        steps = BAND_AGE_STEPS_MAX;
    for (; steps; steps--) {
        for (unsigned i = 0; i < BAND_BINS; i++)
            b->weight[i] = (uint32_t)(b->weight[i] * BAND_AGE_PPM / 1000000);
    }
}

void band_see(struct band *b, uint64_t pressure_permille, uint64_t now_usec)
{
    uint64_t bin = pressure_permille / 10;

    band_age(b, now_usec);
    if (b->seen_usec && now_usec - b->seen_usec < USEC_PER_SEC)
        return; /* a chatty agent does not weigh more than a quiet one */
    b->seen_usec = now_usec;
    if (bin >= BAND_BINS)
        bin = BAND_BINS - 1;
    if (b->weight[bin] <= UINT32_MAX - BAND_SAMPLE_WEIGHT)
        b->weight[bin] += BAND_SAMPLE_WEIGHT;
}

void band_raise(struct band *b, bool nobody_has, uint64_t now_usec)
{
    if (!nobody_has) {
        b->raise_points = 0;
        b->raised_usec = now_usec;
        return;
    }
    uint64_t steps = (now_usec - b->raised_usec) / USEC_PER_SEC;
    if (!steps)
        return;
    b->raised_usec += steps * USEC_PER_SEC;
    uint64_t points = b->raise_points + steps * BAND_RAISE_POINTS;
    b->raise_points = points > BAND_LOW_REACH ? BAND_LOW_REACH : (uint32_t)points;
}

static uint32_t band_quantile(const struct band *b, uint64_t percent)
{
    uint64_t total = 0;
    uint64_t sum = 0;

    for (unsigned i = 0; i < BAND_BINS; i++)
        total += b->weight[i];
    for (uint32_t i = 0; i < BAND_BINS; i++) {
        sum += b->weight[i];
        if (sum * 100 >= total * percent && sum)
            return i;
    }
    return 0;
}

static uint32_t band_clamp(uint32_t value, uint32_t least, uint32_t most)
{
    if (value < least)
        return least;
    return value > most ? most : value;
}

void band_marks(const struct band *b, uint32_t ideal_percent, struct band_marks *ret)
{
    uint32_t p = ideal_percent;
    uint32_t low_least = p > BAND_LOW_REACH ? p - BAND_LOW_REACH : 0;
    uint32_t high_most = p + BAND_HIGH_REACH < BAND_HIGH_MAX ? p + BAND_HIGH_REACH : BAND_HIGH_MAX;

    if (high_most < p)
        high_most = p;
    uint32_t low = band_clamp(band_quantile(b, BAND_LOW_QUANTILE), low_least, p);
    uint32_t raised = low + b->raise_points;
    ret->low_percent = raised > p ? p : raised;
    ret->high_percent = band_clamp(band_quantile(b, BAND_HIGH_QUANTILE), p, high_most);
}
