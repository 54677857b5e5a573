/* SPDX-License-Identifier: Apache-2.0 */
#include "replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is kept of a guest's inputs between two decisions, to show them: a guest has a handful. */
#define REPLAY_INPUTS_MAX (64U << 10)

struct replay_guest {
    struct guest core;
    uint32_t id;
    char name[RECORD_NAME_SIZE], identity[RECORD_NAME_SIZE];
    struct wire_text inputs; /* since the last decision, as recorded */
};

enum replay_phase { REPLAY_NOTHING, REPLAY_STARTED, REPLAY_HOST, REPLAY_RUNS, REPLAY_ENDED };

struct replay {
    enum replay_phase phase;
    struct host host;
    uint64_t now_usec;            /* time does not run backwards */
    struct replay_guest *by_id[RECORD_GUESTS_MAX]; /* NULL: no such guest */
    struct replay_guest **list;   /* count of them, in decide()'s order */
    struct guest **cores;         /* the same, as decide() wants them */
    size_t count, room;
    struct decide_scratch scratch; /* room entries each */
    struct record_line line;
    struct replay_report report;
};

int replay_new(struct replay **ret, struct err *e)
{
    struct replay *r = calloc(1, sizeof(*r));

    if (!r)
        return err_set(e, ENOMEM, "no memory to replay with");
    *ret = r;
    return 0;
}

static void replay_guest_free(struct replay_guest *g)
{
    wire_text_done(&g->inputs);
    free(g);
}

static void scratch_done(struct decide_scratch *s)
{
    free(s->levels);
    free(s->slots);
    free(s->weight);
    free(s->given_kib);
    free(s->order);
    *s = (struct decide_scratch){0};
}

struct replay *replay_free(struct replay *r)
{
    if (!r)
        return NULL;
    for (size_t i = 0; i < r->count; i++)
        replay_guest_free(r->list[i]);
    free(r->list);
    free(r->cores);
    scratch_done(&r->scratch);
    record_line_done(&r->line);
    wire_text_done(&r->report.first.inputs);
    free(r);
    return NULL;
}

const struct replay_report *replay_report(const struct replay *r)
{
    return &r->report;
}

/* ---- guests ---- */

static bool replay_grow(struct replay *r)
{
    size_t room = r->room ? 2 * r->room : 16;
    struct replay_guest **list = realloc(r->list, room * sizeof(struct replay_guest *));
    if (list)
        r->list = list;
    struct guest **cores = realloc(r->cores, room * sizeof(struct guest *));
    if (cores)
        r->cores = cores;
    if (!list || !cores)
        return false;
    struct decide_scratch s = {
        .levels = calloc(room, sizeof(*s.levels)),
        .slots = calloc(room, sizeof(*s.slots)),
        .weight = calloc(room, sizeof(*s.weight)),
        .given_kib = calloc(room, sizeof(*s.given_kib)),
        .order = calloc(room, sizeof(*s.order)),
    };
    if (!s.levels || !s.slots || !s.weight || !s.given_kib || !s.order) {
        scratch_done(&s);
        return false;
    }
    scratch_done(&r->scratch);
    r->scratch = s;
    r->room = room;
    return true;
}

static int replay_add(struct replay *r, struct err *e)
{
    const struct record_line *l = &r->line;

    if (r->by_id[l->guest])
        return err_set(e, EBADMSG, "guest %u is there already, as '%s'", l->guest, r->by_id[l->guest]->name);
    struct replay_guest *g = r->count < r->room || replay_grow(r) ? calloc(1, sizeof(*g)) : NULL;
    if (!g)
        return err_set(e, ENOMEM, "no memory for a guest more");
    g->id = l->guest;
    memcpy(g->name, l->name, sizeof(g->name));
    memcpy(g->identity, l->identity, sizeof(g->identity));
    g->core = l->state;

    size_t at = 0;
    while (at < r->count && record_compare(r->list[at]->identity, r->list[at]->name, g->identity, g->name) < 0)
        at++;
    memmove(&r->list[at + 1], &r->list[at], (r->count - at) * sizeof(*r->list));
    memmove(&r->cores[at + 1], &r->cores[at], (r->count - at) * sizeof(*r->cores));
    r->list[at] = g;
    r->cores[at] = &g->core;
    r->by_id[g->id] = g;
    r->count++;
    r->report.guests++;
    return 0;
}

