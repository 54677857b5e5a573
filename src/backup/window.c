/* SPDX-License-Identifier: Apache-2.0 */
#include "window.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "window_private.h"

/* The machine: which step comes next, and where a failure leads. What the steps do stands in window_steps.c. */

static void advance(struct window *w);

/* ---- sentences ---- */

void window_add_note(struct window *w, const char *format, ...)
{
    va_list ap;

    if (w->notes_n == WINDOW_NOTES_MAX) {
        w->notes_more++;
        return;
    }
    va_start(ap, format);
    (void)vsnprintf(w->notes[w->notes_n++], WINDOW_TEXT_SIZE, format, ap); /* a cut sentence is better than none */
    va_end(ap);
}

void window_set_hint(struct window *w, const char *format, ...)
{
    va_list ap;

    if (w->failed)
        return; /* the first failure counts */
    va_start(ap, format);
    (void)vsnprintf(w->hint, sizeof(w->hint), format, ap);
    va_end(ap);
}

void window_hint(struct window *w, const char *hint)
{
    if (!w->finished)
        window_set_hint(w, "%s", hint);
}

size_t window_disk_index(const struct window *w, const struct window_disk *d)
{
    return (size_t)(d - w->disks);
}

/* ---- failures ---- */

static const struct window_step *step_of(const struct window *w)
{
    return &window_steps[w->at];
}

static unsigned first_of(enum window_phase phase)
{
    unsigned i = 0;

    while (i < window_step_count && window_steps[i].phase < phase)
        i++;
    return i;
}

static void go_to(struct window *w, unsigned at)
{
    if (at == first_of(WINDOW_TEARDOWN))
        w->looked = false;
    w->at = at;
    w->disk = 0;
    w->tries = 0;
    w->step_since_usec = w->now_usec;
}

void window_jump_to_teardown(struct window *w)
{
    go_to(w, first_of(WINDOW_TEARDOWN));
}

static void remember_failure(struct window *w, const struct err *e)
{
    if (w->failed && step_of(w)->phase < WINDOW_CLOSE)
        return;
    /* Where the copy is complete, what is left in QEMU does not make it worse. */
    if (w->failed || step_of(w)->phase == WINDOW_TEARDOWN) {
        (void)snprintf(w->left, sizeof(w->left), "%s", e->text);
        return;
    }
    w->failed = true;
    w->error = *e;
    (void)snprintf(w->failed_step, sizeof(w->failed_step), "%s", step_of(w)->name);
    if (w->env.failed)
        w->env.failed(w->env.user, w->error.text);
}

/* Where the step under way may not simply go on. */
static void fail(struct window *w, const struct err *e)
{
    enum window_phase phase = step_of(w)->phase;

    remember_failure(w, e);
    if (phase < WINDOW_CLOSE)
        go_to(w, first_of(WINDOW_CLOSE));
    else if (phase == WINDOW_COPY)
        go_to(w, first_of(WINDOW_TEARDOWN));
}

static bool is_before_teardown(const struct window *w)
{
    return w->at < window_step_count && step_of(w)->phase < WINDOW_TEARDOWN;
}

/* ---- going on ---- */

static struct window_disk *disk_of(struct window *w)
{
    return step_of(w)->each_disk ? &w->disks[w->disk] : NULL;
}

static bool is_left_out(const struct window *w, const struct window_step *s)
{
    if (w->config.recover && (s->phase == WINDOW_PREPARE || s->phase == WINDOW_WINDOW || s->phase == WINDOW_COPY ||
                              s->phase == WINDOW_SETTLE))
        return true;
    if (w->failed && (s->phase < WINDOW_CLOSE || s->phase == WINDOW_COPY))
        return true;
    if (s->modes && !(s->modes & WINDOW_ONLY(w->mode)))
        return true;
    if (s->peer == WINDOW_GROUP && !w->config.grouped)
        return true;
    return w->gone && s->peer == WINDOW_MONITOR;
}

/* The next step or disk that has something to do; false: there is none. */
static bool find_next(struct window *w)
{
    for (; w->at < window_step_count; go_to(w, w->at + 1)) {
        const struct window_step *s = step_of(w);

        if (s->phase == WINDOW_SETTLE && w->resume) {
            w->resume = false; /* leftovers are gone: now the backup itself */
            go_to(w, 0);
            return find_next(w);
        }
        if (is_left_out(w, s))
            continue;
        if (!s->each_disk) {
            if (!s->needed || s->needed(w, NULL))
                return true;
            continue;
        }
        for (; w->disk < w->disks_n; w->disk++, w->tries = 0) {
            if (!s->needed || s->needed(w, &w->disks[w->disk]))
                return true;
        }
    }
    return false;
}

