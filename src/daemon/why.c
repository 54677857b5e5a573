/* SPDX-License-Identifier: Apache-2.0 */
#include "why.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A grant that arrives this long after another guest gave for it is that guest's memory. */
#define WHY_GAVE_USEC 5000000ULL

int why_init(struct why *w, size_t guests_max, bool dry_run, struct err *e)
{
    *w = (struct why){.guests_max = guests_max, .dry_run = dry_run};
    w->guests = calloc(guests_max, sizeof(*w->guests));
    return w->guests ? 0 : err_set(e, ENOMEM, "no memory for the last decisions of %zu guests", guests_max);
}

void why_done(struct why *w)
{
    free(w->guests);
    *w = (struct why){0};
}

static const char *why_name_at(const struct engine *engine, uint32_t position)
{
    const struct engine_guest *g = position == DECIDE_NOBODY ? NULL : engine_guest_at(engine, position);

    return g ? g->vm->name : "";
}

static void why_copy_name(char *to, const char *from)
{
    size_t len = strnlen(from, sizeof(((struct why_entry *)0)->other) - 1);

    memcpy(to, from, len);
    to[len] = '\0';
}

/* The ring of a guest that is listed; one that another guest left is emptied. */
static struct why_guest *why_ring(struct why *w, const struct engine_guest *g)
{
    if (g->id >= w->guests_max)
        return NULL;
    struct why_guest *ring = &w->guests[g->id];
    if (strcmp(ring->name, g->vm->name) != 0) {
        ring->next = ring->used = 0;
        why_copy_name(ring->name, g->vm->name);
    }
    return ring;
}

static struct why_entry *ring_at(struct why_guest *ring, size_t i)
{
    return i < ring->used ? &ring->entries[(ring->next + WHY_KEPT - 1 - i) % WHY_KEPT] : NULL;
}

static void why_fill(struct why_entry *entry, const struct engine_guest *g, const struct host *h, uint64_t now_usec)
{
    const struct guest_verdict *v = &g->core.verdict;

    entry->last_usec = now_usec;
    entry->count++;
    entry->flags = v->flags;
    entry->mode = g->core.config.mode;
    entry->has_kib = guest_assigned_kib(&g->core);
    entry->to_kib = v->order_kib;
    entry->demand_kib = v->demand_kib;
    entry->target_kib = v->target_kib;
    entry->given_kib = v->given_kib;
    entry->lower_kib = v->levels.lower_kib;
    entry->head_kib = v->levels.head_kib;
    entry->step = (int)h->share.step;
    entry->state = h->state;
}

/* The entry that this decision goes on with; NULL: none. What holds a guest back comes between its orders, over and over:
 * that parts neither from their like. An order of another kind does. */
static struct why_entry *ring_like(struct why_guest *ring, const struct guest_verdict *v, uint64_t now_usec)
{
    struct why_entry *entry;

    for (size_t i = 0; (entry = ring_at(ring, i)); i++) {
        if (now_usec - entry->last_usec > WHY_TOGETHER_USEC)
            continue;
        if (entry->order == v->order && entry->reason == v->reason)
            return entry;
        if (v->order != GUEST_ORDER_NONE && entry->order != GUEST_ORDER_NONE)
            return NULL;
    }
    return NULL;
}

/* The entry for this decision: one that it goes on with, else a new one in place of the oldest. */
static struct why_entry *why_keep(struct why *w, const struct engine_guest *g, const struct host *h, uint64_t now_usec)
{
    const struct guest_verdict *v = &g->core.verdict;
    struct why_guest *ring = why_ring(w, g);

    if (!ring)
        return NULL;
    struct why_entry *entry = ring_like(ring, v, now_usec);
    if (!entry) {
        entry = &ring->entries[ring->next];
        ring->next = (ring->next + 1) % WHY_KEPT;
        ring->used += ring->used < WHY_KEPT;
        *entry = (struct why_entry){
            .first_usec = now_usec,
            .order = v->order,
            .reason = v->reason,
            .would = w->dry_run && v->order != GUEST_ORDER_NONE,
            .from_kib = guest_assigned_kib(&g->core),
        };
    }
    why_fill(entry, g, h, now_usec);
    return entry;
}

static bool why_holds_back(enum guest_reason reason)
{
    return reason == GUEST_REASON_NOT_FREE_YET || reason == GUEST_REASON_HOST_LOW || reason == GUEST_REASON_STALE ||
           reason == GUEST_REASON_SETTLING || reason == GUEST_REASON_NOT_MANAGED || reason == GUEST_REASON_ON_HOLD;
}

void why_decided(struct why *w, const struct engine *engine, uint64_t now_usec)
{
    const struct host *h = engine_host(engine);
    const struct decide_waiting *waiting = &h->waiting;
    size_t n = engine_count(engine);

    if (waiting->waiters && waiting->donors) {
        why_copy_name(w->donor, why_name_at(engine, waiting->donor));
        why_copy_name(w->waiter, why_name_at(engine, waiting->waiter));
        w->gave_usec = now_usec;
    }
    for (size_t i = 0; i < n; i++) {
        const struct engine_guest *g = engine_guest_at(engine, i);
        const struct guest_verdict *v = &g->core.verdict;

        if (v->order != GUEST_ORDER_NONE || !why_holds_back(v->reason))
            continue;
        struct why_entry *entry = why_keep(w, g, h, now_usec);
        if (entry && v->reason == GUEST_REASON_NOT_FREE_YET && waiting->donors) {
            why_copy_name(entry->other, why_name_at(engine, waiting->donor));
            entry->other_kib = waiting->donor_kib;
        }
    }
}

void why_ordered(struct why *w, const struct engine *engine, const struct engine_guest *g, uint64_t now_usec)
{
    const struct host *h = engine_host(engine);
    const struct guest_verdict *v = &g->core.verdict;
    struct why_entry *entry = why_keep(w, g, h, now_usec);

    if (!entry)
        return;
    if (v->reason == GUEST_REASON_FOR_OTHERS && h->waiting.waiters) {
        why_copy_name(entry->other, why_name_at(engine, h->waiting.waiter));
        entry->other_kib = h->waiting.waiter_kib;
    } else if (v->order == GUEST_ORDER_GROW && strcmp(w->waiter, g->vm->name) == 0 &&
               now_usec - w->gave_usec < WHY_GAVE_USEC) {
        why_copy_name(entry->other, w->donor);
    }
}

const struct why_entry *why_entry_at(const struct why *w, const struct engine_guest *g, size_t i)
{
    struct why_guest *ring = w->guests && g->id < w->guests_max ? &w->guests[g->id] : NULL;

    return ring && strcmp(ring->name, g->vm->name) == 0 ? ring_at(ring, i) : NULL;
}
