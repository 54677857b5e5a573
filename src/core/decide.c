/* SPDX-License-Identifier: Apache-2.0 */
#include "decide.h"

#include <stddef.h>

#include "judge.h"
#include "plan.h"
#include "policy_defaults.h"
#include "weight.h"

/* Where the parts of a guest begin that the two walks over all of them read, and how far apart prefetches are. */
#define DECIDE_JUDGED (offsetof(struct guest, harm) + offsetof(struct harm, take_usec))
#define DECIDE_PLANNED offsetof(struct guest, config)
#define DECIDE_LINE 64

/* Sums over guests that every later step uses. */
struct decide_sums {
    uint64_t assigned_kib, held_kib, counted_kib, exposure_kib, overhead_kib;
    uint64_t settled_kib;   /* held, but of guests that boot only what they had before or touch (S1b) */
    uint64_t untouched_kib; /* sum(held - resident): promised, but the host still shows it as available */
};

/* Asks the processor for the part of the next guest, ahead of its turn, that a loop over all guests reads: thousands of
 * guests come from memory, each in a dozen lines, and waiting for one after the other is most of a decision. */
static void decide_fetch(struct guest *const *guests, size_t i, size_t n, size_t from)
{
    const size_t end = offsetof(struct guest, band) + offsetof(struct band, weight);

    if (i + 1 < n)
        for (size_t at = from; at < end; at += DECIDE_LINE)
            __builtin_prefetch((const char *)guests[i + 1] + at);
}

void host_init(struct host *h, const struct host_config *config)
{
    *h = (struct host){.config = *config, .state = HOST_HIGH};
}

/* A guest that boots, or whose driver has just reported, still inflates to its old target: what it gives back by itself
 * within moments is not taken from others (S1b). */
static uint64_t decide_settled_kib(const struct guest *g, uint64_t resident_kib, uint64_t now_usec)
{
    uint64_t held = g->verdict.held_kib;
    uint64_t before = g->reset_assigned_kib > resident_kib ? g->reset_assigned_kib : resident_kib;
    uint64_t since = g->reset_usec ? g->reset_usec : g->booted_usec;
    bool settles = since && now_usec < since + POLICY_BOOT_PATIENCE_USEC;

    return settles && before < held ? before : held;
}

static void decide_add(struct decide_sums *sums, const struct guest *g, uint64_t now_usec)
{
    const struct guest_verdict *v = &g->verdict;
    uint64_t resident = g->host.time_usec ? g->host.resident_bytes / 1024 : 0;

    sums->assigned_kib += guest_assigned_kib(g);
    sums->held_kib += v->held_kib;
    sums->settled_kib += decide_settled_kib(g, resident, now_usec);
    sums->counted_kib += v->counted_kib;
    sums->exposure_kib += v->exposure_kib;
    sums->untouched_kib += v->held_kib > resident ? v->held_kib - resident : 0;
    if (g->host.time_usec)
        sums->overhead_kib += g->host.overhead_bytes / 1024;
}

/* docs/design.md 3.6: by how much of the reserve is still free; up again 5 points higher. */
static enum host_state decide_state(const struct host *h)
{
    static const unsigned threshold[HOST_STATE_COUNT] = {
        [HOST_HIGH] = POLICY_SOFT_PERCENT, [HOST_SOFT] = POLICY_HARD_PERCENT, [HOST_HARD] = POLICY_LOW_PERCENT};
    int64_t percent = 100;

    if (h->config.reserve_kib)
        percent = h->free_kib * 100 / (int64_t)h->config.reserve_kib;
    for (unsigned state = HOST_HIGH; state < HOST_LOW; state++) {
        unsigned needed = threshold[state];
        if (state < (unsigned)h->state)
            needed += POLICY_STATE_HYSTERESIS_PERCENT; /* on the way up */
        if (percent >= (int64_t)needed)
            return (enum host_state)state;
    }
    return HOST_LOW;
}

/* docs/design.md 3.4. A grant in flight is counted on both sides of the measurement (it is promised to its guest and no
 * longer available), so it cancels out of capacity; plan_open() takes it out of what may be granted. */
