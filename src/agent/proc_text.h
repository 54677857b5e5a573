/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent_line.h"

/* The kernel's texts -> keys of a sample. Pure; `text` needs no end. What a kernel does not know stays AGENT_UNSET: old
 * ones have no MemAvailable, no PSI, other names for refaults. Numbers that can't be are taken for unknown. */

/* /proc/meminfo: mem_*, cache, shmem, anon, dirty, committed, commit_limit, swap_total, swap_free. */
void proc_text_meminfo(const char *text, size_t len, struct agent_message *m);

/* /proc/meminfo, for a quick look between samples: what is available, MemFree + Buffers + Cached where the kernel has
 * no MemAvailable. False: not a meminfo. */
bool proc_text_available(const char *text, size_t len, uint64_t *ret_total_kib, uint64_t *ret_free_kib,
                         uint64_t *ret_available_kib);

/* /proc/vmstat: balloon, swapped_in, swapped_out, refaulted, oom_kills. page_kib: KiB a page. */
void proc_text_vmstat(const char *text, size_t len, uint64_t page_kib, struct agent_message *m);

/* /proc/pressure/memory: psi_some, psi_full. */
void proc_text_pressure(const char *text, size_t len, struct agent_message *m);

/* /proc/zoneinfo, which grows with processors and nodes: may be given in pieces of whole lines. Start with zeroes. */
struct proc_zones {
    bool kernel; /* inside a zone that the kernel allocates from: all but Movable and Device */
    bool known;  /* one of those was seen */
    uint64_t free_pages;
    uint64_t high_pages; /* of all zones: with more than this free, the kernel reclaims nothing */
};
void proc_text_zones(const char *text, size_t len, struct proc_zones *z);

/* /proc/iomem: the n-th range of memory hot-added by virtio-mem, or false. */
bool proc_text_virtio_mem(const char *text, size_t len, unsigned n, uint64_t *ret_first, uint64_t *ret_last);
