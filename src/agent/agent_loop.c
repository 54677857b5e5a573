/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent_line.h"
#include "agent_online.h"
#include "agent_port.h"
#include "agent_status.h"
#include "agent_stream.h"
#include "log.h"
#include "proc_files.h"
#include "push.h"
#include "text.h"

#define USEC_PER_SEC 1000000ULL

/* Without a host at the other end there is nothing to do but to look whether one came. */
#define AWAY_USEC USEC_PER_SEC

/* Memory that stayed offline (a kernel or an administrator that does not let us set the default) is looked for this
 * often; otherwise it comes online by itself. */
#define ONLINE_USEC (5 * USEC_PER_SEC)

/* Bytes read from the host in one go: a flood from there must not keep us from looking. */
#define READ_SIZE 4096

struct agent {
    const char *path;
    struct agent_port port;
    struct agent_stream stream;
    struct proc_files files;
    struct push push;
    struct agent_status status;
    int status_fd;             /* -1: no place to keep it */
    uint64_t seq;
    bool told_absent;          /* the missing port was told */
    bool told_nonsense;        /* a line of the host was refused and told; once a conversation */
    bool onlines_by_itself;
    uint64_t onlined_usec;     /* last look for offline blocks */
};

static struct agent agent;
static char line_room[AGENT_LINE_MAX];
static char read_room[READ_SIZE];

