/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo_fs.h"

/* A file system in memory that a repository works on, and that crashes as badly as one may: whatever was not synced is lost
 * or kept, each name and each content by itself, in any combination, and content that was on its way is torn.
 *
 * Rules: content of a file is durable after REPO_WRITE_SYNC or sync_all; a name after sync_directory of its directory or
 * sync_all; a rename is done or not done, never half. */

struct crash_fs;

/* An empty one. Times stand still at `now` until set. */
struct crash_fs *crash_fs_new(void);
struct crash_fs *crash_fs_free(struct crash_fs *fs);

/* The same once more, without locks, hook and faults. */
struct crash_fs *crash_fs_clone(const struct crash_fs *fs);

/* For repo_open_on(): its close frees nothing. */
struct repo_fs *crash_fs_fs(struct crash_fs *fs);

void crash_fs_set_now(struct crash_fs *fs, int64_t now);

/* From its call n on (1: the next one), calls that change something or lock fail: with error `code`, once or for good. A
 * kill (code 0) fails them all, reading ones too, and may leave half a file behind. n 0: none. */
void crash_fs_fail_at(struct crash_fs *fs, unsigned n, int code, bool is_once);

/* Calls since then that could have failed. */
unsigned crash_fs_calls(const struct crash_fs *fs);

/* Called before each call that changes something, with its number; not called from within itself. */
void crash_fs_hook(struct crash_fs *fs, void (*hook)(void *user, unsigned n), void *user);

/* The process was killed: its locks are gone, faults end, all else stays. */
void crash_fs_kill(struct crash_fs *fs);

/* The machine crashed. seed 0: all that was not synced is lost; 1: names are kept, contents lost; else by chance. */
void crash_fs_crash(struct crash_fs *fs, uint64_t seed);

/* Files below a directory whose names end so; ending "": all. */
size_t crash_fs_count(struct crash_fs *fs, const char *directory, const char *ending);

/* Frees what all of them share. */
void crash_fs_done(void);
