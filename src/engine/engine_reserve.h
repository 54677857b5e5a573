/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "err.h"
#include "reserve.h"

/* Reservations of an engine (reserve.h): for `ballast reserve`, and for whoever starts a guest and wants its memory to be
 * there (a backup's boot test). They last as long as the engine.
 *
 *     struct engine_reserve_request rq = {.kib = 512 * 1024, .guest = "boot-test-1"};
 *     r = engine_reserve(engine, &rq, now_usec, &id, e);      then engine_run() as ever, until
 *     engine_reserve_find(engine, id)->state is RESERVE_HELD  (or RESERVE_FAILED; env.reserved() tells),
 *     start the guest: as soon as its size is known it is RESERVE_CLAIMED. */

struct engine_reserve_request {
    uint64_t kib;         /* 0 with `most`: as much as there is */
    bool most;            /* less will do where there is no more */
    const char *guest;    /* NULL or "": the first new one that fits */
    uint64_t keep_usec;   /* 0: RESERVE_EXPIRES_USEC */
    uint64_t gather_usec; /* 0: RESERVE_GATHER_USEC */
};

/* -ENOSPC with the numbers where guests can't give as much (nothing is taken from anybody then), -EBUSY where too many are
 * open, -EINVAL for a size or time that is none. */
int engine_reserve(struct engine *engine, const struct engine_reserve_request *rq, uint64_t now_usec, uint64_t *ret_id,
                   struct err *e);

/* Gives it back to the guests. -ENOENT, -EALREADY (it ended already). */
int engine_reserve_cancel(struct engine *engine, uint64_t id, uint64_t now_usec, struct err *e);

/* Any reservation, also one that ended a while ago; NULL: there is none (any more). */
const struct reserve *engine_reserve_find(const struct engine *engine, uint64_t id);

/* RESERVE_MAX rows in no order; those in state RESERVE_FREE are empty. */
const struct reserve *engine_reserve_list(const struct engine *engine);

/* What could be reserved now, by the numbers of the last decision: capacity less what each guest keeps at least, and less what
 * guests that boot may touch. */
uint64_t engine_reserve_most_kib(const struct engine *engine);

/* What a guest keeps at least in that sum. */
uint64_t engine_reserve_keeps_kib(const struct guest *g);
