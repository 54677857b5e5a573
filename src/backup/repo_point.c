/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo_manifest.h"
#include "repo_private.h"
#include "repo_result.h"

#define MANIFEST_NEW ".new-manifest"
#define TIME_TRIES 60 /* backups of one guest that begin in the same second: each takes the next one */

const char *repo_point_name(const struct repo_point *point)
{
    return point->name;
}

static int directory_make(struct repo_fs *fs, const char *path, struct err *e)
{
    struct err why = {0};
    int r = fs->ops->mkdir(fs, path, &why);

    return r < 0 && r != -EEXIST ? err_set(e, why.code, "%s", why.text) : 0;
}

/* Chunks as young as the oldest backup that did not end properly may be torn: a crash may have taken what was not synced. */
static int suspects_find(struct repo_point *p, struct err *e)
{
    struct repo_hold_list list;
    int r = repo_hold_list(p->repo, &list, e);

    if (r < 0)
        return r;
    p->suspect_since = INT64_MAX;
    for (size_t i = 0; i < list.count; i++)
        if (!list.items[i].is_running && list.items[i].kind == REPO_HOLD_BACKUP &&
            list.items[i].stamp - REPO_SUSPECT_MARGIN_SEC < p->suspect_since)
            p->suspect_since = list.items[i].stamp - REPO_SUSPECT_MARGIN_SEC;
    repo_hold_list_done(&list);
    return 0;
}

/* The hold names the point before its directory is there, so that no sweep takes it for left over. */
static int hold_make(struct repo_point *p, const char *const *parents, size_t parent_count, struct err *e)
{
    char names[REPO_HOLD_POINTS_MAX + 1][REPO_POINT_NAME_SIZE];
    const char *points[REPO_HOLD_POINTS_MAX + 1];

    if (parent_count > REPO_HOLD_POINTS_MAX)
        return err_set(e, E2BIG, "too many parents");
    points[0] = p->name;
    for (size_t i = 0; i < parent_count; i++) {
        if (!repo_time_is_valid(parents[i]))
            return err_set(e, EINVAL, "'%s' is no time of a point", text_show(parents[i], strlen(parents[i])).s);
        (void)snprintf(names[i], sizeof(names[i]), "%s/%s", p->identity, parents[i]);
        points[i + 1] = names[i];
    }
    return repo_hold_new(p->repo, REPO_HOLD_BACKUP, points, parent_count + 1, &p->hold, e);
}

/* After the hold names them: now they stay. */
static int parents_check(struct repo_point *p, const char *const *parents, size_t parent_count, struct err *e)
{
    char path[REPO_PATH_SIZE];
    struct repo_stat st;

    for (size_t i = 0; i < parent_count; i++) {
        int r = p->repo->fs->ops->stat(p->repo->fs, repo_point_path(p->identity, parents[i], REPO_MANIFEST, path), &st,
                                       e);
        if (r < 0)
            return err_wrap(e, "point '%s/%s' is not there to build upon", p->identity, parents[i]);
    }
    return 0;
}

static int directory_claim(struct repo_point *p, struct err *e)
{
    struct repo_fs *fs = p->repo->fs;
    char path[REPO_PATH_SIZE];
    int r;

    (void)snprintf(path, sizeof(path), REPO_VM "/%s", p->identity);
    r = directory_make(fs, path, e);
    if (r < 0)
        return r;
    r = fs->ops->mkdir(fs, repo_point_path(p->identity, p->time, NULL, path), e);
    if (r == -EEXIST)
        return err_wrap(e, "point '%s' is there already", p->name);
    return r;
}

static int begin_at(struct repo_point *p, const char *time, const char *const *parents, size_t parent_count,
                    struct err *e)
{
    int r;

    (void)snprintf(p->time, sizeof(p->time), "%s", time);
    (void)snprintf(p->name, sizeof(p->name), "%s/%s", p->identity, p->time);
    r = hold_make(p, parents, parent_count, e);
    if (r == 0)
        r = parents_check(p, parents, parent_count, e);
    if (r == 0)
        r = suspects_find(p, e);
    if (r == 0)
        r = directory_claim(p, e);
    if (r < 0)
        p->hold = repo_hold_end(p->repo, p->hold, /* keep_file= */ false);
    return r;
}

