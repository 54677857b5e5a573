/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

/* Bytes on their way in or out of a monitor's socket: grows as needed up to a limit, and shrinks again. */

struct qmp_buffer {
    char *data; /* NULL: nothing allocated yet */
    size_t len, size;
    size_t scanned; /* bytes known to hold no line end */
};

/* First size, and what it shrinks back to: nearly all answers and commands are shorter than this. */
#define QMP_BUFFER_MIN 1024U

/* Makes room for at least `more` bytes behind len. Returns 0, -EMSGSIZE (it would be longer than most, which is at least
 * QMP_BUFFER_MIN and a power of two; no text) or -ENOMEM. */
int qmp_buffer_room(struct qmp_buffer *b, size_t more, size_t most, struct err *e);

/* Drops the first n bytes, and gives memory back that a long line has left. */
void qmp_buffer_drop(struct qmp_buffer *b, size_t n);

/* The line that begins at start: false where its end is not there yet. *ret_next: where the next one begins. */
bool qmp_buffer_line(struct qmp_buffer *b, size_t start, size_t *ret_len, size_t *ret_next);

void qmp_buffer_clear(struct qmp_buffer *b); /* keeps the memory */
void qmp_buffer_done(struct qmp_buffer *b);
