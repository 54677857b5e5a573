/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "err.h"
#include "own.h"
#include "wire_text.h"

/* Whether what was backed up is still whole: verifications by schedule, and what came of those that people run. The result of
 * the last one is kept in the repository, so that it counts wherever it was run; ballast-prepare reads it, and verifies. What
 * came round while ballastd did not run is made up for once. */

struct backup_verify;
struct sd_event;

struct backup_verify_env {
    struct sd_event *loop;
    /* Damage was found, or it could not be looked for; or, is_bad false, all that was looked at is whole again. */
    void (*tell)(void *user, bool is_bad, const char *text);
    void *user;
};

int backup_verify_new(const struct backup_verify_env *env, struct backup_verify **ret, struct err *e);
struct backup_verify *backup_verify_free(struct backup_verify *v);
OWN_DEFINE(backup_verify);

/* The configuration outlives the next call. */
void backup_verify_configure(struct backup_verify *v, const struct config *config);

/* Somebody has verified the repository: its result is read again with the next look. */
void backup_verify_again(struct backup_verify *v);

/* Begins what is due. Every few seconds; now_sec since 1970. */
void backup_verify_look(struct backup_verify *v, int64_t now_sec);

/* "verify":{...} for GET /v1/backup, without braces around it. */
void backup_verify_print(const struct backup_verify *v, struct wire_text *t);
