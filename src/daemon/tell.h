/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

/* What the daemon says to people: one line when something begins or ends, never a flood. Each guest (by name, so that one
 * which comes and goes is held back, too) may cause TELL_BURST lines at once and one more every TELL_REFILL_USEC; what is
 * held back is counted and said with the next line. */

#define TELL_BURST 20
#define TELL_REFILL_USEC (6 * 1000000ULL)
#define TELL_BUCKETS 1024 /* by hash of the name; two guests in one bucket share its allowance */

struct tell {
    bool dry_run;
    struct tell_bucket {
        uint64_t refilled_usec;
        uint32_t spent;
        uint32_t held_back;
    } buckets[TELL_BUCKETS];
};

/* Whether a line about this name may be written now; if so, *ret_held_back lines were not since the last one. */
bool tell_may(struct tell *t, const char *name, uint64_t now_usec, uint32_t *ret_held_back);

void tell_appeared(struct tell *t, const struct engine_guest *g);
void tell_vanished(struct tell *t, const struct engine_guest *g, const char *reason);
void tell_happened(struct tell *t, const struct engine_guest *g, enum hv_happening what);
void tell_flags(struct tell *t, const struct engine_guest *g, uint32_t before);
void tell_trouble(struct tell *t, const struct engine_guest *g, const struct err *e);
void tell_host_state(struct tell *t, enum host_state before, const struct host *host);

/* One structured line with the order's inputs: debug, or info in a dry run. */
void tell_order(struct tell *t, const struct engine_guest *g, const struct host *host);
