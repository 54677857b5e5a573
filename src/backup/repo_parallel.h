/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "err.h"

/* The same work for many items, by a few threads: chunks to verify or to restore. */

/* Hashing and decompressing fill a core each; beyond these the disk is the limit. */
#define REPO_WORKERS_MAX 4

/* One item; called by several threads at once. A failure ends the whole work. */
typedef int repo_work_fn(void *user, size_t n, struct err *e);

/* How far it is, a few times a second and once at the end, by the caller's thread. */
typedef void repo_progress_fn(void *user, size_t done, size_t total);

/* Items 0..count - 1. 0, or the first failure. progress may be NULL. */
int repo_parallel(size_t count, repo_work_fn *work, void *user, repo_progress_fn *progress, void *progress_user,
                  struct err *e);
