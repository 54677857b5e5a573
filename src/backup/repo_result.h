/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "err.h"
#include "repo.h"

/* How a guest's last backup ended: what `ballast backup check` looks at. */

struct repo_result {
    char guest[TEXT_NAME_MAX + 1];
    char time[REPO_TIME_SIZE]; /* of its end */
    bool is_ok;
    char error[ERR_TEXT_SIZE]; /* "": none */
};

/* failure NULL: it went well. No point hangs on it, so it may fail silently. */
void repo_result_save(struct repo *repo, const char *identity, const char *guest, const char *point, const char *failure);

/* -ENOENT: none. */
int repo_result_load(struct repo *repo, const char *identity, struct repo_result *ret, struct err *e);

/* How the last boot test of one of a guest's points ended. */
struct repo_boot {
    char point[REPO_TIME_SIZE]; /* the one that was started */
    char time[REPO_TIME_SIZE];  /* of the test's end */
    bool is_ok;
    uint64_t ms;                /* from QEMU's start to its end */
    char by[16];                /* what told that it was up: "agent", "console"; "": nothing */
    char error[ERR_TEXT_SIZE];  /* "": none */
};

/* Sets boot->time. */
int repo_boot_save(struct repo *repo, const char *identity, struct repo_boot *boot, struct err *e);

/* -ENOENT: none. */
int repo_boot_load(struct repo *repo, const char *identity, struct repo_boot *ret, struct err *e);

/* The guests that have a directory, with points or without: identities in order. */
struct repo_guest_list {
    size_t count;
    char (*identities)[TEXT_NAME_MAX + 1];
};
int repo_guests_list(struct repo *repo, struct repo_guest_list *ret, struct err *e);
void repo_guest_list_done(struct repo_guest_list *list);
