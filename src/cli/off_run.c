/* SPDX-License-Identifier: Apache-2.0 */
#include "off_run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include "own.h"
#include "text.h"
#include "wire_field.h"

#define SAID_MAX (256U << 10)   /* qemu-img info of an image with many snapshots has some 100 KiB */
#define LINE_MAX_BYTES 4096U    /* ballast-copy's longest (docs/backup-protocol.md) */
#define POLL_MS 200
#define WRITE_LOCK 101          /* QEMU's byte of a file that is open to write: 100 + bit 1 (block/file-posix.c) */

#define IN_USE "its image '%s' is in use: does the guest run? If so, ballast backup run it without --off"

struct off_copy {
    pid_t pid;
    int to_fd, from_fd;
    char line[LINE_MAX_BYTES + 1];
    size_t length;
    char socket_dir[64];
    char hint[160];
    struct off_wish wish;
};

/* ---- qemu-img ---- */

static pid_t start_program(const char *program, char *const *argv, int in_fd, int out_fd, int err_fd, bool own_session)
{
    const pid_t parent = getpid();
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    if (own_session)
        (void)setsid(); /* Ctrl-C is for us: it is told by the end of its input */
    else
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent && (in_fd < 0 || dup2(in_fd, STDIN_FILENO) >= 0) && dup2(out_fd, STDOUT_FILENO) >= 0 &&
        (err_fd < 0 || dup2(err_fd, STDERR_FILENO) >= 0))
        (void)execvp(program, argv);
    (void)dprintf(STDERR_FILENO, "cannot start '%s': %s\n", program, strerror(errno));
    _exit(127);
}

/* Its last line, without "qemu-img: ". */
static void say_last(const char *said, const char *file, struct err *e)
{
    size_t len = strlen(said);
    const char *line;

    while (len > 0 && said[len - 1] == '\n')
        len--;
    line = said + len;
    while (line > said && line[-1] != '\n')
        line--;
    if (strncmp(line, "qemu-img: ", 10) == 0)
        line += 10;
    (void)err_set(e, EIO, "cannot read its image '%s': %s", file, text_show(line, (size_t)(said + len - line)).s);
}

/* said: SAID_MAX, all that it writes; idle: called a few times a second, false ends it. */
static int run_qemu_img(char *const *argv, const char *file, char *said, bool (*idle)(void *user), void *user, struct err *e)
{
    int out[2], status = 0;
    size_t used = 0;
    bool stop = false;
    ssize_t n = 1;
    pid_t pid;

    if (pipe2(out, O_CLOEXEC) < 0)
        return err_set(e, errno, "no pipe: %s", strerror(errno));
    pid = start_program(argv[0], argv, -1, out[1], out[1], false);
    (void)close(out[1]);
    while (pid > 0 && n != 0) {
        struct pollfd fd = {.fd = out[0], .events = POLLIN};
        char more[4096];

        (void)poll(&fd, 1, POLL_MS);
        if (idle && !stop && !idle(user)) {
            stop = true;
            (void)kill(pid, SIGTERM);
        }
        if (!fd.revents)
            continue;
        n = read(out[0], more, sizeof(more));
        if (n > 0 && used + (size_t)n < SAID_MAX) {
            memcpy(said + used, more, (size_t)n);
            used += (size_t)n;
        }
    }
    (void)close(out[0]);
    said[used] = '\0';
    if (pid < 0)
        return err_set(e, errno, "cannot run qemu-img: %s", strerror(errno));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (stop)
        return err_set(e, ECANCELED, "it was given up");
    say_last(said, file, e);
    return -e->code;
}

/* ---- is it still? ---- */

/* Asks without taking a lock: QEMU's own test would make a guest that starts just then fail. */
static bool has_writer(const char *file)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = WRITE_LOCK, .l_len = 1};
    AUTO_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static struct json_object *member(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;

    return o && json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, name, &v) ? v : NULL;
}

