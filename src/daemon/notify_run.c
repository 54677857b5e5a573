/* SPDX-License-Identifier: Apache-2.0 */
#include "notify_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"
#include "own.h"
#include "text.h"
#include "units.h"

#ifndef P_PIDFD
#define P_PIDFD 3 /* glibc before 2.36 */
#endif

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static int spawn(const char *command, const struct notify_env *env, int in_fd, int out_fd, pid_t *ret_pid)
{
    char *argv[] = {(char *)command, NULL};
    const struct launch l = {.path = command, .argv = argv, .env = env->list, .in_fd = in_fd, .out_fd = out_fd,
                             .is_foreign = true};

    return launch_start(&l, ret_pid);
}

/* Ours must not block; the command's ends are as any program expects them. */
static int set_nonblocking(int fd)
{
    return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? errno : 0;
}

static void kill_group(const struct notify_run *r, int signal)
{
    if (kill(-r->pid, signal) < 0)
        (void)kill(r->pid, signal); /* it may have made a group of its own, or be gone */
}

int notify_run_start(struct notify_run *r, const char *command, uint64_t timeout_usec, uint64_t now_usec, struct err *e)
{
    AUTO_CLOSE int in_fd = -1, out_fd = -1;
    int in[2] = {-1, -1}, out[2] = {-1, -1}, code = 0;
    struct notify_env env;

    r->pid_fd = r->in_fd = r->out_fd = -1;
    r->written = r->output_len = 0;
    r->was_cut = r->was_ended = false;
    r->result[0] = r->output[0] = '\0';
    r->timeout_usec = timeout_usec;
    r->deadline_usec = now_usec + timeout_usec;
    notify_message_print(&r->message, &r->input);
    notify_message_env(&r->message, &env);
    if (r->input.failed)
        code = ENOMEM;
    else if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
        code = errno;
    in_fd = in[0], r->in_fd = in[1];
    r->out_fd = out[0], out_fd = out[1];
    if (!code && !(code = set_nonblocking(r->in_fd)) && !(code = set_nonblocking(r->out_fd)))
        code = spawn(command, &env, in_fd, out_fd, &r->pid);
    if (!code) {
        r->pid_fd = (int)syscall(SYS_pidfd_open, r->pid, 0); /* CLOEXEC from birth */
        r->is_active = true;
        if (r->pid_fd >= 0)
            return 0;
        code = errno; /* no descriptor left: without one its end would go unseen */
        kill_group(r, SIGKILL);
        (void)waitpid(r->pid, NULL, 0);
    }
    notify_run_leave(r);
    return err_set(e, code, "could not be started: %s", strerror(code));
}

size_t notify_run_fds(const struct notify_run *r, struct pollfd *fds)
{
    size_t n = 0;

    fds[n++] = (struct pollfd){.fd = r->pid_fd, .events = POLLIN};
    if (r->in_fd >= 0)
        fds[n++] = (struct pollfd){.fd = r->in_fd, .events = POLLOUT};
    if (r->out_fd >= 0)
        fds[n++] = (struct pollfd){.fd = r->out_fd, .events = POLLIN};
    return n;
}

static void feed(struct notify_run *r)
{
    while (r->in_fd >= 0) {
        ssize_t n = write(r->in_fd, r->input.data + r->written, r->input.length - r->written);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n > 0)
            r->written += (size_t)n;
        if (n <= 0 || r->written == r->input.length)
            close_fd(&r->in_fd); /* all of it, or it does not care to read: its own affair */
    }
}

static void drain(struct notify_run *r)
{
    char rest[1024] = "";

    /* bounded: a command that prints without end gets its turn, and then others get theirs */
    for (int i = 0; i < 64 && r->out_fd >= 0; i++) {
        bool is_full = r->output_len == NOTIFY_OUTPUT_MAX;
        ssize_t n = read(r->out_fd, is_full ? rest : r->output + r->output_len,
                         is_full ? sizeof(rest) : NOTIFY_OUTPUT_MAX - r->output_len);

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            return;
        if (n <= 0) {
            close_fd(&r->out_fd);
            return;
        }
        if (is_full)
            r->was_cut = true;
        else
            r->output_len += (size_t)n;
    }
}

static void judge(struct notify_run *r, const siginfo_t *end)
{
    if (r->was_ended)
        (void)snprintf(r->result, sizeof(r->result), "did not end within %s and was stopped",
                       units_show_time(r->timeout_usec).s);
    else if (end->si_code != CLD_EXITED)
        (void)snprintf(r->result, sizeof(r->result), "was killed by signal %d (%s)", end->si_status,
                       strsignal(end->si_status));
    else if (end->si_status != 0)
        (void)snprintf(r->result, sizeof(r->result), "ended with exit status %d", end->si_status);
    else
        r->result[0] = '\0';
}

bool notify_run_turn(struct notify_run *r, uint64_t now_usec)
{
    siginfo_t end = {0};

    feed(r);
    drain(r);
    if (waitid(P_PIDFD, (id_t)r->pid_fd, &end, WEXITED | WNOHANG) == 0 && end.si_pid == 0) {
        if (now_usec >= r->deadline_usec) {
            kill_group(r, r->was_ended ? SIGKILL : SIGTERM);
            r->was_ended = true;
            r->deadline_usec = now_usec + NOTIFY_KILL_USEC;
        }
        return false;
    }
    drain(r); /* what it wrote last; what it left running may hold the pipe, and is not waited for */
    judge(r, &end);
    if (r->was_ended)
        kill_group(r, SIGKILL); /* children of a command that was stopped */
    r->output[r->output_len] = '\0';
    notify_run_leave(r);
    return true;
}

void notify_run_leave(struct notify_run *r)
{
    close_fd(&r->pid_fd);
    close_fd(&r->in_fd);
    close_fd(&r->out_fd);
    wire_text_done(&r->input);
    r->is_active = false;
}
