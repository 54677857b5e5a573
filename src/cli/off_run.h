/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "err.h"
#include "paths.h"
#include "repo.h"
#include "wire_text.h"

/* Disks of a guest that is switched off, read by QEMU's own tools into ballast-copy (docs/backup-protocol.md).
 *
 * A guest is never kept from starting: nothing here holds a lock that QEMU wants (force-share). So what says that the image
 * stood still is this: nobody had it open to write before and after, and its file is the same and has not been written since.
 * One whose writes that does not show (a block device, a qcow2 with a data file of its own) is read under QEMU's lock instead:
 * that one can't be started meanwhile. */

#define OFF_DISKS_MAX 32
#define OFF_FORMAT_SIZE 16

struct off_disk {
    char name[TEXT_NAME_MAX + 1];
    char file[PATHS_SIZE];       /* absolute */
    char format[OFF_FORMAT_SIZE]; /* as QEMU calls it: never guessed from the content, which is the guest's */

    /* off_look() */
    uint64_t size_bytes;
    struct stat before;
    bool is_locked;   /* read under QEMU's lock */
    bool was_killed;  /* the QEMU that had it last did not end by itself */

    /* off_copy() */
    char socket[PATHS_SOCKET_SIZE];
    uint64_t received_bytes, data_bytes, stored_bytes;
};

/* What QEMU's tools say of an image. -EBUSY: it is in use; -EIO: their words. */
int off_look(struct off_disk *d, struct err *e);

/* That it stood still since off_look(). -EBUSY. */
int off_check(const struct off_disk *d, struct err *e);

struct off_wish {
    const char *repository, *identity, *guest, *time;
    struct off_disk *disks;
    size_t count;
    void (*progress)(void *user, uint64_t done_bytes, uint64_t total_bytes); /* a few times a second */
    bool (*is_given_up)(void *user);
    void *user;
};

/* A ballast-copy, which ends with its struct. */
struct off_copy;

/* Reads all disks. -ECANCELED: given up; -EBUSY: an image was written meanwhile; -EIO. hint: what to do, as ballast-copy says. */
int off_copy_start(const struct off_wish *wish, struct off_copy **ret, char *hint, size_t hint_size, struct err *e);

/* Commits the point; `manifest`: its facts, an object. point: its name. */
int off_copy_finish(struct off_copy *c, const char *manifest, char *point, size_t point_size, struct err *e);

/* Throws it away where it was not committed. */
struct off_copy *off_copy_free(struct off_copy *c);
OWN_DEFINE(off_copy);
