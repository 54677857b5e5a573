/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backup_cli.h"
#include "progress.h"
#include "text.h"
#include "repo_restore.h"
#include "restore_qcow2.h"
#include "units.h"

#define TARGET_SIZE 4096 /* PATH_MAX */

struct restoring {
    const struct cli *cli;
    struct repo *repo;
    const struct repo_point_entry *point;
    char repository[PATHS_SIZE];
    bool is_qcow2;
    struct progress progress;
    uint64_t chunk_bytes, size_bytes;
};

static void show(void *user, size_t done, size_t total)
{
    struct restoring *r = user;
    uint64_t bytes = (uint64_t)done * r->chunk_bytes;

    (void)total;
    progress_update(&r->progress, bytes > r->size_bytes ? r->size_bytes : bytes, r->size_bytes);
}

static void show_bytes(void *user, size_t done, size_t total)
{
    struct restoring *r = user;

    progress_update(&r->progress, done, total);
}

/* 0, or -errno: qemu-img's own message stands above ours. */
static int qcow2_convert(const char *from, const char *to, struct err *e)
{
    const char *const argv[] = {"qemu-img", "convert", "-f", "raw", "-O", "qcow2", from, to, NULL};
    pid_t pid;
    int status, r = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ);

    if (r != 0)
        return err_set(e, r, "qemu-img can't be started: %s", strerror(r));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_set(e, errno, "cannot wait for qemu-img: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return err_set(e, EIO, "qemu-img convert did not write '%s'", to);
}

/* Without nbdkit: by way of a raw image beside it, sparse, and gone afterwards. */
static int qcow2_by_raw(struct restoring *r, const struct repo_disk *disk, const struct repo_restore *how, struct err *e)
{
    char raw[TARGET_SIZE], partial[TARGET_SIZE];
    struct repo_restore step = *how;
    int result;

    if ((size_t)snprintf(raw, sizeof(raw), "%s.raw-%ld", how->target, (long)getpid()) >= sizeof(raw) ||
        (size_t)snprintf(partial, sizeof(partial), "%s.qcow2-%ld", how->target, (long)getpid()) >= sizeof(partial))
        return err_set(e, ENAMETOOLONG, "the path '%.60s...' is too long", how->target);
    if (!how->is_forced && access(how->target, F_OK) == 0)
        return err_set(e, EEXIST, "'%s' is there already", how->target);
    step.target = raw;
    step.is_forced = false;
    result = repo_restore_disk(r->repo, disk, &step, e);
    if (result < 0)
        return result;
    result = qcow2_convert(raw, partial, e);
    if (result == 0 && rename(partial, how->target) < 0)
        result = err_set(e, errno, "cannot name '%s': %s", how->target, strerror(errno));
    (void)unlink(raw); /* ours alone; the failure above is what counts */
    if (result < 0)
        (void)unlink(partial);
    return result;
}

static int qcow2_restore(struct restoring *r, const struct repo_disk *disk, const struct repo_restore *how, struct err *e)
{
    const struct restore_qcow2 qcow2 = {.repository = r->repository, .identity = r->point->identity, .time = r->point->time,
                                        .disk = disk, .target = how->target, .is_forced = how->is_forced, .progress = show_bytes,
                                        .user = r};
    struct err plain = {0};
    int result = restore_qcow2(&qcow2, &plain);

    if (result == -ENOPKG)
        return qcow2_by_raw(r, disk, how, e);
    if (result < 0)
        *e = plain;
    return result;
}

static int disk_restore(struct restoring *r, const struct repo_disk *disk, const char *target)
{
    const struct cli *cli = r->cli;
    struct repo_restore how = {.target = target, .is_forced = cli->options & CLI_OPTION_FORCE, .progress = show, .user = r};
    char what[TEXT_NAME_MAX + 16];
    struct err e = {0};
    int result;

    r->size_bytes = disk->size_bytes;
    (void)snprintf(what, sizeof(what), "restoring %s", disk->name);
    progress_start(&r->progress, cli, what);
    result = r->is_qcow2 ? qcow2_restore(r, disk, &how, &e) : repo_restore_disk(r->repo, disk, &how, &e);
    progress_end(&r->progress);
    if (result < 0)
        return backup_fail(cli, &e, e.code == EEXIST ? "name another one, or --force to overwrite it" :
                                    e.code == EBADMSG || e.code == EIO ? "try another point (ballast backup list); ballast backup verify "
                                                        "tells what else is damaged" : NULL,
                           "not restored");
    return CLI_DONE;
}

static void disk_report(const struct cli *cli, struct wire_text *t, const struct repo_disk *disk, const char *target,
                        bool is_first)
{
    if (cli->options & CLI_OPTION_JSON) {
        wire_text_adds(t, is_first ? "" : ",");
        wire_text_adds(t, "{\"name\":");
        wire_text_string(t, disk->name);
        wire_text_adds(t, ",\"file\":");
        wire_text_string(t, target);
        wire_text_format(t, ",\"size_bytes\":%" PRIu64 "}", disk->size_bytes);
        return;
    }
    (void)term_text(&cli->term, t, disk->name, 0);
    wire_text_format(t, ": %s, every chunk proven, in ", units_show_size(disk->size_bytes).s);
    (void)term_text(&cli->term, t, target, 0);
    wire_text_adds(t, "\n");
}

