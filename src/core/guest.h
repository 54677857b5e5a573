/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "band.h"
#include "demand.h"
#include "foreign.h"
#include "harm.h"
#include "levels.h"
#include "motion.h"
#include "observe.h"
#include "peak.h"
#include "recent.h"
#include "selfmanaging.h"
#include "share.h"

/* All that the core knows of one guest: configuration, what was seen last, what it learned, what it decided.
 * The caller embeds it, zeroes nothing itself, and never writes a field: guest_init() and guest_see_*() do.
 * No pointers inside: a struct guest can be copied, compared and recorded whole. */

enum guest_mode {
    GUEST_MODE_AUTO,  /* balanced */
    GUEST_MODE_WATCH, /* advice only */
    GUEST_MODE_FIXED, /* size held */
    GUEST_MODE_OFF,   /* not looked at, only counted */
    GUEST_MODE_COUNT
};

enum guest_reclaim {
    GUEST_RECLAIM_EAGER, /* gives towards its target in every host state (default) */
    GUEST_RECLAIM_LAZY,  /* keeps until another needs it */
    GUEST_RECLAIM_COUNT
};

enum guest_choice {
    GUEST_CHOICE_AUTO, /* found out */
    GUEST_CHOICE_NO,
    GUEST_CHOICE_YES,
    GUEST_CHOICE_COUNT
};

/* The operator's word about moves, beside the configuration (`pause`, `off`, `release`). Metering and sampling go on. */
enum guest_hold {
    GUEST_HOLD_NO,
    GUEST_HOLD_KEEP,    /* no moves: it keeps what it has */
    GUEST_HOLD_RELEASE, /* nothing is taken from it any more, and it gets back all it booted with, as far as there is */
    GUEST_HOLD_COUNT
};

struct guest_config {
    uint64_t startup_kib; /* 0: the boot memory */
    uint64_t minimum_kib; /* 0: as guest_minimum_kib() finds it */
    uint64_t maximum_kib; /* 0: boot memory + what can be plugged */
    uint32_t buffer;      /* 1/100 % */
    uint32_t priority;    /* 1..10000 */
    uint32_t tax_ppm;     /* idle tax, 0..999,999 */
    enum buffer_of buffer_of;
    enum demand_mode demand;
    enum guest_mode mode;
    enum guest_reclaim reclaim;
    enum guest_choice self_managing;
    bool band; /* act by the band of its own history */
};

/* Why a guest is not simply balanced; GUEST_FLAG_X is a bit of guest_verdict.flags. Names as in the status output. */
enum guest_flag {
    GUEST_FLAG_STUCK = 1 << 0,         /* does not move; worked around */
    GUEST_FLAG_BREACH = 1 << 1,        /* holds more than it says */
    GUEST_FLAG_SILENT = 1 << 2,        /* no fresh sample */
    GUEST_FLAG_SELF_MANAGING = 1 << 3, /* takes whatever is there */
    GUEST_FLAG_FIXED = 1 << 4,         /* configured so, or no lever */
    GUEST_FLAG_FOREIGN_HAND = 1 << 5,  /* another program sets its target */
    GUEST_FLAG_BOOTING = 1 << 6,       /* reset or new, its driver has not reported yet */
    GUEST_FLAG_STALLED = 1 << 7,       /* starving now */
    GUEST_FLAG_NO_BALLOON = 1 << 8,    /* neither balloon nor virtio-mem */
    GUEST_FLAG_MARKED = 1 << 9,        /* a take did harm: its mark holds */
    GUEST_FLAG_NOT_ONLINED = 1 << 10,  /* plugged memory stayed offline in the guest */
    GUEST_FLAG_PAUSED = 1 << 11,       /* its processors do not run: it can neither give, take nor answer */
    GUEST_FLAG_ON_HOLD = 1 << 12,      /* the operator paused its moves */
};

/* Memory Status, as Hyper-V's Memory tab: see GUEST_LOW_PERCENT, GUEST_WARNING_PERCENT in policy_defaults.h. */
enum guest_memory_status {
    GUEST_MEMORY_OK,
    GUEST_MEMORY_LOW,
    GUEST_MEMORY_WARNING,
    GUEST_MEMORY_STATUS_COUNT
};

