/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* How much of a guest's hot-added memory is online, where only balloon statistics tell: the rise of the guest's
 * MemTotal over what it was without any, at most what is plugged (docs/design.md 3.1). QEMU reports memory as plugged
 * that Debian's default leaves offline; only what is online counts as given. Pure; times in microseconds.
 *
 * A guest found with memory already plugged (ballastd was restarted) has no known MemTotal without it. Then: all
 * plugged memory counts as online if MemTotal is at least boot + plugged less what firmware and kernel may hide
 * (online_hidden_bytes()), else what MemTotal exceeds boot by. Without statistics all plugged memory counts as online:
 * the safe side for the books, as it may be in use. */

#define ONLINE_PATIENCE_USEC 5000000ULL /* plugged memory not seen online after this long stays offline */
#define ONLINE_PROOF_USEC                                                                                              \
    1000000ULL /* asked to unplug it again after this long: that it stayed offline is the reason.                      \
                  A guest that onlines by itself takes 30-100 ms */

struct online {
    uint64_t base_bytes;   /* MemTotal without hot-added memory, balloon added back where it is missing; 0: not known */
    uint64_t online_bytes; /* at most plugged_bytes */
    uint64_t plugged_bytes;
    uint64_t plugged_usec; /* when plugged_bytes rose last */
    uint64_t total_usec;   /* when a MemTotal was heard last; 0: never since the reset */
};

/* A guest just found, with this much plugged; nothing is moved for it, whatever its statistics say (S10). */
void online_adopt(struct online *o, uint64_t plugged_bytes);

/* The levers as seen now. */
void online_see_plugged(struct online *o, uint64_t plugged_bytes, uint64_t now_usec);

/* A fresh MemTotal. hidden_balloon_bytes: the balloon where MemTotal does not count it (deflate-on-oom off), else 0.
 * still: neither lever moves, so that both numbers belong together. */
void online_see_total(struct online *o, uint64_t total_bytes, uint64_t hidden_balloon_bytes, uint64_t boot_bytes,
                      bool still, uint64_t now_usec);

/* The guest reset: hot-added memory is gone until its driver plugs it again. */
void online_see_reset(struct online *o);

/* Plugged for patience_usec, statistics heard since, and still a block and an eighth of it missing. */
bool online_is_missing(const struct online *o, uint64_t block_bytes, uint64_t patience_usec, uint64_t now_usec);

/* The most that firmware and kernel hide of a guest's boot memory. Measured: 30-60 MiB of 256 MiB; 1/64 is memmap; a
 * crash kernel takes up to 1/8. */
uint64_t online_hidden_bytes(uint64_t boot_bytes);

/* Hot-added memory onlined as movable is none that the kernel can allocate from: a guest may have plenty of it free and
 * its kernel nothing, and the next plug fails or kills (measured: 256 MiB + 11.5 GiB movable, 3.5 MiB left of 11.7 GiB
 * available). The kernel is short where movable memory is free and its own is not: nothing movable fills the latter.
 * was: the last answer; short until twice as much is there. Sizes of UINT64_MAX: not known, never short. */
#define ONLINE_KERNEL_SHORT_BYTES (24ULL << 20)
#define ONLINE_MOVABLE_FREE_BYTES (64ULL << 20)
bool online_kernel_is_short(uint64_t free_bytes, uint64_t kernel_free_bytes, bool was);

/* How much may be plugged beyond what is online, before the guest was heard again: its memmap is 1/64 and lives in the
 * kernel's own memory, of which ONLINE_KERNEL_SHORT_BYTES shall be left. Cache counts as free: it may lie there, and
 * goes. A guest in need gets ONLINE_ROOM_LEAST_BYTES at least, 4 MiB of memmap, unless its kernel is short. UINT64_MAX:
 * no limit known. */
#define ONLINE_ROOM_LEAST_BYTES (256ULL << 20)
uint64_t online_room_bytes(uint64_t free_bytes, uint64_t available_bytes, uint64_t kernel_free_bytes, bool is_short);

/* The same where nobody tells of the kernel's memory: no agent, none heard yet, or a guest that boots and whose driver plugs
 * by itself what was asked for before. Half of what the boot memory has beyond the kernel's own need may become memmap.
 * Measured: a guest of 128 MiB that was given 6 GiB before its agent was heard lost processes, panicked, and did so again
 * at each boot, as virtio-mem's requested size outlives a reset; the rule gives it 1.75 GiB. */
uint64_t online_unheard_bytes(uint64_t boot_bytes);
