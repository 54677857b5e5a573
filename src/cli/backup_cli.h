/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli.h"
#include "paths.h"
#include "repo.h"

/* What the commands of `ballast backup` share. They return exit codes and have complained when it is not CLI_DONE. */

/* --repository, else the configuration's. */
int backup_path(const struct cli *cli, char path[PATHS_SIZE]);

int backup_open(const struct cli *cli, struct repo **ret);

/* The point that a word of the command line names (repo_point_find()), and its manifest (NULL: not wanted). */
int backup_point(const struct cli *cli, struct repo *repo, const char *word, struct repo_point_entry *ret,
                 struct repo_manifest **ret_manifest);

/* Two lines: "WHAT: error", and what to do about that error (hint NULL: as the error's code suggests). CLI_FAILED. */
int backup_fail(const struct cli *cli, const struct err *e, const char *hint, const char *what);

/* Prints and frees the text. */
int backup_write(const struct cli *cli, struct wire_text *t);

/* "20261124T150000Z" as people write it: "2026-11-24 15:00:00". */
#define BACKUP_TIME_SIZE 20
const char *backup_time_text(const char *time, char text[BACKUP_TIME_SIZE]);

/* The same for JSON: "2026-11-24T15:00:00Z", with its quotes. */
void backup_time_json(struct wire_text *t, const char *time);

/* The guest's definition as its facts have it, for the restored guest: with --name another name, UUID and MACs. */
void backup_definition_print(const struct cli *cli, const struct repo_manifest *m, struct wire_text *t);

/* Points of one instant: the group's id, "" where it is of none; its line for people, with the other points. */
#define BACKUP_GROUP_SIZE 24
void backup_together_id(const struct repo_manifest *m, char id[BACKUP_GROUP_SIZE]);
void backup_together_print(const struct cli *cli, struct repo *repo, const struct repo_manifest *m, struct wire_text *t);

/* With --name: the same as a script in the directory of the restored disks, DIRECTORY/start.sh. CLI_WARNINGS where the command line
 * can't be made one: then it is printed as it was. */
int backup_definition_script(const struct cli *cli, const struct repo_manifest *m, const char *directory, bool is_qcow2,
                             struct wire_text *t);

/* `run --off`. */
int backup_off_run(struct cli *cli);

int cmd_backup_init(struct cli *cli);
int cmd_backup_run(struct cli *cli);
int cmd_backup_list(struct cli *cli);
int cmd_backup_show(struct cli *cli);
int cmd_backup_restore(struct cli *cli);
int cmd_backup_serve(struct cli *cli);
int cmd_backup_expose(struct cli *cli);
int cmd_backup_exposed(struct cli *cli);
int cmd_backup_renew(struct cli *cli);
int cmd_backup_release(struct cli *cli);
int cmd_backup_attach(struct cli *cli);
int cmd_backup_detach(struct cli *cli);
int cmd_backup_start(struct cli *cli);
int cmd_backup_boot(struct cli *cli);
int cmd_backup_verify(struct cli *cli);
int cmd_backup_check(struct cli *cli);
int cmd_backup_prune(struct cli *cli);
int cmd_backup_sweep(struct cli *cli);
int cmd_backup_protect(struct cli *cli);
int cmd_backup_unprotect(struct cli *cli);
