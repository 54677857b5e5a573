/* SPDX-License-Identifier: Apache-2.0 */
#include "judge.h"

#include "kib.h"
#include "policy_defaults.h"
#include "weight.h"

static uint64_t judge_touched_kib(const struct guest *g)
{
    if (!g->host.time_usec)
        return 0;
    return kib_min(g->host.resident_bytes / 1024, POLICY_KIB_MAX) +
           kib_min(g->host.swapped_bytes / 1024, POLICY_KIB_MAX);
}

/* How old a sample may be to take by it. */
static uint64_t judge_stale_usec(const struct guest *g)
{
    if (g->view.source == OBS_SOURCE_AGENT)
        return POLICY_STALE_BEATS * kib_max(kib_min(g->view.spacing_usec, USEC_PER_MIN), USEC_PER_SEC) +
               POLICY_STALE_AGENT_USEC;
    return POLICY_STALE_POLLS * kib_max(kib_min(g->view.spacing_usec, USEC_PER_MIN), USEC_PER_SEC);
}

static uint32_t judge_flags(const struct guest *g, const struct decide_switches *switches, uint64_t now_usec)
{
    const struct obs_levers *l = &g->levers;
    uint32_t flags = 0;
    uint64_t heard = kib_max(g->view.heard_usec, g->resumed_usec);

    if (g->paused)
        flags |= GUEST_FLAG_PAUSED;
    else if (g->view.time_usec && !g->reset_usec)
        flags |= now_usec > heard + judge_stale_usec(g) ? GUEST_FLAG_SILENT : 0;
    else if (now_usec > (g->reset_usec ? g->reset_usec : g->appeared_usec) + POLICY_BOOT_PATIENCE_USEC)
        flags |= GUEST_FLAG_SILENT; /* one that boots can't report: that is no silence yet */
    if (g->reset_usec || !g->view.time_usec)
        flags |= flags & GUEST_FLAG_SILENT ? 0 : GUEST_FLAG_BOOTING;
    if (motion_is_stuck(&g->motion) && !switches->no_stuck)
        flags |= GUEST_FLAG_STUCK;
    if (g->breach)
        flags |= GUEST_FLAG_BREACH;
    if (g->foreign_hand && !switches->no_foreign_hand)
        flags |= GUEST_FLAG_FOREIGN_HAND;
    if (l->time_usec && !l->has_balloon && !l->block_bytes)
        flags |= GUEST_FLAG_NO_BALLOON | GUEST_FLAG_FIXED;
    if (l->plug_blocked)
        flags |= GUEST_FLAG_NOT_ONLINED;
    if (g->config.mode == GUEST_MODE_FIXED)
        flags |= GUEST_FLAG_FIXED;
    if (g->stall_percent)
        flags |= GUEST_FLAG_STALLED;
    if (harm_mark_kib(&g->harm, now_usec))
        flags |= GUEST_FLAG_MARKED;
    if (g->hold == GUEST_HOLD_KEEP)
        flags |= GUEST_FLAG_ON_HOLD;
    return flags;
}

void judge_books(struct guest *g, const struct decide_switches *switches, uint64_t now_usec)
{
    struct guest_verdict *v = &g->verdict;
    uint64_t assigned = guest_assigned_kib(g);

    v->flags = judge_flags(g, switches, now_usec);
    v->held_kib = kib_max(assigned, judge_touched_kib(g));
    v->exposure_kib = guest_boot_kib(g) - kib_min(g->levers.balloon_actual_bytes / 1024, guest_boot_kib(g));
    v->counted_kib = v->held_kib;
    if (g->motion.active)
        v->counted_kib = kib_max(v->counted_kib, g->motion.target_kib);
    v->counted_kib = kib_max(v->counted_kib, g->owed_kib);
    /* virtio-mem plugs up to what was asked for by itself, also after a boot or for a predecessor of ours. */
    uint64_t asked = kib_min(g->levers.requested_bytes, g->levers.pluggable_bytes) / 1024;
    v->counted_kib = kib_max(v->counted_kib, g->levers.balloon_actual_bytes / 1024 + kib_min(asked, POLICY_KIB_MAX));
    /* S1b: until its driver reports, a guest that was reset may touch all it booted with, whatever `actual` says. So may one
     * that we have just found: it may be booting. */
    bool reported = !g->reset_usec && g->view.time_usec && g->view.time_usec + USEC_PER_SEC >= g->appeared_usec;
    /* So may one in breach: a driver that was unloaded and `actual` forged within a moment show no reset at all. */
    if ((!reported || g->breach) && !switches->no_reset_count)
        v->counted_kib = kib_max(v->counted_kib, kib_max(guest_boot_kib(g), g->reset_assigned_kib));
    v->sample_age_usec = OBS_UNSET;
    if (g->view.time_usec)
        v->sample_age_usec = now_usec > g->view.time_usec ? now_usec - g->view.time_usec : 0;
    v->wants_host_view = v->wants_view = false;
}

