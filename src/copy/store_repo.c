/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "repo.h"
#include "store.h"

/* A point of a repository. */

struct store {
    const struct copy_job *job;
    struct repo *repo;
    struct repo_point *point;
    struct repo_index *index[COPY_DISKS_MAX];
};

static void store_free(struct store *s, const char *reason)
{
    s->point = repo_point_abort(s->point, reason);
    for (size_t i = 0; i < s->job->disks_n; i++)
        s->index[i] = repo_index_free(s->index[i]);
    s->repo = repo_free(s->repo);
    free(s);
}

/* What of an incremental did not come is the parent's. */
static int parent_load(struct store *s, size_t disk, struct err *e)
{
    const struct copy_disk *d = &s->job->disks[disk];
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    const struct repo_disk *was;
    int r = repo_manifest_load(s->repo, s->job->guest, d->parent, &m, e);

    if (r < 0)
        return err_wrap(e, "cannot read the parent of disk '%s'", d->name);
    was = repo_manifest_disk(m, d->name);
    if (!was)
        return err_set(e, EMSGSIZE, "disk '%s' is not in its parent %s", d->name, d->parent);
    if (was->size_bytes != d->size_bytes)
        return err_set(e, EMSGSIZE, "disk '%s' has %" PRIu64 " bytes, and had %" PRIu64 " in its parent %s", d->name,
                       d->size_bytes, was->size_bytes, d->parent);
    if (m->chunk_bytes != repo_chunk_bytes(s->repo))
        return err_set(e, EMSGSIZE, "the parent %s of disk '%s' has chunks of %" PRIu32 " bytes, the repository of %" PRIu32,
                       d->parent, d->name, m->chunk_bytes, repo_chunk_bytes(s->repo));
    r = repo_index_load(s->repo, was, &s->index[disk], e);
    return r < 0 ? err_wrap(e, "cannot read the index of disk '%s' in its parent %s", d->name, d->parent) : 0;
}

static int store_begin(struct store *s, struct err *e)
{
    const char *parents[COPY_DISKS_MAX];
    size_t parents_n = 0;
    int r = repo_open(s->job->repository, &s->repo, e);

    if (r < 0)
        return r;
    for (size_t i = 0; i < s->job->disks_n; i++)
        if (s->job->disks[i].kind == COPY_KIND_INCREMENTAL)
            parents[parents_n++] = s->job->disks[i].parent;
    r = repo_point_begin(s->repo, s->job->guest, s->job->name, s->job->time, parents, parents_n, &s->point, e);
    for (size_t i = 0; r == 0 && i < s->job->disks_n; i++) {
        if (s->job->disks[i].kind == COPY_KIND_INCREMENTAL)
            r = parent_load(s, i, e);
        else
            r = repo_index_new(s->repo, s->job->disks[i].size_bytes, &s->index[i], e);
    }
    return r;
}

static int repo_store_open(const struct copy_job *job, struct store **ret, struct err *e)
{
    struct store *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return err_set(e, ENOMEM, "no memory to open a repository");
    s->job = job;
    r = store_begin(s, e);
    if (r < 0) {
        store_free(s, e->text);
        return r;
    }
    *ret = s;
    return 0;
}

static uint32_t repo_store_chunk_bytes(const struct store *s)
{
    return repo_chunk_bytes(s->repo);
}

/* A piece of a chunk that is stored already: the rest of it is fetched. */
static int piece_put(struct store *s, const struct assembly_task *t, const uint8_t *chunk, uint32_t length,
                     uint64_t *ret_stored_bytes, struct err *e)
{
    struct repo_id *id = &s->index[t->disk]->ids[t->chunk];
    AUTO_FREE uint8_t *whole = malloc(length);
    int r;

    if (!whole)
        return err_set(e, ENOMEM, "no memory for a chunk");
    r = repo_chunk_get(s->repo, id, whole, length, e);
    if (r < 0)
        return r;
    memcpy(whole + t->at, chunk + t->at, t->len);
    return repo_chunk_put(s->point, whole, length, id, ret_stored_bytes, e);
}

static int repo_store_put(struct store *s, const struct assembly_task *t, const uint8_t *chunk, uint64_t *ret_stored_bytes,
                          struct err *e)
{
    struct repo_index *index = s->index[t->disk];
    uint32_t length = repo_index_chunk_length(index, t->chunk);
    int r;

    if (t->len == length)
        r = repo_chunk_put(s->point, chunk, length, &index->ids[t->chunk], ret_stored_bytes, e);
    else
        r = piece_put(s, t, chunk, length, ret_stored_bytes, e);
    return r < 0 ? err_wrap(e, "cannot store disk '%s'", s->job->disks[t->disk].name) : 0;
}

static int repo_store_commit(struct store *s, uint8_t *const *states, const struct link_figures *figures, const char *facts,
                             char ret_point[COPY_TEXT_SIZE], struct err *e)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < s->job->disks_n; i++) {
        const struct copy_disk *d = &s->job->disks[i];
        bool full = d->kind == COPY_KIND_FULL;

        for (size_t n = 0; n < s->index[i]->count; n++)
            if (states[i][n] == ASSEMBLY_ZERO)
                s->index[i]->ids[n] = (struct repo_id){0};
        r = repo_point_add_disk(s->point, d->name, full ? REPO_KIND_FULL : REPO_KIND_INCREMENTAL, full ? NULL : d->parent,
                                s->index[i], figures[i].received_bytes, figures[i].stored_bytes, e);
    }
    if (r == 0) {
        wire_text_copy(ret_point, COPY_TEXT_SIZE, repo_point_name(s->point));
        r = repo_point_commit(TAKE(s->point), facts, e);
    }
    store_free(s, r < 0 ? e->text : NULL);
    return r;
}

static void repo_store_abort(struct store *s, const char *reason)
{
    store_free(s, reason);
}

const struct store_ops store_repo = {
    .open = repo_store_open, .chunk_bytes = repo_store_chunk_bytes, .put = repo_store_put,
    .commit = repo_store_commit, .abort = repo_store_abort,
};
