/* SPDX-License-Identifier: Apache-2.0 */
#include "serve_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "paths.h"

#define PLUGIN "nbdkit-ballast-plugin.so"
#define ARGUMENT_SIZE (PATHS_SIZE + 16)
#define NBDKIT_SOCKET_FD 3 /* sd_listen_fds(3): the first one handed over */

int serve_listen(const char *path, struct err *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), code = fd < 0 ? errno : 0;
    mode_t mask = umask(0177);

    memcpy(address.sun_path, path, strlen(path)); /* shorter: the caller looked */
    if (code == 0 && (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, SOMAXCONN) < 0))
        code = errno;
    (void)umask(mask);
    if (code == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return err_set(e, code, "cannot listen on '%s': %s", path, strerror(code));
}

/* In the child: the socket as systemd would hand it over, or as inetd would. */
static bool socket_give(int fd, bool is_single)
{
    char pid[24];

    if (is_single)
        return dup2(fd, STDIN_FILENO) >= 0 && dup2(fd, STDOUT_FILENO) >= 0;
    if (fd == NBDKIT_SOCKET_FD)
        (void)fcntl(fd, F_SETFD, 0); /* dup2() to itself would leave it to close on exec */
    else if (dup2(fd, NBDKIT_SOCKET_FD) < 0)
        return false;
    (void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    return setenv("LISTEN_PID", pid, 1) == 0 && setenv("LISTEN_FDS", "1", 1) == 0;
}

static void become_nbdkit(char *const *argv, int fd, bool is_single)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setsid();
    if (socket_give(fd, is_single))
        (void)execvp(argv[0], argv);
    fprintf(stderr, "ballast: cannot start nbdkit: %s\n  install the package nbdkit\n", strerror(errno));
    _exit(1);
}

int serve_start(const struct serve_wish *wish, int fd, pid_t *ret, struct err *e)
{
    char plugin[PATHS_SIZE], where[ARGUMENT_SIZE], identity[ARGUMENT_SIZE], time[ARGUMENT_SIZE], disk[ARGUMENT_SIZE];
    const char *argv[10] = {"nbdkit"};
    size_t n = 1;
    int r = paths_join(paths_libexec_dir(), PLUGIN, plugin, e);

    if (r == 0 && access(plugin, R_OK) < 0)
        r = err_set(e, ENOPKG, "there is no '%s'", plugin);
    if (r < 0)
        return r;
    (void)snprintf(where, sizeof(where), "repository=%s", wish->repository);
    (void)snprintf(identity, sizeof(identity), "identity=%s", wish->identity);
    (void)snprintf(time, sizeof(time), "time=%s", wish->time);
    (void)snprintf(disk, sizeof(disk), "disk=%s", wish->disk);
    argv[n++] = wish->is_single ? "--single" : "--foreground";
    if (!wish->is_kept)
        argv[n++] = "--exit-with-parent";
    argv[n++] = wish->is_writable ? "--filter=cow" : "--readonly";
    argv[n++] = plugin;
    argv[n++] = where;
    argv[n++] = identity;
    argv[n++] = time;
    argv[n++] = disk;
    *ret = fork();
    if (*ret == 0)
        become_nbdkit((char *const *)argv, fd, wish->is_single);
    return *ret < 0 ? err_set(e, errno, "cannot start nbdkit: %s", strerror(errno)) : 0;
}
