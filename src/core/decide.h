/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest.h"
#include "observe.h"
#include "share.h"

/* The one way through: demand -> levels -> share -> plan (docs/design.md 3). The daemon, the simulator, replay and the
 * tests all call decide(), and nothing else decides. Pure: the snapshot comes in, verdicts go out in guest->verdict. */

enum decide_why {
    DECIDE_TICK, /* once a second: may also take slowly */
    DECIDE_EVENT /* in between: gives, and takes for a need, only */
};

enum host_state {
    HOST_HIGH, /* >= 80 % of the reserve is free */
    HOST_SOFT, /* >= 55 % */
    HOST_HARD, /* >= 30 % */
    HOST_LOW,
    HOST_STATE_COUNT
};

/* Switches that only tests flip: each turns one safety rule off, so that a scenario can be seen to fail. */
struct decide_switches {
    bool no_books;        /* S1: only what the host shows as available counts, not what guests were promised */
    bool no_reset_count;  /* S1b */
    bool no_clamp;        /* S2: targets are not clamped to minimum..maximum */
    bool no_free_first;   /* S3 */
    bool no_stuck;        /* S4: a stuck guest is waited for */
    bool no_bound;        /* S5 */
    bool no_position;     /* S6: ties are broken by where a guest lies in memory */
    bool no_lower;        /* S13 */
    bool no_harm;         /* harm is not undone */
    bool no_adopt_hold;   /* S10 */
    bool no_foreign_hand; /* S11 */
    bool no_ask;          /* S13: memory is taken by an agent's last sample until it counts as silent */
};

struct host_config {
    uint64_t memory_kib;  /* manage only this much; 0: what the kernel has */
    uint64_t reserve_kib; /* guests never get it */
    uint32_t overcommit_permille; /* 1000: promised = real */
    uint64_t reservations_kib; /* set aside for guests to come (reserve.h); out of capacity */
    uint64_t gathering_kib;    /* of that, what is not held yet */
    bool spread;          /* step 1 of sharing: what nobody asks for is given as cache instead of staying free */
    struct decide_switches switches;
};

/* Who waits and who gives: what stands behind "another guest waits for its memory" and "as soon as the memory is free".
 * Positions are those of decide()'s array; DECIDE_NOBODY where there is none. */
#define DECIDE_NOBODY UINT32_MAX
struct decide_waiting {
    uint32_t waiter;     /* served first among those that did not get all */
    uint32_t waiters;    /* how many did not get all */
    uint32_t donor;      /* gives most of what others wait for */
    uint32_t donors;     /* how many give now */
    uint64_t waiter_kib; /* what that one still lacks of its grant */
    uint64_t donor_kib;  /* what that one has still to give */
    uint64_t wanted_kib; /* what all who should grow want, beyond what is on its way to them */
    uint64_t free_kib;   /* what grants could use when the decision began */
    uint64_t coming_kib; /* what shrinks under way were still bringing */
};

struct host {
    struct host_config config;
    struct obs_host seen;
    enum host_state state;      /* kept for its hysteresis */
    uint32_t waits_priority;    /* highest priority of a guest stalled for 2 s in step 4-6; 0: none: lower priorities
                                   are then under the rules of hard */

    /* last decision */
    uint64_t memory_kib;        /* configured or found */
    uint64_t overhead_kib;
    uint64_t assigned_kib, held_kib, exposure_kib;
    int64_t capacity_kib;
    uint64_t pool_kib;
    int64_t available_kib;      /* host_available: MemAvailable + ARC - sum(held - resident) */
    int64_t free_kib;           /* min(memory - overheads - sum(held), MemAvailable) */
    uint64_t deficit_kib;       /* what guests hold beyond capacity while the reserve itself is eaten: the host waits */
    bool emergency;             /* a deficit, and less than half of the reserve is really available */
    int64_t grantable_kib;      /* what a grant may use right now (books and measurement) */
    struct share_result share;
    struct decide_waiting waiting;
    uint64_t decisions;         /* counts decide() calls */
};


/* Arrays of n entries each, owned by the caller; contents are scratch. */
struct decide_scratch {
    struct levels *levels;
    struct share_slot *slots;
    uint64_t *weight;
    uint64_t *given_kib;
    uint32_t *order;
};

void host_init(struct host *h, const struct host_config *config);

/* Decides for all guests (ordered by identity: position breaks ties). Fills h's last decision and each guest's verdict;
 * the caller sends verdict.order and says so by guest_ordered(). Returns the number of orders. */
size_t decide(struct host *h, struct guest *const *guests, size_t n, enum decide_why why, uint64_t now_usec,
              const struct decide_scratch *scratch);
