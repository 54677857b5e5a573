/* SPDX-License-Identifier: Apache-2.0 */
#include "prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include "own.h"
#include "qmp_message.h"
#include "repo.h"
#include "repo_damage.h"
#include "units.h"
#include "wire_field.h"

#define CMDLINE_MAX (256U << 10) /* QEMU's of a guest with a hundred devices has some 20 KiB */

extern char **environ;

/* ---- the repository ---- */

/* Of the newest point: what each disk's bitmap is, and whether the next point may build on it. */
static void print_disks(struct repo *repo, const struct repo_manifest *m, struct wire_text *t)
{
    struct json_object *facts = NULL, *disks, *known;
    struct repo_marks damaged;
    struct err e = {0}, why = {0};
    bool first = true, is_listed = repo_damage_load(repo, &damaged, &why) == 0;

    wire_text_adds(t, ",\"disks\":{");
    if (m->facts && wire_json_parse(m->facts, strlen(m->facts), &facts, &e) == 0 && qmp_get_object(facts, "disks", &disks))
        for (size_t i = 0; i < m->disk_count; i++) {
            uint64_t number;

            if (!qmp_get_object(disks, m->disks[i].name, &known) || !qmp_get_u64(known, "bitmap", &number))
                continue;
            wire_text_adds(t, first ? "" : ",");
            wire_text_string(t, m->disks[i].name);
            wire_text_format(t, ":{\"bitmap\":%" PRIu64 ",\"size_bytes\":%" PRIu64, number, m->disks[i].size_bytes);
            if (!is_listed || repo_damage_check(repo, &damaged, &m->disks[i], &why) < 0) {
                wire_text_adds(t, ",\"damaged\":");
                wire_text_string(t, why.text);
            }
            wire_text_adds(t, "}");
            first = false;
        }
    wire_text_adds(t, "}");
    repo_marks_done(&damaged);
    json_object_put(facts);
}

int prepare_repository(const char *path, const char *identity, struct wire_text *t, struct err *e)
{
    AUTO(repo_point_list) struct repo_point_list *points = NULL;
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    AUTO(repo) struct repo *repo = NULL;
    struct err ignored = {0};
    int r = repo_open(path, &repo, e);

    if (r < 0)
        return r;
    wire_text_format(t, ",\"repository_name\":\"%s\",\"chunk_bytes\":%u", repo_name(repo), repo_chunk_bytes(repo));
    r = repo_points_list(repo, identity, &points, e);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (points->count == 0)
        return 0;
    if (repo_manifest_load(repo, identity, points->items[points->count - 1].time, &m, &ignored) < 0)
        return 0;
    wire_text_format(t, ",\"parent\":\"%s\"", m->time);
    if (m->chunk_bytes == repo_chunk_bytes(repo))
        print_disks(repo, m, t);
    return 0;
}

/* ---- the guest's definition ---- */

void prepare_definition(pid_t pid, struct wire_text *t)
{
    AUTO_FREE char *text = malloc(CMDLINE_MAX + 1);
    AUTO_CLOSE int fd = -1;
    size_t len = 0;
    char path[64];
    ssize_t n;

    (void)snprintf(path, sizeof(path), "/proc/%ld/cmdline", (long)pid);
    fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    while (text && fd >= 0 && len < CMDLINE_MAX && (n = read(fd, text + len, CMDLINE_MAX - len)) > 0)
        len += (size_t)n;
    if (!text || len == 0) {
        wire_text_adds(t, ",\"definition\":null");
        return;
    }
    text[len] = '\0';
    wire_text_adds(t, ",\"definition\":[");
    for (size_t at = 0; at < len; at += strlen(text + at) + 1) {
        wire_text_adds(t, at ? "," : "");
        wire_text_string(t, text + at);
    }
    wire_text_adds(t, "]");
}

/* ---- fleecing images ---- */

/* Its own directory, which QEMU's user may pass but not list. */
static int make_directory(const char *path, mode_t mode, struct err *e)
{
    AUTO_FREE char *copy = strdup(path);
    const char *directory = copy ? dirname(copy) : NULL;

    if (!directory)
        return err_set(e, ENOMEM, "no memory for the path '%s'", path);
    if (mkdir(directory, mode) < 0 && errno != EEXIST)
        return err_set(e, errno, "cannot make the directory '%s': %s", directory, strerror(errno));
    return 0;
}

static int check_space(const char *path, uint64_t disks_bytes, struct err *e)
{
    AUTO_FREE char *copy = strdup(path);
    const char *directory = copy ? dirname(copy) : NULL;
    uint64_t wanted = disks_bytes / 100 * PREPARE_FREE_PERCENT, free_bytes;
    struct statvfs fs;

    if (!directory || statvfs(directory, &fs) < 0)
        return err_set(e, errno, "cannot see how much space is free for '%s': %s", path, strerror(errno));
    wanted = wanted > PREPARE_FREE_MIN ? wanted : PREPARE_FREE_MIN;
    free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (free_bytes < wanted)
        return err_set(e, ENOSPC, "only %s are free in '%s', where old data of the disks is kept while they are copied: "
                       "%s are needed", units_show_size(free_bytes).s, directory, units_show_size(wanted).s);
    return 0;
}

