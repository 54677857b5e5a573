/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "decide.h"

/* Two-phase planning (docs/design.md 3.5): what to order from whom, now. Free first, give second. Reads each guest's
 * verdict (levels, given) and the host's grantable memory; writes order, order_kib and reason.
 *
 *     plan_open(&p, ...); plan_look(&p, i) for each guest i once, in order; orders = plan_close(&p);
 *
 * In three parts, so that decide() walks over its guests no more often than it must. */

struct plan {
    struct host *h;
    struct guest *const *guests;
    size_t n;
    enum decide_why why;
    uint64_t now_usec;
    uint32_t *order;     /* n entries: [0, growing) should grow, [donors_from, n) have something to give */
    uint64_t *rank;      /* n entries, of those: growing, who is served first; donors, what they have to give */
    size_t growing, donors_from;
    uint64_t coming_kib; /* what shrinks under way still bring */
    uint64_t wanted_kib; /* by guests that should grow, beyond what is on its way */
    uint64_t free_kib;   /* what grants may use now */
    uint64_t hungry_kib; /* of wanted, by guests that should not wait for a dead zone */
    uint64_t short_kib;  /* wanted beyond what is free or being let go already: donors are told their given at once */
    uint64_t urgent_kib; /* of that for hungry guests: then donors' dead zones don't count */
    uint64_t reserve_kib; /* what reservations lack: wanted like a hungry guest's */
    uint64_t yield_kib;  /* free, but being gathered for a reservation: hungry guests come before it */
    size_t orders;
};

/* A difference between given and assigned that is not worth a command: min(max(2 % of assigned, 16 MiB), 1 GiB)
 * (docs/design.md 3.5). */
uint64_t plan_dead_zone_kib(uint64_t assigned_kib);

/* order and rank are scratch of n entries. Everything is borrowed until plan_close(). */
void plan_open(struct plan *p, struct host *h, struct guest *const *guests, size_t n, enum decide_why why,
               uint64_t now_usec, uint32_t *order, uint64_t *rank);

/* Who should grow, who could give; what needs no comparison with others is decided at once. */
void plan_look(struct plan *p, size_t i);

/* Weighs those who wait against those who have, and returns the number of orders. */
size_t plan_close(struct plan *p);
