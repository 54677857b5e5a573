/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "procstat.h"
#include "qga.h"
#include "qmp_message.h"

/* Ids of ours in answers of the monitor. */
#define CONT_ID 4242

#define READ_MAX_TURNS 16 /* of 64 KiB each: a chatty peer does not hold up other guests */

static void socket_init(struct guard_socket *s, int fd, const char *path)
{
    *s = (struct guard_socket){.fd = fd, .path = path, .greeted = true};
}

static void socket_close(struct guard_socket *s)
{
    if (s->fd >= 0)
        (void)close(s->fd); /* a socket: nothing is lost by a failing close */
    s->fd = -1;
    qmp_buffer_clear(&s->in);
}

void guard_window_arm(struct guard_window *g, const struct guardian_order *order, int monitor_fd, int agent_fd,
                      uint64_t now_usec)
{
    *g = (struct guard_window){.used = true, .order = *order, .due_usec = now_usec + order->hard_usec};
    socket_init(&g->monitor, monitor_fd, g->order.monitor);
    socket_init(&g->agent, agent_fd, g->order.agent);
    g->monitor.answered = !order->may_stop;
    g->agent.answered = !order->may_freeze;
}

void guard_window_done(struct guard_window *g)
{
    socket_close(&g->monitor);
    socket_close(&g->agent);
    qmp_buffer_done(&g->monitor.in);
    qmp_buffer_done(&g->agent.in);
    *g = (struct guard_window){.used = false};
}

void guard_window_act(struct guard_window *g, uint64_t now_usec)
{
    if (g->acting)
        return;
    g->acting = true;
    g->acting_usec = g->due_usec = now_usec;
    g->pause_usec = GUARD_TRY_USEC;
}

/* ---- sockets ---- */

/* Its own connection, where ballastd's is gone; QEMU takes it up once no other client is there. */
static void socket_open(struct guard_socket *s)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (s->fd >= 0 || !s->path[0] || strlen(s->path) >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, s->path, strlen(s->path) + 1);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        return;
    if (connect(s->fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        socket_close(s);
        return;
    }
    s->ours = true;
    s->greeted = false;
}

static void socket_send(struct guard_socket *s, const char *text)
{
    if (s->fd >= 0 && send(s->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
        socket_close(s);
}

/* More input; false: there is none. A closed socket is opened anew with the next try. */
static bool socket_read(struct guard_socket *s)
{
    struct err e = {0};
    ssize_t n;

    if (s->fd < 0)
        return false;
    if (qmp_buffer_room(&s->in, 1, QMP_LINE_MAX, &e) < 0) {
        socket_close(s);
        return false;
    }
    n = recv(s->fd, s->in.data + s->in.len, s->in.size - s->in.len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        socket_close(s);
        return false;
    }
    s->in.len += (size_t)n;
    return true;
}

/* ---- what is asked ---- */

static void monitor_ask(struct guard_socket *s)
{
    char text[128];

    /* 0xFF ends whatever half a command ballastd left there. */
    (void)snprintf(text, sizeof(text), "\xff\n{\"execute\":\"cont\",\"id\":%d}\n", CONT_ID);
    socket_send(s, text);
}

static void agent_ask(struct guard_window *g)
{
    char text[192];

    g->sync_id = g->sync_id % 1000000 + 7919; /* another one than before is all it takes */
    g->in_step = false;
    (void)snprintf(text, sizeof(text),
                   "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%" PRIu64 "}}\n"
                   "{\"execute\":\"guest-fsfreeze-thaw\"}\n", g->sync_id);
    socket_send(&g->agent, text);
}

/* ---- what comes ---- */

static void monitor_line(struct guard_socket *s, const char *line, size_t len)
{
    struct qmp_message m;
    struct err e = {0};

    if (qmp_message_parse(line, len, &m, &e) < 0)
        return;
    if (m.kind == QMP_GREETING && !s->greeted) {
        s->greeted = true;
        socket_send(s, "{\"execute\":\"qmp_capabilities\"}\n");
        monitor_ask(s);
    } else if (m.kind == QMP_RETURN && m.has_id && m.id == CONT_ID) {
        s->answered = true;
    }
    qmp_message_done(&m);
}

static void agent_line(struct guard_window *g, const char *line, size_t len)
{
    struct qmp_message m;
    struct err e = {0};
    bool delimited;
    uint64_t id;

    if (qga_line_parse(line, len, &m, &delimited, &e) < 0)
        return;
    if (g->in_step && m.kind == QMP_RETURN)
        g->agent.answered = true;
    else if (delimited && m.kind == QMP_RETURN && qmp_to_u64(m.body, &id) && id == g->sync_id)
        g->in_step = true;
    qmp_message_done(&m);
}

static void take_lines(struct guard_window *g, struct guard_socket *s)
{
    size_t start = 0, next, len;

    while (s->fd >= 0 && qmp_buffer_line(&s->in, start, &len, &next)) {
        const char *line = s->in.data + start;

        start = next;
        if (len > 0 && s == &g->monitor)
            monitor_line(s, line, len);
        else if (len > 0)
            agent_line(g, line, len);
    }
    if (s->fd >= 0)
        qmp_buffer_drop(&s->in, start);
}

static void listen_to(struct guard_window *g, struct guard_socket *s)
{
    for (int i = 0; i < READ_MAX_TURNS && !s->answered && socket_read(s); i++)
        take_lines(g, s);
}

static bool is_qemu_gone(const struct guard_window *g)
{
    struct procstat stat;
    struct err e = {0};

    if (g->order.pid <= 0)
        return false;
    if (procstat_read("/proc", (pid_t)g->order.pid, &stat, &e) < 0)
        return e.code == ENOENT || e.code == ESRCH;
    return stat.state == 'Z' || (g->order.start_ticks && stat.start_ticks != g->order.start_ticks);
}

static void ask_again(struct guard_window *g, uint64_t now_usec)
{
    if (!g->monitor.answered) {
        socket_open(&g->monitor);
        if (g->monitor.greeted)
            monitor_ask(&g->monitor);
    }
    /* A guest that stands still can't answer; its agent's port keeps what it is sent until it runs. */
    if (!g->agent.answered) {
        socket_open(&g->agent);
        agent_ask(g);
    }
    g->due_usec = now_usec + g->pause_usec;
    g->pause_usec = g->pause_usec * 2 < GUARD_TRY_MAX_USEC ? g->pause_usec * 2 : GUARD_TRY_MAX_USEC;
}

bool guard_window_turn(struct guard_window *g, uint64_t now_usec)
{
    if (!g->acting && now_usec >= g->due_usec)
        guard_window_act(g, now_usec);
    if (!g->acting)
        return false;
    listen_to(g, &g->monitor);
    listen_to(g, &g->agent);
    if (g->monitor.answered && g->agent.answered)
        return true;
    if (g->monitor.answered)
        socket_close(&g->monitor); /* QEMU serves one client: a new ballastd must not wait for a silent agent */
    if (now_usec >= g->acting_usec + GUARD_GIVE_UP_USEC)
        return true;
    if (now_usec >= g->due_usec) {
        if (is_qemu_gone(g))
            return true;
        ask_again(g, now_usec);
    }
    return false;
}
