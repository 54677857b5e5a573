/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* The host's memory: /proc/meminfo, and what ZFS's cache would give back (it is not in MemAvailable). */

struct meminfo {
    uint64_t total_bytes;     /* MemTotal */
    uint64_t available_bytes; /* MemAvailable */
    uint64_t free_bytes;      /* MemFree */
    uint64_t swap_total_bytes, swap_free_bytes;
};

/* -EPROTO where MemTotal or MemAvailable is missing (kernels before 3.14) or absurd. */
int meminfo_parse(const char *buf, size_t len, struct meminfo *ret, struct err *e);

/* path: "/proc/meminfo" but in tests. */
int meminfo_read(const char *path, struct meminfo *ret, struct err *e);

/* How far ZFS's cache shrinks on demand: size - c_min, in bytes. -EPROTO where either is missing. */
int meminfo_parse_arc(const char *buf, size_t len, uint64_t *ret_bytes, struct err *e);

/* path: "/proc/spl/kstat/zfs/arcstats" but in tests. A host without it: 0 bytes, and success. */
int meminfo_read_arc(const char *path, uint64_t *ret_bytes, struct err *e);
