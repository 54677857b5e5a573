/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "wire_text.h"

/* How giving a guest a disk, or taking one from it, went: the answer of /v1/guests/NAME/disk. */

/* States. */
#define WIRE_DISK_NONE "none"       /* nobody asked, or there was none to remove */
#define WIRE_DISK_RUNNING "running"
#define WIRE_DISK_DONE "done"
#define WIRE_DISK_LEFT "left"       /* to be removed, and the guest has not let go of it: ask again */
#define WIRE_DISK_FAILED "failed"

/* {"state":"done","text":"...","hint":null,"id":"restored-ballast-0","serial":"ballast-0-vda","uid":0} */
struct wire_disk {
    char state[12];
    char text[1024];  /* failed: what happened; else empty */
    char hint[768];   /* failed: what to do */
    char id[32];      /* of the disk, in QEMU */
    char serial[24];  /* of one that was added: Linux has it as /dev/disk/by-id/virtio-SERIAL */
    uint64_t uid;     /* QEMU runs as this user, who must be able to connect; WIRE_UNKNOWN: it can't be seen */
};

void wire_disk_print(struct wire_text *t, const struct wire_disk *d);
int wire_disk_parse(const char *buf, size_t length, struct wire_disk *ret, struct err *e);