static void step_over(struct window *w)
{
    w->tries = 0;
    if (step_of(w)->each_disk && w->disk + 1 < w->disks_n)
        w->disk++;
    else
        go_to(w, w->at + 1);
    w->step_since_usec = w->now_usec;
}

static uint64_t deadline_of(const struct window *w, const struct window_step *s)
{
    uint64_t usec = s->deadline_usec ? s->deadline_usec(w) : w->config.times.monitor_usec;

    return usec > 0 ? usec : 1;
}

/* The clock's answer makes the step anew. */
static void poll_later(struct window *w, uint64_t usec)
{
    const struct window_command c = {.peer = WINDOW_CLOCK, .command = "wait", .deadline_usec = w->kicked ? 1 : usec};
    struct err e = {0};

    w->kicked = false;
    w->waiting = w->polling = true;
    if (w->env.send(w->env.user, &c, &e) < 0) {
        w->waiting = w->polling = false;
        fail(w, &e);
    }
}

/* What a step's answer, or its refusal, comes to. */
static void take_result(struct window *w, int r, const struct err *e)
{
    const struct window_step *s = step_of(w);
    unsigned at = w->at;

    if (r == WINDOW_AGAIN) {
        w->tries++;
        poll_later(w, s->poll_usec ? s->poll_usec : 1);
        return;
    }
    if (r < 0)
        fail(w, e);
    if (w->at == at) /* failures in CLOSE and after are kept, and the steps go on */
        step_over(w);
}

static void refuse(struct window *w, const struct err *e)
{
    const struct window_step *s = step_of(w);
    bool lost = s->peer == WINDOW_MONITOR && (e->code == ECANCELED || e->code == ENOTCONN);
    struct err mine = *e;

    if (lost) {
        w->connected = false;
        w->failed_by_loss = w->failed_by_loss || !w->failed; /* window_lost() knows why, and comes next */
        (void)err_set(&mine, e->code, "the monitor of guest '%s' was lost: %.400s", w->config.guest, e->text);
    }
    if (lost && s->phase >= WINDOW_TEARDOWN) {
        go_to(w, first_of(WINDOW_TEARDOWN)); /* when it is back, what is there is looked at anew */
        return;
    }
    take_result(w, s->refused && !lost ? s->refused(w, disk_of(w), &mine) : -e->code, &mine);
}

static bool is_held(struct window *w, const struct window_step *s)
{
    return w->config.hold_step && w->env.held && strcmp(w->config.hold_step, s->name) == 0 &&
           w->env.held(w->env.user);
}

static void send_step(struct window *w)
{
    const struct window_step *s = step_of(w);
    struct window_command c = {.peer = s->peer, .command = s->command, .deadline_usec = deadline_of(w, s)};
    struct wire_text t = {0};
    struct err e = {0};
    int r = 0;

    if (is_held(w, s)) {
        poll_later(w, WINDOW_HOLD_POLL_USEC);
        return;
    }
    if (w->tries == 0)
        w->env.step(w->env.user, w->at + 1, s->name);
    if (s->build)
        s->build(w, disk_of(w), &t);
    c.arguments = t.data;
    if (t.failed)
        r = err_set(&e, ENOMEM, "no memory for the command of step '%s'", s->name);
    if (r == 0 && s->sent)
        s->sent(w, disk_of(w));
    if (r == 0) {
        w->waiting = true;
        r = w->env.send(w->env.user, &c, &e);
    }
    wire_text_done(&t);
    if (r < 0) {
        w->waiting = false;
        refuse(w, &e);
    }
}

/* A lost monitor is waited for only where nothing is frozen any more: the guardian does not need it. */
static bool must_wait_for_connection(const struct window *w)
{
    return !w->connected && !w->gone && step_of(w)->peer == WINDOW_MONITOR && step_of(w)->phase >= WINDOW_TEARDOWN;
}

static void give_up_connection(struct window *w)
{
    struct err e = {0};

    (void)err_set(&e, ENOTCONN, "the monitor of guest '%s' did not come back: what the backup put into QEMU is still "
                  "there, and is taken out before the next backup", w->config.guest);
    remember_failure(w, &e);
    w->gone = true;
}

/* We were stopped, or the machine was: the guardian has acted or is about to, and what is sent now would come after it. */
static bool is_too_late(struct window *w)
{
    struct err e = {0};

    if (step_of(w)->phase != WINDOW_WINDOW || w->now_usec < w->armed_usec + w->config.times.hard_usec || !w->armed)
        return false;
    (void)err_set(&e, ETIMEDOUT, "the freeze of guest '%s' took longer than %" PRIu64 " s", w->config.guest,
                  w->config.times.hard_usec / 1000000);
    fail(w, &e);
    return true;
}

static void finish(struct window *w)
{
    w->finished = true;
    w->env.finished(w->env.user); /* may free w */
}

