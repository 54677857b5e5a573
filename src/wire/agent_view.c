/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_view.h"

void agent_clock_see(struct agent_clock *clock, uint64_t sent_usec, uint64_t guest_usec, uint64_t now_usec)
{
    if (sent_usec > now_usec || guest_usec > INT64_MAX)
        return;
    uint64_t trip = now_usec - sent_usec;
    if (clock->known && trip > clock->trip_usec && now_usec - clock->set_usec < AGENT_CLOCK_KEEP_USEC)
        return;
    *clock = (struct agent_clock){
        .known = true,
        .ahead_usec = (int64_t)guest_usec - (int64_t)(sent_usec + trip / 2),
        .trip_usec = trip,
        .set_usec = now_usec,
    };
}

uint64_t agent_clock_ours(const struct agent_clock *clock, uint64_t guest_usec, uint64_t now_usec)
{
    uint64_t earliest = now_usec > AGENT_CLOCK_LATE_USEC ? now_usec - AGENT_CLOCK_LATE_USEC : 0;

    if (!clock->known || guest_usec > INT64_MAX)
        return now_usec;
    int64_t ours = 0;
    if (__builtin_sub_overflow((int64_t)guest_usec, clock->ahead_usec, &ours) || ours < 0)
        return earliest;
    if ((uint64_t)ours > now_usec)
        return now_usec;
    return (uint64_t)ours < earliest ? earliest : (uint64_t)ours;
}

static uint64_t agent_bytes(const struct agent_message *m, enum agent_key key)
{
    uint64_t kib = m->value[key];

    return kib > AGENT_KIB_MAX ? OBS_UNSET : kib * 1024; /* unset is above all sizes */
}

void agent_view_fill(const struct agent_message *sample, uint64_t time_usec, uint64_t heard_usec, uint64_t spacing_usec,
                     struct obs_guest_view *ret)
{
    uint64_t swap_total = agent_bytes(sample, AGENT_KEY_SWAP_TOTAL);
    uint64_t swap_free = agent_bytes(sample, AGENT_KEY_SWAP_FREE);

    *ret = (struct obs_guest_view){
        .source = OBS_SOURCE_AGENT,
        .time_usec = time_usec,
        .heard_usec = heard_usec,
        .spacing_usec = spacing_usec,
        .total_bytes = agent_bytes(sample, AGENT_KEY_MEM_TOTAL),
        .free_bytes = agent_bytes(sample, AGENT_KEY_MEM_FREE),
        .available_bytes = agent_bytes(sample, AGENT_KEY_MEM_AVAILABLE),
        .cache_bytes = agent_bytes(sample, AGENT_KEY_CACHE),
        .shmem_bytes = agent_bytes(sample, AGENT_KEY_SHMEM),
        .committed_bytes = agent_bytes(sample, AGENT_KEY_COMMITTED),
        .swap_total_bytes = swap_total,
        .swap_used_bytes = swap_total == OBS_UNSET || swap_free > swap_total ? OBS_UNSET : swap_total - swap_free,
        .swapped_in_bytes = agent_bytes(sample, AGENT_KEY_SWAPPED_IN),
        .refaulted_bytes = agent_bytes(sample, AGENT_KEY_REFAULTED),
        .balloon_bytes = agent_bytes(sample, AGENT_KEY_BALLOON),
        .oom_kills = sample->value[AGENT_KEY_OOM_KILLS],
        .psi_some_usec = sample->value[AGENT_KEY_PSI_SOME],
        .psi_full_usec = sample->value[AGENT_KEY_PSI_FULL],
        .kernel_free_bytes = agent_bytes(sample, AGENT_KEY_KERNEL_FREE),
        .anon_bytes = agent_bytes(sample, AGENT_KEY_ANON),
        .dirty_bytes = agent_bytes(sample, AGENT_KEY_DIRTY),
        .commit_limit_bytes = agent_bytes(sample, AGENT_KEY_COMMIT_LIMIT),
        .swapped_out_bytes = agent_bytes(sample, AGENT_KEY_SWAPPED_OUT),
    };
}
