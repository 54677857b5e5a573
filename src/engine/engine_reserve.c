/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_reserve.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "engine_private.h"
#include "judge.h"
#include "policy_defaults.h"
#include "units.h"

/* A guest that may be squeezed keeps what it needs at least; any other counts as all that it counts as against grants: one
 * that boots as what it may touch (docs/design.md 3.4). */
uint64_t engine_reserve_keeps_kib(const struct guest *g)
{
    const struct guest_verdict *v = &g->verdict;

    if (judge_is_managed(g) && g->hold == GUEST_HOLD_NO)
        return v->levels.lower_kib;
    return v->counted_kib > v->levels.lower_kib ? v->counted_kib : v->levels.lower_kib;
}

/* What all reservations could come to together. */
static int64_t reserve_all_kib(const struct engine *engine)
{
    int64_t most = engine->host.capacity_kib + (int64_t)(engine->reserved_kib - engine->config.host.reservations_kib);

    for (size_t i = 0; i < engine->count; i++)
        most -= (int64_t)engine_reserve_keeps_kib(engine->cores[i]);
    return most;
}

uint64_t engine_reserve_most_kib(const struct engine *engine)
{
    /* what was reserved or given back since that decision counts as well */
    int64_t most = reserve_all_kib(engine) - (int64_t)reserve_sum_kib(engine->reserves, RESERVE_MAX);

    return engine->host.seen.time_usec && most > 0 ? (uint64_t)most : 0;
}

void engine_reserve_apply(struct engine *engine)
{
    engine->host.config.reservations_kib = engine->config.host.reservations_kib +
                                           reserve_sum_kib(engine->reserves, RESERVE_MAX);
    engine->host.config.gathering_kib = reserve_gathering_kib(engine->reserves, RESERVE_MAX);
}

static void reserve_tell(struct engine *engine, const struct reserve *r)
{
    if (engine->env.reserved)
        engine->env.reserved(engine->env.user, r);
}

void engine_reserve_step(struct engine *engine)
{
    enum reserve_state before[RESERVE_MAX];
    int64_t most;

    if (!reserve_sum_kib(engine->reserves, RESERVE_MAX))
        return;
    most = engine->host_read ? reserve_all_kib(engine) : (int64_t)POLICY_KIB_MAX; /* not known: no reason to give up */
    for (size_t i = 0; i < RESERVE_MAX; i++)
        before[i] = engine->reserves[i].state;
    if (reserve_step(engine->reserves, RESERVE_MAX, engine->host.grantable_kib, most > 0 ? (uint64_t)most : 0, engine->now_usec))
        engine_want_event(engine); /* others may have it */
    for (size_t i = 0; i < RESERVE_MAX; i++)
        if (engine->reserves[i].state != before[i])
            reserve_tell(engine, &engine->reserves[i]);
}

void engine_reserve_appeared(struct engine *engine, struct engine_slot *slot)
{
    const struct hv_vm *vm = slot->g.vm;
    const struct reserve *r = reserve_claim(engine->reserves, RESERVE_MAX, vm->name, guest_boot_kib(&slot->g.core),
                                            vm->start_ticks, engine->now_usec);

    if (!r)
        return;
    reserve_tell(engine, r);
    engine_want_event(engine);
}

static int request_check(const struct engine *engine, const struct engine_reserve_request *rq, uint64_t *ret_kib,
                         struct err *e)
{
    uint64_t most = engine_reserve_most_kib(engine), kib = rq->kib;

    if (!kib && !rq->most)
        return err_set(e, EINVAL, "a reservation needs a size");
    if (rq->keep_usec && (rq->keep_usec < RESERVE_EXPIRES_MIN_USEC || rq->keep_usec > RESERVE_EXPIRES_MAX_USEC))
        return err_set(e, EINVAL, "a reservation lasts %s to %s", units_show_time(RESERVE_EXPIRES_MIN_USEC).s,
                       units_show_time(RESERVE_EXPIRES_MAX_USEC).s);
    if (!engine->host.decisions || !engine->host.seen.time_usec)
        return err_set(e, EAGAIN, "the host's memory is not known yet");
    if (!most)
        return err_set(e, ENOSPC, "nothing can be reserved: guests keep all there is (%s)",
                       units_show_signed_kib(engine->host.capacity_kib).s);
    if (rq->most && (!kib || kib > most))
        kib = most;
    if (kib > most)
        return err_set(e, ENOSPC, "%s can't be reserved: guests can give %s at most", units_show_kib(kib).s,
                       units_show_kib(most).s);
    *ret_kib = kib;
    return 0;
}

int engine_reserve(struct engine *engine, const struct engine_reserve_request *rq, uint64_t now_usec, uint64_t *ret_id,
                   struct err *e)
{
    uint64_t now = engine_clock(engine, now_usec), kib = 0;
    struct reserve *r = reserve_room(engine->reserves, RESERVE_MAX);
    int code = request_check(engine, rq, &kib, e);

    if (code < 0)
        return code;
    if (!r)
        return err_set(e, EBUSY, "%d reservations are open already: cancel one", RESERVE_OPEN_MAX);
    *r = (struct reserve){
        .state = RESERVE_GATHERING,
        .id = ++engine->reserve_id,
        .kib = kib,
        .asked_kib = rq->kib,
        .missing_kib = kib,
        .most = rq->most,
        .made_usec = now,
        .gathered_by_usec = now + (rq->gather_usec ? rq->gather_usec : RESERVE_GATHER_USEC),
        .keep_usec = rq->keep_usec ? rq->keep_usec : RESERVE_EXPIRES_USEC,
        .newest_ticks = engine->newest_ticks,
    };
    if (rq->guest)
        memcpy(r->guest, rq->guest, strnlen(rq->guest, sizeof(r->guest) - 1));
    *ret_id = r->id;
    reserve_tell(engine, r);
    engine_want_event(engine);
    return 0;
}

int engine_reserve_cancel(struct engine *engine, uint64_t id, uint64_t now_usec, struct err *e)
{
    uint64_t now = engine_clock(engine, now_usec);
    struct reserve *r = (struct reserve *)engine_reserve_find(engine, id);

    if (!r)
        return err_set(e, ENOENT, "there is no reservation %" PRIu64, id);
    if (!reserve_is_open(r))
        return err_set(e, EALREADY, "reservation %" PRIu64 " is %s already", id, reserve_state_text(r->state));
    r->state = RESERVE_CANCELLED;
    r->ended_usec = now;
    reserve_tell(engine, r);
    engine_want_event(engine);
    return 0;
}

const struct reserve *engine_reserve_find(const struct engine *engine, uint64_t id)
{
    for (size_t i = 0; i < RESERVE_MAX; i++)
        if (engine->reserves[i].id == id && engine->reserves[i].state != RESERVE_FREE)
            return &engine->reserves[i];
    return NULL;
}

const struct reserve *engine_reserve_list(const struct engine *engine)
{
    return engine->reserves;
}
