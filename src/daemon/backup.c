/* SPDX-License-Identifier: Apache-2.0 */
#include "backup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api_body.h"
#include "backup_group.h"
#include "backup_job.h"
#include "backup_private.h"
#include "log.h"
#include "paths.h"
#include "qmp_message.h"
#include "readfile.h"
#include "text.h"
#include "units.h"
#include "wire_field.h"

#define DIRECTORY "backup"   /* below the runtime directory: sockets, markers, notes of jobs */
#define NOTE_ENDING ".job"
#define EXPOSE_ENDING ".expose" /* the directory of an exposure's NBD server */
#define MARKER_MAX 2048

struct backup {
    struct backup_env env;
    char directory[PATHS_SIZE];
    char repository[PATHS_SIZE]; /* "": none is configured */
    enum window_freeze freeze;
    uint64_t bandwidth_bytes;
    char before_freeze[PATHS_SIZE], after_thaw[PATHS_SIZE]; /* "": none */
    uint64_t before_usec, after_usec;
    bool hook_warns;
    size_t copies_max; /* of a group, at a time */
    struct window_times times;
    struct guardian_link *guardian;
    struct backup_job *jobs[BACKUP_JOBS_MAX]; /* oldest first */
    size_t jobs_n;
    uint64_t last_id;
};

struct backup_job *backup_find_running(struct backup *b, const char *guest)
{
    for (size_t i = 0; i < b->jobs_n; i++)
        if (!backup_job_is_done(b->jobs[i]) && strcmp(backup_job_guest(b->jobs[i]), guest) == 0)
            return b->jobs[i];
    return NULL;
}

static void forget(struct backup *b, size_t at)
{
    (void)backup_job_free(b->jobs[at]);
    b->jobs_n--;
    memmove(&b->jobs[at], &b->jobs[at + 1], (b->jobs_n - at) * sizeof(b->jobs[0]));
}

/* Makes room; those that a client may still ask for stay longest. */
static void forget_old(struct backup *b)
{
    size_t done = 0;

    for (size_t i = 0; i < b->jobs_n; i++)
        done += backup_job_is_done(b->jobs[i]);
    for (size_t i = 0; i < b->jobs_n && done > BACKUP_KEPT_MAX; i++) {
        if (!backup_job_is_done(b->jobs[i]))
            continue;
        forget(b, i--);
        done--;
    }
}

/* ---- the guardian ---- */

static void on_word(void *user, const struct guardian_word *word)
{
    struct backup_job *job = backup_find_running(user, word->guest);

    if (job)
        backup_job_word(job, word);
}

static void on_guardian_restarted(void *user)
{
    struct backup *b = user;

    for (size_t i = 0; i < b->jobs_n; i++)
        backup_job_guard_again(b->jobs[i]);
}

/* ---- jobs ---- */

static void tell_exposure_end(const struct backup_job *job, const struct window_view *v)
{
    if (v->failed)
        log_error("exposure of guest '%s' failed at step '%s': %s", backup_job_guest(job), v->failed_step, v->error);
    else
        log_info("exposure of guest '%s' has ended%s%s", backup_job_guest(job), v->end_reason[0] ? ": " : "", v->end_reason);
}

static void tell_end(const struct backup_job *job)
{
    struct window_view v;

    backup_job_look(job, &v);
    if (v.left[0])
        log_warning("backup of guest '%s': %s", backup_job_guest(job), v.left);
    if (backup_job_is_exposure(job)) {
        tell_exposure_end(job, &v);
        return;
    }
    if (backup_job_is_recovery(job) && !v.failed)
        log_info("what an earlier backup left in the QEMU of guest '%s' is removed", backup_job_guest(job));
    else if (v.failed)
        log_error("backup of guest '%s' failed at step '%s': %s", backup_job_guest(job), v.failed_step, v.error);
    else
        log_info("backup of guest '%s' is done: point '%s', %s consistent; frozen for %" PRIu64 " ms, stopped for %" PRIu64
                 " ms", backup_job_guest(job), v.point, window_consistency_text(v.consistency), v.freeze_usec / 1000,
                 v.stop_usec / 1000);
}

static const char *identity_of(const struct hv_vm *vm)
{
    return vm->uuid[0] ? vm->uuid : vm->name;
}

