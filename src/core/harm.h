/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "observe.h"

/* Harm undoes (docs/design.md 3.5): a take after which the guest stalls, swaps in, refaults or (no refault signal) reads
 * its disks is undone, and the size before it is kept as a mark. */

enum harm_signal {
    HARM_SWAP_IN,   /* bytes per second */
    HARM_REFAULT,   /* bytes per second */
    HARM_PSI_SOME,  /* parts per million of time */
    HARM_DISK_READ, /* bytes per second; only where there is no refault signal */
    HARM_SIGNAL_COUNT
};

struct harm {
    uint64_t counter[HARM_SIGNAL_COUNT];
    uint64_t counter_usec[HARM_SIGNAL_COUNT]; /* 0: no counter yet */
    uint64_t average[HARM_SIGNAL_COUNT];      /* rate, over the last 60 s without a take */
    uint64_t rate[HARM_SIGNAL_COUNT];         /* last rate; OBS_UNSET: not known */
    uint64_t psi_full;                        /* counter */
    uint64_t psi_full_usec;
    uint64_t full_ppm;                        /* last share of time stalled in full */
    uint64_t hold_usec;                       /* how long the next mark holds */
    uint64_t take_usec;                       /* last movement down by our order; 0: none */
    bool done;                                /* this take did harm already: one mark for each */
    uint64_t mark_kib;                        /* 0: none */
    uint64_t mark_until_usec;
};

void harm_took(struct harm *h, uint64_t now_usec);
void harm_see_view(struct harm *h, const struct obs_guest_view *v, uint64_t now_usec);
void harm_see_host(struct harm *h, const struct obs_host_view *v, bool has_refaults, uint64_t now_usec);

/* True once for a take that did harm. */
bool harm_check(struct harm *h, uint64_t now_usec);

/* Sets the mark; it holds 30 min, doubling with each further harm up to 4 h. */
void harm_mark(struct harm *h, uint64_t assigned_before_kib, uint64_t now_usec);

/* The mark in force, 0 where none. */
uint64_t harm_mark_kib(const struct harm *h, uint64_t now_usec);

/* Nothing refaults, swaps in or stalls beyond a trifle (PSI some < 0.1 %): slow taking may double its step. */
bool harm_quiet(const struct harm *h);
