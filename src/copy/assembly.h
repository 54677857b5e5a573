/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copy_job.h"
#include "err.h"

/* Chunks put together from the pieces QEMU sends: any order, several chunks open at once, data and zeroes mixed, pieces
 * that come again. Pure but for the buffers it fills; no allocation after assembly_add_disk().
 *
 * Buffers lie one after the other in memory of the caller's. A chunk takes one with its first piece of data (a chunk of zeroes never does), keeps it
 * until it is complete, is handed over with it, and the buffer comes back by assembly_take_back(). At most `budget` are
 * in use, unless all of them hold partly filled chunks: then nothing would ever move again, so more are opened. QEMU has at most 9 chunks
 * of a disk open with 8 workers, 28 with its default of 64. */

#define ASSEMBLY_BUDGET_BYTES (24U << 20)  /* a dozen chunks in flight and a dozen being filled: 64 MiB are the goal for all */
#define ASSEMBLY_BUFFERS_BYTES (192U << 20) /* beyond the budget; address space, used only if needed */
#define ASSEMBLY_BUFFERS_MAX  192U         /* tasks under way: as many messages fit the socket between the processes */
#define ASSEMBLY_BUDGET_MIN   8U           /* with large chunks */
#define ASSEMBLY_BUDGET_MAX   96U          /* with small ones */
#define ASSEMBLY_PIECE_BYTES  4096U        /* what is counted in: no request is aligned to less, but for the disk's end */
#define ASSEMBLY_CHUNK_BYTES_MAX (4U << 20)
#define ASSEMBLY_OPEN_MAX     128U         /* partly filled chunks of a disk: 4 x what QEMU was seen to open */
#define ASSEMBLY_WORDS        (ASSEMBLY_CHUNK_BYTES_MAX / ASSEMBLY_PIECE_BYTES / 64)

/* State of a chunk of a disk, one byte each in the caller's memory. */
enum assembly_state {
    ASSEMBLY_NONE, /* nothing came, or not all of it */
    ASSEMBLY_ZERO, /* complete, all zero, never handed over */
    ASSEMBLY_DATA, /* complete and handed over */
};

/* What is handed over: bytes [at, at + len) of a chunk; all of it, or a piece that came again when the chunk was gone. Tasks of
 * the same chunk must be done in this order. */
struct assembly_task {
    uint32_t disk;
    uint32_t buffer; /* the chunk's first byte is the buffer's first */
    uint64_t chunk;
    uint32_t at, len;
};

struct assembly_open {
    uint64_t chunk;
    int buffer; /* -1: only zeroes so far */
    bool again; /* the chunk was handed over already: what comes is passed on at once */
    bool used;
    uint64_t got[ASSEMBLY_WORDS]; /* pieces that are there */
};

struct assembly_disk {
    uint64_t size_bytes, chunks;
    uint8_t *state; /* chunks bytes, borrowed */
    uint64_t complete; /* chunks */
    uint64_t received_bytes, data_bytes; /* each byte once; of those that came as data, again counted again */
    unsigned open_n;
    struct assembly_open *open; /* ASSEMBLY_OPEN_MAX of them, owned */
};

struct assembly {
    uint32_t chunk_bytes;
    uint8_t *buffers; /* borrowed */
    size_t buffers_n, budget, in_use, handed;
    bool busy[ASSEMBLY_BUFFERS_MAX];
    size_t disks_n;
    struct assembly_disk disks[COPY_DISKS_MAX];
    void (*hand)(void *user, const struct assembly_task *task);
    void *user;
};

/* chunk_bytes: a power of two, 64 KiB to ASSEMBLY_CHUNK_BYTES_MAX. buffers: ASSEMBLY_BUFFERS_BYTES bytes. hand() must not
 * call back. */
void assembly_init(struct assembly *a, uint32_t chunk_bytes, uint8_t *buffers,
                   void (*hand)(void *user, const struct assembly_task *task), void *user);
void assembly_done(struct assembly *a);

/* Disks are numbered in this order. state: one byte for each chunk, zeroed. -ENOMEM. */
int assembly_add_disk(struct assembly *a, uint64_t size_bytes, uint8_t *state, struct err *e);

/* As nbd_sink's: offset and length lie within the disk and are aligned to ASSEMBLY_PIECE_BYTES, or end with the disk.
 * -EAGAIN: no buffer until one is taken back; -ENOBUFS: more partly filled chunks than can be held. */
int assembly_room(struct assembly *a, size_t disk, uint64_t offset, uint32_t length, uint8_t **ret, uint32_t *ret_length);
void assembly_filled(struct assembly *a, size_t disk, uint64_t offset, uint32_t length);
int assembly_zero(struct assembly *a, size_t disk, uint64_t offset, uint32_t length, uint32_t *ret_length);

/* A task is done with its buffer. True: its memory is beyond the budget and can be given back to the system. */
bool assembly_take_back(struct assembly *a, uint32_t buffer);

/* Whether what came is what the job says: all chunks of a full, as many as are dirty of an incremental, none partly.
 * -ENODATA with a sentence. */
int assembly_check(const struct assembly *a, size_t disk, const struct copy_disk *job, struct err *e);
