/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_body.h"
#include "log.h"
#include "operate_private.h"
#include "text.h"
#include "units.h"
#include "wire_field.h"

/* `ballast reserve`: the engine keeps reservations (engine_reserve.h); here they are asked for and told of. */

#define KEEPERS_LISTED 4 /* guests named that could give no more: those that keep most */
#define SIZE_MAX_BYTES (1ULL << 56)

struct reserve_body {
    uint64_t size_bytes, expires_ms, gather_ms;
    bool max;
    char guest[WIRE_NAME_SIZE];
};

static const struct wire_field body_fields[] = {
    WIRE_FIELD(reserve_body, U64, size_bytes), WIRE_FIELD(reserve_body, U64, expires_ms),
    WIRE_FIELD(reserve_body, U64, gather_ms),  WIRE_FIELD(reserve_body, BOOL, max),
    WIRE_FIELD(reserve_body, TEXT, guest),
};

/* "guests keep what they need: db 1.50 GiB, web1 300 MiB and 3 more" */
static void keepers_list(const struct operate *o, char *to, size_t size)
{
    const struct engine *engine = o->env.engine;
    size_t n = engine_count(engine), used, listed = 0;
    uint64_t below = UINT64_MAX;

    used = (size_t)snprintf(to, size, n ? "guests keep what they need:" : "no guest can give anything: there is none");
    for (; listed < KEEPERS_LISTED && listed < n; listed++) {
        const struct engine_guest *most = NULL;
        uint64_t most_kib = 0;

        for (size_t i = 0; i < n; i++) { /* the next one below the last; of equals one is named */
            const struct engine_guest *g = engine_guest_at(engine, i);
            uint64_t kib = engine_reserve_keeps_kib(&g->core);

            if (kib < below && (!most || kib > most_kib)) {
                most = g;
                most_kib = kib;
            }
        }
        if (!most || used >= size)
            break;
        below = most_kib;
        used += (size_t)snprintf(to + used, size - used, "%s '%s' %s", listed ? "," : "", most->vm->name,
                                 units_show_kib(most_kib).s);
    }
    if (listed < n && used < size)
        (void)snprintf(to + used, size - used, " and %zu more", n - listed);
}

static void text_of(const struct operate *o, const struct reserve *r, char *to, size_t size)
{
    const char *who = r->guest[0] ? r->guest : "the first new guest that fits";

    switch (r->state) {
    case RESERVE_GATHERING:
        (void)snprintf(to, size, "%s of %s are there; guests give the rest", units_show_kib(r->kib - r->missing_kib).s,
                       units_show_kib(r->kib).s);
        return;
    case RESERVE_HELD:
        (void)snprintf(to, size, "%s are held for %s; ballast reserve --cancel %" PRIu64 " gives them back",
                       units_show_kib(r->kib).s, who, r->id);
        return;
    case RESERVE_CLAIMED:
        (void)snprintf(to, size, "guest '%s' got it", r->claimed_by);
        return;
    case RESERVE_EXPIRED:
        (void)snprintf(to, size, "nobody came for it: guests have it again");
        return;
    case RESERVE_CANCELLED:
        (void)snprintf(to, size, "cancelled: guests have it again");
        return;
    case RESERVE_FAILED:
        (void)snprintf(to, size, "%s of %s were missing in the end: guests have it again", units_show_kib(r->missing_kib).s,
                       units_show_kib(r->kib).s);
        for (size_t i = 0; i < RESERVE_MAX; i++)
            if (o->fell_short[i].id == r->id)
                wire_text_copy(to, size, o->fell_short[i].text);
        return;
    case RESERVE_FREE:
    case RESERVE_STATE_COUNT:
        break;
    }
    to[0] = '\0';
}