static void on_finished(void *user, struct backup_job *job)
{
    const struct backup *b = user;
    const struct engine_guest *g = engine_find(b->env.engine, backup_job_guest(job));
    struct window_view v;

    tell_end(job);
    backup_job_look(job, &v);
    if (v.hook[0] && b->env.hook_failed)
        b->env.hook_failed(b->env.user, backup_job_guest(job), v.hook);
    if (b->env.ended && !backup_job_is_recovery(job) && !backup_job_is_exposure(job))
        b->env.ended(b->env.user, backup_job_guest(job), g ? identity_of(g->vm) : backup_job_guest(job),
                     v.failed ? v.error : NULL);
}

static bool has_note(const struct backup *b, const char *guest, const char *ending)
{
    char name[128], path[PATHS_SIZE];
    struct err e = {0};

    (void)snprintf(name, sizeof(name), "%s%s", guest, ending);
    return paths_join(b->directory, name, path, &e) == 0 && access(path, F_OK) == 0;
}

/* group: it is one of several, in that place; NULL: alone. */
static int start(struct backup *b, struct hv_vm *vm, const struct window_config *window, struct backup_group *group,
                 size_t place, struct backup_job **ret, struct err *e)
{
    struct backup_job_config config = {
        .loop = b->env.loop,
        .guardian = b->guardian,
        .id = b->last_id + 1,
        .window = *window,
        .group = group,
        .place = place,
        .test = secure_getenv("BALLAST_TEST_BACKUP"),
        .finished = on_finished,
        .user = b,
    };
    int r;

    forget_old(b);
    if (b->jobs_n == BACKUP_JOBS_MAX)
        return err_set(e, EBUSY, "%d backups run already", BACKUP_JOBS_MAX);
    config.window.guest = vm->name;
    config.window.identity = identity_of(vm);
    config.window.repository = b->repository;
    config.window.state_dir = b->env.state_dir;
    config.window.socket_dir = b->directory;
    config.window.exposed_before = has_note(b, vm->name, EXPOSE_ENDING);
    r = backup_job_start(&config, vm, &b->jobs[b->jobs_n], e);
    if (r < 0)
        return r;
    b->last_id++;
    *ret = b->jobs[b->jobs_n++];
    return 0;
}

/* ---- what an earlier ballastd left ---- */

/* True: it speaks of another QEMU, which took its freeze along. This one may stand still for its user. */
static bool is_of_another(const struct hv_vm *vm, struct json_object *marker)
{
    uint64_t pid = 0, ticks = 0;

    (void)qmp_get_u64(marker, "pid", &pid);
    (void)qmp_get_u64(marker, "start_ticks", &ticks);
    return pid && vm->pid > 0 && (pid != (uint64_t)vm->pid || (ticks && vm->start_ticks && ticks != vm->start_ticks));
}

/* As the guardian writes it. Foreign where somebody else did: then both are done, which hurts nobody. */
static void read_marker(const struct backup *b, const struct hv_vm *vm, struct window_config *ret)
{
    char name[128], path[PATHS_SIZE], text[MARKER_MAX];
    struct json_object *json;
    struct err e = {0};
    size_t len;

    (void)snprintf(name, sizeof(name), "%s" GUARDIAN_MARKER_ENDING, vm->name);
    if (paths_join(b->directory, name, path, &e) < 0 || access(path, F_OK) < 0)
        return;
    ret->recover_marked = ret->recover_stopped = ret->recover_frozen = true;
    if (readfile_into(path, text, sizeof(text), &len, &e) < 0 || wire_json_parse(text, len, &json, &e) < 0)
        return;
    (void)qmp_get_bool(json, "stopped", &ret->recover_stopped);
    (void)qmp_get_bool(json, "frozen", &ret->recover_frozen);
    if (is_of_another(vm, json))
        ret->recover_stopped = ret->recover_frozen = false;
    json_object_put(json);
}

void backup_see_appeared(struct backup *b, struct hv_vm *vm)
{
    struct window_config window = {.recover = true, .times = b->times, .before_usec = b->before_usec, .after_usec = b->after_usec,
                                   .recover_hook = has_note(b, vm->name, WINDOW_HOOK_ENDING)};
    struct backup_job *job;
    struct err e = {0};

    read_marker(b, vm, &window);
    if ((!window.recover_marked && !window.recover_hook && !has_note(b, vm->name, NOTE_ENDING) &&
         !has_note(b, vm->name, EXPOSE_ENDING)) || backup_find_running(b, vm->name))
        return;
    log_warning("an earlier ballastd was cut off while it backed up guest '%s'%s: what it left is undone", vm->name,
                window.recover_stopped || window.recover_frozen ? ", which may be frozen" : "");
    if (start(b, vm, &window, NULL, 0, &job, &e) < 0)
        log_error("what a backup left in guest '%s' can't be undone now: %s", vm->name, e.text);
}

