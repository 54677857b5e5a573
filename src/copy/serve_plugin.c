/* SPDX-License-Identifier: Apache-2.0 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "own.h"
#include "repo.h"

/* An nbdkit plugin: one disk of a point, read-only. Started by `ballast backup serve`, which puts nbdkit's cow filter on top for
 * a writable one. Every chunk is proven by its hash when it is read. Parameter `stall`: seconds (SERVE_STALL_SEC). */

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

/* Unpacked chunks that are kept: file systems read a few KiB here and there, and each would cost a whole chunk. */
#define SERVE_CACHE_CHUNKS 16

struct cached {
    uint8_t *data; /* NULL: none; owned */
    size_t chunk;
    uint64_t used; /* higher: later */
};

/* A read that lasts longer waits for a repository that is gone (NFS). A guest waits with it, and QEMU's own main loop as soon as
 * anything drains the disk: then all of the guest stands still. Longer than a disk that spins up. */
#define SERVE_STALL_SEC 30

/* Open files that are looked at: a client has one, a read some. */
#define SERVE_FDS_MAX 1024

/* Reads at once: nbdkit has 16 threads. */
#define SERVE_READS_MAX 64

static struct {
    const char *repository, *identity, *time, *disk; /* nbdkit keeps them */
    unsigned stall_sec;
    _Atomic time_t reads[SERVE_READS_MAX]; /* monotonic seconds when one began; 0: free */
    struct repo *repo;
    struct repo_hold *hold; /* the point can't be pruned meanwhile */
    struct repo_index *index;

    pthread_mutex_t lock; /* of what follows */
    uint64_t uses;
    struct cached cache[SERVE_CACHE_CHUNKS];
} serve = {.lock = PTHREAD_MUTEX_INITIALIZER, .stall_sec = SERVE_STALL_SEC};

static int serve_config(const char *key, const char *value)
{
    static const struct {
        const char *key;
        const char **to;
    } keys[] = {{"repository", &serve.repository}, {"identity", &serve.identity}, {"time", &serve.time}, {"disk", &serve.disk}};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcmp(key, keys[i].key) == 0) {
            *keys[i].to = value;
            return 0;
        }
    if (strcmp(key, "stall") == 0)
        return nbdkit_parse_unsigned(key, value, &serve.stall_sec);
    nbdkit_error("unknown parameter '%s'", key);
    return -1;
}

static int serve_config_complete(void)
{
    if (serve.repository && serve.identity && serve.time && serve.disk)
        return 0;
    nbdkit_error("repository, identity, time and disk are needed; `ballast backup serve` gives them");
    return -1;
}

static int serve_open_point(struct err *e)
{
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    const struct repo_disk *disk;
    int r = repo_open(serve.repository, &serve.repo, e);

    if (r == 0)
        r = repo_point_use(serve.repo, serve.identity, serve.time, &serve.hold, e);
    if (r == 0)
        r = repo_manifest_load(serve.repo, serve.identity, serve.time, &m, e);
    if (r < 0)
        return r;
    disk = repo_manifest_disk(m, serve.disk);
    if (!disk)
        return err_set(e, ENOENT, "the point has no disk '%s'", serve.disk);
    return repo_index_load(serve.repo, disk, &serve.index, e);
}

static time_t now_sec(void)
{
    struct timespec ts = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
    return ts.tv_sec + 1; /* never 0 */
}

/* Clients see the end of their connection at once, also while a thread of ours can't be ended: then its files stay open. What is
 * no socket is not touched (fstat() would hang there, too). */
static void connections_end(void)
{
    for (int fd = 0; fd < SERVE_FDS_MAX; fd++)
        (void)shutdown(fd, SHUT_RDWR);
}

static void *watch(void *unused)
{
    (void)unused;
    for (;;) {
        const time_t now = now_sec();

        (void)sleep(1);
        for (size_t i = 0; i < SERVE_READS_MAX; i++) {
            const time_t begun = serve.reads[i];

            if (!begun || now < begun + (time_t)serve.stall_sec)
                continue;
            nbdkit_error("disk '%s' of '%s' could not be read for %u s: given up, so that nobody hangs with it", serve.disk,
                         serve.repository, serve.stall_sec);
            connections_end();
            _exit(1);
        }
    }
    return NULL;
}

/* After nbdkit has forked, if it does. */
static int serve_after_fork(void)
{
    pthread_t thread;
    int r = pthread_create(&thread, NULL, watch, NULL);

    if (r != 0) {
        nbdkit_error("no thread: %s", strerror(r));
        return -1;
    }
    (void)pthread_detach(thread);
    return 0;
}

/* Where the read is noted; none: it is not watched. */
static _Atomic time_t *read_begin(void)
{
    for (size_t i = 0; i < SERVE_READS_MAX; i++) {
        time_t none = 0;

        if (atomic_compare_exchange_strong(&serve.reads[i], &none, now_sec()))
            return &serve.reads[i];
    }
    return NULL;
}

static int serve_get_ready(void)
{
    struct err e = {0};

    if (serve_open_point(&e) == 0)
        return 0;
    nbdkit_error("%s", e.text);
    return -1;
}

