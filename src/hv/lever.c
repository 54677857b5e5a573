/* SPDX-License-Identifier: Apache-2.0 */
#include "lever.h"

#include "demand.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t round_down(uint64_t bytes, uint64_t block_bytes)
{
    return block_bytes ? bytes / block_bytes * block_bytes : 0;
}

static uint64_t round_up(uint64_t bytes, uint64_t block_bytes)
{
    return block_bytes ? round_down(bytes + block_bytes - 1, block_bytes) : 0;
}

static void split_grow(const struct lever_state *s, uint64_t target_bytes, struct lever_order *ret)
{
    /* target >= assigned >= online */
    uint64_t boot_part = target_bytes - s->online_bytes;

    ret->balloon_bytes = s->has_balloon ? min_u64(boot_part, s->boot_bytes) : s->boot_bytes;
    if (boot_part > s->boot_bytes)
        ret->plug_bytes = round_down(min_u64(target_bytes - s->boot_bytes, s->pluggable_bytes), s->block_bytes);
    else /* also ends an unplug under way; what stayed offline is no part of the target, and goes */
        ret->plug_bytes = min_u64(round_up(s->online_bytes, s->block_bytes), s->plugged_bytes);
}

static void split_shrink(const struct lever_state *s, uint64_t target_bytes, struct lever_order *ret)
{
    uint64_t boot_part = s->balloon_actual_bytes;

    ret->plug_bytes = 0;
    if (target_bytes > boot_part)
        ret->plug_bytes = round_down(min_u64(target_bytes - boot_part, s->plugged_bytes), s->block_bytes);
    if (!s->has_balloon)
        ret->balloon_bytes = s->boot_bytes;
    else if (s->plugged_bytes > ret->plug_bytes) /* unplugging moves pages to boot memory: it needs room there */
        ret->balloon_bytes = max_u64(min_u64(target_bytes - ret->plug_bytes, s->boot_bytes), boot_part);
    else
        ret->balloon_bytes = min_u64(target_bytes - ret->plug_bytes, s->boot_bytes);
}

void lever_split(const struct lever_state *s, uint64_t target_bytes, struct lever_order *ret)
{
    if (target_bytes >= s->balloon_actual_bytes + s->online_bytes)
        split_grow(s, target_bytes, ret);
    else
        split_shrink(s, target_bytes, ret);
}

uint64_t lever_floor_bytes(uint64_t boot_bytes, uint64_t plugged_bytes)
{
    uint64_t floor_bytes = demand_kernel_floor_kib((boot_bytes + plugged_bytes) / 1024) * 1024;

    return plugged_bytes ? min_u64(boot_bytes, max_u64(floor_bytes, boot_bytes / 4)) : 0;
}

uint64_t lever_refine(const struct lever_state *s, uint64_t target_bytes, uint64_t plug_bytes, bool patience_over)
{
    uint64_t rest;

    if (!s->has_balloon)
        return s->boot_bytes;
    if (s->plugged_bytes > plug_bytes && !patience_over) {
        rest = target_bytes > plug_bytes ? target_bytes - plug_bytes : 0;
        return max_u64(min_u64(rest, s->boot_bytes), s->balloon_actual_bytes);
    }
    rest = target_bytes > s->online_bytes ? target_bytes - s->online_bytes : 0;
    if (rest < target_bytes)
        rest = max_u64(rest, min_u64(target_bytes, lever_floor_bytes(s->boot_bytes, s->plugged_bytes)));
    return min_u64(rest, s->boot_bytes);
}

void lever_spread(const struct lever_device *devices, size_t n, uint64_t total_bytes, uint64_t *ret_requested)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        ret_requested[i] = min_u64(devices[i].requested_bytes, devices[i].most_bytes);
        sum += ret_requested[i];
    }
    for (size_t i = 0; i < n && sum < total_bytes; i++) {
        uint64_t more = min_u64(total_bytes - sum, devices[i].most_bytes - ret_requested[i]);

        more = round_down(more, devices[i].block_bytes);
        ret_requested[i] += more;
        sum += more;
    }
    for (size_t i = n; i-- > 0 && sum > total_bytes;) {
        uint64_t block = devices[i].block_bytes ? devices[i].block_bytes : 1;
        uint64_t less = (sum - total_bytes + block - 1) / block * block;

        less = min_u64(less, ret_requested[i]);
        ret_requested[i] -= less;
        sum -= less;
    }
}
