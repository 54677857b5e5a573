/* SPDX-License-Identifier: Apache-2.0 */
#include "qga.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "own.h"
#include "qmp_buffer.h"

#define READ_BYTES 65536U /* per turn of the loop, so that a chatty guest leaves time for others */

struct qga {
    struct sd_event *loop;
    struct sd_event_source *io, *timer;
    char guest[64];
    int fd;
    struct qmp_buffer in, out;

    bool in_step;     /* the next line answers the command under way */
    uint64_t sync_id; /* awaited while not in step; 0: none was sent */
    size_t wasted;    /* bytes thrown away for this command */

    qga_reply_fn *done; /* NULL: nothing under way */
    void *user;
    char command[40];
};
OWN_DEFINE(qga);

int qga_line_parse(const char *buf, size_t len, struct qmp_message *ret, bool *ret_delimited, struct err *e)
{
    const char *mark = memrchr(buf, 0xff, len);

    if (len > QGA_LINE_MAX)
        return err_set(e, EMSGSIZE, "a line of more than %u KiB", QGA_LINE_MAX >> 10);
    *ret_delimited = mark != NULL;
    if (mark) {
        len -= (size_t)(mark + 1 - buf);
        buf = mark + 1;
    }
    return qmp_message_parse(buf, len, ret, e);
}

static void finish(struct qga *q, struct json_object *value, const struct err *e)
{
    qga_reply_fn *done = q->done;

    (void)sd_event_source_set_enabled(q->timer, SD_EVENT_OFF);
    q->done = NULL;
    if (done)
        done(q->user, value, e); /* may free q */
}

static void hang_up(struct qga *q, int code, const char *what)
{
    struct err e = {0};

    q->io = sd_event_source_disable_unref(q->io);
    if (q->fd >= 0)
        (void)close(q->fd); /* a socket: nothing is lost by a failing close */
    q->fd = -1;
    (void)err_set(&e, code, "the guest agent of '%s' ended '%s': %s", q->guest, q->command, what);
    finish(q, NULL, &e);
}

/* An answer in step. */
static void take_answer(struct qga *q, const struct qmp_message *m)
{
    struct err e = {0};
    int code = strcmp(m->name, "CommandNotFound") == 0 ? ENOSYS : EREMOTEIO;

    if (m->kind == QMP_RETURN) {
        finish(q, m->body, NULL);
        return;
    }
    (void)err_set(&e, code, "the guest agent of '%s' refused '%s': %s", q->guest, q->command,
                  m->text[0] ? m->text : "no reason given");
    finish(q, NULL, &e);
}

/* Returns false where q may be gone. */
static bool take_line(struct qga *q, const char *line, size_t len)
{
    struct qmp_message m;
    struct err e = {0};
    bool delimited, go_on = true;
    uint64_t id;

    if (!q->done)
        return true; /* nobody asked */
    if (qga_line_parse(line, len, &m, &delimited, &e) < 0) {
        q->wasted += len + 1; /* what a half sent line became; the answer may still come */
        return true;
    }
    if (q->in_step && (m.kind == QMP_RETURN || m.kind == QMP_ERROR)) {
        go_on = false;
        take_answer(q, &m);
    } else if (!q->in_step && delimited && m.kind == QMP_RETURN && qmp_to_u64(m.body, &id) && id == q->sync_id) {
        q->in_step = true;
    } else {
        q->wasted += len + 1;
    }
    qmp_message_done(&m);
    return go_on;
}

static void take_lines(struct qga *q)
{
    size_t start = 0, next, len;

    while (qmp_buffer_line(&q->in, start, &len, &next)) {
        size_t from = start;

        start = next;
        if (len == 0)
            continue;
        if (take_line(q, q->in.data + from, len))
            continue;
        return; /* answered: what else is there is thrown away before the next command, by its own in_step rule */
    }
    qmp_buffer_drop(&q->in, start);
    if (q->wasted > QGA_WASTE_MAX)
        hang_up(q, EPROTO, "it sent too much that was not asked for");
}

