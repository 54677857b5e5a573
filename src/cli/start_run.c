/* SPDX-License-Identifier: Apache-2.0 */
#include "start_run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "paths.h"
#include "serve_run.h"
#include "text.h"
#include "wire_field.h"

#define UP_SEC 60           /* QEMU answers as soon as it has its memory and its disks */
#define LOOK_MS 500         /* between two looks at how far the copies are */
#define LINE_MAX (1U << 18) /* of the monitor: query-block-jobs of all disks is a fiftieth */
#define PATH_SIZE 4096

struct start {
    const struct start_wish *wish;
    bool is_kept;
    pid_t qemu, nbdkits[REPO_DISKS_MAX];
    int disks[REPO_DISKS_MAX], served[REPO_DISKS_MAX]; /* QEMU's ends, nbdkit's */
    int qmp, qmp_of_qemu;
    char errors[PATH_SIZE]; /* what QEMU says on standard error */
    char *rest;             /* of the monitor: LINE_MAX bytes, not yet taken */
    size_t rest_length;
    struct err failed;      /* the first copy that failed */
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

/* ---- overlays ---- */

static int overlay_new(const struct start_wish *wish, const struct repo_disk *disk, struct err *e)
{
    char path[PATH_SIZE], under[PATH_SIZE], size[24];
    const char *const argv[] = {"qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", under, path, size, NULL};
    pid_t pid;
    int status, r;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s.qcow2", wish->stage.directory, disk->name) >= sizeof(path) ||
        (size_t)snprintf(under, sizeof(under), "nbd+unix:///?socket=%s/%s.nbd", wish->stage.directory, disk->name) >= sizeof(under))
        return err_set(e, ENAMETOOLONG, "the path '%.60s...' is too long", wish->stage.directory);
    (void)snprintf(size, sizeof(size), "%" PRIu64, disk->size_bytes);
    if (access(path, F_OK) == 0)
        return err_set(e, EEXIST, "'%s' is there already", path);
    r = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ);
    if (r != 0)
        return err_set(e, r, "qemu-img (package qemu-utils) can't be started: %s", strerror(r));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_set(e, errno, "cannot wait for qemu-img: %s", strerror(errno));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : err_set(e, EIO, "qemu-img did not make '%s'", path);
}

int start_overlays(const struct start_wish *wish, struct err *e)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < wish->manifest->disk_count; i++)
        r = overlay_new(wish, &wish->manifest->disks[i], e);
    return r;
}

/* ---- processes ---- */

static int pair(int *ours, int *theirs, struct err *e)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return err_set(e, errno, "no sockets: %s", strerror(errno));
    *ours = fds[0];
    *theirs = fds[1];
    return 0;
}

static int nbdkits_start(struct start *s, struct err *e)
{
    const struct repo_manifest *m = s->wish->manifest;
    int r = 0;

    for (size_t i = 0; r == 0 && i < m->disk_count; i++) {
        const struct serve_wish wish = {.repository = s->wish->repository, .identity = m->identity, .time = m->time,
                                        .disk = m->disks[i].name, .is_writable = !s->is_kept, .is_single = true,
                                        .is_kept = s->is_kept};

        r = pair(&s->disks[i], &s->served[i], e);
        if (r == 0)
            r = serve_start(&wish, s->served[i], &s->nbdkits[i], e);
        shut(&s->served[i]);
    }
    return r;
}

