/* SPDX-License-Identifier: Apache-2.0 */
#include "guest.h"

#include <stddef.h>

#include "kib.h"
#include "policy_defaults.h"

#define GUEST_STALL_SOME_PPM 50000ULL /* PSI some > 5 % */
#define GUEST_STALL_FIRST_PERCENT 5
#define GUEST_STALL_MOST_PERCENT 25

/* Bytes as someone sent them -> KiB within what the arithmetic takes. Unset counts as 0. */
static uint64_t guest_kib(uint64_t bytes)
{
    return bytes == OBS_UNSET ? 0 : kib_min(bytes / 1024, POLICY_KIB_MAX);
}

void guest_init(struct guest *g, const struct guest_config *config, uint64_t now_usec)
{
    *g = (struct guest){
        .config = *config,
        .appeared_usec = now_usec,
        .take_step_permille = POLICY_TAKE_STEP_PERMILLE,
    };
    g->verdict.sample_age_usec = OBS_UNSET;
}

void guest_configure(struct guest *g, const struct guest_config *config, uint64_t now_usec)
{
    if (config->mode != g->config.mode) {
        g->appeared_usec = now_usec;
        g->foreign_hand = false; /* the operator took the lever back */
    }
    g->config = *config;
}

uint64_t guest_boot_kib(const struct guest *g)
{
    return guest_kib(g->levers.boot_bytes);
}

uint64_t guest_assigned_kib(const struct guest *g)
{
    return g->assigned_kib;
}

uint64_t guest_maximum_kib(const struct guest *g)
{
    uint64_t plug = g->levers.plug_blocked ? g->levers.online_bytes : g->levers.pluggable_bytes;
    uint64_t most = guest_boot_kib(g) + guest_kib(plug);

    /* More than the machine has slots for, or than the guest brings online, can't be reached: asking for it would only
     * make the guest look stuck. */
    if (!g->config.maximum_kib || (most && g->config.maximum_kib > most))
        return most;
    return g->config.maximum_kib;
}

uint64_t guest_minimum_kib(const struct guest *g)
{
    uint64_t boot = guest_boot_kib(g);
    uint64_t minimum = g->config.minimum_kib;

    if (!minimum)
        minimum = kib_max(demand_kernel_floor_kib(boot), boot / 4);
    if (g->levers.time_usec && !g->levers.has_balloon)
        minimum = kib_max(minimum, boot); /* only hot-added memory can be taken */
    return kib_min(minimum, guest_maximum_kib(g));
}

uint64_t guest_released_kib(const struct guest *g)
{
    return guest_boot_kib(g) + guest_kib(g->levers.online_bytes);
}

uint64_t guest_startup_kib(const struct guest *g)
{
    return g->config.startup_kib ? g->config.startup_kib : guest_boot_kib(g);
}

bool guest_in_flight(const struct guest *g)
{
    return g->motion.active;
}

/* A plugged block or a page or two short of the target is the target. */
static uint64_t guest_tolerance_kib(const struct guest *g)
{
    return kib_max(guest_kib(g->levers.block_bytes), KIB_PER_MIB);
}

static uint64_t guest_touched_kib(const struct guest *g)
{
    return guest_kib(g->host.resident_bytes) + guest_kib(g->host.swapped_bytes);
}

/* A difference of sizes that is nothing to speak of. */
static uint64_t guest_slack_kib(uint64_t size_kib)
{
    return kib_max(size_kib * POLICY_DEAD_ZONE_PERMILLE / 1000, POLICY_DEAD_ZONE_MIN_KIB);
}

/* What its balloon does may be by a command of ours, of before a restart, or what its driver was told before a boot. */
static bool guest_may_follow_us(const struct guest *g, uint64_t now_usec)
{
    return g->motion.active || g->owed_kib || g->reset_usec || g->paused || !g->view.time_usec ||
           g->config.mode != GUEST_MODE_AUTO || g->hold != GUEST_HOLD_NO || /* then it is somebody else's to move */
           now_usec < g->appeared_usec + POLICY_SETTLE_USEC;
}

