/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "repo.h"

/* Removing: points by prune, chunks that no point names by sweep. Nothing is rewritten and no backup waits; why nothing in
 * use goes: repo_hold.h. Two of them exclude each other: -EWOULDBLOCK. */

struct repo_sweeper;

/* The right to remove. Puts right what one that was killed left. */
int repo_sweeper_new(struct repo *repo, struct repo_sweeper **ret, struct err *e);
struct repo_sweeper *repo_sweeper_free(struct repo_sweeper *s);
OWN_DEFINE(repo_sweeper);

/* Removes a point. -EBUSY: a backup builds upon it, or somebody reads it. -EPERM: it is protected. */
int repo_point_remove(struct repo_sweeper *s, const char *identity, const char *time, struct err *e);

struct repo_swept {
    size_t chunk_count;                  /* that there are */
    size_t removed_count, young_count;   /* no point names them: gone; or stay, as a backup may be about to */
    uint64_t removed_bytes;
    size_t litter_count;                 /* leftovers of what was killed */
};

/* Removes chunks. A point that can't be read stops it: nobody knows what it needs. is_dry: only counts. */
int repo_sweep(struct repo_sweeper *s, bool is_dry, struct repo_swept *ret, struct err *e);

/* A protected point stays. */
int repo_point_protect(struct repo *repo, const char *identity, const char *time, bool is_protected, struct err *e);
