/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* When somebody is told: a cause (the host's memory; one guest's breach; one guest stuck) has a level, 0 is fine, and a
 * message is due when another level than the one told last has lasted long enough. Flapping does not storm: no level of a
 * cause is told twice within an interval. Pure: time is a parameter. */

/* A trouble is over when it stayed away for this long; the same guest's next one within it continues the first. */
#define NOTIFY_BACK_USEC (30 * 1000000ULL)

#define NOTIFY_LEVELS 3

struct notify_times {
    uint64_t after_usec;    /* how long a level above 0 must last before it is worth a message */
    uint64_t interval_usec; /* between two messages of one cause and level */
};

struct notify_cause {
    uint8_t level, told;  /* now, and in the last message; 0: fine */
    bool was_told[NOTIFY_LEVELS];
    uint32_t changes;     /* of level since the last message, beside the one that it would tell of */
    uint64_t since_usec;  /* the level began */
    uint64_t bad_usec;    /* the trouble began; short pauses do not end it */
    uint64_t told_usec[NOTIFY_LEVELS]; /* last message of each, where was_told */
};

/* The level at this moment (below NOTIFY_LEVELS). The first call is on a zeroed struct. */
void notify_cause_see(struct notify_cause *c, unsigned level, uint64_t now_usec);

/* Whether a message about c->level is due now. */
bool notify_cause_is_due(const struct notify_cause *c, const struct notify_times *times, uint64_t now_usec);

/* The message was sent. */
void notify_cause_tell(struct notify_cause *c, uint64_t now_usec);

/* Nothing is left to tell, and nothing to remember for the interval's sake. */
bool notify_cause_is_over(const struct notify_cause *c, const struct notify_times *times, uint64_t now_usec);
