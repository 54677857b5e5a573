/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "own.h"
#include "record.h"
#include "wire_text.h"

/* Decides again what a record (record.h) says was decided, with the very same decide(), and compares all that came out: the
 * orders in clear, every number behind them by its sum. Needs neither daemon nor engine: inputs change a guest by
 * input_apply() alone, there as here. */

struct replay;

/* The first decision that came out otherwise. */
struct replay_difference {
    uint64_t line;              /* of the record, from 1 */
    uint64_t number;            /* of the decision since the daemon's start */
    uint64_t at_usec;           /* since the record began */
    enum decide_why why;
    char guest[RECORD_NAME_SIZE]; /* the first one that differs; empty: only the host's numbers do */
    bool numbers_only;          /* its order is the same, what stands behind it is not */
    struct record_order recorded, replayed; /* GUEST_ORDER_NONE: none */
    struct guest_verdict verdict; /* as it was replayed; of that guest */
    int64_t capacity_kib;       /* of the host, as replayed */
    struct wire_text inputs;    /* the lines of that guest since the decision before, and the decision's own, as recorded */
};

struct replay_report {
    struct record_start start;
    uint64_t lines, inputs, decisions, orders, guests;
    uint64_t differ;            /* decisions that came out otherwise; those after the first may do so because of it */
    uint64_t reconfigured;      /* times another configuration was taken over */
    char config_hash[20];       /* of the last one */
    bool ended;                 /* the record has its last line */
    char end[128];              /* what that says */
    struct replay_difference first; /* where differ > 0 */
};

int replay_new(struct replay **ret, struct err *e);
struct replay *replay_free(struct replay *r);
OWN_DEFINE(replay);

/* The next line, without its newline. EBADMSG, with a sentence that names the line: it is none of a record, or none that can
 * stand here; ENOMEM. After that nothing more can be replayed, and the report holds what was until there. */
int replay_line(struct replay *r, const char *line, size_t length, struct err *e);

/* Valid until replay_free(). */
const struct replay_report *replay_report(const struct replay *r);
