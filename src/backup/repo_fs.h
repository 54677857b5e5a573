/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "own.h"

/* What the repository does to its files, behind a small vtable: the real one below, and one in the tests that loses and
 * reorders what was not synced, and fails on demand.
 *
 * Paths are relative to the repository's directory, made of names of ours ("chunks/ab/cdef"), never empty, never with
 * "..". No symbolic link is followed below that directory, and only regular files are read: a repository is foreign
 * matter. Files are 0600, directories 0700. Every file of a repository is small, so files are read and written whole.
 *
 * All functions but open and close may be called by several threads at once. They return 0, or -errno with a sentence
 * that names the path. */

struct repo_fs {
    const struct repo_fs_ops *ops;
};

struct repo_stat {
    uint64_t size_bytes;
    int64_t mtime_sec;
    bool is_file, is_directory; /* neither: a link, a device, ... */
};

enum repo_write {
    REPO_WRITE_PLAIN = 0,
    REPO_WRITE_SYNC = 1 /* content and size are durable before it returns; the name is not */
};

enum repo_lock {
    REPO_LOCK_EXCLUSIVE,
    REPO_LOCK_SHARED
};

/* Called for each name but "." and ".."; a negative errno ends the listing and is returned. */
typedef int repo_list_fn(void *user, const char *name, struct err *e);

struct repo_fs_ops {
    void (*close)(struct repo_fs *fs);
    int64_t (*now)(struct repo_fs *fs); /* wall clock, seconds since 1970 */

    /* A whole file; -EFBIG where it does not fit, -ENOENT where it is not there. */
    int (*read)(struct repo_fs *fs, const char *path, void *buf, size_t room, size_t *ret_len, struct err *e);

    /* Makes a new file (-EEXIST where there is one) with this content and modification time (0: now). Nothing is left
     * of it on failure. */
    int (*write)(struct repo_fs *fs, const char *path, const void *data, size_t len, int64_t mtime_sec,
                 enum repo_write how, struct err *e);

    /* Replaces what is at `to`. */
    int (*rename)(struct repo_fs *fs, const char *from, const char *to, struct err *e);

    /* -EEXIST where something is at `to`; -EINVAL where the file system can't do that atomically. */
    int (*rename_new)(struct repo_fs *fs, const char *from, const char *to, struct err *e);

    int (*remove)(struct repo_fs *fs, const char *path, struct err *e);
    int (*mkdir)(struct repo_fs *fs, const char *path, struct err *e); /* -EEXIST where it is there */
    int (*rmdir)(struct repo_fs *fs, const char *path, struct err *e);
    int (*stat)(struct repo_fs *fs, const char *path, struct repo_stat *ret, struct err *e);
    int (*touch)(struct repo_fs *fs, const char *path, int64_t mtime_sec, struct err *e);
    int (*list)(struct repo_fs *fs, const char *path, repo_list_fn *each, void *user, struct err *e);

    /* The names in a directory are durable. */
    int (*sync_directory)(struct repo_fs *fs, const char *path, struct err *e);

    /* All that was done to the file system before is durable; write errors since open are reported. */
    int (*sync_all)(struct repo_fs *fs, struct err *e);

    /* A lock on a file that is there; the kernel drops it when the process ends. Never waits: -EWOULDBLOCK where somebody
     * has one that excludes it. The lock stays with the file when it is renamed. A shared one only asks. */
    int (*lock)(struct repo_fs *fs, const char *path, enum repo_lock how, int *ret_lock, struct err *e);
    void (*unlock)(struct repo_fs *fs, int lock);

    /* Whether what sync_all() promises can be believed on this kind of file system (local ones); else each file is
     * synced by itself. */
    bool (*is_sync_all_trusted)(struct repo_fs *fs);
};

/* The real one, on an existing directory. */
int repo_fs_open(const char *directory, struct repo_fs **ret, struct err *e);

struct repo_fs *repo_fs_free(struct repo_fs *fs);
OWN_DEFINE(repo_fs);

/* Longest path below the repository's directory, with its end: "vm/" identity "/" time "/" name. */
#define REPO_PATH_SIZE 192
