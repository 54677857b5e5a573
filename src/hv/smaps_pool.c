/* SPDX-License-Identifier: Apache-2.0 */
#include "smaps_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "procstat.h"

/* How often hung readings are looked for while there is work. */
#define WATCHES_PER_DEADLINE 4

struct smaps_pool {
    struct sd_event *loop;
    struct sd_event_source *io, *watch;
    char proc[64];
    uint64_t deadline_usec;
    void (*done)(struct smaps_job *job);
    int fd; /* eventfd: something is finished */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t work, quit;
    struct smaps_job *first, **last; /* to do */
    struct smaps_job *finished;
    struct smaps_job *running; /* on threads now */
    unsigned threads, late;
    bool closing;
    bool abandoned; /* its owner left while readings hung: the last thread frees it */
};

static uint64_t now_usec(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* can't fail for this clock */
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void destroy(struct smaps_pool *pool)
{
    (void)pthread_mutex_destroy(&pool->lock);
    (void)pthread_cond_destroy(&pool->work);
    (void)pthread_cond_destroy(&pool->quit);
    free(pool);
}

static void unlink_job(struct smaps_job **list, struct smaps_job *job)
{
    while (*list && *list != job)
        list = &(*list)->next;
    if (*list)
        *list = job->next;
    job->next = NULL;
}

/* With the lock held. Returns whether this thread was given up meanwhile. */
static bool finish(struct smaps_pool *pool, struct smaps_job *job)
{
    uint64_t one = 1;
    bool late = job->late;

    unlink_job(&pool->running, job);
    job->running = false;
    if (late)
        pool->late--;
    if (job->forgotten || pool->closing) {
        free(job);
        return late;
    }
    job->next = pool->finished;
    pool->finished = job;
    /* The counter can't be full: the loop empties it long before 2^64. */
    if (write(pool->fd, &one, sizeof(one)) < 0)
        return late;
    return late;
}

static bool is_near(uint64_t a, uint64_t b)
{
    return (a > b ? a - b : b - a) < SMAPS_POOL_SAME_BYTES;
}

/* Reads what the guest holds, or finds that it holds what it held. On its thread. */
static void read_job(const struct smaps_pool *pool, struct smaps_job *job, char **scratch, size_t *scratch_size)
{
    struct procmem memory = {0};
    struct procstat stat = {0};
    struct err ignored = {0}; /* a whole reading says better what is wrong */
    uint64_t now = now_usec();
    bool is_known = procmem_read(pool->proc, job->pid, &memory, &ignored) == 0 && memory.resident_bytes > 0;

    if (is_known && job->whole_usec && job->whole_start_ticks == job->start_ticks &&
        now - job->whole_usec < SMAPS_POOL_WHOLE_USEC &&
        is_near(memory.resident_bytes, job->whole.resident_bytes) &&
        is_near(memory.swapped_bytes, job->whole.swapped_bytes) && is_near(memory.huge_bytes, job->whole.huge_bytes) &&
        procstat_read(pool->proc, job->pid, &stat, &ignored) == 0 && stat.start_ticks == job->start_ticks)
        return; /* result and sizes are those of the last time */
    job->result = smaps_read(pool->proc, job->pid, job->start_ticks, job->regions, job->regions_n, scratch, scratch_size,
                             &job->smaps, &job->error);
    job->whole = memory;
    job->whole_start_ticks = job->start_ticks;
    job->whole_usec = is_known && job->result == 0 ? now : 0;
}

static void *work(void *user)
{
    struct smaps_pool *pool = user;
    char *scratch = NULL;
    size_t scratch_size = 0;
    bool given_up = false, last;

    (void)pthread_mutex_lock(&pool->lock);
    while (!given_up) {
        struct smaps_job *job;

        while (!pool->first && !pool->closing)
            (void)pthread_cond_wait(&pool->work, &pool->lock);
        if (pool->closing)
            break;
        job = pool->first;
        pool->first = job->next;
        if (!pool->first)
            pool->last = &pool->first;
        job->next = pool->running;
        pool->running = job;
        job->running = true;
        job->started_usec = now_usec();
        (void)pthread_mutex_unlock(&pool->lock);
        read_job(pool, job, &scratch, &scratch_size);
        (void)pthread_mutex_lock(&pool->lock);
        given_up = finish(pool, job);
    }
    last = --pool->threads == 0;
    (void)pthread_cond_broadcast(&pool->quit);
    last = last && pool->abandoned;
    (void)pthread_mutex_unlock(&pool->lock);
    free(scratch);
    if (last)
        destroy(pool);
    return NULL;
}

static int start_thread(struct smaps_pool *pool)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    int r;

    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, SMAPS_POOL_STACK_BYTES);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)sigfillset(&all); /* signals belong to the loop (signalfd) */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&thread, &attr, work, pool);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    if (r == 0)
        pool->threads++;
    return -r;
}

static void collect(struct smaps_pool *pool)
{
    for (;;) {
        struct smaps_job *job;
        bool forgotten;

        (void)pthread_mutex_lock(&pool->lock);
        job = pool->finished;
        if (job)
            pool->finished = job->next;
        forgotten = job && job->forgotten;
        (void)pthread_mutex_unlock(&pool->lock);
        if (!job)
            return;
        job->next = NULL;
        job->late = false;
        if (forgotten)
            free(job);
        else
            pool->done(job);
    }
}

