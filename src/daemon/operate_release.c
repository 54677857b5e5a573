/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "operate_private.h"
#include "units.h"

/* `ballast release --all`: every guest gets back all it booted with, as far as the host has it, and nothing is taken any more.
 * The core does it (GUEST_HOLD_RELEASE); here is told how far it is. */

/* A page or two that a balloon keeps are nothing to wait for. */
#define RELEASE_REST_KIB 1024
/* With less to give there is nothing to wait for either: grants come in parts of this size. */
#define RELEASE_LEAST_KIB (4 * 1024)

void operate_request_release(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    if (o->env.dry_run)
        api_reply_error(ret, 409, "start ballastd without --dry-run", "this ballastd moves nothing (dry run)");
    else if (o->moves == OPERATE_MOVES_RELEASE)
        operate_reply_same(o, "all memory is being given back already; ballast on ends it", ret);
    else
        operate_moves_change(o, rq, OPERATE_MOVES_RELEASE, "every guest gets all its memory back, as far as there is; nothing is "
                             "taken any more until ballast on", ret);
}

static uint64_t lacks_kib(const struct guest *g)
{
    uint64_t whole = guest_released_kib(g), assigned = guest_assigned_kib(g);

    return whole > assigned ? whole - assigned : 0;
}

static void say(struct wire_release_left *ret, bool final, const char *why)
{
    ret->final = final;
    wire_text_copy(ret->why, sizeof(ret->why), why);
}

/* Why it has not got all of it; `final`: that does not change by waiting. */
static void left_explain(const struct operate *o, const struct engine_guest *g, struct wire_release_left *ret)
{
    const struct host *h = engine_host(o->env.engine);
    uint32_t flags = g->core.verdict.flags;
    char why[WIRE_REASON_SIZE];

    if (!g->core.levers.time_usec)
        say(ret, false, "its monitor has not told its size yet");
    else if (g->core.config.mode == GUEST_MODE_WATCH || g->core.config.mode == GUEST_MODE_OFF)
        say(ret, true, "its mode is watch or off, so its balloon is not ballast's to move: set mode=auto to let it");
    else if (flags & GUEST_FLAG_FOREIGN_HAND)
        say(ret, true, "another program moves its memory: let that one give it back");
    else if (flags & GUEST_FLAG_PAUSED)
        say(ret, true, "its processors are stopped: it gets it as soon as it runs");
    else if (flags & GUEST_FLAG_BREACH)
        say(ret, true, "it holds more than it says already");
    else if (g->core.reset_usec)
        say(ret, false, "it boots");
    else if (h->state == HOST_LOW)
        say(ret, true, "the host is low on memory: nothing is granted");
    else if (flags & GUEST_FLAG_STUCK)
        say(ret, true, "its balloon does not move: is its virtio_balloon driver loaded? It is tried again");
    else if (!guest_in_flight(&g->core) && h->grantable_kib < RELEASE_LEAST_KIB && h->decisions) {
        (void)snprintf(why, sizeof(why), "the host has no more for it: %s are left for guests",
                       units_show_kib(h->grantable_kib > 0 ? (uint64_t)h->grantable_kib : 0).s);
        say(ret, true, why);
    } else {
        say(ret, false, "on its way");
    }
}

void operate_request_release_left(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    const struct engine *engine = o->env.engine;
    struct wire_release r = {.guest_count = engine_count(engine)};
    bool first = true;

    (void)rq;
    wire_text_copy(r.moves, sizeof(r.moves), operate_moves(o, (char[2]){0}, 2));
    for (size_t i = 0; i < r.guest_count; i++) {
        const struct guest *g = &engine_guest_at(engine, i)->core;
        r.done += g->levers.time_usec && lacks_kib(g) <= RELEASE_REST_KIB;
    }
    wire_release_begin(&ret->body, &r);
    for (size_t i = 0; i < r.guest_count; i++) {
        const struct engine_guest *g = engine_guest_at(engine, i);
        struct wire_release_left left = {.lacks_bytes = WIRE_UNKNOWN};

        if (g->core.levers.time_usec && lacks_kib(&g->core) <= RELEASE_REST_KIB)
            continue;
        wire_text_copy(left.guest, sizeof(left.guest), g->vm->name);
        if (g->core.levers.time_usec)
            left.lacks_bytes = lacks_kib(&g->core) * 1024;
        left_explain(o, g, &left);
        wire_release_left(&ret->body, &left, first);
        first = false;
    }
    wire_release_end(&ret->body);
}