static void advance(struct window *w)
{
    if (w->running || w->finished)
        return;
    w->running = true;
    while (!w->waiting) {
        if (w->cancelled && !w->failed && is_before_teardown(w)) {
            struct err e = {0};

            (void)err_set(&e, ECANCELED, "the %s of guest '%s' was cancelled",
                          w->config.mode == WINDOW_EXPOSE ? "exposure" : "backup", w->config.guest);
            fail(w, &e);
        }
        if (!find_next(w)) {
            w->running = false;
            finish(w);
            return;
        }
        if (is_too_late(w))
            continue;
        if (must_wait_for_connection(w)) {
            w->waits_connection = true;
            if (w->now_usec >= w->step_since_usec + WINDOW_RECONNECT_USEC)
                give_up_connection(w);
            else
                poll_later(w, WINDOW_RECONNECT_USEC);
            continue;
        }
        w->waits_connection = false;
        send_step(w);
    }
    w->running = false;
}

/* ---- what comes from outside ---- */

void window_start(struct window *w, uint64_t now_usec, int64_t utc_usec)
{
    w->now_usec = w->step_since_usec = now_usec;
    w->utc_usec = utc_usec;
    if (w->config.recover) /* its window opened some time ago: not known any better */
        w->freeze_usec = w->stop_usec = now_usec;
    advance(w);
}

void window_answer(struct window *w, struct json_object *value, const struct err *e, uint64_t now_usec, int64_t utc_usec)
{
    bool polling = w->polling;
    struct err mine = {0};
    int r;

    if (!w->waiting || w->finished)
        return; /* late: nobody asked */
    w->waiting = w->polling = false;
    w->now_usec = now_usec;
    w->utc_usec = utc_usec;
    if (!polling && e) {
        refuse(w, e);
    } else if (!polling) {
        r = step_of(w)->take ? step_of(w)->take(w, disk_of(w), value, &mine) : 0;
        take_result(w, r, &mine);
    }
    advance(w);
}

/* Ends a wait for the clock. */
static void kick(struct window *w)
{
    const struct window_command c = {.peer = WINDOW_CLOCK, .command = "wait", .deadline_usec = 1};
    struct err e = {0};

    if (w->polling)
        (void)w->env.send(w->env.user, &c, &e); /* if not, the clock under way does */
    else
        w->kicked = true;
}

/* Fails from outside: at once where nothing is under way, else when the command under way is answered. */
static void fail_soon(struct window *w, const struct err *e)
{
    if (w->finished || !is_before_teardown(w))
        return;
    if (!w->waiting || w->polling) {
        if (!w->failed)
            fail(w, e);
        kick(w);
        return;
    }
    if (w->failed)
        return;
    remember_failure(w, e);
    /* take_result() steps over what is under way; is_left_out() then leaves the rest of its phase out. */
}

static bool is_window_open(const struct window *w)
{
    return w->at < window_step_count && (step_of(w)->phase == WINDOW_WINDOW || step_of(w)->phase == WINDOW_CLOSE) &&
           w->armed;
}

void window_event(struct window *w, const char *name, struct json_object *data, uint64_t now_usec)
{
    struct err e = {0};

    (void)data;
    if (w->finished)
        return;
    w->now_usec = now_usec;
    if (strcmp(name, "JOB_STATUS_CHANGE") == 0 || strcmp(name, "BLOCK_JOB_COMPLETED") == 0 ||
        strcmp(name, "BLOCK_JOB_ERROR") == 0 || strcmp(name, "BLOCK_JOB_CANCELLED") == 0) {
        kick(w);
    } else if (is_window_open(w) && (strcmp(name, "RESET") == 0 || strcmp(name, "SHUTDOWN") == 0)) {
        (void)err_set(&e, ECANCELED, "guest '%s' was reset or shut down while it was frozen", w->config.guest);
        window_set_hint(w, "run the backup again when it is up");
        fail_soon(w, &e);
    } else if (strcmp(name, "STOP") == 0 && w->was_running && !w->stop_sent && !w->config.recover) {
        /* Not by us. Our cont would undo what somebody wanted. */
        (void)err_set(&e, ECANCELED, "guest '%s' was paused by somebody else while its backup began", w->config.guest);
        window_set_hint(w, "run the backup again: a paused guest is backed up as it stands");
        fail_soon(w, &e);
    }
}

void window_lost(struct window *w, bool gone, const char *reason, uint64_t now_usec)
{
    struct err e = {0};

    if (gone)
        (void)err_set(&e, ENODEV, "guest '%s' is gone: %s", w->config.guest, reason);
    else
        (void)err_set(&e, ECANCELED, "the monitor of guest '%s' was lost: %s", w->config.guest, reason);
    if (w->failed && w->failed_by_loss)
        w->error = e; /* also where that was the end of it */
    if (w->finished)
        return;
    w->now_usec = now_usec;
    w->connected = false;
    w->gone = w->gone || gone;
    fail_soon(w, &e);
    kick(w);
}

