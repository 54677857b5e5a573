/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "paths.h"
#include "text.h"

#define PLUGIN "nbdkit-ballast-plugin.so"
#define ARGUMENT_SIZE (PATHS_SIZE + 16)
#define LOGIN "login:"
#define TAIL_SIZE 4096      /* of the console and of the agent: what is looked for is shorter */
#define ASK_PAUSE_MS 1000   /* an agent that isn't up yet loses the question */

struct tail {
    size_t length;
    char text[TAIL_SIZE];
};

struct run {
    const struct boot_wish *wish;
    pid_t qemu, nbdkits[REPO_DISKS_MAX];
    int disks[REPO_DISKS_MAX], served[REPO_DISKS_MAX]; /* QEMU's ends, nbdkit's */
    int agent, agent_of_qemu, console, console_of_qemu;
    struct tail said, answered;
};

static uint64_t now_ms(void)
{
    struct timespec ts = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void shut(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* Reads what is there; false at its end. */
static bool tail_read(struct tail *t, int fd)
{
    ssize_t got;

    if (t->length > TAIL_SIZE / 2) {
        memmove(t->text, t->text + t->length - TAIL_SIZE / 2, TAIL_SIZE / 2);
        t->length = TAIL_SIZE / 2;
    }
    got = read(fd, t->text + t->length, TAIL_SIZE - t->length);
    if (got > 0)
        t->length += (size_t)got;
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool tail_has(const struct tail *t, const char *what)
{
    return memmem(t->text, t->length, what, strlen(what)) != NULL;
}

/* In a child before its program: signals as they come, and it ends when its parent does. */
static void child_begin(pid_t parent)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        _exit(1);
}

static int nbdkit_start(struct run *r, size_t i, const char *plugin, struct err *e)
{
    const struct repo_manifest *m = r->wish->manifest;
    char where[ARGUMENT_SIZE], identity[ARGUMENT_SIZE], time[ARGUMENT_SIZE], disk[ARGUMENT_SIZE];
    const char *argv[] = {"nbdkit", "--single", "--filter=cow", plugin, where, identity, time, disk, NULL};
    const pid_t parent = getpid();

    (void)snprintf(where, sizeof(where), "repository=%s", r->wish->repository); /* each part is shorter than PATHS_SIZE */
    (void)snprintf(identity, sizeof(identity), "identity=%s", m->identity);
    (void)snprintf(time, sizeof(time), "time=%s", m->time);
    (void)snprintf(disk, sizeof(disk), "disk=%s", m->disks[i].name);
    r->nbdkits[i] = fork();
    if (r->nbdkits[i] == 0) {
        child_begin(parent);
        if (dup2(r->served[i], STDIN_FILENO) >= 0 && dup2(r->served[i], STDOUT_FILENO) >= 0)
            (void)execvp(argv[0], (char *const *)argv);
        fprintf(stderr, "ballast: cannot start nbdkit: %s\n", strerror(errno));
        _exit(1);
    }
    return r->nbdkits[i] < 0 ? err_set(e, errno, "cannot start nbdkit: %s", strerror(errno)) : 0;
}

static int pair(int *ours, int *theirs, struct err *e)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return err_set(e, errno, "no sockets: %s", strerror(errno));
    *ours = fds[0];
    *theirs = fds[1];
    return 0;
}

static int channels_open(struct run *r, struct err *e)
{
    int fds[2], result = pair(&r->agent, &r->agent_of_qemu, e);

    for (size_t i = 0; result == 0 && i < r->wish->manifest->disk_count; i++)
        result = pair(&r->disks[i], &r->served[i], e);
    if (result == 0 && pipe2(fds, O_CLOEXEC) < 0)
        result = err_set(e, errno, "no pipe: %s", strerror(errno));
    if (result == 0) {
        r->console = fds[0];
        r->console_of_qemu = fds[1];
    }
    return result;
}

static int qemu_start(struct run *r, const struct boot_line *line, struct err *e)
{
    const pid_t parent = getpid();

    r->qemu = fork();
    if (r->qemu == 0) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        child_begin(parent);
        for (size_t i = 0; i < r->wish->manifest->disk_count; i++)
            (void)fcntl(r->disks[i], F_SETFD, 0);
        (void)fcntl(r->agent_of_qemu, F_SETFD, 0);
        if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(r->console_of_qemu, STDOUT_FILENO) >= 0 &&
            dup2(r->console_of_qemu, STDERR_FILENO) >= 0)
            (void)execvp(line->argv[0], line->argv);
        fprintf(stderr, "cannot start %s: %s\n", line->argv[0], strerror(errno));
        _exit(1);
    }
    return r->qemu < 0 ? err_set(e, errno, "cannot start QEMU: %s", strerror(errno)) : 0;
}

