/* SPDX-License-Identifier: Apache-2.0 */
#include "hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "own.h"
#include "prepare.h"
#include "qmp_message.h"
#include "text.h"
#include "units.h"
#include "wire_field.h"

#define PATH_VALUE "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define LINE_MAX_BYTES 300 /* of the last line that is told */
#define VARIABLES_MAX 8
#define VARIABLE_SIZE 512
#define LOCK_POLL_MS 50
#define PIPE_TURNS 17 /* 64 KiB and its end */

struct run {
    pid_t pid;
    int pid_fd, said_fd;
    char line[LINE_MAX_BYTES + 1], last[LINE_MAX_BYTES + 1]; /* the one that is being read, the last whole one */
    size_t length;
    bool was_ended, is_orphan; /* its time was over; ballastd is gone */
};

static int64_t now_ms(void)
{
    struct timespec t = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static const char *text_of(struct json_object *o, const char *key)
{
    const char *text;

    return qmp_get_string(o, key, &text) ? text : NULL;
}

/* ---- one run ---- */

struct environment {
    char *list[VARIABLES_MAX + 1];
    char room[VARIABLES_MAX][VARIABLE_SIZE];
    size_t count;
};

static void set(struct environment *env, const char *name, const char *value)
{
    char *at = env->room[env->count];

    (void)snprintf(at, VARIABLE_SIZE, "%s=%s", name, value ? value : ""); /* names and paths are shorter */
    text_clean(at);
    env->list[env->count++] = at;
}

/* In the child: never returns. It dies with ballast-prepare, so that none outlives the lock on its note. */
static _Noreturn void become(const char *command, struct environment *env, pid_t parent, int said_fd)
{
    char *argv[] = {(char *)command, NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)setsid();
    (void)signal(SIGXFSZ, SIG_DFL); /* ballast-prepare's own */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent && chdir("/") == 0 && null >= 0 &&
        dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 && dup2(said_fd, STDERR_FILENO) >= 0)
        (void)execve(command, argv, env->list);
    (void)dprintf(STDERR_FILENO, "cannot start it: %s\n", strerror(errno));
    _exit(127);
}

static int start(struct run *r, const char *command, struct environment *env, struct err *e)
{
    const pid_t parent = getpid();
    int said[2];

    if (pipe2(said, O_CLOEXEC) < 0)
        return err_set(e, errno, "no pipe: %s", strerror(errno));
    r->said_fd = said[0];
    r->pid = fork();
    if (r->pid == 0)
        become(command, env, parent, said[1]);
    (void)close(said[1]);
    r->pid_fd = r->pid > 0 ? (int)syscall(SYS_pidfd_open, r->pid, 0) : -1;
    if (r->pid > 0 && r->pid_fd >= 0 && fcntl(r->said_fd, F_SETFL, O_NONBLOCK) == 0)
        return 0;
    (void)err_set(e, errno, "cannot start it: %s", strerror(errno));
    if (r->pid > 0) {
        (void)kill(r->pid, SIGKILL);
        (void)waitpid(r->pid, NULL, 0);
    }
    (void)close(r->said_fd);
    if (r->pid_fd >= 0)
        (void)close(r->pid_fd);
    return -e->code;
}

/* The last line with anything in it is what it failed by. */
static void take(struct run *r, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\n' && r->length < LINE_MAX_BYTES)
            r->line[r->length++] = text[i];
        if (text[i] != '\n' || r->length == 0)
            continue;
        r->line[r->length] = '\0';
        memcpy(r->last, r->line, r->length + 1);
        r->length = 0;
    }
}

/* Reads what is there, at most what a pipe holds: one that writes without end must not outlive its time. False: it has closed
 * its standard error. */
