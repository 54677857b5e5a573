/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "guardian_link.h"
#include "guardian_message.h"
#include "hv.h"
#include "own.h"
#include "window.h"
#include "wire_text.h"

/* One backup of one guest in ballastd: what the window (window.h) sends goes to the guest's monitor, its agent, the
 * guardian, ballast-prepare and ballast-copy, and their answers come back. Nothing here blocks. */

struct backup_group;
struct backup_job;
struct sd_event;

struct backup_job_config {
    struct sd_event *loop;
    struct guardian_link *guardian;
    uint64_t id;
    struct window_config window; /* guest, identity and the paths are copied */
    struct backup_group *group;  /* it belongs to, and its place in it; NULL: none */
    size_t place;
    const char *test;            /* $BALLAST_TEST_BACKUP (backup_fault.h): tests only; NULL */
    void (*finished)(void *user, struct backup_job *job); /* once, from the loop; not to be freed in it */
    void *user;
};

/* Begins. -EBUSY, -ENOTCONN, -EPERM (a monitor that others use) with a sentence; -ENOMEM. */
int backup_job_start(const struct backup_job_config *config, struct hv_vm *vm, struct backup_job **ret, struct err *e);

/* Gives up everything under way without undoing it: the guardian and the next ballastd do. */
struct backup_job *backup_job_free(struct backup_job *job);
OWN_DEFINE(backup_job);

/* Its group's word: all others are there, or it is over, and why. */
void backup_job_told(struct backup_job *job, bool is_go, const char *text);

void backup_job_cancel(struct backup_job *job);

uint64_t backup_job_id(const struct backup_job *job);
const char *backup_job_guest(const struct backup_job *job);
bool backup_job_is_done(const struct backup_job *job);
bool backup_job_is_recovery(const struct backup_job *job);
bool backup_job_is_exposure(const struct backup_job *job);

/* As window_release() and window_renew(); of one that has ended nothing is done. */
int backup_job_release(struct backup_job *job, const char *forget, struct err *e);
void backup_job_renew(struct backup_job *job, uint64_t lease_usec);
void backup_job_look(const struct backup_job *job, struct window_view *ret);
void backup_job_look_instant(const struct backup_job *job, struct window_instant *ret);
int64_t backup_job_utc_usec(void); /* now, since 1970 */

/* A JSON object (docs/api.md, "backup"). */
void backup_job_print(const struct backup_job *job, struct wire_text *t);

/* The guardian speaks of this job's guest; or a new guardian runs. */
void backup_job_word(struct backup_job *job, const struct guardian_word *word);
void backup_job_guard_again(struct backup_job *job);
