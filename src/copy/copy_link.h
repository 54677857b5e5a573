/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "assembly.h"
#include "copy_job.h"
#include "err.h"

/* Between the two processes of a job: the receiver, which holds the NBD sockets and never touches the repository, and its
 * child, the worker, which does nothing else. Memory that both see, made before the fork, and a socket for messages of a
 * fixed size: one a chunk each way. */

enum link_order_kind {
    LINK_ORDER_TASK,
    LINK_ORDER_FINISH, /* the facts stand in `text` */
    LINK_ORDER_ABORT,  /* the reason stands in `text` */
};

struct link_order { /* receiver -> worker */
    enum link_order_kind kind;
    struct assembly_task task;
};

enum link_note_kind {
    LINK_NOTE_OPENED,
    LINK_NOTE_DONE, /* the task's buffer is free again */
    LINK_NOTE_COMMITTED,
    LINK_NOTE_FAILED,
};

struct link_note { /* worker -> receiver */
    enum link_note_kind kind;
    uint32_t chunk_bytes;     /* OPENED */
    uint32_t disk, buffer;    /* DONE */
    uint32_t new_chunks;
    uint64_t stored_bytes;
    int code;                 /* FAILED: positive errno */
    char text[ERR_TEXT_SIZE]; /* FAILED: the sentence; COMMITTED: the point. DONE is sent without the texts */
    char hint[COPY_HINT_SIZE];
};

/* What each disk came to; the receiver writes it before LINK_ORDER_FINISH. */
struct link_figures {
    uint64_t received_bytes, stored_bytes;
};

struct copy_shared {
    atomic_uint beats; /* the receiver's: one that counts on is alive */
    struct link_figures figures[COPY_DISKS_MAX];
    char text[COPY_LINE_MAX];
};

struct copy_link {
    uint8_t *memory;
    size_t memory_size;
    struct copy_shared *shared;
    uint8_t *states[COPY_DISKS_MAX]; /* of each disk's chunks, at the smallest chunk size there is */
    uint8_t *buffers;                /* ASSEMBLY_BUFFERS_BYTES; pages come into being when touched */
    int receiver_fd, worker_fd;      /* -1: closed */
};

/* -ENOMEM, -EMFILE ... The caller ends it with link_done() in both processes. */
int link_init(struct copy_link *l, const struct copy_job *job, struct err *e);
void link_done(struct copy_link *l);

/* Sends a whole message, or -errno. An order never blocks (-EAGAIN; as many as there are buffers fit); a note does. */
int link_send_order(const struct copy_link *l, const struct link_order *o);
int link_send_note(const struct copy_link *l, const struct link_note *n);

/* 1: one was there; 0: none now; -EPIPE: the other side is gone. Never blocks. */
int link_receive_order(const struct copy_link *l, struct link_order *ret);
int link_receive_note(const struct copy_link *l, struct link_note *ret);