static int on_finished(struct sd_event_source *s, int fd, uint32_t events, void *user)
{
    uint64_t n;

    (void)s;
    (void)events;
    if (read(fd, &n, sizeof(n)) < 0)
        return 0; /* somebody else's wake-up */
    collect(user);
    return 0;
}

static int on_watch(struct sd_event_source *s, uint64_t usec, void *user)
{
    struct smaps_pool *pool = user;
    uint64_t now = now_usec();
    bool busy;

    (void)usec;
    (void)pthread_mutex_lock(&pool->lock);
    for (struct smaps_job *job = pool->running; job; job = job->next) {
        if (job->late || now - job->started_usec < pool->deadline_usec)
            continue;
        job->late = true;
        pool->late++;
        if (pool->late <= SMAPS_POOL_LATE_MAX)
            (void)start_thread(pool); /* without it the next reading waits: the same as with no memory for one */
    }
    busy = pool->first || pool->running;
    (void)pthread_mutex_unlock(&pool->lock);
    if (busy) {
        (void)sd_event_source_set_time(s, now + pool->deadline_usec / WATCHES_PER_DEADLINE);
        (void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
    }
    return 0;
}

int smaps_pool_new(struct sd_event *loop, const char *proc, uint64_t deadline_usec, void (*done)(struct smaps_job *job),
                   struct smaps_pool **ret, struct err *e)
{
    struct smaps_pool *pool = calloc(1, sizeof(*pool));
    int r;

    if (!pool)
        return err_set(e, ENOMEM, "no memory for readers of guest memory");
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->work, NULL);
    (void)pthread_cond_init(&pool->quit, NULL);
    pool->loop = sd_event_ref(loop);
    (void)snprintf(pool->proc, sizeof(pool->proc), "%s", proc);
    pool->deadline_usec = deadline_usec ? deadline_usec : SMAPS_POOL_DEADLINE_USEC;
    pool->done = done;
    pool->last = &pool->first;
    pool->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = pool->fd < 0 ? -errno : sd_event_add_io(loop, &pool->io, pool->fd, EPOLLIN, on_finished, pool);
    if (r >= 0)
        r = sd_event_add_time(loop, &pool->watch, CLOCK_MONOTONIC, 0, /* accuracy= */ 1000, on_watch, pool);
    if (r >= 0) {
        (void)pthread_mutex_lock(&pool->lock);
        r = start_thread(pool);
        (void)pthread_mutex_unlock(&pool->lock);
    }
    if (r < 0) {
        (void)smaps_pool_free(pool);
        return err_set(e, -r, "cannot start the reader of guest memory: %s", strerror(-r));
    }
    *ret = pool;
    return 0;
}

static void free_list(struct smaps_job *job)
{
    while (job) {
        struct smaps_job *next = job->next;

        free(job);
        job = next;
    }
}

struct smaps_pool *smaps_pool_free(struct smaps_pool *pool)
{
    bool last;

    if (!pool)
        return NULL;
    pool->io = sd_event_source_disable_unref(pool->io);
    pool->watch = sd_event_source_disable_unref(pool->watch);
    pool->loop = sd_event_unref(pool->loop);
    (void)pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    (void)pthread_cond_broadcast(&pool->work);
    /* Late ones may never come back. A healthy reading ends within milliseconds, and is late after the deadline. */
    while (pool->threads > pool->late) {
        struct timespec until;

        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += (time_t)(pool->deadline_usec / 1000000);
        if (pthread_cond_timedwait(&pool->quit, &pool->lock, &until) != 0)
            break;
    }
    free_list(pool->first);
    free_list(pool->finished);
    pool->first = pool->finished = NULL;
    if (pool->fd >= 0)
        (void)close(pool->fd);
    pool->fd = -1;
    last = pool->threads == 0;
    pool->abandoned = !last;
    (void)pthread_mutex_unlock(&pool->lock);
    if (last)
        destroy(pool);
    return NULL;
}

struct smaps_job *smaps_job_new(void)
{
    return calloc(1, sizeof(struct smaps_job));
}

struct smaps_job *smaps_job_free(struct smaps_job *job)
{
    free(job);
    return NULL;
}

void smaps_pool_submit(struct smaps_pool *pool, struct smaps_job *job)
{
    (void)pthread_mutex_lock(&pool->lock);
    job->next = NULL;
    job->running = job->late = job->forgotten = false;
    *pool->last = job;
    pool->last = &job->next;
    (void)pthread_cond_signal(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
    if (sd_event_source_get_enabled(pool->watch, NULL) == 0) {
        (void)sd_event_source_set_time(pool->watch, now_usec() + pool->deadline_usec / WATCHES_PER_DEADLINE);
        (void)sd_event_source_set_enabled(pool->watch, SD_EVENT_ONESHOT);
    }
}

void smaps_pool_forget(struct smaps_pool *pool, struct smaps_job *job)
{
    (void)pthread_mutex_lock(&pool->lock);
    job->forgotten = true;
    (void)pthread_mutex_unlock(&pool->lock);
}

unsigned smaps_pool_late(struct smaps_pool *pool)
{
    unsigned late;

    (void)pthread_mutex_lock(&pool->lock);
    late = pool->late;
    (void)pthread_mutex_unlock(&pool->lock);
    return late;
}