bool judge_is_managed(const struct guest *g)
{
    const uint32_t unmanaged = GUEST_FLAG_BREACH | GUEST_FLAG_FOREIGN_HAND | GUEST_FLAG_NO_BALLOON | GUEST_FLAG_PAUSED |
                               GUEST_FLAG_ON_HOLD;

    if (!g->levers.time_usec || g->reset_usec || g->verdict.flags & unmanaged)
        return false;
    if (g->hold == GUEST_HOLD_RELEASE) /* giving back needs no numbers; but what was never ours to move stays so */
        return g->config.mode == GUEST_MODE_AUTO || g->config.mode == GUEST_MODE_FIXED;
    return g->config.mode == GUEST_MODE_AUTO && g->verdict.sample_age_usec != OBS_UNSET;
}

static bool judge_under_hard(const struct guest *g, const struct host *h)
{
    return h->state >= HOST_HARD || g->config.priority < h->waits_priority;
}

static void judge_demand(struct guest *g, bool no_clamp)
{
    struct guest_verdict *v = &g->verdict;
    uint64_t minimum = guest_minimum_kib(g);
    uint64_t maximum = guest_maximum_kib(g);
    uint64_t unclamped = 0;

    v->used_kib = g->used_least_kib;
    v->demand_kib = g->demand_seen_kib;
    v->stall_percent = g->stall_percent;
    if (g->stall_percent)
        v->demand_kib = kib_max(v->demand_kib, demand_stalled_kib(guest_assigned_kib(g)));
    v->pressure_permille = demand_pressure_permille(v->demand_kib, guest_assigned_kib(g));
    if (!demand_target_kib(g->config.buffer_of, g->config.buffer, v->demand_kib, minimum, maximum, &unclamped,
                           &v->target_kib))
        v->target_kib = maximum;
    if (no_clamp)
        v->target_kib = unclamped;
}