/* What to do now with a guest. */
enum guest_order {
    GUEST_ORDER_NONE,
    GUEST_ORDER_GROW,
    GUEST_ORDER_SHRINK,
    GUEST_ORDER_WITHDRAW, /* an unreachable target: set it to what the guest has */
    GUEST_ORDER_COUNT
};

/* Why this order, or why none; each has a sentence in guest_reason_text(). */
enum guest_reason {
    GUEST_REASON_NONE,          /* has what it should have */
    GUEST_REASON_NEED,          /* grow: lacks head or stalls */
    GUEST_REASON_PLENTY,        /* grow: memory is there */
    GUEST_REASON_RECLAIM,       /* shrink: slowly, nobody waits */
    GUEST_REASON_FOR_OTHERS,    /* shrink: another guest waits for it */
    GUEST_REASON_FOR_HOST,      /* shrink: guests hold more than the host can keep */
    GUEST_REASON_DEAD_ZONE,     /* none: too small to be worth a command */
    GUEST_REASON_NOT_FREE_YET,  /* none: granted, but the memory is not free yet */
    GUEST_REASON_IN_FLIGHT,     /* none: a command is under way */
    GUEST_REASON_STALE,         /* none: its last sample is too old to take by */
    GUEST_REASON_SETTLING,      /* none: just found or booted */
    GUEST_REASON_WAIT_TICK,     /* none: slow taking happens on the tick only */
    GUEST_REASON_BAND,          /* none: pressure lies inside its band */
    GUEST_REASON_HOST_LOW,      /* none: the host is low, no grants */
    GUEST_REASON_NOT_MANAGED,   /* none: watch, fixed, off, breach or no lever */
    GUEST_REASON_STUCK,         /* none: does not move; retried later */
    GUEST_REASON_UNREACHED,     /* withdraw: no movement for 2 s */
    GUEST_REASON_ON_HOLD,       /* none: the operator paused its moves */
    GUEST_REASON_FOR_RESERVE,   /* shrink: memory is set aside for a guest to come */
    GUEST_REASON_RELEASE,       /* grow: the operator gives all memory back */
    GUEST_REASON_COUNT
};

/* The outcome of the last decide(); valid until the next. */
struct guest_verdict {
    struct levels levels;
    uint64_t held_kib;      /* max(assigned, resident + swapped) */
    uint64_t exposure_kib;  /* what it can take back unasked */
    uint64_t counted_kib;   /* what it counts as against grants (S1b) */
    uint64_t used_kib;      /* demand(used), least assigned around the sample */
    uint64_t demand_kib;
    uint64_t target_kib;    /* what it gets when memory is plentiful */
    uint64_t given_kib;     /* what sharing gives it */
    uint64_t penalty_kib;   /* max(0, target - given) */
    uint64_t shortfall_kib; /* max(0, demand - given) */
    uint64_t proof_kib, rise_kib, mark_kib, limit_kib;
    uint64_t advice_kib;    /* watch: the size ballast would aim at */
    uint64_t weight;
    uint64_t pressure_permille;
    uint64_t sample_age_usec; /* OBS_UNSET: never heard */
    uint32_t stall_percent;
    uint32_t flags; /* enum guest_flag */
    enum guest_memory_status memory_status;
    enum guest_order order;
    enum guest_reason reason;
    uint64_t order_kib;      /* absolute target of the order */
    bool wants_host_view;    /* its bound binds: read resident memory afresh */
    bool wants_view;         /* memory is to be taken by its numbers, and they should be newer: ask it */
};

/* In the order of use: decide() walks over its guests twice, first over all from the end of `harm` to the head of `band`,
 * then from `config` on; the rest is for samples only. With 10,000 guests this comes from memory, and lines that are not
 * touched cost nothing. */
struct guest {
    struct harm harm;
    struct peak warm;               /* file cache that refaults proved to be in use; KiB */
    struct peak rise_new;           /* rise while it settles: soon forgotten */
    struct peak proof, rise;        /* decaying maxima */
    struct selfmanaging selfmanaging;

    /* seen last; a time_usec of 0 means never */
    struct obs_guest_view view;
    struct obs_host_view host;

