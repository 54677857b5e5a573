/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "boot_line.h"
#include "repo_parallel.h"

/* A guest that runs from a point: an nbdkit for each disk, QEMU, and our end of a monitor. Thrown away: all of it ends with
 * this process. Kept: the guest runs on without it; what it writes goes to overlays, into which QEMU copies the point's disks
 * (block-stream) while the guest runs; then each nbdkit ends, as nobody is connected any more (at the guest's end if this process ended before).
 * An overlay that is not whole
 * names DIRECTORY/DISK.nbd as what lies under it, which nothing but `ballast backup serve` makes: it can't be taken for whole. */

struct start_wish {
    const char *repository;
    const struct repo_manifest *manifest;
    struct boot_host host;
    struct boot_stage stage;
    int signal_fd;           /* signalfd(2) of what ends it */
};

struct start;

/* Returns when QEMU runs the guest. -ECHILD: a program ended, with QEMU's last words; -EINTR: a signal; -ETIMEDOUT; what
 * boot_line_stage() refuses. Nothing runs after a failure. */
int start_new(const struct start_wish *wish, struct start **ret, struct err *e);

pid_t start_pid(const struct start *s); /* QEMU's */

/* Thrown away: until the guest ends or a signal comes (both 0). */
int start_await_end(struct start *s, struct err *e);

/* Kept: copies the disks into the overlays. -EINTR: it goes on without us; -EIO: with QEMU's words: the guest runs on, from the
 * repository; -ECHILD: the guest ended. progress: in bytes. */
int start_copy(struct start *s, repo_progress_fn *progress, void *user, struct err *e);

/* Ends what is thrown away; lets go of what is kept. */
struct start *start_free(struct start *s);
OWN_DEFINE(start);

/* One empty overlay for each disk, in the stage's directory. -EEXIST. */
int start_overlays(const struct start_wish *wish, struct err *e);
