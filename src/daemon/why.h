/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

/* The last decisions of each guest, kept in a ring of fixed size for `ballast why`: those that moved it, and those that
 * wanted to and could not. Decisions of the same kind in a row are one entry. A guest at rest leaves none: why nothing is
 * done is told from its state when somebody asks. Room for all guests is taken at the start and costs nothing until a
 * guest's first decision is kept; nothing is allocated later (S14). */

#define WHY_KEPT 16

/* Orders of one kind belong together while they are no further apart than this: taking slowly goes on each second. */
#define WHY_TOGETHER_USEC 10000000ULL

struct why_entry {
    uint64_t first_usec, last_usec;
    uint64_t count;
    enum guest_order order;
    enum guest_reason reason;
    uint32_t flags;          /* enum guest_flag */
    enum guest_mode mode;
    bool would;              /* dry run */
    uint64_t from_kib;       /* assigned at the first of them */
    uint64_t has_kib;        /* assigned at the last */
    uint64_t to_kib;         /* the last order's target */
    uint64_t demand_kib, target_kib, given_kib, lower_kib, head_kib;
    int step;
    enum host_state state;
    char other[64];          /* who waited for it, or who gave; empty: not known */
    uint64_t other_kib;
};

struct why_guest {
    char name[64];           /* whose entries these are: another guest may come to the same place */
    size_t next, used;
    struct why_entry entries[WHY_KEPT];
};

struct why {
    struct why_guest *guests; /* by engine_guest.id */
    size_t guests_max;
    bool dry_run;
    char donor[64], waiter[64]; /* who last gave for whom, and when */
    uint64_t gave_usec;
};

/* Returns 0 or -ENOMEM. */
int why_init(struct why *w, size_t guests_max, bool dry_run, struct err *e);
void why_done(struct why *w);

/* env.decided(): keeps what held guests back. */
void why_decided(struct why *w, const struct engine *engine, uint64_t now_usec);

/* env.ordered(): keeps the order. */
void why_ordered(struct why *w, const struct engine *engine, const struct engine_guest *g, uint64_t now_usec);

/* Entry i of a guest, the one that began last first; NULL beyond the last. */
const struct why_entry *why_entry_at(const struct why *w, const struct engine_guest *g, size_t i);
