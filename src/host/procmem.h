/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

/* A process's memory, and what of it the host's kernel can't take, by /proc/PID/status: counters only, no page table is walked. */

struct procmem {
    uint64_t locked_bytes; /* VmLck: mlock(), and what VFIO pins for passed-through devices */
    uint64_t pinned_bytes; /* VmPin: pinned by others (io_uring, RDMA, newer passthrough) */
    uint64_t huge_bytes;   /* HugetlbPages: in preallocated huge pages */
    uint64_t resident_bytes; /* VmRSS: huge pages not included; exact to some 100 KiB a thread */
    uint64_t swapped_bytes;  /* VmSwap */
};

/* Lines that are missing (kernel threads, old kernels) count as 0; -EPROTO where it is no such file at all. */
int procmem_parse(const char *buf, size_t len, struct procmem *ret, struct err *e);

/* proc: "/proc" but in tests. -ENOENT, -ESRCH: no such process. */
int procmem_read(const char *proc, pid_t pid, struct procmem *ret, struct err *e);