/* ---- requests ---- */

struct run_request {
    char guest[WIRE_NAME_SIZE];
    char freeze[16];
};

static const struct wire_field run_fields[] = {
    WIRE_FIELD(run_request, TEXT, guest),
    WIRE_FIELD(run_request, TEXT, freeze),
};

bool backup_freeze_parse(const char *text, enum window_freeze *ret)
{
    for (int i = 0; i < WINDOW_FREEZE_COUNT; i++)
        if (strcmp(text, window_freeze_text((enum window_freeze)i)) == 0) {
            *ret = (enum window_freeze)i;
            return true;
        }
    return false;
}

static struct window_config window_config(const struct backup *b)
{
    return (struct window_config){.times = b->times, .freeze = b->freeze, .bandwidth_bytes = b->bandwidth_bytes,
                                  .before_freeze = b->before_freeze[0] ? b->before_freeze : NULL,
                                  .after_thaw = b->after_thaw[0] ? b->after_thaw : NULL,
                                  .before_usec = b->before_usec, .after_usec = b->after_usec, .hook_warns = b->hook_warns};
}

/* Why a guest can't be backed up now: one sentence, and what to do. */
static const char *why_busy(struct backup *b, const char *guest, const char **ret_hint)
{
    struct backup_job *job = backup_find_running(b, guest);

    if (!job)
        return NULL;
    if (backup_job_is_exposure(job)) {
        *ret_hint = "ballast backup release it first; ballast backup exposed shows it";
        return "is exposed to another program (ballast backup expose)";
    }
    *ret_hint = "ballast backup run of it again when that has ended";
    return "is being backed up already";
}

int backup_start(struct backup *b, const char *guest, struct err *e)
{
    struct window_config window = window_config(b);
    const struct engine_guest *g = engine_find(b->env.engine, guest);
    const char *busy, *hint;
    struct backup_job *job;

    if (!b->repository[0])
        return err_set(e, ENOENT, "no backup repository is configured");
    if (!g)
        return err_set(e, ENOENT, "guest '%s' is not there", guest);
    busy = why_busy(b, guest, &hint);
    if (busy)
        return err_set(e, EBUSY, "guest '%s' %s", guest, busy);
    return start(b, g->vm, &window, NULL, 0, &job, e);
}

struct backup_job *backup_find_exposure(struct backup *b, const char *word)
{
    struct backup_job *job = backup_find_running(b, word);
    char number[24];

    if (job)
        return backup_job_is_exposure(job) ? job : NULL;
    for (size_t i = 0; i < b->jobs_n; i++) {
        (void)snprintf(number, sizeof(number), "%" PRIu64, backup_job_id(b->jobs[i]));
        if (strcmp(number, word) == 0 && backup_job_is_exposure(b->jobs[i]) && !backup_job_is_done(b->jobs[i]))
            return b->jobs[i];
    }
    return NULL;
}

int backup_begin_exposure(struct backup *b, struct hv_vm *vm, struct window_config *window, bool has_freeze,
                          struct backup_job **ret, struct err *e)
{
    struct window_config all = window_config(b);

    all.mode = window->mode;
    all.since = window->since;
    all.checkpoint = window->checkpoint;
    all.lease_usec = window->lease_usec;
    if (has_freeze)
        all.freeze = window->freeze;
    return start(b, vm, &all, NULL, 0, ret, e);
}

const struct engine *backup_engine(const struct backup *b)
{
    return b->env.engine;
}

/* The guests that a request names: "guest", or "guests", a list of different ones that meet at one instant. */
struct run_guests {
    size_t n;
    struct hv_vm *vms[WINDOW_GROUP_MAX];
};

static bool take_guest(struct backup *b, const struct api_request *rq, const char *name, struct run_guests *to,
                       struct api_reply *ret)
{
    const struct engine_guest *g = engine_find(b->env.engine, name);
    const char *busy, *hint = "";