static int start(struct run *r, struct err *e)
{
    AUTO(boot_line) struct boot_line *line = NULL;
    char plugin[PATHS_SIZE];
    int result = paths_join(paths_libexec_dir(), PLUGIN, plugin, e);

    if (result == 0 && access(plugin, R_OK) < 0)
        result = err_set(e, ENOPKG, "there is no '%s'", plugin);
    if (result == 0)
        result = channels_open(r, e);
    if (result == 0)
        result = boot_line_new(r->wish->manifest, &r->wish->host, r->disks, r->agent_of_qemu, &line, e);
    for (size_t i = 0; result == 0 && i < r->wish->manifest->disk_count; i++)
        result = nbdkit_start(r, i, plugin, e);
    if (result == 0)
        result = qemu_start(r, line, e);
    for (size_t i = 0; i < r->wish->manifest->disk_count; i++) { /* so that each sees the other's end */
        shut(&r->disks[i]);
        shut(&r->served[i]);
    }
    shut(&r->agent_of_qemu);
    shut(&r->console_of_qemu);
    return result;
}

/* With the end of its last line: the guest's, or QEMU's own complaint. */
static int ended(const struct run *r, struct err *e)
{
    const char *text = r->said.text;
    size_t end = r->said.length, from;

    while (end > 0 && (unsigned char)text[end - 1] <= ' ')
        end--;
    for (from = end; from > 0 && text[from - 1] != '\n' && end - from < TEXT_SHOWN_SIZE - 1;)
        from--;
    return end == 0 ? err_set(e, ECHILD, "the guest went off before it was up") :
                      err_set(e, ECHILD, "the guest went off before it was up; its last words: %s",
                              text_show(text + from, end - from).s);
}

static void agent_ask(struct run *r)
{
    char text[128];
    int length = snprintf(text, sizeof(text), "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%ld}}\n",
                          (long)getpid());

    if (r->agent >= 0) /* full: nobody reads there */
        (void)send(r->agent, text, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int await(struct run *r, const char **ret_by, uint64_t *ret_ms, struct err *e)
{
    const char *expect = r->wish->expect;
    const uint64_t begun = now_ms();
    uint64_t asked = 0;
    char answer[64];

    (void)snprintf(answer, sizeof(answer), "{\"return\": %ld}", (long)getpid());
    for (;;) {
        struct pollfd fds[] = {{.fd = r->wish->signal_fd, .events = POLLIN}, {.fd = r->console, .events = POLLIN},
                               {.fd = r->agent, .events = POLLIN}};
        uint64_t now = now_ms();

        *ret_ms = now - begun;
        if (*ret_ms >= r->wish->within_ms)
            return err_set(e, ETIMEDOUT, "the guest was not up in time");
        if (!expect && now - asked >= ASK_PAUSE_MS) {
            agent_ask(r);
            asked = now;
        }
        (void)poll(fds, sizeof(fds) / sizeof(fds[0]), ASK_PAUSE_MS);
        *ret_ms = now_ms() - begun;
        if (fds[0].revents)
            return err_set(e, EINTR, "given up");
        if (fds[2].revents && !tail_read(&r->answered, r->agent))
            shut(&r->agent);
        if (!expect && tail_has(&r->answered, answer)) {
            *ret_by = "agent";
            return 0;
        }
        if (fds[1].revents && !tail_read(&r->said, r->console))
            return ended(r, e);
        if (tail_has(&r->said, expect ? expect : LOGIN)) {
            *ret_by = "console";
            return 0;
        }
    }
}

static void child_end(pid_t pid)
{
    if (pid <= 0)
        return;
    (void)kill(pid, SIGKILL); /* what it wrote is thrown away */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

int boot_run(const struct boot_wish *wish, const char **ret_by, uint64_t *ret_ms, struct err *e)
{
    struct run r = {.wish = wish, .agent = -1, .agent_of_qemu = -1, .console = -1, .console_of_qemu = -1};
    int result;

    for (size_t i = 0; i < REPO_DISKS_MAX; i++)
        r.disks[i] = r.served[i] = -1;
    *ret_ms = 0;
    result = start(&r, e);
    if (result == 0)
        result = await(&r, ret_by, ret_ms, e);
    child_end(r.qemu);
    for (size_t i = 0; i < wish->manifest->disk_count; i++)
        child_end(r.nbdkits[i]);
    shut(&r.agent);
    shut(&r.console);
    return result;
}
