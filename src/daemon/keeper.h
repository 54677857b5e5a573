/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "own.h"
#include "wire_text.h"

/* Keeps what operators asked for on disk: files that are replaced whole, and the audit log. A thread of its own writes and
 * syncs (S12); it also finds out what users are called, since that may ask a directory service. Bounded: a disk that hangs
 * costs KEEPER_AUDITS_MAX lines at most, and how many more were lost is written with the next one. */

#define KEEPER_AUDIT_NAME "audit.jsonl" /* in the state directory; older ones end in .1 to .KEEPER_AUDIT_KEEP */
#define KEEPER_AUDIT_BYTES (1U << 20)   /* a file of that size is full: some 5,000 lines */
#define KEEPER_AUDIT_KEEP 4
#define KEEPER_AUDITS_MAX 256           /* lines waiting to be written */
#define KEEPER_USER_SIZE 64

struct keeper;

/* state_dir: made where it is missing; also used for `audit.jsonl`. */
int keeper_open(const char *state_dir, struct keeper **ret, struct err *e);

/* Writes what is waiting, for at most two seconds. */
struct keeper *keeper_free(struct keeper *k);
OWN_DEFINE(keeper);

/* Replaces a file (its directory is made) by the text, which is taken over and zeroed. A newer text for the same file takes
 * the place of one that waits. Returns the number of the write, 0 where there is no memory: then nothing will be written. */
uint64_t keeper_replace(struct keeper *k, const char *path, mode_t mode, struct wire_text *text);

/* Adds a line to the audit log: members of a JSON object without braces, such as `"what":"off"`. Time and user are added. */
void keeper_audit(struct keeper *k, uint64_t uid, uint64_t time_sec, const char *members);

/* Writes up to this number are on disk, or failed: then trouble[size] says why, until one works again; else it is "". */
uint64_t keeper_saved(struct keeper *k, char *trouble, size_t size);

/* "alice", as far as it has been found out; "uid 1000" until then. */
void keeper_user(struct keeper *k, uint64_t uid, char to[KEEPER_USER_SIZE]);
