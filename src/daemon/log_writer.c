/* SPDX-License-Identifier: Apache-2.0 */
#include "log_writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define LOG_WRITER_ROOM (256 * 1024) /* a few thousand lines: a journal restart takes a second or two */
#define LOG_WRITER_CHUNK 4096        /* copied out under the lock at once */

static struct log_writer {
    pthread_mutex_t lock;
    pthread_cond_t wake;    /* there is something to write, or to stop */
    pthread_cond_t stopped; /* the thread is done */
    pthread_t thread;
    size_t head, used;      /* ring: first byte to write, bytes to write */
    uint64_t lost;          /* lines dropped since the last one that fitted */
    bool running, stop, done;
    char room[LOG_WRITER_ROOM];
} writer = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
};

/* Called with the lock held; the caller made sure that it fits. */
static void log_writer_put(const char *data, size_t len)
{
    size_t at = (writer.head + writer.used) % LOG_WRITER_ROOM;
    size_t first = len < LOG_WRITER_ROOM - at ? len : LOG_WRITER_ROOM - at;

    memcpy(writer.room + at, data, first);
    memcpy(writer.room, data + first, len - first);
    writer.used += len;
}

static void log_writer_sink(const char *line, size_t len)
{
    (void)pthread_mutex_lock(&writer.lock);
    char note[64] = "";
    size_t extra = 0;
    if (writer.lost)
        extra = (size_t)snprintf(note, sizeof(note), "(%llu lines of the log were lost)\n",
                                 (unsigned long long)writer.lost);
    if (writer.used + extra + len > LOG_WRITER_ROOM) {
        writer.lost++;
    } else {
        log_writer_put(note, extra);
        log_writer_put(line, len);
        writer.lost = 0;
        (void)pthread_cond_signal(&writer.wake);
    }
    (void)pthread_mutex_unlock(&writer.lock);
}

static void *log_writer_run(void *arg)
{
    char chunk[LOG_WRITER_CHUNK];

    (void)arg;
    (void)pthread_mutex_lock(&writer.lock);
    for (;;) {
        while (!writer.used && !writer.stop)
            (void)pthread_cond_wait(&writer.wake, &writer.lock);
        if (!writer.used)
            break;
        size_t len = writer.used < sizeof(chunk) ? writer.used : sizeof(chunk);
        if (len > LOG_WRITER_ROOM - writer.head)
            len = LOG_WRITER_ROOM - writer.head;
        memcpy(chunk, writer.room + writer.head, len);
        writer.head = (writer.head + len) % LOG_WRITER_ROOM;
        writer.used -= len;
        (void)pthread_mutex_unlock(&writer.lock);
        for (size_t done = 0; done < len;) {
            ssize_t n = write(STDERR_FILENO, chunk + done, len - done);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                break; /* nowhere left to complain */
            done += (size_t)n;
        }
        (void)pthread_mutex_lock(&writer.lock);
    }
    writer.done = true;
    (void)pthread_cond_signal(&writer.stopped);
    (void)pthread_mutex_unlock(&writer.lock);
    return NULL;
}

int log_writer_start(struct err *e)
{
    pthread_condattr_t attr;
    sigset_t all, before;
    int code;

    if (writer.running)
        return 0;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&writer.stopped, &attr);
    (void)pthread_condattr_destroy(&attr);
    writer.stop = writer.done = false;
    (void)sigfillset(&all); /* signals are the loop's */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(&writer.thread, NULL, log_writer_run, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code)
        return err_set(e, code, "cannot start the thread that writes the log: %s", strerror(code));
    writer.running = true;
    log_set_sink(log_writer_sink);
    return 0;
}

void log_writer_stop(void)
{
    struct timespec until;
    bool done;

    if (!writer.running)
        return;
    log_set_sink(NULL);
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    (void)pthread_mutex_lock(&writer.lock);
    writer.stop = true;
    (void)pthread_cond_signal(&writer.wake);
    while (!writer.done && pthread_cond_timedwait(&writer.stopped, &writer.lock, &until) == 0)
        ;
    done = writer.done;
    (void)pthread_mutex_unlock(&writer.lock);
    /* A thread still in write(2) is left to the process's end: waiting for it could take for ever. */
    if (done)
        (void)pthread_join(writer.thread, NULL);
    else
        (void)pthread_detach(writer.thread);
    writer.running = false;
}
