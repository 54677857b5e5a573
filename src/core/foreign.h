/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A foreign hand on a plain balloon, whose target can't be read (docs/design.md 3.5): its size falls beyond the dead zone
 * with no command of ours in flight, and what the host sees the guest touch falls with it. Sizes in KiB.
 *
 * A rise is deflate-on-oom, a reset or a lost driver, never a foreign hand; a fall without the memory coming back is a
 * register that was written, which the host's view shows as a breach, or memory that was never touched. */

/* An order that ended may still be followed for a moment, and a guest that was just found may follow an order of before. */
#define FOREIGN_QUIET_USEC 3000000ULL

/* The host's view comes once a second, and pages leave one by one: as long as that may take. */
#define FOREIGN_PATIENCE_USEC 4000000ULL

/* How much of the fall must leave the process: the rest may be memory the guest never touched, or touches anew. */
#define FOREIGN_LEAVES_PERCENT 50

struct foreign {
    uint64_t base_kib;    /* balloon's size as our hand, or its own last rise, left it */
    uint64_t touched_kib; /* what the host saw the guest touch then */
    uint64_t ours_usec;   /* last time a command of ours was in flight, or nothing was known; 0: never looked */
    uint64_t fell_usec;   /* it fell beyond the dead zone below base then, and nothing is known yet; 0: it did not */
    uint64_t low_kib;     /* how far it fell */
};

/* At each look at the levers. ours: a command of ours may be moving it, or the guest boots or has just been found. */
void foreign_see_balloon(struct foreign *f, uint64_t actual_kib, uint64_t touched_kib, uint64_t dead_zone_kib, bool ours,
                         uint64_t now_usec);

/* At each look from the host, taken at seen_usec. True: somebody else moved the balloon; said once for each fall. A command
 * of ours that answers the fall changes nothing: what left has left. */
bool foreign_see_host(struct foreign *f, uint64_t touched_kib, uint64_t seen_usec);