/* A bitmap that is marked as in use belongs to a QEMU that was killed. */
static bool has_bitmap_in_use(struct json_object *bitmaps)
{
    for (size_t i = 0; bitmaps && json_object_is_type(bitmaps, json_type_array) && i < json_object_array_length(bitmaps); i++) {
        struct json_object *flags = member(json_object_array_get_idx(bitmaps, i), "flags");

        for (size_t k = 0; flags && json_object_is_type(flags, json_type_array) && k < json_object_array_length(flags); k++) {
            const char *flag = json_object_get_string(json_object_array_get_idx(flags, k));

            if (flag && strcmp(flag, "in-use") == 0)
                return true;
        }
    }
    return false;
}

int off_look(struct off_disk *d, struct err *e)
{
    char *argv[] = {(char *)"qemu-img", (char *)"info", (char *)"-U", (char *)"--output=json", (char *)"-f", d->format, d->file,
                    NULL};
    AUTO_FREE char *said = malloc(SAID_MAX);
    struct json_object *info = NULL, *data;
    int r;

    if (!said)
        return err_set(e, ENOMEM, "no memory");
    if (stat(d->file, &d->before) < 0)
        return err_set(e, errno, "its image '%s' can't be looked at: %s", d->file, strerror(errno));
    if (has_writer(d->file))
        return err_set(e, EBUSY, IN_USE, d->file);
    r = run_qemu_img(argv, d->file, said, NULL, NULL, e);
    if (r < 0)
        return r;
    r = wire_json_parse(said, strlen(said), &info, e);
    if (r < 0)
        return err_wrap(e, "qemu-img says something of '%s' that is not understood", d->file);
    data = member(member(info, "format-specific"), "data");
    d->size_bytes = (uint64_t)json_object_get_int64(member(info, "virtual-size"));
    d->is_locked = !S_ISREG(d->before.st_mode) || member(data, "data-file");
    d->was_killed = has_bitmap_in_use(member(data, "bitmaps"));
    json_object_put(info);
    if (d->size_bytes == 0 || d->size_bytes % 512 != 0)
        return err_set(e, EINVAL, "its image '%s' has a size that no disk has", d->file);
    return 0;
}

int off_check(const struct off_disk *d, struct err *e)
{
    struct stat now;

    if (stat(d->file, &now) < 0)
        return err_set(e, errno, "its image '%s' is gone: %s", d->file, strerror(errno));
    if (has_writer(d->file))
        return err_set(e, EBUSY, "its image '%s' came into use while it was read: the guest was started", d->file);
    if (now.st_ino == d->before.st_ino && now.st_dev == d->before.st_dev && now.st_size == d->before.st_size &&
        now.st_mtim.tv_sec == d->before.st_mtim.tv_sec && now.st_mtim.tv_nsec == d->before.st_mtim.tv_nsec)
        return 0;
    return err_set(e, EBUSY, "its image '%s' was written while it was read", d->file);
}

/* ---- ballast-copy ---- */

