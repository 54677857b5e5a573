/* SPDX-License-Identifier: Apache-2.0 */
#include "operate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api_body.h"
#include "api_routes.h"
#include "log.h"
#include "readfile.h"
#include "text.h"
#include "wire_operate.h"

/* Paused guests are remembered by name, also those that are not there: as many as there can be guests. */
#define OPERATE_PAUSED_MAX ENGINE_GUESTS_MAX

struct operate_paused {
    char guest[WIRE_NAME_SIZE];
    struct operate_who who;
};

struct operate {
    struct operate_env env;
    enum operate_moves moves;
    struct operate_who moves_who;
    struct operate_paused *paused; /* by name */
    size_t paused_count;
};

int operate_new(const struct operate_env *env, struct operate **ret, struct err *e)
{
    struct operate *o = calloc(1, sizeof(*o));

    if (!o)
        return err_set(e, ENOMEM, "no memory for what operators ask for");
    o->env = *env;
    *ret = o;
    return 0;
}

struct operate *operate_free(struct operate *o)
{
    if (o)
        free(o->paused);
    free(o);
    return NULL;
}

static const char *const moves_names[OPERATE_MOVES_COUNT] = {"on", "off"};

/* Position of the first paused guest that does not sort before the name. */
static size_t paused_position(const struct operate *o, const char *guest)
{
    size_t low = 0, high = o->paused_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (strcmp(o->paused[mid].guest, guest) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static const struct operate_paused *paused_find(const struct operate *o, const char *guest)
{
    size_t at = paused_position(o, guest);

    return at < o->paused_count && strcmp(o->paused[at].guest, guest) == 0 ? &o->paused[at] : NULL;
}

enum guest_hold operate_hold(const struct operate *o, const char *guest)
{
    return o->moves == OPERATE_MOVES_OFF || paused_find(o, guest) ? GUEST_HOLD_KEEP : GUEST_HOLD_NO;
}

/* "2026-11-24 14:55:03 UTC" */
static const char *when_text(uint64_t time_sec, char to[32])
{
    time_t t = (time_t)time_sec;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || !strftime(to, 32, "%Y-%m-%d %H:%M:%S UTC", &tm))
        to[0] = '\0';
    return to;
}

void operate_hold_text(const struct operate *o, const char *guest, char *to, size_t size)
{
    const struct operate_paused *p = paused_find(o, guest);
    char when[32];

    to[0] = '\0';
    if (o->moves == OPERATE_MOVES_OFF)
        (void)snprintf(to, size, "ballast is off for all guests (by %s since %s): ballast on", o->moves_who.text,
                       when_text(o->moves_who.time_sec, when));
    else if (p)
        (void)snprintf(to, size, "its moves are paused by %s since %s: ballast resume %s", p->who.text,
                       when_text(p->who.time_sec, when), guest);
}

const char *operate_moves(const struct operate *o, char *to, size_t size)
{
    char when[32];

    to[0] = '\0';
    if (o->moves == OPERATE_MOVES_OFF)
        (void)snprintf(to, size, "ballast is off: nothing moves (by %s since %s); ballast on ends it", o->moves_who.text,
                       when_text(o->moves_who.time_sec, when));
    return moves_names[o->moves];
}

/* ---- requests ---- */

/* The process may be gone by the time somebody asks, so its name is kept now. */
static void who_find(const struct api_request *rq, struct operate_who *ret)
{
    char path[64], program[32] = "";
    struct err ignored = {0}; /* gone already, or hidden: then the numbers must do */
    size_t len = 0;

    *ret = (struct operate_who){.uid = rq->peer.uid, .pid = (uint64_t)rq->peer.pid, .time_sec = (uint64_t)time(NULL)};
    (void)snprintf(path, sizeof(path), "/proc/%ld/comm", (long)rq->peer.pid);
    if (readfile_into(path, program, sizeof(program) - 1, &len, &ignored) < 0)
        len = 0;
    program[len] = '\0';
    program[strcspn(program, "\n")] = '\0';
    (void)snprintf(ret->text, sizeof(ret->text), "uid %" PRIu64 "%s%s%s", ret->uid, program[0] ? " (" : "",
                   text_show(program, strlen(program)).s, program[0] ? ")" : "");
}

static void reply_done(const struct operate *o, struct api_reply *ret, bool is_changed, const char *text)
{
    struct wire_done d = {.changed = is_changed, .save = WIRE_UNKNOWN};

    wire_text_copy(d.moves, sizeof(d.moves), moves_names[o->moves]);
    wire_text_copy(d.text, sizeof(d.text), text);
    wire_done_print(&ret->body, &d);
}

static void no_memory(struct api_reply *ret)
{
    api_reply_error(ret, 503, "free some memory of the host and try again", "no memory to remember it");
}

static bool paused_add(struct operate *o, const char *guest, const struct operate_who *who)
{
    size_t at = paused_position(o, guest);
    struct operate_paused *larger = realloc(o->paused, (o->paused_count + 1) * sizeof(*larger));

    if (!larger)
        return false;
    o->paused = larger;
    memmove(&larger[at + 1], &larger[at], (o->paused_count - at) * sizeof(*larger));
    larger[at] = (struct operate_paused){.who = *who};
    wire_text_copy(larger[at].guest, sizeof(larger[at].guest), guest);
    o->paused_count++;
    return true;
}

static void request_pause(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    struct operate_who who;
    char text[256];

    if (!engine_find(o->env.engine, rq->name)) {
        api_reply_no_guest(rq->source, rq->name, ret);
        return;
    }
    if (paused_find(o, rq->name)) {
        (void)snprintf(text, sizeof(text), "guest '%s' is paused already; ballast resume %s ends it", rq->name, rq->name);
        reply_done(o, ret, false, text);
        return;
    }
    who_find(rq, &who);
    if (o->paused_count >= OPERATE_PAUSED_MAX || !paused_add(o, rq->name, &who)) {
        no_memory(ret);
        return;
    }
    log_info("moves of guest '%s' are paused by %s", rq->name, who.text);
    o->env.changed(o->env.user);
    (void)snprintf(text, sizeof(text), "guest '%s' keeps its size until ballast resume %s; it is sampled on", rq->name,
                   rq->name);
    reply_done(o, ret, true, text);
}

static void request_resume(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    const struct operate_paused *p = paused_find(o, rq->name);
    struct operate_who who;
    char text[256];

    if (!p && !engine_find(o->env.engine, rq->name)) {
        api_reply_no_guest(rq->source, rq->name, ret);
        return;
    }
    if (p) {
        size_t at = (size_t)(p - o->paused);

        who_find(rq, &who);
        memmove(&o->paused[at], &o->paused[at + 1], (o->paused_count - at - 1) * sizeof(*p));
        o->paused_count--;
        log_info("moves of guest '%s' are resumed by %s", rq->name, who.text);
        o->env.changed(o->env.user);
    }
    (void)snprintf(text, sizeof(text), "guest '%s' %s%s", rq->name, p ? "is moved again" : "is not paused",
                   o->moves == OPERATE_MOVES_ON ? "" : "; but ballast is off for all guests: ballast on");
    reply_done(o, ret, p != NULL, text);
}

static void request_off(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    if (o->moves == OPERATE_MOVES_OFF) {
        reply_done(o, ret, false, "ballast is off already; ballast on ends it");
        return;
    }
    o->moves = OPERATE_MOVES_OFF;
    who_find(rq, &o->moves_who);
    log_info("ballast is off by %s: nothing moves until 'ballast on'", o->moves_who.text);
    o->env.changed(o->env.user);
    reply_done(o, ret, true, "all guests keep what they have; ballast on lets them be moved again");
}

static void request_on(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    bool is_changed = o->moves != OPERATE_MOVES_ON;
    char text[128];

    if (is_changed) {
        o->moves = OPERATE_MOVES_ON;
        who_find(rq, &o->moves_who);
        log_info("ballast is on again by %s", o->moves_who.text);
        o->env.changed(o->env.user);
    }
    (void)snprintf(text, sizeof(text), is_changed ? "guests are moved again" : "ballast is on already");
    if (o->paused_count)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
                       "; %zu paused by name stay so until ballast resume GUEST", o->paused_count);
    reply_done(o, ret, is_changed, text);
}

