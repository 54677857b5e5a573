/* SPDX-License-Identifier: Apache-2.0 */

/* Properties of exact sharing and of the levels, over random hosts. Half of the tries go through the rule's text, written
 * down once more as plainly as possible: what the core does faster must come out the same, to the KiB. */

#include "testing.h"

#include <string.h>

#include "kib.h"
#include "random.h"
#include "share.h"

#define HOSTS RANDOM_TRIES(1000000)
#define LEVELS_TRIES RANDOM_TRIES(2000000)
#define GUESTS_MAX 24

struct house {
    int64_t capacity_kib;
    uint64_t pool_kib;
    size_t n;
    struct levels levels[GUESTS_MAX];
    uint64_t weight[GUESTS_MAX];
};

struct outcome {
    uint64_t given_kib[GUESTS_MAX];
    struct share_result result;
};

static void share_it(const struct house *h, struct outcome *ret)
{
    struct share_slot slots[GUESTS_MAX];

    share_divide(h->capacity_kib, h->pool_kib, h->levels, h->weight, h->n, slots, ret->given_kib, &ret->result);
}

/* Mostly a few guests; sizes of one magnitude a host, so that all six steps and all ties happen. */
static void house_random(struct random *r, struct house *h)
{
    unsigned int bits = (unsigned int)random_between(r, 1, 44); /* the plain product below still fits 128 bits */
    uint64_t sum = 0;

    h->n = random_percent(r, 90) ? random_below(r, 7) : random_below(r, GUESTS_MAX + 1);
    for (size_t i = 0; i < h->n; i++) {
        struct levels *l = &h->levels[i];
        uint64_t mask = (1ULL << bits) - 1;

        if (i > 0 && random_percent(r, 20)) {
            *l = h->levels[i - 1];
        } else {
            l->lower_kib = random_bits(r) & mask;
            l->floor_kib = l->lower_kib + (random_percent(r, 30) ? 0 : random_bits(r) & mask);
            l->head_kib = l->floor_kib + (random_percent(r, 30) ? 0 : random_bits(r) & mask);
            l->top_kib = l->head_kib + (random_percent(r, 30) ? 0 : random_bits(r) & mask);
            l->keep_kib = l->top_kib + (random_percent(r, 60) ? 0 : random_bits(r) & mask);
        }
        h->weight[i] = random_percent(r, 50) ? random_between(r, 1, 3) : 1 + random_magnitude(r, 33);
        sum += l->keep_kib;
    }
    h->pool_kib = random_percent(r, 20) ? 0 : random_below(r, sum / 8 + 2);
    h->capacity_kib = (int64_t)random_below(r, sum + sum / 4 + 10) - (random_percent(r, 5) ? (int64_t)sum : 0);
}

/* docs/design.md 3.4, "Sharing R over x_i with weights w_i", word for word: sorted by weight, one guest after the other. */
static void plain_weighted(uint64_t amount_kib, const uint64_t *room, const uint64_t *weight, size_t n, uint64_t *given)
{
    size_t order[GUESTS_MAX], first = 0;
    kib_wide rest[GUESTS_MAX], load = 0, rooms = 0;
    uint64_t over_kib;

    for (size_t i = 0; i < n; i++) {
        size_t j = i;

        for (; j > 0 && weight[order[j - 1]] < weight[i]; j--)
            order[j] = order[j - 1];
        order[j] = i;
        load += (kib_wide)room[i] * weight[i];
        rooms += room[i];
    }
    if (amount_kib >= rooms)
        amount_kib = (uint64_t)rooms;
    for (; first < n && (kib_wide)amount_kib * weight[order[first]] >= load; first++) {
        size_t i = order[first];

        given[i] += room[i];
        amount_kib -= room[i];
        load -= (kib_wide)room[i] * weight[i];
    }
    over_kib = amount_kib;
    for (size_t k = first; k < n; k++) {
        size_t i = order[k];
        kib_wide product = (kib_wide)room[i] * weight[i] * amount_kib;

        given[i] += (uint64_t)(product / load);
        over_kib -= (uint64_t)(product / load);
        rest[i] = product % load + 1; /* 0: served */
    }
    for (; over_kib > 0; over_kib--) {
        size_t best = GUESTS_MAX;

        for (size_t k = first; k < n; k++)
            if (best == GUESTS_MAX || rest[order[k]] > rest[best] ||
                (rest[order[k]] == rest[best] && order[k] < best))
                best = order[k];
        given[best]++;
        rest[best] = 0;
    }
}