static void decide_capacity(struct host *h, const struct decide_sums *sums)
{
    const struct host_config *c = &h->config;
    int64_t reserve = (int64_t)c->reserve_kib;

    h->overhead_kib = sums->overhead_kib;
    h->assigned_kib = sums->assigned_kib;
    h->held_kib = sums->held_kib;
    h->exposure_kib = sums->exposure_kib;
    h->memory_kib = c->memory_kib ? c->memory_kib : h->seen.total_bytes / 1024;
    uint64_t promised = h->memory_kib * c->overcommit_permille / 1000;
    int64_t books = (int64_t)promised - reserve - (int64_t)sums->overhead_kib;
    h->available_kib = (int64_t)(h->seen.available_bytes / 1024) + (int64_t)(h->seen.arc_bytes / 1024) -
                       (c->switches.no_books ? 0 : (int64_t)sums->untouched_kib);
    if (c->switches.no_books) /* the measurement alone: a host looks emptier than it is */
        books = INT64_MAX / 2;
    int64_t measured = (int64_t)sums->held_kib + h->available_kib - reserve;
    if (c->overcommit_permille > 1000) /* the operator's word: the ladder finds the rest */
        measured += (int64_t)(promised - h->memory_kib);
    if (!h->seen.time_usec) { /* the host can't be read: nothing is granted, nothing taken */
        books = (int64_t)sums->held_kib;
        measured = books;
    }
    h->capacity_kib = (books < measured ? books : measured) - (int64_t)c->reservations_kib;
    h->grantable_kib = h->capacity_kib - (int64_t)sums->counted_kib;

    h->pool_kib = POLICY_POOL_MIN_KIB;
    if (h->capacity_kib > 0 && (uint64_t)h->capacity_kib * POLICY_POOL_PERMILLE / 1000 > h->pool_kib)
        h->pool_kib = (uint64_t)h->capacity_kib * POLICY_POOL_PERMILLE / 1000;

    int64_t unheld = (int64_t)h->memory_kib - (int64_t)sums->overhead_kib - (int64_t)sums->held_kib;
    int64_t available = (int64_t)(h->seen.available_bytes / 1024);
    h->free_kib = unheld < available || !h->seen.time_usec ? unheld : available;
    h->state = decide_state(h);

    /* Beyond capacity in hard and low the host is who waits: slow taking, which is for memory that nobody waits for, would
     * leave it short for minutes. */
    int64_t settles = (int64_t)(sums->held_kib - sums->settled_kib);
    bool short_of_it = h->seen.time_usec && (h->available_kib + settles) * 2 < reserve;
    int64_t over = (int64_t)sums->held_kib - h->capacity_kib - (short_of_it ? 0 : settles);
    h->deficit_kib = h->state >= HOST_HARD && over > 0 ? (uint64_t)over : 0;
    h->emergency = h->deficit_kib && short_of_it;
}

/* Who waits: the highest priority of a guest stalled for 2 s while not even growth headroom fits everyone. */
static bool decide_waits(const struct host *h, const struct guest *g, uint64_t now_usec)
{
    return h->share.step >= SHARE_FLOOR && g->stalled_since_usec &&
           now_usec - g->stalled_since_usec >= POLICY_STALL_WAITS_USEC;
}

/* A harmful take is undone (docs/design.md 3.5); in steps 3-6 no mark is set: what is taken then is needed elsewhere. */
static void decide_harm(struct host *h, struct guest *g, uint64_t now_usec)
{
    uint64_t from = now_usec > POLICY_HARM_BEFORE_USEC ? now_usec - POLICY_HARM_BEFORE_USEC : 0;
    uint64_t least = 0;
    uint64_t largest = 0;

    if (!harm_check(&g->harm, now_usec) || h->config.switches.no_harm)
        return;
    g->take_step_permille = POLICY_TAKE_STEP_PERMILLE;
    if (h->share.step >= SHARE_HEAD)
        return;
    if (recent_range(&g->assigned_seen, from, now_usec, &least, &largest))
        harm_mark(&g->harm, largest, now_usec);
}

static void decide_levels(struct host *h, struct guest *const *guests, size_t i, uint64_t now_usec,
                          const struct decide_scratch *scratch)
{
    judge_levels(guests[i], h, now_usec);
    scratch->levels[i] = guests[i]->verdict.levels;
    scratch->weight[i] = guests[i]->verdict.weight;
}

/* Books and levels in one walk: what levels need to know of the host (its state, who waits) hardly ever changes from one
 * decision to the next, so they are made with what held before. Where it did change they are made anew, and in any case
 * for guests that boot, which go by what is available. */
static void decide_judge(struct host *h, struct guest *const *guests, size_t n, uint64_t now_usec,
                         const struct decide_scratch *scratch)
{
    const enum host_state state = h->state;
    const uint32_t waited = h->waits_priority;
    struct decide_sums sums = {0};
    uint32_t waits = 0;
    uint32_t *booting = scratch->order; /* free until plan_open() */
    size_t boots = 0;

    for (size_t i = 0; i < n; i++) {
        struct guest *g = guests[i];
        decide_fetch(guests, i, n, DECIDE_JUDGED);
        decide_harm(h, g, now_usec);
        judge_books(g, &h->config.switches, now_usec);
        decide_add(&sums, g, now_usec);
        if (decide_waits(h, g, now_usec) && g->config.priority > waits)
            waits = g->config.priority;
        if (g->reset_usec)
            booting[boots++] = (uint32_t)i;
        decide_levels(h, guests, i, now_usec, scratch);
    }
    decide_capacity(h, &sums);
    h->waits_priority = waits;
    if (h->state != state || waits != waited) {
        for (size_t i = 0; i < n; i++) {
            decide_fetch(guests, i, n, DECIDE_JUDGED);
            decide_levels(h, guests, i, now_usec, scratch);
        }
        return;
    }
    for (size_t i = 0; i < boots; i++)
        decide_levels(h, guests, booting[i], now_usec, scratch);
}

size_t decide(struct host *h, struct guest *const *guests, size_t n, enum decide_why why, uint64_t now_usec,
              const struct decide_scratch *scratch)
{
    struct plan plan;

    h->decisions++;
    decide_judge(h, guests, n, now_usec, scratch);
    share_divide(h->capacity_kib, h->pool_kib, scratch->levels, scratch->weight, n, scratch->slots,
                 scratch->given_kib, &h->share);
    plan_open(&plan, h, guests, n, why, now_usec, scratch->order, scratch->weight); /* weights were for sharing only */
    for (size_t i = 0; i < n; i++) {
        decide_fetch(guests, i, n, DECIDE_PLANNED);
        judge_given(guests[i], scratch->given_kib[i]);
        band_raise(&guests[i]->band, h->share.step > SHARE_TOP, now_usec);
        plan_look(&plan, i);
    }
    return plan_close(&plan);
}
