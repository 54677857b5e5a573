/* SPDX-License-Identifier: Apache-2.0 */
#include "why_text.h"

#include "plan.h"
#include "policy_defaults.h"

/* From the engine's state to what why_text.c makes words of. */

static uint64_t left_ms(uint64_t until_usec, uint64_t now_usec)
{
    return until_usec > now_usec ? (until_usec - now_usec + 999) / 1000 : 0;
}

static uint64_t age_ms(uint64_t then_usec, uint64_t now_usec)
{
    return now_usec > then_usec ? (now_usec - then_usec) / 1000 : 0;
}

static const char *name_at(const struct engine *engine, uint32_t position)
{
    const struct engine_guest *g = position == DECIDE_NOBODY ? NULL : engine_guest_at(engine, position);

    return g ? g->vm->name : "";
}

static void fill_waiting(const struct status *s, struct why_facts *f)
{
    const struct host *h = engine_host(s->engine);
    const struct decide_waiting *w = &h->waiting;

    f->waiters = w->waiters;
    f->donors = w->donors;
    if (w->waiters)
        wire_text_copy(f->waiter, sizeof(f->waiter), name_at(s->engine, w->waiter));
    if (w->donors)
        wire_text_copy(f->donor, sizeof(f->donor), name_at(s->engine, w->donor));
    f->waiter_bytes = w->waiter_kib * 1024;
    f->donor_bytes = w->donor_kib * 1024;
    f->grantable_bytes = h->grantable_kib * 1024;
}

/* The larger of what is kept for hours and what is soon forgotten. */
static void fill_burst(const struct guest *g, uint64_t now_usec, struct why_facts *f)
{
    const struct peak *peak = &g->rise;

    if (peak_value(&g->rise_new, now_usec, POLICY_RISE_NEW_HALF_LIFE_USEC) >
        peak_value(&g->rise, now_usec, POLICY_HALF_LIFE_USEC))
        peak = &g->rise_new;
    if (!peak->seen_usec)
        return;
    f->burst_bytes = peak->value * 1024;
    f->burst_age_ms = age_ms(peak->seen_usec, now_usec);
}

static void fill_facts(const struct status *s, const struct engine_guest *eg, struct why_facts *f)
{
    const struct guest *g = &eg->core;
    uint64_t now = s->now_usec();

    f->order = g->verdict.order;
    f->reason = g->verdict.reason;
    f->dead_zone_bytes = plan_dead_zone_kib(guest_assigned_kib(g)) * 1024;
    f->settles_ms = left_ms(g->appeared_usec + POLICY_SETTLE_USEC, now);
    if (g->booted_usec)
        f->loads_ms = left_ms(g->booted_usec + POLICY_LOADS_USEC, now);
    f->loads_bytes = g->reset_assigned_kib * 1024;
    f->no_swap = g->view.time_usec && g->view.swap_total_bytes == 0;
    f->dry_run = s->dry_run;
    fill_burst(g, now, f);
    fill_waiting(s, f);
}

static void fill_decision(const struct why_entry *entry, uint64_t now_usec, struct wire_decision *ret)
{
    static const char *const orders[GUEST_ORDER_COUNT] = {"none", "grow", "shrink", "withdraw"};
    static const char *const states[HOST_STATE_COUNT] = {"high", "soft", "hard", "low"};

    wire_decision_clear(ret);
    ret->age_ms = age_ms(entry->last_usec, now_usec);
    ret->lasted_ms = age_ms(entry->first_usec, entry->last_usec);
    ret->count = entry->count;
    wire_text_copy(ret->order, sizeof(ret->order), orders[entry->order]);
    wire_text_copy(ret->reason, sizeof(ret->reason), why_reason_name(entry->reason));
    ret->would = entry->would;
    ret->from_bytes = entry->from_kib * 1024;
    ret->to_bytes = (entry->order == GUEST_ORDER_NONE ? entry->has_kib : entry->to_kib) * 1024;
    ret->demand_bytes = entry->demand_kib * 1024;
    ret->target_bytes = entry->target_kib * 1024;
    ret->given_bytes = entry->given_kib * 1024;
    ret->lower_bytes = entry->lower_kib * 1024;
    ret->head_bytes = entry->head_kib * 1024;
    ret->share_step = (uint64_t)entry->step;
    wire_text_copy(ret->host_state, sizeof(ret->host_state), states[entry->state]);
    wire_text_copy(ret->other, sizeof(ret->other), entry->other);
    if (entry->other[0])
        ret->other_bytes = entry->other_kib * 1024;
    why_text_decision(entry, ret->text, sizeof(ret->text));
}

/* Newest first: an entry that began earlier may have gone on for longer. */
static void decisions_sort(struct wire_decision *d, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k > 0 && d[k].age_ms < d[k - 1].age_ms; k--) {
            struct wire_decision swap = d[k];

            d[k] = d[k - 1];
            d[k - 1] = swap;
        }
}

void why_tell(const struct status *s, const struct engine_guest *g, struct wire_why *ret)
{
    static const char *const orders[GUEST_ORDER_COUNT] = {"none", "grow", "shrink", "withdraw"};
    const struct why_entry *entry;
    struct wire_guest guest;
    struct wire_host host;
    struct why_facts facts = {0};

    wire_why_clear(ret);
    status_fill_guest(s, g, &guest);
    status_fill_host(s, &host);
    fill_facts(s, g, &facts);
    wire_text_copy(ret->name, sizeof(ret->name), guest.name);
    wire_text_copy(ret->order, sizeof(ret->order), orders[facts.order]);
    wire_text_copy(ret->reason, sizeof(ret->reason), why_reason_name(facts.reason));
    why_text_now(&guest, &host, &facts, ret);
    while (s->why && ret->decision_count < WIRE_WHY_DECISIONS_MAX &&
           (entry = why_entry_at(s->why, g, ret->decision_count)))
        fill_decision(entry, s->now_usec(), &ret->decisions[ret->decision_count++]);
    decisions_sort(ret->decisions, ret->decision_count);
}
