/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "wire_text.h"

/* The slow things before a freeze window and after a backup, each a function of ballast-prepare. They may block for as long as a disk or a
 * network does: ballastd ends the process when that is too long. */

struct json_object;

/* A writer that fills a disk's whole difference within one copy is rare, and a full image breaks only that backup: what
 * is asked for is a share of the disks, in percent, and at least this much. */
#define PREPARE_FREE_PERCENT 5
#define PREPARE_FREE_MIN (64ULL << 20)

/* The repository's name, chunk size, and what the newest point of this guest says of its disks, as members of an answer.
 * A point that can't be read counts as none: then disks are read in full. */
int prepare_repository(const char *path, const char *identity, struct wire_text *t, struct err *e);

/* "definition":[...]: the process's command line; null where it can't be read. */
void prepare_definition(pid_t pid, struct wire_text *t);

/* Makes the fleecing images ([{"path":..., "size_bytes":N}]) anew, for the user who runs `pid` to open. */
int prepare_fleece(struct json_object *list, pid_t pid, struct err *e);

/* Writes and syncs a small file where fleecing images lie, and removes it. No such directory: nothing to try. */
int prepare_probe(const char *state_dir, struct err *e);

/* Makes the directory in which QEMU (`pid`) puts the socket of its NBD server: only its user and root get in. */
int prepare_expose(const char *path, pid_t pid, struct err *e);

/* Makes an empty file, and its directory. */
int prepare_note(const char *path, struct err *e);

/* Takes the points of a guest that no rule of `keep` ("last=3,daily=7") keeps out of the repository, then, with sweep, chunks
 * that no point needs: "removed":N,"swept_bytes":N as members of an answer. */
int prepare_tidy(const char *repository, const char *identity, const char *keep, bool sweep, struct wire_text *t,
                 struct err *e);

/* Verifies a repository, all of it or a sample (hundredths of a percent of its chunks), and keeps the result there; or only
 * reads the last result: "verified":{"time_sec","damaged","victims"} or null as member of an answer (repo_verify.h). */
int prepare_verify(const char *repository, unsigned sample, struct wire_text *t, struct err *e);
int prepare_verified(const char *repository, struct wire_text *t, struct err *e);

/* Removes files and empty directories ([PATH, ...]); what is not there is fine. */
int prepare_remove(struct json_object *list, struct err *e);
