/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "err.h"
#include "notify_message.h"
#include "own.h"
#include "wire_text.h"

/* Backups that are made by themselves (docs/design.md 6): which guest is due, when it may begin, what is tried
 * again, and what people are told. Knows no clock and no process: both come in, so that a test goes through a year.
 *
 * A schedule that came round while ballastd did not run is made up for once. What is due in quiet hours begins when they
 * end. A backup that fails is tried again SCHEDULE_TRIES - 1 times, then when it is due next. A clock that is set back by
 * less than SCHEDULE_BACK_SEC makes nothing due twice; one that is set back further starts all schedules from there. */

#define SCHEDULE_GUESTS_MAX 16384 /* as many as one ballastd drives */
#define SCHEDULE_TRIES 3
#define SCHEDULE_RETRY_SEC 600    /* then three times as long: a target that reboots is back, a broken one is no news */
#define SCHEDULE_BACK_SEC 3600
#define SCHEDULE_FORGET_SEC (30LL * 86400) /* a guest that is gone for so long is not coming back under its name */

struct backup_schedule;

struct backup_schedule_env {
    /* Begins a backup of a guest that runs; ended() comes later. A sentence where it can't begin. */
    int (*start)(void *user, const char *guest, struct err *e);
    /* Takes points beyond the schedule's `keep` out of the repository, in the background. */
    void (*prune)(void *user, const char *guest, const struct config_schedule *schedule);
    /* For the notify command: failed or too old (NOTIFY_WARNING), or well again (NOTIFY_OK). */
    void (*tell)(void *user, enum notify_event event, enum notify_severity severity, const char *guest, const char *text);
    /* What must be known after a restart has changed: backup_schedule_print_state(). */
    void (*changed)(void *user);
    void *user;
};

int backup_schedule_new(const struct backup_schedule_env *env, struct backup_schedule **ret, struct err *e);
struct backup_schedule *backup_schedule_free(struct backup_schedule *s);
OWN_DEFINE(backup_schedule);

/* New configuration (kept by reference until the next call: the configuration outlives it). A schedule that is still there,
 * by its guests and its times, goes on. */
int backup_schedule_configure(struct backup_schedule *s, const struct config_backup *config, int64_t now_sec, struct err *e);

/* Which guests there are now: names, in any order. A guest that is gone stays known for SCHEDULE_FORGET_SEC. */
int backup_schedule_guests(struct backup_schedule *s, const char *const *names, size_t count, int64_t now_sec, struct err *e);

/* Begins what is due and may begin. running: scheduled backups under way. Call every few seconds. */
void backup_schedule_run(struct backup_schedule *s, int64_t now_sec);

/* A backup of a guest ended, whoever asked for it; failed: with its sentence, NULL: well. */
void backup_schedule_ended(struct backup_schedule *s, const char *guest, const char *failed, int64_t now_sec);

/* State for the next start, as JSON; reading it is done after the first configure(). Hostile or broken text is refused with a
 * sentence, and nothing of it counts. */
void backup_schedule_print_state(const struct backup_schedule *s, struct wire_text *t);
int backup_schedule_read_state(struct backup_schedule *s, const char *text, size_t len, int64_t now_sec, struct err *e);

/* "schedules":[{guests, at, next}], "guests":[{name, last, due, running, tries}] for GET /v1/backup, without braces. */
void backup_schedule_print(const struct backup_schedule *s, struct wire_text *t);
