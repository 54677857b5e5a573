/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "own.h"
#include "paths.h"
#include "text.h"
#include "wire_text.h"

/* The lines between ballastd and ballast-copy (docs/backup-protocol.md): text <-> structs, no I/O. */

#define COPY_LINE_MAX      (1U << 20) /* in: a manifest brings the guest's command line, some 100 KiB at most */
#define COPY_LINE_OUT_MAX  4096U      /* out: PIPE_BUF, so that a line is written whole or not at all */
#define COPY_HINT_SIZE     160        /* with a text of ERR_TEXT_SIZE, all of it escaped, it still fits a line */
#define COPY_DISKS_MAX     64         /* more than any guest has; each costs a socket and a row of chunk states */
#define COPY_DISK_BYTES_MAX (64ULL << 40)
#define COPY_SECTOR_BYTES  512        /* what QEMU's disk sizes are multiples of */
#define COPY_TEXT_SIZE     128        /* guest identity (a UUID), point names, times */

#define COPY_STALL_MSEC     30000ULL  /* longer than a disk's own error recovery, shorter than an operator's patience */
#define COPY_STALL_MSEC_MIN 1000ULL   /* the tests' */
#define COPY_STALL_MSEC_MAX 600000ULL

struct json_object;

enum copy_kind {
    COPY_KIND_FULL,        /* every chunk must come */
    COPY_KIND_INCREMENTAL, /* dirty_bytes must come, the rest is the parent's */
    COPY_KIND_COUNT
};

struct copy_disk {
    char name[TEXT_NAME_MAX + 1];
    uint64_t size_bytes; /* > 0, multiple of COPY_SECTOR_BYTES */
    char socket[PATHS_SOCKET_SIZE];
    enum copy_kind kind;
    char parent[COPY_TEXT_SIZE]; /* point; incremental only */
    uint64_t dirty_bytes;        /* incremental only */
    char raw[PATHS_SIZE];        /* "": into the repository */
};

struct copy_job {
    char repository[PATHS_SIZE]; /* "": all disks are raw */
    char guest[COPY_TEXT_SIZE];
    char name[COPY_TEXT_SIZE];
    char time[COPY_TEXT_SIZE];
    uint64_t bandwidth_bytes_per_second; /* 0: no limit */
    uint64_t stall_msec;
    size_t disks_n;
    struct copy_disk disks[COPY_DISKS_MAX];
};

enum copy_verb {
    COPY_VERB_JOB,
    COPY_VERB_FINISH,
    COPY_VERB_CANCEL,
    COPY_VERB_COUNT
};

struct copy_order {
    enum copy_verb verb;
    struct copy_job *job;         /* COPY_VERB_JOB; owned */
    struct json_object *manifest; /* COPY_VERB_FINISH; an object; owned */
};

/* Zeroes the order and frees what it holds. */
void copy_order_done(struct copy_order *o);

/* One line without its newline. -EBADMSG: no order, with a sentence; -ENOMEM. The caller ends *ret with copy_order_done(). */
int copy_order_parse(const char *line, size_t len, struct copy_order *ret, struct err *e);

struct copy_progress {
    const char *disk;
    uint64_t size_bytes, received_bytes, data_bytes, stored_bytes, new_chunks;
    bool connected;
};

/* Each appends one line with its newline, at most COPY_LINE_OUT_MAX bytes. hint may be "". */
void copy_print_ready(struct wire_text *t, uint64_t chunk_bytes);
void copy_print_progress(struct wire_text *t, const struct copy_progress *p);
void copy_print_committed(struct wire_text *t, const char *point);
void copy_print_failed(struct wire_text *t, const char *text, const char *hint);
