/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "own.h"
#include "repo_id.h"
#include "text.h"

/* The backup repository (docs/repository-format.md): a directory of immutable chunks named by their content, and points
 * that list them. Needs no daemon and no database. A point is there when its manifest is, whole and durable, or it is not
 * there at all (S8). All that is read from it is foreign matter: sizes are bounded, links refused, every chunk proven by
 * its hash.
 *
 *     repo_open -> repo_point_begin -> repo_chunk_put ... (threads) -> repo_point_add_disk ... -> repo_point_commit
 *     repo_open -> repo_manifest_load -> repo_index_load -> repo_chunk_get ...
 *
 * Functions return 0 or -errno with a sentence. -EBADMSG: what is stored is damaged. */

struct repo_fs;

/* Chunks are of one size, a power of two, aligned to the disk's start; a disk's last one may be shorter. */
#define REPO_CHUNK_BYTES_DEFAULT (1U << 20)
#define REPO_CHUNK_BYTES_MIN (64U << 10)
#define REPO_CHUNK_BYTES_MAX (4U << 20)

/* Limits of what is believed. */
#define REPO_DISKS_MAX 64                  /* of one guest */
#define REPO_INDEX_PARTS_MAX 16384U        /* chunks of an index: 512 TiB of disk with chunks of 1 MiB, 2 TiB with 64 KiB */
#define REPO_MANIFEST_BYTES_MAX (16U << 20)
#define REPO_FACTS_BYTES_MAX (1U << 20)    /* the guest's definition and what the freeze window found */

/* Version of the format this code writes; newer ones are refused, older ones read. */
#define REPO_VERSION 1

struct repo;

/* Makes the directory (an empty one may be there) and tries what the format needs from its file system: locks that
 * exclude, rename that replaces at once, times that stay, fsync that answers. -EOPNOTSUPP with the reason where it lacks
 * one; nothing is left then. chunk_bytes 0: the default. */
int repo_init(const char *path, uint32_t chunk_bytes, struct err *e);

/* -ENOENT, -EPROTONOSUPPORT (a newer version), -EBADMSG (not a repository of ours). */
int repo_open(const char *path, struct repo **ret, struct err *e);

/* The same on a file system of the caller's, which is taken over in any case: tests. */
int repo_init_on(struct repo_fs *fs, uint32_t chunk_bytes, struct err *e);
int repo_open_on(struct repo_fs *fs, struct repo **ret, struct err *e);

struct repo *repo_free(struct repo *repo); /* no point may be open */
OWN_DEFINE(repo);

uint32_t repo_chunk_bytes(const struct repo *repo);

/* The repository's own id: 16 hexadecimal digits, given at init ("ballast-<id>-N" names bitmaps). */
#define REPO_NAME_SIZE 17
const char *repo_name(const struct repo *repo);

/* A point is written IDENTITY/TIME: "web1/20261124T150000Z". Identities and disk names are names by text_is_name(). */
#define REPO_TIME_SIZE 17
#define REPO_POINT_NAME_SIZE (TEXT_NAME_MAX + 1 + REPO_TIME_SIZE)

bool repo_time_is_valid(const char *text);

/* Seconds since 1970 <-> "20261124T150000Z". Parse also takes "2026-11-24T15:00:00Z", and gives false where text is no
 * such time. */
void repo_time_print(int64_t seconds, char text[REPO_TIME_SIZE]);
bool repo_time_parse(const char *text, int64_t *ret_seconds);

/* ---- The index of one disk: the id of each chunk. Not the store's: plain memory, 32 bytes a chunk. */
struct repo_index {
    uint64_t size_bytes;  /* of the disk */
    uint32_t chunk_bytes;
    size_t count;         /* chunks */
    struct repo_id *ids;  /* different ones may be set by different threads */
};

/* All zero. -EFBIG beyond REPO_INDEX_PARTS_MAX. */
int repo_index_new(const struct repo *repo, uint64_t size_bytes, struct repo_index **ret, struct err *e);
struct repo_index *repo_index_free(struct repo_index *index);
OWN_DEFINE(repo_index);

/* Bytes of chunk n: chunk_bytes, or what the disk has left. */
uint32_t repo_index_chunk_length(const struct repo_index *index, size_t n);

/* ---- Manifests. */
enum repo_kind {
    REPO_KIND_FULL,
    REPO_KIND_INCREMENTAL,
    REPO_KIND_COUNT
};
const char *repo_kind_text(enum repo_kind kind); /* "full", "incremental" */

struct repo_disk {
    char name[TEXT_NAME_MAX + 1];
    uint64_t size_bytes;
    enum repo_kind kind;               /* how it was read; the index is full in any case */
    char parent[REPO_TIME_SIZE];       /* the point the incremental is based on; "": none */
    uint64_t read_bytes, stored_bytes; /* received from the guest; new in the repository, compressed */
    struct repo_id *parts;             /* the chunks that the index is stored in */
    size_t part_count;
};

