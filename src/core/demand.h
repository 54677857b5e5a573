/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Demand, pressure and target of one guest (docs/design.md 3.2). Sizes in KiB, pure integer arithmetic.
 * Sizes up to 2^46 KiB are exact; larger inputs must not overflow (the callers bound them). */

enum demand_mode {
    DEMAND_USED,      /* what the guest uses (default) */
    DEMAND_COMMITTED, /* what its programs were promised, as Hyper-V */
    DEMAND_MODE_COUNT
};

enum buffer_of {
    BUFFER_OF_DEMAND, /* target = demand x (1 + b): what shipped (default) */
    BUFFER_OF_TOTAL,  /* target = demand / (1 - b): the original rule */
    BUFFER_OF_COUNT
};

/* Memory that the guest's kernel needs to run at all with t KiB of boot + online hot-added memory
 * (Linux's hv_balloon, compute_balloon_floor()). */
uint64_t demand_kernel_floor_kib(uint64_t t_kib);

/* assigned = max(0, boot + online hot-added - balloon). */
uint64_t demand_assigned_kib(uint64_t boot_kib, uint64_t online_kib, uint64_t balloon_kib);

/* missed = bytes swapped in + refaulted in the window (10 s), rounded up to KiB once, at most a quarter of assigned. */
uint64_t demand_missed_kib(uint64_t swapped_in_bytes, uint64_t refaulted_bytes, uint64_t assigned_kib);

/* kept = the disk cache worth keeping, at most 15 % of assigned: for sources without a refault signal, 0 for others.
 * shmem_kib is 0 where not known. */
uint64_t demand_kept_kib(uint64_t cache_kib, uint64_t shmem_kib, uint64_t assigned_kib);

/* used = max(0, assigned at the time of the sample - MemAvailable) + missed + kept. */
uint64_t demand_used_kib(uint64_t assigned_then_kib, uint64_t available_kib, uint64_t missed_kib, uint64_t kept_kib);

/* demand(committed) = Committed_AS + kernel_floor(assigned). */
uint64_t demand_committed_kib(uint64_t committed_kib, uint64_t assigned_kib);

/* What a stalled guest's demand is at least: assigned now + max(5 %, 32 MiB). */
uint64_t demand_stalled_kib(uint64_t assigned_now_kib);

/* MemAvailable below this is the first half of the stall condition: max(2 % of assigned, 16 MiB). */
uint64_t demand_stall_line_kib(uint64_t assigned_kib);

/* Largest buffer each rule takes, in 1/100 %. Total: above 90 % one KiB of demand asks for ten; demand: twice again. */
#define DEMAND_BUFFER_MAX_TOTAL 9000
#define DEMAND_BUFFER_MAX_DEMAND 20000

/* The target before and after clamping to minimum..maximum. buffer in 1/100 %.
 * Returns false (nothing written) where the buffer is out of the rule's range or minimum > maximum. */
bool demand_target_kib(enum buffer_of of, int64_t buffer, uint64_t demand_kib, uint64_t minimum_kib,
                       uint64_t maximum_kib, uint64_t *ret_unclamped_kib, uint64_t *ret_target_kib);

/* pressure = 1000 x demand / assigned, half up, uncapped; assigned 0 counts as 1 KiB. */
uint64_t demand_pressure_permille(uint64_t demand_kib, uint64_t assigned_kib);
