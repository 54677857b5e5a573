/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent_line.h"

/* Bytes -> lines, and how many of them are too many. Pure: no sockets, the caller reads and tells the time. */

struct agent_stream {
    char line[AGENT_LINE_MAX];
    size_t used;
    bool skipping; /* the rest of a line that was too long */
};

struct agent_piece {
    const char *line; /* without its newline, valid until the next call; NULL: no whole line yet */
    size_t len;
    bool too_long;    /* the beginning of one that is longer than AGENT_LINE_MAX; told once, the rest is skipped */
};

void agent_stream_init(struct agent_stream *s);

/* Takes bytes up to the end of one line, at most; returns how many it took. Call again with the rest until all are
 * taken. */
size_t agent_stream_take(struct agent_stream *s, const char *data, size_t len, struct agent_piece *ret);

/* Bytes of a line that has no end yet: what is lost if the other side is gone now. */
size_t agent_stream_pending(const struct agent_stream *s);

/* A rate of AGENT_LINES_PER_SEC with room for what a stopped guest or a busy loop lets pile up: two seconds' worth. */
#define AGENT_RATE_BURST (2 * AGENT_LINES_PER_SEC)

struct agent_rate {
    uint64_t paid_usec; /* time up to which lines are paid for */
};

/* One line came: false where it is one too many. now_usec never runs backwards. */
bool agent_rate_allow(struct agent_rate *rate, uint64_t now_usec);
