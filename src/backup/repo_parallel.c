/* SPDX-License-Identifier: Apache-2.0 */
#include "repo_parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_NSEC 200000000L /* what the eye takes for moving */
#define NSEC_PER_SEC 1000000000L

struct crew {
    repo_work_fn *work;
    void *user;
    size_t count;
    atomic_size_t next, done;
    atomic_bool has_failed;
    pthread_mutex_t mutex; /* of all below */
    pthread_cond_t changed;
    unsigned running;
    struct err failure;    /* the first one */
};

static void crew_work(struct crew *c)
{
    while (!atomic_load(&c->has_failed)) {
        size_t n = atomic_fetch_add(&c->next, 1);
        struct err e = {0};

        if (n >= c->count)
            return;
        if (c->work(c->user, n, &e) < 0) {
            (void)pthread_mutex_lock(&c->mutex);
            if (!c->failure.code)
                c->failure = e;
            (void)pthread_mutex_unlock(&c->mutex);
            atomic_store(&c->has_failed, true);
        }
        (void)atomic_fetch_add(&c->done, 1);
    }
}

static void *crew_thread(void *user)
{
    struct crew *c = user;

    crew_work(c);
    (void)pthread_mutex_lock(&c->mutex);
    c->running--;
    (void)pthread_cond_signal(&c->changed);
    (void)pthread_mutex_unlock(&c->mutex);
    return NULL;
}

static unsigned workers_wanted(size_t count)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned wanted = cpus > 0 && cpus < REPO_WORKERS_MAX ? (unsigned)cpus : REPO_WORKERS_MAX;

    return count < wanted ? (unsigned)count : wanted;
}

static void crew_wait(struct crew *c, repo_progress_fn *progress, void *progress_user)
{
    (void)pthread_mutex_lock(&c->mutex);
    while (c->running > 0) {
        struct timespec until;

        (void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail with this clock */
        until.tv_nsec += PROGRESS_NSEC;
        until.tv_sec += until.tv_nsec / NSEC_PER_SEC;
        until.tv_nsec %= NSEC_PER_SEC;
        (void)pthread_cond_clockwait(&c->changed, &c->mutex, CLOCK_MONOTONIC, &until); /* a timeout is as good */
        (void)pthread_mutex_unlock(&c->mutex);
        if (progress)
            progress(progress_user, atomic_load(&c->done), c->count);
        (void)pthread_mutex_lock(&c->mutex);
    }
    (void)pthread_mutex_unlock(&c->mutex);
}

int repo_parallel(size_t count, repo_work_fn *work, void *user, repo_progress_fn *progress, void *progress_user,
                  struct err *e)
{
    struct crew c = {.work = work, .user = user, .count = count, .mutex = PTHREAD_MUTEX_INITIALIZER,
                     .changed = PTHREAD_COND_INITIALIZER};
    pthread_t threads[REPO_WORKERS_MAX];
    unsigned wanted = workers_wanted(count), started = 0;

    (void)pthread_mutex_lock(&c.mutex);
    while (started < wanted && pthread_create(&threads[started], NULL, crew_thread, &c) == 0)
        started++;
    c.running = started;
    (void)pthread_mutex_unlock(&c.mutex);
    if (started == 0)
        crew_work(&c); /* no thread to be had: then this one */
    crew_wait(&c, progress, progress_user);
    for (unsigned i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    if (c.failure.code) {
        *e = c.failure;
        return -e->code;
    }
    return 0;
}
