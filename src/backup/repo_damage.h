/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "err.h"
#include "repo.h"
#include "repo_marks.h"
#include "repo_verify.h"

/* Chunks that a verification found damaged, remembered in the repository ("state/damaged"): an incremental takes what did
 * not change from its parent, so building on a damaged one would hand the damage on from point to point. A disk whose
 * newest point is damaged is read in full once, which stores the lost chunks again where the guest still has them. */

/* Ids remembered, 65 bytes each. With more of them lost, the first so many are healed first. */
#define REPO_DAMAGE_MAX 1000000U

/* After a verification: adds what it found, and forgets what has been stored again since. */
int repo_damage_update(struct repo *repo, const struct repo_verification *v, struct err *e);

/* What is remembered, in order; done by repo_marks_done(). None: an empty list. -EBADMSG: no list of ours. */
int repo_damage_load(struct repo *repo, struct repo_marks *ret, struct err *e);

/* 0: a backup may build on this disk. -EBADMSG: its index can't be read, or names a chunk of the list that is not there
 * again. Only what is remembered costs a look at a file. */
int repo_damage_check(struct repo *repo, const struct repo_marks *damaged, const struct repo_disk *disk, struct err *e);
