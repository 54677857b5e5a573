/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

#include "copy_job.h"
#include "copy_link.h"

/* The child that touches the repository: opens it, lets a few threads hash, compress and write, commits. It may hang in
 * there for ever; the receiver does not. */

#define WORKER_THREADS_MAX 4 /* a backup must not take the host; more only wait for the disk */
#define WORKER_NICE        10

/* Runs until the receiver sends LINK_ORDER_FINISH or LINK_ORDER_ABORT, or is gone; returns the process's exit code. With the
 * receiver's process `receiver` stopped for the job's stall_msec, it is killed: only its end closes its sockets. */
int worker_run(struct copy_link *link, const struct copy_job *job, pid_t receiver);