void guest_see_levers(struct guest *g, const struct obs_levers *seen, uint64_t now_usec)
{
    if (!seen->boot_bytes)
        return; /* nothing else in it counts */
    uint64_t before_bytes = g->levers.balloon_actual_bytes;
    bool ours = guest_may_follow_us(g, now_usec); /* also where this look is the one that ends the order */
    g->levers = *seen;
    struct obs_levers *l = &g->levers;
    l->boot_bytes = kib_min(l->boot_bytes, POLICY_KIB_MAX * 1024);
    l->balloon_actual_bytes = kib_min(l->balloon_actual_bytes, l->boot_bytes);
    l->plugged_bytes = kib_min(l->plugged_bytes, POLICY_KIB_MAX * 1024);
    l->online_bytes = kib_min(l->online_bytes, l->plugged_bytes);
    g->assigned_kib = guest_kib(l->balloon_actual_bytes) + guest_kib(l->online_bytes);
    recent_see(&g->assigned_seen, guest_assigned_kib(g), now_usec);
    if (g->reset_usec && !g->fell_usec && l->balloon_actual_bytes < before_bytes)
        g->fell_usec = now_usec;
    motion_see(&g->motion, guest_assigned_kib(g), guest_tolerance_kib(g), now_usec);
    foreign_see_balloon(&g->foreign, guest_kib(l->balloon_actual_bytes), guest_touched_kib(g),
                        guest_slack_kib(guest_assigned_kib(g)), ours, now_usec);
}

/* The guest holds more than it says: not a moment's lag of a balloon that fills, but for 2 s (docs/design.md 3.5). */
static void guest_check_breach(struct guest *g, uint64_t now_usec)
{
    uint64_t touched = guest_touched_kib(g);
    uint64_t from = g->host.time_usec > USEC_PER_SEC ? g->host.time_usec - USEC_PER_SEC : 0;
    uint64_t least = 0;
    uint64_t largest = 0;
    /* One that boots owns all its memory while `actual` still says the old size: that is no lie before its time is over. A
     * driver that was unloaded for good, to forge `actual`, looks the same, until the balloon fills and no driver reports. */
    bool boots = g->reset_usec && now_usec < g->reset_usec + POLICY_BOOT_PATIENCE_USEC &&
                 (!g->fell_usec || now_usec < g->fell_usec + POLICY_FELL_USEC);

    if (boots || !g->levers.time_usec ||
        !recent_range(&g->assigned_seen, from, now_usec, &least, &largest)) {
        g->excess_since_usec = 0;
        g->breach = false;
        return;
    }
    if (touched <= largest + guest_slack_kib(largest)) {
        g->excess_since_usec = 0;
        g->breach = false;
        return;
    }
    if (!g->excess_since_usec)
        g->excess_since_usec = now_usec;
    if (!g->breach && now_usec - g->excess_since_usec >= POLICY_BREACH_USEC) {
        g->breach = true;
        g->breaches++;
    }
}

void guest_see_host(struct guest *g, const struct obs_host_view *seen, uint64_t now_usec)
{
    g->host = *seen;
    peak_see(&g->proof, guest_touched_kib(g), now_usec, POLICY_HALF_LIFE_USEC);
    harm_see_host(&g->harm, seen, g->view.source == OBS_SOURCE_AGENT, now_usec);
    guest_check_breach(g, now_usec);
    if (foreign_see_host(&g->foreign, guest_touched_kib(g), seen->time_usec))
        guest_see_foreign_hand(g, now_usec);
}

/* Bytes swapped in and refaulted in the last 10 s. */
static uint64_t guest_missed_bytes(struct guest *g, uint64_t now_usec)
{
    uint64_t in = g->view.swapped_in_bytes == OBS_UNSET ? 0 : g->view.swapped_in_bytes;
    uint64_t again = g->view.refaulted_bytes == OBS_UNSET ? 0 : g->view.refaulted_bytes;
    uint64_t counter = in <= UINT64_MAX / 4 && again <= UINT64_MAX / 4 ? in + again : 0;
    uint64_t from = now_usec > POLICY_MISSED_USEC ? now_usec - POLICY_MISSED_USEC : 0;
    uint64_t least = 0;
    uint64_t largest = 0;

    if (recent_range(&g->missed_seen, from, now_usec, &least, &largest) && counter < largest)
        recent_clear(&g->missed_seen); /* the guest booted: its counters begin anew */
    recent_see(&g->missed_seen, counter, now_usec);
    if (!recent_range(&g->missed_seen, from, now_usec, &least, &largest))
        return 0;
    return largest - least;
}