static void level_rooms(const struct house *h, enum share_step step, uint64_t *base, uint64_t *room)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct levels *l = &h->levels[i];
        const uint64_t kib[] = {l->lower_kib, l->lower_kib, l->floor_kib, l->head_kib, l->top_kib, l->keep_kib};
        const uint64_t next[] = {l->lower_kib, l->floor_kib, l->head_kib, l->top_kib, l->keep_kib, l->keep_kib};
        unsigned int at = (unsigned int)(SHARE_OVER - step); /* over 0, lower 1, .. keep 5 */

        base[i] = kib[at];
        room[i] = next[at] - kib[at];
    }
}

/* What the step has to share, and that it is the right step. */
static uint64_t plain_amount(const struct house *h, enum share_step step)
{
    kib_signed lower = 0, floor = 0, head = 0, top = 0, keep = 0, capacity = h->capacity_kib;
    kib_signed pooled = capacity - (kib_signed)h->pool_kib, left;

    for (size_t i = 0; i < h->n; i++) {
        lower += h->levels[i].lower_kib;
        floor += h->levels[i].floor_kib;
        head += h->levels[i].head_kib;
        top += h->levels[i].top_kib;
        keep += h->levels[i].keep_kib;
    }
    assert_int_equal(step, keep <= pooled      ? SHARE_KEEP
                           : top <= pooled     ? SHARE_TOP
                           : head <= capacity  ? SHARE_HEAD
                           : floor <= capacity ? SHARE_FLOOR
                           : lower <= capacity ? SHARE_LOWER
                                               : SHARE_OVER);
    left = step == SHARE_TOP     ? pooled - top
           : step == SHARE_HEAD  ? capacity - head
           : step == SHARE_FLOOR ? capacity - floor
           : step == SHARE_LOWER ? capacity - lower
                                 : 0;
    if (step == SHARE_HEAD)
        left -= left / 2 < (kib_signed)h->pool_kib ? left / 2 : (kib_signed)h->pool_kib;
    return (uint64_t)left;
}

static void check_exact(const struct house *h, const struct outcome *o)
{
    uint64_t base[GUESTS_MAX], room[GUESTS_MAX], amount_kib = plain_amount(h, o->result.step), rooms = 0;
    kib_signed given = 0, bases = 0, rest;

    level_rooms(h, o->result.step, base, room);
    for (size_t i = 0; i < h->n; i++) {
        assert_true(o->given_kib[i] >= h->levels[i].lower_kib);
        assert_true(o->given_kib[i] <= h->levels[i].keep_kib);
        assert_true(o->given_kib[i] >= base[i]);
        assert_true(o->given_kib[i] <= base[i] + room[i]);
        given += o->given_kib[i];
        bases += base[i];
        rooms += room[i];
    }
    assert_true(given == bases + kib_min(amount_kib, rooms));
    rest = h->capacity_kib - given;
    assert_true(o->result.free_kib == (uint64_t)(rest > 0 ? rest : 0));
    assert_true(o->result.over_kib == (uint64_t)(rest < 0 ? -rest : 0));
    assert_true(o->result.over_kib == 0 || o->result.step == SHARE_OVER);
}

/* One mu for all: the fraction of a heavier guest is never smaller, but for the KiB that rounding moves. */
static void check_order(const struct house *h, const struct outcome *o)
{
    uint64_t base[GUESTS_MAX], room[GUESTS_MAX];

    level_rooms(h, o->result.step, base, room);
    for (size_t i = 0; i < h->n; i++)
        for (size_t j = 0; j < h->n; j++) {
            kib_wide part_i = o->given_kib[i] - base[i] + 1, part_j = kib_sub(o->given_kib[j] - base[j], 1);

            if (h->weight[i] >= h->weight[j] && room[i] > 0 && room[j] > 0)
                assert_true(part_i * room[j] >= part_j * room[i]);
            if (i < j && h->weight[i] == h->weight[j] &&
                memcmp(&h->levels[i], &h->levels[j], sizeof(h->levels[i])) == 0)
                assert_in_range(o->given_kib[i] - o->given_kib[j], 0, 1); /* equals: the earlier may have a KiB more */
        }
}

