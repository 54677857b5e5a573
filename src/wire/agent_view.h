/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent_line.h"
#include "observe.h"

/* A sample of the agent as the core sees it, and the guest's clock as ours. Pure. */

/* How far the guest's CLOCK_MONOTONIC is ahead of ours, from pings: right within half of the round trip. */
struct agent_clock {
    bool known;
    int64_t ahead_usec;
    uint64_t trip_usec; /* round trip of the ping it comes from */
    uint64_t set_usec;
};

/* A worse round trip replaces a better one after this long: clocks drift, and a paused guest's stands still. */
#define AGENT_CLOCK_KEEP_USEC 60000000ULL

/* A sample is never taken for older than this: a guest that lies about its clock can't make its samples look stale for
 * longer, and can't make them look younger than their arrival at all. */
#define AGENT_CLOCK_LATE_USEC 5000000ULL

/* A pong arrived at now_usec: the ping left at sent_usec (what the pong says of it is the guest's word: the caller has
 * checked it), the guest's clock said guest_usec between. */
void agent_clock_see(struct agent_clock *clock, uint64_t sent_usec, uint64_t guest_usec, uint64_t now_usec);

/* When the guest took a sample, by our clock: within AGENT_CLOCK_LATE_USEC before now_usec, now_usec where nothing is
 * known. */
uint64_t agent_clock_ours(const struct agent_clock *clock, uint64_t guest_usec, uint64_t now_usec);

/* sample: a parsed AGENT_VERB_SAMPLE. spacing_usec: the heartbeat the agent was told. */
void agent_view_fill(const struct agent_message *sample, uint64_t time_usec, uint64_t heard_usec, uint64_t spacing_usec,
                     struct obs_guest_view *ret);