struct repo_manifest {
    char identity[TEXT_NAME_MAX + 1];
    char guest[TEXT_NAME_MAX + 1];     /* its name at that time */
    char time[REPO_TIME_SIZE];
    char ballast[32];                  /* version that wrote it */
    uint32_t chunk_bytes;
    size_t disk_count;
    struct repo_disk disks[REPO_DISKS_MAX];
    char *facts;                       /* a JSON object on one line: consistency, freeze_ms, definition, ... */
};

int repo_manifest_load(struct repo *repo, const char *identity, const char *time, struct repo_manifest **ret,
                       struct err *e);
struct repo_manifest *repo_manifest_free(struct repo_manifest *m);
OWN_DEFINE(repo_manifest);

/* The disk of that name; NULL: none. */
const struct repo_disk *repo_manifest_disk(const struct repo_manifest *m, const char *name);

/* The index of a disk of a manifest. -EBADMSG names the chunk that is damaged. */
int repo_index_load(struct repo *repo, const struct repo_disk *disk, struct repo_index **ret, struct err *e);

/* ---- Reading. Exactly len bytes of plain content, proven by the id; zeroes for the zero id. -EBADMSG: damaged or
 * missing. Thread-safe. */
int repo_chunk_get(struct repo *repo, const struct repo_id *id, void *plain, size_t len, struct err *e);

/* ---- Writing. A backup that runs: its lock file tells others of it, so that nothing it uses is swept. */
struct repo_point;

/* `time` (either form): "" takes the clock's. `parents`: times of this guest's points whose indexes will be built upon; they must be
 * there (-ENOENT) and stay until the point is over. -EEXIST: a point of that time is there.
 * Durable before it returns: what a crash leaves of this backup is recognised as such. */
int repo_point_begin(struct repo *repo, const char *identity, const char *guest, const char *time,
                     const char *const *parents, size_t parent_count, struct repo_point **ret, struct err *e);

/* "IDENTITY/TIME". */
const char *repo_point_name(const struct repo_point *point);

/* Stores a chunk unless it is there, and gives its id; all-zero content has the zero id and is never stored.
 * len 1..chunk size. ret_stored_bytes (may be NULL): bytes of the new file, 0 where nothing had to be written.
 * Thread-safe; a worker needs about 3 x the chunk size of memory meanwhile, kept for the next call. */
int repo_chunk_put(struct repo_point *point, const void *plain, size_t len, struct repo_id *ret_id,
                   uint64_t *ret_stored_bytes, struct err *e);

/* Stores the index (all chunks it names must have been put, or be in the parent's index) and notes the disk.
 * `parent`: NULL or a time. Not thread-safe. */
int repo_point_add_disk(struct repo_point *point, const char *name, enum repo_kind kind, const char *parent,
                        const struct repo_index *index, uint64_t read_bytes, uint64_t stored_bytes, struct err *e);

/* Syncs all that was put, then writes the manifest: the rename is the commit. `facts`: text of a JSON object, or NULL.
 * Frees the point in any case; on failure there is none in the repository. */
int repo_point_commit(struct repo_point *point, const char *facts, struct err *e);

/* Throws the point away: nothing of it is in the repository but chunks that sweep removes. `reason` (one sentence; NULL:
 * none) is kept as the guest's last result, for `ballast backup check`. Returns NULL; fine with NULL. */
struct repo_point *repo_point_abort(struct repo_point *point, const char *reason);
static inline struct repo_point *repo_point_free(struct repo_point *point)
{
    return repo_point_abort(point, NULL);
}
OWN_DEFINE(repo_point);

/* ---- All points, by identity, then by time. */
struct repo_point_entry {
    char identity[TEXT_NAME_MAX + 1];
    char time[REPO_TIME_SIZE];
    bool is_protected;
};

struct repo_point_list {
    size_t count;
    struct repo_point_entry *items;
};

#define REPO_POINTS_MAX 1000000U /* far beyond any schedule; a directory with more is somebody's joke */

/* Only those with a manifest; whether it can be read is not looked at. identity NULL: of all guests. */
int repo_points_list(struct repo *repo, const char *identity, struct repo_point_list **ret, struct err *e);

/* A point that is being read stays until this is over. What can't be locked (read-only media) is read without: 0 and NULL. */
struct repo_hold;
int repo_point_use(struct repo *repo, const char *identity, const char *time, struct repo_hold **ret, struct err *e);
void repo_point_unuse(struct repo *repo, struct repo_hold *hold);

/* What a person calls a point: "GUEST/TIME", or "GUEST" for its last one; GUEST is an identity, else the name of a guest at
 * its last point. Times in either form. */
int repo_point_find(struct repo *repo, const char *text, struct repo_point_entry *ret, struct err *e);

struct repo_point_list *repo_point_list_free(struct repo_point_list *list);
OWN_DEFINE(repo_point_list);
