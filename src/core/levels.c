/* SPDX-License-Identifier: Apache-2.0 */
#include "levels.h"

#include "demand.h"
#include "kib.h"
#include "policy_defaults.h"

/* What stays available below which a guest can't run well; twice as much where it can't tell of its stalls. */
#define LEVELS_MARGIN_KIB (32 * KIB_PER_MIB)
/* Less than this touched is no sign of anything: small guests may double quickly. */
#define LEVELS_PROOF_ROOM_KIB (64 * KIB_PER_MIB)

/* safe_i: what the guest's own numbers support. Half of its swap may be filled by a take, three quarters while a
 * stalled guest of higher priority waits. */
static uint64_t levels_safe_kib(const struct levels_in *in)
{
    uint64_t quarters = in->higher_waits ? 3 : 2;
    uint64_t swap_kib = kib_sub(kib_scale(in->swap_total_kib, quarters, 4), in->swap_used_kib);
    uint64_t margin_kib = in->stall_signal ? LEVELS_MARGIN_KIB : 2 * LEVELS_MARGIN_KIB;
    uint64_t needs_kib = kib_add(in->used_kib, kib_max(kib_div_up(in->used_kib, 50), margin_kib));

    return kib_max(kib_max(in->minimum_kib, demand_kernel_floor_kib(in->plugged_kib)), kib_sub(needs_kib, swap_kib));
}

static uint64_t levels_bound_kib(const struct levels_in *in)
{
    uint64_t has_kib = kib_max(kib_max(in->assigned_kib, in->minimum_kib), in->startup_kib);
    uint64_t proven_kib =
        kib_max(kib_scale_up(in->proof_kib, 3, 2), kib_add(in->proof_kib, LEVELS_PROOF_ROOM_KIB));

    return kib_max(has_kib, proven_kib);
}

static uint64_t levels_wanted_kib(const struct levels_in *in)
{
    uint64_t wanted_kib = kib_add(in->demand_kib, in->rise_kib);

    if (in->stall_percent > 0)
        wanted_kib = kib_max(wanted_kib, kib_scale_up(in->assigned_kib, 100ULL + in->stall_percent, 100));
    return wanted_kib;
}

void levels_compute(const struct levels_in *in, struct levels *ret)
{
    struct levels l;
    uint64_t marked_kib = kib_max(in->target_kib, kib_min(in->mark_kib, in->maximum_kib));

    l.safe_kib = levels_safe_kib(in);
    l.bound_kib = levels_bound_kib(in);
    l.lower_kib = in->assigned_kib <= in->minimum_kib
                      ? in->minimum_kib
                      : kib_min(kib_max(l.safe_kib, in->minimum_kib), in->assigned_kib);
    l.floor_kib =
        kib_max(kib_min(kib_clamp(in->demand_kib, in->minimum_kib, in->target_kib), l.bound_kib), l.lower_kib);
    l.head_kib = kib_max(l.floor_kib, kib_min(kib_min(levels_wanted_kib(in), in->maximum_kib), l.bound_kib));
    l.top_kib = kib_max(l.head_kib, kib_min(marked_kib, l.bound_kib));
    if (in->limit_kib > 0) {
        uint64_t limit_kib = kib_max(l.floor_kib, in->limit_kib);

        l.head_kib = kib_min(l.head_kib, limit_kib);
        l.top_kib = kib_min(l.top_kib, limit_kib);
    }
    l.keep_kib = in->lazy ? kib_max(l.top_kib, in->assigned_kib) : l.top_kib;
    *ret = l;
}

void levels_fix(uint64_t held_kib, struct levels *ret)
{
    ret->safe_kib = ret->bound_kib = held_kib;
    ret->lower_kib = ret->floor_kib = ret->head_kib = ret->top_kib = ret->keep_kib = held_kib;
}