void window_back(struct window *w, uint64_t now_usec)
{
    if (w->finished || w->connected)
        return;
    w->now_usec = now_usec;
    w->connected = true;
    if (w->waits_connection)
        go_to(w, first_of(WINDOW_TEARDOWN)); /* look anew at what is there */
    kick(w);
}

void window_overtaken(struct window *w, uint64_t now_usec)
{
    struct err e = {0};

    if (w->finished)
        return;
    w->now_usec = now_usec;
    w->acted = true;
    (void)err_set(&e, ETIMEDOUT, "the freeze of guest '%s' took longer than %" PRIu64 " s, and the guardian ended it",
                  w->config.guest, w->config.times.hard_usec / 1000000);
    fail_soon(w, &e);
    kick(w);
}

void window_copy_failed(struct window *w, const char *text, const char *hint, uint64_t now_usec)
{
    struct err e = {0};

    if (w->finished)
        return;
    w->now_usec = now_usec;
    window_set_hint(w, "%s", hint);
    (void)err_set(&e, EIO, "%s", text);
    if (w->at < window_step_count && step_of(w)->phase == WINDOW_TEARDOWN && !w->failed) {
        w->failed = true; /* all was pushed and not all of it stored: there is nothing to finish */
        w->error = e;
        (void)snprintf(w->failed_step, sizeof(w->failed_step), "%s", step_of(w)->name);
        return;
    }
    fail_soon(w, &e);
}

int window_release(struct window *w, const char *forget, uint64_t now_usec, struct err *e)
{
    int r = w->finished || !forget ? 0 : window_forget(w, forget, e);

    if (w->finished || r < 0)
        return r;
    w->now_usec = now_usec;
    w->released = true;
    if (w->is_exposed)
        kick(w);
    else
        window_cancel(w, now_usec);
    return 0;
}

void window_abandon(struct window *w, const char *text, uint64_t now_usec)
{
    struct err e = {0};

    if (w->finished)
        return;
    w->now_usec = now_usec;
    window_set_hint(w, "run the backup again when that is put right, or with --each, which lets no guest wait for another");
    (void)err_set(&e, ECANCELED, "%s", text);
    w->abandoned = w->abandoned || !w->failed;
    fail_soon(w, &e);
}

void window_cancel(struct window *w, uint64_t now_usec)
{
    if (w->finished)
        return;
    w->now_usec = now_usec;
    w->cancelled = true;
    kick(w);
}

/* ---- life ---- */

/* The texts of a configuration live as long as the window. */
static const char *keep(struct window *w, size_t *used, const char *text)
{
    size_t size;
    char *to = w->texts + *used;

    if (!text)
        return NULL;
    size = strlen(text) + 1;
    if (size > sizeof(w->texts) - *used)
        return NULL;
    memcpy(to, text, size);
    *used += size;
    return to;
}

int window_new(const struct window_config *config, const struct window_env *env, struct window **ret, struct err *e)
{
    struct window *w = calloc(1, sizeof(*w));
    size_t used = 0;

    if (!w)
        return err_set(e, ENOMEM, "no memory for the backup of guest '%s'", config->guest);
    w->config = *config;
    w->config.guest = keep(w, &used, config->guest);
    w->config.identity = keep(w, &used, config->identity);
    w->config.repository = keep(w, &used, config->repository);
    w->config.state_dir = keep(w, &used, config->state_dir);
    w->config.socket_dir = keep(w, &used, config->socket_dir);
    w->config.hold_step = keep(w, &used, config->hold_step);
    w->config.before_freeze = keep(w, &used, config->before_freeze);
    w->config.after_thaw = keep(w, &used, config->after_thaw);
    w->config.since = keep(w, &used, config->since);
    w->config.checkpoint = keep(w, &used, config->checkpoint);
    if (!w->config.guest || !w->config.identity || !w->config.repository || !w->config.state_dir ||
        !w->config.socket_dir || (config->before_freeze && !w->config.before_freeze) ||
        (config->after_thaw && !w->config.after_thaw)) {
        free(w);
        return err_set(e, ENAMETOOLONG, "the paths of the backup of guest '%s' are too long", config->guest);
    }
    w->env = *env;
    w->connected = true;
    w->mode = config->mode;
    w->use_agent = config->freeze != WINDOW_FREEZE_NEVER;
    w->was_running = config->recover;
    w->stop_sent = config->recover && config->recover_stopped;
    w->freeze_sent = config->recover && config->recover_frozen;
    w->armed = config->recover && config->recover_marked;
    *ret = w;
    return 0;
}

struct window *window_free(struct window *w)
{
    if (!w)
        return NULL;
    free(w->definition);
    json_object_put(w->nodes);
    wire_text_done(&w->mounts);
    free(w);
    return NULL;
}