static int say(struct off_copy *c, const char *text, size_t len, struct err *e)
{
    while (len > 0) {
        ssize_t n = write(c->to_fd, text, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(e, errno, "ballast-copy has ended: %s", strerror(errno));
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

static void take_progress(struct off_copy *c, struct json_object *p)
{
    const char *name = json_object_get_string(member(p, "disk"));

    for (size_t i = 0; name && i < c->wish.count; i++) {
        struct off_disk *d = &c->wish.disks[i];

        if (strcmp(d->name, name) != 0)
            continue;
        d->received_bytes = (uint64_t)json_object_get_int64(member(p, "received_bytes"));
        d->data_bytes = (uint64_t)json_object_get_int64(member(p, "data_bytes"));
        d->stored_bytes = (uint64_t)json_object_get_int64(member(p, "stored_bytes"));
    }
}

/* One line. 1: it is the wanted one, ret has its text where it is one; 0: another. */
static int take_line(struct off_copy *c, const char *wanted, char *ret, size_t size, struct err *e)
{
    struct json_object *json = NULL, *value;
    int r = wire_json_parse(c->line, strlen(c->line), &json, e);

    if (r < 0)
        return err_wrap(e, "ballast-copy said something that is not understood");
    value = member(json, "failed");
    if (value) {
        const char *hint = json_object_get_string(member(json, "hint"));

        r = err_set(e, EIO, "%s", json_object_get_string(value));
        wire_text_copy(c->hint, sizeof(c->hint), hint ? hint : "");
    } else if (member(json, "progress")) {
        take_progress(c, member(json, "progress"));
    } else {
        value = member(json, wanted);
        r = value != NULL;
        if (value && ret)
            wire_text_copy(ret, size, json_object_get_string(value));
    }
    json_object_put(json);
    return r;
}

/* Reads what has come, within the time; 1: the wanted line was there. */
static int hear(struct off_copy *c, int timeout_ms, const char *wanted, char *ret, size_t size, struct err *e)
{
    struct pollfd fd = {.fd = c->from_fd, .events = POLLIN};
    char byte;

    while (poll(&fd, 1, timeout_ms) > 0) {
        ssize_t n = read(c->from_fd, &byte, 1); /* few and short lines */
        int r;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(e, EPIPE, "ballast-copy has ended");
        if (byte != '\n') {
            if (c->length < LINE_MAX_BYTES)
                c->line[c->length++] = byte;
            continue;
        }
        c->line[c->length] = '\0';
        c->length = 0;
        r = take_line(c, wanted, ret, size, e);
        if (r != 0)
            return r;
    }
    return 0;
}

/* Until the wanted line comes. ballast-copy watches itself: it speaks, or it ends. */
static int await(struct off_copy *c, const char *wanted, char *ret, size_t size, struct err *e)
{
    int r;

    while ((r = hear(c, POLL_MS, wanted, ret, size, e)) == 0)
        if (c->wish.is_given_up(c->wish.user))
            return err_set(e, ECANCELED, "it was given up");
    return r < 0 ? r : 0;
}

static void print_job(const struct off_copy *c, struct wire_text *t)
{
    wire_text_adds(t, "{\"job\":{\"repository\":");
    wire_text_string(t, c->wish.repository);
    wire_text_adds(t, ",\"guest\":");
    wire_text_string(t, c->wish.identity);
    wire_text_adds(t, ",\"name\":");
    wire_text_string(t, c->wish.guest);
    wire_text_format(t, ",\"time\":\"%s\",\"bandwidth_bytes_per_second\":0,\"disks\":[", c->wish.time);
    for (size_t i = 0; i < c->wish.count; i++) {
        wire_text_adds(t, i ? ",{\"name\":" : "{\"name\":");
        wire_text_string(t, c->wish.disks[i].name);
        wire_text_format(t, ",\"size_bytes\":%" PRIu64 ",\"kind\":\"full\",\"parent\":null,\"socket\":",
                         c->wish.disks[i].size_bytes);
        wire_text_string(t, c->wish.disks[i].socket);
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "]}}\n");
}

static int start_copier(struct off_copy *c, struct err *e)
{
    int to[2] = {-1, -1}, from[2] = {-1, -1}, r;
    char program[PATHS_SIZE];
    char *argv[] = {program, NULL};
    struct wire_text t = {0};

    r = paths_join(paths_libexec_dir(), "ballast-copy", program, e);
    if (r < 0)
        return r;
    if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
        return err_set(e, errno, "no pipe: %s", strerror(errno));
    c->pid = start_program(program, argv, to[0], from[1], -1, true);
    (void)close(to[0]);
    (void)close(from[1]);
    c->to_fd = to[1];
    c->from_fd = from[0];
    if (c->pid < 0)
        return err_set(e, errno, "cannot start ballast-copy: %s", strerror(errno));
    print_job(c, &t);
    r = t.failed ? err_set(e, ENOMEM, "no memory") : say(c, t.data, t.length, e);
    wire_text_done(&t);
    return r < 0 ? r : await(c, "ready", NULL, 0, e);
}

/* While qemu-img reads. */
static bool on_idle(void *user)
{
    struct off_copy *c = user;
    uint64_t done = 0, total = 0;
    struct err e = {0};

    if (hear(c, 0, "never", NULL, 0, &e) < 0)
        (void)snprintf(c->hint, sizeof(c->hint), "%s", c->hint[0] ? c->hint : "see the repository and its disk");
    for (size_t i = 0; i < c->wish.count; i++) {
        const struct off_disk *d = &c->wish.disks[i];

        total += d->size_bytes;
        done += d->received_bytes < d->size_bytes ? d->received_bytes : d->size_bytes;
    }
    c->wish.progress(c->wish.user, done, total);
    return !e.code && !c->wish.is_given_up(c->wish.user);
}

static int read_disk(struct off_copy *c, struct off_disk *d, char *said, struct err *e)
{
    char target[PATHS_SOCKET_SIZE + 16];
    char *argv[12];
    size_t n = 0;
    int r;

    (void)snprintf(target, sizeof(target), "nbd:unix:%s", d->socket);
    argv[n++] = (char *)"qemu-img";
    argv[n++] = (char *)"convert";
    if (!d->is_locked)
        argv[n++] = (char *)"-U";
    argv[n++] = (char *)"-n";
    argv[n++] = (char *)"-f";
    argv[n++] = d->format;
    argv[n++] = (char *)"-O";
    argv[n++] = (char *)"raw";
    argv[n++] = d->file;
    argv[n++] = target;
    argv[n] = NULL;
    r = run_qemu_img(argv, d->file, said, on_idle, c, e);
    if (r < 0 && has_writer(d->file)) /* one that was being written may have looked damaged */
        return off_check(d, e);
    return r < 0 ? r : off_check(d, e);
}

int off_copy_start(const struct off_wish *wish, struct off_copy **ret, char *hint, size_t hint_size, struct err *e)
{
    AUTO(off_copy) struct off_copy *c = calloc(1, sizeof(*c));
    AUTO_FREE char *said = malloc(SAID_MAX);
    int r;

    if (!c || !said)
        return err_set(e, ENOMEM, "no memory");
    *c = (struct off_copy){.pid = -1, .to_fd = -1, .from_fd = -1, .wish = *wish};
    (void)signal(SIGPIPE, SIG_IGN); /* a ballast-copy that has ended is told by write() */
    (void)snprintf(c->socket_dir, sizeof(c->socket_dir), "/tmp/ballast-off-XXXXXX");
    if (!mkdtemp(c->socket_dir)) {
        c->socket_dir[0] = '\0';
        return err_set(e, errno, "no directory for sockets in /tmp: %s", strerror(errno));
    }
    for (size_t i = 0; i < wish->count; i++)
        (void)snprintf(wish->disks[i].socket, sizeof(wish->disks[i].socket), "%s/%zu", c->socket_dir, i);
    r = start_copier(c, e);
    for (size_t i = 0; r == 0 && i < wish->count; i++)
        r = read_disk(c, &wish->disks[i], said, e);
    for (size_t i = 0; r == 0 && i < wish->count; i++) /* all of one instant: none moved while another was read */
        r = off_check(&wish->disks[i], e);
    (void)snprintf(hint, hint_size, "%s", c->hint);
    if (r < 0)
        return r;
    *ret = TAKE(c);
    return 0;
}

int off_copy_finish(struct off_copy *c, const char *manifest, char *point, size_t point_size, struct err *e)
{
    struct wire_text t = {0};
    int r;

    wire_text_adds(&t, "{\"finish\":{\"manifest\":");
    wire_text_adds(&t, manifest);
    wire_text_adds(&t, "}}\n");
    r = t.failed ? err_set(e, ENOMEM, "no memory") : say(c, t.data, t.length, e);
    wire_text_done(&t);
    return r < 0 ? r : await(c, "committed", point, point_size, e);
}

struct off_copy *off_copy_free(struct off_copy *c)
{
    if (!c)
        return NULL;
    if (c->to_fd >= 0)
        (void)close(c->to_fd); /* what is not committed is thrown away */
    if (c->from_fd >= 0)
        (void)close(c->from_fd);
    while (c->pid > 0 && waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    for (size_t i = 0; i < c->wish.count; i++)
        if (c->wish.disks[i].socket[0])
            (void)unlink(c->wish.disks[i].socket); /* ballast-copy mostly has */
    if (c->socket_dir[0])
        (void)rmdir(c->socket_dir);
    free(c);
    return NULL;
}
