/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "api.h"
#include "engine.h"
#include "err.h"
#include "own.h"

/* Disks of points in running guests (`ballast backup attach`): the guest's driver plugs them and takes them back, how that
 * went is kept until somebody looks. The client serves the disk and stays; when its process ends, however it does, its disk
 * is asked back from the guest. A ballastd that is started anew knows of no client: `ballast backup detach` then.
 * Single-threaded, never blocks. */

#define GUEST_DISKS_MAX 64       /* clients whose last order for a guest is remembered, and disks with a client, each */
#define GUEST_DISKS_RETRY_SEC 1  /* between two tries to take a disk back whose client is gone ... */
#define GUEST_DISKS_TRIES 60     /* ... and how many: a guest without an operating system never lets go of it */

struct guest_disks;
struct sd_event;

int guest_disks_new(struct sd_event *loop, const struct engine *engine, struct guest_disks **ret, struct err *e);
struct guest_disks *guest_disks_free(struct guest_disks *d); /* after the drivers, whose answers may still come */
OWN_DEFINE(guest_disks);

/* The operations DISK_ADD, DISK_REMOVE (start; or tell of the order under way) and DISK_STATE (tells). */
void guest_disks_request(struct guest_disks *d, enum api_operation what, const struct api_request *rq, struct api_reply *ret);