static int run_qemu_img(const char *path, uint64_t size_bytes, struct err *e)
{
    char size[32];
    char *argv[] = {(char *)"qemu-img", (char *)"create", (char *)"-q", (char *)"-f", (char *)"qcow2", (char *)path,
                    size, NULL};
    int status = 0, code;
    pid_t pid;

    (void)snprintf(size, sizeof(size), "%" PRIu64, size_bytes);
    code = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
    if (code)
        return err_set(e, code, "cannot run qemu-img (package qemu-utils): %s", strerror(code));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_set(e, errno, "cannot wait for qemu-img: %s", strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(e, EIO, "qemu-img could not make '%s'; what it said stands in ballastd's log", path);
    return 0;
}

/* The user that QEMU runs as must be able to open it; nobody else. */
static int give_to_qemu(const char *path, mode_t mode, pid_t pid, struct err *e)
{
    struct stat st;
    char proc[64];

    (void)snprintf(proc, sizeof(proc), "/proc/%ld", (long)pid);
    if (chmod(path, mode) < 0)
        return err_set(e, errno, "cannot set the mode of '%s': %s", path, strerror(errno));
    if (pid <= 0 || stat(proc, &st) < 0 || st.st_uid == geteuid())
        return 0;
    if (chown(path, st.st_uid, st.st_gid) < 0)
        return err_set(e, errno, "cannot give '%s' to the user of QEMU (uid %ld): %s", path, (long)st.st_uid,
                       strerror(errno));
    return 0;
}

int prepare_fleece(struct json_object *list, pid_t pid, struct err *e)
{
    uint64_t total = 0, size;
    const char *path;
    int r = 0;

    for (size_t i = 0; i < json_object_array_length(list); i++)
        if (qmp_get_u64(json_object_array_get_idx(list, i), "size_bytes", &size))
            total += size;
    for (size_t i = 0; r == 0 && i < json_object_array_length(list); i++) {
        struct json_object *image = json_object_array_get_idx(list, i);

        if (!qmp_get_string(image, "path", &path) || !qmp_get_u64(image, "size_bytes", &size))
            return err_set(e, EINVAL, "an image without path or size");
        r = make_directory(path, 0711, e);
        if (r == 0 && i == 0)
            r = check_space(path, total, e);
        if (r == 0 && unlink(path) < 0 && errno != ENOENT)
            r = err_set(e, errno, "cannot remove the old '%s': %s", path, strerror(errno));
        if (r == 0)
            r = run_qemu_img(path, size, e);
        if (r == 0)
            r = give_to_qemu(path, 0600, pid, e);
    }
    return r;
}

/* Nothing may be in it: a socket that somebody put there would be taken for QEMU's. */
int prepare_expose(const char *path, pid_t pid, struct err *e)
{
    char old[PATH_MAX];
    int r = make_directory(path, 0711, e);

    if (r < 0)
        return r;
    (void)snprintf(old, sizeof(old), "%s/qemu.nbd", path);
    (void)unlink(old); /* where it can't be, rmdir() tells */
    if (rmdir(path) < 0 && errno != ENOENT)
        return err_set(e, errno, "cannot remove the old '%s': %s", path, strerror(errno));
    if (mkdir(path, 0700) < 0)
        return err_set(e, errno, "cannot make the directory '%s': %s", path, strerror(errno));
    return give_to_qemu(path, 0700, pid, e);
}

int prepare_probe(const char *state_dir, struct err *e)
{
    AUTO_CLOSE int fd = -1;
    char path[4096];
    int r = 0;

    (void)snprintf(path, sizeof(path), "%s/fleece/probe-%ld", state_dir, (long)getpid());
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_set(e, errno, "cannot make '%s': %s", path, strerror(errno));
    if (write(fd, path, strlen(path)) < 0 || fsync(fd) < 0)
        r = err_set(e, errno, "cannot write '%s': %s", path, strerror(errno));
    (void)unlink(path); /* one that stays is small, and says what it is */
    return r;
}

int prepare_note(const char *path, struct err *e)
{
    AUTO_CLOSE int fd = -1;
    int r = make_directory(path, 0711, e);

    if (r < 0)
        return r;
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? err_set(e, errno, "cannot write '%s': %s", path, strerror(errno)) : 0;
}

int prepare_remove(struct json_object *list, struct err *e)
{
    int r = 0;

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *path = json_object_array_get_idx(list, i);

        if (!json_object_is_type(path, json_type_string) || unlink(json_object_get_string(path)) == 0)
            continue;
        if (errno == EISDIR && rmdir(json_object_get_string(path)) == 0)
            continue;
        if (errno != ENOENT)
            r = err_set(e, errno, "cannot remove '%s': %s", json_object_get_string(path), strerror(errno));
    }
    return r;
}
