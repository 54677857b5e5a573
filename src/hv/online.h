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
