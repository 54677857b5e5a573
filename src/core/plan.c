/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include "judge.h"
#include "policy_defaults.h"

/* No command moves less: a guest's MemAvailable wobbles by as much within a second. */
#define PLAN_QUANTUM_KIB KIB_PER_MIB
/* A grant that comes in parts, as donors let go, comes in parts of this size: 50 ms of a slow balloon. */
#define PLAN_PART_KIB (4 * KIB_PER_MIB)
/* Nearer than this to what it needs, in dead zones, a guest that lacks headroom gets all of it at once. */
#define PLAN_NEAR_ZONES 3
/* A balloon that moves at all was seen to within this time. */
#define PLAN_MOVES_USEC (300 * USEC_PER_MSEC)

uint64_t plan_dead_zone_kib(uint64_t assigned_kib)
{
    uint64_t zone = assigned_kib * POLICY_DEAD_ZONE_PERMILLE / 1000;

    if (zone < POLICY_DEAD_ZONE_MIN_KIB)
        zone = POLICY_DEAD_ZONE_MIN_KIB;
    return zone > POLICY_DEAD_ZONE_MAX_KIB ? POLICY_DEAD_ZONE_MAX_KIB : zone;
}

static bool plan_lacks(const struct guest *g)
{
    return g->stall_percent || guest_assigned_kib(g) < g->verdict.levels.head_kib;
}

/* What the guest has or was granted already. */
static uint64_t plan_base_kib(const struct guest *g)
{
    uint64_t assigned = guest_assigned_kib(g);

    if (g->motion.active && g->motion.target_kib > assigned)
        return g->motion.target_kib;
    return assigned;
}

static bool plan_in_band(const struct plan *p, const struct guest *g)
{
    struct band_marks marks;
    const struct guest_verdict *v = &g->verdict;

    if (!g->config.band || p->h->share.step > SHARE_TOP || plan_lacks(g) || !v->target_kib)
        return false;
    band_marks(&g->band, (uint32_t)(demand_pressure_permille(v->demand_kib, v->target_kib) / 10), &marks);
    return v->pressure_permille >= marks.low_percent * 10ULL && v->pressure_permille <= marks.high_percent * 10ULL;
}

static void plan_set(struct plan *p, struct guest *g, enum guest_order order, uint64_t target_kib,
                     enum guest_reason reason)
{
    g->verdict.order = order;
    g->verdict.order_kib = target_kib;
    g->verdict.reason = reason;
    p->orders++;
}

/* It should not wait for a dead zone: it stalls, or it lacks need or headroom with next to nothing left of what it has.
 * (In steps 4 and 5 of sharing everyone lacks something: with no dead zone at all, each wobble of one guest moved them all;
 * 20 mixed guests at overcommit 2.5: 79,000 commands in half an hour. What was missed and files in use make a need, but not
 * one of milliseconds: there is cache to run on.) */
static bool plan_hungry(const struct guest *g)
{
    uint64_t assigned = guest_assigned_kib(g);

    return g->stall_percent || g->hold == GUEST_HOLD_RELEASE ||
           (plan_lacks(g) && assigned < g->busy_kib + PLAN_NEAR_ZONES * plan_dead_zone_kib(assigned));
}

/* The smallest gap of a hungry guest worth a command: one that stalls gets every MiB, others a quarter of the dead zone. */
static uint64_t plan_least_kib(const struct guest *g)
{
    if (g->hold == GUEST_HOLD_RELEASE)
        return 1; /* to the last page: nothing will move it any more */
    return g->stall_percent ? PLAN_QUANTUM_KIB : plan_dead_zone_kib(guest_assigned_kib(g)) / 4;
}

/* What the guest lacks and deserves a command for; 0: none. */
static uint64_t plan_gap_kib(const struct guest *g)
{
    uint64_t base = plan_base_kib(g);
    uint64_t given = g->verdict.given_kib;

    if (given <= base)
        return 0;
    uint64_t gap = given - base;
    return gap > plan_dead_zone_kib(guest_assigned_kib(g)) || (plan_hungry(g) && gap >= plan_least_kib(g)) ? gap : 0;
}

