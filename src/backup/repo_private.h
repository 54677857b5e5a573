/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "repo.h"
#include "repo_codec.h"
#include "repo_fs.h"
#include "repo_hold.h"

/* What the files of the repository share; nobody else includes it. */

#define REPO_CHUNKS "chunks"
#define REPO_LOCKS "locks"
#define REPO_VM "vm"
#define REPO_SWEEP_LOCK "locks/sweep.lock"
#define REPO_MANIFEST "manifest.json"
#define REPO_PROTECTED "protected"
#define REPO_LAST_RESULT "last-result.json"
#define REPO_LAST_BOOT "last-boot.json"

/* Endings of a chunk's file: found damaged; on its way out by a sweep (readers still take it). */
#define REPO_ENDING_BAD ".bad"
#define REPO_ENDING_GONE ".gone"

/* A chunk is suspect when a crash may have torn it. Times of files lost in a crash may be older than what was asked for
 * by as much as the clock was set back; a day covers that, and the price is only a comparison. */
#define REPO_SUSPECT_MARGIN_SEC 86400

struct repo {
    struct repo_fs *fs;
    uint32_t chunk_bytes;
    char name[REPO_NAME_SIZE];
    atomic_bool is_sync_each;   /* files are synced one by one before they get their name */
    pthread_mutex_t mutex;      /* of idle */
    struct repo_codec *idle;
};

struct repo_point {
    struct repo *repo;
    struct repo_hold *hold;
    char identity[TEXT_NAME_MAX + 1], time[REPO_TIME_SIZE];
    char name[REPO_POINT_NAME_SIZE];
    int64_t suspect_since;      /* chunks as young as this are compared before they are believed; INT64_MAX: none */
    atomic_uint_fast64_t files; /* counted for their temporary names */
    atomic_bool touched[256];   /* directories of chunks with a new name */
    struct repo_manifest *manifest;
};

/* A codec for this thread, given back afterwards. */
int repo_codec_take(struct repo *repo, struct repo_codec **ret, struct err *e);
void repo_codec_give(struct repo *repo, struct repo_codec *codec);

/* "chunks/ab/cdef..." and the ending. Returns path. */
const char *repo_chunk_path(const struct repo_id *id, const char *ending, char path[REPO_PATH_SIZE]);

/* Reads a chunk's file into codec->frame, also one that a sweep is about to take. -ENOENT: missing. */
int repo_chunk_read(struct repo *repo, struct repo_codec *codec, const struct repo_id *id, size_t *ret_len,
                    struct err *e);

/* "vm/IDENTITY/TIME/name"; name NULL: the directory. Returns path. */
const char *repo_point_path(const char *identity, const char *time, const char *name, char path[REPO_PATH_SIZE]);

/* Writes a small file durably under its name, replacing what is there: all old or all new. */
int repo_file_replace(struct repo *repo, const char *path, const char *data, size_t len, struct err *e);

/* A text file of at most room bytes; malloc'ed, with an end. */
int repo_file_read(struct repo *repo, const char *path, size_t room, char **ret, size_t *ret_len, struct err *e);

/* 16 random hexadecimal digits and the end. */
int repo_random_name(char text[REPO_NAME_SIZE], struct err *e);
