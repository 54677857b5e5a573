/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "repo_manifest.h"
#include "repo_private.h"

static int index_new(uint32_t chunk_bytes, uint64_t size_bytes, struct repo_index **ret, struct err *e)
{
    AUTO(repo_index) struct repo_index *index = calloc(1, sizeof(*index));

    if (!index)
        return err_set(e, ENOMEM, "no memory for an index");
    if (repo_index_part_count(size_bytes, chunk_bytes) > REPO_INDEX_PARTS_MAX)
        return err_set(e, EFBIG, "a disk of %" PRIu64 " bytes is too large for chunks of %u bytes", size_bytes,
                       chunk_bytes);
    index->size_bytes = size_bytes;
    index->chunk_bytes = chunk_bytes;
    index->count = (size_t)(size_bytes / chunk_bytes + (size_bytes % chunk_bytes != 0));
    index->ids = calloc(index->count ? index->count : 1, sizeof(*index->ids));
    if (!index->ids)
        return err_set(e, ENOMEM, "no memory for an index");
    *ret = TAKE(index);
    return 0;
}

int repo_index_new(const struct repo *repo, uint64_t size_bytes, struct repo_index **ret, struct err *e)
{
    return index_new(repo->chunk_bytes, size_bytes, ret, e);
}

struct repo_index *repo_index_free(struct repo_index *index)
{
    if (index)
        free(index->ids);
    free(index);
    return NULL;
}

uint32_t repo_index_chunk_length(const struct repo_index *index, size_t n)
{
    uint64_t left = index->size_bytes - (uint64_t)n * index->chunk_bytes;

    return left < index->chunk_bytes ? (uint32_t)left : index->chunk_bytes;
}

/* Ids in part n of an index. */
static size_t part_ids(const struct repo_index *index, size_t n)
{
    size_t per_part = index->chunk_bytes / REPO_ID_SIZE, left = index->count - n * per_part;

    return left < per_part ? left : per_part;
}

int repo_index_load(struct repo *repo, const struct repo_disk *disk, struct repo_index **ret, struct err *e)
{
    AUTO(repo_index) struct repo_index *index = NULL;
    int r = repo_index_new(repo, disk->size_bytes, &index, e);

    if (r < 0)
        return r;
    if (disk->part_count != repo_index_part_count(disk->size_bytes, repo->chunk_bytes))
        return err_set(e, EBADMSG, "the index of disk '%s' does not fit its size", disk->name);
    for (size_t i = 0; i < disk->part_count; i++) {
        r = repo_chunk_get(repo, &disk->parts[i], index->ids + i * (repo->chunk_bytes / REPO_ID_SIZE),
                           part_ids(index, i) * REPO_ID_SIZE, e);
        if (r < 0)
            return err_wrap(e, "the index of disk '%s'", disk->name);
    }
    *ret = TAKE(index);
    return 0;
}

int repo_point_add_disk(struct repo_point *point, const char *name, enum repo_kind kind, const char *parent,
                        const struct repo_index *index, uint64_t read_bytes, uint64_t stored_bytes, struct err *e)
{
    struct repo_manifest *m = point->manifest;
    struct repo_disk *d = &m->disks[m->disk_count];
    const uint32_t chunk_bytes = point->repo->chunk_bytes;
    const uint64_t count = repo_index_part_count(index->size_bytes, chunk_bytes);

    if (!text_is_name(name, strlen(name)) || repo_manifest_disk(m, name) || (parent && !repo_time_is_valid(parent)))
        return err_set(e, EINVAL, "disk '%s' can't be added: its name or its parent", text_show(name, strlen(name)).s);
    if (m->disk_count >= REPO_DISKS_MAX || index->chunk_bytes != chunk_bytes || count > REPO_INDEX_PARTS_MAX)
        return err_set(e, EINVAL, "disk '%s' can't be added: too many disks, or an index of another repository", name);
    *d = (struct repo_disk){.size_bytes = index->size_bytes, .kind = kind, .read_bytes = read_bytes};
    memcpy(d->name, name, strlen(name));
    if (parent)
        memcpy(d->parent, parent, strlen(parent));
    d->parts = calloc(count ? (size_t)count : 1, sizeof(*d->parts));
    if (!d->parts)
        return err_set(e, ENOMEM, "no memory for an index");
    m->disk_count++; /* from here on its parts are freed with the manifest */
    for (size_t i = 0; i < count; i++) {
        uint64_t more = 0;
        int r = repo_chunk_put(point, index->ids + i * (chunk_bytes / REPO_ID_SIZE), part_ids(index, i) * REPO_ID_SIZE,
                               &d->parts[i], &more, e);

        if (r < 0)
            return err_wrap(e, "the index of disk '%s'", name);
        stored_bytes += more;
    }
    d->part_count = (size_t)count;
    d->stored_bytes = stored_bytes;
    return 0;
}
