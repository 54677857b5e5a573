/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backup_cli.h"
#include "units.h"

#define PLUGIN "nbdkit-ballast-plugin.so"
#define ARGUMENT_SIZE (PATHS_SIZE + 16)
#define NBDKIT_SOCKET_FD 3 /* sd_listen_fds(3): the first one handed over */

static int complain(const struct cli *cli, const char *hint, const char *what, const char *name)
{
    struct cli_problem p;

    (void)cli_problem_set(&p, CLI_FAILED, hint, "%s '%s'", what, name);
    return cli_complain(cli, &p);
}

/* What is served, and where, before nbdkit takes over. */
static int announce(const struct cli *cli, const struct repo_point_entry *point, const struct repo_disk *disk,
                    const char *socket)
{
    bool writable = cli->options & CLI_OPTION_WRITABLE;
    struct wire_text t = {0};

    if (cli->options & CLI_OPTION_JSON) {
        wire_text_format(&t, "{\"point\":\"%s/%s\",\"disk\":", point->identity, point->time);
        wire_text_string(&t, disk->name);
        wire_text_format(&t, ",\"size_bytes\":%" PRIu64 ",\"writable\":%s,\"socket\":", disk->size_bytes,
                         writable ? "true" : "false");
        wire_text_string(&t, socket);
        wire_text_adds(&t, "}\n");
        return backup_write(cli, &t);
    }
    wire_text_format(&t, "%s/%s, disk ", point->identity, point->time);
    (void)term_text(&cli->term, &t, disk->name, 0);
    wire_text_format(&t, " (%s): served until Ctrl-C at nbd+unix:///?socket=", units_show_size(disk->size_bytes).s);
    (void)term_text(&cli->term, &t, socket, 0);
    wire_text_adds(&t, writable ? "\nWhat is written is thrown away at the end.\n" : "\nRead-only.\n");
    return backup_write(cli, &t);
}

/* A listening socket (mode 0600 from its first moment: whoever may connect reads the disk), or -errno. */
static int socket_listen(const char *path, struct err *e)
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

/* In the child: becomes nbdkit, which finds the socket as systemd would hand it over. */
static void become_nbdkit(char *const *argv, int listen_fd)
{
    char pid[24];
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (listen_fd == NBDKIT_SOCKET_FD)
        (void)fcntl(listen_fd, F_SETFD, 0); /* dup2() to itself would leave it to close on exec */
    else
        (void)dup2(listen_fd, NBDKIT_SOCKET_FD);
    (void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    if (setenv("LISTEN_PID", pid, 1) == 0 && setenv("LISTEN_FDS", "1", 1) == 0)
        (void)execvp(argv[0], argv);
    fprintf(stderr, "ballast: cannot start nbdkit: %s\n  install the package nbdkit\n", strerror(errno));
    _exit(CLI_FAILED);
}

/* Until nbdkit ends, by itself or because we are told to end. */
static int nbdkit_run(char *const *argv, int listen_fd)
{
    sigset_t awaited;
    pid_t pid;
    int signal_number, status = 0;

    (void)sigemptyset(&awaited);
    (void)sigaddset(&awaited, SIGINT);
    (void)sigaddset(&awaited, SIGTERM);
    (void)sigaddset(&awaited, SIGHUP);
    (void)sigaddset(&awaited, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &awaited, NULL);
    pid = fork();
    if (pid == 0)
        become_nbdkit(argv, listen_fd);
    while (pid > 0 && sigwait(&awaited, &signal_number) == 0) {
        if (signal_number != SIGCHLD)
            (void)kill(pid, SIGTERM);
        else if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : CLI_FAILED;
    }
    return CLI_FAILED;
}

static int serve(const struct cli *cli, const char *repository, const struct repo_point_entry *point,
                 const struct repo_disk *d, const char *socket)
{
    char plugin[PATHS_SIZE], where[ARGUMENT_SIZE], identity[ARGUMENT_SIZE], time[ARGUMENT_SIZE], disk[ARGUMENT_SIZE];
    const char *argv[] = {"nbdkit", "--foreground", "--exit-with-parent", "--readonly", plugin, where, identity, time, disk, NULL};
    struct err e = {0};
    int fd, r;

    if (paths_join(paths_libexec_dir(), PLUGIN, plugin, &e) < 0)
        return backup_fail(cli, &e, NULL, "cannot serve");
    if (access(plugin, R_OK) < 0)
        return complain(cli, "install the package nbdkit and ballast with its plugin (built where nbdkit-plugin-dev is there)",
                        "cannot serve: there is no", plugin);
    (void)snprintf(where, sizeof(where), "repository=%s", repository); /* each part is shorter than PATHS_SIZE */
    (void)snprintf(identity, sizeof(identity), "identity=%s", point->identity);
    (void)snprintf(time, sizeof(time), "time=%s", point->time);
    (void)snprintf(disk, sizeof(disk), "disk=%s", d->name);
    if (cli->options & CLI_OPTION_WRITABLE)
        argv[3] = "--filter=cow";
    fd = socket_listen(socket, &e);
    if (fd < 0)
        return backup_fail(cli, &e, e.code == EADDRINUSE ? "name another one, or remove it" : NULL, "cannot serve");
    r = announce(cli, point, d, socket);
    if (r == CLI_DONE)
        r = nbdkit_run((char *const *)argv, fd);
    (void)close(fd);
    (void)unlink(socket); /* ours, and nobody listens there any more */
    return r;
}

int cmd_backup_serve(struct cli *cli)
{
    AUTO(repo) struct repo *repo = NULL;
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    const char *name = cli->args[1], *socket = cli->args[2];
    const struct repo_disk *disk;
    struct repo_point_entry point;
    char repository[PATHS_SIZE];
    int r = backup_path(cli, repository);

    if (r == CLI_DONE)
        r = backup_open(cli, &repo);
    if (r == CLI_DONE)
        r = backup_point(cli, repo, cli->args[0], &point, &m);
    if (r != CLI_DONE)
        return r;
    disk = repo_manifest_disk(m, name);
    if (!disk)
        return complain(cli, "ballast backup show POINT lists its disks", "the point has no disk",
                        text_show(name, strlen(name)).s);
    if (strlen(socket) >= PATHS_SOCKET_SIZE)
        return complain(cli, "name one of at most 107 bytes", "too long for a socket:", text_show(socket, strlen(socket)).s);
    return serve(cli, repository, &point, disk, socket);
}
