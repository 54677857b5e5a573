/* SPDX-License-Identifier: Apache-2.0 */
#include "repo_hold.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "repo_private.h"
#include "wire_field.h"
#include "wire_text.h"

#define HOLD_FILE_MAX (16U << 10) /* REPO_HOLD_POINTS_MAX points and what a person wants to know */
#define HOLDS_MAX 4096            /* more lock files than any host has backups: refused, not summed up */
#define HOST_NAME_SIZE 65

static const char *const endings[REPO_HOLD_KIND_COUNT] = {".backup", ".reader"};

static void hold_path(const struct repo_hold *hold, char path[REPO_PATH_SIZE])
{
    (void)snprintf(path, REPO_PATH_SIZE, REPO_LOCKS "/%s%s", hold->name, endings[hold->kind]);
}

/* For people who look what blocks; only the points are read again. */
static void hold_print(struct wire_text *t, const struct repo_hold *hold)
{
    char host[HOST_NAME_SIZE] = "", time[REPO_TIME_SIZE];

    (void)gethostname(host, sizeof(host) - 1); /* "" does for a hint */
    repo_time_print(hold->stamp, time);
    wire_text_format(t, "{\"kind\":\"%s\",\"pid\":%ld,\"host\":", endings[hold->kind] + 1, (long)getpid());
    wire_text_string(t, host);
    wire_text_format(t, ",\"started\":\"%s\",\"points\":[", time);
    for (size_t i = 0; i < hold->point_count; i++) {
        wire_text_adds(t, i ? "," : "");
        wire_text_string(t, hold->points[i]);
    }
    wire_text_adds(t, "]}\n");
}

/* The time of the last sweep, running or over: nobody may be before it. */
static int64_t stamp_now(struct repo *repo)
{
    struct repo_stat st;
    struct err ignored = {0};
    int64_t now = repo->fs->ops->now(repo->fs);

    if (repo->fs->ops->stat(repo->fs, REPO_SWEEP_LOCK, &st, &ignored) == 0 && st.mtime_sec > now)
        return st.mtime_sec;
    return now;
}

/* Written and locked under another name first: nobody finds it without its lock. */
static int hold_write(struct repo *repo, struct repo_hold *hold, struct err *e)
{
    const struct repo_fs_ops *ops = repo->fs->ops;
    char path[REPO_PATH_SIZE], temporary[REPO_PATH_SIZE];
    struct wire_text t = {0};
    int r;

    hold_path(hold, path);
    (void)snprintf(temporary, sizeof(temporary), REPO_LOCKS "/.new-%s", hold->name);
    hold_print(&t, hold);
    r = t.failed ? err_set(e, ENOMEM, "no memory for a lock file")
                 : ops->write(repo->fs, temporary, t.data, t.length, hold->stamp, REPO_WRITE_SYNC, e);
    wire_text_done(&t);
    if (r < 0)
        return r;
    r = ops->lock(repo->fs, temporary, REPO_LOCK_EXCLUSIVE, &hold->lock, e);
    if (r == 0) {
        r = ops->rename(repo->fs, temporary, path, e);
        if (r < 0) {
            ops->unlock(repo->fs, hold->lock);
            hold->lock = -1;
        }
    }
    if (r < 0) {
        struct err ignored = {0};

        (void)ops->remove(repo->fs, temporary, &ignored); /* the failure above is what counts */
        return r;
    }
    return ops->sync_directory(repo->fs, REPO_LOCKS, e);
}

int repo_hold_new(struct repo *repo, enum repo_hold_kind kind, const char *const *points, size_t point_count,
                  struct repo_hold **ret, struct err *e)
{
    struct repo_hold *hold = calloc(1, sizeof(*hold));
    int64_t stamp;
    int r;

    if (!hold)
        return err_set(e, ENOMEM, "no memory for a lock file");
    hold->kind = kind;
    hold->lock = -1;
    for (size_t i = 0; i < point_count && i <= REPO_HOLD_POINTS_MAX; i++)
        (void)snprintf(hold->points[hold->point_count++], sizeof(hold->points[0]), "%s", points[i]);
    hold->stamp = stamp_now(repo);
    r = point_count > REPO_HOLD_POINTS_MAX + 1 ? err_set(e, E2BIG, "too many points at once") : 0;
    if (r == 0)
        r = repo_random_name(hold->name, e);
    if (r == 0)
        r = hold_write(repo, hold, e);
    if (r < 0) {
        (void)repo_hold_end(repo, hold, /* keep_file= */ false);
        return err_wrap(e, "cannot make a lock file in the repository");
    }
    stamp = stamp_now(repo); /* a sweep that began meanwhile may not have seen us; what is stamped later is safe from it */
    if (stamp > hold->stamp)
        hold->stamp = stamp;
    hold->is_running = true;
    *ret = hold;
    return 0;
}

