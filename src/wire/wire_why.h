/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#include "err.h"
#include "wire_status.h"
#include "wire_text.h"

/* Why a guest has the size it has: GET /v1/guests/NAME/why. Sentences for people, made by the daemon, and the numbers that
 * stand behind them. Units and unknown values as in wire_status.h. */

#define WIRE_WHY_TEXT_SIZE 384
#define WIRE_WHY_BECAUSE_MAX 20
#define WIRE_WHY_DECISIONS_MAX 32

/* One decision, or several of the same kind in a row. Numbers are of the last of them, `from_bytes` of the first. */
struct wire_decision {
    uint64_t age_ms;      /* since the last of them */
    uint64_t lasted_ms;   /* from the first to the last */
    uint64_t count;
    char order[12];       /* grow, shrink, withdraw, none */
    char reason[20];      /* a word: need, for-others, not-free-yet ... */
    bool would;           /* a dry run: nothing was sent */
    uint64_t from_bytes;  /* what the guest had */
    uint64_t to_bytes;    /* what it was told to have; none: what it had at last */
    uint64_t demand_bytes, target_bytes, given_bytes, lower_bytes, head_bytes;
    uint64_t share_step;  /* 1..6 */
    char host_state[8];
    char other[WIRE_NAME_SIZE]; /* who waited for it, or who gave */
    uint64_t other_bytes;
    char text[WIRE_WHY_TEXT_SIZE]; /* one clause, without the time */
};

struct wire_why {
    char name[WIRE_NAME_SIZE];
    char order[12];                /* of the last decide(), as the following */
    char reason[20];
    char now[WIRE_WHY_TEXT_SIZE];  /* what is done, or why nothing is; one sentence */
    size_t because_count;
    char because[WIRE_WHY_BECAUSE_MAX][WIRE_WHY_TEXT_SIZE];
    size_t decision_count;         /* newest first */
    struct wire_decision decisions[WIRE_WHY_DECISIONS_MAX];
};

void wire_why_clear(struct wire_why *w);
void wire_decision_clear(struct wire_decision *d);

/* Adds a sentence; beyond WIRE_WHY_BECAUSE_MAX it is dropped. */
void wire_why_because(struct wire_why *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

void wire_why_print(struct wire_text *t, const struct wire_why *w);

/* EBADMSG with a sentence; sentences and decisions beyond their limits are dropped. ret is big (20 KiB): not for small
 * stacks. */
int wire_why_parse(const char *buf, size_t length, struct wire_why *ret, struct err *e);
