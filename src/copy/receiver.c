/* SPDX-License-Identifier: Apache-2.0 */
#include "receiver.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "assembly.h"
#include "bucket.h"
#include "copy_clock.h"
#include "copy_job.h"
#include "copy_link.h"
#include "rx_disk.h"
#include "worker.h"

#define LOOK_MSEC          250      /* the longest sleep: beats, deadlines */
#define PROGRESS_USEC      1000000ULL
#define COMMIT_USEC        600000000ULL /* syncing gigabytes to a slow disk takes minutes; nobody in QEMU waits for it */
#define WORKER_END_USEC    5000000ULL   /* for throwing a point away; one that hangs is killed, or left to the kernel */
#define SAY_MSEC           5000         /* a last word waits that long for a reader */

enum rx_phase {
    RX_WAITING,    /* for the job */
    RX_OPENING,    /* the worker opens the repository */
    RX_SERVING,
    RX_FAILED,     /* said so; requests end with an error until ballastd ends us */
    RX_DRAINING,   /* to finish: sockets are closed, the last chunks are being stored */
    RX_COMMITTING,
    RX_OVER,
};

struct receiver {
    enum rx_phase phase;
    uint64_t since_usec; /* of the phase */
    uint64_t moved_usec; /* when a chunk was last stored, or none waited */
    uint64_t told_usec;  /* progress */
    int exit_code;
    int failed;               /* positive errno that requests end with; 0: none */
    bool stalled;             /* the worker is not waited for */
    bool lost;                /* an order could not be sent */
    char reason[ERR_TEXT_SIZE]; /* why it failed */

    struct copy_job *job;
    struct copy_link link;
    pid_t worker; /* 0: none */
    struct assembly assembly;
    struct bucket bucket;
    struct rx_disk disks[COPY_DISKS_MAX];

    char *in; /* COPY_LINE_MAX bytes: lines being read */
    size_t in_len;
};

static void phase_set(struct receiver *rx, enum rx_phase phase)
{
    rx->phase = phase;
    rx->since_usec = rx->moved_usec = copy_clock_usec();
}

/* A line goes out whole or not at all: it fits a pipe that polls writable. */
static void say(struct wire_text *t, int wait_msec)
{
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};

    if (!t->failed && poll(&p, 1, wait_msec) == 1 && p.revents & POLLOUT)
        (void)!write(STDOUT_FILENO, t->data, t->length); /* a reader that is gone shows on stdin */
    wire_text_done(t);
}

/* Nothing of this backup will be committed. */
static void fail(struct receiver *rx, int code, const char *text, const char *hint)
{
    struct wire_text t = {0};

    if (rx->phase == RX_FAILED || rx->phase == RX_OVER)
        return;
    copy_print_failed(&t, text, hint);
    say(&t, SAY_MSEC);
    wire_text_copy(rx->reason, sizeof(rx->reason), text);
    rx->failed = code == ENOSPC || code == EDQUOT || code == EFBIG ? ENOSPC : EIO;
    phase_set(rx, rx->phase == RX_SERVING ? RX_FAILED : RX_OVER); /* else no job of QEMU's is there to be told */
}

/* ---- Lines. */

static void order_job(struct receiver *rx, struct copy_job *job)
{
    struct err e = {0};
    pid_t self = getpid();

    rx->job = job;
    phase_set(rx, RX_OPENING);
    if (link_init(&rx->link, job, &e) < 0) {
        fail(rx, e.code, e.text, "");
        return;
    }
    rx->worker = fork();
    if (rx->worker == 0) {
        (void)close(rx->link.receiver_fd);
        rx->link.receiver_fd = -1;
        exit(worker_run(&rx->link, job, self));
    }
    if (rx->worker < 0) {
        (void)err_set(&e, errno, "cannot start the process that writes: %s", strerror(errno)); /* returned below */
        rx->worker = 0;
        fail(rx, e.code, e.text, "");
    }
    (void)close(rx->link.worker_fd);
    rx->link.worker_fd = -1;
}

