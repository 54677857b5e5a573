/* SPDX-License-Identifier: Apache-2.0 */
#include "hv_qmp_guest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <systemd/sd-event.h>

/* Moving one guest's memory: the split over balloon and virtio-mem, and what follows until it is there. */

/* QEMU's events of both devices come once a second at most: the levers are looked at by ourselves while they move. */
#define POLL_USEC 50000ULL

/* For how long: after this the engine's own look once a second is enough; the guest is stuck or slow. And long enough
 * to see that plugged memory stays offline. */
#define POLL_FOR_USEC (ONLINE_PATIENCE_USEC + 500000ULL)

/* virtio-mem had its moment when it has not moved for this long: an unplug of 128 MiB takes 2-20 ms, up to 0.8 s with
 * init_on_alloc=1, but then it moves in between. */
#define PLUG_PATIENCE_USEC 300000ULL

/* The balloon's target is refined in steps of at least this, so that a slow unplug is not a command every 50 ms. */
#define REFINE_BYTES (1ULL << 20)

/* The balloon moves whole pages of the guest, 64 KiB on some machines. */
#define PAGE_BYTES (64ULL << 10)

/* Memory that stayed offline is not plugged again for this long, or until the guest resets. */
#define PLUG_BLOCKED_USEC 600000000ULL

static struct qmp_move_call *free_call(struct qmp_guest *g)
{
    for (size_t i = 0; i < QMP_MOVES_MAX; i++)
        if (g->calls[i].left == 0 && !g->calls[i].number)
            return &g->calls[i];
    return NULL;
}

static void on_moved(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_move_call *call = user;
    struct qmp_guest *g = call->guest;

    (void)value;
    if (e && !call->failed.code)
        call->failed = *e;
    if (e)
        qmp_guest_command_failed(g, e);
    if (--call->left > 0)
        return;
    if (call->done)
        call->done(call->user, call->failed.code ? &call->failed : NULL);
}

/* A refinement of our own: nobody waits for it. */
static void on_refined(void *user, struct json_object *value, const struct err *e)
{
    (void)value;
    if (e)
        qmp_guest_command_failed(user, e);
}

static int send_balloon(struct qmp_guest *g, uint64_t bytes, struct qmp_move_call *call, struct err *e)
{
    char arguments[64];
    int r;

    (void)snprintf(arguments, sizeof(arguments), "{\"value\":%" PRIu64 "}", bytes);
    r = call ? qmp_client_call(g->client, "balloon", arguments, on_moved, call, e)
             : qmp_client_call(g->client, "balloon", arguments, on_refined, g, e);
    if (r < 0)
        return r;
    g->order.balloon_bytes = bytes;
    if (call)
        call->left++;
    return 0;
}

static int send_plug(struct qmp_guest *g, size_t i, uint64_t bytes, struct qmp_move_call *call, struct err *e)
{
    char arguments[QMP_PATH_SIZE + 96];
    int r;

    (void)snprintf(arguments, sizeof(arguments),
                   "{\"path\":\"%s\",\"property\":\"requested-size\",\"value\":%" PRIu64 "}", g->devices.plugs[i].path,
                   bytes);
    r = call ? qmp_client_call(g->client, "qom-set", arguments, on_moved, call, e)
             : qmp_client_call(g->client, "qom-set", arguments, on_refined, g, e);
    if (r < 0)
        return r;
    /* Commands are answered in order: every look at the levers asked for from now on sees this size. A look under way
     * may not, so it is dropped. */
    g->ours[i] = g->devices.plugs[i].requested_bytes = bytes;
    g->plug_ordered = g->plug_ordered || call;
    g->levers_failed = g->levers_due > 0;
    if (call)
        call->left++;
    return 0;
}

/* Sizes of all virtio-mem devices; one that has its size already is left alone. */
static int send_plugs(struct qmp_guest *g, uint64_t total_bytes, struct qmp_move_call *call, struct err *e)
{
    struct lever_device devices[QMP_PLUGS_MAX];
    uint64_t requested[QMP_PLUGS_MAX];
    int r;

    for (size_t i = 0; i < g->devices.plugs_n; i++) {
        const struct qmp_plug *plug = &g->devices.plugs[i];

        devices[i] = (struct lever_device){plug->requested_bytes, plug->most_bytes, plug->block_bytes};
        if (!plug->path[0]) /* can't be set: takes part with what it has */
            devices[i] = (struct lever_device){plug->size_bytes, plug->size_bytes, 0};
    }
    lever_spread(devices, g->devices.plugs_n, total_bytes, requested);
    for (size_t i = 0; i < g->devices.plugs_n; i++) {
        const struct qmp_plug *plug = &g->devices.plugs[i];

        if (!plug->path[0] || (requested[i] == plug->requested_bytes && requested[i] == plug->size_bytes))
            continue;
        r = send_plug(g, i, requested[i], call, e);
        if (r < 0)
            return r;
    }
    g->order.plug_bytes = total_bytes;
    return 0;
}

