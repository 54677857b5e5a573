/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp_client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "qmp_buffer.h"
#include "qmp_message.h"

#define FLOOD_WINDOW_USEC 1000000ULL

enum state {
    STATE_WAITING,     /* for the next try to connect */
    STATE_GREETING,    /* connected, nothing heard */
    STATE_NEGOTIATING, /* qmp_capabilities is under way */
    STATE_READY,
};

struct call {
    uint64_t id;            /* 0: free */
    uint64_t deadline_usec; /* 0: past, already told as ETIMEDOUT; kept to know a late answer */
    uint64_t allowed_usec;  /* what it was given */
    qmp_reply_fn *done;
    void *user;
    char command[32]; /* for sentences */
};

struct qmp_client {
    struct sd_event *loop;
    struct sd_event_source *io, *timer;
    struct qmp_client_handler handler;
    struct sockaddr_un address;
    uint64_t deadline_usec, backoff_min_usec, backoff_max_usec, greeting_usec;
    bool on_demand;

    enum state state;
    int fd;
    pid_t peer_pid;
    uint64_t connected_usec; /* when this connection came up */
    uint64_t due_usec;       /* WAITING: next try; GREETING: the greeting's deadline */
    uint64_t backoff_usec;   /* wait after the next loss */

    struct qmp_buffer in, out;

    struct call calls[QMP_CLIENT_CALLS_MAX];
    uint64_t last_id;

    uint64_t flood_since_usec;
    size_t flood_messages, flood_bytes;

    unsigned depth; /* callbacks under way: a freed client lives until they return */
    bool dead;
};

static void arm_timer(struct qmp_client *c);

static uint64_t now_of(const struct qmp_client *c)
{
    uint64_t now = 0;

    (void)sd_event_now(c->loop, CLOCK_MONOTONIC, &now); /* fails only after a fork, which we do not do */
    return now;
}

static void release(struct qmp_client *c)
{
    if (c->depth > 0 || !c->dead)
        return;
    qmp_buffer_done(&c->in);
    qmp_buffer_done(&c->out);
    free(c);
}

static void finish_call(struct qmp_client *c, struct call *call, struct json_object *value, const struct err *e)
{
    qmp_reply_fn *done = call->done;
    void *user = call->user;

    call->done = NULL;
    if (done) {
        c->depth++;
        done(user, value, e);
        c->depth--;
    }
}

static void cancel_calls(struct qmp_client *c)
{
    struct err e = {0};

    for (size_t i = 0; i < QMP_CLIENT_CALLS_MAX; i++) {
        struct call *call = &c->calls[i];

        if (!call->id)
            continue;
        call->id = 0;
        if (!call->done)
            continue;
        (void)err_set(&e, ECANCELED, "the connection ended before '%s' was answered", call->command);
        finish_call(c, call, NULL, &e);
    }
}

static void close_socket(struct qmp_client *c)
{
    c->io = sd_event_source_disable_unref(c->io);
    if (c->fd >= 0)
        (void)close(c->fd); /* a socket: nothing is lost by a failing close */
    c->fd = -1;
    qmp_buffer_clear(&c->in);
    qmp_buffer_clear(&c->out);
    c->flood_messages = c->flood_bytes = 0;
}

/* Back to waiting. Callers of a callback must look at c->dead afterwards. */
static void end_connection(struct qmp_client *c, enum qmp_loss why, const struct err *e, bool tell)
{
    uint64_t now = now_of(c);

    if (c->state == STATE_READY && now - c->connected_usec >= QMP_CLIENT_STEADY_USEC)
        c->backoff_usec = c->backoff_min_usec;
    close_socket(c);
    c->state = STATE_WAITING;
    c->due_usec = c->on_demand ? UINT64_MAX : now + c->backoff_usec;
    c->backoff_usec = c->backoff_usec * 2 < c->backoff_max_usec ? c->backoff_usec * 2 : c->backoff_max_usec;
    c->depth++;
    cancel_calls(c);
    if (tell && !c->dead)
        c->handler.lost(c->handler.user, why, e);
    c->depth--;
    if (!c->dead)
        arm_timer(c);
}

