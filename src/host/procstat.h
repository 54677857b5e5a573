/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

/* One process by /proc/PID/stat (proc(5)). */

struct procstat {
    pid_t pid;
    char state;           /* R running, S sleeping, D in a system call that can't be ended, T stopped, Z dead */
    uint64_t start_ticks; /* field 22: with pid and the host's boot id one process, for ever */
    uint64_t rss_pages;   /* field 24 */
};

/* -EPROTO where it is no such line. The command in it may hold any bytes, ')' included. */
int procstat_parse(const char *buf, size_t len, struct procstat *ret, struct err *e);

/* proc: "/proc" but in tests. -ENOENT: no such process. */
int procstat_read(const char *proc, pid_t pid, struct procstat *ret, struct err *e);