static void become_qemu(const struct start *s, const struct boot_line *line, pid_t parent)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int errors = open(s->errors, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setsid(); /* Ctrl-C is for us alone */
    if (!s->is_kept && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
        _exit(1);
    for (size_t i = 0; i < s->wish->manifest->disk_count; i++)
        (void)fcntl(s->disks[i], F_SETFD, 0);
    (void)fcntl(s->qmp_of_qemu, F_SETFD, 0);
    if (null >= 0 && errors >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(errors, STDOUT_FILENO) >= 0 &&
        dup2(errors, STDERR_FILENO) >= 0)
        (void)execvp(line->argv[0], line->argv);
    dprintf(errors, "cannot start %s: %s\n", line->argv[0], strerror(errno));
    _exit(1);
}

static int qemu_start(struct start *s, struct err *e)
{
    AUTO(boot_line) struct boot_line *line = NULL;
    struct boot_stage stage = s->wish->stage;
    const pid_t parent = getpid();
    int r = pair(&s->qmp, &s->qmp_of_qemu, e);

    stage.qmp_fd = s->qmp_of_qemu;
    if (r == 0)
        r = boot_line_stage(s->wish->manifest, &s->wish->host, s->disks, &stage, &line, e);
    if (r < 0)
        return r;
    s->qemu = fork();
    if (s->qemu == 0)
        become_qemu(s, line, parent);
    return s->qemu < 0 ? err_set(e, errno, "cannot start QEMU: %s", strerror(errno)) : 0;
}

/* With the last line of what QEMU said. */
static int ended(const struct start *s, struct err *e)
{
    char text[TEXT_SHOWN_SIZE * 4] = "";
    AUTO_CLOSE int fd = open(s->errors, O_RDONLY | O_CLOEXEC);
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0, from = size > (off_t)sizeof(text) - 1 ? size - (off_t)sizeof(text) + 1 : 0;
    ssize_t n = fd >= 0 ? pread(fd, text, sizeof(text) - 1, from) : 0;

    while (n > 0 && (unsigned char)text[n - 1] <= ' ')
        n--;
    text[n > 0 ? n : 0] = '\0';
    text_clean(text);
    return n > 0 ? err_set(e, ECHILD, "the guest's QEMU has ended: %s", text) : err_set(e, ECHILD, "the guest's QEMU has ended");
}

/* ---- the monitor ---- */

/* A line that is there already; NULL: none is. */
static struct json_object *line_take(struct start *s)
{
    char *end = memchr(s->rest, '\n', s->rest_length);
    struct json_object *json = NULL;
    struct err ignored = {0};

    if (!end)
        return NULL;
    (void)wire_json_parse(s->rest, (size_t)(end - s->rest), &json, &ignored); /* QEMU's own child: its lines are JSON */
    s->rest_length -= (size_t)(end + 1 - s->rest);
    memmove(s->rest, end + 1, s->rest_length);
    return json;
}

/* Reads more; -EINTR: a signal that ends us, -ECHILD, -ETIMEDOUT. */
static int more_read(struct start *s, uint64_t until_ms, struct err *e)
{
    struct pollfd fds[] = {{.fd = s->wish->signal_fd, .events = POLLIN}, {.fd = s->qmp, .events = POLLIN}};
    uint64_t now = now_ms();
    ssize_t n;

    if (now >= until_ms)
        return err_set(e, ETIMEDOUT, "QEMU does not answer");
    (void)poll(fds, 2, until_ms - now > 1000 ? 1000 : (int)(until_ms - now));
    if (fds[0].revents)
        return err_set(e, EINTR, "given up");
    if (!fds[1].revents)
        return 0;
    n = read(s->qmp, s->rest + s->rest_length, LINE_MAX - s->rest_length);
    if (n <= 0)
        return ended(s, e);
    s->rest_length += (size_t)n;
    return 0;
}

/* A copy that ended: "data": {"device": the job, "error": why it failed}. */
static void event_see(struct start *s, struct json_object *line)
{
    struct json_object *name, *data, *error;

    if (json_object_object_get_ex(line, "event", &name) && strcmp(json_object_get_string(name), "BLOCK_JOB_COMPLETED") == 0 &&
        json_object_object_get_ex(line, "data", &data) && json_object_object_get_ex(data, "error", &error) && !s->failed.code) {
        const char *text = json_object_get_string(error);

        (void)err_set(&s->failed, EIO, "a disk could not be copied: %s", text_show(text, strlen(text)).s);
    }
}

/* One command and its answer (ret may be NULL; the caller's). */
static int ask(struct start *s, const char *command, struct json_object **ret, struct err *e)
{
    const uint64_t until = now_ms() + UP_SEC * 1000;
    int r = 0;

    if (send(s->qmp, command, strlen(command), MSG_NOSIGNAL) != (ssize_t)strlen(command))
        return ended(s, e);
    while (r == 0) {
        struct json_object *line = line_take(s), *value;

        if (!line) {
            r = more_read(s, until, e);
            continue;
        }
        event_see(s, line);
        if (json_object_object_get_ex(line, "error", &value)) {
            const char *text = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);

            r = err_set(e, EIO, "QEMU refuses: %s", text_show(text, strlen(text)).s);
        } else if (json_object_object_get_ex(line, "return", &value)) {
            if (ret)
                *ret = json_object_get(value);
            (void)json_object_put(line);
            return 0;
        }
        (void)json_object_put(line);
    }
    return r;
}

/* ---- life ---- */

