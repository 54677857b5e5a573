/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "wire_status.h"
#include "wire_text.h"

/* Answers to what an operator asks for (docs/api.md, the POST routes). */

#define WIRE_DONE_TEXT_SIZE 512

/* {"changed":true,"moves":"on","text":"...","warning":null,"save":null} */
struct wire_done {
    bool changed;                      /* false: all was so already */
    char moves[12];                    /* on, off, release: whether guests are moved */
    char text[WIRE_DONE_TEXT_SIZE];    /* what holds now, and how to get back */
    char warning[WIRE_DONE_TEXT_SIZE]; /* done, but ...; empty: nothing to say */
    uint64_t save;                     /* number of the file write it caused, see `saved` of GET /v1/moves; WIRE_UNKNOWN: none */
};

/* {"moves":"on","moves_text":null,"saved":3,"save_trouble":null,"paused":["web1"]} */
struct wire_moves {
    char moves[12], moves_text[WIRE_REASON_SIZE];
    uint64_t saved;                         /* writes up to this number are on disk, or failed; WIRE_UNKNOWN: nothing can be */
    char save_trouble[WIRE_DONE_TEXT_SIZE]; /* why the last one failed; empty: it did not */
};

void wire_moves_begin(struct wire_text *t, const struct wire_moves *m);
void wire_moves_paused(struct wire_text *t, const char *guest, bool first);
void wire_moves_end(struct wire_text *t);
int wire_moves_parse(const char *buf, size_t length, struct wire_moves *ret, struct err *e);

void wire_done_print(struct wire_text *t, const struct wire_done *d);
int wire_done_parse(const char *buf, size_t length, struct wire_done *ret, struct err *e);
