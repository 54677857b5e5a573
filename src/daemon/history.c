/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"

#include <stdlib.h>
#include <string.h>

#include "policy_defaults.h"
#include "wire_history.h"

_Static_assert(HISTORY_POINTS == WIRE_HISTORY_POINTS && HISTORY_MOVES == WIRE_HISTORY_MOVES, "the wire holds all of it");

struct history *history_new(size_t guests_max)
{
    struct history *h = calloc(1, sizeof(*h));

    if (h)
        h->guests = calloc(guests_max, sizeof(struct history_guest *));
    if (!h || !h->guests)
        return history_free(h);
    h->guests_max = guests_max;
    return h;
}

struct history *history_free(struct history *h)
{
    for (size_t i = 0; h && i < h->guests_max; i++)
        free(h->guests[i]);
    if (h)
        free(h->guests);
    free(h);
    return NULL;
}

void history_vanished(struct history *h, size_t slot)
{
    if (!h || slot >= h->guests_max)
        return;
    free(h->guests[slot]);
    h->guests[slot] = NULL;
}

void history_appeared(struct history *h, size_t slot)
{
    struct history_guest *g;

    if (!h || slot >= h->guests_max)
        return;
    history_vanished(h, slot); /* whoever had the slot before */
    g = calloc(1, sizeof(*g));
    if (!g)
        return;
    for (size_t i = 0; i < HISTORY_POINTS; i++)
        g->assigned_mib[i] = g->demand_mib[i] = HISTORY_NONE;
    h->guests[slot] = g;
}

const struct history_guest *history_find(const struct history *h, size_t slot)
{
    return h && slot < h->guests_max ? h->guests[slot] : NULL;
}

void history_ordered(struct history *h, size_t slot, const struct guest *g, uint64_t now_usec)
{
    struct history_guest *kept = h && slot < h->guests_max ? h->guests[slot] : NULL;
    const struct guest_verdict *v = &g->verdict;
    struct history_move *last;

    if (!kept)
        return;
    last = &kept->moves[(kept->move_at + HISTORY_MOVES - 1) % HISTORY_MOVES];
    if (last->first_usec && last->order == v->order && last->reason == v->reason &&
        now_usec < last->last_usec + HISTORY_SAME_USEC) {
        last->last_usec = now_usec;
        last->to_kib = v->order_kib;
        last->orders++;
        return;
    }
    kept->moves[kept->move_at] = (struct history_move){
        .first_usec = now_usec,
        .last_usec = now_usec,
        .from_kib = guest_assigned_kib(g),
        .to_kib = v->order_kib,
        .orders = 1,
        .order = v->order,
        .reason = v->reason,
    };
    kept->move_at = (kept->move_at + 1) % HISTORY_MOVES;
}

/* What a counter rose by; one that fell belongs to another boot. */
static uint64_t rise(uint64_t before, uint64_t now)
{
    return before == OBS_UNSET || now == OBS_UNSET || now < before ? OBS_UNSET : now - before;
}

static void see_rates(struct history_guest *kept, const struct obs_guest_view *now)
{
    const struct obs_guest_view *before = &kept->seen;

    if (!now->time_usec || now->time_usec == before->time_usec)
        return;
    if (before->time_usec && now->time_usec > before->time_usec && now->source == before->source)
        kept->rates = (struct history_rates){
            .span_usec = now->time_usec - before->time_usec,
            .swapped_in_bytes = rise(before->swapped_in_bytes, now->swapped_in_bytes),
            .swapped_out_bytes = rise(before->swapped_out_bytes, now->swapped_out_bytes),
            .refaulted_bytes = rise(before->refaulted_bytes, now->refaulted_bytes),
            .psi_some_usec = rise(before->psi_some_usec, now->psi_some_usec),
            .psi_full_usec = rise(before->psi_full_usec, now->psi_full_usec),
        };
    else
        kept->rates = (struct history_rates){0};
    kept->seen = *now;
}

static uint32_t mib_of_kib(uint64_t kib)
{
    uint64_t mib = (kib + KIB_PER_MIB / 2) / KIB_PER_MIB;

    return mib < HISTORY_NONE ? (uint32_t)mib : HISTORY_NONE - 1;
}

