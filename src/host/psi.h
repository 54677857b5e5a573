/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Pressure stall information: /proc/pressure/memory of the host. */

struct psi {
    uint64_t some_usec, full_usec; /* counters: time in which some / all tasks stood still for want of memory */
};

/* -EPROTO where the two totals are not there. */
int psi_parse(const char *buf, size_t len, struct psi *ret, struct err *e);

/* path: "/proc/pressure/memory" but in tests. -ENOENT, -EOPNOTSUPP: this kernel has none, or was booted with psi=0:
 * that is no trouble, the host is then judged by its free memory alone. */
int psi_read(const char *path, struct psi *ret, struct err *e);