/* The size the guest had when it took its sample: least and largest around it (docs/design.md 3.2, pairing). */
static void guest_paired(const struct guest *g, uint64_t *ret_least_kib, uint64_t *ret_largest_kib)
{
    const struct obs_guest_view *v = &g->view;
    uint64_t now = guest_assigned_kib(g);
    uint64_t from = v->time_usec > POLICY_PAIRING_USEC ? v->time_usec - POLICY_PAIRING_USEC : 0;

    if (v->balloon_bytes != OBS_UNSET) { /* the agent's pair belongs to one moment */
        uint64_t paired = demand_assigned_kib(guest_boot_kib(g), guest_kib(g->levers.online_bytes),
                                              guest_kib(v->balloon_bytes));
        *ret_least_kib = paired;
        *ret_largest_kib = paired;
        return;
    }
    if (!recent_range(&g->assigned_seen, from, v->time_usec + POLICY_PAIRING_USEC, ret_least_kib, ret_largest_kib)) {
        *ret_least_kib = now;
        *ret_largest_kib = now;
    }
}

/* MemAvailable; where an old kernel does not send it, what is free or cached. OBS_UNSET: the sample is worth nothing. */
static uint64_t guest_available_bytes(const struct obs_guest_view *v)
{
    if (v->available_bytes != OBS_UNSET)
        return v->available_bytes;
    if (v->free_bytes == OBS_UNSET)
        return OBS_UNSET;
    uint64_t cache = v->cache_bytes == OBS_UNSET ? 0 : v->cache_bytes;
    return kib_min(v->free_bytes, UINT64_MAX / 4) + kib_min(cache, UINT64_MAX / 4);
}

/* Files in constant use, as refaults prove them (sources with that signal). Missed alone stops growing at a quarter of
 * assigned, so a squeezed file server would stay squeezed while others keep headroom for what may come (20 mixed guests at
 * overcommit 2.5: file servers with 800 MiB of hot files were held at 400 MiB, stalled a fifth of the time). While it
 * refaults, what it refaults is added, up to the cache it has; then it is forgotten with the half-life of all that is
 * learned, and proven anew if need be. Part of demand, never of what may not be taken. */
static uint64_t guest_see_warm(struct guest *g, const struct obs_guest_view *before, uint64_t now_usec)
{
    const struct obs_guest_view *v = &g->view;
    uint64_t warm = peak_value(&g->warm, now_usec, POLICY_HALF_LIFE_USEC);
    uint64_t cache = guest_kib(v->cache_bytes);
    uint64_t shmem = guest_kib(v->shmem_bytes);

    if (v->refaulted_bytes == OBS_UNSET || v->cache_bytes == OBS_UNSET)
        return 0;
    cache = cache > shmem ? cache - shmem : 0;
    if (before->time_usec && before->refaulted_bytes < v->refaulted_bytes && v->time_usec > before->time_usec) {
        uint64_t again = guest_kib(v->refaulted_bytes - before->refaulted_bytes);
        if (again * USEC_PER_SEC / (v->time_usec - before->time_usec) > POLICY_WARM_KIB_S)
            peak_see(&g->warm, kib_min(warm + again, cache), now_usec, POLICY_HALF_LIFE_USEC);
    }
    return kib_min(peak_value(&g->warm, now_usec, POLICY_HALF_LIFE_USEC), cache);
}

static void guest_see_stall(struct guest *g, const struct obs_guest_view *before, uint64_t available_kib,
                            uint64_t now_usec)
{
    const struct obs_guest_view *v = &g->view;
    bool near = available_kib < demand_stall_line_kib(guest_assigned_kib(g));
    bool signal = v->psi_some_usec != OBS_UNSET && v->psi_full_usec != OBS_UNSET;
    bool stalled = near;

    if (near && signal) {
        uint64_t elapsed = v->time_usec > before->time_usec ? v->time_usec - before->time_usec : 0;
        bool pair = before->time_usec && elapsed && v->psi_some_usec >= before->psi_some_usec &&
                    v->psi_full_usec >= before->psi_full_usec;
        stalled = pair && (v->psi_full_usec > before->psi_full_usec ||
                           (v->psi_some_usec - before->psi_some_usec) * 1000000 / elapsed > GUEST_STALL_SOME_PPM);
    }
    if (!stalled) {
        g->stall_percent = 0;
        g->stalled_since_usec = 0;
    } else {
        uint32_t next = g->stall_percent ? g->stall_percent * 2 : GUEST_STALL_FIRST_PERCENT;
        g->stall_percent = next > GUEST_STALL_MOST_PERCENT ? GUEST_STALL_MOST_PERCENT : next;
        if (!g->stalled_since_usec)
            g->stalled_since_usec = now_usec;
    }
    bool swapped = before->time_usec && v->swapped_in_bytes != OBS_UNSET && before->swapped_in_bytes != OBS_UNSET &&
                   v->swapped_in_bytes > before->swapped_in_bytes;
    g->honest = stalled || swapped || near;
}

