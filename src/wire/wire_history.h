/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "own.h"
#include "wire_status.h"
#include "wire_text.h"

/* The last minutes of all guests, GET /v1/history: {"api":1, "step_ms":5000, "guests":[{"name", "assigned_bytes":[],
 * "demand_bytes":[], "moves":[]}]}. Points are step_ms apart, the newest last; moves the newest first. */

#define WIRE_HISTORY_POINTS 60
#define WIRE_HISTORY_MOVES 8

struct wire_history_move {
    uint64_t age_ms;               /* of its last order */
    uint64_t lasted_ms;            /* from its first to its last order */
    uint64_t orders;               /* that it took */
    char order[12];                /* grow, shrink, withdraw */
    uint64_t from_bytes, to_bytes;
    char reason[WIRE_REASON_SIZE];
};

struct wire_history_guest {
    char name[WIRE_NAME_SIZE];
    size_t point_count;
    uint64_t assigned_bytes[WIRE_HISTORY_POINTS]; /* WIRE_UNKNOWN: not known then */
    uint64_t demand_bytes[WIRE_HISTORY_POINTS];
    size_t move_count;
    struct wire_history_move moves[WIRE_HISTORY_MOVES];
};

struct wire_history {
    uint64_t step_ms;
    size_t guest_count;
    struct wire_history_guest *guests;
};

/* The document in three calls, as the status. */
void wire_history_begin(struct wire_text *t, uint64_t step_ms);
void wire_history_guest(struct wire_text *t, const struct wire_history_guest *g, bool first);
void wire_history_end(struct wire_text *t);

/* EBADMSG (or ENOMEM), with a sentence that says where; *ret is then untouched. Of more points than there is room for,
 * the newest are kept. */
int wire_history_parse(const char *buf, size_t length, struct wire_history **ret, struct err *e);
struct wire_history *wire_history_free(struct wire_history *h);
OWN_DEFINE(wire_history);

/* NULL: none of that name; h may be NULL. */
const struct wire_history_guest *wire_history_find(const struct wire_history *h, const char *name);
