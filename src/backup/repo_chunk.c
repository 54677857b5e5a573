/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "repo_private.h"

#define PUT_TRIES 8 /* another backup or a sweep may come in between, but not again and again */

const char *repo_chunk_path(const struct repo_id *id, const char *ending, char path[REPO_PATH_SIZE])
{
    char text[REPO_ID_TEXT_SIZE];

    (void)repo_id_text(id, text);
    (void)snprintf(path, REPO_PATH_SIZE, REPO_CHUNKS "/%.2s/%s%s", text, text + 2, ending);
    return path;
}

int repo_codec_take(struct repo *repo, struct repo_codec **ret, struct err *e)
{
    struct repo_codec *codec;

    (void)pthread_mutex_lock(&repo->mutex);
    codec = repo->idle;
    if (codec)
        repo->idle = codec->next;
    (void)pthread_mutex_unlock(&repo->mutex);
    if (!codec)
        return repo_codec_new(repo->chunk_bytes, ret, e);
    *ret = codec;
    return 0;
}

void repo_codec_give(struct repo *repo, struct repo_codec *codec)
{
    (void)pthread_mutex_lock(&repo->mutex);
    codec->next = repo->idle;
    repo->idle = codec;
    (void)pthread_mutex_unlock(&repo->mutex);
}

int repo_chunk_read(struct repo *repo, struct repo_codec *codec, const struct repo_id *id, size_t *ret_len,
                    struct err *e)
{
    char path[REPO_PATH_SIZE];
    int r = repo->fs->ops->read(repo->fs, repo_chunk_path(id, "", path), codec->frame, codec->room, ret_len, e);

    if (r != -ENOENT)
        return r;
    return repo->fs->ops->read(repo->fs, repo_chunk_path(id, REPO_ENDING_GONE, path), codec->frame, codec->room, ret_len,
                               e);
}

static int chunk_get(struct repo *repo, struct repo_codec *codec, const struct repo_id *id, void *plain, size_t len,
                     struct err *e)
{
    struct repo_id got;
    size_t frame_len = 0;
    int r = repo_chunk_read(repo, codec, id, &frame_len, e);

    if (r == -ENOENT)
        return err_set(e, EBADMSG, "its file is missing");
    if (r == 0)
        r = repo_codec_unpack(codec, codec->frame, frame_len, plain, len, e);
    if (r == 0)
        r = repo_codec_hash(codec, plain, len, &got, e);
    if (r == 0 && !repo_id_is_equal(&got, id))
        r = err_set(e, EBADMSG, "its content is another one");
    return r;
}

int repo_chunk_get(struct repo *repo, const struct repo_id *id, void *plain, size_t len, struct err *e)
{
    char text[REPO_ID_TEXT_SIZE];
    struct repo_codec *codec;
    int r;

    if (len > repo->chunk_bytes)
        return err_set(e, EINVAL, "a chunk of %zu bytes is larger than this repository's", len);
    if (repo_id_is_zero(id)) {
        memset(plain, 0, len);
        return 0;
    }
    r = repo_codec_take(repo, &codec, e);
    if (r < 0)
        return r;
    r = chunk_get(repo, codec, id, plain, len, e);
    repo_codec_give(repo, codec);
    return r < 0 ? err_wrap(e, "chunk %.16s cannot be read", repo_id_text(id, text)) : 0;
}

enum found {
    FOUND_NOT,     /* no file: a new one gets the name */
    FOUND_DAMAGED, /* a file that is not this content: it is replaced */
    FOUND          /* stored, and stamped as in use */
};

/* Whether a file that a crash may have torn holds this content. */
static bool is_whole(struct repo_point *p, struct repo_codec *codec, const char *path, const void *plain, size_t len)
{
    struct repo_fs *fs = p->repo->fs;
    struct err ignored = {0};
    size_t frame_len;

    return fs->ops->read(fs, path, codec->frame, codec->room, &frame_len, &ignored) == 0 &&
           repo_codec_unpack(codec, codec->frame, frame_len, codec->plain, len, &ignored) == 0 &&
           memcmp(codec->plain, plain, len) == 0;
}

static int chunk_find(struct repo_point *p, struct repo_codec *codec, const char *path, const void *plain, size_t len,
                      enum found *ret, struct err *e)
{
    struct repo_fs *fs = p->repo->fs;
    struct repo_stat st;
    struct err why = {0};
    int r = fs->ops->stat(fs, path, &st, &why);

