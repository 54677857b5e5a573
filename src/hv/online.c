/* SPDX-License-Identifier: Apache-2.0 */
#include "online.h"

#include "demand.h"

/* struct page takes 64 of 4096 bytes. */
#define PAGES_PER_MEMMAP 64

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t online_hidden_bytes(uint64_t boot_bytes)
{
    return boot_bytes / 8 + (64ULL << 20);
}

void online_adopt(struct online *o, uint64_t plugged_bytes)
{
    *o = (struct online){.plugged_bytes = plugged_bytes, .online_bytes = plugged_bytes};
}

void online_see_plugged(struct online *o, uint64_t plugged_bytes, uint64_t now_usec)
{
    if (plugged_bytes > o->plugged_bytes)
        o->plugged_usec = now_usec;
    o->plugged_bytes = plugged_bytes;
    if (!o->total_usec)
        o->online_bytes = plugged_bytes; /* no statistics: it may all be in use */
    o->online_bytes = min_u64(o->online_bytes, plugged_bytes);
}

/* Nothing is known of MemTotal without the plugged memory. */
static uint64_t guess_online(const struct online *o, uint64_t total_bytes, uint64_t boot_bytes)
{
    if (total_bytes + online_hidden_bytes(boot_bytes) >= boot_bytes + o->plugged_bytes)
        return o->plugged_bytes;
    return total_bytes > boot_bytes ? total_bytes - boot_bytes : 0;
}

void online_see_total(struct online *o, uint64_t total_bytes, uint64_t hidden_balloon_bytes, uint64_t boot_bytes,
                      bool still, uint64_t now_usec)
{
    bool first = !o->total_usec;

    o->total_usec = now_usec;
    total_bytes += hidden_balloon_bytes;
    if (o->plugged_bytes == 0) {
        if (still || !o->base_bytes)
            o->base_bytes = total_bytes;
        o->online_bytes = 0;
    } else if (!o->base_bytes) {
        o->online_bytes = guess_online(o, total_bytes, boot_bytes);
        if (still && o->online_bytes == o->plugged_bytes)
            o->base_bytes = total_bytes - min_u64(total_bytes, o->online_bytes);
    } else if (still || first || !hidden_balloon_bytes) {
        o->online_bytes = min_u64(total_bytes - min_u64(total_bytes, o->base_bytes), o->plugged_bytes);
    }
}

void online_see_reset(struct online *o)
{
    o->plugged_bytes = o->online_bytes = 0;
    o->plugged_usec = o->total_usec = 0;
    /* base_bytes stays: it is the same boot memory, and nearly always the same kernel; it is learned again when the
     * guest reports before its driver has plugged anything. */
}

bool online_is_missing(const struct online *o, uint64_t block_bytes, uint64_t patience_usec, uint64_t now_usec)
{
    uint64_t tolerance = o->plugged_bytes / 8 > block_bytes ? o->plugged_bytes / 8 : block_bytes;

    return o->plugged_usec && now_usec - o->plugged_usec >= patience_usec && o->total_usec > o->plugged_usec &&
           o->online_bytes < o->plugged_bytes && o->plugged_bytes - o->online_bytes >= tolerance;
}

bool online_kernel_is_short(uint64_t free_bytes, uint64_t kernel_free_bytes, bool was)
{
    uint64_t enough = was ? 2 * ONLINE_KERNEL_SHORT_BYTES : ONLINE_KERNEL_SHORT_BYTES;

    if (kernel_free_bytes == UINT64_MAX || free_bytes == UINT64_MAX || kernel_free_bytes > free_bytes)
        return false;
    return kernel_free_bytes < enough && free_bytes - kernel_free_bytes >= ONLINE_MOVABLE_FREE_BYTES;
}

uint64_t online_room_bytes(uint64_t free_bytes, uint64_t available_bytes, uint64_t kernel_free_bytes, bool is_short)
{
    uint64_t kernel = kernel_free_bytes;

    if (is_short)
        return 0;
    if (kernel_free_bytes == UINT64_MAX || free_bytes == UINT64_MAX)
        return UINT64_MAX;
    if (available_bytes != UINT64_MAX && available_bytes > free_bytes)
        kernel += available_bytes - free_bytes;
    uint64_t spare = kernel > ONLINE_KERNEL_SHORT_BYTES ? kernel - ONLINE_KERNEL_SHORT_BYTES : 0;
    uint64_t room = spare < UINT64_MAX / PAGES_PER_MEMMAP ? spare * PAGES_PER_MEMMAP : UINT64_MAX;
    return room > ONLINE_ROOM_LEAST_BYTES ? room : ONLINE_ROOM_LEAST_BYTES;
}

uint64_t online_unheard_bytes(uint64_t boot_bytes)
{
    uint64_t floor_bytes = demand_kernel_floor_kib(boot_bytes / 1024) * 1024;
    uint64_t spare = boot_bytes > floor_bytes ? (boot_bytes - floor_bytes) / 2 : 0;

    return spare < UINT64_MAX / PAGES_PER_MEMMAP ? spare * PAGES_PER_MEMMAP : UINT64_MAX;
}
