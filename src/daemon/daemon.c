/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "api_body.h"
#include "api_peer.h"
#include "daemon_private.h"
#include "discovery.h"
#include "host.h"
#include "log.h"
#include "own.h"
#include "record_api.h"

#define DAEMON_TIMER_ACCURACY_USEC 1000ULL       /* sd-event's own default is 250 ms */
#define DAEMON_SYSTEMD_USEC (10 * 1000000ULL)    /* the line that `systemctl status` shows */

uint64_t daemon_now_usec(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- configuration and drivers ---- */

/* Reads it as the options say; warnings are told. */
static int daemon_load(const struct daemon *d, struct config **ret, struct err *e)
{
    struct obs_host host = {0};
    struct err ignored = {0};
    int r;

    (void)host_read(&host_paths_default, 0, &host, &ignored); /* unknown (0): nothing is checked against it */
    r = config_load(d->options.config_given ? d->options.config_path : NULL, host.total_bytes, ret, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < (*ret)->warnings.count; i++)
        log_warning("%s", (*ret)->warnings.items[i].text);
    return 0;
}

/* What the status says of the configuration that holds now. */
static void daemon_status_config(struct daemon *d)
{
    d->status.config_file = d->config->is_file ? d->config->path : NULL;
    d->status.config_hash = d->config->hash;
    d->status.guests_dir = d->config->qmp_directory_count ? discovery_directory(d->config, d->guests_dir, 0) : NULL;
}

/* So that QEMU can put its socket there. Only the place that is ours: what a configuration names is its writer's. */
static void daemon_make_guests_dir(struct daemon *d)
{
    struct err e = {0};

    if (!d->config->is_discovery_default || mkdir(d->guests_dir, 0750) == 0 || errno == EEXIST)
        return;
    (void)err_set(&e, errno, "cannot make the directory '%s' for the guests' monitors: %s", d->guests_dir,
                  strerror(errno));
    log_warning("%s", e.text);
    status_warn(&d->status, e.text);
}

/* Without messages all the rest works as well. */
static void daemon_configure_notify(struct daemon *d)
{
    const struct config_notify *c = &d->config->notify;
    struct err e = {0};

    notify_watch_configure(d->watch, c->interval_usec, c->stuck_after_usec);
    if (notify_configure(d->notify, c->command, c->timeout_usec, &e) >= 0)
        return;
    log_error("nobody is told of anything by the notify command: %s", e.text);
    status_warn(&d->status, e.text);
}

static int daemon_open_notify(struct daemon *d, struct err *e)
{
    int r;

    if (gethostname(d->host_name, sizeof(d->host_name) - 1) < 0)
        (void)strcpy(d->host_name, "localhost");
    r = notify_new(d->host_name, &d->notify, e);
    if (r >= 0)
        r = notify_watch_new(notify_offer, d->notify, &d->watch, e);
    if (r < 0)
        return r;
    d->status.notify = d->notify;
    return 0;
}

static int daemon_open_driver(struct daemon *d, const struct config *config, struct hv **ret, struct err *e)
{
    return discovery_open(config, d->guests_dir, d->loop, engine_listener(d->engine), ret, e);
}

/* A monitor takes one client at a time: the old driver must go before the new one can come. */
static int daemon_swap_driver(struct daemon *d, const struct config *config, struct err *e)
{
    struct err again = {0};
    int r;

    d->qmp = hv_close(d->qmp);
    r = daemon_open_driver(d, config, &d->qmp, e);
    if (r < 0 && daemon_open_driver(d, d->config, &d->qmp, &again) < 0)
        log_error("guests are not managed until the configuration is put right: %s", again.text);
    return r;
}

/* Groups that are named are meant to exist; the default ones need not. */
static void daemon_warn_groups(const struct config *config)
{
    const char *const names[] = {config->view_group, config->operate_group};
    struct api_group group;

    for (size_t i = 0; config->groups_are_named && i < sizeof(names) / sizeof(names[0]); i++) {
        api_group_find(names[i], &group);
        if (!group.exists)
            log_warning("the host has no group '%s', so nobody gets in by it: groupadd -r %s, then reload", names[i], names[i]);
    }
}

/* Who may ask, by another configuration; where nothing changes no directory service is asked. */
static int daemon_set_groups(struct daemon *d, const struct config *before, const struct config *after, struct err *e)
{
    if (geteuid() != 0 || (strcmp(before->view_group, after->view_group) == 0 &&
                           strcmp(before->operate_group, after->operate_group) == 0 && !after->groups_are_named))
        return 0;
    daemon_warn_groups(after);
    return api_set_groups(d->api, after->view_group, after->operate_group, e);
}

/* All or nothing: with anything wrong in it, the configuration that runs is kept. */
static int daemon_reload(struct daemon *d, struct err *e)
{
    AUTO(config) struct config *fresh = NULL;
    struct engine_config engine_config;
    int r = daemon_load(d, &fresh, e);

    if (r < 0)
        return r;
    r = daemon_set_groups(d, d->config, fresh, e);
    if (r < 0)
        return r;
    if (!discovery_is_same(d->config, fresh)) {
        struct err ignored = {0}; /* they were right before */
        r = daemon_swap_driver(d, fresh, e);
        if (r < 0) {
            (void)daemon_set_groups(d, fresh, d->config, &ignored);
            return r;
        }
    }
    struct config *old = d->config;
    d->config = TAKE(fresh);
    fresh = old; /* freed below, after the engine has asked anew */
    daemon_status_config(d);
    daemon_configure_notify(d);
    backup_configure(d->backup, d->config);
    backup_auto_configure(d->schedules, d->config);
    engine_config = daemon_engine_config(d, d->config);
    operate_reload(d->operate);
    engine_reconfigure(d->engine, &engine_config, daemon_now_usec());
    return 0;
}

/* ---- operators ---- */

static void daemon_on_operated(void *user)
{
    struct daemon *d = user;
    struct engine_config config = daemon_engine_config(d, d->config);

    engine_reconfigure(d->engine, &config, daemon_now_usec());
}

static bool daemon_take_back(void *user, const char *guest)
{
    struct daemon *d = user;

    return engine_take_back(d->engine, guest, daemon_now_usec());
}

static void daemon_hold_text(void *user, const char *guest, char *to, size_t size)
{
    operate_hold_text(user, guest, to, size);
}

static void daemon_set_text(void *user, const char *guest, char *to, size_t size)
{
    operate_last_text(user, guest, to, size);
}

static const char *daemon_moves(void *user, char *to, size_t size)
{
    return operate_moves(user, to, size);
}

static const struct config *daemon_config(void *user)
{
    return ((struct daemon *)user)->config;
}

static void daemon_on_verified(struct daemon *d, const struct api_request *rq, struct api_reply *ret)
{
    if (!api_body_read(rq, NULL, 0, NULL, NULL, ret))
        return;
    backup_auto_verified(d->schedules);
    wire_text_adds(&ret->body, "{}\n");
}

static void daemon_on_operation(void *user, enum api_operation what, const struct api_request *rq, struct api_reply *ret)
{
    struct daemon *d = user;

    if (what == API_OPERATION_ATTACH || what == API_OPERATION_ATTACH_STATE)
        attach_request(d->attach, what, rq, ret);
    else if (what == API_OPERATION_DISK_ADD || what == API_OPERATION_DISK_REMOVE || what == API_OPERATION_DISK_STATE)
        guest_disks_request(d->disks, what, rq, ret);
    else if (what == API_OPERATION_BACKUP || what == API_OPERATION_BACKUP_RUN || what == API_OPERATION_BACKUP_CANCEL)
        backup_request(d->backup, what, rq, ret);
    else if (what == API_OPERATION_EXPOSE || what == API_OPERATION_EXPOSE_RENEW || what == API_OPERATION_EXPOSE_RELEASE)
        backup_expose_request(d->backup, what, rq, ret);
    else if (what == API_OPERATION_BACKUP_VERIFIED)
        daemon_on_verified(d, rq, ret);
    else if (what == API_OPERATION_RECORD || what == API_OPERATION_RECORD_READ || what == API_OPERATION_RECORD_STOP)
        record_request(d->recorder, what, daemon_now_usec(), rq, ret);
    else
        operate_request(d->operate, what, rq, ret);
}

/* Without a directory to write in operators are obeyed as well, for as long as this ballastd runs. */
static int daemon_open_operate(struct daemon *d, struct err *e)
{
    struct operate_env env = {.engine = d->engine, .now_usec = daemon_now_usec, .dry_run = d->options.dry_run,
                              .state_dir = d->options.state_dir, .unkept = d->unkept.text, .config = daemon_config,
                              .notify = d->notify, .changed = daemon_on_operated,
                              .take_back = daemon_take_back, .user = d};
    int r;

    if (keeper_open(d->options.state_dir, &d->keeper, &d->unkept) < 0)
        log_warning("what operators ask for is not kept over a restart: %s", d->unkept.text);
    env.keeper = d->keeper;
    r = operate_new(&env, &d->operate, e);
    if (r >= 0)
        r = attach_new(d->engine, &d->attach, e);
    if (r >= 0)
        r = guest_disks_new(d->loop, d->engine, &d->disks, e);
    if (r < 0)
        return r;
    d->status.hold_text = daemon_hold_text;
    d->status.set_text = daemon_set_text;
    d->status.moves = daemon_moves;
    d->status.operate_user = d->operate;
    return 0;
}

/* ---- the loop ---- */

static void daemon_tell_systemd(struct daemon *d, uint64_t now_usec)
{
    static const char *const states[HOST_STATE_COUNT] = {"high", "soft", "hard", "low"};
    const struct host *host = engine_host(d->engine);

    if (now_usec < d->systemd_usec + DAEMON_SYSTEMD_USEC)
        return;
    d->systemd_usec = now_usec;
    (void)sd_notifyf(0, "STATUS=%zu guests hold %llu MiB of %llu MiB; host memory is %s", engine_count(d->engine),
                     (unsigned long long)(host->held_kib / 1024), (unsigned long long)(host->memory_kib / 1024),
                     states[host->state]); /* for people only: its failure changes nothing */
}

static int daemon_on_timer(sd_event_source *source, uint64_t usec, void *user)
{
    struct daemon *d = user;
    uint64_t now = daemon_now_usec();
    int r;

    (void)usec;
    r = sd_event_source_set_time(source, engine_run(d->engine, now));
    if (r < 0)
        return r;
    history_tick(d->history, d->engine, now);
    daemon_tell_systemd(d, now);
    notify_watch_tick(d->watch, d->engine, now);
    if (d->journal)
        journal_save(d->journal, d->engine, now, /* at_once= */ false);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int daemon_on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *user)
{
    struct daemon *d = user;

    (void)info;
    log_info("stopping; guests keep what they have");
    (void)sd_notify(0, "STOPPING=1");
    d->is_stopping = true;
    return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int daemon_on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *user)
{
    struct daemon *d = user;
    struct err e = {0};

    (void)source;
    (void)info;
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)daemon_now_usec());
    if (daemon_reload(d, &e) < 0) {
        log_error("the configuration is not taken over, the one before still holds: %s", e.text);
        status_warn(&d->status, e.text);
    } else {
        log_info("the configuration was read again and holds from now on");
    }
    (void)sd_notify(0, "READY=1");
    return 0;
}

