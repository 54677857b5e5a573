/* SPDX-License-Identifier: Apache-2.0 */
#include "reserve.h"

bool reserve_is_open(const struct reserve *r)
{
    return r->state == RESERVE_GATHERING || r->state == RESERVE_HELD;
}

uint64_t reserve_sum_kib(const struct reserve *list, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += reserve_is_open(&list[i]) ? list[i].kib : 0; /* 16 of at most 2^46 KiB */
    return sum;
}

uint64_t reserve_gathering_kib(const struct reserve *list, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += list[i].state == RESERVE_GATHERING ? list[i].kib : 0;
    return sum;
}

struct reserve *reserve_room(struct reserve *list, size_t n)
{
    struct reserve *room = NULL;
    size_t open = 0;

    for (size_t i = 0; i < n; i++) {
        struct reserve *r = &list[i];
        open += reserve_is_open(r);
        if (!reserve_is_open(r) && (!room || r->ended_usec < room->ended_usec))
            room = r;
    }
    return open < RESERVE_OPEN_MAX ? room : NULL;
}

static void reserve_end(struct reserve *r, enum reserve_state state, uint64_t now_usec)
{
    r->state = state;
    r->ended_usec = now_usec;
}

/* The oldest open one that is younger than `after`; NULL: none. */
static struct reserve *reserve_next(struct reserve *list, size_t n, uint64_t after)
{
    struct reserve *next = NULL;

    for (size_t i = 0; i < n; i++)
        if (reserve_is_open(&list[i]) && list[i].id > after && (!next || list[i].id < next->id))
            next = &list[i];
    return next;
}

static void reserve_hold(struct reserve *r, uint64_t now_usec)
{
    r->state = RESERVE_HELD;
    r->held_usec = now_usec;
    r->missing_kib = 0;
}

/* It can't come: with `most` it becomes as much as can, if that is anything. */
static bool reserve_give_up(struct reserve *r, uint64_t comes_kib, uint64_t now_usec)
{
    r->missing_kib = r->kib - comes_kib;
    r->hopeless_usec = 0;
    if (!r->most || !comes_kib)
        reserve_end(r, RESERVE_FAILED, now_usec);
    else
        r->kib = comes_kib;
    return true;
}

/* One that gathers: has_kib of it are free, most_kib could be. True where its size no longer counts as before. */
static bool reserve_gather(struct reserve *r, uint64_t has_kib, uint64_t most_kib, uint64_t now_usec)
{
    if (has_kib >= r->kib) {
        reserve_hold(r, now_usec);
        return false;
    }
    r->missing_kib = r->kib - has_kib;
    if (most_kib >= r->kib)
        r->hopeless_usec = 0;
    else if (!r->hopeless_usec)
        r->hopeless_usec = now_usec;
    else if (now_usec - r->hopeless_usec >= RESERVE_HOPELESS_USEC)
        return reserve_give_up(r, most_kib, now_usec);
    if (now_usec < r->gathered_by_usec || !reserve_give_up(r, has_kib, now_usec))
        return false;
    if (r->state == RESERVE_GATHERING)
        reserve_hold(r, now_usec);
    return true;
}

/* What is left of it for the next one. */
static uint64_t reserve_rest(int64_t *kib, uint64_t taken_kib)
{
    uint64_t has = *kib > 0 ? (uint64_t)*kib : 0;

    *kib -= (int64_t)taken_kib;
    return has;
}

bool reserve_step(struct reserve *list, size_t n, int64_t grantable_kib, uint64_t most_kib, uint64_t now_usec)
{
    int64_t room = grantable_kib + (int64_t)reserve_sum_kib(list, n);
    int64_t most = (int64_t)most_kib;
    bool changed = false;
    uint64_t id = 0;

    for (struct reserve *r; (r = reserve_next(list, n, id)) != NULL;) {
        uint64_t has = reserve_rest(&room, r->kib), could = reserve_rest(&most, r->kib);
        id = r->id;
        if (r->state == RESERVE_GATHERING) {
            changed = reserve_gather(r, has, could, now_usec) || changed;
            continue;
        }
        r->missing_kib = has < r->kib ? r->kib - has : 0;
        if (now_usec < r->held_usec + r->keep_usec)
            continue;
        reserve_end(r, RESERVE_EXPIRED, now_usec);
        changed = true;
    }
    return changed;
}

static bool reserve_is_for(const struct reserve *r, const char *guest)
{
    const char *own = r->guest;

    while (*own && *own == *guest)
        own++, guest++;
    return *own == *guest;
}

struct reserve *reserve_claim(struct reserve *list, size_t n, const char *guest, uint64_t need_kib, uint64_t start_ticks,
                              uint64_t now_usec)
{
    struct reserve *found = NULL;
    uint64_t id = 0;

    for (struct reserve *r; (r = reserve_next(list, n, id)) != NULL;) {
        bool is_new = !start_ticks || start_ticks > r->newest_ticks;
        id = r->id;
        if (!is_new)
            continue;
        if (r->guest[0] && reserve_is_for(r, guest)) {
            found = r;
            break;
        }
        if (!r->guest[0] && !found && r->state == RESERVE_HELD && r->kib >= need_kib)
            found = r;
    }
    if (!found)
        return NULL;
    reserve_end(found, RESERVE_CLAIMED, now_usec);
    size_t length = 0;
    for (; guest[length] && length + 1 < sizeof(found->claimed_by); length++)
        found->claimed_by[length] = guest[length];
    found->claimed_by[length] = '\0';
    return found;
}

const char *reserve_state_text(enum reserve_state state)
{
    static const char *const text[RESERVE_STATE_COUNT] = {"free", "gathering", "held", "claimed", "expired", "failed",
                                                          "cancelled"};

    return state < RESERVE_STATE_COUNT ? text[state] : "unknown";
}
