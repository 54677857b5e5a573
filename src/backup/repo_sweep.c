/* SPDX-License-Identifier: Apache-2.0 */
#include "repo_sweep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo_marks.h"
#include "repo_private.h"

#define CHUNK_NAME_LENGTH (2 * REPO_ID_SIZE - 2) /* the first two digits are the directory */

struct repo_sweeper {
    struct repo *repo;
    int lock;
    int64_t stamp; /* of this sweep */
};

static int points_tidy(struct repo *repo, struct err *e);

struct repo_sweeper *repo_sweeper_free(struct repo_sweeper *s)
{
    if (s && s->lock >= 0)
        s->repo->fs->ops->unlock(s->repo->fs, s->lock);
    free(s);
    return NULL;
}

int repo_sweeper_new(struct repo *repo, struct repo_sweeper **ret, struct err *e)
{
    AUTO(repo_sweeper) struct repo_sweeper *s = calloc(1, sizeof(*s));
    const struct repo_fs_ops *ops = repo->fs->ops;
    struct repo_stat st;
    int r;

    if (!s)
        return err_set(e, ENOMEM, "no memory to sweep");
    s->repo = repo;
    s->lock = -1;
    r = ops->lock(repo->fs, REPO_SWEEP_LOCK, REPO_LOCK_EXCLUSIVE, &s->lock, e);
    if (r == -EWOULDBLOCK)
        return err_set(e, EWOULDBLOCK, "another prune or sweep is at work");
    if (r == 0)
        r = ops->stat(repo->fs, REPO_SWEEP_LOCK, &st, e);
    if (r < 0)
        return r;
    s->stamp = ops->now(repo->fs);
    if (st.mtime_sec > s->stamp)
        s->stamp = st.mtime_sec; /* a clock set back: never before an earlier sweep */
    r = ops->touch(repo->fs, REPO_SWEEP_LOCK, s->stamp, e);
    if (r == 0)
        r = points_tidy(repo, e);
    if (r == 0)
        *ret = TAKE(s);
    return r;
}

/* "vm/IDENTITY/.TIME.gone" */
static void gone_path(const char *identity, const char *time, char path[REPO_PATH_SIZE])
{
    (void)snprintf(path, REPO_PATH_SIZE, REPO_VM "/%s/.%s" REPO_ENDING_GONE, identity, time);
}

struct emptying {
    struct repo *repo;
    const char *directory;
};

static int file_remove(void *user, const char *name, struct err *e)
{
    const struct emptying *x = user;
    char path[REPO_PATH_SIZE];

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", x->directory, name) >= sizeof(path))
        return err_set(e, ENAMETOOLONG, "'%s' holds a name that is too long", x->directory);
    return x->repo->fs->ops->remove(x->repo->fs, path, e);
}

static int directory_remove(struct repo *repo, const char *path, struct err *e)
{
    struct emptying x = {repo, path};
    int r = repo->fs->ops->list(repo->fs, path, file_remove, &x, e);

    return r < 0 ? r : repo->fs->ops->rmdir(repo->fs, path, e);
}

/* Whether somebody needs that point now. */
static int point_is_needed(struct repo *repo, const char *identity, const char *time, bool *ret, struct err *e)
{
    struct repo_hold_list holds;
    char name[REPO_POINT_NAME_SIZE];
    int r = repo_hold_list(repo, &holds, e);

    if (r < 0)
        return r;
    (void)snprintf(name, sizeof(name), "%s/%s", identity, time);
    *ret = repo_hold_list_has(&holds, name);
    repo_hold_list_done(&holds);
    return 0;
}

/* A point that was renamed away: back if somebody needs it, else removed. */
static int gone_finish(struct repo *repo, const char *identity, const char *time, struct err *e)
{
    char gone[REPO_PATH_SIZE], path[REPO_PATH_SIZE];
    bool is_needed;
    int r = point_is_needed(repo, identity, time, &is_needed, e);

    if (r < 0)
        return r;
    gone_path(identity, time, gone);
    if (!is_needed)
        return directory_remove(repo, gone, e);
    r = repo->fs->ops->rename(repo->fs, gone, repo_point_path(identity, time, NULL, path), e);
    return r < 0 ? r : err_set(e, EBUSY, "point '%s/%s' is in use: a backup builds upon it, or it is being read", identity,
                               time);
}