    *ret = FOUND_NOT;
    if (r == -ENOENT)
        return 0;
    if (r == 0 && !st.is_file)
        return err_set(e, EBADMSG, "'%s' is no regular file", path);
    if (r == 0 && (st.size_bytes == 0 || st.size_bytes > codec->room ||
                   (st.mtime_sec >= p->suspect_since && !is_whole(p, codec, path, plain, len)))) {
        *ret = FOUND_DAMAGED;
        return 0;
    }
    if (r == 0 && st.mtime_sec < p->hold->stamp)
        r = fs->ops->touch(fs, path, p->hold->stamp, &why);
    if (r == -ENOENT)
        return 0; /* swept just now */
    if (r < 0)
        return err_set(e, why.code, "%s", why.text);
    *ret = FOUND;
    return 0;
}

/* A file on its way to its name. What replaces a file that a point may name is durable first; so is everything where
 * the file system gives no better. */
static int chunk_write(struct repo_point *p, struct repo_codec *codec, const char *path, size_t frame_len,
                       bool is_replacing, struct err *e)
{
    struct repo_fs *fs = p->repo->fs;
    const bool is_synced = is_replacing || atomic_load(&p->repo->is_sync_each);
    char temporary[REPO_PATH_SIZE];
    int r;

    (void)snprintf(temporary, sizeof(temporary), "%.9s/.%s-%" PRIu64, path, p->hold->name,
                   (uint64_t)atomic_fetch_add(&p->files, 1));
    r = fs->ops->write(fs, temporary, codec->frame, frame_len, p->hold->stamp,
                       is_synced ? REPO_WRITE_SYNC : REPO_WRITE_PLAIN, e);
    if (r < 0)
        return r;
    r = is_synced ? fs->ops->rename(fs, temporary, path, e) : fs->ops->rename_new(fs, temporary, path, e);
    if (r < 0) {
        struct err ignored = {0};

        (void)fs->ops->remove(fs, temporary, &ignored); /* sweep removes what stays */
    }
    return r;
}

static int chunk_put(struct repo_point *p, struct repo_codec *codec, const struct repo_id *id, const void *plain,
                     size_t len, uint64_t *ret_stored_bytes, struct err *e)
{
    char path[REPO_PATH_SIZE];
    int r = 0;

    (void)repo_chunk_path(id, "", path);
    for (unsigned i = 0; i < PUT_TRIES; i++) {
        struct err why = {0};
        enum found found;
        size_t frame_len = 0;

        r = chunk_find(p, codec, path, plain, len, &found, e);
        if (r < 0 || found == FOUND)
            return r;
        r = repo_codec_pack(codec, plain, len, &frame_len, e);
        if (r < 0)
            return r;
        r = chunk_write(p, codec, path, frame_len, found == FOUND_DAMAGED, &why);
        if (r == 0) {
            atomic_store(&p->touched[id->bytes[0]], true);
            *ret_stored_bytes = frame_len;
            return 0;
        }
        if (r == -EINVAL)
            atomic_store(&p->repo->is_sync_each, true); /* no rename that keeps: then as on a network file system */
        else if (r != -EEXIST)
            return err_set(e, why.code, "%s", why.text);
    }
    return err_set(e, EAGAIN, "'%s' comes and goes", path);
}

int repo_chunk_put(struct repo_point *point, const void *plain, size_t len, struct repo_id *ret_id,
                   uint64_t *ret_stored_bytes, struct err *e)
{
    struct repo *repo = point->repo;
    struct repo_id id = {0};
    struct repo_codec *codec;
    uint64_t stored_bytes = 0;
    int r = 0;

    if (len == 0 || len > repo->chunk_bytes)
        return err_set(e, EINVAL, "a chunk of %zu bytes does not fit this repository", len);
    if (!repo_is_zero(plain, len)) {
        r = repo_codec_take(repo, &codec, e);
        if (r < 0)
            return r;
        r = repo_codec_hash(codec, plain, len, &id, e);
        if (r == 0)
            r = chunk_put(point, codec, &id, plain, len, &stored_bytes, e);
        repo_codec_give(repo, codec);
    }
    if (r < 0)
        return err_wrap(e, "cannot store a chunk");
    *ret_id = id;
    if (ret_stored_bytes)
        *ret_stored_bytes = stored_bytes;
    return 0;
}
