/* SPDX-License-Identifier: Apache-2.0 */
#include "notify_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "notify_rule.h"
#include "units.h"
#include "wire_field.h"

struct watched {
    enum notify_event event;
    char guest[NOTIFY_NAME_SIZE]; /* "": the host */
    struct notify_cause cause;
};

struct notify_watch {
    notify_send_fn *send;
    void *user;
    struct notify_times times[NOTIFY_EVENT_COUNT];
    uint64_t lost; /* causes there was no room for, since the last message */
    size_t count;
    struct watched causes[NOTIFY_CAUSES_MAX]; /* in no order */
};

int notify_watch_new(notify_send_fn *send, void *user, struct notify_watch **ret, struct err *e)
{
    struct notify_watch *w = calloc(1, sizeof(*w));

    if (!w)
        return err_set(e, ENOMEM, "no memory to watch for what is worth a message");
    w->send = send;
    w->user = user;
    *ret = w;
    return 0;
}

struct notify_watch *notify_watch_free(struct notify_watch *w)
{
    free(w);
    return NULL;
}

void notify_watch_configure(struct notify_watch *w, uint64_t interval_usec, uint64_t stuck_after_usec)
{
    for (unsigned i = 0; i < NOTIFY_EVENT_COUNT; i++)
        w->times[i] = (struct notify_times){.after_usec = i == NOTIFY_STUCK ? stuck_after_usec : 0,
                                            .interval_usec = interval_usec};
}

/* A cause at this level; one that is fine and unknown is not remembered. */
static void see(struct notify_watch *w, enum notify_event event, const char *guest, unsigned level, uint64_t now_usec)
{
    struct watched *c = w->causes;

    while (c < w->causes + w->count && (c->event != event || strcmp(c->guest, guest) != 0))
        c++;
    if (c == w->causes + w->count) {
        if (level == 0)
            return;
        if (w->count == NOTIFY_CAUSES_MAX) {
            w->lost++;
            return;
        }
        w->count++;
        *c = (struct watched){.event = event};
        wire_text_copy(c->guest, sizeof(c->guest), guest);
    }
    notify_cause_see(&c->cause, level, now_usec);
}

void notify_watch_flags(struct notify_watch *w, const struct engine_guest *g, uint64_t now_usec)
{
    uint32_t flags = g->core.verdict.flags;

    see(w, NOTIFY_BREACH, g->vm->name, (flags & GUEST_FLAG_BREACH) != 0, now_usec);
    see(w, NOTIFY_STUCK, g->vm->name, (flags & GUEST_FLAG_STUCK) != 0, now_usec);
}

void notify_watch_gone(struct notify_watch *w, const char *guest, uint64_t now_usec)
{
    see(w, NOTIFY_BREACH, guest, 0, now_usec);
    see(w, NOTIFY_STUCK, guest, 0, now_usec);
}

void notify_watch_host(struct notify_watch *w, const struct host *host, uint64_t now_usec)
{
    see(w, NOTIFY_HOST, "", host->state == HOST_LOW ? 2 : host->state == HOST_HARD, now_usec);
}

/* ---- messages ---- */

static void write_host(const struct host *host, unsigned level, struct notify_message *m)
{
    static const char *const states[HOST_STATE_COUNT] = {"high", "soft", "hard", "low"};
    static const char *const hints[] = {
        "", "; it takes more from guests than it likes to: look for what takes memory, or move a guest away",
        "; guests get nothing more until others gave: stop or move a guest, or end what takes memory"};
    const char *state = states[host->state];

    wire_text_copy(m->state, sizeof(m->state), state);
    (void)snprintf(m->text, sizeof(m->text), "memory of the host is %s%s: %s of its reserve of %s are free%s",
                   level == 0 ? "better, " : "", state, units_show_signed_kib(host->free_kib).s,
                   units_show_kib(host->config.reserve_kib).s, hints[level]);
}

static void write_guest(const struct watched *c, const struct engine_guest *g, uint64_t now_usec,
                        struct notify_message *m)
{
    struct units_text assigned = units_show_kib(g ? guest_assigned_kib(&g->core) : 0);
    struct units_text held = units_show_kib(g ? g->core.verdict.held_kib : 0);

    wire_text_copy(m->state, sizeof(m->state), c->cause.level ? "begin" : "end");
    if (!g)
        (void)snprintf(m->text, sizeof(m->text), "guest '%s' is gone, and with it what was said of it", c->guest);
    else if (!c->cause.level)
        (void)snprintf(m->text, sizeof(m->text), "guest '%s' %s (assigned %s, held %s)", c->guest,
                       c->event == NOTIFY_STUCK ? "moves again" : "holds what it says again", assigned.s, held.s);
    else if (c->event == NOTIFY_STUCK)
        (void)snprintf(m->text, sizeof(m->text), "guest '%s' has not moved to the size it was told for %s, and keeps %s: "
                       "look at its balloon driver; 'ballast show %s' says more", c->guest,
                       units_show_time(now_usec - c->cause.bad_usec).s, assigned.s, c->guest);
    else
        (void)snprintf(m->text, sizeof(m->text), "guest '%s' holds %s, more than the %s it was given; what it holds is "
                       "counted. It may be hostile, or its balloon driver broken; 'ballast show %s' says more",
                       c->guest, held.s, assigned.s, c->guest);
    if (g) {
        m->assigned_bytes = guest_assigned_kib(&g->core) * 1024;
        m->held_bytes = g->core.verdict.held_kib * 1024;
    }
}

/* False: not taken now; it is tried again with the next tick, which may find that it is over. */
static bool tell(struct notify_watch *w, struct watched *c, const struct engine *engine, uint64_t now_usec)
{
    const struct host *host = engine_host(engine);
    struct notify_message m = {
        .event = c->event,
        .severity = c->cause.level == 0   ? NOTIFY_OK
                    : c->cause.level == 1 ? NOTIFY_WARNING
                                          : NOTIFY_CRITICAL,
        .since_ms = (now_usec - c->cause.since_usec) / 1000,
        .changes = c->cause.changes ? c->cause.changes - 1 : 0,
        .dropped = w->lost,
        .assigned_bytes = WIRE_UNKNOWN,
        .held_bytes = WIRE_UNKNOWN,
        .free_bytes = host->free_kib * 1024,
        .reserve_bytes = host->config.reserve_kib * 1024,
    };

    wire_text_copy(m.guest, sizeof(m.guest), c->guest);
    if (c->event == NOTIFY_HOST)
        write_host(host, c->cause.level, &m);
    else
        write_guest(c, engine_find(engine, c->guest), now_usec, &m);
    if (!w->send(w->user, &m))
        return false;
    w->lost = 0;
    return true;
}

void notify_watch_tick(struct notify_watch *w, const struct engine *engine, uint64_t now_usec)
{
    for (size_t i = 0; i < w->count;) {
        struct watched *c = &w->causes[i];
        const struct notify_times *times = &w->times[c->event];

        if (notify_cause_is_due(&c->cause, times, now_usec) && tell(w, c, engine, now_usec))
            notify_cause_tell(&c->cause, now_usec);
        if (notify_cause_is_over(&c->cause, times, now_usec))
            w->causes[i] = w->causes[--w->count];
        else
            i++;
    }
}