static int daemon_open_loop(struct daemon *d, struct err *e)
{
    static const struct {
        int signal;
        sd_event_signal_handler_t handler;
    } signals[] = {{SIGTERM, daemon_on_stop}, {SIGINT, daemon_on_stop}, {SIGHUP, daemon_on_hangup}};
    sigset_t mask;
    int r;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        (void)sigaddset(&mask, signals[i].signal);
    (void)sigprocmask(SIG_BLOCK, &mask, NULL);

    r = sd_event_new(&d->loop);
    for (size_t i = 0; r >= 0 && i < sizeof(signals) / sizeof(signals[0]); i++)
        r = sd_event_add_signal(d->loop, &d->signals[i], signals[i].signal, signals[i].handler, d);
    if (r >= 0)
        r = sd_event_add_time(d->loop, &d->timer, CLOCK_MONOTONIC, 0, DAEMON_TIMER_ACCURACY_USEC, daemon_on_timer, d);
    if (r >= 0)
        r = sd_event_set_watchdog(d->loop, true);
    if (r < 0)
        return err_set(e, -r, "cannot set up the event loop: %s", strerror(-r));
    return 0;
}

static void daemon_configured(const void *user, const char *name, const char **ret_entry, const char **ret_owner)
{
    const struct daemon *d = user;

    *ret_entry = config_guest_entry(d->config, name);
    *ret_owner = config_guest_owner(d->config, name);
}

