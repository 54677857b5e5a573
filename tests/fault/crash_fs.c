/* SPDX-License-Identifier: Apache-2.0 */
#include "crash_fs.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

#define ENTRIES_MAX 1024
#define PENDING_MAX 4096
#define LOCKS_MAX 64

struct inode {
    bool is_directory, is_synced; /* its content is durable */
    uint8_t *data;                /* never changed; of the arena */
    size_t length;
    int64_t mtime, durable_mtime;
};

struct entry {
    char path[REPO_PATH_SIZE];
    unsigned inode;
};

struct map {
    struct entry entries[ENTRIES_MAX];
    size_t count;
};

enum pending_kind {
    PENDING_ADD,
    PENDING_RENAME,
    PENDING_REMOVE
};

/* A change of names that is not durable. */
struct pending {
    enum pending_kind kind;
    char from[REPO_PATH_SIZE], to[REPO_PATH_SIZE];
    unsigned inode;
};

struct crash_fs {
    struct repo_fs base;
    struct inode inodes[PENDING_MAX];
    size_t inode_count;
    struct map now, durable;
    struct pending pending[PENDING_MAX];
    size_t pending_count;
    struct {
        bool is_used, is_shared;
        unsigned inode;
    } locks[LOCKS_MAX];
    int64_t clock;
    unsigned calls, fail_at;
    int fail_code;
    bool is_once, is_killed, is_in_hook;
    void (*hook)(void *user, unsigned n);
    void *hook_user;
};

/* Contents of all of them, until the end. */
static uint8_t **arena;
static size_t arena_count;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static struct crash_fs *of(struct repo_fs *fs)
{
    return (struct crash_fs *)fs;
}

static uint8_t *arena_copy(const void *data, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1);

    arena = realloc(arena, (arena_count + 1) * sizeof(*arena));
    if (!copy || !arena)
        abort();
    memcpy(copy, length ? data : "", length);
    arena[arena_count++] = copy;
    return copy;
}

void crash_fs_done(void)
{
    for (size_t i = 0; i < arena_count; i++)
        free(arena[i]);
    free(arena);
    arena = NULL;
    arena_count = 0;
}

static struct entry *map_find(struct map *m, const char *path)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->entries[i].path, path) == 0)
            return &m->entries[i];
    return NULL;
}

static void map_add(struct map *m, const char *path, unsigned inode)
{
    if (m->count == ENTRIES_MAX)
        abort();
    m->entries[m->count].inode = inode;
    (void)snprintf(m->entries[m->count++].path, REPO_PATH_SIZE, "%s", path);
}

/* Whether path lies below directory, at any depth. */
static bool is_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);

    return strncmp(path, directory, length) == 0 && path[length] == '/';
}

static bool has_children(const struct map *m, const char *path)
{
    for (size_t i = 0; i < m->count; i++)
        if (is_below(m->entries[i].path, path))
            return true;
    return false;
}

