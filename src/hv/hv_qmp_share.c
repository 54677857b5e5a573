/* SPDX-License-Identifier: Apache-2.0 */
#include "hv_qmp_guest.h"

#include <errno.h>
#include <string.h>

#include <systemd/sd-event.h>

#include "agent_link.h"
#include "qmp_message.h"

/* A monitor that others use, too (`access: share`). QEMU serves one client and lets all others wait without a word, so
 * ours is there for one batch of commands at a time: connect, greeting, capabilities, the batch, close. What QEMU tells
 * meanwhile is missed; each batch looks for it (docs/drivers.md, "A shared monitor"). */

/* Two connections nobody waits for are this far apart at least: the engine looks every 50 ms at what moves. */
#define SHARE_SPACING_USEC 200000ULL

/* A queued client gets the monitor the moment the other leaves, and one that leaves the queue keeps its place there as
 * a dead one until QEMU looks at it; the queue is short. So it waits long, but not for ever. */
#define SHARE_QUEUE_USEC 10000000ULL

/* An order that QEMU could not be told within this is given up (the deadline of a command, docs/design.md 10). */
#define SHARE_ORDER_USEC QMP_CLIENT_DEADLINE_USEC

/* A known guest whose monitor could not be had is tried again this soon at the latest: the pace of the engine. */
#define SHARE_RETRY_MAX_USEC 1000000ULL

/* Statistics that do not come for this long, while the guest touches more than it has: it boots. */
#define SHARE_STALE_USEC 2500000ULL
#define SHARE_EXCESS_BYTES (16ULL << 20) /* the dead zone of small guests */

static bool has_orders(const struct qmp_guest *g)
{
    for (size_t i = 0; i < QMP_MOVES_MAX; i++)
        if (g->calls[i].number)
            return true;
    return false;
}

static bool wants_monitor(const struct qmp_guest *g)
{
    return !g->known || g->share.wanted || has_orders(g);
}

/* Connected, or about to be. */
static bool has_monitor(const struct qmp_guest *g)
{
    return g->share.queued || (g->client && qmp_client_is_ready(g->client));
}

/* When to connect: at once for an order. */
static uint64_t due_usec(const struct qmp_guest *g)
{
    return has_orders(g) && g->share.retry_usec == 0 ? 0 : g->share.next_usec;
}

static void arm(struct qmp_guest *g)
{
    uint64_t next = UINT64_MAX;

    if (wants_monitor(g) && !has_monitor(g))
        next = due_usec(g);
    if (g->share.since_usec && !(g->told & 1U << QMP_CAUSE_BUSY) && g->share.since_usec + g->share.said_usec < next)
        next = g->share.since_usec + g->share.said_usec;
    for (size_t i = 0; i < QMP_MOVES_MAX; i++)
        if (g->calls[i].number && g->calls[i].since_usec + SHARE_ORDER_USEC < next)
            next = g->calls[i].since_usec + SHARE_ORDER_USEC;
    if (next == UINT64_MAX) {
        (void)sd_event_source_set_enabled(g->share.timer, SD_EVENT_OFF);
        return;
    }
    (void)sd_event_source_set_time(g->share.timer, next); /* fails only after a fork */
    (void)sd_event_source_set_enabled(g->share.timer, SD_EVENT_ONESHOT);
}

static void say_held(struct qmp_guest *g, uint64_t now)
{
    if (qmp_guest_say_stopped(g))
        return;
    qmp_guest_trouble(g, QMP_CAUSE_BUSY, EBUSY,
                      "monitor of '%s' is held by another client since %llu s (QEMU serves one at a time), so its memory "
                      "stays as it is; give ballast a monitor of its own: -qmp unix:/run/ballast/guests/%s.qmp,server=on,"
                      "wait=off",
                      g->vm.name, (unsigned long long)((now - g->share.since_usec) / 1000000), g->vm.name);
}

static void cancel_order(struct qmp_move_call *call, const char *why)
{
    struct err e = {0};

    (void)err_set(&e, ECANCELED, "the order for guest '%s' was not sent: %s", call->guest->vm.name, why);
    call->number = 0;
    if (call->done)
        call->done(call->user, &e);
}

/* Not sent in time: the guest shows as one that does not move, and why is said by say_held(), once. */
static void expire_orders(struct qmp_guest *g, uint64_t now)
{
    for (size_t i = 0; i < QMP_MOVES_MAX; i++)
        if (g->calls[i].number && now >= g->calls[i].since_usec + SHARE_ORDER_USEC)
            cancel_order(&g->calls[i], "its monitor is held by another client");
}

static int on_timer(struct sd_event_source *s, uint64_t usec, void *user)
{
    struct qmp_guest *g = user;
    uint64_t now = qmp_guest_now(g);

    (void)s;
    (void)usec;
    if (!g->client)
        return 0; /* it could not be made; that was said */
    expire_orders(g, now);
    if (wants_monitor(g) && !has_monitor(g) && now >= due_usec(g)) {
        g->share.queued = true;
        if (!g->share.since_usec)
            g->share.since_usec = now;
        qmp_client_hurry(g->client);
    }
    if (g->share.since_usec && now - g->share.since_usec >= g->share.said_usec)
        say_held(g, now);
    arm(g);
    return 0;
}