static struct repo_point *point_done(struct repo_point *p, bool keep_hold)
{
    p->hold = repo_hold_end(p->repo, p->hold, keep_hold);
    (void)repo_manifest_free(p->manifest);
    free(p);
    return NULL;
}

int repo_point_begin(struct repo *repo, const char *identity, const char *guest, const char *time,
                     const char *const *parents, size_t parent_count, struct repo_point **ret, struct err *e)
{
    struct repo_point *p;
    char text[REPO_TIME_SIZE];
    int64_t now = repo->fs->ops->now(repo->fs);
    int r;

    if (!text_is_name(identity, strlen(identity)) || !text_is_name(guest, strlen(guest)))
        return err_set(e, EINVAL, "'%s' is no name for a guest", text_show(identity, strlen(identity)).s);
    if (time[0] && !repo_time_parse(time, &now))
        return err_set(e, EINVAL, "'%s' is no time of a point", text_show(time, strlen(time)).s);
    p = calloc(1, sizeof(*p));
    if (!p || !(p->manifest = calloc(1, sizeof(*p->manifest)))) {
        free(p);
        return err_set(e, ENOMEM, "no memory for a point");
    }
    p->repo = repo;
    memcpy(p->identity, identity, strlen(identity));
    for (unsigned i = 0;; i++) {
        struct err why = {0};

        repo_time_print(now + i, text);
        r = begin_at(p, text, parents, parent_count, &why);
        if (r == 0)
            break;
        if (r != -EEXIST || time[0] || i + 1 == TIME_TRIES) {
            (void)point_done(p, /* keep_hold= */ false);
            return err_set(e, why.code, "%s", why.text);
        }
    }
    p->manifest->chunk_bytes = repo->chunk_bytes;
    memcpy(p->manifest->identity, p->identity, sizeof(p->identity));
    memcpy(p->manifest->time, p->time, sizeof(p->time));
    memcpy(p->manifest->guest, guest, strlen(guest));
    (void)snprintf(p->manifest->ballast, sizeof(p->manifest->ballast), "%s", BALLAST_VERSION);
    *ret = p;
    return 0;
}

/* All that was put is durable: content, then names. */
static int chunks_sync(struct repo_point *p, struct err *e)
{
    struct repo_fs *fs = p->repo->fs;
    char path[REPO_PATH_SIZE];
    int r = 0;

    for (unsigned i = 0; i < 256 && r == 0 && atomic_load(&p->repo->is_sync_each); i++) {
        (void)snprintf(path, sizeof(path), REPO_CHUNKS "/%02x", i);
        if (atomic_load(&p->touched[i]))
            r = fs->ops->sync_directory(fs, path, e);
    }
    if (r < 0)
        return r;
    (void)snprintf(path, sizeof(path), REPO_VM "/%s", p->identity);
    r = fs->ops->sync_directory(fs, path, e);
    if (r == 0)
        r = fs->ops->sync_directory(fs, REPO_VM, e);
    return r == 0 ? fs->ops->sync_all(fs, e) : r;
}

static int manifest_write(struct repo_point *p, const struct wire_text *t, struct err *e)
{
    struct repo_fs *fs = p->repo->fs;
    char from[REPO_PATH_SIZE], to[REPO_PATH_SIZE];
    struct err ignored = {0};
    int r = fs->ops->write(fs, repo_point_path(p->identity, p->time, MANIFEST_NEW, from), t->data, t->length, 0,
                           REPO_WRITE_SYNC, e);

    if (r < 0)
        return r;
    r = fs->ops->rename(fs, from, repo_point_path(p->identity, p->time, REPO_MANIFEST, to), e);
    if (r < 0)
        return r;
    r = fs->ops->sync_directory(fs, repo_point_path(p->identity, p->time, NULL, from), e);
    if (r < 0)
        (void)fs->ops->remove(fs, to, &ignored); /* nobody was told of it; a crash may bring it back, whole */
    return r;
}

int repo_point_commit(struct repo_point *point, const char *facts, struct err *e)
{
    struct wire_text t = {0};
    int r = repo_facts_normalise(facts, &point->manifest->facts, e);

    if (r == 0)
        r = chunks_sync(point, e);
    if (r == 0)
        r = repo_manifest_print(&t, point->manifest, e);
    if (r == 0)
        r = manifest_write(point, &t, e);
    wire_text_done(&t);
    if (r < 0) {
        (void)repo_point_abort(point, e->text);
        return err_wrap(e, "the point was not committed");
    }
    repo_result_save(point->repo, point->identity, point->manifest->guest, point->name, NULL);
    (void)point_done(point, /* keep_hold= */ false);
    return 0;
}