/* ".": what has no directory. */
static void directory_of(const char *path, char directory[REPO_PATH_SIZE])
{
    const char *slash = strrchr(path, '/');

    (void)snprintf(directory, REPO_PATH_SIZE, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
}

static bool has_parent(struct map *m, const char *path)
{
    char directory[REPO_PATH_SIZE];

    directory_of(path, directory);
    return strcmp(directory, ".") == 0 || map_find(m, directory);
}

/* What can't be done in this state (its directory was lost, say) is not done. */
static void change_apply(struct map *m, const struct pending *p)
{
    struct entry *from = map_find(m, p->from), *to = map_find(m, p->to);

    if (p->kind == PENDING_ADD && !to && has_parent(m, p->to))
        map_add(m, p->to, p->inode);
    if (p->kind == PENDING_REMOVE && from && !has_children(m, p->from))
        *from = m->entries[--m->count];
    if (p->kind != PENDING_RENAME || !from || !has_parent(m, p->to))
        return;
    if (to)
        to->inode = from->inode;
    else
        map_add(m, p->to, from->inode);
    from = map_find(m, p->from);
    *from = m->entries[--m->count];
    for (size_t i = 0; i < m->count; i++) {
        char rest[REPO_PATH_SIZE];

        if (!is_below(m->entries[i].path, p->from))
            continue;
        (void)snprintf(rest, sizeof(rest), "%s", m->entries[i].path + strlen(p->from));
        (void)snprintf(m->entries[i].path, REPO_PATH_SIZE, "%.90s%.90s", p->to, rest);
    }
}

static void change(struct crash_fs *fs, enum pending_kind kind, const char *from, const char *to, unsigned inode)
{
    struct pending *p = &fs->pending[fs->pending_count];

    if (fs->pending_count == PENDING_MAX)
        abort();
    fs->pending_count++;
    *p = (struct pending){.kind = kind, .inode = inode};
    (void)snprintf(p->from, sizeof(p->from), "%s", from);
    (void)snprintf(p->to, sizeof(p->to), "%s", to);
    change_apply(&fs->now, p);
}

static unsigned inode_new(struct crash_fs *fs, bool is_directory, const void *data, size_t length, int64_t mtime)
{
    if (fs->inode_count == PENDING_MAX)
        abort();
    fs->inodes[fs->inode_count] = (struct inode){.is_directory = is_directory, .is_synced = is_directory, .length = length,
                                                 .data = is_directory ? NULL : arena_copy(data, length),
                                                 .mtime = mtime, .durable_mtime = mtime};
    return (unsigned)fs->inode_count++;
}

static int say(struct err *e, int code, const char *path)
{
    return err_set(e, code, "'%s': %s", path, strerror(code));
}

/* Begins a call: 0, or the fault it shall have. Holds the mutex afterwards in any case. */
static int call_begin(struct crash_fs *fs, bool is_change, const char *path, struct err *e)
{
    (void)pthread_mutex_lock(&mutex);
    if (is_change && fs->hook && !fs->is_in_hook) {
        fs->is_in_hook = true;
        (void)pthread_mutex_unlock(&mutex);
        fs->hook(fs->hook_user, fs->calls + 1);
        (void)pthread_mutex_lock(&mutex);
        fs->is_in_hook = false;
    }
    if (is_change && !fs->is_in_hook) {
        fs->calls++;
        if (fs->fail_at && (fs->calls == fs->fail_at || (fs->calls > fs->fail_at && !fs->is_once))) {
            fs->is_killed |= fs->fail_code == 0;
            return say(e, fs->fail_code ? fs->fail_code : ECANCELED, path);
        }
    }
    return fs->is_killed ? say(e, ECANCELED, path) : 0;
}

static int call_end(int r)
{
    (void)pthread_mutex_unlock(&mutex);
    return r;
}

static int file_find(struct crash_fs *fs, const char *path, struct inode **ret, struct err *e)
{
    struct entry *entry = map_find(&fs->now, path);

    if (!entry)
        return say(e, ENOENT, path);
    *ret = &fs->inodes[entry->inode];
    return 0;
}

static void fs_close(struct repo_fs *fs)
{
    (void)fs;
}

static int64_t fs_now(struct repo_fs *fs)
{
    return of(fs)->clock;
}

static int fs_read(struct repo_fs *fs, const char *path, void *buf, size_t room, size_t *ret_len, struct err *e)
{
    struct inode *inode = NULL;
    int r = call_begin(of(fs), false, path, e);

    if (r == 0)
        r = file_find(of(fs), path, &inode, e);
    if (r == 0 && inode->length > room)
        r = say(e, EFBIG, path);
    if (r == 0) {
        memcpy(buf, inode->data, inode->length);
        *ret_len = inode->length;
    }
    return call_end(r);
}

static int fs_write(struct repo_fs *fs, const char *path, const void *data, size_t len, int64_t mtime_sec,
                    enum repo_write how, struct err *e)
{
    struct crash_fs *c = of(fs);
    int r = call_begin(c, true, path, e);
    unsigned inode;

    if (r == -ECANCELED && c->is_killed && c->calls == c->fail_at && !map_find(&c->now, path) && has_parent(&c->now, path))
        change(c, PENDING_ADD, "", path, inode_new(c, false, data, len / 2, c->clock)); /* killed in the middle of it */
    if (r == 0 && map_find(&c->now, path))
        r = say(e, EEXIST, path);
    if (r == 0 && !has_parent(&c->now, path))
        r = say(e, ENOENT, path);
    if (r == 0) {
        inode = inode_new(c, false, data, len, mtime_sec ? mtime_sec : c->clock);
        c->inodes[inode].is_synced = how == REPO_WRITE_SYNC;
        change(c, PENDING_ADD, "", path, inode);
    }
    return call_end(r);
}

static int rename_any(struct repo_fs *fs, const char *from, const char *to, bool is_new, struct err *e)
{
    struct crash_fs *c = of(fs);
    int r = call_begin(c, true, from, e);

    if (r == 0 && !map_find(&c->now, from))
        r = say(e, ENOENT, from);
    if (r == 0 && is_new && map_find(&c->now, to))
        r = say(e, EEXIST, to);
    if (r == 0 && !has_parent(&c->now, to))
        r = say(e, ENOENT, to);
    if (r == 0)
        change(c, PENDING_RENAME, from, to, 0);
    return call_end(r);
}

static int fs_rename(struct repo_fs *fs, const char *from, const char *to, struct err *e)
{
    return rename_any(fs, from, to, false, e);
}

static int fs_rename_new(struct repo_fs *fs, const char *from, const char *to, struct err *e)
{
    return rename_any(fs, from, to, true, e);
}

static int fs_remove(struct repo_fs *fs, const char *path, struct err *e)
{
    struct crash_fs *c = of(fs);
    struct inode *inode = NULL;
    int r = call_begin(c, true, path, e);

    if (r == 0)
        r = file_find(c, path, &inode, e);
    if (r == 0 && inode->is_directory && has_children(&c->now, path))
        r = say(e, ENOTEMPTY, path);
    if (r == 0)
        change(c, PENDING_REMOVE, path, "", 0);
    return call_end(r);
}

static int fs_mkdir(struct repo_fs *fs, const char *path, struct err *e)
{
    struct crash_fs *c = of(fs);
    int r = call_begin(c, true, path, e);

    if (r == 0 && map_find(&c->now, path))
        r = say(e, EEXIST, path);
    if (r == 0)
        change(c, PENDING_ADD, "", path, inode_new(c, true, NULL, 0, c->clock));
    return call_end(r);
}

static int fs_stat(struct repo_fs *fs, const char *path, struct repo_stat *ret, struct err *e)
{
    struct inode *inode = NULL;
    int r = call_begin(of(fs), false, path, e);

    if (r == 0)
        r = file_find(of(fs), path, &inode, e);
    if (r == 0)
        *ret = (struct repo_stat){.size_bytes = inode->length, .mtime_sec = inode->mtime,
                                  .is_file = !inode->is_directory, .is_directory = inode->is_directory};
    return call_end(r);
}

static int fs_touch(struct repo_fs *fs, const char *path, int64_t mtime_sec, struct err *e)
{
    struct inode *inode = NULL;
    int r = call_begin(of(fs), true, path, e);

    if (r == 0)
        r = file_find(of(fs), path, &inode, e);
    if (r == 0)
        inode->mtime = mtime_sec;
    return call_end(r);
}

/* Names are taken first: what is called may change them. */
static int fs_list(struct repo_fs *fs, const char *path, repo_list_fn *each, void *user, struct err *e)
{
    struct crash_fs *c = of(fs);
    char (*names)[REPO_PATH_SIZE] = malloc(ENTRIES_MAX * sizeof(*names));
    size_t count = 0;
    int r = call_begin(c, false, path, e);

    if (!names)
        abort();
    if (r == 0 && strcmp(path, ".") != 0 && !map_find(&c->now, path))
        r = say(e, ENOENT, path);
    for (size_t i = 0; r == 0 && i < c->now.count; i++) {
        char directory[REPO_PATH_SIZE];
        const char *slash = strrchr(c->now.entries[i].path, '/');

        directory_of(c->now.entries[i].path, directory);
        if (strcmp(directory, path) == 0)
            (void)snprintf(names[count++], REPO_PATH_SIZE, "%s", slash ? slash + 1 : c->now.entries[i].path);
    }
    (void)call_end(0);
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = each(user, names[i], e);
    free(names);
    return r < 0 ? r : 0;
}

static int fs_sync_directory(struct repo_fs *fs, const char *path, struct err *e)
{
    struct crash_fs *c = of(fs);
    int r = call_begin(c, true, path, e);
    size_t kept = 0;

    for (size_t i = 0; r == 0 && i < c->pending_count; i++) {
        char from[REPO_PATH_SIZE], to[REPO_PATH_SIZE];

        directory_of(c->pending[i].from, from);
        directory_of(c->pending[i].to, to);
        if ((c->pending[i].kind != PENDING_ADD && strcmp(from, path) == 0) ||
            (c->pending[i].kind != PENDING_REMOVE && strcmp(to, path) == 0))
            change_apply(&c->durable, &c->pending[i]);
        else
            c->pending[kept++] = c->pending[i];
    }
    if (r == 0)
        c->pending_count = kept;
    return call_end(r);
}

static int fs_sync_all(struct repo_fs *fs, struct err *e)
{
    struct crash_fs *c = of(fs);
    int r = call_begin(c, true, ".", e);

    if (r == 0) {
        c->durable = c->now;
        c->pending_count = 0;
        for (size_t i = 0; i < c->inode_count; i++) {
            c->inodes[i].is_synced = true;
            c->inodes[i].durable_mtime = c->inodes[i].mtime;
        }
    }
    return call_end(r);
}

static int fs_lock(struct repo_fs *fs, const char *path, enum repo_lock how, int *ret_lock, struct err *e)
{
    struct crash_fs *c = of(fs);
    int r = call_begin(c, how == REPO_LOCK_EXCLUSIVE, path, e), free_one = -1;
    struct entry *entry = map_find(&c->now, path);

    if (r == 0 && !entry)
        r = say(e, ENOENT, path);
    for (int i = 0; r == 0 && i < LOCKS_MAX; i++) {
        if (!c->locks[i].is_used)
            free_one = i;
        else if (c->locks[i].inode == entry->inode && (how == REPO_LOCK_EXCLUSIVE || !c->locks[i].is_shared))
            r = say(e, EWOULDBLOCK, path);
    }
    if (r == 0 && free_one < 0)
        abort();
    if (r == 0) {
        c->locks[free_one].is_used = true;
        c->locks[free_one].is_shared = how == REPO_LOCK_SHARED;
        c->locks[free_one].inode = entry->inode;
        *ret_lock = free_one;
    }
    return call_end(r);
}

static void fs_unlock(struct repo_fs *fs, int lock)
{
    (void)pthread_mutex_lock(&mutex);
    of(fs)->locks[lock].is_used = false;
    (void)pthread_mutex_unlock(&mutex);
}

static bool fs_is_sync_all_trusted(struct repo_fs *fs)
{
    (void)fs;
    return true;
}

static const struct repo_fs_ops ops = {
    fs_close, fs_now, fs_read, fs_write, fs_rename, fs_rename_new, fs_remove, fs_mkdir, fs_remove, fs_stat, fs_touch,
    fs_list, fs_sync_directory, fs_sync_all, fs_lock, fs_unlock, fs_is_sync_all_trusted,
};

struct crash_fs *crash_fs_new(void)
{
    struct crash_fs *fs = calloc(1, sizeof(*fs));

    if (!fs)
        abort();
    fs->base.ops = &ops;
    fs->clock = 1000000000;
    return fs;
}

struct crash_fs *crash_fs_free(struct crash_fs *fs)
{
    free(fs);
    return NULL;
}

struct repo_fs *crash_fs_fs(struct crash_fs *fs)
{
    return &fs->base;
}

struct crash_fs *crash_fs_clone(const struct crash_fs *fs)
{
    struct crash_fs *clone = malloc(sizeof(*clone));

    if (!clone)
        abort();
    *clone = *fs;
    clone->hook = NULL;
    crash_fs_kill(clone);
    return clone;
}

void crash_fs_set_now(struct crash_fs *fs, int64_t now)
{
    fs->clock = now;
}

void crash_fs_fail_at(struct crash_fs *fs, unsigned n, int code, bool is_once)
{
    fs->calls = 0;
    fs->fail_at = n;
    fs->fail_code = code;
    fs->is_once = is_once;
    fs->is_killed = false;
}

unsigned crash_fs_calls(const struct crash_fs *fs)
{
    return fs->calls;
}

void crash_fs_hook(struct crash_fs *fs, void (*hook)(void *user, unsigned n), void *user)
{
    fs->hook = hook;
    fs->hook_user = user;
    fs->is_in_hook = false;
    fs->calls = 0;
}

void crash_fs_kill(struct crash_fs *fs)
{
    memset(fs->locks, 0, sizeof(fs->locks));
    crash_fs_fail_at(fs, 0, 0, false);
}

/* A file's content after a crash, where it was not durable. */
static void content_tear(struct crash_fs *fs, struct inode *inode, struct random *random, uint64_t seed)
{
    unsigned how = seed < 2 ? (unsigned)seed : (unsigned)random_below(random, 4);
    uint8_t *data;

    if (how == 3)
        return; /* it got there after all */
    if (how == 1) { /* its length got there, and nothing else */
        data = calloc(inode->length + 1, 1);
        if (!data)
            abort();
        inode->data = arena_copy(data, inode->length);
        free(data);
    } else {
        inode->length = how == 0 ? 0 : (size_t)random_below(random, inode->length + 1);
    }
    (void)fs;
}

void crash_fs_crash(struct crash_fs *fs, uint64_t seed)
{
    struct random random = {seed};

    for (size_t i = 0; i < fs->pending_count; i++)
        if (seed == 1 || (seed > 1 && random_percent(&random, 50)))
            change_apply(&fs->durable, &fs->pending[i]);
    for (size_t i = 0; i < fs->inode_count; i++) {
        struct inode *inode = &fs->inodes[i];

        if (!inode->is_synced)
            content_tear(fs, inode, &random, seed);
        if (seed != 1 && (seed == 0 || random_percent(&random, 50)))
            inode->mtime = inode->durable_mtime;
        inode->is_synced = true;
        inode->durable_mtime = inode->mtime;
    }
    fs->now = fs->durable;
    fs->pending_count = 0;
    crash_fs_kill(fs);
}

size_t crash_fs_count(struct crash_fs *fs, const char *directory, const char *ending)
{
    size_t count = 0;

    for (size_t i = 0; i < fs->now.count; i++) {
        const struct entry *entry = &fs->now.entries[i];
        size_t length = strlen(entry->path);

        count += is_below(entry->path, directory) && !fs->inodes[entry->inode].is_directory && length >= strlen(ending) &&
                 strcmp(entry->path + length - strlen(ending), ending) == 0;
    }
    return count;
}
