/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "backup.h"
#include "backup_job.h"

/* What backup.c has for backup_expose.c. */

bool backup_freeze_parse(const char *text, enum window_freeze *ret);

/* The job of that guest that has not ended; NULL: none. */
struct backup_job *backup_find_running(struct backup *b, const char *guest);

/* The exposure of that guest, or of that number (digits); NULL: none, or it has ended. */
struct backup_job *backup_find_exposure(struct backup *b, const char *word);

/* Begins one: mode, freeze where has_freeze, since, checkpoint and lease are the caller's, the rest is as configured. */
int backup_begin_exposure(struct backup *b, struct hv_vm *vm, struct window_config *window, bool has_freeze,
                          struct backup_job **ret, struct err *e);

const struct engine *backup_engine(const struct backup *b);