    struct guest_config config;
    struct obs_levers levers;
    uint64_t assigned_kib;   /* what the levers come to: asked for two dozen times in a decision */
    uint64_t appeared_usec;  /* adopted, booted or mode changed: settling and rise count from here */
    uint64_t fell_usec;      /* the balloon filled since the reset, with no word from its driver; 0: not so */
    uint64_t booted_usec;    /* its driver reported after a reset; 0: no reset seen */
    uint64_t reset_usec;     /* last reset or loss of the driver; 0: none since its driver reported */
    uint64_t owed_kib;       /* a grant that may still arrive: not answered, withdrawn without answer, or under way at a
                                reset; 0: none */
    uint64_t reset_assigned_kib; /* what was assigned when that happened */

    /* learned */
    uint64_t used_least_kib;        /* demand(used) of the last sample, by the least assigned around it */
    uint64_t busy_kib;              /* assigned - MemAvailable alone: what it can't do without for a moment */
    uint64_t used_largest_kib;      /* the same by the largest: what lower goes by */
    uint64_t demand_seen_kib;       /* by the guest's mode, before the stall term */
    uint32_t stall_percent;         /* s: 0, 5, 10, 20, 25 */
    bool honest;                    /* last sample proved honesty: stall, swap-in or almost nothing available */
    bool foreign_hand;
    bool paused;
    enum guest_hold hold;
    bool breach;
    uint64_t resumed_usec;          /* silence counts from here: what was known before the pause still holds */
    uint64_t stalled_since_usec;    /* 0: not stalled */
    uint64_t excess_since_usec;     /* the host sees it hold more than it says since then; 0: it does not */
    uint32_t breaches;              /* counted since the guest is known */
    uint32_t take_step_permille;    /* slow taking: 10 .. 80 per second */
    uint64_t take_tick_usec;        /* last slow take */
    struct motion motion;           /* the order under way, stuck, retry */
    struct foreign foreign;         /* another hand on its balloon */

    struct guest_verdict verdict;

    struct band band;
    struct recent assigned_seen;    /* KiB, for pairing and marks */
    struct recent used_seen;        /* KiB, for rise */
    struct recent missed_seen;      /* bytes: the sum of the counters of swapped in and refaulted */
};

void guest_init(struct guest *g, const struct guest_config *config, uint64_t now_usec);

/* New configuration (reload, `set`); what was learned stays. A changed mode settles anew. */
void guest_configure(struct guest *g, const struct guest_config *config, uint64_t now_usec);

/* Observations, each as it arrives; now_usec never runs backwards. Nonsense is bounded here, once:
 * sizes over 2^46 KiB, balloon_actual above boot, online above plugged. */
void guest_see_levers(struct guest *g, const struct obs_levers *seen, uint64_t now_usec);
void guest_see_host(struct guest *g, const struct obs_host_view *seen, uint64_t now_usec);
void guest_see_view(struct guest *g, const struct obs_guest_view *seen, uint64_t now_usec);

/* The guest was reset, panicked or lost its driver: it counts as max(boot, assigned) until it reports again (S1b). */
void guest_see_reset(struct guest *g, uint64_t now_usec);

/* Its processors were stopped, or run again. A paused guest keeps its size and is not silent. */
void guest_see_paused(struct guest *g, bool paused, uint64_t now_usec);

/* The operator's word; what is under way goes on to its target. */
void guest_set_hold(struct guest *g, enum guest_hold hold);

/* Another program set its target (S11). */
void guest_see_foreign_hand(struct guest *g, uint64_t now_usec);

/* The order of the verdict was sent (or its sending failed: nothing is in flight then). */
void guest_ordered(struct guest *g, uint64_t target_kib, uint64_t now_usec);
/* The hypervisor took the newest order; from now on only that one can be followed. */
void guest_order_done(struct guest *g);
void guest_order_failed(struct guest *g, uint64_t now_usec);

/* Shortcuts used everywhere. */
uint64_t guest_assigned_kib(const struct guest *g);
uint64_t guest_boot_kib(const struct guest *g);
uint64_t guest_minimum_kib(const struct guest *g); /* configured, else max(kernel floor of boot, 1/4 of boot) */
uint64_t guest_maximum_kib(const struct guest *g);
uint64_t guest_released_kib(const struct guest *g); /* with its balloon empty: boot memory and what is plugged and online */
uint64_t guest_startup_kib(const struct guest *g);
bool guest_in_flight(const struct guest *g);

/* One clause for people, without name and numbers: "another guest waits for its memory". Never NULL. */
const char *guest_reason_text(enum guest_reason reason);