int repo_point_remove(struct repo_sweeper *s, const char *identity, const char *time, struct err *e)
{
    struct repo *repo = s->repo;
    char gone[REPO_PATH_SIZE], path[REPO_PATH_SIZE];
    struct repo_stat st;
    struct err ignored = {0};
    int r;

    if (!text_is_name(identity, strlen(identity)) || !repo_time_is_valid(time))
        return err_set(e, EINVAL, "that is no name of a point");
    if (repo->fs->ops->stat(repo->fs, repo_point_path(identity, time, REPO_PROTECTED, path), &st, &ignored) == 0)
        return err_set(e, EPERM, "point '%s/%s' is protected", identity, time);
    gone_path(identity, time, gone);
    r = repo->fs->ops->rename(repo->fs, repo_point_path(identity, time, NULL, path), gone, e);
    if (r == 0)
        r = gone_finish(repo, identity, time, e);
    (void)snprintf(path, sizeof(path), REPO_VM "/%s", identity);
    return r < 0 ? r : repo->fs->ops->sync_directory(repo->fs, path, e);
}

struct tidying {
    struct repo *repo;
    const char *identity;
};

static int gone_tidy(struct tidying *t, const char *name, struct err *e)
{
    char time[REPO_TIME_SIZE];
    struct err why = {0};
    int r;

    memcpy(time, name + 1, REPO_TIME_SIZE - 1);
    time[REPO_TIME_SIZE - 1] = '\0';
    if (!repo_time_is_valid(time) || strcmp(name + REPO_TIME_SIZE, REPO_ENDING_GONE) != 0)
        return 0;
    r = gone_finish(t->repo, t->identity, time, &why);
    return r == 0 || r == -EBUSY ? 0 : err_set(e, why.code, "%s", why.text);
}

static bool is_without_manifest(struct repo *repo, const char *identity, const char *time)
{
    char path[REPO_PATH_SIZE];
    struct repo_stat st;
    struct err ignored = {0};

    return repo->fs->ops->stat(repo->fs, repo_point_path(identity, time, REPO_MANIFEST, path), &st, &ignored) == -ENOENT;
}

/* A name in a guest's directory: a point renamed away, or begun by a backup that is no more. A backup has its lock file
 * before the directory: so where there is none after we saw the directory, it ended, and has its manifest, or will have none. */
static int point_tidy(void *user, const char *name, struct err *e)
{
    struct tidying *t = user;
    char path[REPO_PATH_SIZE];
    bool is_needed;
    int r;

    if (name[0] == '.' && strlen(name) == REPO_TIME_SIZE + sizeof(REPO_ENDING_GONE) - 1)
        return gone_tidy(t, name, e);
    if (!repo_time_is_valid(name) || !is_without_manifest(t->repo, t->identity, name))
        return 0;
    r = point_is_needed(t->repo, t->identity, name, &is_needed, e);
    if (r < 0 || is_needed || !is_without_manifest(t->repo, t->identity, name))
        return r;
    return directory_remove(t->repo, repo_point_path(t->identity, name, NULL, path), e);
}

static int identity_tidy(void *user, const char *name, struct err *e)
{
    struct tidying *t = user;
    char path[REPO_PATH_SIZE];
    struct err why = {0};
    int r;

    if (!text_is_name(name, strlen(name)))
        return 0;
    t->identity = name;
    (void)snprintf(path, sizeof(path), REPO_VM "/%s", name);
    r = t->repo->fs->ops->list(t->repo->fs, path, point_tidy, t, &why);
    return r == 0 || r == -ENOENT || r == -ENOTDIR || r == -ELOOP ? 0 : err_set(e, why.code, "%s", why.text);
}

/* What a prune or a backup that was killed left. */
static int points_tidy(struct repo *repo, struct err *e)
{
    struct tidying t = {.repo = repo};

    return repo->fs->ops->list(repo->fs, REPO_VM, identity_tidy, &t, e);
}

/* ---- Chunks. */
struct sweeping {
    struct repo *repo;
    const struct repo_marks *marks;
    const struct repo_hold_list *holds;
    unsigned prefix;
    int64_t cutoff;        /* only what is older goes */
    int64_t suspect_since; /* as for a backup: what stays and is as young keeps the crash's lock file */
    bool is_dry, has_suspects;
    struct repo_swept *swept;
};

/* By way of a rename, so that a backup which finds it at the same time is seen by the time it set. */
static int chunk_remove(struct sweeping *w, const struct repo_id *id, uint64_t size_bytes, struct err *e)
{
    struct repo_fs *fs = w->repo->fs;
    char path[REPO_PATH_SIZE], gone[REPO_PATH_SIZE];
    struct repo_stat st;
    int r = fs->ops->rename(fs, repo_chunk_path(id, "", path), repo_chunk_path(id, REPO_ENDING_GONE, gone), e);

    if (r == 0)
        r = fs->ops->stat(fs, gone, &st, e);
    if (r < 0)
        return r;
    if (st.mtime_sec >= w->cutoff) {
        struct err why = {0};

        w->swept->young_count++;
        r = fs->ops->rename_new(fs, gone, path, &why);
        if (r == -EEXIST)
            return fs->ops->remove(fs, gone, e); /* stored anew meanwhile */
        return r == -EINVAL ? fs->ops->rename(fs, gone, path, e) : r < 0 ? err_set(e, why.code, "%s", why.text) : 0;
    }
    w->swept->removed_count++;
    w->swept->removed_bytes += size_bytes;
    return fs->ops->remove(fs, gone, e);
}