    if (!g)
        api_reply_error(ret, 404, "ballast status lists those that run; one that is switched off: ballast backup run --off GUEST",
                        "there is no guest '%s' that runs", text_show(name, strlen(name)).s);
    else if ((busy = why_busy(b, name, &hint)))
        api_reply_error(ret, 409, hint, "guest '%s' %s", name, busy);
    else if (to->n == WINDOW_GROUP_MAX)
        api_reply_error(ret, 400, "name fewer, or use --each, which lets no guest wait for another",
                        "more than %d guests are not backed up at one instant", WINDOW_GROUP_MAX);
    for (size_t i = 0; ret->status < 400 && i < to->n; i++)
        if (to->vms[i] == g->vm)
            api_reply_error(ret, 400, "name it once", "guest '%s' is named twice", name);
    if (ret->status >= 400)
        return false;
    to->vms[to->n++] = g->vm;
    return true;
}

static bool take_guests(struct backup *b, const struct api_request *rq, struct json_object *list, const char *one,
                        struct run_guests *to, struct api_reply *ret)
{
    *to = (struct run_guests){0};
    if (!list)
        return take_guest(b, rq, one, to, ret);
    if (one[0] || !json_object_is_type(list, json_type_array) || json_object_array_length(list) == 0) {
        api_reply_error(ret, 400, "send {\"guest\":NAME} or {\"guests\":[NAME,...]}",
                        one[0] ? "'guest' and 'guests' are both there" : "'guests' is no list of names");
        return false;
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *name = json_object_array_get_idx(list, i);

        if (!json_object_is_type(name, json_type_string)) {
            api_reply_error(ret, 400, "send {\"guests\":[NAME,...]}", "'guests' is no list of names");
            return false;
        }
        if (!take_guest(b, rq, json_object_get_string(name), to, ret))
            return false;
    }
    return true;
}

static void reply_not_begun(struct api_reply *ret, const struct err *e)
{
    api_reply_error(ret, 503, "see ballast show of that guest; try again when its monitor answers", "%s", e->text);
}

/* All or none: where one can't begin, those that have begun are told, and end before anything is frozen. */
static void start_group(struct backup *b, const struct run_guests *guests, const struct window_config *window,
                        struct api_reply *ret)
{
    AUTO(backup_group) struct backup_group *group = NULL;
    struct backup_job *jobs[WINDOW_GROUP_MAX];
    struct err e = {0};

    if (backup_group_new(b->env.loop, guests->n, b->copies_max, &group, &e) < 0) {
        reply_not_begun(ret, &e);
        return;
    }
    for (size_t i = 0; i < guests->n; i++)
        if (start(b, guests->vms[i], window, group, i, &jobs[i], &e) < 0) {
            backup_group_join(group, i, NULL, guests->vms[i]->name, identity_of(guests->vms[i]));
            backup_group_fail(group, i, e.text);
            reply_not_begun(ret, &e);
            return;
        }
    wire_text_format(&ret->body, "{\"group\":\"%s\",\"jobs\":[", backup_group_id(group));
    for (size_t i = 0; i < guests->n; i++) {
        wire_text_adds(&ret->body, i ? "," : "");
        backup_job_print(jobs[i], &ret->body);
    }
    wire_text_adds(&ret->body, "]}");
}

static void request_run(struct backup *b, const struct api_request *rq, struct api_reply *ret)
{
    struct window_config window = window_config(b);
    struct json_object *list = NULL;
    struct run_guests guests;
    struct run_request run;
    struct backup_job *job;
    struct err e = {0};

    if (!api_body_read(rq, run_fields, sizeof(run_fields) / sizeof(run_fields[0]), "guests", &run, ret))
        return;
    (void)json_object_object_get_ex(rq->body, "guests", &list);
    if (!b->repository[0])
        api_reply_error(ret, 409, "make one with ballast backup init DIRECTORY, write 'backup: {repository: DIRECTORY}' "
                        "into ballast.yaml, and let ballastd read it (systemctl reload ballastd)",
                        "no backup repository is configured");
    else if (run.freeze[0] && !backup_freeze_parse(run.freeze, &window.freeze))
        api_reply_error(ret, 400, "require, prefer or never", "'%s' is no way to freeze",
                        text_show(run.freeze, strlen(run.freeze)).s);
    else if (!take_guests(b, rq, list, run.guest, &guests, ret))
        return;
    else if (list)
        start_group(b, &guests, &window, ret);
    else if (start(b, guests.vms[0], &window, NULL, 0, &job, &e) < 0)
        reply_not_begun(ret, &e);
    else
        backup_job_print(job, &ret->body);
}

