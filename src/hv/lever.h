/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How one target for a guest's assigned memory is split over its two levers, the balloon (boot memory) and virtio-mem
 * (hot-added memory): deflate first, hot-add after; unplug first, inflate after (docs/design.md 3.5). Pure arithmetic.
 *
 *     assigned = balloon_actual + online
 *
 * A move has two steps. lever_split() says what to send when the target is ordered. While it is under way,
 * lever_refine() says what the balloon's target should be now: what virtio-mem could not let go is taken by the
 * balloon, and given back when virtio-mem succeeds later after all. */

struct lever_state {
    uint64_t boot_bytes;           /* boot memory, pc-dimms included: what the balloon can take from */
    uint64_t balloon_actual_bytes; /* boot less the balloon; equals boot without one */
    uint64_t plugged_bytes;        /* virtio-mem: plugged as QEMU says, all devices */
    uint64_t online_bytes;         /* of it online in the guest, at most plugged_bytes */
    uint64_t pluggable_bytes;      /* virtio-mem: the most that may be plugged now; 0: none */
    uint64_t block_bytes;          /* virtio-mem: granularity (largest of the devices'); 0: none */
    bool has_balloon;
};

struct lever_order {
    uint64_t balloon_bytes; /* the balloon's target (what `actual` shall become), at most boot_bytes */
    uint64_t plug_bytes;    /* virtio-mem: requested size, a multiple of block_bytes */
};

/* First step. The end state is target_bytes, less up to one block where virtio-mem must be used (rounded down: never
 * more than ordered), and within what the levers can do. Asked for exactly what the guest has, it freezes all as it is,
 * but for plugged memory that is offline: that is unplugged. */
void lever_split(const struct lever_state *s, uint64_t target_bytes, struct lever_order *ret);

/* Further steps, at each look at the levers. plug_bytes: as lever_split() said. patience_over: virtio-mem had its
 * moment. Never takes more of the boot memory than a kernel with all that plugged memory needs (lever_floor_bytes()),
 * unless the target itself lies below that. Returns the balloon's target. */
uint64_t lever_refine(const struct lever_state *s, uint64_t target_bytes, uint64_t plug_bytes, bool patience_over);

/* The least boot memory left to a guest that holds plugged memory: page tables, slabs and memmap of hot-added memory
 * live in boot memory, and only there where it was onlined movable. */
uint64_t lever_floor_bytes(uint64_t boot_bytes, uint64_t plugged_bytes);

/* Spreads a total over several virtio-mem devices: added in their order, taken in the opposite one, each within its
 * most and its own granularity. Writes n requested sizes. */
struct lever_device {
    uint64_t requested_bytes;
    uint64_t most_bytes;
    uint64_t block_bytes;
};
void lever_spread(const struct lever_device *devices, size_t n, uint64_t total_bytes, uint64_t *ret_requested);