static void serve_unload(void)
{
    for (size_t i = 0; i < SERVE_CACHE_CHUNKS; i++)
        free(serve.cache[i].data);
    serve.index = repo_index_free(serve.index);
    if (serve.repo && serve.hold)
        repo_point_unuse(serve.repo, serve.hold);
    serve.repo = repo_free(serve.repo);
}

static void *serve_open(int readonly)
{
    (void)readonly; /* always */
    return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t serve_get_size(void *handle)
{
    (void)handle;
    return (int64_t)serve.index->size_bytes;
}

static int serve_can_multi_conn(void *handle)
{
    (void)handle;
    return 1; /* it never changes */
}

static int serve_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
    (void)handle;
    *minimum = 1;
    *preferred = 4096;
    *maximum = 32U << 20;
    return 0;
}

/* True: the piece of a chunk that is kept was copied. */
static bool cache_read(size_t chunk, uint32_t at, uint32_t len, void *to)
{
    bool found = false;

    (void)pthread_mutex_lock(&serve.lock);
    for (size_t i = 0; i < SERVE_CACHE_CHUNKS && !found; i++) {
        struct cached *c = &serve.cache[i];

        found = c->data && c->chunk == chunk;
        if (found) {
            c->used = ++serve.uses;
            memcpy(to, c->data + at, len);
        }
    }
    (void)pthread_mutex_unlock(&serve.lock);
    return found;
}

/* Keeps a chunk instead of the one that was not used for the longest time; the data is taken over. */
static void cache_keep(size_t chunk, uint8_t *data)
{
    struct cached *oldest = &serve.cache[0];
    uint8_t *before;

    (void)pthread_mutex_lock(&serve.lock);
    for (size_t i = 1; i < SERVE_CACHE_CHUNKS; i++)
        if (serve.cache[i].used < oldest->used)
            oldest = &serve.cache[i];
    before = oldest->data;
    *oldest = (struct cached){.data = data, .chunk = chunk, .used = ++serve.uses};
    (void)pthread_mutex_unlock(&serve.lock);
    free(before);
}

static int chunk_read(size_t chunk, uint32_t at, uint32_t len, void *to, struct err *e)
{
    uint32_t length = repo_index_chunk_length(serve.index, chunk);
    AUTO_FREE uint8_t *data = NULL;
    int r;

    if (repo_id_is_zero(&serve.index->ids[chunk])) {
        memset(to, 0, len);
        return 0;
    }
    if (cache_read(chunk, at, len, to))
        return 0;
    data = malloc(length);
    if (!data)
        return err_set(e, ENOMEM, "no memory for a chunk");
    r = repo_chunk_get(serve.repo, &serve.index->ids[chunk], data, length, e);
    if (r < 0)
        return r;
    memcpy(to, data + at, len);
    cache_keep(chunk, TAKE(data));
    return 0;
}

static int read_all(uint8_t *to, uint32_t count, uint64_t offset)
{
    while (count > 0) {
        uint32_t at = (uint32_t)(offset % serve.index->chunk_bytes), len = serve.index->chunk_bytes - at;
        struct err e = {0};

        if (len > count)
            len = count;
        if (chunk_read(offset / serve.index->chunk_bytes, at, len, to, &e) < 0) {
            nbdkit_error("disk '%s' cannot be read at %llu: %s", serve.disk, (unsigned long long)offset, e.text);
            nbdkit_set_error(EIO);
            return -1;
        }
        to += len;
        offset += len;
        count -= len;
    }
    return 0;
}

static int serve_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
    _Atomic time_t *noted = read_begin();
    int r = read_all(buf, count, offset);

    (void)handle;
    (void)flags;
    if (noted)
        *noted = 0;
    return r;
}

static int serve_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags, struct nbdkit_extents *extents)
{
    uint64_t end = offset + count;

    (void)handle;
    while (offset < end) {
        size_t chunk = offset / serve.index->chunk_bytes;
        uint64_t next = (uint64_t)(chunk + 1) * serve.index->chunk_bytes;
        bool zero = repo_id_is_zero(&serve.index->ids[chunk]);

        if (next > serve.index->size_bytes)
            next = serve.index->size_bytes;
        if (nbdkit_add_extent(extents, offset, next - offset, zero ? NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO : 0) < 0)
            return -1;
        if (flags & NBDKIT_FLAG_REQ_ONE)
            return 0;
        offset = next;
    }
    return 0;
}

static struct nbdkit_plugin plugin = {
    .name = "ballast",
    .longname = "a disk of a ballast backup",
    .version = BALLAST_VERSION,
    .unload = serve_unload,
    .config = serve_config,
    .config_complete = serve_config_complete,
    .get_ready = serve_get_ready,
    .after_fork = serve_after_fork,
    .open = serve_open,
    .get_size = serve_get_size,
    .can_multi_conn = serve_can_multi_conn,
    .block_size = serve_block_size,
    .pread = serve_pread,
    .extents = serve_extents,
};

struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
