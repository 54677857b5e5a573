/* SPDX-License-Identifier: Apache-2.0 */
#include "backup_job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <systemd/sd-event.h>

#include "backup_group.h"
#include "backup_job_private.h"
#include "log.h"

uint64_t backup_job_now(const struct backup_job *job)
{
    uint64_t now = 0;

    (void)job;
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* not the loop's: steps of one turn have times of their own */
    now = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
    return now;
}

int64_t backup_job_utc_usec(void)
{
    struct timespec t = {0};

    (void)clock_gettime(CLOCK_REALTIME, &t); /* can't fail for this clock */
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void backup_job_answer(struct backup_job *job, enum window_peer peer, struct json_object *value, const struct err *e)
{
    if (job->awaited != peer || job->done)
        return; /* late: given up before */
    job->awaited = WINDOW_PEER_COUNT;
    (void)sd_event_source_set_enabled(job->clock, SD_EVENT_OFF);
    window_answer(job->window, value, e, backup_job_now(job), backup_job_utc_usec());
}

/* ---- what the window sends ---- */

static void on_monitor(void *user, struct json_object *value, const struct err *e)
{
    backup_job_answer(user, WINDOW_MONITOR, value, e);
}

static int ask_monitor(struct backup_job *job, const struct window_command *c, struct err *e)
{
    if (!job->vm)
        return err_set(e, ENOTCONN, "guest '%s' is gone", job->guest);
    return job->vm->hv->ops->backup->call(job->vm->hv, job->vm, c->deadline_usec, c->command, c->arguments, on_monitor,
                                          job, e);
}

/* The monitor and the agent's client have deadlines of their own. */
static void arm_clock(struct backup_job *job, const struct window_command *c)
{
    if (c->peer == WINDOW_MONITOR || c->peer == WINDOW_AGENT)
        return;
    (void)sd_event_source_set_time_relative(job->clock, c->deadline_usec);
    (void)sd_event_source_set_enabled(job->clock, SD_EVENT_ONESHOT);
}

static int on_send(void *user, const struct window_command *c, struct err *e)
{
    struct backup_job *job = user;
    int r = 0;

    job->awaited = c->peer;
    (void)snprintf(job->awaited_command, sizeof(job->awaited_command), "%s", c->command);
    arm_clock(job, c);
    switch (c->peer) {
    case WINDOW_MONITOR:
        r = ask_monitor(job, c, e);
        break;
    case WINDOW_AGENT:
        r = backup_job_ask_agent(job, c, e);
        break;
    case WINDOW_GUARDIAN:
        r = backup_job_ask_guardian(job, c, e);
        break;
    case WINDOW_HELPER:
        r = backup_job_ask_helper(job, c, e);
        break;
    case WINDOW_COPIER:
        r = backup_job_ask_copier(job, c, e);
        break;
    case WINDOW_SERVER:
        r = backup_job_ask_server(job, c, e);
        break;
    case WINDOW_GROUP:
        r = backup_group_ask(job->config.group, job->config.place, c->command, e);
        break;
    case WINDOW_CLOCK:
    case WINDOW_PEER_COUNT:
        break;
    }
    if (r < 0) {
        job->awaited = WINDOW_PEER_COUNT;
        (void)sd_event_source_set_enabled(job->clock, SD_EVENT_OFF);
    }
    backup_fault_sent(&job->fault);
    return r;
}

static void on_frozen(void *user, bool frozen)
{
    struct backup_job *job = user;

    if (job->vm)
        job->vm->hv->ops->backup->freeze(job->vm->hv, job->vm, frozen);
}

static void on_failed(void *user, const char *text)
{
    const struct backup_job *job = user;

    if (job->config.group)
        backup_group_fail(job->config.group, job->config.place, text);
}

static void on_print_group(void *user, struct wire_text *t)
{
    const struct backup_job *job = user;

    backup_group_print(job->config.group, t);
}

static void on_step(void *user, unsigned number, const char *name)
{
    struct backup_job *job = user;

    log_debug("backup of guest '%s': step %u, %s", job->guest, number, name);
    backup_fault_before(&job->fault, name);
}

static bool on_held(void *user)
{
    const struct backup_job *job = user;

    return backup_fault_is_held(&job->fault);
}

static void on_finished(void *user)
{
    struct backup_job *job = user;

    job->done = true;
    job->awaited = WINDOW_PEER_COUNT;
    job->ended_sec = backup_job_utc_usec() / 1000000;
    if (job->config.group)
        backup_group_leave(job->config.group, job->config.place);
    /* We may be deep inside a callback of what is to be freed: that waits for the loop. */
    (void)sd_event_source_set_time_relative(job->clock, 0);
    (void)sd_event_source_set_enabled(job->clock, SD_EVENT_ONESHOT);
}

/* ---- time ---- */

static void clean_up(struct backup_job *job)
{
    if (job->vm)
        job->vm->hv->ops->backup->end(job->vm->hv, job->vm);
    job->vm = NULL;
    job->agent = qga_free(job->agent);
    job->helper = child_free(job->helper);
    job->copier = child_free(job->copier);
    job->server = child_free(job->server);
}

static int on_clock(sd_event_source *s, uint64_t usec, void *user)
{
    struct backup_job *job = user;
    struct err e = {0};

    (void)s;
    (void)usec;
    if (job->done) {
        clean_up(job);
        job->config.finished(job->config.user, job);
        return 0;
    }
    if (job->awaited == WINDOW_CLOCK) {
        backup_job_answer(job, WINDOW_CLOCK, NULL, NULL);
        return 0;
    }
    if (job->awaited == WINDOW_HELPER)
        job->helper = child_free(job->helper);
    if (job->awaited == WINDOW_COPIER && job->copier)
        child_kill(job->copier);
    if (job->awaited == WINDOW_SERVER)
        job->server = child_free(job->server);
    (void)err_set(&e, ETIMEDOUT, "%s has not answered '%s' in time",
                  job->awaited == WINDOW_HELPER   ? "ballast-prepare"
                  : job->awaited == WINDOW_COPIER ? "ballast-copy"
                  : job->awaited == WINDOW_SERVER ? "ballast-expose"
                                                  : "the guardian",
                  job->awaited_command);
    if (job->awaited == WINDOW_GROUP)
        backup_group_print_late(job->config.group, job->awaited_command, e.text, sizeof(e.text));
    backup_job_answer(job, job->awaited, NULL, &e);
    return 0;
}

/* ---- what the guest's driver tells ---- */

static void on_event(void *user, const char *name, struct json_object *data)
{
    struct backup_job *job = user;

    window_event(job->window, name, data, backup_job_now(job));
}

static void on_lost(void *user, bool gone, const char *reason)
{
    struct backup_job *job = user;

    if (gone)
        job->vm = NULL;
    window_lost(job->window, gone, reason, backup_job_now(job));
}

static void on_ready(void *user)
{
    struct backup_job *job = user;

    window_back(job->window, backup_job_now(job));
}

/* ---- life ---- */

static int open_window(struct backup_job *job, struct err *e)
{
    const struct window_env env = {.send = on_send, .frozen = on_frozen, .step = on_step, .held = on_held,
                                   .failed = on_failed, .print_group = on_print_group, .finished = on_finished,
                                   .user = job};
    struct window_config *config = &job->config.window;

    backup_fault_read(&job->fault, job->config.test);
    config->hold_step = backup_fault_hold_step(&job->fault);
    config->pid = job->vm->pid;
    config->grouped = job->config.group != NULL;
    return window_new(config, &env, &job->window, e);
}

int backup_job_start(const struct backup_job_config *config, struct hv_vm *vm, struct backup_job **ret, struct err *e)
{
    const struct hv_backup_ops *ops = vm->hv->ops->backup;
    AUTO(backup_job) struct backup_job *job = calloc(1, sizeof(*job));
    struct hv_backup_listener listener = {.event = on_event, .lost = on_lost, .ready = on_ready, .user = job};
    int r;

    if (!job)
        return err_set(e, ENOMEM, "no memory for the backup of guest '%s'", vm->name);
    if (!ops)
        return err_set(e, ENOTSUP, "guest '%s' is of a kind that can't be backed up yet", vm->name);
    job->config = *config;
    job->awaited = WINDOW_PEER_COUNT;
    job->pid = vm->pid;
    job->start_ticks = vm->start_ticks;
    job->started_sec = backup_job_utc_usec() / 1000000;
    (void)snprintf(job->guest, sizeof(job->guest), "%s", vm->name);
    r = sd_event_add_time(config->loop, &job->clock, CLOCK_MONOTONIC, UINT64_MAX, /* accuracy= */ 1000, on_clock, job);
    if (r >= 0)
        r = sd_event_source_set_enabled(job->clock, SD_EVENT_OFF);
    if (r < 0)
        return err_set(e, -r, "no timer for the backup of guest '%s': %s", vm->name, strerror(-r));
    r = ops->begin(vm->hv, vm, &listener, &job->sockets, e);
    if (r < 0)
        return r;
    job->vm = vm;
    if (config->group)
        backup_group_join(config->group, config->place, job, config->window.guest, config->window.identity);
    r = open_window(job, e);
    if (r < 0)
        return r;
    window_start(job->window, backup_job_now(job), backup_job_utc_usec());
    *ret = TAKE(job);
    return 0;
}

struct backup_job *backup_job_free(struct backup_job *job)
{
    if (!job)
        return NULL;
    job->done = true; /* answers that freeing causes are for nobody */
    clean_up(job);
    if (job->config.group)
        backup_group_part(job->config.group, job->config.place);
    job->window = window_free(job->window);
    job->clock = sd_event_source_disable_unref(job->clock);
    free(job);
    return NULL;
}

void backup_job_told(struct backup_job *job, bool is_go, const char *text)
{
    struct err e = {0};

    if (job->done)
        return;
    if (is_go) {
        backup_job_answer(job, WINDOW_GROUP, NULL, NULL);
        return;
    }
    window_abandon(job->window, text, backup_job_now(job));
    (void)err_set(&e, ECANCELED, "%s", text);
    backup_job_answer(job, WINDOW_GROUP, NULL, &e);
}

void backup_job_cancel(struct backup_job *job)
{
    struct err e = {0};

    if (job->done)
        return;
    window_cancel(job->window, backup_job_now(job));
    (void)err_set(&e, ECANCELED, "the backup of guest '%s' was cancelled", job->guest);
    backup_job_answer(job, WINDOW_GROUP, NULL, &e); /* the others are not waited for any more */
}

/* ---- looking at it ---- */

uint64_t backup_job_id(const struct backup_job *job)
{
    return job->config.id;
}

const char *backup_job_guest(const struct backup_job *job)
{
    return job->guest;
}

bool backup_job_is_done(const struct backup_job *job)
{
    return job->done;
}

bool backup_job_is_recovery(const struct backup_job *job)
{
    return job->config.window.recover;
}

void backup_job_look(const struct backup_job *job, struct window_view *ret)
{
    window_look(job->window, ret);
}

void backup_job_look_instant(const struct backup_job *job, struct window_instant *ret)
{
    if (job->window)
        window_look_instant(job->window, ret);
}

static const struct backup_progress *progress_of(const struct backup_job *job, const char *disk)
{
    for (size_t i = 0; i < job->progress_n; i++)
        if (strcmp(job->progress[i].disk, disk) == 0)
            return &job->progress[i];
    return NULL;
}

void backup_job_print_text(struct wire_text *t, const char *key, const char *value)
{
    wire_text_format(t, ",\"%s\":", key);
    if (value[0])
        wire_text_string(t, value);
    else
        wire_text_adds(t, "null");
}

static void print_disks(const struct backup_job *job, const struct window_view *v, struct wire_text *t)
{
    wire_text_adds(t, ",\"disks\":[");
    for (size_t i = 0; i < v->disks_n; i++) {
        const struct backup_progress *p;
        struct window_disk_view d;

        window_look_disk(job->window, i, &d);
        p = progress_of(job, d.name);
        wire_text_adds(t, i ? ",{\"name\":" : "{\"name\":");
        wire_text_string(t, d.name);
        wire_text_format(t, ",\"size_bytes\":%" PRIu64 ",\"read\":\"%s\",\"dirty_bytes\":%" PRIu64 ",\"pushed_bytes\":%" PRIu64
                         ",\"received_bytes\":%" PRIu64 ",\"data_bytes\":%" PRIu64 ",\"stored_bytes\":%" PRIu64
                         ",\"new_chunks\":%" PRIu64 "}", d.size_bytes, d.kind == WINDOW_FULL ? "full" : "incremental",
                         d.dirty_bytes, d.pushed_bytes, p ? p->received_bytes : 0, p ? p->data_bytes : 0,
                         p ? p->stored_bytes : 0, p ? p->new_chunks : 0);
    }
    wire_text_adds(t, "]");
}

void backup_job_print(const struct backup_job *job, struct wire_text *t)
{
    static const char *const phases[WINDOW_PHASE_COUNT] = {"prepare", "freeze", "thaw", "copy", "teardown", "commit"};
    struct window_view v;

    window_look(job->window, &v);
    wire_text_format(t, "{\"job\":%" PRIu64 ",\"guest\":", job->config.id);
    wire_text_string(t, job->guest);
    wire_text_format(t, ",\"kind\":\"%s\"", backup_job_is_exposure(job) ? "expose" : "backup");
    backup_job_print_text(t, "group", job->config.group ? backup_group_id(job->config.group) : "");
    wire_text_format(t, ",\"state\":\"%s\",\"phase\":\"%s\",\"step\":%u", !v.done ? "running" : v.failed ? "failed" : "done",
                     phases[v.phase], v.step_number);
    backup_job_print_text(t, "step_name", v.step);
    wire_text_format(t, ",\"started\":%" PRId64 ",\"ended\":%" PRId64, job->started_sec, job->ended_sec);
    backup_job_print_text(t, "consistency", v.checkpoint_utc_usec ? window_consistency_text(v.consistency) : "");
    wire_text_format(t, ",\"freeze_ms\":%" PRIu64 ",\"stall_ms\":%" PRIu64, v.freeze_usec / 1000, v.stop_usec / 1000);
    wire_text_format(t, ",\"file_systems_frozen\":%" PRIu64 ",\"file_systems_thawed\":%" PRIu64, v.frozen_count,
                     v.thawed_count);
    backup_job_print_text(t, "point", v.point);
    backup_job_print_text(t, "error", v.failed ? v.error : "");
    backup_job_print_text(t, "hint", v.failed ? v.hint : "");
    backup_job_print_text(t, "failed_step", v.failed ? v.failed_step : "");
    backup_job_print_text(t, "left", v.left);
    wire_text_format(t, ",\"abandoned\":%s", v.abandoned ? "true" : "false");
    wire_text_adds(t, ",\"hooks\":");
    window_print_hooks(job->window, t);
    wire_text_format(t, ",\"warnings\":%s", v.left[0] || v.hook[0] || (v.checkpoint_utc_usec && v.consistency != WINDOW_FS &&
                     job->config.window.freeze != WINDOW_FREEZE_NEVER) ? "true" : "false");
    print_disks(job, &v, t);
    if (backup_job_is_exposure(job))
        backup_job_print_exposure(job, &v, t);
    wire_text_adds(t, ",\"notes\":[");
    for (size_t i = 0; i < v.notes_n; i++) {
        wire_text_adds(t, i ? "," : "");
        wire_text_string(t, window_note(job->window, i));
    }
    wire_text_adds(t, "]}");
}
