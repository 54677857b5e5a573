/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "err.h"
#include "own.h"
#include "wire_text.h"

/* The last five minutes of each guest: a client that asks now sees what it did not poll. One piece of about 1 KiB a
 * guest, taken when it appears and given back when it vanishes; nothing is allocated between (S14). Single-threaded, in
 * the daemon's loop. Measured with 10,000 guests: a tick 0.2 ms, the whole document 43 ms (the status: 90 ms). */

#define HISTORY_STEP_USEC 5000000ULL /* a terminal has about 60 columns for 5 minutes */
#define HISTORY_POINTS 60
#define HISTORY_MOVES 8              /* what fits under a screenful of guests */

/* Orders of one kind and reason this close together are one move: slow taking goes in steps of a second. */
#define HISTORY_SAME_USEC 15000000ULL

#define HISTORY_NONE UINT32_MAX /* of a point: not known then */

struct history_move {
    uint64_t first_usec, last_usec; /* first 0: none */
    uint64_t from_kib, to_kib;
    uint32_t orders;
    enum guest_order order;
    enum guest_reason reason;
};

/* Of the counters in the guest's own samples, between the last two ticks that saw a new one. */
struct history_rates {
    uint64_t span_usec; /* 0: not known yet */
    uint64_t swapped_in_bytes, swapped_out_bytes, refaulted_bytes, psi_some_usec, psi_full_usec; /* OBS_UNSET: unknown */
};

struct history_guest {
    uint32_t assigned_mib[HISTORY_POINTS], demand_mib[HISTORY_POINTS]; /* rings: history.at is the oldest */
    struct history_move moves[HISTORY_MOVES];
    size_t move_at; /* where the next one goes */
    struct history_rates rates;
    struct obs_guest_view seen; /* what the rates are counted from; time_usec 0: nothing yet */
};

struct history {
    struct history_guest **guests; /* by engine_guest_slot(); NULL: no such guest, or no memory for it */
    size_t guests_max;
    size_t at;
    uint64_t due_usec; /* 0: at once */
};

/* NULL: no memory. */
struct history *history_new(size_t guests_max);
struct history *history_free(struct history *h);
OWN_DEFINE(history);

/* Without memory the guest goes without a history. */
void history_appeared(struct history *h, size_t slot);
void history_vanished(struct history *h, size_t slot);

/* Its verdict's order was sent. */
void history_ordered(struct history *h, size_t slot, const struct guest *g, uint64_t now_usec);

/* Call as often as you like: takes a point each HISTORY_STEP_USEC. Time that was slept through is empty points. */
void history_tick(struct history *h, const struct engine *engine, uint64_t now_usec);

/* NULL: none; h may be NULL. */
const struct history_guest *history_find(const struct history *h, size_t slot);

/* The document of GET /v1/history (wire_history.h); h may be NULL. */
void history_print(const struct history *h, const struct engine *engine, uint64_t now_usec, struct wire_text *out);