static void request_notify_test(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    struct notify_message m = {.event = NOTIFY_TEST, .severity = NOTIFY_OK, .state = "test",
                               .assigned_bytes = WIRE_UNKNOWN, .held_bytes = WIRE_UNKNOWN};
    struct wire_notify n = {0};
    struct operate_who who;
    uint64_t id;

    if (o->env.notify)
        notify_read(o->env.notify, &n);
    if (!n.command[0]) {
        api_reply_error(ret, 409, "write 'notify: {command: /etc/ballast/notify}' into the configuration, put a program there, "
                        "and reload ballastd (SIGHUP)", "no notify command is configured: nobody is ever told anything");
        return;
    }
    who_find(rq, &who);
    (void)snprintf(m.text, sizeof(m.text), "this is a test, asked for by %s: nothing is wrong", who.text);
    id = notify_send(o->env.notify, &m);
    if (id)
        wire_text_format(&ret->body, "{\"api\":1,\"id\":%" PRIu64 "}\n", id);
    else
        api_reply_error(ret, 503, "GET /v1/notify shows what became of the last one", "%" PRIu64 " messages wait for the "
                        "notify command already", n.waiting);
}

void operate_request(void *user, enum api_operation what, const struct api_request *rq, struct api_reply *ret)
{
    static void (*const functions[API_OPERATION_COUNT])(struct operate *, const struct api_request *,
                                                        struct api_reply *) = {
        [API_OPERATION_PAUSE] = request_pause,
        [API_OPERATION_RESUME] = request_resume,
        [API_OPERATION_OFF] = request_off,
        [API_OPERATION_ON] = request_on,
        [API_OPERATION_NOTIFY_TEST] = request_notify_test,
    };

    static const bool takes_members[API_OPERATION_COUNT] = {false};

    if (what == API_OPERATION_NONE || what >= API_OPERATION_COUNT || !functions[what])
        api_reply_error(ret, 501, "", "this ballastd can't do that");
    else if (!takes_members[what] && !api_body_read(rq, NULL, 0, NULL, NULL, ret))
        return;
    else
        functions[what](user, rq, ret);
}
