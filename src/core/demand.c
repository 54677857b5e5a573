/* SPDX-License-Identifier: Apache-2.0 */
#include "demand.h"

#include "kib.h"
#include "policy_defaults.h"

/* docs/design.md 9: Linux's hv_balloon finds out how much of a guest's memory its kernel can't do without. */
static const struct kernel_floor_piece {
    uint64_t below_kib; /* holds for t below this */
    uint64_t base_kib;
    unsigned int shift; /* plus t >> shift */
} kernel_floor_pieces[] = {
    {128 * KIB_PER_MIB, 8 * KIB_PER_MIB, 1},
    {512 * KIB_PER_MIB, 40 * KIB_PER_MIB, 2},
    {2048 * KIB_PER_MIB, 104 * KIB_PER_MIB, 3},
    {8192 * KIB_PER_MIB, 232 * KIB_PER_MIB, 4},
    {UINT64_MAX, 488 * KIB_PER_MIB, 5},
};

uint64_t demand_kernel_floor_kib(uint64_t t_kib)
{
    const struct kernel_floor_piece *piece = kernel_floor_pieces;

    while (t_kib >= piece->below_kib && piece->below_kib != UINT64_MAX)
        piece++;
    return piece->base_kib + (t_kib >> piece->shift);
}

uint64_t demand_assigned_kib(uint64_t boot_kib, uint64_t online_kib, uint64_t balloon_kib)
{
    return kib_sub(kib_add(boot_kib, online_kib), balloon_kib);
}

uint64_t demand_missed_kib(uint64_t swapped_in_bytes, uint64_t refaulted_bytes, uint64_t assigned_kib)
{
    kib_wide bytes = (kib_wide)swapped_in_bytes + refaulted_bytes;

    return kib_min((uint64_t)((bytes + 1023) >> 10), assigned_kib / 4);
}

uint64_t demand_kept_kib(uint64_t cache_kib, uint64_t shmem_kib, uint64_t assigned_kib)
{
    return kib_min(kib_sub(cache_kib, shmem_kib), kib_scale(assigned_kib, 15, 100));
}

uint64_t demand_used_kib(uint64_t assigned_then_kib, uint64_t available_kib, uint64_t missed_kib, uint64_t kept_kib)
{
    return kib_add(kib_sub(assigned_then_kib, available_kib), kib_add(missed_kib, kept_kib));
}

uint64_t demand_committed_kib(uint64_t committed_kib, uint64_t assigned_kib)
{
    return kib_add(committed_kib, demand_kernel_floor_kib(assigned_kib));
}

uint64_t demand_stalled_kib(uint64_t assigned_now_kib)
{
    return kib_add(assigned_now_kib, kib_max(kib_div_up(assigned_now_kib, 20), 32 * KIB_PER_MIB));
}

uint64_t demand_stall_line_kib(uint64_t assigned_kib)
{
    return kib_max(assigned_kib / 50, 16 * KIB_PER_MIB);
}

bool demand_target_kib(enum buffer_of of, int64_t buffer, uint64_t demand_kib, uint64_t minimum_kib,
                       uint64_t maximum_kib, uint64_t *ret_unclamped_kib, uint64_t *ret_target_kib)
{
    uint64_t unclamped_kib, b = (uint64_t)buffer;

    if (buffer < 0 || minimum_kib > maximum_kib)
        return false;
    if (of == BUFFER_OF_TOTAL) {
        if (buffer > DEMAND_BUFFER_MAX_TOTAL)
            return false;
        unclamped_kib = kib_scale_up(demand_kib, 10000, 10000 - b);
    } else if (of == BUFFER_OF_DEMAND) {
        if (buffer > DEMAND_BUFFER_MAX_DEMAND)
            return false;
        unclamped_kib = kib_scale_up(demand_kib, 10000 + b, 10000);
    } else {
        return false;
    }
    *ret_unclamped_kib = unclamped_kib;
    *ret_target_kib = kib_clamp(unclamped_kib, minimum_kib, maximum_kib);
    return true;
}

uint64_t demand_pressure_permille(uint64_t demand_kib, uint64_t assigned_kib)
{
    uint64_t a = kib_max(assigned_kib, 1);

    /* Half up: floor((2000 x demand + a) / (2 x a)). Sizes of this world need no wide division. */
    if (demand_kib <= 1ULL << 52 && a <= 1ULL << 52)
        return (2000 * demand_kib + a) / (2 * a);
    return kib_saturate(((kib_wide)demand_kib * 2000 + a) / ((kib_wide)a * 2));
}