static void order_finish(struct receiver *rx, struct json_object *manifest)
{
    const char *facts = json_object_to_json_string_ext(manifest, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    struct err e = {0};

    for (size_t i = 0; i < rx->job->disks_n; i++)
        if (assembly_check(&rx->assembly, i, &rx->job->disks[i], &e) < 0) {
            fail(rx, EIO, e.text, "The next backup repeats what is missing; QEMU's job should have ended with an error.");
            return;
        }
    for (size_t i = 0; i < rx->job->disks_n; i++)
        rx_disk_close(&rx->disks[i]);
    if (strlen(facts) >= sizeof(rx->link.shared->text)) { /* it was a line, but may be written at more length now */
        fail(rx, EMSGSIZE, "the facts for the manifest are longer than 1 MiB", "");
        return;
    }
    wire_text_copy(rx->link.shared->text, sizeof(rx->link.shared->text), facts);
    phase_set(rx, RX_DRAINING);
}

static void order_take(struct receiver *rx, const char *line, size_t len)
{
    struct copy_order o;
    struct err e = {0};

    if (copy_order_parse(line, len, &o, &e) < 0) {
        fail(rx, e.code, e.text, "This is a fault of ballast: please report it.");
        return;
    }
    if (o.verb == COPY_VERB_CANCEL) {
        phase_set(rx, RX_OVER);
    } else if (o.verb == COPY_VERB_JOB && rx->phase == RX_WAITING) {
        order_job(rx, TAKE(o.job));
    } else if (o.verb == COPY_VERB_FINISH && rx->phase == RX_SERVING) {
        order_finish(rx, o.manifest);
    } else if (rx->phase != RX_FAILED) { /* that one was told, and the order was under way */
        fail(rx, EPROTO, "an order came that has no place here", "This is a fault of ballast: please report it.");
    }
    copy_order_done(&o);
}

/* Takes whole lines out of what was read. */
static void lines_take(struct receiver *rx)
{
    char *begin = rx->in, *end;

    while (rx->phase != RX_OVER && (end = memchr(begin, '\n', rx->in_len))) {
        size_t len = (size_t)(end - begin);

        order_take(rx, begin, len);
        begin = end + 1;
        rx->in_len -= len + 1;
    }
    memmove(rx->in, begin, rx->in_len);
    if (rx->in_len == COPY_LINE_MAX)
        fail(rx, EMSGSIZE, "a line on stdin is longer than 1 MiB", "This is a fault of ballast: please report it.");
}

static void stdin_serve(struct receiver *rx)
{
    ssize_t n = read(STDIN_FILENO, rx->in + rx->in_len, COPY_LINE_MAX - rx->in_len);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) { /* ballastd is gone, or calls it off */
        phase_set(rx, RX_OVER);
        return;
    }
    rx->in_len += (size_t)n;
    lines_take(rx);
}

/* ---- The worker. */

static void task_hand(void *user, const struct assembly_task *task)
{
    struct receiver *rx = user;
    const struct link_order o = {.kind = LINK_ORDER_TASK, .task = *task};

    if (rx->assembly.handed == 1)
        rx->moved_usec = copy_clock_usec(); /* the first to wait: its time begins */
    if (link_send_order(&rx->link, &o) < 0)
        rx->lost = true;
}

