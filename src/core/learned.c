/* SPDX-License-Identifier: Apache-2.0 */
#include "learned.h"

#include "policy_defaults.h"

static uint64_t learned_least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void learned_take(const struct guest *g, struct learned *ret)
{
    *ret = (struct learned){
        .proof = g->proof,
        .rise = g->rise,
        .mark_kib = g->harm.mark_kib,
        .mark_until_usec = g->harm.mark_until_usec,
        .mark_hold_usec = g->harm.hold_usec,
        .selfmanaging = g->selfmanaging,
    };
}

static struct peak learned_peak(const struct peak *p, uint64_t now_usec)
{
    return (struct peak){
        .value = learned_least(p->value, POLICY_KIB_MAX),
        .seen_usec = learned_least(p->seen_usec, now_usec),
    };
}

static struct selfmanaging learned_selfmanaging(const struct selfmanaging *s, uint64_t now_usec)
{
    struct selfmanaging bounded = {
        .start_assigned_kib = learned_least(s->start_assigned_kib, POLICY_KIB_MAX),
        .start_used_kib = learned_least(s->start_used_kib, POLICY_KIB_MAX),
        .start_usec = learned_least(s->start_usec, now_usec),
        .honest_usec = learned_least(s->honest_usec, now_usec),
        .peak_used_kib = learned_least(s->peak_used_kib, POLICY_KIB_MAX),
        .grant_base_kib = learned_least(s->grant_base_kib, POLICY_KIB_MAX),
        .limit_kib = learned_least(s->limit_kib, POLICY_KIB_MAX),
    };

    for (unsigned int i = 0; i < sizeof(s->grant_usec) / sizeof(s->grant_usec[0]); i++)
        bounded.grant_usec[i] = learned_least(s->grant_usec[i], now_usec);
    return bounded;
}

void learned_restore(struct guest *g, const struct learned *l, uint64_t now_usec)
{
    g->proof = learned_peak(&l->proof, now_usec);
    g->rise = learned_peak(&l->rise, now_usec);
    g->harm.mark_kib = learned_least(l->mark_kib, POLICY_KIB_MAX);
    g->harm.mark_until_usec = learned_least(l->mark_until_usec, now_usec + POLICY_HARM_HOLD_MAX_USEC);
    g->harm.hold_usec = learned_least(l->mark_hold_usec, POLICY_HARM_HOLD_MAX_USEC);
    g->selfmanaging = learned_selfmanaging(&l->selfmanaging, now_usec);
}
