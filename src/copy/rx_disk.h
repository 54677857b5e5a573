/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "assembly.h"
#include "bucket.h"
#include "err.h"
#include "nbd_conn.h"

/* One disk at the receiver: its socket and the one connection to it, between poll(2) and assembly. Never blocks. */

struct rx_disk {
    const char *path; /* of the socket, borrowed */
    size_t number;
    uint64_t size_bytes;
    struct assembly *assembly; /* shared by all disks, as is the bucket */
    struct bucket *bucket;
    const int *failed;         /* != 0: the positive errno that all requests end with */

    int listen_fd, fd;         /* -1: none */
    bool starved;              /* waits for a buffer */
    bool held;                 /* waits for the bucket */
    uint64_t stored_bytes, new_chunks; /* as the worker tells */
    struct nbd_sink sink;
    struct nbd_conn conn;
};

/* A struct that rx_disk_close() can be called on. */
void rx_disk_init(struct rx_disk *d);

/* Makes the socket (mode 0600; one that is left over there goes away) and listens. The other members are set before. */
int rx_disk_listen(struct rx_disk *d, struct err *e);

/* Closes connection and socket and removes it: whatever QEMU still waits for ends now. */
void rx_disk_close(struct rx_disk *d);

/* What to wait for: two entries. */
void rx_disk_poll(const struct rx_disk *d, struct pollfd ret[2]);

/* What came of it. */
void rx_disk_serve(struct rx_disk *d, const struct pollfd polled[2], uint64_t now_usec);
