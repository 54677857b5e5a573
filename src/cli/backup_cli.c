/* SPDX-License-Identifier: Apache-2.0 */
#include "backup_cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

int backup_path(const struct cli *cli, char path[PATHS_SIZE])
{
    const char *given = cli_value(cli, CLI_OPTION_REPOSITORY);
    AUTO(config) struct config *c = NULL;
    struct cli_problem p;
    struct err e = {0};

    if (!given && config_load(NULL, 0, &c, &e) < 0) {
        (void)cli_problem_set(&p, CLI_USAGE, "put it right, or name the repository: --repository PATH", "%s", e.text);
        return cli_complain(cli, &p);
    }
    if (!given)
        given = c->backup_repository;
    if (!given || strlen(given) >= PATHS_SIZE) {
        (void)cli_problem_set(&p, CLI_USAGE,
                              "give it with --repository PATH, or in the configuration: backup: {repository: /srv/backup}",
                              given ? "the repository's path is too long" : "no repository is named");
        return cli_complain(cli, &p);
    }
    (void)snprintf(path, PATHS_SIZE, "%s", given);
    return CLI_DONE;
}

static const char *hint_of(int code)
{
    switch (code) {
    case ENOENT:
        return "ballast backup init makes a repository, ballast backup list shows its points";
    case EACCES:
    case EPERM:
        return "repositories belong to one user: become that one, most often root";
    case ENOSPC:
    case EDQUOT:
        return "make room, then ballast backup prune and sweep";
    case EROFS:
        return "the file system is read-only: look into the kernel's log for why, and mount it writable";
    case EBADMSG:
        return "ballast backup verify finds all that is damaged, and what can still be restored";
    case EPROTONOSUPPORT:
        return "install the ballast that wrote it, or a newer one";
    case EWOULDBLOCK:
        return "wait until it is done";
    case ENOMEM:
        return "free some memory and try again";
    default:
        return "";
    }
}

int backup_fail(const struct cli *cli, const struct err *e, const char *hint, const char *what)
{
    struct cli_problem p;

    (void)cli_problem_set(&p, CLI_FAILED, hint ? hint : hint_of(e->code), "%s: %s", what, e->text);
    return cli_complain(cli, &p);
}

int backup_open(const struct cli *cli, struct repo **ret)
{
    char path[PATHS_SIZE];
    struct err e = {0};
    int r = backup_path(cli, path);

    if (r != CLI_DONE)
        return r;
    return repo_open(path, ret, &e) < 0 ? backup_fail(cli, &e, NULL, "cannot open the repository") : CLI_DONE;
}

int backup_point(const struct cli *cli, struct repo *repo, const char *word, struct repo_point_entry *ret,
                 struct repo_manifest **ret_manifest)
{
    struct err e = {0};

    if (repo_point_find(repo, word, ret, &e) < 0)
        return backup_fail(cli, &e, e.code == ENOENT ? "ballast backup list shows the points there are" : NULL,
                           "no such point");
    if (ret_manifest && repo_manifest_load(repo, ret->identity, ret->time, ret_manifest, &e) < 0)
        return backup_fail(cli, &e, NULL, "cannot read the point");
    return CLI_DONE;
}

int backup_write(const struct cli *cli, struct wire_text *t)
{
    int r = cli_write(cli, t);

    wire_text_done(t);
    return r;
}

const char *backup_time_text(const char *time, char text[BACKUP_TIME_SIZE])
{
    (void)snprintf(text, BACKUP_TIME_SIZE, "%.4s-%.2s-%.2s %.2s:%.2s:%.2s", time, time + 4, time + 6, time + 9, time + 11,
                   time + 13);
    return text;
}

void backup_time_json(struct wire_text *t, const char *time)
{
    wire_text_format(t, "\"%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ\"", time, time + 4, time + 6, time + 9, time + 11, time + 13);
}
