/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The server's side of one NBD connection, as little of it as a backup job of QEMU's needs (docs/backup-protocol.md, "What
 * QEMU sees"; the NBD project's doc/proto.md has the words): fixed newstyle, simple replies, WRITE, WRITE_ZEROES, DISC. No
 * I/O in here: the caller reads into the place it is told, so that a write's data goes from the socket straight into
 * the chunk it belongs to, and never waits. */

#define NBD_OPTION_MAX    4096U         /* an export's name is at most that long */
#define NBD_REQUEST_MAX   (32U << 20)   /* as advertised; a longer write ends the connection */
#define NBD_BLOCK_WANTED  (64U << 10)   /* as advertised: what QEMU's jobs use */
#define NBD_ALIGN         4096U         /* requests begin and end at multiples, or at the disk's end */
#define NBD_OUT_MAX       1024U         /* replies not sent yet: 64 */
#define NBD_SCRATCH_SIZE  (64U << 10)

enum nbd_phase {
    NBD_PHASE_FLAGS, /* the client's, after our greeting */
    NBD_PHASE_OPTION,
    NBD_PHASE_OPTION_DATA,
    NBD_PHASE_REQUEST,
    NBD_PHASE_DATA, /* of a write */
    NBD_PHASE_ZERO, /* a write of zeroes that is not done yet */
    NBD_PHASE_END,
    NBD_PHASE_COUNT
};

/* Where the data goes. Offsets and lengths are within the disk and aligned. */
struct nbd_sink {
    /* Where bytes for [offset, offset + length) go: sets *ret and how many fit there (at least 1, at most length). 0; -EAGAIN:
     * nowhere just now; other -errno: the request fails with it. What was given stays valid until filled(). */
    int (*room)(void *user, uint64_t offset, uint32_t length, uint8_t **ret, uint32_t *ret_length);
    /* The place last given by room() for `offset` has all its `length` bytes. */
    void (*filled)(void *user, uint64_t offset, uint32_t length);
    /* Zeroes as much as it can at once: sets *ret_length (at least 1) and returns 0, or -EAGAIN, -errno as above. */
    int (*zero)(void *user, uint64_t offset, uint32_t length, uint32_t *ret_length);
    void *user;
};

struct nbd_conn {
    const struct nbd_sink *sink;
    uint64_t size_bytes;
    enum nbd_phase phase;
    bool no_zeroes; /* the client wants no padding behind the old reply */

    uint8_t head[NBD_OPTION_MAX]; /* what is being read besides data */
    size_t head_len, head_want;
    uint32_t option;

    uint64_t cookie, offset; /* the request: where its next byte goes */
    uint32_t left;           /* bytes still to come, or to zero */
    int error;               /* positive errno the request ends with; its data is thrown away */
    uint8_t *piece;          /* from room(); NULL: none */
    uint64_t piece_offset;
    uint32_t piece_len, piece_got;

    uint8_t out[NBD_OUT_MAX]; /* to be sent */
    size_t out_len;
};

enum nbd_want {
    NBD_WANT_READ, /* bytes, into the place given */
    NBD_WANT_SEND, /* that `out` is sent first */
    NBD_WANT_ROOM, /* that the sink has room again */
    NBD_WANT_END,  /* the connection is over; close it when `out` is sent */
    NBD_WANT_COUNT
};

/* The sink is borrowed for the connection's life. The greeting stands in `out`. */
void nbd_conn_init(struct nbd_conn *c, uint64_t size_bytes, const struct nbd_sink *sink);

/* Goes on as far as it can and says what it needs; with NBD_WANT_READ *ret and *ret_len are where to read to, and how much. */
enum nbd_want nbd_conn_want(struct nbd_conn *c, uint8_t **ret, size_t *ret_len);

/* n bytes (at most *ret_len) were read to there. */
void nbd_conn_got(struct nbd_conn *c, size_t n);

/* n bytes of `out` were sent. */
void nbd_conn_sent(struct nbd_conn *c, size_t n);

/* Transmission is under way: a client is really there. */
bool nbd_conn_ready(const struct nbd_conn *c);