static void guest_see_rise(struct guest *g, uint64_t now_usec)
{
    uint64_t at = g->view.time_usec;
    uint64_t window = g->view.spacing_usec > USEC_PER_SEC ? POLICY_RISE_SLOW_USEC : POLICY_RISE_USEC;
    uint64_t from = at > window ? at - window : 0;
    uint64_t least = 0;
    uint64_t largest = 0;

    recent_see(&g->used_seen, g->used_least_kib, at);
    if (g->reset_usec || !recent_range(&g->used_seen, from, at, &least, &largest) || g->used_least_kib <= least)
        return;
    if (g->booted_usec && now_usec < g->booted_usec + POLICY_SETTLE_USEC)
        return;
    /* A guest just found may grow as fast as any, and a short host takes from it at once: without headroom one was killed
     * by its own kernel (10 MiB a second into 64 MiB, statistics only) while the host had memory to give. But what booting
     * and reconnecting cause is not kept for hours. */
    if (now_usec < g->appeared_usec + POLICY_RISE_SETTLE_USEC)
        peak_see(&g->rise_new, g->used_least_kib - least, now_usec, POLICY_RISE_NEW_HALF_LIFE_USEC);
    else
        peak_see(&g->rise, g->used_least_kib - least, now_usec, POLICY_HALF_LIFE_USEC);
}

void guest_see_view(struct guest *g, const struct obs_guest_view *seen, uint64_t now_usec)
{
    struct obs_guest_view before = g->view;
    uint64_t least = 0;
    uint64_t largest = 0;

    if (guest_available_bytes(seen) == OBS_UNSET || !g->levers.time_usec)
        return; /* nothing to pair it with: counts as not heard */
    if (before.time_usec && seen->time_usec < before.time_usec)
        return; /* late: a newer one is known */
    if (g->reset_usec && seen->time_usec < g->reset_usec + POLICY_PAIRING_USEC)
        return; /* from before the reset */
    if (g->reset_usec) {
        g->reset_usec = 0;
        g->appeared_usec = now_usec;
        g->booted_usec = now_usec;
        before.time_usec = 0; /* counters begin anew */
    }
    g->view = *seen;

    uint64_t available = guest_kib(guest_available_bytes(seen));
    bool agent = seen->source == OBS_SOURCE_AGENT;
    guest_paired(g, &least, &largest);
    uint64_t missed = demand_missed_kib(guest_missed_bytes(g, now_usec), 0, least);
    uint64_t kept = agent || seen->cache_bytes == OBS_UNSET
                        ? 0
                        : demand_kept_kib(guest_kib(seen->cache_bytes), guest_kib(seen->shmem_bytes), least);
    g->used_least_kib = demand_used_kib(least, available, missed, kept);
    g->busy_kib = demand_used_kib(least, available, 0, 0);
    g->used_largest_kib = demand_used_kib(largest, available, missed, kept);
    g->demand_seen_kib = kib_min(g->used_least_kib + guest_see_warm(g, &before, now_usec), POLICY_KIB_MAX);
    if (g->config.demand == DEMAND_COMMITTED && seen->committed_bytes != OBS_UNSET)
        g->demand_seen_kib = demand_committed_kib(guest_kib(seen->committed_bytes), least);
    guest_see_stall(g, &before, available, now_usec);
    guest_see_rise(g, now_usec);
    harm_see_view(&g->harm, seen, now_usec);
    band_see(&g->band, demand_pressure_permille(g->demand_seen_kib, guest_assigned_kib(g)), now_usec);
    if (agent && seen->psi_some_usec != OBS_UNSET)
        selfmanaging_see(&g->selfmanaging, guest_assigned_kib(g), g->used_least_kib, g->honest, now_usec);
}