/* Orders that come before all sharing: withdraw what can't be reached, and never let a shrink under way go on below what
 * the guest deserves by now (S13). True where the guest is dealt with. */
static bool plan_urgent(struct plan *p, struct guest *g)
{
    const struct guest_verdict *v = &g->verdict;
    uint64_t assigned = guest_assigned_kib(g);

    if (motion_wants_withdrawal(&g->motion, p->now_usec) && !p->h->config.switches.no_stuck) {
        plan_set(p, g, GUEST_ORDER_WITHDRAW, assigned, GUEST_REASON_UNREACHED);
        return true;
    }
    if (!judge_is_managed(g)) {
        g->verdict.reason = g->hold == GUEST_HOLD_KEEP                ? GUEST_REASON_ON_HOLD
                            : g->reset_usec || !g->view.time_usec ? GUEST_REASON_SETTLING
                                                                  : GUEST_REASON_NOT_MANAGED;
        return true;
    }
    bool shrinking = g->motion.active && g->motion.target_kib < assigned;
    uint64_t least = g->motion.target_kib + plan_dead_zone_kib(assigned);
    if (shrinking && (least < v->given_kib || g->motion.target_kib < v->levels.lower_kib) && v->given_kib < assigned) {
        plan_set(p, g, GUEST_ORDER_SHRINK, v->given_kib, GUEST_REASON_FOR_OTHERS);
        return true;
    }
    return false;
}

/* What a donor has beyond its given, and how much of that is not on its way out already. */
static uint64_t plan_excess_kib(const struct guest *g)
{
    uint64_t base = plan_base_kib(g);

    if (g->motion.active && g->motion.target_kib < base)
        base = g->motion.target_kib;
    return base > g->verdict.given_kib ? base - g->verdict.given_kib : 0;
}

/* What a shrink under way still brings; one that has not moved for a while is not counted on. */
static uint64_t plan_coming_kib(const struct plan *p, const struct guest *g)
{
    uint64_t assigned = guest_assigned_kib(g);

    if (!g->motion.active || g->motion.target_kib >= assigned || p->now_usec > g->motion.moved_usec + PLAN_MOVES_USEC)
        return 0;
    return assigned - g->motion.target_kib;
}

/* Position i gives kib that others may use, now or under way. */
static void plan_gives(struct plan *p, uint32_t i, uint64_t kib)
{
    struct decide_waiting *w = &p->h->waiting;

    if (!kib)
        return;
    w->donors++;
    if (w->donor != DECIDE_NOBODY && w->donor_kib >= kib)
        return;
    w->donor = i;
    w->donor_kib = kib;
}

/* Position i lacks kib of what it should get now; called in serving order. */
static void plan_waits(struct plan *p, uint32_t i, uint64_t kib)
{
    struct decide_waiting *w = &p->h->waiting;

    if (!w->waiters++) {
        w->waiter = i;
        w->waiter_kib = kib;
    }
}

/* Another waits: at once, without dead zone, but no more donors than it takes. */
static void plan_take_for_others(struct plan *p, uint32_t i)
{
    struct guest *g = p->guests[i];
    uint64_t excess = plan_excess_kib(g);

    plan_set(p, g, GUEST_ORDER_SHRINK, g->verdict.given_kib,
             p->h->emergency                          ? GUEST_REASON_FOR_HOST
             : p->reserve_kib > p->wanted_kib / 2 ? GUEST_REASON_FOR_RESERVE
                                                      : GUEST_REASON_FOR_OTHERS);
    p->short_kib -= excess < p->short_kib ? excess : p->short_kib;
    p->urgent_kib -= excess < p->urgent_kib ? excess : p->urgent_kib;
    plan_gives(p, i, excess);
}