static int disks_listen(struct receiver *rx, uint32_t chunk_bytes, struct err *e)
{
    const struct copy_job *job = rx->job;

    assembly_init(&rx->assembly, chunk_bytes, rx->link.buffers, task_hand, rx);
    bucket_init(&rx->bucket, job->bandwidth_bytes_per_second, copy_clock_usec());
    for (size_t i = 0; i < job->disks_n; i++) {
        struct rx_disk *d = &rx->disks[i];
        int r = assembly_add_disk(&rx->assembly, job->disks[i].size_bytes, rx->link.states[i], e);

        d->path = job->disks[i].socket;
        d->number = i;
        d->size_bytes = job->disks[i].size_bytes;
        d->assembly = &rx->assembly;
        d->bucket = &rx->bucket;
        d->failed = &rx->failed;
        if (r == 0)
            r = rx_disk_listen(d, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static void note_opened(struct receiver *rx, uint32_t chunk_bytes)
{
    struct wire_text t = {0};
    struct err e = {0};

    if (disks_listen(rx, chunk_bytes, &e) < 0) {
        fail(rx, e.code, e.text, "");
        return;
    }
    phase_set(rx, RX_SERVING);
    copy_print_ready(&t, chunk_bytes);
    say(&t, SAY_MSEC);
}

static void note_done(struct receiver *rx, const struct link_note *n)
{
    struct rx_disk *d = &rx->disks[n->disk];

    d->stored_bytes += n->stored_bytes;
    d->new_chunks += n->new_chunks;
    rx->moved_usec = copy_clock_usec();
    if (assembly_take_back(&rx->assembly, n->buffer)) /* memory that was needed for once; a failure only keeps it */
        (void)madvise(rx->link.buffers + (size_t)n->buffer * rx->assembly.chunk_bytes, rx->assembly.chunk_bytes,
                      MADV_REMOVE);
}

static void progress_say(const struct receiver *rx)
{
    for (size_t i = 0; i < rx->job->disks_n; i++) {
        const struct assembly_disk *a = &rx->assembly.disks[i];
        const struct rx_disk *d = &rx->disks[i];
        const struct copy_progress p = {rx->job->disks[i].name, a->size_bytes, a->received_bytes, a->data_bytes,
                                        d->stored_bytes, d->new_chunks, d->fd >= 0};
        struct wire_text t = {0};

        copy_print_progress(&t, &p);
        say(&t, 0);
    }
}

static void note_take(struct receiver *rx, const struct link_note *n)
{
    struct wire_text t = {0};

    switch (n->kind) {
    case LINK_NOTE_OPENED:
        note_opened(rx, n->chunk_bytes);
        return;
    case LINK_NOTE_DONE:
        note_done(rx, n);
        return;
    case LINK_NOTE_FAILED:
        fail(rx, n->code, n->text, n->hint);
        return;
    case LINK_NOTE_COMMITTED:
        progress_say(rx); /* the last word on what was stored */
        copy_print_committed(&t, n->text);
        say(&t, SAY_MSEC);
        rx->exit_code = 0;
        phase_set(rx, RX_OVER);
        return;
    }
}

static void link_serve(struct receiver *rx)
{
    struct link_note n;
    int r;

    while ((r = link_receive_note(&rx->link, &n)) == 1)
        note_take(rx, &n);
    if (r < 0) {
        (void)close(rx->link.receiver_fd);
        rx->link.receiver_fd = -1;
        fail(rx, EIO, "the process that writes into the repository ended", "See ballastd's log and the kernel's for why.");
    }
}

static void order_send_finish(struct receiver *rx)
{
    const struct link_order o = {.kind = LINK_ORDER_FINISH};

    for (size_t i = 0; i < rx->job->disks_n; i++)
        rx->link.shared->figures[i] = (struct link_figures){rx->assembly.disks[i].received_bytes, rx->disks[i].stored_bytes};
    (void)link_send_order(&rx->link, &o); /* a worker that is gone shows as the link's end */
    phase_set(rx, RX_COMMITTING);
}

/* ---- Time. */

static void progress_tell(struct receiver *rx, uint64_t now_usec)
{
    if (now_usec - rx->told_usec < PROGRESS_USEC || rx->phase < RX_SERVING || rx->phase == RX_OVER)
        return;
    rx->told_usec = now_usec;
    progress_say(rx);
}

static void fail_stalled(struct receiver *rx, const char *what)
{
    struct err e = {0};

    (void)err_set(&e, ETIMEDOUT, "%s for %" PRIu64 " s", what, rx->job->stall_msec / 1000); /* told below */
    rx->stalled = true;
    fail(rx, e.code, e.text, "Is the repository's disk or server hung? See the kernel's log.");
}

static void deadlines_check(struct receiver *rx, uint64_t now_usec)
{
    uint64_t in_phase = now_usec - rx->since_usec;

    if (!rx->job || rx->phase == RX_OVER)
        return;
    uint64_t stall_usec = rx->job->stall_msec * 1000;
    if (rx->lost)
        fail(rx, EIO, "the process that writes into the repository takes no more orders", "");
    if (rx->phase == RX_OPENING && in_phase > stall_usec)
        fail_stalled(rx, "the repository did not open");
    if ((rx->phase == RX_SERVING || rx->phase == RX_DRAINING) && rx->assembly.handed > 0 &&
        now_usec - rx->moved_usec > stall_usec)
        fail_stalled(rx, "the repository took nothing");
    if (rx->phase == RX_COMMITTING && in_phase > COMMIT_USEC)
        fail_stalled(rx, "the repository did not commit");
    if (rx->phase == RX_FAILED && in_phase > stall_usec)
        phase_set(rx, RX_OVER); /* nobody cared: at least the sockets close */
    if (rx->phase == RX_DRAINING && rx->assembly.handed == 0)
        order_send_finish(rx);
}

static int sleep_msec(const struct receiver *rx)
{
    uint64_t usec = LOOK_MSEC * 1000ULL;

    for (size_t i = 0; rx->job && i < rx->job->disks_n; i++)
        if (rx->disks[i].held && bucket_wait_usec(&rx->bucket, NBD_BLOCK_WANTED) < usec)
            usec = bucket_wait_usec(&rx->bucket, NBD_BLOCK_WANTED);
    return (int)((usec + 999) / 1000);
}

/* One turn: waits, then serves all that came. */
static void turn(struct receiver *rx)
{
    struct pollfd p[2 + 2 * COPY_DISKS_MAX];
    size_t disks = rx->job ? rx->job->disks_n : 0;
    uint64_t now;

    p[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    p[1] = (struct pollfd){.fd = rx->link.receiver_fd, .events = POLLIN};
    for (size_t i = 0; i < disks; i++)
        rx_disk_poll(&rx->disks[i], &p[2 + 2 * i]);
    if (poll(p, (nfds_t)(2 + 2 * disks), sleep_msec(rx)) < 0)
        return; /* interrupted */
    now = copy_clock_usec();
    if (rx->link.shared)
        (void)atomic_fetch_add(&rx->link.shared->beats, 1);
    if (p[1].revents)
        link_serve(rx);
    for (size_t i = 0; i < disks; i++)
        rx_disk_serve(&rx->disks[i], &p[2 + 2 * i], now);
    if (p[0].revents && rx->phase != RX_OVER)
        stdin_serve(rx);
    now = copy_clock_usec();
    deadlines_check(rx, now);
    progress_tell(rx, now);
}

/* Ends the worker: it throws away what is not committed, is killed where it takes too long, and left to the kernel where
 * it can't be killed. */
static void worker_end(struct receiver *rx)
{
    const struct link_order o = {.kind = LINK_ORDER_ABORT};
    const struct timespec nap = {.tv_nsec = 5000000};
    uint64_t patience = rx->stalled || !rx->job ? 0 : rx->job->stall_msec * 1000;
    uint64_t end = copy_clock_usec() + (patience < WORKER_END_USEC ? patience : WORKER_END_USEC);

    if (rx->worker <= 0)
        return;
    if (rx->exit_code != 0 && rx->link.receiver_fd >= 0) {
        wire_text_copy(rx->link.shared->text, sizeof(rx->link.shared->text),
                       rx->failed ? rx->reason : "it was called off");
        (void)link_send_order(&rx->link, &o); /* one that is gone has nothing to throw away */
    }
    while (waitpid(rx->worker, NULL, WNOHANG) == 0) {
        if (copy_clock_usec() >= end) {
            (void)kill(rx->worker, SIGKILL);
            return;
        }
        (void)nanosleep(&nap, NULL);
    }
}

int receiver_run(void)
{
    static struct receiver rx;
    pid_t parent = getppid();

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* the end of stdin tells it, too; this also when it is stopped */
    if (getppid() != parent)
        return 1;
    rx.link.receiver_fd = rx.link.worker_fd = -1;
    for (size_t i = 0; i < COPY_DISKS_MAX; i++)
        rx_disk_init(&rx.disks[i]);
    rx.in = malloc(COPY_LINE_MAX);
    if (!rx.in)
        return 1;
    rx.exit_code = 1; /* until a point is committed */
    phase_set(&rx, RX_WAITING);
    while (rx.phase != RX_OVER)
        turn(&rx);
    for (size_t i = 0; i < COPY_DISKS_MAX; i++)
        rx_disk_close(&rx.disks[i]); /* first of all: QEMU waits for nothing of ours any more */
    worker_end(&rx);
    assembly_done(&rx.assembly);
    link_done(&rx.link);
    free(rx.job);
    free(rx.in);
    return rx.exit_code;
}
