/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Every constant of the policy, with its reason (docs/design.md 10). Change one only with evidence from the scenarios. */

#define POLICY_VERSION 2 /* recorded with each decision (S6) */

#define USEC_PER_MSEC 1000ULL
#define USEC_PER_SEC 1000000ULL
#define USEC_PER_MIN (60 * USEC_PER_SEC)
#define KIB_PER_MIB 1024ULL
#define KIB_PER_GIB (1024ULL * KIB_PER_MIB)

/* Sizes beyond this are nonsense (64 PiB); products of two still fit 128 bits (vectors, reading 9). */
#define POLICY_KIB_MAX (1ULL << 46)

/* Guest defaults, as Hyper-V ships them. */
#define POLICY_BUFFER_DEFAULT 2000       /* 20 % of demand, in 1/100 % */
#define POLICY_PRIORITY_DEFAULT 5000
#define POLICY_TAX_PPM_DEFAULT 750000    /* idle memory weighs a quarter (Waldspurger, OSDI 2002) */
#define POLICY_ACTIVE_PPM_UNKNOWN 1000000

/* Memory Status: Low where available memory is at most half of the buffer, Warning where demand is at least all it has. */
#define GUEST_LOW_PERCENT 50
#define GUEST_WARNING_PRESSURE_PERMILLE 1000

/* Ticks and ages. */
#define POLICY_TICK_USEC USEC_PER_SEC
#define POLICY_STALE_POLLS 3                              /* statistics: three polls missed */
#define POLICY_STALE_BEATS 2                              /* agent: two heartbeats missed (1 s; 5 s in watch) ... */
#define POLICY_STALE_AGENT_USEC (2 * USEC_PER_SEC)        /* ... and this */
#define POLICY_LATE_PERCENT 125                           /* an agent that owes a heartbeat by this is asked before a take */
#define POLICY_PAIRING_USEC (USEC_PER_SEC / 2)            /* last-update has whole seconds */
#define POLICY_MISSED_USEC (10 * USEC_PER_SEC)
#define POLICY_RISE_USEC (3 * USEC_PER_SEC)
#define POLICY_RISE_SLOW_USEC (4 * USEC_PER_SEC)          /* for sources slower than 1 s */
#define POLICY_RISE_SETTLE_USEC (60 * USEC_PER_SEC)       /* booting and reconnecting guests rise for other reasons */
#define POLICY_RISE_NEW_HALF_LIFE_USEC (10 * USEC_PER_SEC) /* meanwhile a rise counts, but is soon forgotten */
#define POLICY_HALF_LIFE_USEC (45 * USEC_PER_MIN)         /* rise, proof */
#define POLICY_WARM_KIB_S KIB_PER_MIB                     /* refaults beyond this rate prove files in use; as for harm */

/* Taking. */
#define POLICY_TAKE_STEP_PERMILLE 10                      /* 1 % of assigned per second */
#define POLICY_TAKE_STEP_MAX_PERMILLE 80
#define POLICY_TAKE_DEVICE_KIB (512 * KIB_PER_MIB)        /* the most one tick takes slowly: what a balloon moves in it
                                                             under emulation; 0.95 GiB/s with hardware */
#define POLICY_SETTLE_USEC (10 * USEC_PER_SEC)            /* no slow taking before a guest was watched this long (S10) */
#define POLICY_LOADS_USEC (60 * USEC_PER_SEC)             /* after a boot programs load what they held before, as rise */
#define POLICY_DEAD_ZONE_PERMILLE 20
#define POLICY_DEAD_ZONE_MIN_KIB (16 * KIB_PER_MIB)
#define POLICY_DEAD_ZONE_MAX_KIB KIB_PER_GIB

/* Motion. */
#define POLICY_WITHDRAW_USEC (2 * USEC_PER_SEC)
#define POLICY_STUCK_USEC (5 * USEC_PER_SEC)
#define POLICY_RETRY_MIN_USEC (5 * USEC_PER_SEC)
#define POLICY_RETRY_MAX_USEC (300 * USEC_PER_SEC)

/* Harm. */
#define POLICY_HARM_WINDOW_USEC (10 * USEC_PER_SEC)
#define POLICY_HARM_AVERAGE_USEC (60 * USEC_PER_SEC)
#define POLICY_HARM_BEFORE_USEC (6 * USEC_PER_SEC)        /* mark: largest assigned of the last 6 s */
#define POLICY_HARM_HOLD_USEC (30 * USEC_PER_MIN)
#define POLICY_HARM_HOLD_MAX_USEC (240 * USEC_PER_MIN)

/* Boot and breach. */
#define POLICY_BOOT_PATIENCE_USEC (15 * USEC_PER_SEC)     /* S1b: without its driver for this long: memory is taken */
#define POLICY_FELL_USEC (4 * USEC_PER_SEC)               /* a driver that fills its balloon anew reports within a poll or two */
#define POLICY_BREACH_USEC (2 * USEC_PER_SEC)             /* the balloon frees page by page: a moment's lag is no lie */
#define POLICY_STALL_WAITS_USEC (2 * USEC_PER_SEC)

/* Host. */
#define POLICY_POOL_PERMILLE 10
#define POLICY_POOL_MIN_KIB (32 * KIB_PER_MIB)
#define POLICY_RESERVE_PERCENT 5                          /* of the host, and at least 1 GiB of a real one */
#define POLICY_RESERVE_MIN_KIB KIB_PER_GIB
#define POLICY_SOFT_PERCENT 80                            /* below this share of the reserve free: soft; and so on */
#define POLICY_HARD_PERCENT 55
#define POLICY_LOW_PERCENT 30
#define POLICY_STATE_HYSTERESIS_PERCENT 5