int qmp_share_start(struct qmp_guest *g, struct qmp_client_config *config, struct err *e)
{
    int r;

    if (!g->share.timer) {
        r = sd_event_add_time(qmp_guest_loop(g), &g->share.timer, CLOCK_MONOTONIC, 0, /* accuracy= */ 1000, on_timer, g);
        if (r < 0)
            return err_set(e, -r, "no timer for the monitor of guest '%s': %s", g->vm.name, strerror(-r));
    }
    config->on_demand = true;
    config->greeting_usec = SHARE_QUEUE_USEC;
    return 0;
}

void qmp_share_stop(struct qmp_guest *g)
{
    for (size_t i = 0; i < QMP_MOVES_MAX; i++)
        if (g->calls[i].number)
            cancel_order(&g->calls[i], "the guest is gone");
    g->share.wanted = 0;
    g->share.reset_told = false;
    g->share.fresh_usec = 0;
}

void qmp_share_want(struct qmp_guest *g, uint32_t what)
{
    g->share.wanted |= what;
    arm(g);
}

/* ---- one batch ---- */

static void on_status(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_guest *g = user;
    const struct hv_listener *l = qmp_guest_listener(g);
    const char *status = "";
    struct err inner = {0};

    if (e || !g->known || qmp_answer_running(value, &g->running, &inner) < 0)
        return; /* a silent QEMU is told by the commands beside it */
    (void)qmp_get_string(value, "status", &status);
    if (g->running != g->told_paused)
        return;
    g->told_paused = !g->running;
    agent_link_see_break(g->agent, /* paused= */ !g->running);
    l->happened(l->user, &g->vm,
                g->running                                ? HV_HAPPENED_RESUMED
                : strcmp(status, "shutdown") == 0         ? HV_HAPPENED_SHUTDOWN
                : strcmp(status, "guest-panicked") == 0   ? HV_HAPPENED_PANIC
                                                          : HV_HAPPENED_PAUSED,
                qmp_guest_now(g));
}

void qmp_share_ready(struct qmp_guest *g)
{
    const struct hv_listener *l = qmp_guest_listener(g);

    g->share.since_usec = g->share.retry_usec = 0;
    g->share.queued = false;
    if (g->known && g->told & 1U << QMP_CAUSE_BUSY)
        l->trouble(l->user, &g->vm, &(struct err){0}); /* over */
    g->told &= ~(1U << QMP_CAUSE_BUSY);                /* the next time is news */
    arm(g);
}

void qmp_share_batch(struct qmp_guest *g)
{
    uint32_t what = g->share.wanted | HV_SAMPLE_LEVERS;
    struct err e = {0};

    g->attached = true;
    g->losses = 0;
    g->share.wanted = 0;
    /* What can't be asked now shows as silence, and is asked again with the next batch. */
    (void)qmp_client_call(g->client, "query-status", NULL, on_status, g, &e);
    qmp_guest_send_waiting(g);
    (void)qmp_guest_sample(g, what, &e);
    arm(g);
}

void qmp_share_idle(struct qmp_guest *g)
{
    g->attached = false;
    g->share.next_usec = qmp_guest_now(g) + SHARE_SPACING_USEC;
    qmp_client_drop(g->client);
    arm(g);
}

void qmp_share_lost(struct qmp_guest *g)
{
    uint64_t most = g->known ? SHARE_RETRY_MAX_USEC : QMP_CLIENT_BACKOFF_MAX_USEC;
    uint64_t wait = g->share.retry_usec ? g->share.retry_usec * 2 : QMP_CLIENT_BACKOFF_MIN_USEC;

    g->attached = g->share.queued = false;
    g->probing = 0;
    g->share.retry_usec = wait < most ? wait : most;
    g->share.next_usec = qmp_guest_now(g) + g->share.retry_usec;
    arm(g);
}

/* ---- what a poll can see of a reset ---- */

static void tell_reset(struct qmp_guest *g)
{
    g->share.reset_told = true;
    qmp_guest_see_reset(g);
}

void qmp_share_see_statistics(struct qmp_guest *g, const struct qmp_statistics *s)
{
    const struct qmp_statistics *old = &g->statistics;

    if (g->share.on && s->minor_faults != OBS_UNSET && old->minor_faults != OBS_UNSET &&
        s->minor_faults < old->minor_faults && !g->share.reset_told)
        tell_reset(g); /* each process has some, so its kernel counts from the start again */
    g->share.reset_told = false;
    g->share.fresh_usec = qmp_guest_now(g);
}

void qmp_share_see_plugged(struct qmp_guest *g, const struct qmp_memory_devices *d)
{
    uint64_t before = 0, plugged = 0, requested = 0;

    for (size_t i = 0; i < d->plugs_n; i++) {
        before += g->devices.plugs[i].size_bytes;
        plugged += d->plugs[i].size_bytes;
        requested += d->plugs[i].requested_bytes;
    }
    if (g->share.on && before > 0 && plugged == 0 && requested > 0)
        tell_reset(g); /* no guest unplugs what it is to have */
}

void qmp_share_see_host(struct qmp_guest *g)
{
    struct lever_state s = qmp_guest_lever_state(g);
    uint64_t now = qmp_guest_now(g);

    if (!g->running || agent_link_is_heard(g->agent))
        g->share.fresh_usec = now; /* no statistics are asked for, or come */
    if (!g->share.on || !g->share.fresh_usec || g->share.reset_told || now - g->share.fresh_usec < SHARE_STALE_USEC)
        return;
    if (g->smaps.all_found &&
        g->smaps.resident_bytes + g->smaps.swapped_bytes > s.balloon_actual_bytes + s.plugged_bytes + SHARE_EXCESS_BYTES)
        tell_reset(g);
}