static int replay_remove(struct replay *r, struct err *e)
{
    struct replay_guest *g = r->by_id[r->line.guest];
    size_t at = 0;

    if (!g)
        return err_set(e, EBADMSG, "there is no guest %u that could vanish", r->line.guest);
    while (r->list[at] != g)
        at++;
    r->count--;
    memmove(&r->list[at], &r->list[at + 1], (r->count - at) * sizeof(*r->list));
    memmove(&r->cores[at], &r->cores[at + 1], (r->count - at) * sizeof(*r->cores));
    r->by_id[g->id] = NULL;
    replay_guest_free(g);
    return 0;
}

static int replay_input(struct replay *r, const char *line, size_t length, struct err *e)
{
    struct replay_guest *g;

    if (r->line.input.kind == INPUT_APPEARED && replay_add(r, e) < 0)
        return -e->code;
    g = r->by_id[r->line.guest];
    if (!g)
        return err_set(e, EBADMSG, "there is no guest %u", r->line.guest);
    input_apply(&g->core, &r->line.input);
    r->report.inputs++;
    if (r->report.differ == 0 && g->inputs.length + length < REPLAY_INPUTS_MAX) {
        wire_text_add(&g->inputs, line, length);
        wire_text_adds(&g->inputs, "\n");
    }
    return 0;
}

/* ---- decisions ---- */

static struct record_order order_of(const struct record_line *l, uint32_t id)
{
    for (size_t i = 0; i < l->order_count; i++)
        if (l->orders[i].guest == id)
            return l->orders[i];
    return (struct record_order){.guest = id};
}

static struct record_order order_made(const struct replay_guest *g)
{
    const struct guest_verdict *v = &g->core.verdict;

    if (v->order == GUEST_ORDER_NONE)
        return (struct record_order){.guest = g->id};
    return (struct record_order){g->id, v->order, v->order_kib, v->reason};
}

static bool order_same(const struct record_order *a, const struct record_order *b)
{
    return a->order == b->order && a->order_kib == b->order_kib && a->reason == b->reason;
}

/* The first guest that came out otherwise: one whose order differs, else one whose numbers do. */
static const struct replay_guest *replay_culprit(const struct replay *r)
{
    const struct record_line *l = &r->line;

    for (size_t i = 0; i < r->count; i++) {
        struct record_order recorded = order_of(l, r->list[i]->id), made = order_made(r->list[i]);

        if (!order_same(&recorded, &made))
            return r->list[i];
    }
    for (size_t i = 0; i < r->count; i++)
        if (i >= l->digest_count || l->digests[i] != record_guest_digest(&r->list[i]->core))
            return r->list[i];
    return NULL;
}

static void replay_explain(struct replay *r, const char *line, size_t length)
{
    struct replay_difference *d = &r->report.first;
    const struct replay_guest *g = replay_culprit(r);
    const struct record_line *l = &r->line;

    d->line = r->report.lines;
    d->number = l->number;
    d->at_usec = l->at_usec > r->report.start.now_usec ? l->at_usec - r->report.start.now_usec : 0;
    d->why = l->why;
    d->capacity_kib = r->host.capacity_kib;
    if (g) {
        memcpy(d->guest, g->name, sizeof(d->guest));
        d->recorded = order_of(l, g->id);
        d->replayed = order_made(g);
        d->numbers_only = order_same(&d->recorded, &d->replayed);
        d->verdict = g->core.verdict;
        if (g->inputs.length)
            wire_text_add(&d->inputs, g->inputs.data, g->inputs.length);
    }
    wire_text_add(&d->inputs, line, length);
    wire_text_adds(&d->inputs, "\n");
}

/* All that came out is as it was recorded: orders in clear (they are written in the order of the guests), and by their sums
 * the numbers behind them. */