/* The order under way may still be followed although nothing will tell of it. */
static void guest_owe(struct guest *g)
{
    if (g->motion.active && g->motion.target_kib > guest_assigned_kib(g))
        g->owed_kib = kib_max(g->owed_kib, g->motion.target_kib);
}

void guest_see_reset(struct guest *g, uint64_t now_usec)
{
    if (!g->reset_usec)
        g->reset_assigned_kib = guest_assigned_kib(g);
    g->reset_usec = now_usec;
    g->fell_usec = 0;
    g->stall_percent = 0;
    g->stalled_since_usec = 0;
    guest_owe(g); /* it goes on to that target once it has booted */
    motion_cancel(&g->motion);
}

void guest_see_paused(struct guest *g, bool paused, uint64_t now_usec)
{
    if (g->paused == paused)
        return;
    g->paused = paused;
    g->resumed_usec = now_usec;
    motion_cancel(&g->motion); /* it could not move: neither stuck nor unreached */
}

void guest_set_hold(struct guest *g, enum guest_hold hold)
{
    g->hold = hold;
}

void guest_see_foreign_hand(struct guest *g, uint64_t now_usec)
{
    (void)now_usec;
    g->foreign_hand = true;
    motion_cancel(&g->motion);
}

void guest_ordered(struct guest *g, uint64_t target_kib, uint64_t now_usec)
{
    uint64_t assigned = guest_assigned_kib(g);

    if (g->verdict.order == GUEST_ORDER_WITHDRAW) {
        guest_owe(g); /* until the hypervisor says that it took it back */
        motion_withdraw(&g->motion, now_usec);
        return;
    }
    motion_order(&g->motion, assigned, target_kib, now_usec);
    if (target_kib < assigned)
        harm_took(&g->harm, now_usec);
}

void guest_order_done(struct guest *g)
{
    g->owed_kib = 0;
}

void guest_order_failed(struct guest *g, uint64_t now_usec)
{
    guest_owe(g); /* a monitor that did not answer may have heard */
    if (g->motion.active)
        motion_withdraw(&g->motion, now_usec); /* a lever that refuses is as good as one that does not move */
}

const char *guest_reason_text(enum guest_reason reason)
{
    static const char *const text[GUEST_REASON_COUNT] = {
        [GUEST_REASON_NONE] = "it has what it should have",
        [GUEST_REASON_NEED] = "it needs memory now",
        [GUEST_REASON_PLENTY] = "memory is there for its buffer",
        [GUEST_REASON_RECLAIM] = "it has more than its target; taken slowly, nobody waits",
        [GUEST_REASON_FOR_OTHERS] = "another guest waits for its memory",
        [GUEST_REASON_FOR_HOST] = "guests hold more than the host can keep",
        [GUEST_REASON_DEAD_ZONE] = "the difference is too small to be worth a move",
        [GUEST_REASON_NOT_FREE_YET] = "it gets more as soon as the memory is free",
        [GUEST_REASON_IN_FLIGHT] = "a move is under way",
        [GUEST_REASON_STALE] = "its last sample is too old to take memory by",
        [GUEST_REASON_SETTLING] = "it has just been found or has booted; it is watched first",
        [GUEST_REASON_WAIT_TICK] = "it gives at the next tick",
        [GUEST_REASON_BAND] = "its pressure lies inside the band of its own history",
        [GUEST_REASON_HOST_LOW] = "the host is low on memory: nothing is granted",
        [GUEST_REASON_NOT_MANAGED] = "it is not balanced",
        [GUEST_REASON_STUCK] = "it does not move; it is tried again later",
        [GUEST_REASON_UNREACHED] = "it did not move for 2 s: the target is withdrawn",
        [GUEST_REASON_ON_HOLD] = "its moves are paused by an operator",
        [GUEST_REASON_FOR_RESERVE] = "memory is set aside for a guest to come",
        [GUEST_REASON_RELEASE] = "all memory is given back, as an operator asked",
    };
    if ((unsigned)reason >= GUEST_REASON_COUNT || !text[reason])
        return "unknown";
    return text[reason];
}