static void take_point(struct history_guest *kept, size_t at, const struct guest *g)
{
    kept->assigned_mib[at] = g->levers.time_usec ? mib_of_kib(guest_assigned_kib(g)) : HISTORY_NONE;
    kept->demand_mib[at] = g->view.time_usec ? mib_of_kib(g->verdict.demand_kib) : HISTORY_NONE;
    see_rates(kept, &g->view);
}

static void skip_point(struct history *h)
{
    for (size_t i = 0; i < h->guests_max; i++)
        if (h->guests[i])
            h->guests[i]->assigned_mib[h->at] = h->guests[i]->demand_mib[h->at] = HISTORY_NONE;
    h->at = (h->at + 1) % HISTORY_POINTS;
}

void history_tick(struct history *h, const struct engine *engine, uint64_t now_usec)
{
    size_t n = h ? engine_count(engine) : 0;

    if (!h || now_usec < h->due_usec)
        return;
    for (size_t i = 0; h->due_usec && now_usec >= h->due_usec + HISTORY_STEP_USEC && i < HISTORY_POINTS; i++) {
        skip_point(h);
        h->due_usec += HISTORY_STEP_USEC;
    }
    h->due_usec = h->due_usec && now_usec < h->due_usec + HISTORY_STEP_USEC ? h->due_usec + HISTORY_STEP_USEC
                                                                              : now_usec + HISTORY_STEP_USEC;
    for (size_t i = 0; i < n; i++) {
        const struct engine_guest *g = engine_guest_at(engine, i);
        size_t slot = engine_guest_slot(engine, g);

        if (slot < h->guests_max && h->guests[slot])
            take_point(h->guests[slot], h->at, &g->core);
    }
    h->at = (h->at + 1) % HISTORY_POINTS;
}

static uint64_t bytes_of_mib(uint32_t mib)
{
    return mib == HISTORY_NONE ? WIRE_UNKNOWN : (uint64_t)mib << 20;
}

static void fill_move(const struct history_move *m, uint64_t now_usec, struct wire_history_move *ret)
{
    static const char *const orders[GUEST_ORDER_COUNT] = {"none", "grow", "shrink", "withdraw"};

    ret->age_ms = now_usec > m->last_usec ? (now_usec - m->last_usec) / 1000 : 0;
    ret->lasted_ms = (m->last_usec - m->first_usec) / 1000;
    ret->orders = m->orders;
    ret->from_bytes = m->from_kib * 1024;
    ret->to_bytes = m->to_kib * 1024;
    wire_text_copy(ret->order, sizeof(ret->order), m->order < GUEST_ORDER_COUNT ? orders[m->order] : "");
    wire_text_copy(ret->reason, sizeof(ret->reason), guest_reason_text(m->reason));
}

/* Newest first. */
static void fill_moves(const struct history_guest *kept, uint64_t now_usec, struct wire_history_guest *ret)
{
    for (size_t i = 1; i <= HISTORY_MOVES; i++) {
        const struct history_move *m = &kept->moves[(kept->move_at + HISTORY_MOVES - i) % HISTORY_MOVES];

        if (m->first_usec)
            fill_move(m, now_usec, &ret->moves[ret->move_count++]);
    }
}

/* Oldest first. */
static void fill_points(const struct history *h, const struct history_guest *kept, struct wire_history_guest *ret)
{
    ret->point_count = HISTORY_POINTS;
    for (size_t i = 0; i < HISTORY_POINTS; i++) {
        size_t at = (h->at + i) % HISTORY_POINTS;

        ret->assigned_bytes[i] = bytes_of_mib(kept->assigned_mib[at]);
        ret->demand_bytes[i] = bytes_of_mib(kept->demand_mib[at]);
    }
}

void history_print(const struct history *h, const struct engine *engine, uint64_t now_usec, struct wire_text *out)
{
    size_t n = h ? engine_count(engine) : 0;
    bool first = true;

    wire_history_begin(out, HISTORY_STEP_USEC / 1000);
    for (size_t i = 0; i < n; i++) {
        const struct engine_guest *g = engine_guest_at(engine, i);
        const struct history_guest *kept = history_find(h, engine_guest_slot(engine, g));
        struct wire_history_guest w = {0};

        if (!kept)
            continue;
        wire_text_copy(w.name, sizeof(w.name), g->vm->name);
        fill_points(h, kept, &w);
        fill_moves(kept, now_usec, &w);
        wire_history_guest(out, &w, first);
        first = false;
    }
    wire_history_end(out);
}
