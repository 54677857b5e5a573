/* SPDX-License-Identifier: Apache-2.0 */
#include <systemd/sd-event.h>

#include "daemon_private.h"
#include "host.h"
#include "log.h"

/* What the engine asks of the daemon and tells it. */

static void daemon_on_configure(void *user, const struct hv_vm *vm, struct guest_config *ret_config)
{
    struct daemon *d = user;

    operate_configure(d->operate, vm->name, ret_config);
}

static bool daemon_on_remember(void *user, const struct hv_vm *vm, struct learned *ret_learned)
{
    struct daemon *d = user;

    return d->journal && journal_find(d->journal, vm, ret_learned);
}

static enum guest_hold daemon_on_hold(void *user, const struct hv_vm *vm)
{
    struct daemon *d = user;

    return operate_hold(d->operate, vm->name);
}

static void daemon_on_reserved(void *user, const struct reserve *r)
{
    struct daemon *d = user;

    operate_reserved(d->operate, r);
}

static int daemon_on_read_host(void *user, struct obs_host *ret_seen, struct err *e)
{
    (void)user;
    return host_read(&host_paths_default, daemon_now_usec(), ret_seen, e);
}

static void daemon_on_wake(void *user)
{
    struct daemon *d = user;

    if (d->is_stopping)
        return; /* the loop is over: drivers tell of their guests while they close */
    if (sd_event_source_set_time(d->timer, 0) < 0 || sd_event_source_set_enabled(d->timer, SD_EVENT_ONESHOT) < 0)
        log_error("cannot set the timer: decisions are late by up to a second");
}

static void daemon_on_ordered(void *user, const struct engine_guest *g)
{
    struct daemon *d = user;

    history_ordered(d->history, engine_guest_slot(d->engine, g), &g->core, daemon_now_usec());
    why_ordered(&d->why, d->engine, g, daemon_now_usec());
    tell_order(&d->tell, g, engine_host(d->engine));
}

static void daemon_on_decided(void *user, enum decide_why why, uint64_t now_usec)
{
    struct daemon *d = user;

    why_decided(&d->why, d->engine, now_usec);
    recorder_decided(d->recorder, why, now_usec);
}

static void daemon_on_input(void *user, const struct engine_guest *g, const struct input *in)
{
    struct daemon *d = user;

    recorder_input(d->recorder, g, in);
}

static void daemon_on_appeared(void *user, const struct engine_guest *g)
{
    struct daemon *d = user;

    history_appeared(d->history, engine_guest_slot(d->engine, g));
    tell_appeared(&d->tell, g);
    if (!d->is_stopping)
        backup_see_appeared(d->backup, g->vm);
}

static void daemon_on_vanished(void *user, const struct engine_guest *g, const char *reason)
{
    struct daemon *d = user;

    history_vanished(d->history, engine_guest_slot(d->engine, g));
    recorder_vanished(d->recorder, g);
    if (d->is_stopping)
        return;
    tell_vanished(&d->tell, g, reason);
    notify_watch_gone(d->watch, g->vm->name, daemon_now_usec());
}

static void daemon_on_happened(void *user, const struct engine_guest *g, enum hv_happening what)
{
    struct daemon *d = user;

    tell_happened(&d->tell, g, what);
}

static void daemon_on_flags(void *user, const struct engine_guest *g, uint32_t before)
{
    struct daemon *d = user;

    tell_flags(&d->tell, g, before);
    notify_watch_flags(d->watch, g, daemon_now_usec());
}

static void daemon_on_trouble(void *user, const struct engine_guest *g, const struct err *e)
{
    struct daemon *d = user;

    if (!g)
        status_warn(&d->status, e->text);
    tell_trouble(&d->tell, g, e);
}

static void daemon_on_host_state(void *user, enum host_state before, const struct host *host)
{
    struct daemon *d = user;

    tell_host_state(&d->tell, before, host);
    notify_watch_host(d->watch, host, daemon_now_usec());
}

struct engine_config daemon_engine_config(const struct daemon *d, const struct config *config)
{
    return (struct engine_config){.host = config->host, .dry_run = d->options.dry_run};
}

int daemon_open_engine(struct daemon *d, struct err *e)
{
    struct engine_config config = daemon_engine_config(d, d->config);
    const struct engine_env env = {
        .configure = daemon_on_configure,
        .remember = daemon_on_remember,
        .hold = daemon_on_hold,
        .reserved = daemon_on_reserved,
        .read_host = daemon_on_read_host,
        .wake = daemon_on_wake,
        .ordered = daemon_on_ordered,
        .decided = daemon_on_decided,
        .input = daemon_on_input,
        .appeared = daemon_on_appeared,
        .vanished = daemon_on_vanished,
        .happened = daemon_on_happened,
        .flags_changed = daemon_on_flags,
        .trouble = daemon_on_trouble,
        .host_state_changed = daemon_on_host_state,
        .user = d,
    };
    int r = why_init(&d->why, ENGINE_GUESTS_MAX, d->options.dry_run, e);

    d->status.why = &d->why;
    if (r >= 0)
        r = engine_new(&config, &env, ENGINE_GUESTS_MAX, &d->engine, e);
    if (r < 0)
        return r;
    const struct recorder_env recorded = {.engine = d->engine, .config_hash = &d->status.config_hash,
                                          .host_name = d->host_name, .guests_max = ENGINE_GUESTS_MAX};
    return recorder_new(&recorded, &d->recorder, e);
}
