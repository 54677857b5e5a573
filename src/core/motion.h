/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The order under way and whether the guest moves (docs/design.md 3.5): an unreachable target is withdrawn after 2 s
 * without movement; two withdrawals in a row, or 5 s in all, make the guest stuck; it is retried 5, 10, 20 .. 300 s
 * later and forgiven when it moves. */

struct motion {
    bool active;
    uint64_t target_kib;
    uint64_t from_kib;        /* assigned when ordered */
    uint64_t ordered_usec;
    uint64_t moved_usec;      /* last movement towards the target, or the order */
    uint64_t last_kib;        /* assigned seen last */
    uint32_t withdrawals;     /* in a row */
    uint64_t still_usec;      /* time without movement, over the withdrawals in a row */
    uint64_t stuck_since_usec; /* 0: not stuck */
    uint64_t retry_usec;      /* when a stuck guest is tried again */
    uint64_t retry_wait_usec;
    bool stuck_growing;       /* in which direction it did not move */
};

void motion_order(struct motion *m, uint64_t assigned_kib, uint64_t target_kib, uint64_t now_usec);

/* The guest's size as seen now; ends the order when the target is reached (within tolerance_kib). */
void motion_see(struct motion *m, uint64_t assigned_kib, uint64_t tolerance_kib, uint64_t now_usec);

/* The target can't be reached: withdraw it now. Call motion_withdraw() when that is sent. */
bool motion_wants_withdrawal(const struct motion *m, uint64_t now_usec);
void motion_withdraw(struct motion *m, uint64_t now_usec);

/* Nothing is in flight any more (sending failed, reset, newer order elsewhere). */
void motion_cancel(struct motion *m);

bool motion_is_stuck(const struct motion *m);
/* Stuck, and not yet time to try again. */
bool motion_is_held(const struct motion *m, uint64_t now_usec);