static void flush(struct qga *q)
{
    while (q->out.len > 0) {
        ssize_t n = send(q->fd, q->out.data, q->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break; /* a broken connection shows on reading, too */
        qmp_buffer_drop(&q->out, (size_t)n);
    }
    if (q->io)
        (void)sd_event_source_set_io_events(q->io, q->out.len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void receive(struct qga *q)
{
    struct err e = {0};
    size_t room;
    ssize_t n;

    if (qmp_buffer_room(&q->in, 1, QGA_LINE_MAX, &e) < 0) {
        hang_up(q, EPROTO, "it sent a line without end");
        return;
    }
    room = q->in.size - q->in.len;
    n = recv(q->fd, q->in.data + q->in.len, room < READ_BYTES ? room : READ_BYTES, MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        hang_up(q, ECANCELED, n < 0 ? strerror(errno) : "the connection was closed");
        return;
    }
    q->in.len += (size_t)n;
    take_lines(q);
}

static int on_io(struct sd_event_source *s, int fd, uint32_t events, void *user)
{
    struct qga *q = user;

    (void)s;
    (void)fd;
    if (events & EPOLLOUT)
        flush(q);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        receive(q); /* q may be gone */
    return 0;
}

static int on_timer(struct sd_event_source *s, uint64_t usec, void *user)
{
    struct qga *q = user;
    struct err e = {0};

    (void)s;
    (void)usec;
    q->in_step = false;
    (void)err_set(&e, ETIMEDOUT, "the guest agent of '%s' does not answer '%s'", q->guest, q->command);
    finish(q, NULL, &e);
    return 0;
}

int qga_new(struct sd_event *loop, const char *guest, const char *path, struct qga **ret, struct err *e)
{
    AUTO(qga) struct qga *q = calloc(1, sizeof(*q));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int r;

    if (!q)
        return err_set(e, ENOMEM, "no memory for the guest agent of '%s'", guest);
    q->fd = -1;
    (void)snprintf(q->guest, sizeof(q->guest), "%s", guest);
    if (strlen(path) >= sizeof(address.sun_path))
        return err_set(e, ENAMETOOLONG, "the socket path '%.200s' of the guest agent of '%s' is too long", path, guest);
    memcpy(address.sun_path, path, strlen(path) + 1);
    q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (q->fd < 0 || connect(q->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return err_set(e, errno, "cannot reach the guest agent of '%s' at '%s': %s", guest, path, strerror(errno));
    q->loop = sd_event_ref(loop);
    r = sd_event_add_io(loop, &q->io, q->fd, EPOLLIN, on_io, q);
    if (r >= 0)
        r = sd_event_add_time(loop, &q->timer, CLOCK_MONOTONIC, UINT64_MAX, /* accuracy= */ 1000, on_timer, q);
    if (r >= 0)
        r = sd_event_source_set_enabled(q->timer, SD_EVENT_OFF);
    if (r < 0)
        return err_set(e, -r, "cannot watch the guest agent of '%s': %s", guest, strerror(-r));
    *ret = TAKE(q);
    return 0;
}

struct qga *qga_free(struct qga *q)
{
    if (!q)
        return NULL;
    q->io = sd_event_source_disable_unref(q->io);
    q->timer = sd_event_source_disable_unref(q->timer);
    if (q->fd >= 0)
        (void)close(q->fd); /* a socket: nothing is lost by a failing close */
    qmp_buffer_done(&q->in);
    qmp_buffer_done(&q->out);
    q->loop = sd_event_unref(q->loop);
    free(q);
    return NULL;
}

/* A random id that JSON readers keep exact, never 0. */
static uint64_t fresh_id(void)
{
    uint32_t id = 0;

    (void)getrandom(&id, sizeof(id), GRND_NONBLOCK); /* only tells answers apart: a 0 of an early boot does as well */
    return (id & 0x7fffffffU) + 1ULL;
}

int qga_call(struct qga *q, uint64_t deadline_usec, const char *command, const char *arguments, qga_reply_fn *done,
             void *user, struct err *e)
{
    char text[512], sync[96] = "";
    int n, r;

    if (q->fd < 0)
        return err_set(e, ENOTCONN, "the connection to the guest agent of '%s' has ended", q->guest);
    if (q->done)
        return err_set(e, EBUSY, "the guest agent of '%s' has not answered '%s' yet", q->guest, q->command);
    if (!q->in_step) {
        q->sync_id = fresh_id();
        (void)snprintf(sync, sizeof(sync),
                       "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%" PRIu64 "}}\n", q->sync_id);
    }
    n = snprintf(text, sizeof(text), "%s{\"execute\":\"%s\"%s%s}\n", sync, command, arguments ? ",\"arguments\":" : "",
                 arguments ? arguments : "");
    if (n < 0 || (size_t)n >= sizeof(text))
        return err_set(e, EINVAL, "a command of more than %zu bytes to the guest agent", sizeof(text));
    r = qmp_buffer_room(&q->out, (size_t)n, QMP_BUFFER_MIN, e);
    if (r < 0)
        return err_set(e, EBUSY, "the guest agent of '%s' does not read what it is sent", q->guest);
    memcpy(q->out.data + q->out.len, text, (size_t)n);
    q->out.len += (size_t)n;
    if (q->in_step)
        qmp_buffer_clear(&q->in); /* nothing that came before can answer it */
    q->wasted = 0;
    q->done = done;
    q->user = user;
    (void)snprintf(q->command, sizeof(q->command), "%s", command);
    (void)sd_event_source_set_time_relative(q->timer, deadline_usec);
    (void)sd_event_source_set_enabled(q->timer, SD_EVENT_ONESHOT);
    flush(q);
    return 0;
}

int qga_dup(const struct qga *q, int *ret_fd, struct err *e)
{
    int fd = q->fd < 0 ? -1 : fcntl(q->fd, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return err_set(e, q->fd < 0 ? ENOTCONN : errno, "cannot duplicate the guest agent's socket of '%s'", q->guest);
    *ret_fd = fd;
    return 0;
}
