/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "copy_clock.h"
#include "store.h"
#include "task_queue.h"

#define WORKER_STACK_BYTES (256U << 10)
#define WORKER_LOOK_MSEC   500 /* how often the receiver's beats are looked at */

/* ioprio_set(2) has no header */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE        (3 << 13)

struct worker {
    struct copy_link *link;
    const struct copy_job *job;
    const struct store_ops *ops;
    struct store *store;
    uint32_t chunk_bytes;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    struct task_queue queue;
    bool stop;

    atomic_bool failed; /* the receiver was told; what comes is only given back */

    pthread_t threads[WORKER_THREADS_MAX];
    unsigned threads_n;
};

/* What an administrator can do about it. */
static const char *hint_of(int code)
{
    switch (code) {
    case ENOSPC:
    case EDQUOT:
        return "Free space in the repository: `ballast backup prune` drops points by its rules.";
    case EFBIG:
        return "A limit on file sizes (ulimit -f) or of the file system is in the way of the repository.";
    case EROFS:
    case EACCES:
    case EPERM:
        return "The repository must be writable for the user that ballastd runs as.";
    case ENOENT:
    case ENODEV:
    case ESTALE:
        return "Is the repository's file system mounted, and does the parent point still exist?";
    case EBADMSG:
        return "Run `ballast backup verify`; a full backup does not need the parent.";
    case EMSGSIZE:
        return "Make a full backup of this disk.";
    case EIO:
        return "See the kernel's log for errors of the disk below the repository.";
    case ENOTCONN: /* a FUSE or network file system whose server is gone */
    case ENXIO:
    case EHOSTDOWN:
        return "See that the repository's file system is mounted and answers, and run the backup again.";
    default:
        return "";
    }
}

static void note_failed(struct worker *w, const struct err *e)
{
    struct link_note n = {.kind = LINK_NOTE_FAILED, .code = e->code};

    if (atomic_exchange(&w->failed, true))
        return;
    wire_text_copy(n.text, sizeof(n.text), e->text);
    wire_text_copy(n.hint, sizeof(n.hint), hint_of(e->code));
    (void)link_send_note(w->link, &n); /* a receiver that is gone needs no telling */
}

static void task_do(struct worker *w, const struct assembly_task *t)
{
    struct link_note n = {.kind = LINK_NOTE_DONE, .disk = t->disk, .buffer = t->buffer};
    struct err e = {0};

    if (!w->failed) {
        const uint8_t *chunk = w->link->buffers + (size_t)t->buffer * w->chunk_bytes;

        if (w->ops->put(w->store, t, chunk, &n.stored_bytes, &e) < 0)
            note_failed(w, &e);
        n.new_chunks = n.stored_bytes > 0;
    }
    (void)link_send_note(w->link, &n);
}

static void *thread_run(void *arg)
{
    struct worker *w = arg;
    struct assembly_task t;

    (void)pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->stop && !task_queue_begin(&w->queue, &t))
            (void)pthread_cond_wait(&w->wake, &w->lock);
        if (w->stop)
            break;
        (void)pthread_mutex_unlock(&w->lock);
        task_do(w, &t);
        (void)pthread_mutex_lock(&w->lock);
        task_queue_end(&w->queue, &t);
        if (w->queue.waiting_n > 0)
            (void)pthread_cond_signal(&w->wake); /* one that waited for this chunk may begin */
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

static int threads_start(struct worker *w, struct err *e)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = cores < 1 ? 1 : cores > WORKER_THREADS_MAX ? WORKER_THREADS_MAX : (unsigned)cores;
    pthread_attr_t attr;
    int code = 0;

    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES);
    while (w->threads_n < n && code == 0) {
        code = pthread_create(&w->threads[w->threads_n], &attr, thread_run, w);
        w->threads_n += code == 0;
    }
    (void)pthread_attr_destroy(&attr);
    return w->threads_n > 0 ? 0 : err_set(e, code, "cannot start a thread that writes chunks: %s", strerror(code));
}

