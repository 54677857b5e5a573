/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Between clients and QEMU's NBD server, byte by byte, without a look at what they say. What matters is one thing: what
 * QEMU sends is always read, at once. A client that stops in the middle of an answer would else have QEMU wait in the next
 * drain of that disk (a reset, `stop`, the export's own end), and with it the guest (docs/design.md 6.8). Never blocks. */

#define RELAY_CLIENTS_MAX 16               /* nbdcopy opens 4, qemu-img 1; QEMU is told of a few more */
#define RELAY_HOLD_BYTES (1U << 20)        /* with more unread by a client, its further requests wait */
#define RELAY_BUFFER_MAX (64U << 20)       /* a client is closed that leaves more unread: nbdcopy asks for 16 MiB a connection */
#define RELAY_BUDGET_BYTES (256ULL << 20)  /* of all clients together */
#define RELAY_BLOCK_BYTES (64U << 10)      /* below what malloc gives back to the kernel each time */

struct relay_block;

struct relay_link {
    int client_fd, qemu_fd; /* -1: free */
    char up[4096];          /* to QEMU: requests of 28 bytes */
    size_t up_from, up_to;
    struct relay_block *first, *last; /* to the client; owned */
    size_t buffered;
    bool qemu_ended;
};

struct relay {
    const char *qemu_path; /* borrowed */
    int listen_fd;         /* owned; -1: none */
    struct relay_link links[RELAY_CLIENTS_MAX];
    uint64_t buffered_bytes;
    uint64_t sent_bytes;   /* to clients, ever */
    unsigned dropped;      /* clients that were closed because they read too slowly */
};

#define RELAY_POLLS (1 + 2 * RELAY_CLIENTS_MAX)

/* Takes the listening socket over. */
void relay_init(struct relay *relay, const char *qemu_path, int listen_fd);
void relay_done(struct relay *relay);

unsigned relay_clients(const struct relay *relay);

/* What to wait for, and what came of it. */
void relay_poll(const struct relay *relay, struct pollfd ret[RELAY_POLLS]);
void relay_serve(struct relay *relay, const struct pollfd polled[RELAY_POLLS]);
