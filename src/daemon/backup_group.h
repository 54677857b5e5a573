/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "backup_job.h"
#include "err.h"
#include "own.h"
#include "window_group.h"
#include "wire_text.h"

/* The jobs of several guests that are backed up at one instant: carries what window_group.h decides between them. */

struct backup_group;
struct sd_event;

/* n places; copies_max: how many copy at a time. */
int backup_group_new(struct sd_event *loop, size_t n, size_t copies_max, struct backup_group **ret, struct err *e);

/* Who began it holds it until all have joined; then it stays for as long as one of its jobs. */
struct backup_group *backup_group_free(struct backup_group *g);
OWN_DEFINE(backup_group);

/* The job of a place; before it starts, as it may ask at once. Names are copied. */
void backup_group_join(struct backup_group *g, size_t place, struct backup_job *job, const char *guest, const char *identity);
void backup_group_part(struct backup_group *g, size_t place);

/* From the job: a command of its window to WINDOW_GROUP (answered by backup_job_told()); its failure; its end; what to say
 * where the command was not answered in time; the manifest's "group". */
int backup_group_ask(struct backup_group *g, size_t place, const char *command, struct err *e);
void backup_group_fail(struct backup_group *g, size_t place, const char *text);
void backup_group_leave(struct backup_group *g, size_t place);
void backup_group_print_late(const struct backup_group *g, const char *command, char *to, size_t size);
void backup_group_print(const struct backup_group *g, struct wire_text *t);

const char *backup_group_id(const struct backup_group *g);