/* ---- while it moves ---- */

static bool has_arrived(const struct qmp_guest *g, const struct lever_state *s)
{
    uint64_t actual = s->balloon_actual_bytes, wanted = g->order.balloon_bytes;

    return (actual > wanted ? actual - wanted : wanted - actual) < PAGE_BYTES &&
           s->plugged_bytes == g->order.plug_bytes && s->online_bytes == s->plugged_bytes;
}

/* Plugged memory that the guest does not use is no memory given: it is taken back, and how to cure it is said. */
static void say_offline(struct qmp_guest *g, uint64_t now)
{
    uint64_t missing = g->online.plugged_bytes - g->online.online_bytes;

    g->plug_blocked_usec = now + PLUG_BLOCKED_USEC;
    qmp_guest_trouble(g, QMP_CAUSE_OFFLINE, EREMOTEIO,
                      "guest '%s' leaves %" PRIu64 " MiB of plugged memory offline: unplugged again; boot it with "
                      "memhp_default_state=online memory_hotplug.online_policy=auto-movable, or run ballast-agent in "
                      "it",
                      g->vm.name, missing >> 20);
    g->online.plugged_usec = 0; /* said */
}

static int on_poll(struct sd_event_source *s, uint64_t usec, void *user)
{
    struct qmp_guest *g = user;
    uint64_t now = qmp_guest_now(g);
    bool onlining = g->online.online_bytes < g->online.plugged_bytes;
    struct err e = {0};

    (void)usec;
    if (!qmp_guest_is_reachable(g) || !g->moving)
        return 0;
    /* A failure ends nothing: the deadline of the move does. */
    (void)qmp_guest_sample(g, HV_SAMPLE_LEVERS | (onlining ? HV_SAMPLE_VIEW : 0U), &e);
    if (now - g->ordered_usec > POLL_FOR_USEC) {
        g->moving = false;
        return 0;
    }
    (void)sd_event_source_set_time(s, now + POLL_USEC);
    (void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
    return 0;
}

static void start_polling(struct qmp_guest *g, uint64_t now)
{
    if (!g->poll && sd_event_add_time(qmp_guest_loop(g), &g->poll, CLOCK_MONOTONIC, now + POLL_USEC,
                                      /* accuracy= */ 1000, on_poll, g) < 0)
        return; /* no memory: the engine's own looks must do */
    (void)sd_event_source_set_time(g->poll, now + POLL_USEC);
    (void)sd_event_source_set_enabled(g->poll, SD_EVENT_ONESHOT);
}

void qmp_guest_move_on(struct qmp_guest *g)
{
    struct lever_state s = qmp_guest_lever_state(g);
    uint64_t now = qmp_guest_now(g), balloon_bytes;
    uint64_t last_moved = g->plug_moved_usec > g->ordered_usec ? g->plug_moved_usec : g->ordered_usec;
    struct err e = {0};

    if (online_is_missing(&g->online, s.block_bytes, ONLINE_PATIENCE_USEC, now)) {
        say_offline(g, now);
        (void)send_plugs(g, s.online_bytes, NULL, &e); /* a failure shows as plugged memory that stays */
    }
    if (!g->target_bytes)
        return;
    balloon_bytes = lever_refine(&s, g->target_bytes, g->order.plug_bytes, now - last_moved >= PLUG_PATIENCE_USEC);
    if (balloon_bytes > g->order.balloon_bytes + REFINE_BYTES || balloon_bytes + REFINE_BYTES < g->order.balloon_bytes)
        (void)send_balloon(g, balloon_bytes, NULL, &e); /* not sent: the next look tries again */
    if (has_arrived(g, &s)) {
        g->moving = false;
        g->target_bytes = 0;
    }
}

/* An order from before the agent was heard, or before its kernel ran out of room: what is not plugged yet stays out. */
void qmp_guest_limit_plug(struct qmp_guest *g)
{
    struct lever_state s = qmp_guest_lever_state(g);
    uint64_t requested = 0;
    struct err e = {0};

    for (size_t i = 0; i < g->devices.plugs_n; i++)
        requested += g->devices.plugs[i].requested_bytes;
    if (g->attached && g->plug_ordered && requested > s.pluggable_bytes && requested > s.plugged_bytes)
        (void)send_plugs(g, s.pluggable_bytes, NULL, &e); /* not sent: the next sample tries again */
}

/* Hot-added memory is gone with the reset, but what was asked for is plugged again while the guest boots, before anybody can
 * tell whether its kernel bears it. */
void qmp_guest_limit_boot(struct qmp_guest *g)
{
    for (size_t i = 0; i < g->devices.plugs_n; i++)
        g->devices.plugs[i].size_bytes = 0; /* the next look tells what it has plugged by then */
    qmp_guest_limit_plug(g);
}

void qmp_guest_stop_moving(struct qmp_guest *g)
{
    g->moving = false;
    g->target_bytes = 0;
    g->poll = sd_event_source_disable_unref(g->poll);
}

/* Returns with call->left > 0, or -errno: then done() does not come. */
static int send_order(struct qmp_guest *g, struct qmp_move_call *call, struct err *e)
{
    struct lever_state s = qmp_guest_lever_state(g);
    uint64_t now = qmp_guest_now(g);
    struct lever_order order;
    int r;

    if (g->plug_blocked_usec > now && s.pluggable_bytes > s.plugged_bytes)
        s.pluggable_bytes = s.plugged_bytes;
    lever_split(&s, call->target_bytes, &order);
    /* The engine withdraws an order that shows no movement before our own patience ends. */
    if (order.plug_bytes < s.plugged_bytes && online_is_missing(&g->online, s.block_bytes, ONLINE_PROOF_USEC, now))
        say_offline(g, now);
    /* Always sent, also unchanged: after deflate-on-oom took memory back, QEMU takes the same target as a new one. */
    r = s.has_balloon ? send_balloon(g, order.balloon_bytes, call, e) : 0;
    if (r == 0)
        r = send_plugs(g, order.plug_bytes, call, e);
    if (r < 0 && call->left == 0)
        return r;
    if (r < 0) /* half of it is on its way: its answer tells the failure */
        call->failed = *e;
    if (call->left == 0) { /* virtio-mem alone, and it has that size: something must bring the answer, from the loop */
        r = qmp_client_call(g->client, "query-status", NULL, on_moved, call, e);
        if (r < 0)
            return r;
        call->left = 1;
    }
    g->moving = true;
    g->target_bytes = call->target_bytes;
    g->ordered_usec = now;
    start_polling(g, now);
    return 0;
}

int qmp_guest_set_target(struct qmp_guest *g, uint64_t target_bytes, hv_done_fn *done, void *user, struct err *e)
{
    struct qmp_move_call *call = free_call(g);

    if (!qmp_guest_is_reachable(g))
        return err_set(e, ENOTCONN, "no connection to guest '%s'", g->vm.name);
    if (!(g->vm.caps & (HV_CAP_BALLOON | HV_CAP_PLUG)))
        return err_set(e, ENODEV, "guest '%s' has no balloon device and no virtio-mem", g->vm.name);
    if (!call)
        return err_set(e, EBUSY, "guest '%s': QEMU has not answered the last %d orders", g->vm.name, QMP_MOVES_MAX);
    *call = (struct qmp_move_call){.guest = g, .target_bytes = target_bytes, .done = done, .user = user};
    if (g->attached)
        return send_order(g, call, e);
    call->number = ++g->share.orders;
    call->since_usec = qmp_guest_now(g);
    qmp_share_want(g, 0);
    return 0;
}

void qmp_guest_send_waiting(struct qmp_guest *g)
{
    uint64_t newest = g->share.orders;
    struct err e = {0};

    for (size_t i = 0; i < QMP_MOVES_MAX; i++) {
        struct qmp_move_call *call = &g->calls[i];
        uint64_t number = call->number;

        if (!number)
            continue;
        call->number = 0;
        if (number == newest && send_order(g, call, &e) == 0)
            continue;
        if (number != newest)
            (void)err_set(&e, ECANCELED, "a newer order for guest '%s' replaced it", g->vm.name);
        if (call->done)
            call->done(call->user, &e);
    }
}