static void lose(struct qmp_client *c, enum qmp_loss why, int code, const char *text)
{
    struct err e = {0};

    (void)err_set(&e, code, "%s", text);
    end_connection(c, why, &e, /* tell= */ true);
}

/* ---- sending ---- */

static void flush(struct qmp_client *c)
{
    while (c->out.len > 0) {
        ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0) {
            if (errno == EINTR)
                continue;
            /* A broken connection shows on reading, too: one place tells of it. */
            break;
        }
        qmp_buffer_drop(&c->out, (size_t)n);
    }
    if (c->io)
        (void)sd_event_source_set_io_events(c->io, c->out.len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static int send_call(struct qmp_client *c, uint64_t allowed_usec, const char *command, const char *arguments,
                     qmp_reply_fn *done, void *user, struct err *e)
{
    struct call *call = NULL;
    static const char format[] = "{\"execute\":\"%s\",\"id\":%" PRIu64 "%s%s}\n";
    const char *key = arguments ? ",\"arguments\":" : "";
    uint64_t id = c->last_id + 1;
    int n, r;

    for (size_t i = 0; i < QMP_CLIENT_CALLS_MAX && !call; i++)
        if (!c->calls[i].id)
            call = &c->calls[i];
    if (!call)
        return err_set(e, EBUSY, "QEMU has not answered the last %u commands", QMP_CLIENT_CALLS_MAX);
    n = snprintf(NULL, 0, format, command, id, key, arguments ? arguments : "");
    if (n < 0)
        return err_set(e, EINVAL, "cannot print the command '%s'", command);
    r = qmp_buffer_room(&c->out, (size_t)n + 1, QMP_CLIENT_OUT_MAX, e);
    if (r == -EMSGSIZE)
        return err_set(e, EBUSY, "QEMU does not read its monitor: %zu bytes of commands wait already", c->out.len);
    if (r < 0)
        return r;
    (void)snprintf(c->out.data + c->out.len, (size_t)n + 1, format, command, id, key, arguments ? arguments : "");
    c->out.len += (size_t)n;
    c->last_id = id;
    *call = (struct call){.id = id,
                          .deadline_usec = now_of(c) + allowed_usec,
                          .allowed_usec = allowed_usec,
                          .done = done,
                          .user = user};
    qmp_copy_printable(call->command, sizeof(call->command), command);
    flush(c);
    arm_timer(c);
    return 0;
}

int qmp_client_call_within(struct qmp_client *c, uint64_t deadline_usec, const char *command, const char *arguments,
                           qmp_reply_fn *done, void *user, struct err *e)
{
    if (c->state != STATE_READY)
        return err_set(e, ENOTCONN, "no connection to the monitor '%s'", c->address.sun_path);
    return send_call(c, deadline_usec ? deadline_usec : c->deadline_usec, command, arguments, done, user, e);
}

int qmp_client_call(struct qmp_client *c, const char *command, const char *arguments, qmp_reply_fn *done, void *user,
                    struct err *e)
{
    return qmp_client_call_within(c, 0, command, arguments, done, user, e);
}

int qmp_client_dup(const struct qmp_client *c, int *ret_fd, struct err *e)
{
    int fd;

    if (c->state != STATE_READY)
        return err_set(e, ENOTCONN, "no connection to the monitor '%s'", c->address.sun_path);
    fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return err_set(e, errno, "cannot duplicate the socket of the monitor '%s': %s", c->address.sun_path,
                       strerror(errno));
    *ret_fd = fd;
    return 0;
}

/* ---- receiving ---- */

/* Events and answers that nobody waits for any more count: a peer that sends them all the time is ended. */
static bool is_flood(struct qmp_client *c, size_t bytes)
{
    uint64_t now = now_of(c);

    if (now - c->flood_since_usec >= FLOOD_WINDOW_USEC) {
        c->flood_since_usec = now;
        c->flood_messages = c->flood_bytes = 0;
    }
    c->flood_messages++;
    c->flood_bytes += bytes;
    return c->flood_messages > QMP_CLIENT_FLOOD_MESSAGES || c->flood_bytes > QMP_CLIENT_FLOOD_BYTES;
}

static void take_answer(struct qmp_client *c, const struct qmp_message *m)
{
    struct call *call = NULL;
    struct err e = {0};

    for (size_t i = 0; i < QMP_CLIENT_CALLS_MAX && !call; i++)
        if (m->has_id && m->id && c->calls[i].id == m->id)
            call = &c->calls[i];
    if (!call) {
        lose(c, QMP_LOSS_NONSENSE, EPROTO, "an answer to a command that was not sent");
        return;
    }
    call->id = 0;
    if (m->kind == QMP_RETURN) {
        finish_call(c, call, m->body, NULL);
        return;
    }
    (void)err_set(&e, qmp_error_code(m->name), "QEMU refused '%s': %s", call->command,
                  m->text[0]   ? m->text
                  : m->name[0] ? m->name
                               : "no reason given");
    finish_call(c, call, NULL, &e);
}

static void on_capabilities(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_client *c = user;

    (void)value;
    if (e && e->code == ECANCELED)
        return;
    if (e) {
        lose(c, e->code == ETIMEDOUT ? QMP_LOSS_BUSY : QMP_LOSS_NOT_QMP, e->code, e->text);
        return;
    }
    c->state = STATE_READY;
    c->connected_usec = now_of(c);
    c->handler.ready(c->handler.user);
}

static void take_greeting(struct qmp_client *c, const struct qmp_message *m)
{
    struct err e = {0};

    if (m->kind != QMP_GREETING) {
        lose(c, QMP_LOSS_NOT_QMP, EPROTO, "the first line is no QMP greeting");
        return;
    }
    c->state = STATE_NEGOTIATING;
    if (send_call(c, c->deadline_usec, "qmp_capabilities", NULL, on_capabilities, c, &e) < 0)
        lose(c, QMP_LOSS_OTHER, e.code, e.text);
}

static void take_line(struct qmp_client *c, const char *line, size_t len)
{
    struct qmp_message m;
    struct err e = {0};

    if (qmp_message_parse(line, len, &m, &e) < 0) {
        if (c->state == STATE_GREETING)
            lose(c, QMP_LOSS_NOT_QMP, EPROTO, e.text);
        else
            lose(c, e.code == ENOMEM ? QMP_LOSS_OTHER : QMP_LOSS_NONSENSE, e.code, e.text);
        return;
    }
    if (c->state == STATE_GREETING) {
        take_greeting(c, &m);
    } else if (m.kind == QMP_EVENT) {
        if (is_flood(c, len))
            lose(c, QMP_LOSS_NONSENSE, EPROTO, "a flood of events");
        else if (c->state == STATE_READY)
            c->handler.event(c->handler.user, m.name, m.body);
    } else if (m.kind == QMP_GREETING) {
        lose(c, QMP_LOSS_NONSENSE, EPROTO, "a second greeting");
    } else {
        take_answer(c, &m);
    }
    qmp_message_done(&m);
}

/* Hands on the complete lines of the buffer. */
static void take_lines(struct qmp_client *c)
{
    size_t start = 0, next, len;

    while (qmp_buffer_line(&c->in, start, &len, &next)) {
        const char *line = c->in.data + start;

        start = next;
        if (len > 0 && !(len == 1 && line[0] == '\r'))
            take_line(c, line, len);
        if (c->dead || c->state == STATE_WAITING)
            return;
    }
    qmp_buffer_drop(&c->in, start);
}

static void receive(struct qmp_client *c)
{
    size_t budget = QMP_CLIENT_READ_BYTES;

    while (budget > 0 && !c->dead && c->state != STATE_WAITING) {
        struct err e = {0};
        size_t room;
        ssize_t n;
        int r = qmp_buffer_room(&c->in, 1, QMP_LINE_MAX, &e);

        if (r == -EMSGSIZE)
            (void)err_set(&e, EMSGSIZE, "a line of more than %u MiB", QMP_LINE_MAX >> 20);
        if (r < 0) {
            lose(c, r == -ENOMEM ? QMP_LOSS_OTHER : QMP_LOSS_NONSENSE, e.code, e.text);
            return;
        }
        room = c->in.size - c->in.len;
        n = recv(c->fd, c->in.data + c->in.len, room < budget ? room : budget, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0 && errno != ECONNRESET) {
            lose(c, QMP_LOSS_ENDED, errno, strerror(errno));
            return;
        }
        if (n <= 0) {
            lose(c, QMP_LOSS_ENDED, ECONNRESET,
                 c->in.len > 0 ? "QEMU closed the connection in the middle of a line" : "QEMU closed the connection");
            return;
        }
        c->in.len += (size_t)n;
        budget -= (size_t)n;
        take_lines(c);
    }
}

/* Nobody waits for anything any more. */
static void tell_idle(struct qmp_client *c)
{
    if (c->dead || c->state != STATE_READY || !c->handler.idle)
        return;
    for (size_t i = 0; i < QMP_CLIENT_CALLS_MAX; i++)
        if (c->calls[i].id && c->calls[i].deadline_usec)
            return;
    c->handler.idle(c->handler.user);
}

static int on_io(struct sd_event_source *s, int fd, uint32_t events, void *user)
{
    struct qmp_client *c = user;

    (void)s;
    (void)fd;
    c->depth++;
    if (events & EPOLLOUT)
        flush(c);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        receive(c);
    tell_idle(c);
    c->depth--;
    release(c);
    return 0;
}

/* ---- connecting ---- */

static int connect_socket(struct qmp_client *c)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    int r;

    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return -errno;
    if (connect(c->fd, (const struct sockaddr *)&c->address, sizeof(c->address)) < 0)
        return -errno;
    c->peer_pid = getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.pid : 0;
    r = sd_event_add_io(c->loop, &c->io, c->fd, EPOLLIN, on_io, c);
    if (r < 0)
        return r;
    c->state = STATE_GREETING;
    c->connected_usec = now_of(c);
    c->due_usec = c->connected_usec + c->greeting_usec;
    return 0;
}

