/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "guardian.h"
#include "log.h"
#include "own.h"
#include "paths.h"
#include "wire_text.h"

/* ballast-guardian DIRECTORY: ends every freeze and pause of a backup (S7). Started by ballastd before the first window,
 * with a SOCK_SEQPACKET to it as its standard input; of no use by hand. Ends when that socket does and nothing is frozen
 * any more; signals that end others do not end it before. */

struct guardian {
    const char *directory; /* of the markers */
    int control;           /* -1: ballastd is gone */
    struct guard_window windows[GUARDIAN_WINDOWS_MAX];
};

static uint64_t now_usec(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail for this clock */
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- markers: what a ballastd finds that starts after both of us were killed ---- */

static int sync_directory(const char *path, struct err *e)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return err_set(e, errno, "cannot sync the directory '%s': %s", path, strerror(errno));
    return 0;
}

static int marker_path(const struct guardian *g, const char *guest, const char *ending, char ret[PATHS_SIZE],
                       struct err *e)
{
    char name[128];

    (void)snprintf(name, sizeof(name), "%s" GUARDIAN_MARKER_ENDING "%s", guest, ending);
    return paths_join(g->directory, name, ret, e);
}

static int marker_write(const struct guardian *g, const struct guardian_order *o, struct err *e)
{
    char path[PATHS_SIZE], part[PATHS_SIZE];
    struct wire_text t = {0};
    AUTO_CLOSE int fd = -1;
    ssize_t n;
    int r;

    r = marker_path(g, o->guest, "", path, e);
    if (r == 0)
        r = marker_path(g, o->guest, ".new", part, e);
    if (r < 0)
        return r;
    wire_text_format(&t, "{\"guest\":\"%s\",\"pid\":%" PRId64 ",\"start_ticks\":%" PRIu64 ",\"stopped\":%s,\"frozen\":%s,"
                     "\"time\":%" PRId64 ",\"monitor\":", o->guest, o->pid, o->start_ticks, o->may_stop ? "true" : "false",
                     o->may_freeze ? "true" : "false", (int64_t)time(NULL));
    wire_text_string(&t, o->monitor);
    wire_text_adds(&t, ",\"agent\":");
    wire_text_string(&t, o->agent);
    wire_text_adds(&t, "}\n");
    if (t.failed)
        return err_set(e, ENOMEM, "no memory for the marker '%s'", path);
    fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    n = fd < 0 ? -1 : write(fd, t.data, t.length);
    r = n == (ssize_t)t.length && fsync(fd) == 0 && rename(part, path) == 0
            ? sync_directory(g->directory, e)
            : err_set(e, n >= 0 && n < (ssize_t)t.length ? ENOSPC : errno, "cannot write the marker '%s': %s", path,
                      strerror(n >= 0 && n < (ssize_t)t.length ? ENOSPC : errno));
    if (r < 0)
        (void)unlink(part); /* a full disk: what is there of it is of no use */
    wire_text_done(&t);
    return r;
}

static void marker_remove(const struct guardian *g, const char *guest)
{
    char path[PATHS_SIZE];
    struct err e = {0};

    if (marker_path(g, guest, "", path, &e) == 0 && unlink(path) < 0 && errno != ENOENT)
        log_warning("guardian: cannot remove the marker '%s': %s; a ballastd that starts will thaw that guest once more",
                    path, strerror(errno));
}

/* ---- orders ---- */

static void tell(const struct guardian *g, const char *guest, enum guardian_answer answer, const char *text)
{
    struct guardian_word w = {.answer = answer};
    struct err e = {0};

    if (g->control < 0)
        return;
    (void)snprintf(w.guest, sizeof(w.guest), "%s", guest);
    (void)snprintf(w.text, sizeof(w.text), "%s", text);
    (void)guardian_send_word(g->control, &w, &e); /* one who does not read is as good as gone: we act all the same */
}

static struct guard_window *find(struct guardian *g, const char *guest)
{
    for (size_t i = 0; i < GUARDIAN_WINDOWS_MAX; i++)
        if (g->windows[i].used && strcmp(g->windows[i].order.guest, guest) == 0)
            return &g->windows[i];
    return NULL;
}

static struct guard_window *find_free(struct guardian *g)
{
    for (size_t i = 0; i < GUARDIAN_WINDOWS_MAX; i++)
        if (!g->windows[i].used)
            return &g->windows[i];
    return NULL;
}

static void arm(struct guardian *g, const struct guardian_order *o, int monitor_fd, int agent_fd)
{
    struct guard_window *w = find(g, o->guest);
    struct err e = {0};

    if (w && w->acting) {
        tell(g, o->guest, GUARDIAN_REFUSED, "an earlier freeze of it has not ended yet: its guest agent does not answer");
        w = NULL;
    } else if (!w && !(w = find_free(g))) {
        tell(g, o->guest, GUARDIAN_REFUSED, "too many guests are frozen at once");
    } else if (marker_write(g, o, &e) < 0) {
        tell(g, o->guest, GUARDIAN_REFUSED, e.text);
        w = NULL;
    }
    if (!w) {
        if (monitor_fd >= 0)
            (void)close(monitor_fd); /* a socket: nothing is lost by a failing close */
        if (agent_fd >= 0)
            (void)close(agent_fd);
        return;
    }
    if (w->used)
        guard_window_done(w);
    guard_window_arm(w, o, monitor_fd, agent_fd, now_usec());
    tell(g, o->guest, GUARDIAN_ARMED, "");
}

