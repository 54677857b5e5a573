/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Starts a program beside the loop. posix_spawn(3) of glibc is clone(CLONE_VM | CLONE_VFORK): no page table is copied, and only
 * the calling thread waits for the exec. A plain fork would stop the loop while the kernel copies what mlockall(2) has made
 * resident. */

struct launch {
    const char *path;
    char *const *argv, *const *env; /* end with NULL */
    int in_fd, out_fd;              /* its standard input and output; all others but standard error are closed */
    bool is_session;      /* a session of its own: Ctrl-C on a ballastd in the foreground is for ballastd, which ends it in order.
                           * Else a process group of its own */
    bool is_foreign;      /* not ours: standard error goes to out_fd, its directory is "/" */
    bool is_irreplaceable; /* keeps ballastd's place among the last that the kernel kills; else it is no better than others */
};

/* Signals are as any program expects them. 0, or a positive errno: nothing runs. */
int launch_start(const struct launch *l, pid_t *ret_pid);
