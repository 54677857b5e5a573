/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine.h"
#include "err.h"
#include "own.h"
#include "wire_text.h"

/* Records what the engine decides and goes by (record.h) for a client that fetches it piece by piece. One recording at a
 * time, in a room of fixed size that is taken when it starts: a reader who does not keep up loses the rest of his record,
 * and no decision waits for him (S12). While nothing is recorded it costs nothing. Single-threaded, in the daemon's loop. */

#define RECORDER_ROOM (4U << 20)        /* beside the state at the start: a minute of a hundred busy guests */
#define RECORDER_STATE_MAX (60U << 20)  /* some 5,000 guests; more are not recorded */
#define RECORDER_PIECE (1U << 20)       /* most bytes fetched at once */
#define RECORDER_PATIENCE_USEC 10000000ULL /* a reader who did not come for so long is gone */

struct recorder_env {
    const struct engine *engine;
    const uint64_t *config_hash; /* of the configuration that holds now */
    const char *host_name;
    size_t guests_max;           /* as the engine's */
};

struct recorder;

int recorder_new(const struct recorder_env *env, struct recorder **ret, struct err *e);
struct recorder *recorder_free(struct recorder *r);
OWN_DEFINE(recorder);

/* Begins with the state there is. Returns its number; -EBUSY: one runs already, the sentence says whose; -E2BIG too many
 * guests, -ENOMEM. Not to be called while the engine decides. */
int64_t recorder_start(struct recorder *r, uid_t uid, uint64_t now_usec, uint64_t wall_sec, struct err *e);

/* There is this recording, running or ended. */
bool recorder_has(const struct recorder *r, uint64_t id);

/* Ends it with this reason in its last line; what was not fetched yet still can be. */
void recorder_stop(struct recorder *r, const char *reason);

/* Appends what was recorded from byte `from` on to out, RECORDER_PIECE at most, and forgets what lies before `from`.
 * *ret_ended: nothing will follow. -ESRCH: there is no such recording (any more), -ERANGE: not from there. */
int recorder_read(struct recorder *r, uint64_t id, uint64_t from, uint64_t now_usec, struct wire_text *out,
                  bool *ret_ended, struct err *e);

/* From the engine's callbacks of these names (struct engine_env). */
void recorder_input(struct recorder *r, const struct engine_guest *g, const struct input *in);
void recorder_vanished(struct recorder *r, const struct engine_guest *g);
void recorder_decided(struct recorder *r, enum decide_why why, uint64_t now_usec);
