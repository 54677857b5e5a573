/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backup_cli.h"
#include "serve_run.h"
#include "text.h"
#include "units.h"

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

static void signals_block(sigset_t *ret)
{
    (void)sigemptyset(ret);
    (void)sigaddset(ret, SIGINT);
    (void)sigaddset(ret, SIGTERM);
    (void)sigaddset(ret, SIGHUP);
    (void)sigaddset(ret, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, ret, NULL);
}

/* Until nbdkit ends, by itself or because we are told to end. */
static int nbdkit_await(pid_t pid)
{
    int signal_number, status = 0;
    sigset_t awaited;

    signals_block(&awaited);
    while (sigwait(&awaited, &signal_number) == 0) {
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
    const struct serve_wish wish = {.repository = repository, .identity = point->identity, .time = point->time,
                                    .disk = d->name, .is_writable = cli->options & CLI_OPTION_WRITABLE};
    struct err e = {0};
    sigset_t awaited;
    pid_t pid;
    int fd, r;

    fd = serve_listen(socket, &e);
    if (fd < 0)
        return backup_fail(cli, &e, e.code == EADDRINUSE ? "name another one, or remove it" : NULL, "cannot serve");
    signals_block(&awaited);
    if (serve_start(&wish, fd, &pid, &e) < 0) {
        r = backup_fail(cli, &e, SERVE_HINT, "cannot serve");
    } else {
        r = announce(cli, point, d, socket);
        if (r != CLI_DONE)
            (void)kill(pid, SIGTERM);
        if (r == CLI_DONE)
            r = nbdkit_await(pid);
    }
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