static bool listen_to(struct run *r)
{
    char text[4096];
    ssize_t n = 1;

    for (int i = 0; i < PIPE_TURNS && n > 0; i++) {
        n = read(r->said_fd, text, sizeof(text));
        if (n > 0)
            take(r, text, (size_t)n);
    }
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void kill_all(const struct run *r, int signal)
{
    if (kill(-r->pid, signal) < 0)
        (void)kill(r->pid, signal); /* before its setsid() */
}

/* Until its end. watch_fd: where its reader goes, it is ended; -1: nobody is watched. */
static int await(struct run *r, int64_t limit_ms, int watch_fd)
{
    int64_t until = now_ms() + limit_ms;
    int status = 0;

    for (;;) {
        struct pollfd fds[] = {{.fd = r->pid_fd, .events = POLLIN}, {.fd = r->said_fd, .events = POLLIN},
                               {.fd = watch_fd, .events = 0}};
        int64_t left = until - now_ms();

        (void)poll(fds, sizeof(fds) / sizeof(fds[0]), left > 0 ? (int)left : 0);
        if (fds[1].revents && r->said_fd >= 0 && !listen_to(r)) {
            (void)close(r->said_fd);
            r->said_fd = -1;
        }
        if (fds[0].revents)
            break;
        r->is_orphan = r->is_orphan || fds[2].revents & POLLERR;
        if (now_ms() < until && !(r->is_orphan && !r->was_ended))
            continue;
        kill_all(r, r->was_ended ? SIGKILL : SIGTERM);
        until = now_ms() + HOOK_END_MS;
        r->was_ended = true;
        watch_fd = -1;
    }
    while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (r->was_ended)
        kill_all(r, SIGKILL); /* what it had started */
    if (r->said_fd >= 0) {
        (void)listen_to(r);
        (void)close(r->said_fd);
    }
    (void)close(r->pid_fd);
    return status;
}

static int judge(const struct run *r, const char *which, const char *command, const char *guest, int status, uint64_t limit_ms,
                 struct err *e)
{
    struct text_shown path = text_show(command, strlen(command));
    char said[LINE_MAX_BYTES + 32] = "", what[96];
    const char *line = r->last[0] ? r->last : "";

    if (r->was_ended)
        (void)snprintf(what, sizeof(what), "did not end within %s and was stopped", units_show_time(limit_ms * 1000).s);
    else if (WIFSIGNALED(status))
        (void)snprintf(what, sizeof(what), "was killed by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        (void)snprintf(what, sizeof(what), "ended with exit code %d", WEXITSTATUS(status));
    else
        return 0;
    if (line[0]) {
        (void)snprintf(said, sizeof(said), "; it said: %s", line);
        text_clean(said);
    }
    return err_set(e, EREMOTEIO, "the %s hook '%s' of guest '%s' %s%s", which, path.s, guest, what, said);
}

static int run(struct json_object *note, const char *which, const char *state, int watch_fd, struct wire_text *t, struct err *e)
{
    const char *command = text_of(note, which), *guest = text_of(note, "guest");
    struct environment env = {0};
    struct run r = {0};
    uint64_t limit_ms = 0;
    char key[32];
    int status, result;

    if (!command) {
        wire_text_adds(t, ",\"ran\":false");
        return 0;
    }
    (void)snprintf(key, sizeof(key), "%s_ms", which);
    if (!guest || !qmp_get_u64(note, key, &limit_ms) || limit_ms > INT32_MAX)
        return err_set(e, EINVAL, "an order for a hook that lacks something");
    set(&env, "PATH", PATH_VALUE);
    set(&env, "LANG", "C.UTF-8");
    set(&env, "BALLAST_HOOK", which);
    set(&env, "BALLAST_STATE", state);
    set(&env, "BALLAST_GUEST", guest);
    set(&env, "BALLAST_IDENTITY", text_of(note, "identity"));
    set(&env, "BALLAST_REPOSITORY", text_of(note, "repository"));
    result = start(&r, command, &env, e);
    if (result < 0)
        return err_wrap(e, "the %s hook of guest '%s'", which, guest);
    status = await(&r, (int64_t)limit_ms, watch_fd);
    wire_text_adds(t, ",\"ran\":true");
    return judge(&r, which, command, guest, status, limit_ms, e);
}

/* ---- the note ---- */

/* Nobody else has one of this name: each guest has one backup at a time, and its file is behind a lock while a hook runs. */
static int note_write(const char *path, struct json_object *order, int *ret_fd, struct err *e)
{
    const char *text = json_object_to_json_string_ext(order, JSON_C_TO_STRING_PLAIN);
    AUTO_CLOSE int fd = -1;
    size_t len = strlen(text);
    int r = prepare_note(path, e); /* makes its directory, too */

    if (r < 0)
        return r;
    fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(e, errno, "'%s' can't be written: %s", path, errno == EWOULDBLOCK ? "an earlier hook still runs" : strerror(errno));
    if (len > HOOK_NOTE_MAX || ftruncate(fd, 0) < 0 || write(fd, text, len) != (ssize_t)len || fsync(fd) < 0) {
        (void)err_set(e, errno ? errno : EIO, "cannot write '%s': %s", path, strerror(errno));
        (void)unlink(path); /* nothing has run: nothing is owed */
        return -e->code;
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

/* Waits for the end of a first hook whose ballastd was killed. */
static int note_lock(int fd, const char *path, struct err *e)
{
    const struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000000L};
    int64_t until = now_ms() + 2 * HOOK_END_MS; /* it ends with ballastd */

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK || now_ms() > until)
            return err_set(e, errno, "cannot lock '%s': %s", path, strerror(errno));
        (void)nanosleep(&pause, NULL);
    }
    return 0;
}

/* 0: there is none, or it was not whole, so that nothing was run after it; 1 with *ret. */
static int note_read(const char *path, struct json_object **ret, int *ret_fd, struct err *e)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char text[HOOK_NOTE_MAX + 1];
    struct err ignored = {0};
    ssize_t n;
    int r;

    if (fd < 0)
        return errno == ENOENT ? 0 : err_set(e, errno, "cannot read '%s': %s", path, strerror(errno));
    r = note_lock(fd, path, e);
    if (r < 0)
        return r;
    n = read(fd, text, HOOK_NOTE_MAX);
    if (n <= 0 || access(path, F_OK) < 0 || wire_json_parse(text, (size_t)n, ret, &ignored) < 0)
        return 0;
    *ret_fd = fd;
    fd = -1;
    return 1;
}

int hook_order(struct json_object *order, int out_fd, struct wire_text *t, struct err *e)
{
    const char *which = text_of(order, "hook"), *path = text_of(order, "note");
    struct json_object *note = NULL;
    AUTO_CLOSE int fd = -1;
    bool checkpoint = false;
    int r;

    if (!which || !path || (strcmp(which, HOOK_BEFORE) != 0 && strcmp(which, HOOK_AFTER) != 0))
        return err_set(e, EINVAL, "an order for a hook that lacks something");
    if (strcmp(which, HOOK_BEFORE) == 0) {
        r = note_write(path, order, &fd, e);
        return r < 0 ? r : run(order, HOOK_BEFORE, "begin", out_fd, t, e);
    }
    (void)qmp_get_bool(order, "checkpoint", &checkpoint);
    r = note_read(path, &note, &fd, e);
    if (r <= 0) {
        (void)unlink(path);
        wire_text_adds(t, ",\"ran\":false");
        return r;
    }
    r = run(note, HOOK_AFTER, checkpoint ? "done" : "failed", -1, t, e);
    json_object_put(note);
    if (unlink(path) < 0 && r == 0)
        r = err_set(e, errno, "cannot remove '%s': %s", path, strerror(errno));
    return r;
}