/* Nobody waits: 1 % of assigned a second, doubling to 8 % while the guest does not mind. Where the books say that guests
 * hold more than the host can keep, 8 % at once and without settling; but not at device speed while the memory itself is
 * there: a guest of 384 MiB that was cut to what it used in the very second in which it began to grow lost a process. */
static void plan_take_slowly(struct plan *p, struct guest *g)
{
    struct guest_verdict *v = &g->verdict;
    uint64_t assigned = guest_assigned_kib(g);
    bool owed = p->h->deficit_kib > 0;

    if (!owed && p->now_usec < g->appeared_usec + POLICY_SETTLE_USEC && !p->h->config.switches.no_adopt_hold) {
        v->reason = GUEST_REASON_SETTLING;
        return;
    }
    if (p->why != DECIDE_TICK) {
        v->reason = GUEST_REASON_WAIT_TICK;
        return;
    }
    bool going = g->take_tick_usec && p->now_usec < g->take_tick_usec + 2 * POLICY_TICK_USEC;
    if (owed)
        g->take_step_permille = POLICY_TAKE_STEP_MAX_PERMILLE;
    else if (!harm_quiet(&g->harm) || !going)
        g->take_step_permille = POLICY_TAKE_STEP_PERMILLE;
    else if (g->take_step_permille < POLICY_TAKE_STEP_MAX_PERMILLE)
        g->take_step_permille *= 2;
    uint64_t step = assigned * g->take_step_permille / 1000;
    if (step > POLICY_TAKE_DEVICE_KIB)
        step = POLICY_TAKE_DEVICE_KIB;
    if (step < PLAN_QUANTUM_KIB)
        step = PLAN_QUANTUM_KIB;
    uint64_t target = assigned - v->given_kib > step ? assigned - step : v->given_kib;
    g->take_tick_usec = p->now_usec;
    if (g->motion.active && g->motion.target_kib <= target) {
        v->reason = GUEST_REASON_IN_FLIGHT;
        return;
    }
    plan_set(p, g, GUEST_ORDER_SHRINK, target, owed ? GUEST_REASON_FOR_HOST : GUEST_REASON_RECLAIM);
}

static void plan_shrink(struct plan *p, struct guest *g)
{
    struct guest_verdict *v = &g->verdict;
    uint64_t has = plan_base_kib(g);

    if (has < v->given_kib + PLAN_QUANTUM_KIB) {
        v->reason = v->flags & GUEST_FLAG_SILENT ? GUEST_REASON_STALE
                    : has == v->given_kib        ? GUEST_REASON_NONE
                                                 : GUEST_REASON_DEAD_ZONE;
        return;
    }
    uint64_t assigned = guest_assigned_kib(g);
    if (g->motion.active && (g->motion.target_kib > assigned || plan_excess_kib(g) < PLAN_QUANTUM_KIB)) {
        v->reason = GUEST_REASON_IN_FLIGHT; /* still growing: wait and see; or all of it is on its way */
        return;
    }
    bool going = g->motion.active || (g->take_tick_usec && p->now_usec < g->take_tick_usec + 2 * POLICY_TICK_USEC);
    if (!going && assigned - v->given_kib <= plan_dead_zone_kib(assigned)) {
        v->reason = GUEST_REASON_DEAD_ZONE;
        return;
    }
    if (plan_in_band(p, g)) {
        v->reason = GUEST_REASON_BAND;
        return;
    }
    plan_take_slowly(p, g);
}

/* Who is served first: 3 stalls, 2 lacks head, 1 the rest; then by priority. */
static uint64_t plan_rank(const struct guest *g)
{
    uint64_t need = g->stall_percent ? 3 : plan_lacks(g) ? 2 : 1;

    return need << 32 | g->config.priority;
}