static uint64_t now_usec(clockid_t clock)
{
    struct timespec t = {0};

    (void)clock_gettime(clock, &t); /* these clocks always exist */
    return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t now_monotonic(void)
{
    return now_usec(CLOCK_MONOTONIC);
}

static void agent_keep_status(struct agent *a)
{
    static char room[AGENT_STATUS_SIZE];

    if (a->status_fd < 0)
        return;
    a->status.connected = a->port.connected;
    agent_status_print(&a->status, room);
    (void)pwrite(a->status_fd, room, sizeof(room), 0); /* it only informs people */
}

static bool agent_send(struct agent *a, const struct agent_message *m)
{
    int len = agent_line_print(m, line_room, sizeof(line_room));

    return len > 0 && agent_port_write(&a->port, line_room, (size_t)len);
}

static void agent_send_hello(struct agent *a)
{
    struct agent_message m;

    agent_message_init(&m, AGENT_VERB_HELLO);
    m.value[AGENT_KEY_VERSION] = AGENT_PROTOCOL_VERSION;
    static const char text[] = "ballast-agent " BALLAST_VERSION;
    memcpy(m.text, text, sizeof(text));
    a->seq = 0;
    push_restart(&a->push);
    if (!agent_send(a, &m))
        a->port.connected = false; /* tried again from the start; without it, nothing of us is looked at */
}

/* Someone came to the other end, or left it. */
static void agent_check_host(struct agent *a)
{
    bool was = a->port.connected;

    if (agent_port_check(&a->port) < 0) {
        agent_port_close(&a->port);
    } else if (a->port.connected && !was) {
        agent_stream_init(&a->stream);
        a->told_nonsense = false;
        agent_send_hello(a);
    }
    if (a->port.connected != was)
        agent_keep_status(a);
}

/* Waits for a port that is not there: by hand started agents, `ballast attach`, a module loaded late. */
static int agent_open(struct agent *a, struct err *e)
{
    struct err absent = {0};
    int r = agent_port_open(&a->port, a->path, &absent);

    if (r == -ENOENT) {
        if (!a->told_absent)
            log_warning("%s; waiting for it", absent.text);
        a->told_absent = true;
        return 0;
    }
    if (r < 0)
        return err_set(e, absent.code, "%s", absent.text);
    a->told_absent = false;
    return 0;
}

/* --- what the host says --- */

static void agent_on_message(struct agent *a, const struct agent_message *m)
{
    struct agent_message answer;

    switch (m->verb) {
    case AGENT_VERB_HELLO:
        agent_send_hello(a);
        break;
    case AGENT_VERB_PING:
        agent_message_init(&answer, AGENT_VERB_PONG);
        answer.value[AGENT_KEY_TIME] = m->value[AGENT_KEY_TIME];
        answer.value[AGENT_KEY_GUEST_TIME] = now_monotonic();
        (void)agent_send(a, &answer); /* a late answer would be worth nothing */
        break;
    case AGENT_VERB_ASK:
        push_want(&a->push, AGENT_WHY_ASKED);
        break;
    case AGENT_VERB_WATERMARK:
        push_set_watermark(&a->push, m->value[AGENT_KEY_SIZE]);
        break;
    case AGENT_VERB_HEARTBEAT:
        push_set_heartbeat(&a->push, m->value[AGENT_KEY_INTERVAL]);
        break;
    case AGENT_VERB_STATUS:
        a->status.said = *m;
        a->status.heard_usec = now_usec(CLOCK_BOOTTIME);
        agent_keep_status(a);
        break;
    case AGENT_VERB_SAMPLE:
    case AGENT_VERB_PONG:
    case AGENT_VERB_COUNT:
        break;
    }
}

static void agent_on_line(struct agent *a, const struct agent_piece *piece)
{
    static struct agent_message m;
    struct err e = {0};
    int r = agent_line_parse(piece->line, piece->len, &m, &e);

    if (r == 0 && !piece->too_long && agent_verb_is_hosts(m.verb)) {
        agent_on_message(a, &m);
        return;
    }
    if (!a->told_nonsense)
        log_warning("a line from the host is of no use and skipped, as others like it: %s",
                    r < 0 ? e.text : "only guests send it");
    a->told_nonsense = true;
}

static void agent_listen(struct agent *a)
{
    int n = agent_port_read(&a->port, read_room, sizeof(read_room));

    if (n < 0)
        agent_port_close(&a->port);
    for (int at = 0; at < n;) {
        struct agent_piece piece;

        at += (int)agent_stream_take(&a->stream, read_room + at, (size_t)(n - at), &piece);
        if (piece.line)
            agent_on_line(a, &piece);
    }
}

/* --- what the guest says --- */

static void agent_look(struct agent *a)
{
    static struct agent_message m;
    struct push_look look = {.now_usec = now_monotonic(), .psi_some_usec = AGENT_UNSET};
    enum agent_why why = AGENT_WHY_HEARTBEAT;

    if (!proc_files_look(&a->files, look.now_usec, push_fresh_usec(&a->push), &look.total_kib, &look.available_kib))
        return;
    if (push_wants_psi(&a->push))
        look.psi_some_usec = proc_files_pressure_usec(&a->files);
    if (!push_due(&a->push, &look, &why))
        return;
    proc_files_sample(&a->files, look.now_usec, &m);
    m.value[AGENT_KEY_SEQ] = ++a->seq;
    m.value[AGENT_KEY_WHY] = why;
    m.value[AGENT_KEY_TIME] = now_monotonic();
    if (agent_send(a, &m))
        push_sent(&a->push);
}

/* --- waiting --- */

static uint64_t agent_next_usec(const struct agent *a, uint64_t now)
{
    if (!a->port.connected)
        return now + AWAY_USEC;
    if (a->port.full)
        return now + AWAY_USEC; /* POLLOUT comes earlier; then the sample is a fresh one */
    return push_next_usec(&a->push);
}

static void agent_wait(struct agent *a)
{
    struct pollfd look[2] = {{.fd = -1}, {.fd = -1}};
    uint64_t now = now_monotonic();
    uint64_t next = agent_next_usec(a, now);
    uint64_t wait = next > now ? next - now : 0;
    struct timespec t = {.tv_sec = (time_t)(wait / USEC_PER_SEC), .tv_nsec = (long)(wait % USEC_PER_SEC) * 1000};

    if (a->port.connected) {
        look[0].fd = a->port.fd;
        look[0].events = (short)(POLLIN | (a->port.full ? POLLOUT : 0));
        if (a->files.trigger && !a->port.full) {
            look[1].fd = a->files.pressure;
            look[1].events = POLLPRI;
        }
    }
    if (ppoll(look, 2, &t, NULL) <= 0)
        return;
    if (look[1].revents & POLLERR)
        a->files.trigger = false; /* PSI was switched off */
    else if (look[1].revents & POLLPRI)
        push_want(&a->push, AGENT_WHY_PRESSURE);
    if (look[0].revents & POLLIN)
        agent_listen(a);
    if (look[0].revents & POLLOUT)
        agent_port_flush(&a->port);
    if (look[0].revents & (POLLHUP | POLLERR | POLLNVAL) && a->port.connected)
        agent_check_host(a);
}

static void agent_online(struct agent *a, uint64_t now)
{
    unsigned count = 0;

    if (a->onlined_usec && (a->onlines_by_itself || now - a->onlined_usec < ONLINE_USEC))
        return;
    a->onlined_usec = now;
    count = agent_online_blocks();
    if (count > 0)
        log_info("%u blocks of hot-added memory were offline and are in use now", count);
}

static void agent_prepare(struct agent *a)
{
    struct err e = {0};

    a->onlines_by_itself = agent_online_setup(&e) == 0;
    if (!a->onlines_by_itself)
        log_warning("%s", e.text);
    a->status.pid = getpid();
    a->status_fd = open(AGENT_STATUS_PATH, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (a->status_fd < 0)
        log_warning("cannot write %s: %s; `ballast-agent status` will have nothing to show", AGENT_STATUS_PATH,
                    strerror(errno));
    agent_keep_status(a);
}

int agent_loop_run(const char *port_path, struct err *e)
{
    struct agent *a = &agent;

    a->path = port_path;
    agent_port_init(&a->port);
    push_init(&a->push);
    int r = proc_files_open(&a->files, e);
    if (r < 0)
        return r;
    agent_prepare(a);
    for (;;) {
        agent_online(a, now_monotonic());
        if (a->port.fd < 0)
            r = agent_open(a, e);
        if (r < 0)
            break;
        if (!a->port.connected)
            agent_check_host(a);
        if (a->port.connected && !a->port.full)
            agent_look(a);
        agent_wait(a);
    }
    proc_files_done(&a->files);
    return r;
}
