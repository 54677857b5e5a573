/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decide.h"
#include "err.h"
#include "guest.h"
#include "hv.h"
#include "input.h"
#include "learned.h"

/* Measure -> decide -> act: asks drivers for samples, calls decide(), sends the orders. It owns no clock and no event
 * loop: the daemon drives it from sd-event, the simulator from virtual time, with the very same calls. Single-threaded. */

struct engine;
struct reserve;

/* One guest of the engine; listed in identity order. */
struct engine_guest {
    struct guest core;
    uint32_t id;             /* below guests_max; nobody else's while it is listed */
    struct hv_vm *vm;        /* never NULL while listed */
    char reason[160];        /* last trouble in one sentence; empty: none */
    bool paused;
    bool frozen;             /* a backup's freeze window: it is not squeezed, and can't answer */
    uint64_t orders;         /* commands sent */
    uint64_t turns;          /* changes of direction among them */
    uint64_t moved_kib;      /* sum of the sizes of all movements seen */
};

struct engine_env {
    /* Configuration of a guest that appeared. */
    void (*configure)(void *user, const struct hv_vm *vm, struct guest_config *ret_config);
    /* Optional: what is known of this incarnation from before a restart. False: nothing. */
    bool (*remember)(void *user, const struct hv_vm *vm, struct learned *ret_learned);
    /* Optional: the operator's word about its moves; asked whenever configure() is. NULL: none is on hold. */
    enum guest_hold (*hold)(void *user, const struct hv_vm *vm);
    /* Reads the host; fast and never blocking. Returns 0 or -errno: then nothing is granted. */
    int (*read_host)(void *user, struct obs_host *ret_seen, struct err *e);
    /* Something due earlier than engine_run() said last: call engine_run() soon. */
    void (*wake)(void *user);
    /* Optional; for logs, `why`, recording, scenarios. Called after the fact. */
    void (*ordered)(void *user, const struct engine_guest *g);
    void (*appeared)(void *user, const struct engine_guest *g);
    void (*vanished)(void *user, const struct engine_guest *g, const char *reason);
    void (*happened)(void *user, const struct engine_guest *g, enum hv_happening what);
    void (*flags_changed)(void *user, const struct engine_guest *g, uint32_t before);
    void (*trouble)(void *user, const struct engine_guest *g, const struct err *e); /* g may be NULL */
    void (*host_state_changed)(void *user, enum host_state before, const struct host *host);
    /* Optional: a reservation was made or changed its state (engine_reserve.h). */
    void (*reserved)(void *user, const struct reserve *r);
    /* Optional, for recording and `why` (S6): each input after it was applied to the guest, and each decision before its
     * orders go out. Between two decisions nothing else changes what decide() goes by. */
    void (*input)(void *user, const struct engine_guest *g, const struct input *in);
    void (*decided)(void *user, enum decide_why why, uint64_t now_usec);
    void *user;
};

struct engine_config {
    struct host_config host;
    bool dry_run; /* decide and tell, send nothing */
};

/* Most guests one daemon drives; memory for them is taken at start, none later (S14). */
#define ENGINE_GUESTS_MAX 16384

int engine_new(const struct engine_config *config, const struct engine_env *env, size_t guests_max,
               struct engine **ret, struct err *e);
struct engine *engine_free(struct engine *engine);

/* Give this to every driver; engine outlives them. */
const struct hv_listener *engine_listener(struct engine *engine);

/* Does what is due at now_usec (CLOCK_MONOTONIC or virtual, never backwards) and returns when it wants to be called
 * next, at the latest. */
uint64_t engine_run(struct engine *engine, uint64_t now_usec);

/* New host configuration and a fresh env.configure() and env.hold() for every guest. */
void engine_reconfigure(struct engine *engine, const struct engine_config *config, uint64_t now_usec);

/* The operator takes the lever of that guest back from a foreign hand (S11). False: nobody else had it. */
bool engine_take_back(struct engine *engine, const char *name, uint64_t now_usec);

const struct host *engine_host(const struct engine *engine);
size_t engine_count(const struct engine *engine);
const struct engine_guest *engine_guest_at(const struct engine *engine, size_t i);
const struct engine_guest *engine_find(const struct engine *engine, const char *name);

/* A number below the engine's guests_max that is this guest's alone while it is listed: for what others keep of it. */
size_t engine_guest_slot(const struct engine *engine, const struct engine_guest *g);

/* Why a guest has the size it has, in one sentence: what its agent shows to people in the guest. */
void engine_guest_why(const struct guest *g, char *text, size_t size);