static void judge_normal_levels(struct guest *g, const struct host *h, uint64_t now_usec, struct levels *ret)
{
    struct guest_verdict *v = &g->verdict;
    uint64_t assigned = guest_assigned_kib(g);
    bool agent = g->view.source == OBS_SOURCE_AGENT;
    uint64_t limit = selfmanaging_limit_kib(&g->selfmanaging);

    if (g->config.self_managing == GUEST_CHOICE_NO)
        limit = 0;
    if (g->config.self_managing == GUEST_CHOICE_YES)
        limit = guest_startup_kib(g);
    v->proof_kib = peak_value(&g->proof, now_usec, POLICY_HALF_LIFE_USEC);
    v->rise_kib = kib_max(peak_value(&g->rise, now_usec, POLICY_HALF_LIFE_USEC),
                          peak_value(&g->rise_new, now_usec, POLICY_RISE_NEW_HALF_LIFE_USEC));
    v->mark_kib = harm_mark_kib(&g->harm, now_usec);
    v->limit_kib = limit;
    if (limit)
        v->flags |= GUEST_FLAG_SELF_MANAGING;
    struct levels_in in = {
        .minimum_kib = guest_minimum_kib(g),
        .maximum_kib = guest_maximum_kib(g),
        .startup_kib = g->config.startup_kib, /* only the operator's word lifts the bound, not a large -m */
        .assigned_kib = assigned,
        .plugged_kib = guest_boot_kib(g) + g->levers.online_bytes / 1024,
        .proof_kib = h->config.switches.no_bound ? POLICY_KIB_MAX : v->proof_kib,
        .demand_kib = v->demand_kib,
        .used_kib = g->used_largest_kib,
        .swap_total_kib = g->view.swap_total_bytes == OBS_UNSET ? 0 : g->view.swap_total_bytes / 1024,
        .swap_used_kib = g->view.swap_used_bytes == OBS_UNSET ? 0 : g->view.swap_used_bytes / 1024,
        .target_kib = v->target_kib,
        .rise_kib = v->rise_kib,
        .mark_kib = v->mark_kib,
        .limit_kib = limit,
        .stall_percent = g->stall_percent,
        .stall_signal = agent && g->view.psi_some_usec != OBS_UNSET,
        .higher_waits = g->config.priority < h->waits_priority,
        .lazy = g->config.reclaim == GUEST_RECLAIM_LAZY,
    };
    if (h->state >= HOST_SOFT)
        in.lazy = false; /* soft: lazy guests give down to top although nobody asks (docs/design.md 3.6) */
    levels_compute(&in, ret);
    if (h->config.switches.no_lower)
        ret->lower_kib = in.minimum_kib;
    v->wants_host_view = !h->config.switches.no_bound && v->target_kib > ret->bound_kib;
}

/* All but lower. */
static void judge_raise_need(struct levels *l, uint64_t least_kib)
{
    l->floor_kib = kib_max(l->floor_kib, least_kib);
    l->head_kib = kib_max(l->head_kib, least_kib);
    l->top_kib = kib_max(l->top_kib, least_kib);
    l->keep_kib = kib_max(l->keep_kib, least_kib);
}

static void judge_raise(struct levels *l, uint64_t least_kib)
{
    l->lower_kib = kib_max(l->lower_kib, least_kib);
    judge_raise_need(l, least_kib);
}

static void judge_cap(struct levels *l, uint64_t most_kib)
{
    l->lower_kib = kib_min(l->lower_kib, most_kib);
    l->floor_kib = kib_min(l->floor_kib, most_kib);
    l->head_kib = kib_min(l->head_kib, most_kib);
    l->top_kib = kib_min(l->top_kib, most_kib);
    l->keep_kib = kib_min(l->keep_kib, most_kib);
}

/* S1b: others give for a guest that was reset only what the host sees it touch, until it is overdue or the host short. */
static uint64_t judge_booting_kib(const struct guest *g, const struct host *h, uint64_t now_usec)
{
    uint64_t held = kib_max(kib_min(guest_assigned_kib(g), g->reset_assigned_kib), judge_touched_kib(g));
    bool overdue = now_usec >= g->reset_usec + POLICY_BOOT_PATIENCE_USEC;
    bool shortage = h->seen.time_usec && h->available_kib * 2 < (int64_t)h->config.reserve_kib;

    return overdue || shortage ? kib_max(held, g->verdict.counted_kib) : held;
}

/* A silent guest keeps what it has; in hard it may be cut to what its kernel and the host's own view support. */
static void judge_silent_levels(const struct guest *g, const struct host *h, struct levels *l)
{
    uint64_t assigned = guest_assigned_kib(g);

    if (!judge_under_hard(g, h)) {
        judge_raise(l, assigned);
        return;
    }
    uint64_t floor = demand_kernel_floor_kib(guest_boot_kib(g) + g->levers.online_bytes / 1024);
    uint64_t lower = kib_max(kib_max(guest_minimum_kib(g), floor), judge_touched_kib(g));
    levels_fix(kib_max(kib_min(lower, assigned), guest_minimum_kib(g)), l); /* S2, with less than its minimum, too */
    l->floor_kib = kib_max(l->lower_kib, kib_min(assigned, kib_max(g->verdict.demand_kib, lower)));
    l->head_kib = l->floor_kib;
    l->top_kib = kib_max(l->floor_kib, assigned);
    l->keep_kib = l->top_kib;
}

