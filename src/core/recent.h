/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The last seconds of one quantity in short slots of time, each with the least and the largest value seen in it. Pairing
 * (docs/design.md 3.2), rise (3.4), marks (3.5) and missed memory (3.2) look back through it. */

#define RECENT_SLOTS 64          /* x 200 ms = 12.8 s: the longest look back is 10 s (missed) */
#define RECENT_SLOT_USEC 200000  /* an agent may push 50 lines a second; 200 ms is finer than any window needs */

struct recent {
    struct recent_slot {
        uint64_t slot; /* time / RECENT_SLOT_USEC + 1; 0: empty */
        uint64_t least, largest;
        uint64_t last;
    } slots[RECENT_SLOTS];
};

/* now_usec must not run backwards by more than the window; older values are dropped. */
void recent_see(struct recent *r, uint64_t value, uint64_t now_usec);

/* Least and largest value that held in [from, to]: includes the value that was current at `from`.
 * False where nothing is known of that time. */
bool recent_range(const struct recent *r, uint64_t from_usec, uint64_t to_usec, uint64_t *ret_least,
                  uint64_t *ret_largest);

void recent_clear(struct recent *r);
