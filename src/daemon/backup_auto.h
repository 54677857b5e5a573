/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "backup.h"
#include "config.h"
#include "engine.h"
#include "err.h"
#include "keeper.h"
#include "notify.h"
#include "own.h"
#include "wire_text.h"

/* Runs schedules (backup_schedule.h) in ballastd: looks every few seconds, begins backups, has points beyond `keep` taken out
 * of the repository by ballast-prepare, one guest at a time, and keeps in the state directory what must outlive a restart. */

#define BACKUP_AUTO_FILE "backup-schedule.json" /* in the state directory */
#define BACKUP_AUTO_LOOK_SEC 5                  /* schedules are by the second at most; people do not mind this */
#define BACKUP_AUTO_SWEEP_SEC (20 * 3600)       /* it looks at every chunk: once a day is enough */
#define BACKUP_AUTO_TIDIES_MAX 1024             /* waiting to be pruned; what is beyond waits for its next backup */

struct backup_auto;
struct sd_event;

struct backup_auto_env {
    struct sd_event *loop;
    const char *state_dir; /* kept by the caller */
    const struct engine *engine;
    struct backup *backup;
    struct keeper *keeper; /* NULL: nothing is kept over a restart */
    struct notify *notify;
};

/* Reads the state file. -ENOMEM. */
int backup_auto_new(const struct backup_auto_env *env, const struct config *config, struct backup_auto **ret, struct err *e);
struct backup_auto *backup_auto_free(struct backup_auto *a);
OWN_DEFINE(backup_auto);

/* The configuration outlives the next call, the one before lives until this has returned. */
void backup_auto_configure(struct backup_auto *a, const struct config *config);

/* A backup of a guest ended; failed NULL: well. */
void backup_auto_ended(struct backup_auto *a, const char *guest, const char *identity, const char *failed);

/* For the notify command, and the log. */
void backup_auto_tell(struct backup_auto *a, enum notify_event event, enum notify_severity severity, const char *guest,
                      const char *text);

/* Somebody has verified the repository (backup_verify.h). */
void backup_auto_verified(struct backup_auto *a);

/* "schedules":[...],"guests":[...],"verify":{...} for GET /v1/backup. */
void backup_auto_print(const struct backup_auto *a, struct wire_text *t);
