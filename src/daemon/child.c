/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "launch.h"
#include "paths.h"
#include "qmp_buffer.h"

#ifndef P_PIDFD
#define P_PIDFD 3 /* glibc before 2.36 */
#endif

#define READ_BYTES 65536U /* per turn of the loop */

extern char **environ;

struct child {
    struct child_config config;
    pid_t pid; /* 0: has ended */
    int pid_fd, in_fd, out_fd;
    struct sd_event_source *pid_source, *in_source, *out_source;
    struct qmp_buffer in, out;
    bool end_input, ended, out_ended;
    bool telling, freed; /* in config.line(); freed in it: that waits for its end */
    bool orphan; /* freed while its process was ending: only waits for that */
    struct child *next; /* orphan */
    int status;
};

/* Nobody else knows of them any more; so that what is still there at our own end is no lost memory to who looks for such. */
static struct child *orphans;

const char *child_directory(void)
{
    return paths_libexec_dir();
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static int spawn(const struct child_config *config, const char *path, int in_fd, int out_fd, pid_t *ret_pid)
{
    char *argv[] = {(char *)config->program, (char *)config->argument, NULL};
    const struct launch l = {.path = path, .argv = argv, .env = environ, .in_fd = in_fd, .out_fd = out_fd, .is_session = true,
                             .is_irreplaceable = config->is_irreplaceable};

    return launch_start(&l, ret_pid);
}

/* ---- its output and its end ---- */

static void take_lines(struct child *c)
{
    size_t start = 0, next, len;

    c->telling = true;
    while (!c->freed && qmp_buffer_line(&c->out, start, &len, &next)) {
        c->out.data[start + len] = '\0'; /* in place of the newline */
        c->config.line(c->config.user, c->out.data + start, len);
        start = next;
    }
    c->telling = false;
    if (c->freed)
        (void)child_free(c);
    else
        qmp_buffer_drop(&c->out, start);
}

static void tell_end(struct child *c)
{
    if (c->ended || c->pid || !c->out_ended)
        return;
    c->ended = true;
    c->config.ended(c->config.user, c->status); /* may free it */
}

static void end_output(struct child *c)
{
    c->out_source = sd_event_source_disable_unref(c->out_source);
    close_fd(&c->out_fd);
    c->out_ended = true;
}

static int on_output(struct sd_event_source *s, int fd, uint32_t events, void *user)
{
    struct child *c = user;
    struct err e = {0};
    size_t room;
    ssize_t n = -1;

    (void)s;
    (void)events;
    if (qmp_buffer_room(&c->out, 1, CHILD_LINE_MAX, &e) < 0) {
        child_kill(c); /* a line without end: nothing of ours does that */
        end_output(c);
        tell_end(c);
        return 0;
    }
    room = c->out.size - c->out.len;
    n = read(fd, c->out.data + c->out.len, room < READ_BYTES ? room : READ_BYTES);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n > 0) {
        c->out.len += (size_t)n;
        take_lines(c);
        return 0;
    }
    end_output(c);
    tell_end(c);
    return 0;
}

static int on_end(struct sd_event_source *s, int fd, uint32_t events, void *user)
{
    struct child *c = user;

    (void)s;
    (void)fd;
    (void)events;
    if (waitpid(c->pid, &c->status, WNOHANG) == 0)
        return 0;
    c->pid = 0;
    c->pid_source = sd_event_source_disable_unref(c->pid_source);
    if (c->orphan) {
        struct child **at = &orphans;

        while (*at != c)
            at = &(*at)->next;
        *at = c->next;
        (void)child_free(c);
    } else {
        tell_end(c);
    }
    return 0;
}

/* ---- its input ---- */