static void try_connect(struct qmp_client *c)
{
    struct err e = {0};
    int r;

    r = connect_socket(c);
    if (r < 0) {
        (void)err_set(&e, -r, "%s", strerror(-r));
        end_connection(c, qmp_loss_of(-r), &e, /* tell= */ true);
        return;
    }
    arm_timer(c);
}

/* ---- time ---- */

static void expire_calls(struct qmp_client *c, uint64_t now)
{
    for (size_t i = 0; i < QMP_CLIENT_CALLS_MAX && !c->dead; i++) {
        struct call *call = &c->calls[i];
        struct err e = {0};

        if (!call->id || !call->deadline_usec || call->deadline_usec > now)
            continue;
        call->deadline_usec = 0;
        (void)err_set(&e, ETIMEDOUT, "QEMU has not answered '%s' for %" PRIu64 " ms", call->command,
                      call->allowed_usec / 1000);
        finish_call(c, call, NULL, &e);
    }
}

static int on_timer(struct sd_event_source *s, uint64_t usec, void *user)
{
    struct qmp_client *c = user;
    uint64_t now = now_of(c);

    (void)s;
    (void)usec;
    c->depth++;
    if (c->state == STATE_WAITING && now >= c->due_usec)
        try_connect(c);
    else if (c->state == STATE_GREETING && now >= c->due_usec)
        lose(c, QMP_LOSS_BUSY, ETIMEDOUT, "no greeting");
    else
        expire_calls(c, now);
    tell_idle(c);
    if (!c->dead)
        arm_timer(c);
    c->depth--;
    release(c);
    return 0;
}