static void row_fill(const struct operate *o, const struct reserve *r, struct wire_reservation *ret)
{
    uint64_t now = o->env.now_usec(), until = 0;

    *ret = (struct wire_reservation){
        .id = r->id,
        .size_bytes = r->kib * 1024,
        .asked_bytes = r->asked_kib ? r->asked_kib * 1024 : WIRE_UNKNOWN,
        .missing_bytes = r->missing_kib * 1024,
        .left_ms = WIRE_UNKNOWN,
    };
    wire_text_copy(ret->state, sizeof(ret->state), reserve_state_text(r->state));
    wire_text_copy(ret->guest, sizeof(ret->guest), r->guest);
    wire_text_copy(ret->claimed_by, sizeof(ret->claimed_by), r->claimed_by);
    if (r->state == RESERVE_GATHERING)
        until = r->gathered_by_usec;
    else if (r->state == RESERVE_HELD)
        until = r->held_usec + r->keep_usec;
    if (until)
        ret->left_ms = until > now ? (until - now) / 1000 : 0;
    text_of(o, r, ret->text, sizeof(ret->text));
}

void operate_reserved(struct operate *o, const struct reserve *r)
{
    struct operate_fell_short *f = &o->fell_short[o->fell_short_next % RESERVE_MAX];
    char keepers[256];

    if (r->state == RESERVE_FAILED) { /* said as it is now: in a minute they will need something else */
        keepers_list(o, keepers, sizeof(keepers));
        f->id = r->id;
        (void)snprintf(f->text, sizeof(f->text), "%s of %s were missing in the end, so guests have all of it again; %s",
                       units_show_kib(r->missing_kib).s, units_show_kib(r->kib).s, keepers);
        o->fell_short_next++;
    }
    log_info("reservation %" PRIu64 " of %s%s%s%s is %s%s%s", r->id, units_show_kib(r->kib).s, r->guest[0] ? " for '" : "",
             r->guest, r->guest[0] ? "'" : "", reserve_state_text(r->state), r->claimed_by[0] ? " by guest " : "",
             r->claimed_by);
}

static bool body_check(const struct reserve_body *b, struct api_reply *ret)
{
    const char *hint = "send {\"size_bytes\":536870912}, or {\"max\":true} for as much as there is";

    if (b->size_bytes == WIRE_UNKNOWN && !b->max)
        api_reply_error(ret, 400, hint, "a reservation needs a size");
    else if (b->size_bytes != WIRE_UNKNOWN && (b->size_bytes < 1024 || b->size_bytes > SIZE_MAX_BYTES))
        api_reply_error(ret, 400, hint, "a size of %" PRIu64 " bytes can't be reserved", b->size_bytes);
    else if (b->guest[0] && !text_is_name(b->guest, strlen(b->guest)))
        api_reply_error(ret, 400, "name the guest as its monitor will be named", "'%s' can't be the name of a guest",
                        text_show(b->guest, strlen(b->guest)).s);
    else if (b->expires_ms != WIRE_UNKNOWN && b->expires_ms > RESERVE_EXPIRES_MAX_USEC / 1000)
        api_reply_error(ret, 400, "", "a reservation lasts a day at most");
    else if (b->gather_ms != WIRE_UNKNOWN && (b->gather_ms > RESERVE_EXPIRES_MAX_USEC / 1000 || !b->gather_ms))
        api_reply_error(ret, 400, "", "guests are waited for for 1 ms to a day");
    else
        return true;
    return false;
}

static uint64_t usec_of(uint64_t ms)
{
    return ms == WIRE_UNKNOWN ? 0 : ms * 1000;
}

