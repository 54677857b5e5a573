/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api_body.h"
#include "log.h"
#include "operate_private.h"
#include "readfile.h"
#include "text.h"

int operate_new(const struct operate_env *env, struct operate **ret, struct err *e)
{
    struct operate *o = calloc(1, sizeof(*o));

    if (!o)
        return err_set(e, ENOMEM, "no memory for what operators ask for");
    o->env = *env;
    operate_restore(o);
    operate_reload(o);
    *ret = o;
    return 0;
}

struct operate *operate_free(struct operate *o)
{
    if (!o)
        return NULL;
    operate_sets_free(o);
    free(o->paused);
    free(o);
    return NULL;
}

static const char *const moves_names[OPERATE_MOVES_COUNT] = {"on", "off", "release"};

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
    if (o->moves == OPERATE_MOVES_RELEASE)
        return GUEST_HOLD_RELEASE;
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

void operate_who_text(const struct operate *o, const struct operate_who *who, char *to, size_t size)
{
    char user[KEEPER_USER_SIZE], when[32];

    keeper_user(o->env.keeper, who->uid, user);
    (void)snprintf(to, size, "%s%s%s%s since %s", user, who->program[0] ? " (" : "",
                   text_show(who->program, strlen(who->program)).s, who->program[0] ? ")" : "",
                   when_text(who->time_sec, when));
}

void operate_hold_text(const struct operate *o, const char *guest, char *to, size_t size)
{
    const struct operate_paused *p = paused_find(o, guest);
    char who[160];

    to[0] = '\0';
    if (o->moves == OPERATE_MOVES_OFF) {
        operate_who_text(o, &o->moves_who, who, sizeof(who));
        (void)snprintf(to, size, "ballast is off for all guests (by %s): ballast on", o->damaged[0] ? "itself" : who);
    } else if (p) {
        operate_who_text(o, &p->who, who, sizeof(who));
        (void)snprintf(to, size, "its moves are paused by %s: ballast resume %s", who, guest);
    }
}

const char *operate_moves(const struct operate *o, char *to, size_t size)
{
    char who[160];

    to[0] = '\0';
    operate_who_text(o, &o->moves_who, who, sizeof(who));
    if (o->damaged[0])
        (void)snprintf(to, size, "ballast is off: %s; ballast on ends it", o->damaged);
    else if (o->moves == OPERATE_MOVES_OFF)
        (void)snprintf(to, size, "ballast is off: nothing moves (by %s); ballast on ends it", who);
    else if (o->moves == OPERATE_MOVES_RELEASE)
        (void)snprintf(to, size, "all memory was given back and ballast is off (release by %s); ballast on ends it", who);
    return moves_names[o->moves];
}

bool operate_moves_parse(const char *name, enum operate_moves_kind *ret)
{
    for (unsigned i = 0; i < OPERATE_MOVES_COUNT; i++) {
        if (strcmp(moves_names[i], name) != 0)
            continue;
        *ret = (enum operate_moves_kind)i;
        return true;
    }
    return false;
}

/* ---- requests ---- */

void operate_who_find(const struct api_request *rq, struct operate_who *ret)
{
    struct err ignored = {0}; /* gone already, or hidden: then the numbers must do */
    char path[64];
    size_t len = 0;

    *ret = (struct operate_who){.uid = rq->peer.uid, .pid = (uint64_t)rq->peer.pid, .time_sec = (uint64_t)time(NULL)};
    (void)snprintf(path, sizeof(path), "/proc/%ld/comm", (long)rq->peer.pid);
    if (readfile_into(path, ret->program, sizeof(ret->program) - 1, &len, &ignored) < 0)
        len = 0;
    ret->program[len] = '\0';
    ret->program[strcspn(ret->program, "\n")] = '\0';
}

void operate_audit(struct operate *o, const struct operate_who *who, const char *what, const char *guest, const char *more)
{
    struct wire_text t = {0};

    if (!o->env.keeper)
        return;
    wire_text_format(&t, "\"pid\":%" PRIu64 ",\"program\":", who->pid);
    wire_text_string(&t, who->program);
    wire_text_format(&t, ",\"what\":\"%s\",\"guest\":", what);
    if (guest)
        wire_text_string(&t, guest);
    else
        wire_text_adds(&t, "null");
    wire_text_adds(&t, more);
    if (!t.failed) /* the log has a line about it in any case */
        keeper_audit(o->env.keeper, who->uid, who->time_sec, t.data);
    wire_text_done(&t);
}

void operate_reply(const struct operate *o, struct wire_done *d, struct api_reply *ret)
{
    wire_text_copy(d->moves, sizeof(d->moves), moves_names[o->moves]);
    wire_done_print(&ret->body, d);
}

void operate_reply_same(const struct operate *o, const char *text, struct api_reply *ret)
{
    struct wire_done d = {.save = WIRE_UNKNOWN};

    wire_text_copy(d.text, sizeof(d.text), text);
    operate_reply(o, &d, ret);
}

/* Something changed: it is kept, the engine asks anew, and the answer says so. */
static void reply_changed(struct operate *o, struct api_reply *ret, const char *text)
{
    struct wire_done d = {.changed = true, .save = WIRE_UNKNOWN};

    wire_text_copy(d.text, sizeof(d.text), text);
    operate_keep(o, &d);
    o->env.changed(o->env.user);
    operate_reply(o, &d, ret);
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
        operate_reply_same(o, text, ret);
        return;
    }
    operate_who_find(rq, &who);
    if (o->paused_count >= OPERATE_GUESTS_MAX || !paused_add(o, rq->name, &who)) {
        no_memory(ret);
        return;
    }
    log_info("moves of guest '%s' are paused by uid %" PRIu64 " (%s)", rq->name, who.uid, who.program);
    operate_audit(o, &who, "pause", rq->name, "");
    (void)snprintf(text, sizeof(text), "guest '%s' keeps its size until ballast resume %s; it is sampled on", rq->name,
                   rq->name);
    reply_changed(o, ret, text);
}

