/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "err.h"
#include "repo.h"
#include "repo_parallel.h"

/* A disk of a point, written to a raw image or a block device. Every chunk is proven by its hash on the way. */

struct repo_restore {
    const char *target;
    bool is_forced;              /* what is there may be overwritten */
    repo_progress_fn *progress;  /* in chunks; may be NULL */
    void *user;
};

/* A file appears under its name only when it is whole and durable; zeroes become holes. A block device (is_forced, and
 * large enough) is written in place. -EEXIST where something is there; -EBADMSG names the chunk that is damaged. */
int repo_restore_disk(struct repo *repo, const struct repo_disk *disk, const struct repo_restore *how, struct err *e);

/* Gives a whole and synced file its name, and syncs the directory. Over another one only is_forced; -EEXIST. */
int repo_restore_name(const char *partial, const char *target, bool is_forced, struct err *e);
