/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory set aside for a guest to come (docs/design.md 3.5): what is reserved is taken out of capacity (3.4), so guests give
 * it by priority, within what each needs at least; once it is free it is held, and handed to the guest that it is for, or to
 * the first new one that fits. Pure: the engine keeps the list and brings the numbers. */

#define RESERVE_MAX 32      /* in the list, those that ended included: the oldest of them makes room */
#define RESERVE_OPEN_MAX 16 /* that gather or are held */
#define RESERVE_GUEST_SIZE 64

#define RESERVE_EXPIRES_USEC (10 * 60 * 1000000ULL)    /* unclaimed for so long after it is held: guests get it back */
#define RESERVE_EXPIRES_MIN_USEC 1000000ULL
#define RESERVE_EXPIRES_MAX_USEC (24 * 3600 * 1000000ULL) /* nobody comes after a day */
/* Guests give at device speed, 100 MiB in half a second; one that is stuck is worked around within 10 s. What has not come
 * after this time does not come. */
#define RESERVE_GATHER_USEC (60 * 1000000ULL)
/* What guests keep at least leaves less than it asks for: no moment's wobble after this time, and the sooner it fails the
 * better, since guests are short of what it holds back. */
#define RESERVE_HOPELESS_USEC (2 * 1000000ULL)

enum reserve_state {
    RESERVE_FREE,      /* no reservation */
    RESERVE_GATHERING, /* guests are giving it */
    RESERVE_HELD,      /* it is there */
    RESERVE_CLAIMED,   /* handed over */
    RESERVE_EXPIRED,   /* nobody came for it */
    RESERVE_FAILED,    /* guests did not give as much in time */
    RESERVE_CANCELLED,
    RESERVE_STATE_COUNT
};

struct reserve {
    enum reserve_state state;
    uint64_t id;              /* from 1 on, never used again */
    uint64_t kib;             /* what is set aside */
    uint64_t asked_kib;       /* what was asked for; 0: as much as there is */
    uint64_t missing_kib;     /* of kib, what is not free yet */
    bool most;                /* takes less where that is all that comes */
    char guest[RESERVE_GUEST_SIZE];      /* the one it is for; "": whoever comes first and fits */
    char claimed_by[RESERVE_GUEST_SIZE];
    uint64_t hopeless_usec;   /* guests can't give as much since then; 0: they can */
    uint64_t made_usec, gathered_by_usec, held_usec, keep_usec, ended_usec;
    uint64_t newest_ticks;    /* the start of the youngest process that was known then: who claims it is younger */
};

/* Gathering or held: out of capacity. */
bool reserve_is_open(const struct reserve *r);

uint64_t reserve_sum_kib(const struct reserve *list, size_t n);
uint64_t reserve_gathering_kib(const struct reserve *list, size_t n); /* of that, what is not held yet */

/* Room for one more: a free row, or that of the one that ended first. NULL: RESERVE_OPEN_MAX are open. */
struct reserve *reserve_room(struct reserve *list, size_t n);

/* After a decision: grantable_kib is what is free beyond all reservations (below 0 some of them is missing), most_kib what all
 * of them could come to by what guests keep at least. Older ones are served first. Moves each on: held once it is free,
 * failed (or, with `most`, smaller) where guests can't give as much or it is not there in time, expired. True where the sum
 * changed: a decision is due. */
bool reserve_step(struct reserve *list, size_t n, int64_t grantable_kib, uint64_t most_kib, uint64_t now_usec);

/* A guest that was not there before has come, with so much boot memory; start_ticks: of its process, 0 where not known. The
 * one that is for it, held or not; else the first held one for whoever comes, where it fits. NULL: none; else it is
 * claimed. */
struct reserve *reserve_claim(struct reserve *list, size_t n, const char *guest, uint64_t need_kib, uint64_t start_ticks,
                              uint64_t now_usec);

const char *reserve_state_text(enum reserve_state state);
