/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy_defaults.h"
#include "record.h"

#define RECORDER_LAST_LINE 256 /* always kept for it */

struct recorder {
    struct recorder_env env;
    uint64_t id;              /* of the recording there is or was */
    bool running;
    uid_t uid;                /* who started it */
    uint64_t started_usec, fetched_usec, now_usec;
    char *room;               /* ring; NULL: there is no recording */
    size_t size;
    uint64_t begin, end;      /* bytes of the record that are in it */
    uint64_t decisions;
    struct host_config config; /* as the last line has it */
    uint64_t config_hash;
    struct wire_text line;
    const struct guest **guests; /* scratch for a decision, guests_max each */
    uint32_t *ids;
};

int recorder_new(const struct recorder_env *env, struct recorder **ret, struct err *e)
{
    struct recorder *r = calloc(1, sizeof(*r));

    if (!r)
        return err_set(e, ENOMEM, "no memory to record with");
    r->env = *env;
    *ret = r;
    return 0;
}

static void room_free(struct recorder *r)
{
    free(r->room);
    free(r->guests);
    free(r->ids);
    wire_text_done(&r->line);
    r->room = NULL;
    r->guests = NULL;
    r->ids = NULL;
    r->running = false;
}

struct recorder *recorder_free(struct recorder *r)
{
    if (r)
        room_free(r);
    free(r);
    return NULL;
}

/* ---- the ring ---- */

static void room_put(struct recorder *r, const char *data, size_t length)
{
    size_t at = (size_t)(r->end % r->size);
    size_t first = length < r->size - at ? length : r->size - at;

    memcpy(r->room + at, data, first);
    memcpy(r->room, data + first, length - first);
    r->end += length;
}

void recorder_stop(struct recorder *r, const char *reason)
{
    char last[RECORDER_LAST_LINE];
    struct wire_text t = {0};

    if (!r->running)
        return;
    r->running = false;
    record_print_end(&t, reason, r->decisions);
    if (!t.failed && t.length < sizeof(last))
        room_put(r, t.data, t.length);
    wire_text_done(&t);
}

/* Takes over the line that was printed, as far as there is room. */
static void line_put(struct recorder *r)
{
    if (r->line.failed)
        recorder_stop(r, "lost: ballastd had no memory for more");
    else if (r->end - r->begin + r->line.length > r->size - RECORDER_LAST_LINE)
        recorder_stop(r, "lost: its reader was too slow");
    else
        room_put(r, r->line.data, r->line.length);
    r->line.length = 0;
}

/* ---- start ---- */

static const char *identity_of(const struct engine_guest *g)
{
    return g->vm->uuid[0] ? g->vm->uuid : g->vm->name;
}

static void state_print(struct recorder *r, uint64_t now_usec, uint64_t wall_sec, struct wire_text *t)
{
    const struct engine *engine = r->env.engine;
    const struct host *h = engine_host(engine);
    size_t n = engine_count(engine);
    struct record_start start = {
        .record = RECORD_VERSION, .policy_version = POLICY_VERSION, .wall_sec = wall_sec, .now_usec = now_usec};

    r->config = h->config;
    r->config_hash = *r->env.config_hash;
    (void)snprintf(start.config_hash, sizeof(start.config_hash), "%016" PRIx64, r->config_hash);
    wire_text_copy(start.version, sizeof(start.version), BALLAST_VERSION);
    wire_text_copy(start.host_name, sizeof(start.host_name), r->env.host_name);
    record_print_start(t, &start);
    record_print_host(t, h);
    for (size_t i = 0; i < n && t->length <= RECORDER_STATE_MAX; i++) {
        const struct engine_guest *g = engine_guest_at(engine, i);

        record_print_guest(t, g->id, g->vm->name, identity_of(g), &g->core);
    }
    record_print_begin(t, n);
}

static bool room_take(struct recorder *r, const struct wire_text *state)
{
    r->size = state->length + RECORDER_ROOM;
    r->room = malloc(r->size);
    r->guests = calloc(r->env.guests_max, sizeof(const struct guest *));
    r->ids = calloc(r->env.guests_max, sizeof(*r->ids));
    if (!r->room || !r->guests || !r->ids || state->failed) {
        room_free(r);
        return false;
    }
    r->begin = r->end = 0;
    room_put(r, state->data, state->length);
    return true;
}

