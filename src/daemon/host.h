/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "err.h"
#include "observe.h"

/* The host as decide() wants it: read from files that the kernel answers without waiting. Paths are arguments, so that
 * tests can pretend. psi_path or arc_path may be absent on the host: those fields are then not known, which is no failure. */

struct host_paths {
    const char *meminfo; /* /proc/meminfo */
    const char *psi;     /* /proc/pressure/memory */
    const char *arc;     /* /proc/spl/kstat/zfs/arcstats */
};

extern const struct host_paths host_paths_default;

int host_read(const struct host_paths *paths, uint64_t now_usec, struct obs_host *ret, struct err *e);