/* A sweep was killed at it: as it was, unless it is there again. */
static int chunk_bring_back(struct sweeping *w, const struct repo_id *id, struct err *e)
{
    struct repo_fs *fs = w->repo->fs;
    char path[REPO_PATH_SIZE], gone[REPO_PATH_SIZE];
    struct repo_stat st;
    struct err why = {0};

    w->swept->litter_count++;
    if (w->is_dry)
        return 0;
    (void)repo_chunk_path(id, "", path);
    (void)repo_chunk_path(id, REPO_ENDING_GONE, gone);
    if (fs->ops->stat(fs, path, &st, &why) == 0)
        return fs->ops->remove(fs, gone, e);
    return fs->ops->rename(fs, gone, path, e);
}

static int chunk_sweep(struct sweeping *w, const struct repo_id *id, struct err *e)
{
    char path[REPO_PATH_SIZE];
    struct repo_stat st;
    struct err why = {0};
    int r = w->repo->fs->ops->stat(w->repo->fs, repo_chunk_path(id, "", path), &st, &why);

    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return err_set(e, why.code, "%s", why.text);
    w->swept->chunk_count++;
    if (repo_marks_has(w->marks, id))
        return 0;
    if (st.mtime_sec >= w->cutoff) {
        w->swept->young_count++;
        w->has_suspects |= st.mtime_sec >= w->suspect_since;
        return 0;
    }
    if (!w->is_dry)
        return chunk_remove(w, id, st.size_bytes, e);
    w->swept->removed_count++;
    w->swept->removed_bytes += st.size_bytes;
    return 0;
}

/* ".HOLD-n" of a backup that runs no more, "...bad" of a chunk that is stored again or that nobody names. */
static int litter_sweep(struct sweeping *w, const char *name, struct err *e)
{
    char path[REPO_PATH_SIZE];
    struct err why = {0};
    int r;

    for (size_t i = 0; name[0] == '.' && i < w->holds->count; i++)
        if (w->holds->items[i].is_running && strncmp(name + 1, w->holds->items[i].name, REPO_HOLD_NAME_SIZE - 1) == 0)
            return 0;
    if ((size_t)snprintf(path, sizeof(path), REPO_CHUNKS "/%02x/%s", w->prefix, name) >= sizeof(path))
        return 0; /* no name of ours */
    if (name[0] == '.') {
        struct repo_stat st;

        /* A backup that began after the holds were listed: its files are not older than this sweep. */
        if (w->repo->fs->ops->stat(w->repo->fs, path, &st, &why) < 0 || st.mtime_sec >= w->cutoff)
            return 0;
    }
    w->swept->litter_count++;
    r = w->is_dry ? 0 : w->repo->fs->ops->remove(w->repo->fs, path, &why);
    return r == 0 || r == -ENOENT ? 0 : err_set(e, why.code, "%s", why.text);
}

static int name_sweep(void *user, const char *name, struct err *e)
{
    struct sweeping *w = user;
    const size_t length = strlen(name);
    char path[REPO_PATH_SIZE];
    struct repo_stat st;
    struct err ignored = {0};
    struct repo_id id;

    if (name[0] == '.')
        return litter_sweep(w, name, e);
    id.bytes[0] = (uint8_t)w->prefix;
    if (length < CHUNK_NAME_LENGTH || !repo_hex_parse(name, REPO_ID_SIZE - 1, id.bytes + 1))
        return 0; /* none of ours: not ours to remove */
    if (length == CHUNK_NAME_LENGTH)
        return chunk_sweep(w, &id, e);
    if (strcmp(name + CHUNK_NAME_LENGTH, REPO_ENDING_GONE) == 0)
        return chunk_bring_back(w, &id, e);
    if (strcmp(name + CHUNK_NAME_LENGTH, REPO_ENDING_BAD) != 0)
        return 0;
    if (repo_marks_has(w->marks, &id) &&
        w->repo->fs->ops->stat(w->repo->fs, repo_chunk_path(&id, "", path), &st, &ignored) < 0)
        return 0; /* still needed: somebody may want to look at it */
    return litter_sweep(w, name, e);
}