static void daemon_on_backup_ended(void *user, const char *guest, const char *identity, const char *failed)
{
    struct daemon *d = user;

    backup_auto_ended(d->schedules, guest, identity, failed);
}

static void daemon_on_hook_failed(void *user, const char *guest, const char *text)
{
    struct daemon *d = user;

    status_warn(&d->status, text);
    backup_auto_tell(d->schedules, NOTIFY_BACKUP_HOOK, NOTIFY_WARNING, guest, text);
}

static void daemon_print_schedules(void *user, struct wire_text *t)
{
    backup_auto_print(((struct daemon *)user)->schedules, t);
}

static int daemon_open_backup(struct daemon *d, struct err *e)
{
    const struct backup_env env = {.loop = d->loop, .runtime_dir = d->options.runtime_dir,
                                   .state_dir = d->options.state_dir, .engine = d->engine,
                                   .ended = daemon_on_backup_ended, .hook_failed = daemon_on_hook_failed, .print = daemon_print_schedules, .user = d};
    struct backup_auto_env schedules = {.loop = d->loop, .state_dir = d->options.state_dir, .engine = d->engine,
                                        .keeper = d->keeper, .notify = d->notify};
    int r = backup_new(&env, &d->backup, e);

    if (r < 0)
        return r;
    backup_configure(d->backup, d->config);
    schedules.backup = d->backup;
    return backup_auto_new(&schedules, d->config, &d->schedules, e);
}

