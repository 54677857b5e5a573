/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decide.h"
#include "err.h"
#include "guest.h"
#include "input.h"
#include "wire_text.h"

/* A record: lines of JSON that hold all that decide() went by, so that it can be called again with the same (S6). It begins
 * with the state of the host and of each guest, then come inputs and decisions in the order in which they happened
 * (docs/record-format.md). Prints and parses single lines; sockets, files and what the lines amount to are others' (the
 * daemon's recorder.h, replay.h). */

#define RECORD_VERSION 1          /* rises when a line changes its meaning */
#define RECORD_LINE_MAX (4U << 20) /* a decision about 16384 guests takes 1 MiB */
#define RECORD_GUESTS_MAX 16384   /* guests are numbered below it; as many as one daemon drives */
#define RECORD_NAME_SIZE 64

enum record_kind {
    RECORD_START,    /* the first line */
    RECORD_HOST,     /* state of the host, once, before the guests */
    RECORD_GUEST,    /* state of one guest that was there at the start */
    RECORD_BEGIN,    /* the state is complete: from here on things happen */
    RECORD_INPUT,    /* something was applied to a guest; INPUT_APPEARED begins a new one */
    RECORD_VANISHED,
    RECORD_DECIDE,   /* a decision, and what came out of it */
    RECORD_CONFIG,   /* another configuration holds */
    RECORD_END,      /* the last line, with the reason */
    RECORD_KIND_COUNT
};

struct record_start {
    uint64_t record;         /* RECORD_VERSION */
    uint64_t policy_version; /* of who recorded */
    char config_hash[20];
    char version[32];
    char host_name[RECORD_NAME_SIZE];
    uint64_t wall_sec;       /* when it began, for people */
    uint64_t now_usec;       /* the same on the clock of all other times */
};

/* An order that came out of a decision. */
struct record_order {
    uint32_t guest;          /* its number */
    enum guest_order order;
    uint64_t order_kib;
    enum guest_reason reason;
};

/* One line, read. Its arrays live as long as it does: record_line_done(). Big (some 10 KiB). */
struct record_line {
    enum record_kind kind;
    uint32_t guest;          /* guest, input, vanished */
    uint64_t at_usec;        /* input, vanished, decide */
    char name[RECORD_NAME_SIZE], identity[RECORD_NAME_SIZE]; /* guest, and an input that begins one */
    struct record_start start;
    struct host host;        /* host; decide: `seen`, and `config` where has_config */
    struct guest state;      /* guest */
    struct input input;
    uint64_t count;          /* begin: guests; end: decisions */
    char text[128];          /* config: its hash; end: the reason */
    enum decide_why why;
    bool has_config;
    uint64_t number;         /* decide: of the decision, since the daemon's start */
    uint64_t answer;         /* decide: sum over all that came out */
    struct record_order *orders;
    size_t order_count;
    uint32_t *digests;       /* of each guest's verdict, in the order of the guests */
    size_t digest_count;
};

/* Each appends one line with its newline. */
void record_print_start(struct wire_text *t, const struct record_start *start);
void record_print_host(struct wire_text *t, const struct host *h);
void record_print_guest(struct wire_text *t, uint32_t id, const char *name, const char *identity, const struct guest *g);
void record_print_begin(struct wire_text *t, size_t guests);
void record_print_input(struct wire_text *t, uint32_t id, const char *name, const char *identity, const struct input *in);
void record_print_vanished(struct wire_text *t, uint32_t id, uint64_t now_usec);
void record_print_config(struct wire_text *t, const char *hash);
void record_print_end(struct wire_text *t, const char *reason, uint64_t decisions);

/* After decide() and before anything else is applied; guests and ids in decide()'s order. with_config: the host's
 * configuration is not the one of the line before. */
void record_print_decide(struct wire_text *t, enum decide_why why, uint64_t now_usec, const struct host *h, bool with_config,
                         const struct guest *const *guests, const uint32_t *ids, size_t n);

/* What came out for one guest, and for all, in a number. */
uint32_t record_guest_digest(const struct guest *g);
uint64_t record_answer(const struct host *h, const struct guest *const *guests, size_t n);

/* Order in which decide() wants guests: by identity, then by name. */
int record_compare(const char *identity, const char *name, const char *other_identity, const char *other_name);

/* Reads a line without its newline. EBADMSG with what is wrong in it; then, too, *ret is to be given to
 * record_line_done(). All numbers are within what the core takes. */
int record_line_parse(const char *buf, size_t length, struct record_line *ret, struct err *e);
void record_line_done(struct record_line *line);