static bool replay_same(const struct replay *r)
{
    const struct record_line *l = &r->line;
    bool same = r->count == l->digest_count &&
                l->answer == record_answer(&r->host, (const struct guest *const *)r->cores, r->count);
    size_t orders = 0;

    for (size_t i = 0; same && i < r->count; i++) {
        struct record_order made = order_made(r->list[i]);

        same = l->digests[i] == record_guest_digest(&r->list[i]->core);
        if (made.order == GUEST_ORDER_NONE)
            continue;
        same = same && orders < l->order_count && l->orders[orders].guest == made.guest &&
               order_same(&l->orders[orders], &made);
        orders++;
    }
    return same && orders == l->order_count;
}

static void replay_decide(struct replay *r, const char *line, size_t length)
{
    const struct record_line *l = &r->line;

    if (l->has_config)
        r->host.config = l->host.config;
    r->host.seen = l->host.seen;
    (void)decide(&r->host, r->cores, r->count, l->why, l->at_usec, &r->scratch);
    r->report.decisions++;
    r->report.orders += l->order_count;
    if (!replay_same(r) && r->report.differ++ == 0)
        replay_explain(r, line, length);
    for (size_t i = 0; i < r->count; i++)
        r->list[i]->inputs.length = 0;
}

/* ---- lines ---- */

/* Which lines may stand where. */
static bool replay_expects(const struct replay *r, enum record_kind kind)
{
    switch (kind) {
    case RECORD_START:
        return r->phase == REPLAY_NOTHING;
    case RECORD_HOST:
        return r->phase == REPLAY_STARTED;
    case RECORD_GUEST:
    case RECORD_BEGIN:
        return r->phase == REPLAY_HOST;
    case RECORD_INPUT:
    case RECORD_VANISHED:
    case RECORD_DECIDE:
    case RECORD_CONFIG:
    case RECORD_END:
        return r->phase == REPLAY_RUNS;
    case RECORD_KIND_COUNT:
        break;
    }
    return false;
}

static int replay_begin(struct replay *r, struct err *e)
{
    if (r->line.count != r->count)
        return err_set(e, EBADMSG, "%zu guests came, and not the %llu there should be", r->count,
                       (unsigned long long)r->line.count);
    r->phase = REPLAY_RUNS;
    return 0;
}

static int replay_take(struct replay *r, const char *line, size_t length, struct err *e)
{
    struct record_line *l = &r->line;
    bool timed = l->kind == RECORD_INPUT || l->kind == RECORD_VANISHED || l->kind == RECORD_DECIDE;

    if (!replay_expects(r, l->kind))
        return err_set(e, EBADMSG, r->phase == REPLAY_NOTHING ? "it is not the beginning of a record"
                                                              : "it can't stand here: the record is cut or mixed up");
    if (timed && l->at_usec < r->now_usec)
        return err_set(e, EBADMSG, "its time lies before that of the line before");
    if (timed)
        r->now_usec = l->at_usec;
    switch (l->kind) {
    case RECORD_START:
        r->report.start = l->start;
        memcpy(r->report.config_hash, l->start.config_hash, sizeof(r->report.config_hash));
        r->phase = REPLAY_STARTED;
        return 0;
    case RECORD_HOST:
        r->host = l->host;
        r->phase = REPLAY_HOST;
        return 0;
    case RECORD_GUEST:
        return replay_add(r, e);
    case RECORD_BEGIN:
        return replay_begin(r, e);
    case RECORD_INPUT:
        return replay_input(r, line, length, e);
    case RECORD_VANISHED:
        return replay_remove(r, e);
    case RECORD_DECIDE:
        replay_decide(r, line, length);
        return 0;
    case RECORD_CONFIG:
        r->report.reconfigured++;
        wire_text_copy(r->report.config_hash, sizeof(r->report.config_hash), l->text);
        return 0;
    case RECORD_END:
        r->report.ended = true;
        wire_text_copy(r->report.end, sizeof(r->report.end), l->text);
        r->phase = REPLAY_ENDED;
        return 0;
    case RECORD_KIND_COUNT:
        break;
    }
    return 0;
}

int replay_line(struct replay *r, const char *line, size_t length, struct err *e)
{
    r->report.lines++;
    int code = record_line_parse(line, length, &r->line, e);
    if (code >= 0)
        code = replay_take(r, line, length, e);
    record_line_done(&r->line);
    return code < 0 ? err_wrap(e, "line %llu", (unsigned long long)r->report.lines) : 0;
}
