/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "err.h"
#include "wire_text.h"

/* The administrator's commands before a freeze and after its thaw, each run by a ballast-prepare: never through a shell, with
 * an environment of its own (ballast.yaml(5)), nothing of ours but standard error, in a session of its own, and with an end.
 *
 * The order for the first is kept as a note, on disk before anything is run; the second goes by that note, and removes it
 * when it has run, whatever came of it. So it is run once, by whoever comes first: the backup, or the ballastd after one that
 * was killed. A lock on the note keeps it behind a first one that still runs. The first ends with ballastd. */

struct json_object;

#define HOOK_BEFORE "before-freeze"
#define HOOK_AFTER "after-thaw"
#define HOOK_END_MS 2000  /* from SIGTERM to SIGKILL */
#define HOOK_NOTE_MAX 8192

/* {"hook":"before-freeze","note":PATH,"guest":..,"identity":..,"repository":..,"before-freeze":COMMAND,"before-freeze_ms":N,
 * "after-thaw":COMMAND,"after-thaw_ms":N}; either command may be missing.
 * {"hook":"after-thaw","note":PATH,"checkpoint":BOOL}.
 * Adds "ran":BOOL to the answer. A command that fails, or is not there: its sentence, with the last line of its standard
 * error. out_fd: whose reader has gone when ballastd has. */
int hook_order(struct json_object *order, int out_fd, struct wire_text *t, struct err *e);
