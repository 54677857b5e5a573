/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#include <stdbool.h>

/* Sums of room x weight stay below this, so that three of them still fit kib_wide (share_part). */
#define SHARE_SUM_LIMIT ((kib_wide)1 << 126)

static void slot_swap(struct share_slot *a, struct share_slot *b)
{
    struct share_slot kept = *a;

    *a = *b;
    *b = kept;
}

static kib_wide slot_load(const struct share_slot *s)
{
    return (kib_wide)s->room_kib * s->weight;
}

/* Sum of room x weight. Weights that would take it beyond the limit (nothing weight_compute() gives) lose their last
 * bits, all alike; at one bit each, 2^62 guests of 2^64 KiB fit. */
static kib_wide slots_load(struct share_slot *slots, size_t n)
{
    for (;;) {
        kib_wide sum = 0;
        size_t i;

        for (i = 0; i < n; i++) {
            kib_wide load;

            slots[i].weight = kib_max(slots[i].weight, 1);
            load = slot_load(&slots[i]);
            if (load >= SHARE_SUM_LIMIT || sum >= SHARE_SUM_LIMIT - load)
                break;
            sum += load;
        }
        if (i == n)
            return sum;
        for (i = 0; i < n; i++)
            slots[i].weight >>= 1;
    }
}

/* What sharing still has to do: slots[0..first) have their whole room, and what is left is amount_kib for the rest,
 * whose loads sum to `load`. */
struct share_left {
    size_t first;
    uint64_t amount_kib;
    kib_wide load;
};

/* Moves the slots of slots[from..to) with a weight of at least `pivot` to the front; returns where the others begin. */
static size_t slots_split_by_weight(struct share_slot *slots, size_t from, size_t to, uint64_t pivot)
{
    size_t middle = from;

    for (size_t i = from; i < to; i++)
        if (slots[i].weight >= pivot)
            slot_swap(&slots[i], &slots[middle++]);
    return middle;
}

/* Whether all of slots[from..to), the heaviest of those left and none lighter than `lightest`, get their whole room.
 * The rule saturates i while amount x w_i >= load, by weight descending. For the lightest of the group, amount and load
 * are then short of the rooms and loads of all heavier ones: both are put on one side of the comparison here, because
 * (amount - sum x_j) w >= load - sum x_j w_j is amount w >= load - sum x_j (w_j - w). */
static bool slots_saturate(const struct share_slot *slots, size_t from, size_t to, uint64_t lightest,
                           const struct share_left *left)
{
    kib_wide beyond = 0;

    for (size_t i = from; i < to; i++)
        beyond += (kib_wide)slots[i].room_kib * (slots[i].weight - lightest);
    return (kib_wide)left->amount_kib * lightest >= left->load - beyond;
}

/* Gives the heavy ones their whole room. Saturation is monotone in weight, so a bisection of the range of weights finds
 * its edge; each pass looks only at the slots still in doubt (64 passes at most, a handful in fact), which beats sorting.
 * Slots of equal weight saturate together, so their order is of no importance. */
static void share_saturate(struct share_slot *slots, size_t n, uint64_t *given_kib, struct share_left *left)
{
    size_t to = n;

    while (left->first < to) {
        uint64_t heaviest = 0, lightest = UINT64_MAX, pivot;
        size_t middle;

        for (size_t i = left->first; i < to; i++) {
            heaviest = kib_max(heaviest, slots[i].weight);
            lightest = kib_min(lightest, slots[i].weight);
        }
        if ((kib_wide)left->amount_kib * heaviest < left->load)
            return;
        pivot = heaviest - (heaviest - lightest) / 2;
        middle = slots_split_by_weight(slots, left->first, to, pivot);
        lightest = heaviest;
        for (size_t i = left->first; i < middle; i++)
            lightest = kib_min(lightest, slots[i].weight);
        if (!slots_saturate(slots, left->first, middle, lightest, left)) {
            to = middle;
            /* The heaviest do saturate and the lightest don't, so the range shrinks in any case. */
            continue;
        }
        for (size_t i = left->first; i < middle; i++) {
            given_kib[slots[i].position] += slots[i].room_kib;
            left->amount_kib -= slots[i].room_kib;
            left->load -= slot_load(&slots[i]);
        }
        left->first = middle;
    }
}

/* floor(load x amount / whole) and its remainder; load <= whole, so the quotient is at most amount. */
static uint64_t share_part(kib_wide load, uint64_t amount_kib, kib_wide whole, kib_wide *ret_rest)
{
    kib_wide rest = 0;
    uint64_t part = 0;

    if (amount_kib == 0 || load <= ~(kib_wide)0 / amount_kib) {
        kib_wide product = load * amount_kib;

        part = (uint64_t)(product / whole);
        *ret_rest = product - part * whole;
        return part;
    }
    /* The product is wider than 128 bits: multiply and divide bit by bit. */
    for (int bit = 63; bit >= 0; bit--) {
        rest *= 2;
        part *= 2;
        if (amount_kib >> bit & 1)
            rest += load;
        for (; rest >= whole; rest -= whole)
            part++;
    }
    *ret_rest = rest;
    return part;
}

/* Moves the k slots with the largest rest, ties by position, to the front. A bisection like the one above, by rest
 * first; where that is the same for all still in doubt, by position. */