static void threads_stop(struct worker *w)
{
    (void)pthread_mutex_lock(&w->lock);
    w->stop = true;
    (void)pthread_cond_broadcast(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->threads_n; i++)
        (void)pthread_join(w->threads[i], NULL);
    w->threads_n = 0;
}

static int finish(struct worker *w)
{
    struct link_note n = {.kind = LINK_NOTE_COMMITTED};
    struct store *store = TAKE(w->store);
    struct err e = {0};

    threads_stop(w);
    if (w->failed) { /* the receiver was told */
        w->ops->abort(store, "a chunk could not be stored");
        return 1;
    }
    if (w->ops->commit(store, w->link->states, w->link->shared->figures, w->link->shared->text, n.text, &e) < 0) {
        note_failed(w, &e);
        return 1;
    }
    (void)link_send_note(w->link, &n);
    return 0;
}

static void give_up(struct worker *w, const char *reason)
{
    threads_stop(w);
    w->ops->abort(TAKE(w->store), reason);
}

/* Kills a receiver that does not move any more. */
static void watch_receiver(const struct worker *w, pid_t receiver, unsigned *beats, uint64_t *usec)
{
    unsigned now_beats = atomic_load(&w->link->shared->beats);
    uint64_t now = copy_clock_usec();

    if (now_beats != *beats) {
        *beats = now_beats;
        *usec = now;
    } else if (now - *usec > w->job->stall_msec * 1000 && getppid() == receiver) {
        (void)kill(receiver, SIGKILL); /* the link's end follows */
    }
}

/* Takes orders until one of them is the last. */
static int orders_run(struct worker *w, pid_t receiver)
{
    unsigned beats = 0;
    uint64_t beat_usec = copy_clock_usec();
    struct link_order o;

    for (;;) {
        struct pollfd p = {.fd = w->link->worker_fd, .events = POLLIN};
        int r;

        (void)poll(&p, 1, WORKER_LOOK_MSEC); /* interrupted: looked at anyway */
        watch_receiver(w, receiver, &beats, &beat_usec);
        while ((r = link_receive_order(w->link, &o)) == 1) {
            if (o.kind == LINK_ORDER_FINISH)
                return finish(w);
            if (o.kind == LINK_ORDER_ABORT) {
                give_up(w, w->link->shared->text);
                return 1;
            }
            (void)pthread_mutex_lock(&w->lock);
            task_queue_add(&w->queue, &o.task);
            (void)pthread_cond_signal(&w->wake);
            (void)pthread_mutex_unlock(&w->lock);
        }
        if (r < 0) {
            give_up(w, "the backup's process ended");
            return 1;
        }
    }
}

/* Behind the guests and all others; no pipe of ballastd's is held open. */
static void settle(pid_t receiver)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != receiver)
        _exit(1);
    (void)prctl(PR_SET_NAME, "ballast-store");
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error code to us */
    (void)setpriority(PRIO_PROCESS, 0, WORKER_NICE); /* a nicety, as is the next */
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)close(null);
    }
}

int worker_run(struct copy_link *link, const struct copy_job *job, pid_t receiver)
{
    static struct worker w = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    struct link_note n = {.kind = LINK_NOTE_OPENED};
    struct err e = {0};

    settle(receiver);
    w.link = link;
    w.job = job;
    w.ops = job->repository[0] ? &store_repo : &store_raw;
    if (w.ops->open(job, &w.store, &e) < 0) {
        note_failed(&w, &e);
        return 1;
    }
    n.chunk_bytes = w.chunk_bytes = w.ops->chunk_bytes(w.store);
    if (threads_start(&w, &e) < 0) {
        give_up(&w, e.text);
        note_failed(&w, &e);
        return 1;
    }
    (void)link_send_note(link, &n); /* a receiver that is gone shows as the link's end */
    return orders_run(&w, receiver);
}
