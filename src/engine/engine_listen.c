/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "engine_private.h"

/* What drivers tell. Nothing is decided in here: observations go to the core's guest, and the engine is woken where one
 * of them should not wait for the next tick. */

static void engine_on_appeared(void *user, struct hv_vm *vm, uint64_t now_usec)
{
    struct engine *engine = user;
    uint64_t now = engine_clock(engine, now_usec);
    struct input in = {.kind = INPUT_APPEARED, .now_usec = now};
    struct input learned = {.kind = INPUT_LEARNED, .now_usec = now};
    struct engine_slot *slot = engine_slot_take(engine, vm);

    if (!slot) {
        struct err e = {0};
        vm->user = NULL;
        (void)err_set(&e, ENOSPC, "guest '%s' is left alone: this process keeps %zu guests at most", vm->name,
                      engine->guests_max);
        engine_tell_trouble(engine, NULL, &e);
        return;
    }
    engine->env.configure(engine->env.user, vm, &in.config);
    engine_apply(engine, slot, &in);
    engine_ask_hold(engine, slot);
    if (engine->env.remember && engine->env.remember(engine->env.user, vm, &learned.learned))
        engine_apply(engine, slot, &learned);
    if (vm->start_ticks > engine->newest_ticks)
        engine->newest_ticks = vm->start_ticks;
    engine->newcomers = true;
    if (engine->env.appeared)
        engine->env.appeared(engine->env.user, &slot->g);
    engine_want_event(engine);
}

static void engine_on_vanished(void *user, struct hv_vm *vm, const char *reason, uint64_t now_usec)
{
    struct engine *engine = user;
    struct engine_slot *slot = engine_slot_of(vm);

    (void)engine_clock(engine, now_usec);
    if (!slot)
        return;
    if (engine->env.vanished)
        engine->env.vanished(engine->env.user, &slot->g, reason);
    engine_slot_leave(engine, slot);
    engine_want_event(engine); /* its memory is there for others */
}

/* The whole balloon is back at once and nobody asked for it: the guest unloaded its driver (measured: 128 -> 256 MiB
 * in one step), or its kernel gave all of it back on OOM. Statistics tell which, a second later. */
static bool engine_driver_is_lost(const struct guest *g, const struct obs_levers *seen)
{
    const struct obs_levers *before = &g->levers;
    bool growing = g->motion.active && g->motion.target_kib > guest_assigned_kib(g);

    return before->time_usec && !g->reset_usec && !growing && seen->boot_bytes &&
           seen->boot_bytes == before->boot_bytes && seen->balloon_actual_bytes >= seen->boot_bytes &&
           before->balloon_actual_bytes + ENGINE_LOST_BYTES <= before->boot_bytes;
}

static void engine_tell_happened(struct engine *engine, struct engine_slot *slot, enum hv_happening what)
{
    if (engine->env.happened)
        engine->env.happened(engine->env.user, &slot->g, what);
    engine_want_event(engine);
}

static void engine_apply_reset(struct engine *engine, struct engine_slot *slot, uint64_t now)
{
    struct input in = {.kind = INPUT_RESET, .now_usec = now};

    engine_apply(engine, slot, &in);
}

static void engine_on_levers(void *user, struct hv_vm *vm, const struct obs_levers *seen)
{
    struct engine *engine = user;
    struct engine_slot *slot = engine_slot_of(vm);

    if (!slot)
        return;
    uint64_t now = engine_clock(engine, seen->time_usec);
    bool known = slot->g.core.levers.time_usec != 0;
    uint64_t before = guest_assigned_kib(&slot->g.core);
    if (engine_driver_is_lost(&slot->g.core, seen)) {
        engine_apply_reset(engine, slot, now); /* counts what it had until now as its own, and what it took as danger */
        engine_tell_happened(engine, slot, HV_HAPPENED_DRIVER_LOST);
    }
    struct input in = {.kind = INPUT_LEVERS, .now_usec = now, .levers = *seen};
    engine_apply(engine, slot, &in);
    if (!known && slot->g.core.levers.time_usec)
        engine_reserve_appeared(engine, slot);
    uint64_t after = guest_assigned_kib(&slot->g.core);
    if (!known) {
        engine_want_event(engine);
    } else if (after != before) {
        slot->g.moved_kib += after > before ? after - before : before - after;
        slot->moved_usec = now;
        engine_want_poll(engine);
        engine_want_event(engine);
    }
}

static void engine_on_host_view(void *user, struct hv_vm *vm, const struct obs_host_view *seen)
{
    struct engine *engine = user;
    struct engine_slot *slot = engine_slot_of(vm);

    if (!slot)
        return;
    uint64_t now = engine_clock(engine, seen->time_usec);
    bool awaited = slot->g.core.host.time_usec == 0 || slot->g.core.verdict.wants_host_view ||
                   slot->moved_usec > slot->g.core.host.time_usec;
    struct input in = {.kind = INPUT_HOST_VIEW, .now_usec = now, .host_view = *seen};
    engine_apply(engine, slot, &in);
    if (awaited)
        engine_want_event(engine);
}

