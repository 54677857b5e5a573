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

/* GET /v1/release: what `release` has given back so far, and the guests that have not got all of it. */
struct wire_release_left {
    char guest[WIRE_NAME_SIZE];
    uint64_t lacks_bytes;       /* of its boot memory; WIRE_UNKNOWN: its size is not known yet */
    bool final;                 /* waiting does not help */
    char why[WIRE_REASON_SIZE];
};
struct wire_release {
    char moves[12];
    uint64_t guest_count, done; /* guests that have all of it */
    struct wire_release_left *left; /* of a parsed one: owned; wire_release_done() */
    size_t left_count;
};

void wire_release_begin(struct wire_text *t, const struct wire_release *r);
void wire_release_left(struct wire_text *t, const struct wire_release_left *left, bool first);
void wire_release_end(struct wire_text *t);
int wire_release_parse(const char *buf, size_t length, struct wire_release *ret, struct err *e);
void wire_release_done(struct wire_release *r);

/* One reservation (docs/design.md 3.5), as a document of its own or in {"reservations":[...]}. */
#define WIRE_RESERVATIONS_MAX 64
struct wire_reservation {
    uint64_t id;
    char state[12];              /* gathering, held, claimed, expired, failed, cancelled */
    uint64_t size_bytes;         /* set aside */
    uint64_t asked_bytes;        /* null: as much as there is */
    uint64_t missing_bytes;      /* of size_bytes, not free yet */
    char guest[WIRE_NAME_SIZE];  /* the one it is for; empty: the first new one that fits */
    char claimed_by[WIRE_NAME_SIZE];
    uint64_t left_ms;            /* until it fails (gathering) or expires (held); else null */
    char text[WIRE_DONE_TEXT_SIZE]; /* what holds, and what to do */
};

void wire_reservation_print(struct wire_text *t, const struct wire_reservation *r); /* without a newline behind it */
int wire_reservation_parse(const char *buf, size_t length, struct wire_reservation *ret, struct err *e);
/* {"reservations":[...]}; at most cap of them. Returns how many. */
int wire_reservations_parse(const char *buf, size_t length, struct wire_reservation *ret, size_t cap, struct err *e);

void wire_done_print(struct wire_text *t, const struct wire_done *d);
int wire_done_parse(const char *buf, size_t length, struct wire_done *ret, struct err *e);
