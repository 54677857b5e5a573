/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "engine_private.h"
#include "policy_defaults.h"
#include "units.h"

/* What a guest's agent is to know (docs/design.md 3.1, 10): when to tell us, and what people in the guest find when
 * they look for memory they miss. */

/* Half of the guest's buffer, within these: less would be too late, more would tell each breath of a large guest. */
#define WATERMARK_MIN_KIB (16 * KIB_PER_MIB)
#define WATERMARK_MAX_KIB (64 * KIB_PER_MIB)

/* A watermark that moves by less is not worth a line; so is a number in a sentence for people. */
#define WATERMARK_SAME_KIB (2 * KIB_PER_MIB)
#define STATUS_SAME_KIB (16 * KIB_PER_MIB)

#define HEARTBEAT_BALANCED_USEC USEC_PER_SEC
#define HEARTBEAT_WATCHED_USEC (5 * USEC_PER_SEC)

enum engine_why {
    ENGINE_WHY_SHORT,   /* the host has less than it should have */
    ENGINE_WHY_ENOUGH,  /* it has what it needs and its buffer */
    ENGINE_WHY_FIXED,   /* not balanced: its size is somebody's decision */
    ENGINE_WHY_OTHER,   /* not balanced now, for a reason of its own */
};

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static uint64_t watermark_kib(const struct guest *g, uint64_t told_kib)
{
    const struct guest_verdict *v = &g->verdict;
    uint64_t half = v->target_kib > v->demand_kib ? (v->target_kib - v->demand_kib) / 2 : 0;

    half -= half % KIB_PER_MIB;
    if (half < WATERMARK_MIN_KIB)
        half = WATERMARK_MIN_KIB;
    if (half > WATERMARK_MAX_KIB)
        half = WATERMARK_MAX_KIB;
    return told_kib && distance(half, told_kib) < WATERMARK_SAME_KIB ? told_kib : half;
}

static enum engine_why why_of(const struct guest *g)
{
    const struct guest_verdict *v = &g->verdict;

    if (g->config.mode != GUEST_MODE_AUTO || v->flags & (GUEST_FLAG_FIXED | GUEST_FLAG_NO_BALLOON))
        return ENGINE_WHY_FIXED;
    if (v->flags & (GUEST_FLAG_BREACH | GUEST_FLAG_FOREIGN_HAND | GUEST_FLAG_STUCK | GUEST_FLAG_SILENT))
        return ENGINE_WHY_OTHER;
    return v->given_kib < v->target_kib ? ENGINE_WHY_SHORT : ENGINE_WHY_ENOUGH;
}

static void say_why(const struct guest *g, enum engine_why why, char *text, size_t size)
{
    const struct guest_verdict *v = &g->verdict;
    struct units_text demand = units_show_kib(v->demand_kib);
    struct units_text target = units_show_kib(v->target_kib);
    struct units_text given = units_show_kib(v->given_kib);

    switch (why) {
    case ENGINE_WHY_SHORT:
        (void)snprintf(text, size,
                       "the host is short of memory and shares it by need and priority: this guest needs about %s, "
                       "should have %s and gets %s",
                       demand.s, target.s, given.s);
        break;
    case ENGINE_WHY_ENOUGH:
        (void)snprintf(text, size,
                       "this guest needs about %s now and gets %s with its buffer; it gets more as soon as it needs "
                       "more",
                       demand.s, given.s);
        break;
    case ENGINE_WHY_FIXED:
        (void)snprintf(text, size, "the host does not balance this guest: its size stays as it is");
        break;
    case ENGINE_WHY_OTHER:
        (void)snprintf(text, size, "the host does not move this guest's memory now: %s", guest_reason_text(v->reason));
        break;
    }
}

void engine_guest_why(const struct guest *g, char *text, size_t size)
{
    say_why(g, why_of(g), text, size);
}

/* Only what people would see as another number is news. */
static bool is_news(const struct engine_told *told, const struct engine_told *now)
{
    return told->watermark_kib != now->watermark_kib || told->heartbeat_usec != now->heartbeat_usec ||
           told->why != now->why || told->maximum_kib != now->maximum_kib ||
           distance(told->lent_kib, now->lent_kib) >= KIB_PER_MIB ||
           distance(told->assigned_kib, now->assigned_kib) >= KIB_PER_MIB ||
           distance(told->demand_kib, now->demand_kib) >= STATUS_SAME_KIB ||
           distance(told->given_kib, now->given_kib) >= STATUS_SAME_KIB;
}

bool engine_agent_news(const struct guest *g, struct engine_told *told, struct hv_tell *ret)
{
    struct engine_told now = {
        .watermark_kib = watermark_kib(g, told->watermark_kib),
        .heartbeat_usec = g->config.mode == GUEST_MODE_AUTO ? HEARTBEAT_BALANCED_USEC : HEARTBEAT_WATCHED_USEC,
        .lent_kib = g->verdict.exposure_kib,
        .assigned_kib = guest_assigned_kib(g),
        .maximum_kib = guest_maximum_kib(g),
        .demand_kib = g->verdict.demand_kib,
        .given_kib = g->verdict.given_kib,
        .why = why_of(g),
    };

    if (!is_news(told, &now))
        return false;
    *told = now;
    *ret = (struct hv_tell){
        .watermark_bytes = now.watermark_kib * 1024,
        .heartbeat_usec = now.heartbeat_usec,
        .lent_bytes = now.lent_kib * 1024,
        .assigned_bytes = now.assigned_kib * 1024,
        .maximum_bytes = now.maximum_kib * 1024,
    };
    say_why(g, now.why, ret->why, sizeof(ret->why));
    return true;
}

void engine_tell_agents(struct engine *engine, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct engine_slot *slot = engine->round[i];
        struct hv_tell tell;

        if (slot->listed && slot->g.vm->caps & HV_CAP_AGENT && slot->g.core.levers.time_usec &&
            engine_agent_news(&slot->g.core, &slot->agent_told, &tell))
            hv_tell(slot->g.vm, &tell);
    }
}