struct repo_hold *repo_hold_end(struct repo *repo, struct repo_hold *hold, bool keep_file)
{
    char path[REPO_PATH_SIZE];
    struct err ignored = {0};

    if (!hold)
        return NULL;
    if (hold->lock >= 0) {
        hold_path(hold, path);
        if (!keep_file)
            (void)repo->fs->ops->remove(repo->fs, path, &ignored); /* what stays is taken for a crash's, and swept */
        repo->fs->ops->unlock(repo->fs, hold->lock);
    }
    free(hold);
    return NULL;
}

static bool name_parse(const char *file, struct repo_hold *hold)
{
    uint8_t bytes[(REPO_HOLD_NAME_SIZE - 1) / 2];

    if (strlen(file) < REPO_HOLD_NAME_SIZE - 1 || !repo_hex_parse(file, sizeof(bytes), bytes))
        return false;
    memcpy(hold->name, file, REPO_HOLD_NAME_SIZE - 1);
    for (unsigned kind = 0; kind < REPO_HOLD_KIND_COUNT; kind++) {
        hold->kind = (enum repo_hold_kind)kind;
        if (strcmp(file + REPO_HOLD_NAME_SIZE - 1, endings[kind]) == 0)
            return true;
    }
    return false;
}

static void points_parse(const char *text, size_t len, struct repo_hold *hold)
{
    struct json_object *json, *points, *point;
    struct err ignored = {0};

    if (wire_json_parse(text, len, &json, &ignored) < 0)
        return;
    if (json_object_object_get_ex(json, "points", &points) && json_object_is_type(points, json_type_array))
        for (size_t i = 0; i < json_object_array_length(points) && hold->point_count <= REPO_HOLD_POINTS_MAX; i++) {
            point = json_object_array_get_idx(points, i);
            if (json_object_is_type(point, json_type_string))
                wire_text_copy(hold->points[hold->point_count++], sizeof(hold->points[0]), json_object_get_string(point));
        }
    (void)json_object_put(json);
}

/* Somebody may end meanwhile, so a file that is not there any more is nothing. */
static int hold_read(struct repo *repo, struct repo_hold *hold, struct err *e)
{
    const struct repo_fs_ops *ops = repo->fs->ops;
    char path[REPO_PATH_SIZE], text[HOLD_FILE_MAX];
    struct repo_stat st;
    size_t len = 0;
    int r;

    hold_path(hold, path);
    hold->lock = -1;
    r = ops->lock(repo->fs, path, REPO_LOCK_SHARED, &hold->lock, e); /* others who ask don't look like the owner */
    hold->is_running = r < 0;
    if (r == -ENOENT)
        return r;
    if (r == 0)
        ops->unlock(repo->fs, hold->lock);
    hold->lock = -1;
    r = ops->stat(repo->fs, path, &st, e);
    if (r < 0)
        return r;
    hold->stamp = st.mtime_sec;
    if (ops->read(repo->fs, path, text, sizeof(text), &len, e) == 0)
        points_parse(text, len, hold);
    return 0;
}

struct listing {
    struct repo *repo;
    struct repo_hold_list *list;
};

static int listing_add(void *user, const char *name, struct err *e)
{
    struct listing *l = user;
    struct repo_hold_list *list = l->list;
    struct repo_hold hold = {0};
    struct err why = {0};
    int r;

    if (!name_parse(name, &hold))
        return 0;
    r = hold_read(l->repo, &hold, &why);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return err_set(e, why.code, "cannot read a lock file: %s", why.text);
    if (list->count >= HOLDS_MAX)
        return err_set(e, E2BIG, "the repository has more than %d lock files", HOLDS_MAX);
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 8;
        struct repo_hold *items = realloc(list->items, room * sizeof(*items));

        if (!items)
            return err_set(e, ENOMEM, "no memory for the list of lock files");
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = hold;
    return 0;
}

int repo_hold_list(struct repo *repo, struct repo_hold_list *ret, struct err *e)
{
    struct listing l = {.repo = repo, .list = ret};
    int r;

    *ret = (struct repo_hold_list){0};
    r = repo->fs->ops->list(repo->fs, REPO_LOCKS, listing_add, &l, e);
    if (r < 0)
        repo_hold_list_done(ret);
    return r;
}

void repo_hold_list_done(struct repo_hold_list *list)
{
    free(list->items);
    *list = (struct repo_hold_list){0};
}

bool repo_hold_list_has(const struct repo_hold_list *list, const char *point)
{
    for (size_t i = 0; i < list->count; i++)
        for (size_t j = 0; list->items[i].is_running && j < list->items[i].point_count; j++)
            if (strcmp(list->items[i].points[j], point) == 0)
                return true;
    return false;
}
