/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "guest.h"

/* What took long to learn of a guest and is worth keeping over a restart of the daemon (S10): the memory it was seen to
 * touch, its bursts, its harm mark and whether it manages itself. All times are CLOCK_MONOTONIC of the same boot of the
 * host: what is kept belongs to one incarnation and means nothing to another. Plain data; can be stored as it is. */

struct learned {
    struct peak proof, rise;
    uint64_t mark_kib, mark_until_usec, mark_hold_usec;
    struct selfmanaging selfmanaging;
};

void learned_take(const struct guest *g, struct learned *ret);

/* Call right after guest_init(). Nonsense is bounded: times in the future count as now, sizes end at POLICY_KIB_MAX, a
 * mark holds no longer than a new one could. */
void learned_restore(struct guest *g, const struct learned *l, uint64_t now_usec);
