/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The process that ballastd starts: takes the job on stdin, holds its NBD sockets, fills chunks and hands them to its child
 * (worker.h), speaks on stdout (docs/backup-protocol.md). One thread that waits for nothing but poll(2): it always answers QEMU and
 * ballastd, whatever the repository does. */

/* Returns the process's exit code: 0 only after a point was committed. */
int receiver_run(void);
