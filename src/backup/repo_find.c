/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "repo_private.h"

/* The points of the guest that was called so when its last point was made. */
static int list_by_guest(struct repo *repo, const char *guest, struct repo_point_list **ret, struct err *e)
{
    AUTO(repo_point_list) struct repo_point_list *all = NULL;
    int r = repo_points_list(repo, NULL, &all, e);

    for (size_t i = 0; r == 0 && i < all->count; i++) {
        const struct repo_point_entry *p = &all->items[i];
        AUTO(repo_manifest) struct repo_manifest *m = NULL;
        struct err ignored = {0};

        if (i + 1 < all->count && strcmp(all->items[i + 1].identity, p->identity) == 0)
            continue; /* not its last */
        if (repo_manifest_load(repo, p->identity, p->time, &m, &ignored) == 0 && strcmp(m->guest, guest) == 0)
            return repo_points_list(repo, p->identity, ret, e);
    }
    return r < 0 ? r : err_set(e, ENOENT, "there is no point of a guest '%s'", guest);
}

int repo_point_find(struct repo *repo, const char *text, struct repo_point_entry *ret, struct err *e)
{
    AUTO(repo_point_list) struct repo_point_list *list = NULL;
    const char *slash = strchr(text, '/');
    const size_t length = slash ? (size_t)(slash - text) : strlen(text);
    char guest[TEXT_NAME_MAX + 1] = "", time[REPO_TIME_SIZE] = "";
    int64_t seconds;
    int r;

    if (!text_is_name(text, length) || (slash && !repo_time_parse(slash + 1, &seconds)))
        return err_set(e, EINVAL, "'%s' is no name of a point: GUEST/TIME, such as web1/20261124T150000Z, or GUEST",
                       text_show(text, strlen(text)).s);
    memcpy(guest, text, length);
    if (slash)
        repo_time_print(seconds, time);
    r = repo_points_list(repo, guest, &list, e);
    if (r == 0 && list->count == 0) {
        list = repo_point_list_free(list);
        r = list_by_guest(repo, guest, &list, e);
    }
    if (r < 0)
        return r;
    for (size_t i = list->count; i-- > 0;) /* the last one first */
        if (!slash || strcmp(list->items[i].time, time) == 0) {
            *ret = list->items[i];
            return 0;
        }
    return err_set(e, ENOENT, "guest '%s' has no point of that time", guest);
}

/* Reading goes on without a lock file where none can be made. (A switch: gcc 12 loses the sign test of a chain of !=.) */
static bool is_read_only(int code)
{
    switch (code) {
    case EROFS:
    case EACCES:
    case EPERM:
    case ENOSPC:
    case EDQUOT:
    case ENOENT: /* a copy of a repository without its locks */
        return true;
    default:
        return false;
    }
}

int repo_point_use(struct repo *repo, const char *identity, const char *time, struct repo_hold **ret, struct err *e)
{
    char name[REPO_POINT_NAME_SIZE], path[REPO_PATH_SIZE];
    const char *const points[] = {name};
    struct repo_hold *hold = NULL;
    struct repo_stat st;
    struct err why = {0};
    int r;

    (void)snprintf(name, sizeof(name), "%s/%s", identity, time);
    r = repo_hold_new(repo, REPO_HOLD_READER, points, 1, &hold, &why);
    if (r < 0 && !is_read_only(why.code))
        return err_set(e, why.code, "%s", why.text);
    r = repo->fs->ops->stat(repo->fs, repo_point_path(identity, time, REPO_MANIFEST, path), &st, e);
    if (r < 0) {
        (void)repo_hold_end(repo, hold, /* keep_file= */ false);
        return r;
    }
    *ret = hold;
    return 0;
}

void repo_point_unuse(struct repo *repo, struct repo_hold *hold)
{
    (void)repo_hold_end(repo, hold, /* keep_file= */ false);
}