static void request_resume(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    const struct operate_paused *p = paused_find(o, rq->name);
    const char *but = o->moves == OPERATE_MOVES_ON ? "" : "; but ballast is off for all guests: ballast on";
    struct operate_who who;
    char text[256];

    if (!p && !engine_find(o->env.engine, rq->name)) {
        api_reply_no_guest(rq->source, rq->name, ret);
        return;
    }
    (void)snprintf(text, sizeof(text), "guest '%s' %s%s", rq->name, p ? "is moved again" : "is not paused", but);
    if (!p) {
        operate_reply_same(o, text, ret);
        return;
    }
    size_t at = (size_t)(p - o->paused);
    operate_who_find(rq, &who);
    memmove(&o->paused[at], &o->paused[at + 1], (o->paused_count - at - 1) * sizeof(*p));
    o->paused_count--;
    log_info("moves of guest '%s' are resumed by uid %" PRIu64 " (%s)", rq->name, who.uid, who.program);
    operate_audit(o, &who, "resume", rq->name, "");
    reply_changed(o, ret, text);
}

void operate_moves_change(struct operate *o, const struct api_request *rq, enum operate_moves_kind moves, const char *text,
                          struct api_reply *ret)
{
    o->moves = moves;
    o->damaged[0] = '\0';
    operate_who_find(rq, &o->moves_who);
    log_info("moves are '%s' from now on, by uid %" PRIu64 " (%s)", moves_names[moves], o->moves_who.uid,
             o->moves_who.program);
    operate_audit(o, &o->moves_who, moves_names[moves], NULL, "");
    reply_changed(o, ret, text);
}

static void request_off(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    if (o->moves == OPERATE_MOVES_OFF && !o->damaged[0]) {
        operate_reply_same(o, "ballast is off already; ballast on ends it", ret);
        return;
    }
    operate_moves_change(o, rq, OPERATE_MOVES_OFF, "all guests keep what they have, also over a restart; ballast on lets them "
                         "be moved again", ret);
}

static void request_on(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    bool is_changed = o->moves != OPERATE_MOVES_ON;
    char text[128], paused[80] = "";

    if (o->paused_count)
        (void)snprintf(paused, sizeof(paused), "; %zu paused by name stay so until ballast resume GUEST", o->paused_count);
    (void)snprintf(text, sizeof(text), "%s%s", is_changed ? "guests are moved again" : "ballast is on already", paused);
    if (!is_changed) {
        operate_reply_same(o, text, ret);
        return;
    }
    operate_moves_change(o, rq, OPERATE_MOVES_ON, text, ret);
}

/* How far files are written, and what is paused: for clients that wait for --save. */
static void request_state(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    struct wire_moves m = {.saved = WIRE_UNKNOWN};

    (void)rq;
    wire_text_copy(m.moves, sizeof(m.moves), operate_moves(o, m.moves_text, sizeof(m.moves_text)));
    if (o->env.keeper)
        m.saved = keeper_saved(o->env.keeper, m.save_trouble, sizeof(m.save_trouble));
    else
        wire_text_copy(m.save_trouble, sizeof(m.save_trouble), o->env.unkept);
    wire_moves_begin(&ret->body, &m);
    for (size_t i = 0; i < o->paused_count; i++)
        wire_moves_paused(&ret->body, o->paused[i].guest, i == 0);
    wire_moves_end(&ret->body);
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
    operate_who_find(rq, &who);
    operate_audit(o, &who, "notify-test", NULL, "");
    (void)snprintf(m.text, sizeof(m.text), "this is a test, asked for by uid %" PRIu64 " (%s): nothing is wrong", who.uid,
                   who.program);
    id = notify_send(o->env.notify, &m);
    if (id)
        wire_text_format(&ret->body, "{\"api\":1,\"id\":%" PRIu64 "}\n", id);
    else
        api_reply_error(ret, 503, "GET /v1/notify shows what became of the last one", "%" PRIu64 " messages wait for the "
                        "notify command already", n.waiting);
}

void operate_request(void *user, enum api_operation what, const struct api_request *rq, struct api_reply *ret)
{
    static const struct {
        void (*function)(struct operate *o, const struct api_request *rq, struct api_reply *ret);
        bool takes_members; /* and reads them by itself */
    } operations[API_OPERATION_COUNT] = {
        [API_OPERATION_MOVES] = {request_state, true},
        [API_OPERATION_PAUSE] = {request_pause, false},
        [API_OPERATION_RESUME] = {request_resume, false},
        [API_OPERATION_OFF] = {request_off, false},
        [API_OPERATION_ON] = {request_on, false},
        [API_OPERATION_SET] = {operate_request_set, true},
        [API_OPERATION_RELEASE] = {operate_request_release, false},
        [API_OPERATION_RELEASE_LEFT] = {operate_request_release_left, true},
        [API_OPERATION_RESERVE] = {operate_request_reserve, true},
        [API_OPERATION_RESERVATIONS] = {operate_request_reservations, true},
        [API_OPERATION_RESERVATION] = {operate_request_reservation, true},
        [API_OPERATION_RESERVE_CANCEL] = {operate_request_reserve_cancel, false},
        [API_OPERATION_NOTIFY_TEST] = {request_notify_test, false},
    };

    if (what >= API_OPERATION_COUNT || !operations[what].function)
        api_reply_error(ret, 501, "", "this ballastd can't do that");
    else if (operations[what].takes_members || api_body_read(rq, NULL, 0, NULL, NULL, ret))
        operations[what].function(user, rq, ret);
}
