/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "relay.h"
#include "wire_text.h"

/* ballast-expose: what stands between an exposure and its clients. One order, then questions, each one line of JSON:
 *
 *     {"relay":{"qemu":PATH,"socket":PATH,"exports":[NAME...],"fleece":[PATH...]}}           before QEMU's NBD server
 *     {"serve":{"repository":PATH,"identity":NAME,"time":TIME,"exports":[NAME...],"sockets":[PATH...]}}    disks of a point
 *     {"status":true}
 *
 * Answers: {"ready":true}, {"clients":N,"sent_bytes":N,"fleece_bytes":N}, with "broken":NAME once an export can't be read any
 * more; {"failed":TEXT,"hint":TEXT}, then it ends. It ends with its standard input, too, and its sockets with it. */

#define EXPOSE_DISKS_MAX 32   /* as WINDOW_DISKS_MAX */
#define EXPOSE_LOOK_SEC 2     /* between looks whether exports can still be read: QEMU tells nobody */

struct expose {
    bool is_relay;
    struct json_object *order; /* owned: names below are its */
    size_t disks_n;
    const char *exports[EXPOSE_DISKS_MAX], *paths[EXPOSE_DISKS_MAX]; /* paths: fleecing images, or sockets */

    struct relay relay;
    const char *socket; /* of the relay */
    /* By the thread that looks; read by the loop. */
    atomic_int broken;  /* number of a disk; -1: none */
    atomic_ullong fleece_bytes;

    pid_t servers[EXPOSE_DISKS_MAX]; /* nbdkit; 0: none */
};

/* Carries an order out. 0, or -errno with a sentence, and what to do in hint (512 bytes). */
int expose_begin(struct expose *x, struct json_object *order, char *hint, struct err *e);

/* Prints the answer to "status"; -errno where it is over. */
int expose_status(struct expose *x, struct wire_text *t, struct err *e);

/* Ends servers and removes sockets. */
void expose_end(struct expose *x);