int start_new(const struct start_wish *wish, struct start **ret, struct err *e)
{
    AUTO(start) struct start *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return err_set(e, ENOMEM, "no memory to start a guest");
    s->wish = wish;
    s->qmp = s->qmp_of_qemu = -1;
    for (size_t i = 0; i < REPO_DISKS_MAX; i++)
        s->disks[i] = s->served[i] = -1;
    s->rest = malloc(LINE_MAX);
    if (!s->rest)
        return err_set(e, ENOMEM, "no memory to start a guest");
    s->is_kept = wish->stage.has_overlays;
    (void)snprintf(s->errors, sizeof(s->errors), "%s/%s.errors", wish->stage.directory, wish->stage.name);
    r = nbdkits_start(s, e);
    if (r == 0)
        r = qemu_start(s, e);
    for (size_t i = 0; i < wish->manifest->disk_count; i++)
        shut(&s->disks[i]); /* so that each sees the other's end */
    shut(&s->qmp_of_qemu);
    if (r == 0)
        r = ask(s, "{\"execute\":\"qmp_capabilities\"}\n", NULL, e);
    if (r < 0) {
        s->is_kept = false; /* nothing of it is worth keeping */
        return r;
    }
    *ret = TAKE(s);
    return 0;
}

pid_t start_pid(const struct start *s)
{
    return s->qemu;
}

int start_await_end(struct start *s, struct err *e)
{
    int r = 0;

    while (r == 0) {
        s->rest_length = 0; /* events, of no interest */
        r = more_read(s, UINT64_MAX, e);
    }
    return 0; /* the guest is off, or shall be */
}

/* Then the nbdkits end: nobody is connected any more. */
static int points_release(struct start *s, struct err *e)
{
    char command[96];
    int r = 0;

    for (size_t i = 0; r == 0 && i < s->wish->manifest->disk_count; i++) {
        (void)snprintf(command, sizeof(command), "{\"execute\":\"blockdev-del\",\"arguments\":{\"node-name\":\"" BOOT_POINT_NODE
                       "%zu\"}}\n", i);
        r = ask(s, command, NULL, e);
    }
    return r;
}

/* -EAGAIN: not yet. */
static int copies_look(struct start *s, repo_progress_fn *progress, void *user, struct err *e)
{
    struct json_object *jobs = NULL, *value;
    uint64_t total = 0, left = 0;
    int r = ask(s, "{\"execute\":\"query-block-jobs\"}\n", &jobs, e);
    size_t n = r == 0 ? json_object_array_length(jobs) : 0;

    for (size_t i = 0; i < s->wish->manifest->disk_count; i++)
        total += s->wish->manifest->disks[i].size_bytes;
    for (size_t i = 0; i < n; i++) {
        struct json_object *job = json_object_array_get_idx(jobs, i);

        if (json_object_object_get_ex(job, "len", &value))
            left += (uint64_t)json_object_get_int64(value);
        if (json_object_object_get_ex(job, "offset", &value))
            left -= (uint64_t)json_object_get_int64(value);
    }
    (void)json_object_put(jobs);
    if (r < 0)
        return r;
    progress(user, (size_t)(left < total ? total - left : 0), (size_t)total);
    return n > 0 ? -EAGAIN : 0;
}

int start_copy(struct start *s, repo_progress_fn *progress, void *user, struct err *e)
{
    char command[160];
    int r = 0;

    for (size_t i = 0; r == 0 && i < s->wish->manifest->disk_count; i++) {
        (void)snprintf(command, sizeof(command), "{\"execute\":\"block-stream\",\"arguments\":{\"job-id\":\"start%zu\",\"device\":"
                       "\"" BOOT_NODE "%zu\"}}\n", i, i);
        r = ask(s, command, NULL, e);
    }
    while (r == 0 && (r = copies_look(s, progress, user, e)) == -EAGAIN) {
        struct pollfd told = {.fd = s->wish->signal_fd, .events = POLLIN};

        r = poll(&told, 1, LOOK_MS) > 0 ? err_set(e, EINTR, "given up") : 0;
    }
    if (r == 0 && s->failed.code) {
        *e = s->failed;
        r = -e->code;
    }
    return r == 0 ? points_release(s, e) : r;
}

static void child_end(pid_t pid)
{
    if (pid <= 0)
        return;
    (void)kill(pid, SIGKILL); /* what it wrote is thrown away */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

struct start *start_free(struct start *s)
{
    if (!s)
        return NULL;
    if (!s->is_kept)
        child_end(s->qemu);
    for (size_t i = 0; i < REPO_DISKS_MAX; i++) {
        if (!s->is_kept)
            child_end(s->nbdkits[i]);
        shut(&s->disks[i]);
        shut(&s->served[i]);
    }
    shut(&s->qmp);
    shut(&s->qmp_of_qemu);
    free(s->rest);
    free(s);
    return NULL;
}