/* a comes after b in serving order: by rank, then by position. */
static bool plan_after(const struct plan *p, uint32_t a, uint32_t b)
{
    if (p->rank[a] != p->rank[b])
        return p->rank[a] < p->rank[b];
    return p->h->config.switches.no_position ? p->guests[a] > p->guests[b] : a > b;
}

static void plan_sift(const struct plan *p, uint32_t *order, size_t root, size_t n)
{
    for (;;) {
        size_t child = 2 * root + 1;
        if (child >= n)
            return;
        if (child + 1 < n && plan_after(p, order[child + 1], order[child]))
            child++;
        if (!plan_after(p, order[child], order[root]))
            return;
        uint32_t swap = order[root];
        order[root] = order[child];
        order[child] = swap;
        root = child;
    }
}

static void plan_sort(const struct plan *p, uint32_t *order, size_t n)
{
    for (size_t i = n / 2; i; i--)
        plan_sift(p, order, i - 1, n);
    for (size_t i = n; i > 1; i--) {
        uint32_t swap = order[0];
        order[0] = order[i - 1];
        order[i - 1] = swap;
        plan_sift(p, order, 0, i - 1);
    }
}

static void plan_grant(struct plan *p, uint32_t i)
{
    struct guest *g = p->guests[i];
    struct guest_verdict *v = &g->verdict;
    uint64_t gap = plan_gap_kib(g);
    uint64_t base = plan_base_kib(g);

    if (p->h->state == HOST_LOW) {
        v->reason = GUEST_REASON_HOST_LOW;
        plan_waits(p, i, gap);
        return;
    }
    if (!plan_lacks(g) && plan_in_band(p, g)) {
        v->reason = GUEST_REASON_BAND;
        return;
    }
    uint64_t free_kib = p->free_kib + (plan_hungry(g) && g->hold == GUEST_HOLD_NO ? p->yield_kib : 0);
    uint64_t grant = gap < free_kib || p->h->config.switches.no_free_first ? gap : free_kib;
    bool part = grant < gap;
    uint64_t least = plan_hungry(g) ? PLAN_PART_KIB : plan_dead_zone_kib(guest_assigned_kib(g));
    if ((part && grant < least) || base + grant < guest_minimum_kib(g)) {
        v->reason = GUEST_REASON_NOT_FREE_YET;
        plan_waits(p, i, gap);
        return;
    }
    if (part)
        plan_waits(p, i, gap - grant);
    uint64_t first = grant < p->free_kib ? grant : p->free_kib;
    p->free_kib -= first;
    p->yield_kib -= grant - first < p->yield_kib ? grant - first : p->yield_kib;
    plan_set(p, g, GUEST_ORDER_GROW, base + grant,
             g->hold == GUEST_HOLD_RELEASE ? GUEST_REASON_RELEASE
             : plan_lacks(g)               ? GUEST_REASON_NEED
                                           : GUEST_REASON_PLENTY);
}

void plan_open(struct plan *p, struct host *h, struct guest *const *guests, size_t n, enum decide_why why,
               uint64_t now_usec, uint32_t *order, uint64_t *rank)
{
    *p = (struct plan){
        .h = h,
        .guests = guests,
        .why = why,
        .now_usec = now_usec,
        .order = order,
        .rank = rank,
        .donors_from = n,
        .n = n,
        .free_kib = h->grantable_kib > 0 ? (uint64_t)h->grantable_kib : 0,
    };
    h->waiting = (struct decide_waiting){
        .waiter = DECIDE_NOBODY, .donor = DECIDE_NOBODY, .free_kib = p->free_kib};
}

/* An agent that owes a heartbeat is asked, and nothing is taken before it answered: what its guest took since its last
 * sample is not in there. One that is silent altogether has levels of its own. */
static bool plan_is_late(const struct plan *p, struct guest *g)
{
    uint64_t heartbeat = g->view.spacing_usec < USEC_PER_MIN ? g->view.spacing_usec : USEC_PER_MIN;

    g->verdict.wants_view = g->view.source == OBS_SOURCE_AGENT && !(g->verdict.flags & GUEST_FLAG_SILENT) &&
                            !p->h->config.switches.no_ask &&
                            p->now_usec > g->view.heard_usec + heartbeat * POLICY_LATE_PERCENT / 100;
    return g->verdict.wants_view;
}