/* One disk to a file, or all to a directory. */
static int disks_restore(struct restoring *r, const struct repo_manifest *m, struct wire_text *t)
{
    const struct cli *cli = r->cli;
    const char *target = cli->args[cli->arg_count - 1];
    char path[TARGET_SIZE];
    struct cli_problem p;

    if (cli->arg_count == 3) {
        const struct repo_disk *disk = repo_manifest_disk(m, cli->args[1]);
        int result;

        if (!disk) {
            (void)cli_problem_set(&p, CLI_FAILED, "ballast backup show POINT lists its disks", "the point has no disk '%s'",
                                  text_show(cli->args[1], strlen(cli->args[1])).s);
            return cli_complain(cli, &p);
        }
        result = disk_restore(r, disk, target);
        if (result == CLI_DONE)
            disk_report(cli, t, disk, target, /* is_first= */ true);
        return result;
    }
    if (mkdir(target, 0700) < 0 && errno != EEXIST) {
        (void)cli_problem_set(&p, CLI_FAILED, "name a directory for the disks, or a disk and a file",
                              "cannot create '%s': %s", target, strerror(errno));
        return cli_complain(cli, &p);
    }
    for (size_t i = 0; i < m->disk_count; i++) {
        int result;

        (void)snprintf(path, sizeof(path), "%.4000s/%s.%s", target, m->disks[i].name, r->is_qcow2 ? "qcow2" : "raw");
        result = disk_restore(r, &m->disks[i], path);
        if (result != CLI_DONE)
            return result;
        disk_report(cli, t, &m->disks[i], path, i == 0);
    }
    return CLI_DONE;
}

static int format_read(const struct cli *cli, bool *ret_is_qcow2)
{
    const char *format = cli_value(cli, CLI_OPTION_FORMAT);
    struct cli_problem p;

    *ret_is_qcow2 = format && strcmp(format, "qcow2") == 0;
    if (!format || *ret_is_qcow2 || strcmp(format, "raw") == 0)
        return CLI_DONE;
    (void)cli_problem_set(&p, CLI_USAGE, "raw and qcow2 are allowed; qemu-img convert makes others from them",
                          "there is no format '%s'", text_show(format, strlen(format)).s);
    return cli_complain(cli, &p);
}

/* With a new name, a whole guest gets a script. */
static int definition_tell(const struct restoring *r, const struct repo_manifest *m, struct wire_text *t)
{
    if (r->cli->arg_count == 2 && cli_value(r->cli, CLI_OPTION_NAME))
        return backup_definition_script(r->cli, m, r->cli->args[1], r->is_qcow2, t);
    backup_definition_print(r->cli, m, t);
    return CLI_DONE;
}

static int name_check(const struct cli *cli)
{
    const char *name = cli_value(cli, CLI_OPTION_NAME);
    struct cli_problem p;

    if (!name || (text_is_name(name, strlen(name)) && !strchr(name, ',')))
        return CLI_DONE;
    (void)cli_problem_set(&p, CLI_USAGE, "1 to 63 bytes, without blanks, commas, slashes and quotes", "'%s' can't be the name of a guest",
                          text_show(name, strlen(name)).s);
    return cli_complain(cli, &p);
}

int cmd_backup_restore(struct cli *cli)
{
    AUTO(repo) struct repo *repo = NULL;
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    struct restoring r = {.cli = cli};
    struct repo_point_entry point;
    struct repo_hold *hold = NULL;
    struct wire_text t = {0};
    struct err e = {0};
    int result = format_read(cli, &r.is_qcow2), warning = CLI_DONE;

    if (result == CLI_DONE)
        result = name_check(cli);
    if (result == CLI_DONE)
        result = backup_path(cli, r.repository);
    if (result == CLI_DONE)
        result = backup_open(cli, &repo);
    if (result == CLI_DONE)
        result = backup_point(cli, repo, cli->args[0], &point, &m);
    if (result != CLI_DONE)
        return result;
    if (repo_point_use(repo, point.identity, point.time, &hold, &e) < 0)
        return backup_fail(cli, &e, NULL, "cannot use the point");
    r.repo = repo;
    r.point = &point;
    r.chunk_bytes = repo_chunk_bytes(repo);
    if (cli->options & CLI_OPTION_JSON)
        wire_text_format(&t, "{\"point\":\"%s/%s\",\"disks\":[", point.identity, point.time);
    result = disks_restore(&r, m, &t);
    if (cli->options & CLI_OPTION_JSON)
        wire_text_adds(&t, "]");
    if (result == CLI_DONE)
        warning = definition_tell(&r, m, &t);
    if (cli->options & CLI_OPTION_JSON)
        wire_text_adds(&t, "}\n");
    repo_point_unuse(repo, hold);
    if (result == CLI_DONE) {
        result = backup_write(cli, &t);
        return result == CLI_DONE ? warning : result;
    }
    wire_text_done(&t);
    return result;
}