static bool engine_view_fell(const struct guest *g, const struct obs_guest_view *seen, uint64_t bytes)
{
    return g->view.time_usec && g->view.available_bytes != OBS_UNSET && seen->available_bytes != OBS_UNSET &&
           g->view.available_bytes >= bytes && seen->available_bytes <= g->view.available_bytes - bytes;
}

/* A view that should not wait for the tick: the first one, or one with clearly less left, or with next to nothing. */
static bool engine_view_is_urgent(const struct guest *g, const struct obs_guest_view *seen)
{
    if (seen->available_bytes == OBS_UNSET)
        return false;
    if (g->view.time_usec == 0 || g->view.available_bytes == OBS_UNSET)
        return true;
    if (seen->time_usec == g->view.time_usec && seen->available_bytes == g->view.available_bytes)
        return false; /* the same sample again */
    return engine_view_fell(g, seen, ENGINE_FALL_BYTES) ||
           seen->available_bytes / 1024 < demand_stall_line_kib(guest_assigned_kib(g));
}

static void engine_on_view(void *user, struct hv_vm *vm, const struct obs_guest_view *seen)
{
    struct engine *engine = user;
    struct engine_slot *slot = engine_slot_of(vm);

    if (!slot)
        return;
    uint64_t now = engine_clock(engine, seen->heard_usec);
    bool urgent = engine_view_is_urgent(&slot->g.core, seen) || slot->g.core.verdict.wants_view;
    if (engine_view_fell(&slot->g.core, seen, ENGINE_FELL_BYTES)) {
        slot->fell_usec = now;
        engine_want_poll(engine);
    }
    struct input in = {.kind = INPUT_VIEW, .now_usec = now, .view = *seen};
    engine_apply(engine, slot, &in);
    if (urgent)
        engine_want_event(engine);
}

/* A frozen guest is to the rules the same as a paused one. */
static void engine_set_still(struct engine *engine, struct engine_slot *slot, bool paused, bool frozen)
{
    const struct input in = {.kind = paused || frozen ? INPUT_PAUSED : INPUT_RESUMED, .now_usec = engine->now_usec};

    slot->g.paused = paused;
    slot->g.frozen = frozen;
    engine_apply(engine, slot, &in);
}

static void engine_on_happened(void *user, struct hv_vm *vm, enum hv_happening what, uint64_t now_usec)
{
    struct engine *engine = user;
    struct engine_slot *slot = engine_slot_of(vm);
    uint64_t now = engine_clock(engine, now_usec);

    if (!slot)
        return;
    /* One system_reset of a q35 machine is a dozen RESET events within half a second: its firmware resets again and again. */
    bool told = what == HV_HAPPENED_RESET && slot->g.core.reset_usec;
    switch (what) {
    case HV_HAPPENED_RESET:
        engine_set_still(engine, slot, false, slot->g.frozen);
        engine_apply_reset(engine, slot, now);
        break;
    case HV_HAPPENED_PANIC:
    case HV_HAPPENED_DRIVER_LOST:
        engine_apply_reset(engine, slot, now);
        break;
    case HV_HAPPENED_SHUTDOWN:
    case HV_HAPPENED_PAUSED:
        engine_set_still(engine, slot, true, slot->g.frozen);
        break;
    case HV_HAPPENED_RESUMED:
        engine_set_still(engine, slot, false, slot->g.frozen);
        break;
    case HV_HAPPENED_FROZEN:
    case HV_HAPPENED_THAWED:
        engine_set_still(engine, slot, slot->g.paused, what == HV_HAPPENED_FROZEN);
        break;
    case HV_HAPPENED_FOREIGN_HAND:
        engine_apply(engine, slot, &(struct input){.kind = INPUT_FOREIGN_HAND, .now_usec = now});
        break;
    case HV_HAPPENED_COUNT:
        return;
    }
    if (engine->env.happened && !told)
        engine->env.happened(engine->env.user, &slot->g, what);
    engine_want_event(engine);
}

static void engine_on_trouble(void *user, struct hv_vm *vm, const struct err *e)
{
    struct engine *engine = user;
    struct engine_slot *slot = vm ? engine_slot_of(vm) : NULL;

    if (slot)
        slot->reason_is_order = false;
    if (slot && !e->code)
        slot->g.reason[0] = '\0';
    if (!e->code)
        return;
    engine_tell_trouble(engine, slot, e);
}

void engine_listen(struct engine *engine)
{
    engine->listener = (struct hv_listener){
        .appeared = engine_on_appeared,
        .vanished = engine_on_vanished,
        .levers = engine_on_levers,
        .host_view = engine_on_host_view,
        .view = engine_on_view,
        .happened = engine_on_happened,
        .trouble = engine_on_trouble,
        .user = engine,
    };
}