static void arm_timer(struct qmp_client *c)
{
    uint64_t next = UINT64_MAX;

    if (c->state == STATE_WAITING || c->state == STATE_GREETING)
        next = c->due_usec;
    for (size_t i = 0; i < QMP_CLIENT_CALLS_MAX; i++)
        if (c->calls[i].id && c->calls[i].deadline_usec && c->calls[i].deadline_usec < next)
            next = c->calls[i].deadline_usec;
    if (next == UINT64_MAX) {
        (void)sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
        return;
    }
    (void)sd_event_source_set_time(c->timer, next);
    (void)sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

/* ---- life ---- */

int qmp_client_new(const struct qmp_client_config *config, struct qmp_client **ret, struct err *e)
{
    size_t len = strlen(config->path);
    struct qmp_client *c;
    int r;

    if (len == 0 || len >= sizeof(c->address.sun_path))
        return err_set(e, ENAMETOOLONG, "the socket path '%.200s' is empty or longer than %zu bytes", config->path,
                       sizeof(c->address.sun_path) - 1);
    c = calloc(1, sizeof(*c));
    if (!c)
        return err_set(e, ENOMEM, "no memory for the monitor '%s'", config->path);
    c->fd = -1;
    c->address.sun_family = AF_UNIX;
    memcpy(c->address.sun_path, config->path, len + 1);
    c->handler = config->handler;
    c->deadline_usec = config->deadline_usec ? config->deadline_usec : QMP_CLIENT_DEADLINE_USEC;
    c->backoff_min_usec = config->backoff_min_usec ? config->backoff_min_usec : QMP_CLIENT_BACKOFF_MIN_USEC;
    c->backoff_max_usec = config->backoff_max_usec ? config->backoff_max_usec : QMP_CLIENT_BACKOFF_MAX_USEC;
    c->backoff_usec = c->backoff_min_usec;
    c->greeting_usec = config->greeting_usec ? config->greeting_usec : c->deadline_usec;
    c->on_demand = config->on_demand;
    c->loop = sd_event_ref(config->loop);
    c->due_usec = c->on_demand ? UINT64_MAX : now_of(c);
    r = sd_event_add_time(c->loop, &c->timer, CLOCK_MONOTONIC, c->due_usec, /* accuracy= */ 1000, on_timer, c);
    if (r < 0) {
        (void)qmp_client_free(c);
        return err_set(e, -r, "no timer for the monitor '%s': %s", config->path, strerror(-r));
    }
    *ret = c;
    return 0;
}

struct qmp_client *qmp_client_free(struct qmp_client *c)
{
    if (!c || c->dead)
        return NULL;
    c->dead = true;
    c->timer = sd_event_source_disable_unref(c->timer);
    close_socket(c);
    c->state = STATE_WAITING;
    c->depth++;
    cancel_calls(c);
    c->depth--;
    c->loop = sd_event_unref(c->loop);
    release(c);
    return NULL;
}

bool qmp_client_is_ready(const struct qmp_client *c)
{
    return c->state == STATE_READY;
}

size_t qmp_client_overdue(const struct qmp_client *c)
{
    size_t n = 0;

    for (size_t i = 0; i < QMP_CLIENT_CALLS_MAX; i++)
        n += c->calls[i].id && !c->calls[i].deadline_usec;
    return n;
}

pid_t qmp_client_peer_pid(const struct qmp_client *c)
{
    return c->fd >= 0 ? c->peer_pid : 0;
}

void qmp_client_drop(struct qmp_client *c)
{
    struct err e = {0};

    if (c->state == STATE_WAITING)
        return;
    c->depth++;
    end_connection(c, QMP_LOSS_OTHER, &e, /* tell= */ false);
    c->depth--;
    release(c);
}

void qmp_client_hurry(struct qmp_client *c)
{
    if (c->state != STATE_WAITING)
        return;
    c->backoff_usec = c->backoff_min_usec;
    c->due_usec = now_of(c);
    arm_timer(c);
}