static void check_monotone(const struct house *h, const struct outcome *o)
{
    struct house more = *h;
    struct outcome after;

    more.capacity_kib++;
    share_it(&more, &after);
    for (size_t i = 0; i < h->n; i++)
        assert_true(after.given_kib[i] + 1 >= o->given_kib[i]);
}

static void check_same_as_plain(const struct house *h, const struct outcome *o)
{
    uint64_t given[GUESTS_MAX], room[GUESTS_MAX];

    level_rooms(h, o->result.step, given, room);
    plain_weighted(plain_amount(h, o->result.step), room, h->weight, h->n, given);
    assert_memory_equal(given, o->given_kib, h->n * sizeof(given[0]));
}

static void sharing_is_exact_monotone_and_in_order(void **state)
{
    struct random r = {.state = 3};
    size_t steps[SHARE_OVER + 1] = {0};

    (void)state;
    for (size_t i = 0; i < HOSTS; i++) {
        struct house h = {0};
        struct outcome o = {0}, again = {0};

        house_random(&r, &h);
        share_it(&h, &o);
        steps[o.result.step]++;
        check_exact(&h, &o);
        check_order(&h, &o);
        check_monotone(&h, &o);
        if (i % 2 == 0) {
            check_same_as_plain(&h, &o);
        } else {
            share_it(&h, &again);
            assert_memory_equal(again.given_kib, o.given_kib, sizeof(o.given_kib));
        }
    }
    for (size_t step = SHARE_KEEP; step <= SHARE_OVER; step++)
        assert_true(steps[step] > HOSTS / 100); /* else this tests less than it seems to */
}

/* Any value at all, as often a sensible one as one at the edge of its type. */
static uint64_t wild(struct random *r)
{
    return random_percent(r, 50) ? random_magnitude(r, 64) : random_magnitude(r, 24);
}

static void levels_are_ordered_whatever_comes_in(void **state)
{
    struct random r = {.state = 4};

    (void)state;
    for (size_t i = 0; i < LEVELS_TRIES; i++) {
        const struct levels_in in = {
            .minimum_kib = wild(&r),
            .maximum_kib = wild(&r),
            .startup_kib = wild(&r),
            .assigned_kib = wild(&r),
            .plugged_kib = wild(&r),
            .proof_kib = wild(&r),
            .demand_kib = wild(&r),
            .used_kib = wild(&r),
            .swap_total_kib = wild(&r),
            .swap_used_kib = wild(&r),
            .target_kib = wild(&r),
            .rise_kib = wild(&r),
            .mark_kib = wild(&r),
            .limit_kib = random_percent(&r, 50) ? 0 : wild(&r),
            .stall_percent = random_percent(&r, 50) ? 0 : (uint32_t)wild(&r),
            .stall_signal = random_percent(&r, 50),
            .higher_waits = random_percent(&r, 50),
            .lazy = random_percent(&r, 50),
        };
        struct levels l;

        levels_compute(&in, &l);
        assert_true(l.lower_kib <= l.floor_kib);
        assert_true(l.floor_kib <= l.head_kib);
        assert_true(l.head_kib <= l.top_kib);
        assert_true(l.top_kib <= l.keep_kib);
        assert_true(l.lower_kib >= in.minimum_kib);
        assert_true(l.lower_kib <= kib_max(in.minimum_kib, in.assigned_kib)); /* nobody is forced to grow past both */
        assert_true(l.bound_kib >= in.assigned_kib);
        assert_true(l.top_kib <= l.bound_kib); /* S5: no claim lifts anyone beyond the bound */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sharing_is_exact_monotone_and_in_order),
        cmocka_unit_test(levels_are_ordered_whatever_comes_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