int64_t recorder_start(struct recorder *r, uid_t uid, uint64_t now_usec, uint64_t wall_sec, struct err *e)
{
    struct wire_text state = {0};
    int code = 0;

    if (r->running && now_usec < r->fetched_usec + RECORDER_PATIENCE_USEC)
        return err_set(e, EBUSY, "a recording of uid %u runs already, for %llu s", (unsigned)r->uid,
                       (now_usec - r->started_usec) / USEC_PER_SEC);
    room_free(r);
    state_print(r, now_usec, wall_sec, &state);
    if (state.length > RECORDER_STATE_MAX)
        code = err_set(e, E2BIG, "%zu guests are more than can be recorded", engine_count(r->env.engine));
    else if (!room_take(r, &state))
        code = err_set(e, ENOMEM, "no memory for a record");
    wire_text_done(&state);
    if (code < 0)
        return code;
    r->running = true;
    r->uid = uid;
    r->started_usec = r->fetched_usec = now_usec;
    r->decisions = 0;
    return (int64_t)++r->id;
}

/* ---- what happens ---- */

void recorder_input(struct recorder *r, const struct engine_guest *g, const struct input *in)
{
    if (!r->running)
        return;
    r->now_usec = in->now_usec;
    record_print_input(&r->line, g->id, g->vm->name, identity_of(g), in);
    line_put(r);
}

void recorder_vanished(struct recorder *r, const struct engine_guest *g)
{
    if (!r->running)
        return;
    record_print_vanished(&r->line, g->id, r->now_usec);
    line_put(r);
}

static void config_put(struct recorder *r)
{
    char hash[20];

    if (r->config_hash == *r->env.config_hash)
        return;
    r->config_hash = *r->env.config_hash;
    (void)snprintf(hash, sizeof(hash), "%016" PRIx64, r->config_hash);
    record_print_config(&r->line, hash);
    line_put(r);
}

void recorder_decided(struct recorder *r, enum decide_why why, uint64_t now_usec)
{
    if (r->room && now_usec > r->fetched_usec + RECORDER_PATIENCE_USEC)
        room_free(r); /* its reader is gone: so is the memory */
    if (!r->running)
        return;
    config_put(r);
    if (!r->running)
        return;
    const struct host *h = engine_host(r->env.engine);
    size_t n = engine_count(r->env.engine);
    for (size_t i = 0; i < n; i++) {
        const struct engine_guest *g = engine_guest_at(r->env.engine, i);

        r->guests[i] = &g->core;
        r->ids[i] = g->id;
    }
    bool with_config = memcmp(&r->config, &h->config, sizeof(r->config)) != 0;
    r->config = h->config;
    r->now_usec = now_usec;
    r->decisions++;
    record_print_decide(&r->line, why, now_usec, h, with_config, r->guests, r->ids, n);
    line_put(r);
}

/* ---- fetching ---- */

bool recorder_has(const struct recorder *r, uint64_t id)
{
    return r->room && id == r->id;
}

int recorder_read(struct recorder *r, uint64_t id, uint64_t from, uint64_t now_usec, struct wire_text *out,
                  bool *ret_ended, struct err *e)
{
    if (!recorder_has(r, id))
        return err_set(e, ESRCH, "there is no recording %" PRIu64 ": it was not fetched for %llu s, or ballastd was "
                       "restarted", id, RECORDER_PATIENCE_USEC / USEC_PER_SEC);
    if (from < r->begin || from > r->end)
        return err_set(e, ERANGE, "recording %" PRIu64 " has bytes %" PRIu64 " to %" PRIu64 ", not %" PRIu64, id, r->begin,
                       r->end, from);
    size_t length = r->end - from < RECORDER_PIECE ? (size_t)(r->end - from) : RECORDER_PIECE;
    size_t at = (size_t)(from % r->size);
    size_t first = length < r->size - at ? length : r->size - at;

    r->begin = from;
    r->fetched_usec = now_usec;
    wire_text_add(out, r->room + at, first);
    wire_text_add(out, r->room, length - first);
    *ret_ended = !r->running && from + length == r->end;
    return 0;
}
