/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "backup_cli.h"
#include "text.h"
#include "units.h"

#define COMMON (CLI_OPTION_JSON | CLI_OPTION_REPOSITORY)
#define NAME_SKIP (sizeof("backup ") - 1)

const struct cli_command cli_backup_commands[] = {
    {"backup init", cmd_backup_init, COMMON | CLI_OPTION_CHUNK_SIZE, 0, 0,
     "[--repository PATH] [--chunk-size SIZE] [--json]", "makes a repository",
     "Makes the directory (an empty one may be there) and tries whether its file system can hold a repository: locks, "
     "renames that replace at once, times that stay, writes that get durable. Refuses with the reason where it can't."},
    {"backup list", cmd_backup_list, COMMON, 0, 1, "[GUEST] [--repository PATH] [--json]", "the points there are",
     "All points, oldest first within each guest: how consistent, what they hold, and what each added to the repository."},
    {"backup show", cmd_backup_show, COMMON, 1, 1, "POINT [--repository PATH] [--json]", "everything about one point",
     "Disks, consistency, how long the guest was frozen, and the guest's definition: what its manifest says."},
    {0}, /* the end */
};

int cmd_backup(struct cli *cli)
{
    char hint[WIRE_ERROR_TEXT_SIZE] = "ballast backup --help lists them";
    const char *close = NULL;
    unsigned least = TEXT_SUGGEST_DISTANCE;
    struct cli_problem p;

    if (cli->arg_count == 0) {
        (void)cli_problem_set(&p, CLI_USAGE, hint, "a command of 'ballast backup' is missing");
        return cli_complain(cli, &p);
    }
    for (const struct cli_command *c = cli_backup_commands; c->name; c++) {
        unsigned distance = text_distance(cli->args[0], c->name + NAME_SKIP);

        if (distance <= least) {
            least = distance;
            close = c->name;
        }
    }
    if (close)
        (void)snprintf(hint, sizeof(hint), "did you mean 'ballast %s'? ballast backup --help lists all", close);
    (void)cli_problem_set(&p, CLI_USAGE, hint, "there is no command 'backup %s'",
                          text_show(cli->args[0], strlen(cli->args[0])).s);
    return cli_complain(cli, &p);
}

int cmd_backup_init(struct cli *cli)
{
    const char *size = cli_value(cli, CLI_OPTION_CHUNK_SIZE);
    uint64_t chunk_bytes = REPO_CHUNK_BYTES_DEFAULT;
    AUTO(repo) struct repo *repo = NULL;
    char path[PATHS_SIZE];
    struct wire_text t = {0};
    struct err e = {0};
    struct cli_problem p;
    int r = backup_path(cli, path);

    if (r != CLI_DONE)
        return r;
    if (size && (units_parse_size(size, strlen(size), &chunk_bytes, &e) < 0 || chunk_bytes > REPO_CHUNK_BYTES_MAX)) {
        (void)cli_problem_set(&p, CLI_USAGE, "a power of two from 64 KiB to 4 MiB is allowed: --chunk-size '1 MiB'",
                              "--chunk-size: %s", e.text[0] ? e.text : "it is too large");
        return cli_complain(cli, &p);
    }
    if (repo_init(path, (uint32_t)chunk_bytes, &e) < 0 || repo_open(path, &repo, &e) < 0)
        return backup_fail(cli, &e, e.code == EEXIST ? "it can be used as it is: ballast backup list" :
                                    e.code == EOPNOTSUPP ? "take a directory on a local disk (ext4, xfs, btrfs), or mount "
                                                           "this one with working locks and syncs" :
                                    e.code == ENOTEMPTY ? "name a directory that is empty or not there yet" : NULL,
                           "init failed");
    if (cli->options & CLI_OPTION_JSON) {
        wire_text_adds(&t, "{\"repository\":");
        wire_text_string(&t, path);
        wire_text_format(&t, ",\"id\":\"%s\",\"chunk_bytes\":%u}\n", repo_name(repo), repo_chunk_bytes(repo));
    } else {
        (void)term_text(&cli->term, &t, path, 0);
        wire_text_format(&t, ": a new repository with chunks of %s. Back up next: ballast backup run GUEST\n",
                         units_show_size(chunk_bytes).s);
    }
    return backup_write(cli, &t);
}
