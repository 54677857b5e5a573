/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "world.h"

#define WORLD_GUESTS_MAX 64

struct world {
    struct world_config config;
    struct hv *hv;
    struct engine *engine; /* NULL: ballastd is away */
    uint64_t now_usec;
    uint64_t due_usec;     /* when the engine wants to run */
    uint64_t hash;
    uint64_t broken[WORLD_RULE_COUNT];
    char first_breach[256];
    size_t n;
    struct world_guest guests[WORLD_GUESTS_MAX];
    void (*stepped)(struct world *w, void *user);
    void *stepped_user;
    FILE *trace;
    struct world_ears ears;
};

void world_trace_order(struct world *w, const struct engine_guest *g);
/* Side by side: what guests count as in truth and what the engine has them down for. */
void world_trace_counts(struct world *w, uint64_t (*counts_kib)(const struct world_guest *g));
void world_die(const char *what) __attribute__((noreturn));
