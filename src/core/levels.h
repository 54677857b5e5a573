/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The levels of one guest (docs/design.md 3.4): what sharing may take, and what it fills, in which order.
 * lower <= floor <= head <= top <= keep always holds. Sizes in KiB. */

struct levels_in {
    uint64_t minimum_kib, maximum_kib, startup_kib;
    uint64_t assigned_kib;    /* now */
    uint64_t plugged_kib;     /* boot + online hot-added: what the kernel's own tables cover */
    uint64_t proof_kib;       /* largest memory the host saw it touch, decayed */
    uint64_t demand_kib;      /* by the guest's demand mode, with the least assigned around the sample */
    uint64_t used_kib;        /* demand(used), with the largest assigned around the sample */
    uint64_t swap_total_kib, swap_used_kib;
    uint64_t target_kib;      /* already clamped to minimum..maximum */
    uint64_t rise_kib;        /* largest rise of used within 3 s, decayed */
    uint64_t mark_kib;        /* harm mark; 0: none */
    uint64_t limit_kib;       /* self-managing; 0: none */
    uint32_t stall_percent;   /* s of the stall term: 0 (not stalled), 5, 10, 20, 25 */
    bool stall_signal;        /* the source has one (agent) */
    bool higher_waits;        /* a stalled guest of higher priority waits */
    bool lazy;                /* reclaim: lazy */
};

struct levels {
    uint64_t safe_kib;  /* what the guest's own numbers support */
    uint64_t bound_kib; /* what we believe at most (S5) */
    uint64_t lower_kib; /* never take below this (S13) */
    uint64_t floor_kib; /* need */
    uint64_t head_kib;  /* need and growth headroom */
    uint64_t top_kib;   /* with buffer, or the harm mark */
    uint64_t keep_kib;  /* what a lazy guest would rather keep */
};

void levels_compute(const struct levels_in *in, struct levels *ret);

/* All five levels at one size: fixed, watched, off, silent and breaching guests, which sharing must not move. */
void levels_fix(uint64_t held_kib, struct levels *ret);
