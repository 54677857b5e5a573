/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "api.h"
#include "engine.h"
#include "err.h"
#include "guest.h"
#include "notify.h"
#include "own.h"

/* What an operator asked for beside the configuration: moves paused for a guest or for all. The daemon asks here whenever
 * the engine asks it (env.hold); requests come in from the API. Single-threaded, never blocks. */

#define OPERATE_WHO_SIZE 96

/* Who did it, and when. */
struct operate_who {
    uint64_t uid, pid;
    uint64_t time_sec;            /* wall clock, for people */
    char text[OPERATE_WHO_SIZE];  /* "uid 1000 (ballast)" */
};

enum operate_moves {
    OPERATE_MOVES_ON,
    OPERATE_MOVES_OFF, /* nothing moves: all keep what they have */
    OPERATE_MOVES_COUNT
};

struct operate_env {
    const struct engine *engine;
    struct notify *notify;       /* for test messages; NULL: none */
    void (*changed)(void *user); /* the engine must ask anew */
    void *user;
};

struct operate;

int operate_new(const struct operate_env *env, struct operate **ret, struct err *e);
struct operate *operate_free(struct operate *o);
OWN_DEFINE(operate);

/* What holds for a guest's moves now. */
enum guest_hold operate_hold(const struct operate *o, const char *guest);

/* Why, by whom and since when, in one sentence; "" where it is not held. */
void operate_hold_text(const struct operate *o, const char *guest, char *to, size_t size);

/* "on", "off"; to[size]: by whom, since when and how to get back, "" where on. */
const char *operate_moves(const struct operate *o, char *to, size_t size);

/* api_source.operate; user is the struct operate. */
void operate_request(void *user, enum api_operation what, const struct api_request *rq, struct api_reply *ret);
