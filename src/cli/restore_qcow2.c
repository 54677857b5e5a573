/* SPDX-License-Identifier: Apache-2.0 */
#include "restore_qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "own.h"
#include "repo_restore.h"
#include "serve_run.h"

#define TARGET_SIZE 4096 /* PATH_MAX */
#define SOURCE_FD 3      /* of qemu-img: its end of nbdkit's socket */
#define SOURCE "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"nbd\",\"server\":{\"type\":\"fd\",\"str\":\"3\"}}}"

/* In the child: becomes qemu-img, whose "(12.34/100%)" comes through a pipe. */
static void become_qemu_img(int source, int told, const char *partial)
{
    const char *const argv[] = {"qemu-img", "convert", "-p", "-O", "qcow2", SOURCE, partial, NULL};
    bool is_ready = dup2(told, STDOUT_FILENO) >= 0; /* first: it may have the other's number */

    if (source == SOURCE_FD)
        (void)fcntl(source, F_SETFD, 0); /* dup2() to itself would leave it to close on exec */
    if (is_ready && (source == SOURCE_FD || dup2(source, SOURCE_FD) >= 0))
        (void)execvp(argv[0], (char *const *)argv);
    fprintf(stderr, "ballast: cannot start qemu-img (package qemu-utils): %s\n", strerror(errno));
    _exit(1);
}

/* Until it has ended. */
static void progress_read(const struct restore_qcow2 *how, int fd)
{
    char text[256];
    ssize_t n;

    while ((n = read(fd, text, sizeof(text) - 1)) > 0 || (n < 0 && errno == EINTR)) {
        const char *at;

        text[n > 0 ? n : 0] = '\0';
        at = strrchr(text, '(');
        if (at && how->progress) {
            uint64_t percent = strtoull(at + 1, NULL, 10); /* a cut number is less: the next one is right */

            how->progress(how->user, how->disk->size_bytes / 100 * (percent > 100 ? 100 : percent), how->disk->size_bytes);
        }
    }
}

static bool ended_well(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int convert(const struct restore_qcow2 *how, int source, const char *partial, struct err *e)
{
    int told[2];
    pid_t pid;

    if (pipe2(told, O_CLOEXEC) < 0)
        return err_set(e, errno, "no pipe: %s", strerror(errno));
    pid = fork();
    if (pid == 0)
        become_qemu_img(source, told[1], partial);
    (void)close(told[1]);
    if (pid > 0)
        progress_read(how, told[0]);
    (void)close(told[0]);
    if (pid < 0)
        return err_set(e, errno, "cannot start qemu-img: %s", strerror(errno));
    return ended_well(pid) ? 0 : err_set(e, EIO, "qemu-img convert did not write '%s'; what it and nbdkit said stands above", how->target);
}

/* From nbdkit's start to its end: its own, once qemu-img has closed the socket. */
static int copy(const struct restore_qcow2 *how, const char *partial, struct err *e)
{
    const struct serve_wish wish = {.repository = how->repository, .identity = how->identity, .time = how->time,
                                    .disk = how->disk->name, .is_single = true};
    pid_t nbdkit = 0;
    int fds[2], r;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return err_set(e, errno, "no sockets: %s", strerror(errno));
    r = serve_start(&wish, fds[1], &nbdkit, e);
    (void)close(fds[1]);
    if (r == 0)
        r = convert(how, fds[0], partial, e);
    (void)close(fds[0]);
    if (nbdkit > 0)
        (void)ended_well(nbdkit); /* qemu-img saw whether it was */
    return r;
}

static int file_sync(const char *path, struct err *e)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? err_set(e, errno, "cannot sync '%s': %s", path, strerror(errno)) : 0;
}

int restore_qcow2(const struct restore_qcow2 *how, struct err *e)
{
    char partial[TARGET_SIZE];
    int r;

    if ((size_t)snprintf(partial, sizeof(partial), "%s.partial", how->target) >= sizeof(partial))
        return err_set(e, ENAMETOOLONG, "the path '%.60s...' is too long", how->target);
    if (!how->is_forced && access(how->target, F_OK) == 0)
        return err_set(e, EEXIST, "'%s' is there already", how->target);
    if (access(partial, F_OK) == 0)
        return err_set(e, EEXIST, "'%s' is there already", partial);
    r = copy(how, partial, e);
    if (r == 0)
        r = file_sync(partial, e);
    if (r == 0)
        r = repo_restore_name(partial, how->target, how->is_forced, e);
    if (r < 0)
        (void)unlink(partial); /* the failure above is what counts */
    return r;
}
