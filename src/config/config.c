/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_check.h"
#include "config_list.h"
#include "config_read.h"
#include "config_set.h"
#include "paths.h"

#define DROP_IN_DIR "guests.d"

struct config *config_free(struct config *config)
{
    if (config) {
        (void)config_store_free(config->store);
        free(config);
    }
    return NULL;
}

static int no_memory(struct err *e)
{
    return err_set(e, ENOMEM, "no memory for the configuration");
}

/* A whole regular file, at most CONFIG_FILE_SIZE_MAX bytes. */
static int read_file(const char *path, char **ret_text, size_t *ret_len, bool *ret_is_loose, struct err *e)
{
    /* not blocking: opening a pipe that somebody put there must not hang us */
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    AUTO_FREE char *text = NULL;
    struct stat st;
    size_t len = 0, room;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(e, errno, "cannot read the configuration '%s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(e, EINVAL, "the configuration '%s' is not a regular file", path);
    /* As large as needed only: what is allocated and freed here stays resident in a locked process. */
    room = st.st_size < CONFIG_FILE_SIZE_MAX ? (size_t)st.st_size + 1 : CONFIG_FILE_SIZE_MAX + 1;
    text = malloc(room);
    if (!text)
        return no_memory(e);
    for (;;) {
        if (len == room) { /* it grew meanwhile */
            char *larger = realloc(text, room = CONFIG_FILE_SIZE_MAX + 1);

            if (!larger)
                return no_memory(e);
            text = larger;
        }
        ssize_t n = read(fd, text + len, room - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(e, errno, "cannot read the configuration '%s': %s", path, strerror(errno));
        if (n == 0)
            break;
        len += (size_t)n;
        if (len > CONFIG_FILE_SIZE_MAX)
            return err_set(e, EFBIG, "the configuration '%s' is larger than %d MiB: use patterns or files in guests.d",
                           path, CONFIG_FILE_SIZE_MAX >> 20);
    }
    *ret_is_loose = (st.st_mode & S_IWOTH) != 0;
    *ret_text = TAKE(text);
    *ret_len = len;
    return 0;
}

/* Reads one more file. What is wrong with it becomes a problem; only lack of memory is a failure. */
static int read_one(struct config_reader *r, const char *path, bool is_main, struct err *e)
{
    struct config_place place;
    AUTO_FREE char *text = NULL;
    struct err e_file = {0};
    bool is_loose = false;
    size_t len = 0;
    int result;

    result = config_store_add_file(r->store, path, e);
    if (result < 0)
        return result;
    r->file = (uint32_t)r->store->file_count - 1;
    r->is_main = is_main;
    place = (struct config_place){.file = r->file};
    result = read_file(path, &text, &len, &is_loose, &e_file);
    if (result == -ENOMEM) {
        *e = e_file;
        return result;
    }
    if (result < 0) {
        config_list_add_plain(r->problems, &e_file);
        return 0;
    }
    if (is_loose)
        config_list_add(r->warnings, r->store, place, EPERM,
                        "anyone may write this file, and so decide over guests' memory: chmod o-w it");
    return config_read(r, text, len, e);
}

static int is_drop_in(const struct dirent *d)
{
    size_t len = strlen(d->d_name);

    return d->d_name[0] != '.' && len > 5 && strcmp(d->d_name + len - 5, ".yaml") == 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* not by locale: the same order for everyone */
}

/* One file of guests.d. What stands in the one that `ballast set --save` writes is kept apart: it is above all else. */
static int read_drop_in(struct config_reader *r, const char *dir, const char *name, struct err *e)
{
    size_t first = r->store->entry_count;
    char path[PATHS_SIZE];
    int result = paths_join(dir, name, path, e);

    if (result == 0)
        result = read_one(r, path, false, e);
    return result < 0 || strcmp(name, CONFIG_SET_FILE) != 0 ? result : config_store_take_saved(r->store, first, e);
}

/* guests.d beside the main file; may be absent. */
static int read_drop_ins(struct config_reader *r, const char *main_path, struct err *e)
{
    const char *slash = strrchr(main_path, '/');
    char dir[PATHS_SIZE];
    struct dirent **names = NULL;
    struct err e_dir = {0};
    int n, result = 0;

    if (slash && slash - main_path > PATHS_SIZE - 16)
        return err_set(e, ENAMETOOLONG, "the path '%.100s...' is too long: choose a shorter one", main_path);
    (void)snprintf(dir, sizeof(dir), "%.*s" DROP_IN_DIR, slash ? (int)(slash - main_path) + 1 : 0, main_path);
    n = scandir(dir, &names, is_drop_in, compare_names);
    if (n < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (n < 0) {
        (void)err_set(&e_dir, errno, "cannot read the directory '%s': %s", dir, strerror(errno));
        config_list_add_plain(r->problems, &e_dir);
        return 0;
    }
    if (n > CONFIG_FILES_MAX) {
        (void)err_set(&e_dir, E2BIG, "the directory '%s' has %d files, more than the %d there may be: put guests together",
                      dir, n, CONFIG_FILES_MAX);
        config_list_add_plain(r->problems, &e_dir);
    }
    for (int i = 0; i < n; i++) {
        if (result == 0 && i < CONFIG_FILES_MAX)
            result = read_drop_in(r, dir, names[i]->d_name, e);
        free(names[i]);
    }
    free(names);
    return result;
}

static uint64_t backup_value(const struct config_store *s, enum config_backup_key key)
{
    return s->backup_set & 1U << key ? s->backup[key] : config_key_get(CONFIG_SECTION_BACKUP, key)->fallback;
}

static void list_backup(const struct config_store *s, struct config_backup *ret)
{
    *ret = (struct config_backup){
        .schedules = s->schedules,
        .schedule_count = s->schedule_count,
        .quiet_from_min = s->quiet_from_min,
        .quiet_to_min = s->quiet_to_min,
        .concurrency = (unsigned)backup_value(s, CONFIG_BACKUP_CONCURRENCY),
        .freeze = (unsigned)backup_value(s, CONFIG_BACKUP_FREEZE),
        .freeze_usec = backup_value(s, CONFIG_BACKUP_FREEZE_TIMEOUT),
        .checkpoint_usec = backup_value(s, CONFIG_BACKUP_CHECKPOINT_TIMEOUT),
        .limit_usec = backup_value(s, CONFIG_BACKUP_FREEZE_LIMIT),
        .fleece_usec = backup_value(s, CONFIG_BACKUP_FLEECE_TIMEOUT),
        .stall_usec = backup_value(s, CONFIG_BACKUP_STALL_TIMEOUT),
        .bandwidth_kib = backup_value(s, CONFIG_BACKUP_BANDWIDTH),
        .before_freeze = s->before_freeze,
        .after_thaw = s->after_thaw,
        .before_freeze_usec = backup_value(s, CONFIG_BACKUP_BEFORE_FREEZE_TIMEOUT),
        .after_thaw_usec = backup_value(s, CONFIG_BACKUP_AFTER_THAW_TIMEOUT),
        .hook_warns = backup_value(s, CONFIG_BACKUP_HOOK_FAILURE) == 1,
        .verifies = s->backup_set & 1U << CONFIG_BACKUP_VERIFY_AT,
        .verify_at = s->verify_at,
        .verify_sample = (unsigned)backup_value(s, CONFIG_BACKUP_VERIFY_SAMPLE),
    };
}

/* Guests whose entry names a socket or says whose it is; strings stay with their entries. */
static int list_sockets(struct config *c, struct err *e)
{
    struct config_store *s = c->store;

    s->sockets = calloc(s->name_count + 1, sizeof(*s->sockets));
    if (!s->sockets)
        return no_memory(e);
    for (size_t i = 0; i < s->name_count; i++) {
        const struct config_values *v = &s->entries[i].values;
        bool has_access = v->set & 1U << CONFIG_GUEST_ACCESS;

        if (v->qmp || v->agent || has_access)
            s->sockets[c->socket_count++] = (struct config_socket){
                s->entries[i].name, v->qmp, v->agent, has_access, v->number[CONFIG_GUEST_ACCESS] == CONFIG_ACCESS_SHARE};
    }
    c->sockets = s->sockets;
    c->backup_repository = s->repository;
    list_backup(s, &c->backup);
    return 0;
}

/* Where nothing is said, guests are looked for in the runtime directory. */
static int list_directories(struct config *c, struct err *e)
{
    struct config_store *s = c->store;
    char path[PATHS_SIZE];
    struct paths paths;
    int r;

    if (!s->has_discover &&
        ((r = paths_default(&paths, e)) < 0 || (r = paths_join(paths.runtime_dir, PATHS_GUESTS_DIR, path, e)) < 0 ||
         (r = config_store_add_directory(s, path, strlen(path), e)) < 0))
        return r;
    c->is_discovery_default = !s->has_discover;
    c->qmp_directories = (const char *const *)s->directories;
    c->qmp_directories_shared = s->directories_shared;
    c->qmp_directory_count = s->directory_count;
    return 0;
}

/* All that follows reading. Hands *c over, or returns the first problem. */
static void name_groups(struct config *c)
{
    char *const *groups = c->store->api_groups;

    c->view_group = groups[CONFIG_API_VIEW_GROUP] ? groups[CONFIG_API_VIEW_GROUP] : CONFIG_VIEW_GROUP;
    c->operate_group = groups[CONFIG_API_OPERATE_GROUP] ? groups[CONFIG_API_OPERATE_GROUP] : CONFIG_OPERATE_GROUP;
    c->groups_are_named = groups[CONFIG_API_VIEW_GROUP] || groups[CONFIG_API_OPERATE_GROUP];
}

static int finish(struct config **c, uint64_t host_memory_bytes, struct config_list *problems, struct config **ret,
                  struct err *e)
{
    int r;

    config_check((*c)->store, host_memory_bytes, problems, &(*c)->warnings, &(*c)->host);
    if (problems->count > 0) {
        *e = problems->items[0];
        return -e->code;
    }
    if ((r = list_sockets(*c, e)) < 0 || (r = list_directories(*c, e)) < 0)
        return r;
    (*c)->path = (*c)->store->files[0];
    config_check_notify((*c)->store, &(*c)->warnings, &(*c)->notify);
    name_groups(*c);
    (*c)->hash = config_store_hash((*c)->store, &(*c)->host);
    *ret = TAKE(*c);
    return 0;
}

static struct config *config_new(void)
{
    struct config *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->store = config_store_new();
    return c->store ? c : config_free(c);
}

int config_load_all(const char *path, uint64_t host_memory_bytes, struct config **ret, struct config_list *ret_problems,
                    struct err *e)
{
    AUTO(config) struct config *c = config_new();
    struct config_reader r = {.problems = ret_problems};
    struct paths paths;
    int result;

    *ret_problems = (struct config_list){0};
    if (!c)
        return no_memory(e);
    if (!path && (result = paths_default(&paths, e)) < 0)
        return result;
    r.store = c->store;
    r.warnings = &c->warnings;
    c->is_file = path || access(paths.config, F_OK) == 0 || errno != ENOENT;
    if (!path)
        path = paths.config;
    if (c->is_file) {
        result = read_one(&r, path, true, e);
    } else {
        c->store->mode_fallback = GUEST_MODE_WATCH;
        result = config_store_add_file(c->store, path, e);
    }
    if (result < 0 || (result = read_drop_ins(&r, path, e)) < 0)
        return result;
    return finish(&c, host_memory_bytes, ret_problems, ret, e);
}

int config_load(const char *path, uint64_t host_memory_bytes, struct config **ret, struct err *e)
{
    AUTO_FREE struct config_list *problems = calloc(1, sizeof(*problems)); /* too much for a small thread's stack */

    if (!problems)
        return no_memory(e);
    return config_load_all(path, host_memory_bytes, ret, problems, e);
}

int config_parse(const char *text, size_t len, const char *name, uint64_t host_memory_bytes, struct config **ret,
                 struct config_list *ret_problems, struct err *e)
{
    AUTO(config) struct config *c = config_new();
    struct config_reader r = {.problems = ret_problems, .is_main = true};
    int result;

    *ret_problems = (struct config_list){0};
    if (!c)
        return no_memory(e);
    r.store = c->store;
    r.warnings = &c->warnings;
    c->is_file = true;
    if (len > CONFIG_FILE_SIZE_MAX)
        return err_set(e, EFBIG, "the configuration '%s' is larger than %d MiB", name, CONFIG_FILE_SIZE_MAX >> 20);
    if ((result = config_store_add_file(c->store, name, e)) < 0 || (result = config_read(&r, text, len, e)) < 0)
        return result;
    return finish(&c, host_memory_bytes, ret_problems, ret, e);
}

void config_guest(const struct config *config, const char *name, struct guest_config *ret)
{
    const struct config_entry *saved = config_store_find_saved(config->store, name);

    config_store_merge(config->store, config_store_match(config->store, name), ret);
    if (saved)
        config_store_apply(saved->values.set, saved->values.number, ret);
}

const char *config_guest_entry(const struct config *config, const char *name)
{
    const struct config_entry *entry = config_store_match(config->store, name);

    return entry ? entry->name : NULL;
}

const char *config_guest_owner(const struct config *config, const char *name)
{
    const struct config_entry *entry = config_store_match(config->store, name);
    const char *owner = entry && entry->values.owner ? entry->values.owner : config->store->defaults.owner;

    return owner ? owner : "";
}
