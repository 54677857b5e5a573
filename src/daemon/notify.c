/* SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "log.h"
#include "text.h"

struct notify {
    pthread_mutex_t lock;
    pthread_cond_t ended;   /* the thread is done */
    pthread_t thread;
    bool has_thread, stop, done;
    int wake_fd;            /* eventfd: something to look at */
    char host_name[NOTIFY_NAME_SIZE];
    uint64_t timeout_usec;
    uint64_t ids;           /* given out */
    uint64_t dropped;       /* since the last message that found room */
    size_t head, count;
    struct notify_message queue[NOTIFY_QUEUE_MAX];
    struct wire_notify state; /* all but waiting */

    struct notify_run runs[NOTIFY_RUNS_MAX]; /* the thread's own */
};

static uint64_t now_usec(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void wake(struct notify *n)
{
    (void)eventfd_write(n->wake_fd, 1); /* full only where the thread has plenty to wake for */
}

/* ---- the thread ---- */

static bool is_same_cause(const struct notify_message *a, const struct notify_message *b)
{
    return a->event == b->event && strcmp(a->guest, b->guest) == 0;
}

/* Takes the first message out of the queue whose cause has none running. Called with the lock held. */
static bool take(struct notify *n, bool only_critical, struct notify_message *ret)
{
    for (size_t i = 0; i < n->count; i++) {
        const struct notify_message *m = &n->queue[(n->head + i) % NOTIFY_QUEUE_MAX];
        bool waits = only_critical && m->severity != NOTIFY_CRITICAL;

        for (size_t k = 0; k < NOTIFY_RUNS_MAX; k++)
            waits = waits || (n->runs[k].is_active && is_same_cause(&n->runs[k].message, m));
        if (waits)
            continue;
        *ret = *m;
        for (size_t k = i; k > 0; k--)
            n->queue[(n->head + k) % NOTIFY_QUEUE_MAX] = n->queue[(n->head + k - 1) % NOTIFY_QUEUE_MAX];
        n->head = (n->head + 1) % NOTIFY_QUEUE_MAX;
        n->count--;
        return true;
    }
    return false;
}

static void tell_output(const struct notify_run *r, enum log_level level)
{
    const char *at = r->output;
    int lines = 0;

    while (*at && lines < NOTIFY_LINES_MAX) {
        size_t len = strcspn(at, "\n");
        char line[256];

        (void)snprintf(line, sizeof(line), "%.*s", (int)(len < sizeof(line) ? len : sizeof(line) - 1), at);
        text_clean(line);
        if (line[0]) {
            log_line(level, "notify command (%s): %s", notify_events[r->message.event].name, line);
            lines++;
        }
        at += len + (at[len] == '\n');
    }
    if (*at || r->was_cut)
        log_line(level, "notify command (%s): it printed more than is shown here", notify_events[r->message.event].name);
}

/* A run ended, well (result "") or not. */
static void settle(struct notify *n, const struct notify_run *r, const char *result)
{
    const struct notify_message *m = &r->message;
    bool is_bad = result[0] != '\0';

    if (is_bad)
        log_warning("a message may not have reached anybody, the notify command %s: %s", result, m->text);
    tell_output(r, is_bad ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO);
    (void)pthread_mutex_lock(&n->lock);
    n->state.sent += !is_bad;
    n->state.failed += is_bad;
    n->state.last = (struct wire_notify_run){.id = m->id, .time_sec = (uint64_t)time(NULL)};
    wire_text_copy(n->state.last.event, sizeof(n->state.last.event), notify_events[m->event].name);
    wire_text_copy(n->state.last.guest, sizeof(n->state.last.guest), m->guest);
    wire_text_copy(n->state.last.result, sizeof(n->state.last.result), result);
    wire_text_copy(n->state.last.output, sizeof(n->state.last.output), r->output);
    text_clean(n->state.last.output);
    if (m->event == NOTIFY_TEST)
        n->state.last_test = n->state.last;
    (void)pthread_mutex_unlock(&n->lock);
}

/* Starts what may start. False: the end has come. */
static bool start_some(struct notify *n)
{
    bool goes_on;

    for (size_t i = 0; i < NOTIFY_RUNS_MAX; i++) {
        struct notify_run *r = &n->runs[i];
        char command[PATHS_SIZE];
        uint64_t timeout_usec;
        struct err e = {0};
        bool is_taken;

        if (r->is_active)
            continue;
        (void)pthread_mutex_lock(&n->lock);
        is_taken = !n->stop && (take(n, /* only_critical= */ true, &r->message) || take(n, false, &r->message));
        memcpy(command, n->state.command, sizeof(command));
        timeout_usec = n->timeout_usec;
        n->state.running += is_taken;
        (void)pthread_mutex_unlock(&n->lock);
        if (!is_taken)
            break;
        if (notify_run_start(r, command, timeout_usec, now_usec(), &e) < 0) {
            settle(n, r, e.text);
            i--; /* its place is free again */
            (void)pthread_mutex_lock(&n->lock);
            n->state.running--;
            (void)pthread_mutex_unlock(&n->lock);
        }
    }
    (void)pthread_mutex_lock(&n->lock);
    goes_on = !n->stop;
    (void)pthread_mutex_unlock(&n->lock);
    return goes_on;
}

/* Waits until there is something to do. */
static void wait_for_any(struct notify *n)
{
    struct pollfd fds[1 + NOTIFY_RUNS_MAX * NOTIFY_RUN_FDS];
    uint64_t until_usec = UINT64_MAX, now = now_usec();
    eventfd_t ignored;
    nfds_t count = 0;
    int wait_ms = -1;

    fds[count++] = (struct pollfd){.fd = n->wake_fd, .events = POLLIN};
    for (size_t i = 0; i < NOTIFY_RUNS_MAX; i++) {
        const struct notify_run *r = &n->runs[i];

        if (!r->is_active)
            continue;
        count += notify_run_fds(r, fds + count);
        if (r->deadline_usec < until_usec)
            until_usec = r->deadline_usec;
    }
    if (until_usec != UINT64_MAX)
        wait_ms = until_usec > now ? (int)((until_usec - now) / 1000) + 1 : 0; /* at most the 10 min of the key */
    if (poll(fds, count, wait_ms) > 0 && fds[0].revents)
        (void)eventfd_read(n->wake_fd, &ignored);
}

static void *notify_main(void *user)
{
    struct notify *n = user;
    sigset_t all;

    (void)sigfillset(&all); /* signals are the loop's; and a command that does not read is no reason to die of SIGPIPE */
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    while (start_some(n)) {
        wait_for_any(n);
        for (size_t i = 0; i < NOTIFY_RUNS_MAX; i++) {
            struct notify_run *r = &n->runs[i];

            if (!r->is_active || !notify_run_turn(r, now_usec()))
                continue;
            settle(n, r, r->result);
            (void)pthread_mutex_lock(&n->lock);
            n->state.running--;
            (void)pthread_mutex_unlock(&n->lock);
        }
    }
    for (size_t i = 0; i < NOTIFY_RUNS_MAX; i++)
        if (n->runs[i].is_active)
            notify_run_leave(&n->runs[i]);
    (void)pthread_mutex_lock(&n->lock);
    n->done = true;
    (void)pthread_cond_signal(&n->ended);
    (void)pthread_mutex_unlock(&n->lock);
    return NULL;
}

/* ---- the loop's side ---- */

int notify_new(const char *host_name, struct notify **ret, struct err *e)
{
    struct notify *n = calloc(1, sizeof(*n));
    pthread_condattr_t attr;

    if (!n)
        return err_set(e, ENOMEM, "no memory for messages");
    n->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (n->wake_fd < 0) {
        free(n);
        return err_set(e, errno, "cannot make an eventfd for messages: %s", strerror(errno));
    }
    wire_text_copy(n->host_name, sizeof(n->host_name), host_name);
    (void)pthread_mutex_init(&n->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&n->ended, &attr);
    (void)pthread_condattr_destroy(&attr);
    *ret = n;
    return 0;
}

int notify_configure(struct notify *n, const char *command, uint64_t timeout_usec, struct err *e)
{
    int code;

    if (command && !n->has_thread) {
        code = pthread_create(&n->thread, NULL, notify_main, n);
        if (code)
            return err_set(e, code, "cannot start the thread that runs the notify command: %s", strerror(code));
        n->has_thread = true;
    }
    (void)pthread_mutex_lock(&n->lock);
    wire_text_copy(n->state.command, sizeof(n->state.command), command ? command : "");
    n->timeout_usec = timeout_usec;
    n->state.timeout_ms = timeout_usec / 1000;
    if (!command)
        n->count = 0;
    (void)pthread_mutex_unlock(&n->lock);
    return 0;
}

/* Called with the lock held. */
static bool has_room(const struct notify *n)
{
    return n->state.command[0] && n->count < NOTIFY_QUEUE_MAX;
}

static uint64_t put(struct notify *n, const struct notify_message *m, bool can_wait)
{
    struct notify_message *to;
    uint64_t id = 0;

    (void)pthread_mutex_lock(&n->lock);
    if (has_room(n)) {
        to = &n->queue[(n->head + n->count++) % NOTIFY_QUEUE_MAX];
        *to = *m;
        to->id = id = ++n->ids;
        to->dropped = m->dropped + n->dropped;
        n->state.dropped += m->dropped;
        to->time_sec = (int64_t)time(NULL);
        wire_text_copy(to->host, sizeof(to->host), n->host_name);
        n->dropped = 0;
    } else if (n->state.command[0] && !can_wait) {
        n->dropped++;
        n->state.dropped++;
    }
    (void)pthread_mutex_unlock(&n->lock);
    if (id)
        wake(n);
    return id;
}

uint64_t notify_send(struct notify *n, const struct notify_message *m)
{
    return put(n, m, /* can_wait= */ false);
}

uint64_t notify_offer(void *user, const struct notify_message *m)
{
    return put(user, m, /* can_wait= */ true);
}

void notify_read(struct notify *n, struct wire_notify *ret)
{
    (void)pthread_mutex_lock(&n->lock);
    *ret = n->state;
    ret->waiting = n->count;
    (void)pthread_mutex_unlock(&n->lock);
}

bool notify_warning(struct notify *n, char *text, size_t size, uint64_t *ret_age_ms)
{
    uint64_t now_sec = (uint64_t)time(NULL);
    struct wire_notify s;

    notify_read(n, &s);
    if (!s.command[0] || !s.last.result[0])
        return false;
    (void)snprintf(text, size, "the notify command '%s' %s (%" PRIu64 " of %" PRIu64 " messages so): nobody may know what is "
                   "wrong; 'ballast notify-test' tries it", s.command, s.last.result, s.failed, s.failed + s.sent);
    *ret_age_ms = now_sec > s.last.time_sec ? (now_sec - s.last.time_sec) * 1000 : 0;
    return true;
}

struct notify *notify_free(struct notify *n)
{
    struct timespec until;
    bool done = true;
    size_t lost;

    if (!n)
        return NULL;
    (void)pthread_mutex_lock(&n->lock);
    n->stop = true;
    lost = n->count;
    (void)pthread_mutex_unlock(&n->lock);
    if (lost)
        log_warning("ballastd stops: %zu messages were not handed to the notify command any more", lost);
    if (n->has_thread) {
        wake(n);
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += NOTIFY_STOP_SEC;
        (void)pthread_mutex_lock(&n->lock);
        while (!n->done && pthread_cond_timedwait(&n->ended, &n->lock, &until) == 0)
            ;
        done = n->done;
        (void)pthread_mutex_unlock(&n->lock);
        if (!done) { /* the program's disk hangs: the thread is left to the process's end, with what it uses */
            (void)pthread_detach(n->thread);
            return NULL;
        }
        (void)pthread_join(n->thread, NULL);
    }
    (void)close(n->wake_fd);
    (void)pthread_cond_destroy(&n->ended);
    (void)pthread_mutex_destroy(&n->lock);
    free(n);
    return NULL;
}
