/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "err.h"
#include "repo.h"
#include "repo_parallel.h"

struct restore_qcow2 {
    const char *repository, *identity, *time; /* of the point */
    const struct repo_disk *disk;
    const char *target;
    bool is_forced;             /* what is there may be replaced */
    repo_progress_fn *progress; /* in bytes */
    void *user;
};

/* A disk of a point as a qcow2 image: qemu-img reads it from nbdkit, which proves every chunk, and skips what is zero. It needs no room
 * but the image's, and appears under its name when it is whole and durable. -ENOPKG: nbdkit's plugin is not there; -EEXIST; -EIO: what
 * nbdkit and qemu-img said stands on standard error. */
int restore_qcow2(const struct restore_qcow2 *how, struct err *e);
