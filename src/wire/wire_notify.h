/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "wire_text.h"

/* What became of the messages to people: GET /v1/notify, and `notify` in the dump. Counters since ballastd started. */

#define WIRE_NOTIFY_API_VERSION 1

/* One run of the command. */
struct wire_notify_run {
    uint64_t id;      /* the message's; 0: there was none yet */
    char event[16];   /* host, breach, stuck, test ... */
    char guest[64];   /* empty: about the host */
    uint64_t time_sec; /* when it ended, wall clock */
    char result[96];  /* empty: well; else a sentence without its subject, "ended with exit status 3" */
    char output[512]; /* the beginning of what it printed, in one line */
};

struct wire_notify {
    char command[256];  /* empty: none is configured, and nothing is ever sent */
    uint64_t timeout_ms; /* how long it may run */
    uint64_t sent;      /* ended well */
    uint64_t failed;    /* ended badly, or could not be started */
    uint64_t dropped;   /* too many waited */
    uint64_t waiting, running;
    struct wire_notify_run last, last_test; /* last_test: of those that somebody asked for */
};

void wire_notify_print(struct wire_text *t, const struct wire_notify *n);

/* Errors as wire_status.h's readers. */
int wire_notify_parse(const char *buf, size_t length, struct wire_notify *ret, struct err *e);