static int daemon_open_api(struct daemon *d, struct err *e)
{
    struct api_config config = {.runtime_dir = d->options.runtime_dir};

    d->status.engine = d->engine;
    d->status.host_name = d->host_name;
    d->status.state_dir = d->options.state_dir;
    daemon_status_config(d);
    d->status.dry_run = d->options.dry_run;
    d->status.started_usec = daemon_now_usec();
    d->status.now_usec = daemon_now_usec;
    d->history = history_new(ENGINE_GUESTS_MAX);
    d->status.history = d->history;
    d->status.configured = daemon_configured;
    d->status.user = d;
    config.source = status_source(&d->status);
    config.source.operate = daemon_on_operation;
    config.source.operate_user = d;
    if (geteuid() == 0) { /* a user's own ballastd obeys him and root */
        config.socket_group = d->config->view_group;
        config.operate_group = d->config->operate_group;
        daemon_warn_groups(d->config);
    }
    return api_open(d->loop, &config, &d->api, e);
}

/* Without it ballastd works as well; it only learns anew after a restart. */
static void daemon_open_journal(struct daemon *d)
{
    struct err e = {0};

    if (journal_open(d->options.state_dir, &d->journal, &e) >= 0)
        return;
    log_warning("what is learned of guests is not kept over a restart: %s; name another directory with --state-dir",
                e.text);
    status_warn(&d->status, e.text);
}

