/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api.h"
#include "config.h"
#include "engine.h"
#include "err.h"
#include "guest.h"
#include "notify.h"
#include "keeper.h"
#include "own.h"

/* What operators asked for beside the configuration: moves paused for a guest or for all, values set. The daemon asks here
 * whenever the engine asks it (env.configure, env.hold); requests come in from the API. Each is audited. Pauses and `off`
 * are kept over a restart in OPERATE_FILE_NAME of the state directory. Single-threaded, never blocks: the keeper writes. */

#define OPERATE_FILE_NAME "operate.json"
#define OPERATE_FILE_MAX (8U << 20) /* 16384 paused guests take 3 MiB */

struct operate_env {
    struct engine *engine;
    uint64_t (*now_usec)(void);  /* the clock that drives the engine */
    bool dry_run;
    struct notify *notify;       /* for test messages; NULL: none */
    struct keeper *keeper;   /* NULL: nothing can be kept, and `unkept` says why */
    const char *state_dir, *unkept;
    const struct config *(*config)(void *user); /* the one that holds now */
    void (*changed)(void *user);                /* the engine must ask anew */
    bool (*take_back)(void *user, const char *guest); /* engine_take_back(); NULL: can't be */
    void *user;
};

struct operate;

/* Reads what was kept. A file that makes no sense keeps everything where it is until `ballast on`: moving guests against an
 * operator's word is worse than not moving them. */
int operate_new(const struct operate_env *env, struct operate **ret, struct err *e);
struct operate *operate_free(struct operate *o);
OWN_DEFINE(operate);

/* The configuration was read anew. */
void operate_reload(struct operate *o);

/* What holds for a guest: the configuration and what was set above it. */
void operate_configure(const struct operate *o, const char *guest, struct guest_config *ret);

/* What holds for a guest's moves now. */
enum guest_hold operate_hold(const struct operate *o, const char *guest);

/* Why, by whom and since when, in one sentence; "" where it is not held. */
void operate_hold_text(const struct operate *o, const char *guest, char *to, size_t size);

/* "on", "off"; to[size]: by whom, since when and how to get back, "" where on. */
const char *operate_moves(const struct operate *o, char *to, size_t size);

/* The last change of a guest's values in one sentence; "" where none was made since ballastd runs. */
void operate_last_text(const struct operate *o, const char *guest, char *to, size_t size);

/* env.reserved of the engine. */
void operate_reserved(struct operate *o, const struct reserve *r);

/* api_source.operate; user is the struct operate. */
void operate_request(void *user, enum api_operation what, const struct api_request *rq, struct api_reply *ret);
