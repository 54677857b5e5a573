/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "engine.h"
#include "hv_sim.h"

/* A host with model guests under the very engine that ballastd runs, on virtual time, with the safety rules checked after
 * every step from what is true and not from what anyone says.
 *
 *     struct world *w = world_new(&config);
 *     size_t web = world_add(w, "web", &guest, &model);
 *     world_start(w);
 *     world_run(w, 60 * WORLD_SEC);          then look, change something, run on
 *     world_free(w);
 *
 * Scenario code: allocation failures and wrong use end the program. */

#define WORLD_MSEC UINT64_C(1000)
#define WORLD_SEC (1000 * WORLD_MSEC)
#define WORLD_MIN (60 * WORLD_SEC)
#define WORLD_MIB UINT64_C(1024) /* in KiB */
#define WORLD_GIB (1024 * WORLD_MIB)

/* Virtual time starts here: never 0, which means "never" to the core. */
#define WORLD_EPOCH_USEC (1000 * WORLD_SEC)

enum world_rule {
    WORLD_S1,  /* by our commands guests may hold more than the host has for them */
    WORLD_S2,  /* an order under a minimum, or above maximum and lower */
    WORLD_S3,  /* a grant of memory that is not free */
    WORLD_S13, /* a take that the guest's need does not leave (checked where config.strict_lower) */
    WORLD_HOST, /* the host itself ran out of memory */
    WORLD_RULE_COUNT
};

struct world_config {
    struct hv_sim_host host;
    struct host_config policy;
    uint64_t seed;
    bool strict_lower; /* guests are honest and steady: S13 can be judged from their true need */
};

struct world_guest {
    struct world *world;
    struct hv_sim_vm *sim;
    struct guest_config config;
    enum guest_hold hold;
    uint64_t entitled_kib; /* what it may hold by our commands */
    uint64_t commanded_kib; /* last target; 0: none */
    bool growing;          /* the last target was above what it had */
    uint64_t cut_from_kib; /* what it was seen to have when a cut began, not long before cut_usec */
    uint64_t cut_usec;

    /* tallies since world_tally() */
    uint64_t orders, turns, ups, downs;
    uint64_t least_kib, most_kib; /* truly assigned */
    uint64_t most_target_kib;
    uint64_t sum_kib, need_sum_kib, steps;
    uint64_t stalled_usec, stalled_full_usec, killed; /* the model's at the tally's start */
    int direction;
};

struct world;

struct world *world_new(const struct world_config *config);
struct world *world_free(struct world *w);

/* Adds a guest; before or after the start. Names sort the guests: position breaks ties. Returns its number. */
size_t world_add(struct world *w, const char *name, const struct guest_config *config, const struct model_config *model);

void world_start(struct world *w);

/* Runs for this long (whole steps). Time since the start is world_now(). */
void world_run(struct world *w, uint64_t usec);
uint64_t world_now(const struct world *w);

/* ballastd dies: guests run on with nobody listening. world_start() again brings a new one. */
void world_stop(struct world *w);

/* Starts the tallies of all guests anew. */
void world_tally(struct world *w);

struct world_guest *world_guest(struct world *w, size_t i);
struct model *world_model(struct world *w, size_t i);
size_t world_count(const struct world *w);
const struct engine_guest *world_engine_guest(struct world *w, size_t i); /* NULL: not listed */
const struct host *world_host(const struct world *w);
struct hv_sim_host *world_sim_host(struct world *w);

/* What guests may hold together: memory - reserve - overheads - reservations. */
uint64_t world_capacity_kib(const struct world *w);

/* The operator's word for one guest's moves (env.hold), from now on. */
void world_hold(struct world *w, size_t i, enum guest_hold hold);

/* Sum of what guests truly have. */
uint64_t world_assigned_kib(const struct world *w);

/* Breaches of a rule so far, and the first of them in words ("" where none). */
uint64_t world_broken(const struct world *w, enum world_rule rule);
uint64_t world_broken_any(const struct world *w);
const char *world_first_breach(const struct world *w);

/* Sum of the guests' stalls since the tally, and the programs killed. */
uint64_t world_stalled_usec(const struct world *w);
uint64_t world_killed(const struct world *w);

/* Everything that happened so far in one number: the same seed gives the same. */
uint64_t world_hash(const struct world *w);

/* Called after each step. */
void world_watch(struct world *w, void (*stepped)(struct world *w, void *user), void *user);

/* What the engine is told and decides, for recording; from the next world_start() on, as struct engine_env has it. */
struct world_ears {
    void (*input)(void *user, const struct engine_guest *g, const struct input *in);
    void (*decided)(void *user, enum decide_why why, uint64_t now_usec);
    void (*vanished)(void *user, const struct engine_guest *g, const char *reason);
    void *user;
};
void world_hear(struct world *w, const struct world_ears *ears);
struct engine *world_engine(const struct world *w); /* NULL: ballastd is away */

/* Each order from now on as one line: when, who, from, to, why, and what stood behind it. NULL: no more. */
void world_trace(struct world *w, FILE *out);

/* One line per guest since the tally, and a sum. */
void world_report(struct world *w, FILE *out, const char *title);

/* One CSV line per guest with what is true and what was decided; with header: the names first. */
void world_print_csv(struct world *w, FILE *out, bool header);
