/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "repo.h"

/* The chunks that points name, each once. 32 bytes a chunk: 32 MiB for a TiB of different content. */

struct repo_marks {
    struct repo_id *ids;
    size_t count, room;
    size_t sorted; /* the first so many are in order, each once */
};

/* Adds ids; zero ids are left out. */
int repo_marks_add(struct repo_marks *m, const struct repo_id *ids, size_t n, struct err *e);

/* All chunks of a point: its indexes and what they name. With `failed` an index that can't be read is told there and
 * left out; else it is the failure. */
typedef void repo_marks_failed_fn(void *user, const char *disk, const struct err *e);
int repo_marks_add_point(struct repo_marks *m, struct repo *repo, const struct repo_manifest *manifest,
                         repo_marks_failed_fn *failed, void *user, struct err *e);

/* Puts them in order; needed before repo_marks_has(). */
void repo_marks_sort(struct repo_marks *m);
bool repo_marks_has(const struct repo_marks *m, const struct repo_id *id);
void repo_marks_done(struct repo_marks *m);
