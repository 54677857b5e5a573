/* SPDX-License-Identifier: Apache-2.0 */
#include "launch.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <unistd.h>

#include "own.h"

static void oom_score_reset(pid_t pid)
{
    char path[48];

    (void)snprintf(path, sizeof(path), "/proc/%ld/oom_score_adj", (long)pid);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "0\n", 2) < 0)
        return; /* it is gone already, or may not: then it stays as it is */
}

static int set_files(posix_spawn_file_actions_t *actions, const struct launch *l)
{
    int code = posix_spawn_file_actions_adddup2(actions, l->in_fd, STDIN_FILENO);

    if (code == 0)
        code = posix_spawn_file_actions_adddup2(actions, l->out_fd, STDOUT_FILENO);
    if (code == 0 && l->is_foreign)
        code = posix_spawn_file_actions_adddup2(actions, l->out_fd, STDERR_FILENO);
    if (code == 0)
        code = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    if (code == 0 && l->is_foreign)
        code = posix_spawn_file_actions_addchdir_np(actions, "/");
    return code;
}

int launch_start(const struct launch *l, pid_t *ret_pid)
{
    const int own = l->is_session ? POSIX_SPAWN_SETSID : POSIX_SPAWN_SETPGROUP;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int code;

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    code = posix_spawnattr_init(&attr);
    if (code)
        return code;
    code = posix_spawn_file_actions_init(&actions);
    if (code) {
        (void)posix_spawnattr_destroy(&attr);
        return code;
    }
    (void)posix_spawnattr_setflags(&attr, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | own));
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setsigdefault(&attr, &all); /* we ignore SIGPIPE */
    code = set_files(&actions, l);
    if (code == 0)
        code = posix_spawn(ret_pid, l->path, &actions, &attr, l->argv, l->env);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    if (code == 0 && !l->is_irreplaceable)
        oom_score_reset(*ret_pid);
    return code;
}