void operate_request_reserve(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    struct engine_reserve_request ask = {0};
    struct wire_reservation row;
    struct reserve_body b;
    struct operate_who who;
    struct err e = {0};
    char keepers[WIRE_ERROR_TEXT_SIZE], more[128];
    uint64_t id = 0;

    if (!api_body_read(rq, body_fields, sizeof(body_fields) / sizeof(body_fields[0]), NULL, &b, ret) || !body_check(&b, ret))
        return;
    if (o->env.dry_run) {
        api_reply_error(ret, 409, "start ballastd without --dry-run", "this ballastd moves nothing (dry run)");
        return;
    }
    ask = (struct engine_reserve_request){.kib = b.size_bytes == WIRE_UNKNOWN ? 0 : b.size_bytes / 1024, .most = b.max,
                                          .guest = b.guest, .keep_usec = usec_of(b.expires_ms),
                                          .gather_usec = usec_of(b.gather_ms)};
    if (engine_reserve(o->env.engine, &ask, o->env.now_usec(), &id, &e) < 0) {
        keepers_list(o, keepers, sizeof(keepers));
        api_reply_error(ret, e.code == EINVAL ? 400 : 409, e.code == ENOSPC ? keepers : "try again in a moment", "%s", e.text);
        return;
    }
    operate_who_find(rq, &who);
    row_fill(o, engine_reserve_find(o->env.engine, id), &row);
    (void)snprintf(more, sizeof(more), ",\"id\":%" PRIu64 ",\"size_bytes\":%" PRIu64, id, row.size_bytes);
    operate_audit(o, &who, "reserve", b.guest[0] ? b.guest : NULL, more);
    wire_reservation_print(&ret->body, &row);
    wire_text_adds(&ret->body, "\n");
}

void operate_request_reservations(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    const struct reserve *list = engine_reserve_list(o->env.engine);
    uint64_t after = 0;
    bool first = true;

    (void)rq;
    wire_text_adds(&ret->body, "{\"reservations\":[");
    for (;;) { /* by number: as they were made */
        const struct reserve *next = NULL;
        struct wire_reservation row;

        for (size_t i = 0; i < RESERVE_MAX; i++)
            if (list[i].state != RESERVE_FREE && list[i].id > after && (!next || list[i].id < next->id))
                next = &list[i];
        if (!next)
            break;
        after = next->id;
        row_fill(o, next, &row);
        wire_text_adds(&ret->body, first ? "\n" : ",\n");
        wire_reservation_print(&ret->body, &row);
        first = false;
    }
    wire_text_adds(&ret->body, "]}\n");
}

/* The reservation of the path; NULL: the reply says that there is none. */
static const struct reserve *reserve_named(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    const struct reserve *r = NULL;
    char *end = NULL;
    uint64_t id;

    errno = 0;
    id = strtoull(rq->name, &end, 10);
    if (rq->name[0] >= '1' && rq->name[0] <= '9' && !*end && !errno)
        r = engine_reserve_find(o->env.engine, id);
    if (!r)
        api_reply_error(ret, 404, "ballast reserve lists them", "there is no reservation '%s'",
                        text_show(rq->name, strlen(rq->name)).s);
    return r;
}

void operate_request_reservation(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    const struct reserve *r = reserve_named(o, rq, ret);
    struct wire_reservation row;

    if (!r)
        return;
    row_fill(o, r, &row);
    wire_reservation_print(&ret->body, &row);
    wire_text_adds(&ret->body, "\n");
}

void operate_request_reserve_cancel(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    const struct reserve *r = reserve_named(o, rq, ret);
    struct wire_done d = {.save = WIRE_UNKNOWN};
    struct operate_who who;
    struct err e = {0};
    char more[64];

    if (!r)
        return;
    if (engine_reserve_cancel(o->env.engine, r->id, o->env.now_usec(), &e) < 0) {
        operate_reply_same(o, e.text, ret);
        return;
    }
    operate_who_find(rq, &who);
    (void)snprintf(more, sizeof(more), ",\"id\":%" PRIu64, r->id);
    operate_audit(o, &who, "reserve-cancel", r->guest[0] ? r->guest : NULL, more);
    d.changed = true;
    (void)snprintf(d.text, sizeof(d.text), "reservation %" PRIu64 " is cancelled: guests have its %s again", r->id,
                   units_show_kib(r->kib).s);
    operate_reply(o, &d, ret);
}