static void take_orders(struct guardian *g)
{
    struct guardian_order o;
    int monitor_fd, agent_fd, r;
    struct err e = {0};
    struct guard_window *w;

    while ((r = guardian_receive_order(g->control, &o, &monitor_fd, &agent_fd, &e)) > 0) {
        if (o.verb == GUARDIAN_ARM) {
            arm(g, &o, monitor_fd, agent_fd);
            continue;
        }
        w = find(g, o.guest);
        if (o.verb == GUARDIAN_ACT && w) {
            guard_window_act(w, now_usec());
            continue;
        }
        if (w && w->acting)
            continue; /* it ends by itself, and says so */
        if (w)
            guard_window_done(w);
        marker_remove(g, o.guest);
        tell(g, o.guest, o.verb == GUARDIAN_ACT ? GUARDIAN_ENDED : GUARDIAN_DISARMED, "");
    }
    if (r == -EAGAIN || r == -EPROTO)
        return;
    (void)close(g->control); /* ballastd is gone: nobody else ends what is open */
    g->control = -1;
    for (size_t i = 0; i < GUARDIAN_WINDOWS_MAX; i++)
        if (g->windows[i].used)
            guard_window_act(&g->windows[i], now_usec());
}

/* ---- the loop ---- */

static void turn(struct guardian *g, struct guard_window *w)
{
    bool acted = w->acting;
    bool over = guard_window_turn(w, now_usec());

    if (!acted && w->acting) {
        log_warning("guardian: the freeze of guest '%s' took too long: it is ended now", w->order.guest);
        tell(g, w->order.guest, GUARDIAN_TAKEN, "");
    }
    if (over) {
        marker_remove(g, w->order.guest);
        tell(g, w->order.guest, GUARDIAN_ENDED, "");
        if (g->control < 0)
            log_warning("guardian: guest '%s' was thawed, as ballastd is gone", w->order.guest);
        guard_window_done(w);
    } else if (w->acting && !w->told_not_ended && now_usec() >= w->acting_usec + GUARD_NOT_ENDED_USEC) {
        w->told_not_ended = true;
        log_error("guardian: guest '%s' may still be frozen: its monitor or its guest agent does not answer; it is tried "
                  "on. In the guest, as root: echo j >/proc/sysrq-trigger", w->order.guest);
        tell(g, w->order.guest, GUARDIAN_NOT_ENDED, "its monitor or its guest agent does not answer");
    }
}

static bool has_windows(const struct guardian *g)
{
    for (size_t i = 0; i < GUARDIAN_WINDOWS_MAX; i++)
        if (g->windows[i].used)
            return true;
    return false;
}

static void wait_for_something(struct guardian *g)
{
    struct pollfd fds[1 + 2 * GUARDIAN_WINDOWS_MAX];
    uint64_t now = now_usec(), due = UINT64_MAX;
    nfds_t n = 0;

    if (g->control >= 0)
        fds[n++] = (struct pollfd){.fd = g->control, .events = POLLIN};
    for (size_t i = 0; i < GUARDIAN_WINDOWS_MAX; i++) {
        const struct guard_window *w = &g->windows[i];

        if (!w->used)
            continue;
        due = w->due_usec < due ? w->due_usec : due;
        if (w->acting && !w->monitor.answered && w->monitor.fd >= 0)
            fds[n++] = (struct pollfd){.fd = w->monitor.fd, .events = POLLIN};
        if (w->acting && !w->agent.answered && w->agent.fd >= 0)
            fds[n++] = (struct pollfd){.fd = w->agent.fd, .events = POLLIN};
    }
    (void)poll(fds, n, due == UINT64_MAX ? -1 : due <= now ? 0 : (int)((due - now) / 1000 + 1)); /* EINTR: looks anew */
}

int main(int argc, char **argv)
{
    static struct guardian g;
    sigset_t all;

    if (argc != 2) {
        (void)fputs("usage: ballast-guardian DIRECTORY\nStarted by ballastd; of no use by hand.\n", stderr);
        return 2;
    }
    g.directory = argv[1];
    g.control = STDIN_FILENO;
    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGSEGV);
    (void)sigdelset(&all, SIGABRT);
    (void)sigprocmask(SIG_BLOCK, &all, NULL);
    (void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT); /* where it may not: it is small */
    if (mkdir(g.directory, 0711) < 0 && errno != EEXIST) {
        log_error("guardian: cannot make the directory '%s': %s", g.directory, strerror(errno));
        return 1;
    }
    while (g.control >= 0 || has_windows(&g)) {
        wait_for_something(&g);
        if (g.control >= 0)
            take_orders(&g);
        for (size_t i = 0; i < GUARDIAN_WINDOWS_MAX; i++)
            if (g.windows[i].used)
                turn(&g, &g.windows[i]);
    }
    return 0;
}