void plan_look(struct plan *p, size_t i)
{
    struct guest *g = p->guests[i];

    g->verdict.order = GUEST_ORDER_NONE;
    g->verdict.order_kib = 0;
    g->verdict.reason = GUEST_REASON_NONE;
    uint64_t coming = plan_coming_kib(p, g);
    p->coming_kib += coming;
    plan_gives(p, (uint32_t)i, coming);
    if (plan_urgent(p, g))
        return;
    uint64_t gap = plan_gap_kib(g);
    if (gap) {
        p->wanted_kib += gap;
        p->hungry_kib += plan_hungry(g) ? gap : 0;
        p->rank[i] = plan_rank(g);
        p->order[p->growing++] = (uint32_t)i;
    } else if (plan_excess_kib(g) >= PLAN_QUANTUM_KIB && plan_is_late(p, g)) {
        g->verdict.reason = GUEST_REASON_STALE;
    } else if (plan_excess_kib(g) >= PLAN_QUANTUM_KIB) {
        p->rank[i] = plan_excess_kib(g); /* who has most to give, first */
        p->order[--p->donors_from] = (uint32_t)i;
    } else {
        plan_shrink(p, g); /* finds nothing to take, and says why */
    }
}

/* Donors, those with most to give first, until those who wait are served; then what nobody waits for, slowly. */
static void plan_free(struct plan *p)
{
    uint32_t *donors = p->order + p->donors_from;
    size_t n = p->n - p->donors_from;
    uint64_t coming = p->free_kib + p->coming_kib;

    p->short_kib = p->wanted_kib > coming ? p->wanted_kib - coming : 0;
    p->urgent_kib = p->hungry_kib > coming ? p->hungry_kib - coming : 0;
    if (p->short_kib)
        plan_sort(p, donors, n);
    for (size_t i = 0; i < n && p->short_kib; i++) {
        struct guest *g = p->guests[donors[i]];
        if (p->urgent_kib || plan_excess_kib(g) > plan_dead_zone_kib(guest_assigned_kib(g)))
            plan_take_for_others(p, donors[i]);
    }
    for (size_t i = 0; i < n; i++) {
        struct guest *g = p->guests[donors[i]];
        if (g->verdict.order == GUEST_ORDER_NONE)
            plan_shrink(p, g);
    }
}

/* A reservation waits as a hungry guest does: donors give at once and to the last MiB. What is gathered so far still serves
 * guests that are hungry themselves: one that starves must not wait for memory that nobody uses yet. */
static void plan_reserve(struct plan *p)
{
    const struct host_config *c = &p->h->config;
    int64_t grantable = p->h->grantable_kib, gathered = grantable + (int64_t)c->gathering_kib;

    if (grantable < 0 && c->reservations_kib)
        p->reserve_kib = (uint64_t)-grantable < c->reservations_kib ? (uint64_t)-grantable : c->reservations_kib;
    p->wanted_kib += p->reserve_kib;
    p->hungry_kib += p->reserve_kib;
    if (gathered > (int64_t)p->free_kib)
        p->yield_kib = (uint64_t)gathered - p->free_kib;
}

size_t plan_close(struct plan *p)
{
    p->h->waiting.wanted_kib = p->wanted_kib;
    p->h->waiting.coming_kib = p->coming_kib;
    if (p->h->emergency)
        p->wanted_kib += p->h->deficit_kib;
    plan_reserve(p);
    /* Free first, give second: what is taken now is granted when it has arrived. */
    plan_free(p);
    plan_sort(p, p->order, p->growing);
    for (size_t i = 0; i < p->growing; i++)
        plan_grant(p, p->order[i]);
    return p->orders;
}