struct cancel_request {
    uint64_t job;
};

static const struct wire_field cancel_fields[] = {WIRE_FIELD(cancel_request, U64, job)};

static void request_cancel(struct backup *b, const struct api_request *rq, struct api_reply *ret)
{
    struct cancel_request cancel;

    if (!api_body_read(rq, cancel_fields, 1, NULL, &cancel, ret))
        return;
    for (size_t i = 0; i < b->jobs_n; i++) {
        if (backup_job_id(b->jobs[i]) != cancel.job)
            continue;
        backup_job_cancel(b->jobs[i]);
        backup_job_print(b->jobs[i], &ret->body);
        return;
    }
    api_reply_error(ret, 404, "GET /v1/backup lists them", "there is no backup job of that number");
}

static void print(const struct backup *b, struct wire_text *out)
{
    wire_text_adds(out, "{\"repository\":");
    if (b->repository[0])
        wire_text_string(out, b->repository);
    else
        wire_text_adds(out, "null");
    wire_text_adds(out, ",\"jobs\":[");
    for (size_t i = 0; i < b->jobs_n; i++) {
        wire_text_adds(out, i ? ",\n" : "\n");
        backup_job_print(b->jobs[i], out);
    }
    wire_text_adds(out, "]");
    if (b->env.print) {
        wire_text_adds(out, ",\n");
        b->env.print(b->env.user, out);
    }
    wire_text_adds(out, "}\n");
}

void backup_request(struct backup *b, enum api_operation what, const struct api_request *rq, struct api_reply *ret)
{
    if (what == API_OPERATION_BACKUP)
        print(b, &ret->body);
    else if (what == API_OPERATION_BACKUP_RUN)
        request_run(b, rq, ret);
    else
        request_cancel(b, rq, ret);
}

/* ---- life ---- */

int backup_new(const struct backup_env *env, struct backup **ret, struct err *e)
{
    AUTO(backup) struct backup *b = calloc(1, sizeof(*b));
    struct guardian_link_config guardian = {.loop = env->loop, .word = on_word, .restarted = on_guardian_restarted};
    int r;

    if (!b)
        return err_set(e, ENOMEM, "no memory for backups");
    b->env = *env;
    b->times = WINDOW_TIMES;
    r = paths_join(env->runtime_dir, DIRECTORY, b->directory, e);
    if (r < 0)
        return r;
    guardian.directory = b->directory;
    guardian.user = b;
    r = guardian_link_new(&guardian, &b->guardian, e);
    if (r < 0)
        return r;
    *ret = TAKE(b);
    return 0;
}

struct backup *backup_free(struct backup *b)
{
    if (!b)
        return NULL;
    while (b->jobs_n > 0)
        forget(b, b->jobs_n - 1);
    b->guardian = guardian_link_free(b->guardian);
    free(b);
    return NULL;
}

void backup_configure(struct backup *b, const struct config *config)
{
    b->freeze = (enum window_freeze)config->backup.freeze; /* the words of both are the same: a test compares them */
    b->bandwidth_bytes = config->backup.bandwidth_kib << 10;
    b->copies_max = config->backup.concurrency;
    b->times = WINDOW_TIMES;
    b->times.freeze_usec = config->backup.freeze_usec;
    b->times.checkpoint_usec = config->backup.checkpoint_usec;
    b->times.hard_usec = config->backup.limit_usec;
    b->times.fleece_usec = config->backup.fleece_usec;
    b->times.stall_usec = config->backup.stall_usec;
    wire_text_copy(b->before_freeze, sizeof(b->before_freeze), config->backup.before_freeze ? config->backup.before_freeze : "");
    wire_text_copy(b->after_thaw, sizeof(b->after_thaw), config->backup.after_thaw ? config->backup.after_thaw : "");
    b->before_usec = config->backup.before_freeze_usec;
    b->after_usec = config->backup.after_thaw_usec;
    b->hook_warns = config->backup.hook_warns;
    wire_text_copy(b->repository, sizeof(b->repository), config->backup_repository ? config->backup_repository : "");
}
