/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

/* What a guest really holds: its RAM regions in /proc/PID/smaps of the process behind it, the only proof there is
 * (docs/design.md 3.1). Regions are known by size alone: QEMU 7.2 does not tell where it mapped them. A region is a
 * writable mapping of exactly its size, or adjoining mappings of one kind that add up to it (mbind and madvise split
 * mappings). Equal sizes can't be told apart and are summed. */

struct smaps {
    uint64_t resident_bytes; /* of guest RAM regions; hugetlb pages included */
    uint64_t swapped_bytes;  /* of guest RAM regions */
    uint64_t overhead_bytes; /* resident in all other mappings */
    bool all_found; /* false: a region was not found; then all of the process counts as guest RAM, the safe side,
                       and overhead_bytes is 0 */
};

/* regions: sizes in bytes, n of them, at most SMAPS_REGIONS_MAX. -EPROTO where buf is no such file. A file that ends
 * early can't be told from a whole one: readers give whole files only. */
#define SMAPS_REGIONS_MAX 64
int smaps_parse(const char *buf, size_t len, const uint64_t *regions, size_t n, struct smaps *ret, struct err *e);

/* Reads the smaps of one process, proven to be that one by start_ticks (procstat.h; 0: any). It takes the process's
 * mmap lock and walks its page tables: milliseconds per GiB, and it can hang with the process, so never call it from
 * the loop. *scratch / *scratch_size: a malloc'ed buffer (NULL, 0 at first) that grows as needed and is the caller's to
 * free. -ENOENT / -ESRCH: no such process (any more); -EACCES / -EPERM: not allowed; -EFBIG: beyond SMAPS_FILE_MAX. */
#define SMAPS_FILE_MAX (32U << 20) /* some 45,000 mappings; a QEMU has a few hundred */
int smaps_read(const char *proc, pid_t pid, uint64_t start_ticks, const uint64_t *regions, size_t n, char **scratch,
               size_t *scratch_size, struct smaps *ret, struct err *e);