static int marks_collect(struct repo *repo, struct repo_marks *marks, struct err *e)
{
    AUTO(repo_point_list) struct repo_point_list *list = NULL;
    int r = repo_points_list(repo, NULL, &list, e);

    for (size_t i = 0; r == 0 && i < list->count; i++) {
        const struct repo_point_entry *p = &list->items[i];
        AUTO(repo_manifest) struct repo_manifest *m = NULL;

        r = repo_manifest_load(repo, p->identity, p->time, &m, e);
        if (r == 0)
            r = repo_marks_add_point(marks, repo, m, NULL, NULL, e);
        if (r < 0)
            return err_wrap(e, "point '%s/%s' can't be read, so nobody knows what it needs", p->identity, p->time);
    }
    if (r == 0)
        repo_marks_sort(marks);
    return r;
}

static void cutoffs_find(const struct repo_sweeper *s, struct sweeping *w)
{
    w->cutoff = s->stamp;
    w->suspect_since = INT64_MAX;
    for (size_t i = 0; i < w->holds->count; i++) {
        const struct repo_hold *h = &w->holds->items[i];

        if (h->kind != REPO_HOLD_BACKUP)
            continue;
        if (h->is_running && h->stamp < w->cutoff)
            w->cutoff = h->stamp;
        if (!h->is_running && h->stamp - REPO_SUSPECT_MARGIN_SEC < w->suspect_since)
            w->suspect_since = h->stamp - REPO_SUSPECT_MARGIN_SEC;
    }
}

/* Lock files of what was killed have done their duty when no chunk is left that a crash may have torn. */
static int holds_forget(struct sweeping *w, struct err *e)
{
    char path[REPO_PATH_SIZE];
    int r = w->repo->fs->ops->sync_all(w->repo->fs, e); /* the removals are durable first */

    for (size_t i = 0; r == 0 && i < w->holds->count; i++) {
        const struct repo_hold *h = &w->holds->items[i];
        struct err why = {0};

        if (h->is_running || (h->kind == REPO_HOLD_BACKUP && w->has_suspects))
            continue;
        (void)snprintf(path, sizeof(path), REPO_LOCKS "/%s.%s", h->name, h->kind == REPO_HOLD_BACKUP ? "backup" : "reader");
        w->swept->litter_count++;
        r = w->repo->fs->ops->remove(w->repo->fs, path, &why);
        r = r == 0 || r == -ENOENT ? 0 : err_set(e, why.code, "%s", why.text);
    }
    return r;
}

static int directories_sweep(struct sweeping *w, struct err *e)
{
    char path[REPO_PATH_SIZE];
    int r = 0;

    for (w->prefix = 0; r == 0 && w->prefix < 256; w->prefix++) {
        (void)snprintf(path, sizeof(path), REPO_CHUNKS "/%02x", w->prefix);
        r = w->repo->fs->ops->list(w->repo->fs, path, name_sweep, w, e);
    }
    return r;
}

int repo_sweep(struct repo_sweeper *s, bool is_dry, struct repo_swept *ret, struct err *e)
{
    struct repo_swept swept = {0};
    struct repo_hold_list holds;
    struct repo_marks marks = {0};
    struct sweeping w = {.repo = s->repo, .marks = &marks, .holds = &holds, .is_dry = is_dry, .swept = &swept};
    int r = is_dry ? 0 : s->repo->fs->ops->sync_all(s->repo->fs, e); /* no crash brings a removed point back without its chunks */

    if (r == 0)
        r = repo_hold_list(s->repo, &holds, e); /* before the marks: a backup that ends now has its manifest there */
    if (r < 0)
        return r;
    cutoffs_find(s, &w);
    r = marks_collect(s->repo, &marks, e);
    if (r == 0)
        r = directories_sweep(&w, e);
    if (r == 0 && !is_dry)
        r = holds_forget(&w, e);
    repo_marks_done(&marks);
    repo_hold_list_done(&holds);
    if (r == 0)
        *ret = swept;
    return r;
}

int repo_point_protect(struct repo *repo, const char *identity, const char *time, bool is_protected, struct err *e)
{
    char path[REPO_PATH_SIZE];
    struct err why = {0};
    int r;

    (void)repo_point_path(identity, time, REPO_PROTECTED, path);
    r = is_protected ? repo->fs->ops->write(repo->fs, path, "", 0, 0, REPO_WRITE_SYNC, &why)
                     : repo->fs->ops->remove(repo->fs, path, &why);
    if (r < 0 && r != (is_protected ? -EEXIST : -ENOENT))
        return err_set(e, why.code, "%s", why.text);
    return repo->fs->ops->sync_directory(repo->fs, repo_point_path(identity, time, NULL, path), e);
}