static void judge_levels_kept(struct guest *g, const struct host *h, uint64_t now_usec)
{
    struct guest_verdict *v = &g->verdict;
    const struct decide_switches *switches = &h->config.switches;
    uint64_t assigned = guest_assigned_kib(g);

    if (!weight_compute(g->config.priority, POLICY_ACTIVE_PPM_UNKNOWN, g->config.tax_ppm, &v->weight))
        v->weight = 1;
    if (!g->levers.time_usec || !g->view.time_usec) {
        v->demand_kib = v->used_kib = v->target_kib = v->advice_kib = v->held_kib;
        v->pressure_permille = demand_pressure_permille(v->held_kib, assigned);
        levels_fix(v->held_kib, &v->levels);
        return;
    }
    judge_demand(g, switches->no_clamp);
    judge_normal_levels(g, h, now_usec, &v->levels);
    v->advice_kib = v->levels.top_kib;
    if (g->reset_usec && !switches->no_reset_count) {
        levels_fix(judge_booting_kib(g, h, now_usec), &v->levels);
        return;
    }
    if (!judge_is_managed(g)) {
        levels_fix(v->held_kib, &v->levels);
        return;
    }
    /* After a boot programs load what they held before: what the guest had then is its need for that long. Else others
     * had it as their buffer within a second, and programs were killed before it came back (six times in the minute
     * after one guest of five with balloon statistics had reset). */
    if (g->booted_usec && now_usec < g->booted_usec + POLICY_LOADS_USEC)
        judge_raise_need(&v->levels, kib_min(g->reset_assigned_kib, guest_maximum_kib(g)));
    if (v->flags & GUEST_FLAG_SILENT)
        judge_silent_levels(g, h, &v->levels);
    if (motion_is_held(&g->motion, now_usec) && !switches->no_stuck) {
        if (g->motion.stuck_growing)
            judge_cap(&v->levels, kib_max(assigned, v->levels.lower_kib));
        else
            judge_raise(&v->levels, assigned);
    }
}

/* Nothing is taken any more, and all it booted with is its need, whatever its maximum: as it was before ballast came. */
static void judge_release_levels(const struct guest *g, struct levels *l)
{
    uint64_t assigned = guest_assigned_kib(g);

    levels_fix(assigned, l);
    judge_raise_need(l, kib_max(assigned, guest_released_kib(g)));
}

void judge_levels(struct guest *g, const struct host *h, uint64_t now_usec)
{
    judge_levels_kept(g, h, now_usec);
    if (g->hold == GUEST_HOLD_RELEASE && judge_is_managed(g))
        judge_release_levels(g, &g->verdict.levels);
}

static enum guest_memory_status judge_memory_status(const struct guest *g)
{
    const struct guest_verdict *v = &g->verdict;
    uint64_t assigned = guest_assigned_kib(g);
    uint64_t unclamped = 0;
    uint64_t clamped = 0;

    if (v->sample_age_usec == OBS_UNSET)
        return GUEST_MEMORY_OK;
    if (v->pressure_permille >= GUEST_WARNING_PRESSURE_PERMILLE)
        return GUEST_MEMORY_WARNING;
    if (!demand_target_kib(g->config.buffer_of, g->config.buffer, v->demand_kib, 0, POLICY_KIB_MAX, &unclamped,
                           &clamped))
        return GUEST_MEMORY_OK;
    uint64_t buffer = unclamped - v->demand_kib;
    uint64_t available = assigned > v->demand_kib ? assigned - v->demand_kib : 0;
    return available * 100 < buffer * GUEST_LOW_PERCENT ? GUEST_MEMORY_LOW : GUEST_MEMORY_OK;
}

void judge_given(struct guest *g, uint64_t given_kib)
{
    struct guest_verdict *v = &g->verdict;

    v->given_kib = given_kib;
    v->penalty_kib = v->target_kib > given_kib ? v->target_kib - given_kib : 0;
    v->shortfall_kib = v->demand_kib > given_kib ? v->demand_kib - given_kib : 0;
    v->memory_status = judge_memory_status(g);
}