struct repo_point *repo_point_abort(struct repo_point *point, const char *reason)
{
    struct repo_fs *fs;
    char path[REPO_PATH_SIZE];
    struct err ignored = {0};

    if (!point)
        return NULL;
    fs = point->repo->fs;
    (void)fs->ops->remove(fs, repo_point_path(point->identity, point->time, MANIFEST_NEW, path), &ignored);
    (void)fs->ops->rmdir(fs, repo_point_path(point->identity, point->time, NULL, path), &ignored); /* sweep tries again */
    if (reason)
        repo_result_save(point->repo, point->identity, point->manifest->guest, point->name, reason);
    /* Chunks that others will find here must be as durable as any: else the lock file stays, and they are looked at. */
    return point_done(point, /* keep_hold= */ chunks_sync(point, &ignored) < 0);
}

struct repo_point_list *repo_point_list_free(struct repo_point_list *list)
{
    if (list)
        free(list->items);
    free(list);
    return NULL;
}

struct listing {
    struct repo *repo;
    struct repo_point_list *list;
    size_t room;
    const char *identity;
};

static int list_add(struct listing *l, const struct repo_point_entry *entry, struct err *e)
{
    if (l->list->count >= REPO_POINTS_MAX)
        return err_set(e, E2BIG, "the repository has more than %u points", REPO_POINTS_MAX);
    if (l->list->count == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        struct repo_point_entry *items = realloc(l->list->items, room * sizeof(*items));

        if (!items)
            return err_set(e, ENOMEM, "no memory for the list of points");
        l->list->items = items;
        l->room = room;
    }
    l->list->items[l->list->count++] = *entry;
    return 0;
}

static int time_add(void *user, const char *name, struct err *e)
{
    struct listing *l = user;
    struct repo_fs *fs = l->repo->fs;
    struct repo_point_entry entry = {0};
    char path[REPO_PATH_SIZE];
    struct repo_stat st;
    struct err ignored = {0};

    if (!repo_time_is_valid(name) ||
        fs->ops->stat(fs, repo_point_path(l->identity, name, REPO_MANIFEST, path), &st, &ignored) < 0)
        return 0;
    memcpy(entry.identity, l->identity, strlen(l->identity));
    memcpy(entry.time, name, strlen(name));
    entry.is_protected = fs->ops->stat(fs, repo_point_path(l->identity, name, REPO_PROTECTED, path), &st, &ignored) == 0;
    return list_add(l, &entry, e);
}

static int identity_add(void *user, const char *name, struct err *e)
{
    struct listing *l = user;
    char path[REPO_PATH_SIZE];
    struct err why = {0};
    int r;

    if (!text_is_name(name, strlen(name)))
        return 0;
    l->identity = name;
    (void)snprintf(path, sizeof(path), REPO_VM "/%s", name);
    r = l->repo->fs->ops->list(l->repo->fs, path, time_add, l, &why);
    if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
        return 0; /* no directory: not ours */
    return r < 0 ? err_set(e, why.code, "%s", why.text) : 0;
}

static int entry_compare(const void *a, const void *b)
{
    const struct repo_point_entry *x = a, *y = b;
    int r = strcmp(x->identity, y->identity);

    return r ? r : strcmp(x->time, y->time);
}

int repo_points_list(struct repo *repo, const char *identity, struct repo_point_list **ret, struct err *e)
{
    AUTO(repo_point_list) struct repo_point_list *list = calloc(1, sizeof(*list));
    struct listing l = {.repo = repo, .list = list};
    int r;

    if (!list)
        return err_set(e, ENOMEM, "no memory for the list of points");
    if (identity && !text_is_name(identity, strlen(identity)))
        return err_set(e, EINVAL, "'%s' is no name for a guest", text_show(identity, strlen(identity)).s);
    r = identity ? identity_add(&l, identity, e) : repo->fs->ops->list(repo->fs, REPO_VM, identity_add, &l, e);
    if (r < 0)
        return r;
    if (list->count)
        qsort(list->items, list->count, sizeof(*list->items), entry_compare);
    *ret = TAKE(list);
    return 0;
}
