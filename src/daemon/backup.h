/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "api.h"
#include "api_routes.h"
#include "config.h"
#include "engine.h"
#include "err.h"
#include "hv.h"
#include "own.h"
#include "wire_text.h"

/* Backups in ballastd: what is asked for comes in from the API, each guest has one job at a time, and what an earlier
 * ballastd left of one is undone as soon as its guest is found. */

#define BACKUP_JOBS_MAX 256  /* at once, finished ones that are still shown included */
#define BACKUP_KEPT_MAX 32   /* finished ones that are shown */

struct backup;
struct sd_event;

struct backup_env {
    struct sd_event *loop;
    const char *runtime_dir, *state_dir; /* kept by the caller */
    const struct engine *engine;
    /* Optional: a backup that was asked for ended; failed: its sentence, NULL: well. */
    void (*ended)(void *user, const char *guest, const char *identity, const char *failed);
    void (*hook_failed)(void *user, const char *guest, const char *text); /* optional: a hook of a backup; one sentence */
    void (*print)(void *user, struct wire_text *t); /* optional: more members of GET /v1/backup, without braces */
    void *user;
};

int backup_new(const struct backup_env *env, struct backup **ret, struct err *e);

/* Jobs under way are given up: the guardian ends what is frozen, the next ballastd undoes the rest. Before the drivers go. */
struct backup *backup_free(struct backup *b);
OWN_DEFINE(backup);

/* Copied. */
void backup_configure(struct backup *b, const struct config *config);

/* A guest was found: is there something to undo? */
void backup_see_appeared(struct backup *b, struct hv_vm *vm);

/* Begins a backup of a guest that runs, by the configuration. A sentence where it can't begin. */
int backup_start(struct backup *b, const char *guest, struct err *e);

/* The operations API_OPERATION_EXPOSE*. */
void backup_expose_request(struct backup *b, enum api_operation what, const struct api_request *rq, struct api_reply *ret);

/* The operations API_OPERATION_BACKUP*. */
void backup_request(struct backup *b, enum api_operation what, const struct api_request *rq, struct api_reply *ret);