static void slots_select_by_rest(struct share_slot *slots, size_t n, size_t k)
{
    size_t from = 0, to = n;

    while (from < k && k < to) {
        kib_wide largest = slots[from].rest, least = largest, pivot;
        size_t middle = from;

        for (size_t i = from + 1; i < to; i++) {
            largest = slots[i].rest > largest ? slots[i].rest : largest;
            least = slots[i].rest < least ? slots[i].rest : least;
        }
        if (largest == least) {
            for (size_t i = from; i < to; i++)
                slots[i].rest = SIZE_MAX - slots[i].position;
            if (from + 1 == to || slots[from].rest == slots[from + 1].rest)
                return; /* two of one position: the caller's mistake, but no reason to hang */
            continue;
        }
        pivot = largest - (largest - least) / 2;
        for (size_t i = from; i < to; i++)
            if (slots[i].rest >= pivot)
                slot_swap(&slots[i], &slots[middle++]);
        if (middle <= k)
            from = middle;
        else
            to = middle;
    }
}

void share_weighted(uint64_t amount_kib, struct share_slot *slots, size_t n, uint64_t *given_kib)
{
    struct share_left left = {.amount_kib = amount_kib};
    kib_wide rooms = 0;
    uint64_t over_kib;

    for (size_t i = 0; i < n; i++)
        rooms += slots[i].room_kib;
    if (amount_kib >= rooms) {
        for (size_t i = 0; i < n; i++)
            given_kib[slots[i].position] += slots[i].room_kib;
        return;
    }
    left.load = slots_load(slots, n);
    share_saturate(slots, n, given_kib, &left);
    over_kib = left.amount_kib;
    for (size_t i = left.first; i < n; i++) {
        uint64_t part_kib = share_part(slot_load(&slots[i]), left.amount_kib, left.load, &slots[i].rest);

        given_kib[slots[i].position] += part_kib;
        over_kib -= part_kib;
    }
    slots_select_by_rest(slots + left.first, n - left.first, over_kib);
    for (size_t i = 0; i < over_kib; i++)
        given_kib[slots[left.first + i].position]++;
}

/* The five levels by number, lowest first: each step of sharing fills the way from one to the next. */
enum share_level { LEVEL_LOWER, LEVEL_FLOOR, LEVEL_HEAD, LEVEL_TOP, LEVEL_KEEP, LEVEL_COUNT };

static uint64_t level_kib(const struct levels *l, enum share_level which)
{
    switch (which) {
    case LEVEL_LOWER:
        return l->lower_kib;
    case LEVEL_FLOOR:
        return l->floor_kib;
    case LEVEL_HEAD:
        return l->head_kib;
    case LEVEL_TOP:
        return l->top_kib;
    default:
        return l->keep_kib;
    }
}

/* Finds the step (docs/design.md 3.4) and what there is to share in it over the base level's way to the next one. */
static enum share_step share_find_step(kib_signed capacity_kib, uint64_t pool_kib, const kib_wide *sum,
                                       enum share_level *ret_base, uint64_t *ret_amount_kib)
{
    kib_signed pooled_kib = capacity_kib - pool_kib, left_kib;

    *ret_amount_kib = 0;
    *ret_base = LEVEL_KEEP;
    if ((kib_signed)sum[LEVEL_KEEP] <= pooled_kib)
        return SHARE_KEEP;
    *ret_base = LEVEL_TOP;
    left_kib = pooled_kib - (kib_signed)sum[LEVEL_TOP];
    if (left_kib >= 0) {
        *ret_amount_kib = kib_saturate((kib_wide)left_kib);
        return SHARE_TOP;
    }
    *ret_base = LEVEL_HEAD;
    left_kib = capacity_kib - (kib_signed)sum[LEVEL_HEAD];
    if (left_kib >= 0) {
        uint64_t r_kib = kib_saturate((kib_wide)left_kib);

        *ret_amount_kib = r_kib - kib_min(pool_kib, r_kib / 2);
        return SHARE_HEAD;
    }
    *ret_base = LEVEL_FLOOR;
    left_kib = capacity_kib - (kib_signed)sum[LEVEL_FLOOR];
    if (left_kib >= 0) {
        *ret_amount_kib = kib_saturate((kib_wide)left_kib);
        return SHARE_FLOOR;
    }
    *ret_base = LEVEL_LOWER;
    left_kib = capacity_kib - (kib_signed)sum[LEVEL_LOWER];
    if (left_kib >= 0) {
        *ret_amount_kib = kib_saturate((kib_wide)left_kib);
        return SHARE_LOWER;
    }
    return SHARE_OVER;
}

void share_divide(int64_t capacity_kib, uint64_t pool_kib, const struct levels *levels, const uint64_t *weight,
                  size_t n, struct share_slot *slots, uint64_t *given_kib, struct share_result *ret)
{
    kib_wide sum[LEVEL_COUNT] = {0}, given = 0;
    enum share_level base;
    uint64_t amount_kib;
    size_t rooms = 0;
    kib_signed rest;

    for (size_t i = 0; i < n; i++)
        for (enum share_level l = LEVEL_LOWER; l < LEVEL_COUNT; l++)
            sum[l] += level_kib(&levels[i], l);
    ret->step = share_find_step(capacity_kib, pool_kib, sum, &base, &amount_kib);
    for (size_t i = 0; i < n; i++) {
        given_kib[i] = level_kib(&levels[i], base);
        if (amount_kib > 0) { /* then base is below keep */
            uint64_t room_kib = kib_sub(level_kib(&levels[i], base + 1), given_kib[i]);

            if (room_kib > 0)
                slots[rooms++] = (struct share_slot){.room_kib = room_kib, .weight = weight[i], .position = i};
        }
    }
    share_weighted(amount_kib, slots, rooms, given_kib);
    for (size_t i = 0; i < n; i++)
        given += given_kib[i];
    rest = (kib_signed)capacity_kib - (kib_signed)given;
    ret->free_kib = rest > 0 ? kib_saturate((kib_wide)rest) : 0;
    ret->over_kib = rest < 0 ? kib_saturate((kib_wide)-rest) : 0;
}
