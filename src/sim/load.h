/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chance.h"

/* What the programs inside a model guest want: anonymous memory and files. The guest (model.h) decides what they get.
 * Sizes in KiB, times in microseconds of virtual time. */

enum load_kind {
    LOAD_IDLE,     /* base_kib, for ever */
    LOAD_SCRIPT,   /* steps[]: from at_usec on, anon_kib, approached at rate_kib_s */
    LOAD_WEB,      /* base plus a wandering part up to peak, short bursts on top */
    LOAD_FILES,    /* little memory of its own, a large hot file set */
    LOAD_DATABASE, /* greedy: takes what is available up to peak, gives back only when nearly nothing is left */
    LOAD_SAWTOOTH, /* base to peak at rate, holds a moment, lets all go, waits */
    LOAD_BATCH,    /* jobs: peak at rate, held for minutes, minutes of pause */
    LOAD_LEAK,     /* grows slowly to peak, then its program is restarted */
    LOAD_KIND_COUNT
};

struct load_step {
    uint64_t at_usec;
    uint64_t anon_kib;
    uint64_t rate_kib_s;
};

#define LOAD_STEPS_MAX 16

struct load_config {
    enum load_kind kind;
    uint64_t base_kib, peak_kib;
    uint64_t rate_kib_s;   /* how fast it allocates */
    uint64_t period_usec;  /* about the length of one round, where the kind has rounds */
    uint64_t file_kib;     /* all files it ever reads, hot ones included */
    uint64_t read_kib_s;   /* reading through the cold ones */
    uint64_t hot_kib;      /* files (and program text) in constant use */
    uint64_t hot_kib_s;    /* how fast the hot ones are touched */
    uint32_t active_permille; /* share of anonymous memory in constant use; matters with swap only */
    struct load_step steps[LOAD_STEPS_MAX]; /* LOAD_SCRIPT, by time */
    size_t n_steps;
};

/* What a program can see of the guest it runs in. */
struct load_seen {
    uint64_t total_kib, available_kib;
    uint64_t anon_kib; /* what the load holds, swapped out included */
};

struct load_want {
    uint64_t anon_kib;
    uint64_t rate_kib_s;
};

struct load {
    struct load_config config;
    struct chance chance;
    bool up;               /* in the allocating or holding part of a round */
    uint64_t goal_kib;     /* of this round */
    uint64_t until_usec;   /* next turn of the round */
    uint64_t burst_kib;    /* on top of goal, until burst_usec */
    uint64_t burst_usec;
    uint64_t think_usec;   /* next look around (database) */
    uint64_t down_usec;    /* killed: not running until then */
};

void load_init(struct load *l, const struct load_config *config, uint64_t seed, uint64_t now_usec);

/* What it wants now. */
void load_run(struct load *l, const struct load_seen *seen, uint64_t now_usec, struct load_want *ret);

/* Its program was killed (or the guest booted): starts over after wait_usec. */
void load_restart(struct load *l, uint64_t now_usec, uint64_t wait_usec);