int daemon_new(const struct options *options, struct daemon **ret, bool *ret_is_wrong, struct err *e)
{
    AUTO(daemon) struct daemon *d = calloc(1, sizeof(*d));
    int r;

    if (!d)
        return err_set(e, ENOMEM, "no memory to start with");
    d->options = *options;
    d->tell.dry_run = options->dry_run;
    r = paths_join(options->runtime_dir, PATHS_GUESTS_DIR, d->guests_dir, e);
    if (r < 0)
        return r;
    r = daemon_load(d, &d->config, e);
    if (r < 0) {
        *ret_is_wrong = true;
        return r;
    }
    r = daemon_open_loop(d, e);
    if (r >= 0)
        r = daemon_open_engine(d, e);
    if (r >= 0)
        r = daemon_open_notify(d, e);
    if (r >= 0)
        r = daemon_open_operate(d, e);
    if (r >= 0)
        r = daemon_open_backup(d, e);
    if (r >= 0)
        r = daemon_open_api(d, e); /* takes the lock: before any guest is touched */
    if (r >= 0)
        daemon_configure_notify(d);
    if (r >= 0)
        daemon_make_guests_dir(d);
    if (r >= 0)
        daemon_open_journal(d);
    if (r >= 0)
        r = daemon_open_driver(d, d->config, &d->qmp, e);
    if (r < 0)
        return r;
    *ret = TAKE(d);
    return 0;
}

struct daemon *daemon_free(struct daemon *d)
{
    if (!d)
        return NULL;
    d->is_stopping = true;
    if (d->journal)
        journal_save(d->journal, d->engine, daemon_now_usec(), /* at_once= */ true);
    d->journal = journal_free(d->journal);
    d->schedules = backup_auto_free(d->schedules);
    d->backup = backup_free(d->backup); /* while the monitors are there */
    d->qmp = hv_close(d->qmp);
    d->api = api_free(d->api); /* gives the lock back: after the last hand left the levers */
    d->engine = engine_free(d->engine);
    d->history = history_free(d->history);
    why_done(&d->why);
    d->recorder = recorder_free(d->recorder);
    d->operate = operate_free(d->operate);
    d->attach = attach_free(d->attach);
    d->disks = guest_disks_free(d->disks);
    d->notify = notify_free(d->notify);
    d->watch = notify_watch_free(d->watch);
    d->keeper = keeper_free(d->keeper);
    for (size_t i = 0; i < sizeof(d->signals) / sizeof(d->signals[0]); i++)
        (void)sd_event_source_unref(d->signals[i]);
    (void)sd_event_source_unref(d->timer);
    (void)sd_event_unref(d->loop);
    d->config = config_free(d->config);
    free(d);
    return NULL;
}

static void daemon_tell_start(const struct daemon *d)
{
    log_info("ballastd %s runs; API at '%s'%s", BALLAST_VERSION, api_socket_path(d->api),
             d->options.dry_run ? "; dry run: nothing is moved" : "");
    if (!d->config->is_file)
        log_info("no configuration at '%s': guests are only watched, 'ballast status' shows what would be done",
                 d->config->path);
    for (size_t i = 0; i < d->config->qmp_directory_count; i++)
        log_info("guests are looked for in '%s' (NAME.qmp)", discovery_directory(d->config, d->guests_dir, i));
}

int daemon_run(struct daemon *d, struct err *e)
{
    int r;

    daemon_tell_start(d);
    (void)sd_notify(0, "READY=1");
    r = sd_event_loop(d->loop);
    if (r < 0)
        return err_set(e, -r, "the event loop broke: %s", strerror(-r));
    return 0;
}