static void flush(struct child *c)
{
    while (c->in.len > 0 && c->in_fd >= 0) {
        ssize_t n = write(c->in_fd, c->in.data, c->in.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            qmp_buffer_clear(&c->in); /* it reads no more: its end will tell why */
        if (n < 0)
            break;
        qmp_buffer_drop(&c->in, (size_t)n);
    }
    if (c->in_source)
        (void)sd_event_source_set_enabled(c->in_source, c->in.len > 0 ? SD_EVENT_ON : SD_EVENT_OFF);
    if (c->in.len == 0 && c->end_input) {
        c->in_source = sd_event_source_disable_unref(c->in_source);
        close_fd(&c->in_fd);
    }
}

static int on_input(struct sd_event_source *s, int fd, uint32_t events, void *user)
{
    (void)s;
    (void)fd;
    (void)events;
    flush(user);
    return 0;
}

int child_write(struct child *c, const char *data, size_t len, struct err *e)
{
    int r = qmp_buffer_room(&c->in, len, CHILD_INPUT_MAX, e);

    if (r == -EMSGSIZE)
        return err_set(e, EMSGSIZE, "'%s' does not read what it is sent", c->config.program);
    if (r < 0)
        return r;
    memcpy(c->in.data + c->in.len, data, len);
    c->in.len += len;
    flush(c);
    return 0;
}

void child_end_input(struct child *c)
{
    c->end_input = true;
    flush(c);
}

void child_kill(struct child *c)
{
    if (c->pid)
        (void)kill(c->pid, SIGKILL);
}

/* ---- life ---- */

static int watch(struct child *c, struct err *e)
{
    int r;

    c->pid_fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    if (c->pid_fd < 0)
        return err_set(e, errno, "cannot watch '%s': %s", c->config.program, strerror(errno));
    r = sd_event_add_io(c->config.loop, &c->pid_source, c->pid_fd, EPOLLIN, on_end, c);
    if (r >= 0)
        r = sd_event_add_io(c->config.loop, &c->out_source, c->out_fd, EPOLLIN, on_output, c);
    if (r >= 0 && c->in_fd >= 0)
        r = sd_event_add_io(c->config.loop, &c->in_source, c->in_fd, EPOLLOUT, on_input, c);
    if (r >= 0 && c->in_source)
        r = sd_event_source_set_enabled(c->in_source, SD_EVENT_OFF);
    return r < 0 ? err_set(e, -r, "cannot watch '%s': %s", c->config.program, strerror(-r)) : 0;
}

int child_start(const struct child_config *config, struct child **ret, struct err *e)
{
    AUTO(child) struct child *c = calloc(1, sizeof(*c));
    AUTO_CLOSE int in_fd = config->input_fd, out_fd = -1;
    int in[2] = {-1, -1}, out[2] = {-1, -1}, code = 0, r;
    char path[PATHS_SIZE];

    if (!c)
        return err_set(e, ENOMEM, "no memory to start '%s'", config->program);
    c->config = *config;
    c->pid_fd = c->in_fd = c->out_fd = -1;
    r = paths_join(child_directory(), config->program, path, e);
    if (r < 0)
        return r;
    if ((in_fd < 0 && pipe2(in, O_CLOEXEC) < 0) || pipe2(out, O_CLOEXEC) < 0)
        code = errno;
    if (in_fd < 0)
        in_fd = in[0];
    c->in_fd = in[1];
    c->out_fd = out[0];
    out_fd = out[1];
    if (!code && ((c->in_fd >= 0 && fcntl(c->in_fd, F_SETFL, O_NONBLOCK) < 0) ||
                  fcntl(c->out_fd, F_SETFL, O_NONBLOCK) < 0))
        code = errno;
    if (!code)
        code = spawn(config, path, in_fd, out_fd, &c->pid);
    if (code) {
        c->pid = 0;
        return err_set(e, code, "cannot start '%s': %s", path, strerror(code));
    }
    r = watch(c, e);
    if (r < 0)
        return r;
    *ret = TAKE(c);
    return 0;
}

void child_forget(struct child *c)
{
    if (!c)
        return;
    c->pid = 0;
    (void)child_free(c);
}

struct child *child_free(struct child *c)
{
    if (!c)
        return NULL;
    c->in_source = sd_event_source_disable_unref(c->in_source);
    c->out_source = sd_event_source_disable_unref(c->out_source);
    close_fd(&c->in_fd);
    close_fd(&c->out_fd);
    child_kill(c);
    if (c->telling) {
        c->freed = true;
        return NULL;
    }
    if (c->pid && c->pid_source) { /* what hangs in the kernel may take its time: nobody waits for it */
        c->orphan = true;
        c->next = orphans;
        orphans = c;
        return NULL;
    }
    c->pid_source = sd_event_source_disable_unref(c->pid_source);
    close_fd(&c->pid_fd);
    qmp_buffer_done(&c->in);
    qmp_buffer_done(&c->out);
    free(c);
    return NULL;
}
