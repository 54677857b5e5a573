/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "err.h"
#include "learned.h"
#include "own.h"

/* <state-dir>/learned.json: what was learned of each incarnation, so that a restarted ballastd need not learn it again
 * (S10). Written by a thread of its own (S12), whole and by rename: after a crash it is the old one or the new one. What it
 * says of another boot of the host, or of another process, is ignored. */

#define JOURNAL_FILE_NAME "learned.json"
#define JOURNAL_FILE_MAX (16U << 20)         /* 16384 guests take 8 MiB */
#define JOURNAL_EVERY_USEC (5 * 1000000ULL)  /* docs/design.md 10 */

struct journal;

/* Makes state_dir where it is missing, reads what is there and starts the thread. A file that makes no sense is said once
 * and written anew. -errno with a sentence where the directory can't be used: then nothing is kept, and that is all. */
int journal_open(const char *state_dir, struct journal **ret, struct err *e);

/* Writes what was handed over last, for at most two seconds. */
struct journal *journal_free(struct journal *journal);
OWN_DEFINE(journal);

/* What was known of this incarnation when the file was read. */
bool journal_find(const struct journal *journal, const struct hv_vm *vm, struct learned *ret);

/* Hands all guests over to the thread when it is time (or at once with `now`); never blocks. The previous write still
 * under way: skipped until the next time. */
void journal_save(struct journal *journal, const struct engine *engine, uint64_t now_usec, bool at_once);
