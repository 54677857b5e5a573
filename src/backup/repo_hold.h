/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "text.h"

/* Lock files: who uses the repository now. A file of `locks/` is held by the process that made it, and the kernel lets
 * go of it when that process ends, however it ends.
 *
 * Why nothing in use is ever swept, without anybody waiting for anybody: a backup's *stamp* is the time of its lock file,
 * and never before that of the last sweep; every chunk it stores or finds there gets a modification time of at least its
 * stamp. A sweep takes the time of its own lock first, then looks for backups, and removes only what no point names and
 * is older than itself and every backup that runs. So either the sweep sees the backup, or the backup's stamp is not
 * before the sweep; both hold whatever the clock does. */

struct repo;

#define REPO_HOLD_NAME_SIZE 17
#define REPO_HOLD_POINTS_MAX 64 /* a backup's parents: one for each disk at most; a reader has one */

enum repo_hold_kind {
    REPO_HOLD_BACKUP, /* writes chunks */
    REPO_HOLD_READER, /* reads points, which stay for so long */
    REPO_HOLD_KIND_COUNT
};

struct repo_hold {
    enum repo_hold_kind kind;
    char name[REPO_HOLD_NAME_SIZE]; /* random: its files' names begin so */
    int64_t stamp;
    int lock;                       /* of repo_fs; -1: not ours */
    bool is_running;                /* somebody has it */
    size_t point_count;             /* points that must not go; a backup's own is the first */
    char points[REPO_HOLD_POINTS_MAX + 1][TEXT_NAME_MAX + 18];
};

/* points: "IDENTITY/TIME"; the caller looks whether they are there only afterwards. Durable before it returns. */
int repo_hold_new(struct repo *repo, enum repo_hold_kind kind, const char *const *points, size_t point_count,
                  struct repo_hold **ret, struct err *e);

/* Ends it and removes its file; keep_file: a crash is what it looks like. Returns NULL; fine with NULL. */
struct repo_hold *repo_hold_end(struct repo *repo, struct repo_hold *hold, bool keep_file);

/* All that there are, running or left by a crash; a file that can't be read counts as running without points. */
struct repo_hold_list {
    size_t count, room;
    struct repo_hold *items;
};
int repo_hold_list(struct repo *repo, struct repo_hold_list *ret, struct err *e);
void repo_hold_list_done(struct repo_hold_list *list);

/* Whether a running one needs that point. */
bool repo_hold_list_has(const struct repo_hold_list *list, const char *point);
