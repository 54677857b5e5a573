/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The band that each guest's own history draws (docs/design.md 3.3): quantiles 10 and 90 of its pressure over a decaying
 * window with a half-life of 6 h. Always tracked and shown, acted on only with `band: history`. */

#define BAND_BINS 201 /* pressure 0..200 %, a point each; more counts as 200 */

struct band {
    uint64_t aged_usec;     /* when weights were last decayed */
    uint64_t seen_usec;     /* last pressure taken: one a second counts */
    uint64_t raised_usec;   /* last raise of the low mark while nobody has anything to give */
    uint32_t raise_points;  /* added to the low mark, 2 points per second, down to 0 at once when memory is there */
    uint32_t weight[BAND_BINS];
};

struct band_marks {
    uint32_t low_percent, high_percent;
};

void band_see(struct band *b, uint64_t pressure_permille, uint64_t now_usec);

/* nobody_has: nobody has anything to give; low marks then rise towards p*. */
void band_raise(struct band *b, bool nobody_has, uint64_t now_usec);

/* p* = 100 x demand / unclamped target. low in [max(p* - 20, 0), p*], high in [p*, max(p*, min(p* + 10, 95))]. */
void band_marks(const struct band *b, uint32_t ideal_percent, struct band_marks *ret);
