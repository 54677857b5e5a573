/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kib.h"
#include "levels.h"

/* Weighted, exact sharing of the host's capacity over guests' levels (docs/design.md 3.4). Sizes in KiB.
 * Sums exactly, no more than n log n, equal inputs give equal outputs. Position is the index in the array.
 * Exact for any size and weight whose sum of room x weight stays below 2^126; beyond, weights lose their last bits. */

/* Which of the six steps sharing ended in; 6: over-promised. */
enum share_step {
    SHARE_KEEP = 1,  /* everyone gets keep; the rest stays free */
    SHARE_TOP = 2,   /* everyone has top; what is left goes to keep */
    SHARE_HEAD = 3,  /* everyone has head; what is left goes to top (half of it stays in the pool at most) */
    SHARE_FLOOR = 4, /* everyone has floor; what is left goes to head; the pool is used up */
    SHARE_LOWER = 5, /* everyone has lower; what is left goes to floor */
    SHARE_OVER = 6   /* not even lower fits: say so, ladder */
};

struct share_result {
    enum share_step step;
    uint64_t free_kib; /* max(0, capacity - sum(given)) */
    uint64_t over_kib; /* max(0, sum(given) - capacity) */
};

/* Scratch for one guest; the caller brings n of them (the core never allocates). */
struct share_slot {
    uint64_t room_kib;
    uint64_t weight;
    kib_wide rest; /* remainder of its division by the sum of room x weight: decides who gets a left-over KiB */
    size_t position;
};

/* Gives each guest its part. weight[i] >= 1; capacity may be negative; n may be 0.
 * Writes given_kib[0..n). slots is scratch of n entries. */
void share_divide(int64_t capacity_kib, uint64_t pool_kib, const struct levels *levels, const uint64_t *weight,
                  size_t n, struct share_slot *slots, uint64_t *given_kib, struct share_result *ret);

/* Shares amount_kib over slots[i].room_kib by slots[i].weight (position i set by the caller): each gets the fraction
 * min(1, mu x weight) of its room, one mu for all, so higher weight saturates first. The parts are ADDED to
 * given_kib[slots[i].position] and sum to min(amount, sum of rooms) exactly. Reorders slots. */
void share_weighted(uint64_t amount_kib, struct share_slot *slots, size_t n, uint64_t *given_kib);
