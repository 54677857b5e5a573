/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "engine_private.h"

/* Decide and act: one call of decide(), then its orders, those that free memory first (S3). */

static void engine_order_failed(struct engine *engine, struct engine_slot *slot, const struct err *e)
{
    struct input in = {.kind = INPUT_ORDER_FAILED, .now_usec = engine->now_usec};

    engine_apply(engine, slot, &in);
    slot->reason_is_order = true;
    engine_tell_trouble(engine, slot, e);
}

static void engine_on_done(void *user, const struct err *e)
{
    struct engine_slot *slot = user;
    struct engine *engine = slot->engine;

    slot->calls--;
    if (!slot->listed)
        return; /* it vanished meanwhile */
    if (!e) {
        if (slot->calls == 0) {
            struct input in = {.kind = INPUT_ORDER_DONE, .now_usec = engine->now_usec};
            engine_apply(engine, slot, &in);
        }
        if (slot->reason_is_order && slot->calls == 0) {
            slot->reason_is_order = false;
            slot->g.reason[0] = '\0';
        }
        return;
    }
    /* Replaced by a newer order, or its driver closes: nothing is wrong. A newer one under way still may succeed. */
    if (e->code == ECANCELED || slot->calls > 0)
        return;
    engine_order_failed(engine, slot, e);
    engine_want_event(engine);
}

static void engine_count_order(struct engine_slot *slot)
{
    enum guest_order order = slot->g.core.verdict.order;

    slot->g.orders++;
    if (order != GUEST_ORDER_GROW && order != GUEST_ORDER_SHRINK)
        return;
    if (slot->direction != GUEST_ORDER_NONE && slot->direction != order)
        slot->g.turns++;
    slot->direction = order;
}

static void engine_send(struct engine *engine, struct engine_slot *slot)
{
    uint64_t target_kib = slot->g.core.verdict.order_kib;
    struct err e = {0};

    slot->calls++;
    if (hv_set_target(slot->g.vm, target_kib * 1024, engine_on_done, slot, &e) < 0) {
        slot->calls--;
        if (!slot->listed)
            return;
        engine_order_failed(engine, slot, &e);
        return;
    }
    if (!slot->listed)
        return;
    struct input in = {.kind = INPUT_ORDERED, .now_usec = engine->now_usec, .target_kib = target_kib};
    engine_apply(engine, slot, &in);
    engine_count_order(slot);
    if (engine->env.ordered)
        engine->env.ordered(engine->env.user, &slot->g);
    engine_want_poll(engine);
}

/* Says what would be done once, not every second. */
static void engine_pretend(struct engine *engine, struct engine_slot *slot)
{
    enum guest_order order = slot->g.core.verdict.order;

    if (order != slot->told && engine->env.ordered)
        engine->env.ordered(engine->env.user, &slot->g);
    slot->told = order;
}

static bool engine_frees(enum guest_order order)
{
    return order == GUEST_ORDER_SHRINK || order == GUEST_ORDER_WITHDRAW;
}

static void engine_send_all(struct engine *engine, size_t n, bool freeing)
{
    for (size_t i = 0; i < n; i++) {
        struct engine_slot *slot = engine->round[i];
        enum guest_order order = slot->g.core.verdict.order;
        if (!slot->listed || order == GUEST_ORDER_NONE || engine_frees(order) != freeing)
            continue;
        if (order == GUEST_ORDER_GROW && !engine->host_read)
            continue; /* what is free is not known: nothing is given (S3) */
        if (engine->config.dry_run)
            engine_pretend(engine, slot);
        else
            engine_send(engine, slot);
    }
}

static void engine_tell_changes(struct engine *engine, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct engine_slot *slot = engine->round[i];
        uint32_t before = slot->flags, now = slot->g.core.verdict.flags;
        if (!slot->listed)
            continue;
        if (slot->g.core.verdict.order == GUEST_ORDER_NONE)
            slot->told = GUEST_ORDER_NONE;
        if (slot->g.core.verdict.wants_host_view || slot->g.core.verdict.wants_view || engine_is_pressed(slot))
            engine_want_poll(engine);
        if (before == now)
            continue;
        slot->flags = now;
        if (engine->env.flags_changed)
            engine->env.flags_changed(engine->env.user, &slot->g, before);
    }
    if (engine->host.state != engine->told_state) {
        enum host_state before = engine->told_state;
        engine->told_state = engine->host.state;
        if (engine->env.host_state_changed)
            engine->env.host_state_changed(engine->env.user, before, &engine->host);
    }
}

static void engine_read_host(struct engine *engine)
{
    struct obs_host seen = {0};
    struct err e = {0};

    engine->host_read = engine->env.read_host(engine->env.user, &seen, &e) == 0;
    if (engine->host_read) {
        engine->host.seen = seen;
        engine->host_failed = false;
        return;
    }
    engine->host.seen.time_usec = 0; /* decide() then neither grants nor takes */
    if (engine->host_failed)
        return;
    engine->host_failed = true;
    engine_tell_trouble(engine, NULL, &e);
}

void engine_decide(struct engine *engine, enum decide_why why)
{
    size_t n, orders;

    engine->event_due_usec = 0;
    engine->decided_usec = engine->now_usec;
    engine_read_host(engine);
    engine_reserve_apply(engine);
    engine->reserved_kib = engine->host.config.reservations_kib;
    orders = decide(&engine->host, engine->cores, engine->count, why, engine->now_usec, &engine->scratch);
    if (engine->env.decided)
        engine->env.decided(engine->env.user, why, engine->now_usec);
    engine_reserve_step(engine);
    n = engine_round_begin(engine);
    engine_tell_changes(engine, n);
    if (orders > 0) {
        engine_send_all(engine, n, /* freeing= */ true);
        engine_send_all(engine, n, /* freeing= */ false);
    }
    if (why == DECIDE_TICK && !engine->config.dry_run)
        engine_tell_agents(engine, n);
    engine_round_end(engine);
}
