/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "wire_text.h"

/* A piece of a recording as the API gives it: a line of its own, then the bytes of the record (record.h). */

struct wire_record_piece {
    uint64_t recording; /* its number */
    uint64_t next;      /* the byte to ask for next: what lies before is forgotten then */
    bool ended;         /* nothing will follow */
};

/* {"recording":3,"next":4096,"ended":false} and a newline. */
void wire_record_piece_print(struct wire_text *t, const struct wire_record_piece *piece);

/* Reads that line; *ret_length: how long it is with its newline. EBADMSG where buf does not begin with one. */
int wire_record_piece_parse(const char *buf, size_t length, struct wire_record_piece *ret, size_t *ret_length,
                            struct err *e);
