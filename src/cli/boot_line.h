/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "repo.h"

/* The command line of a boot test, and of a guest started from a point, made from the one in a point's manifest. That one is foreign matter, and QEMU's options
 * open files, sockets and programs: nothing is passed on but what is known here (machine, CPU model, count and memory, kernel,
 * firmware, the kind of each disk), each value rebuilt from its parts. Network, sockets, host devices, objects fall away; of
 * the host's files only kernel, initial ramdisk and firmware are opened, where boot_file_may_be_read() says so. */

#define BOOT_DISK_ARGUMENTS 8  /* a controller, two nodes and a device */
#define BOOT_NODE "boot"             /* and the disk's number: what its device uses */
#define BOOT_POINT_NODE "point"      /* the same: the point under an overlay */
#define BOOT_ARGUMENTS_MAX (96 + REPO_DISKS_MAX * BOOT_DISK_ARGUMENTS)
#define BOOT_MEMORY_MIN_BYTES (1ULL << 20)
#define BOOT_MEMORY_MAX_BYTES (1ULL << 44) /* beyond any host; keeps the sums in range */

struct boot_host {
    bool has_kvm;                        /* used where the guest was run with it, too */
    unsigned cpus;                       /* no more than these are given */
    bool (*is_file)(const char *path);   /* boot_file_may_be_read(), or a test's */
};

struct boot_line {
    size_t count;
    char *argv[BOOT_ARGUMENTS_MAX + 1];  /* owned; ends in NULL; argv[0] is looked up in PATH */
    uint64_t memory_bytes;               /* the guest boots with */
};

/* A guest that is started to be worked with: a new one, with what it had and the point's disks. Its sockets are in the directory:
 * NAME.qmp (monitor), NAME.qga (qemu-guest-agent), NAME.console (serial, logged to NAME.log), NAME.vnc (x86). */
struct boot_stage {
    const char *name, *uuid, *mac;
    const char *nic;           /* of QEMU's -nic, without the MAC; NULL: no network */
    const char *directory;     /* absolute, without a comma */
    bool has_overlays;         /* what is written goes to DIRECTORY/DISK.qcow2 */
    bool is_alone;             /* they need no point any more, and nothing of this process: disk_fds and qmp_fd are not used */
    int qmp_fd;                /* one more monitor, for us */
};

/* Whether a path out of a manifest may be handed to QEMU as kernel, initial ramdisk or firmware: an absolute path, without
 * comma, of a regular file with something in it that everybody may read, as those are. Whoever can write to a repository must
 * not get the host's secrets (/etc/shadow, a disk, /proc) into a guest of his own making, though root runs the test. */
bool boot_file_may_be_read(const char *path);

/* Disk i of the manifest is the NBD client's socket disk_fds[i] (inherited), agent_fd the port of qemu-guest-agent; the serial
 * console is standard output. -ENODATA: the manifest has no command line; -EINVAL: it is none of QEMU's, or a file it needs
 * is none; -EOPNOTSUPP: firmware in a form that isn't taken over. */
int boot_line_new(const struct repo_manifest *m, const struct boot_host *host, const int *disk_fds, int agent_fd,
                  struct boot_line **ret, struct err *e);

/* The same for a guest that stays; is_file of a stage that is alone may say yes to everything. */
int boot_line_stage(const struct repo_manifest *m, const struct boot_host *host, const int *disk_fds,
                    const struct boot_stage *stage, struct boot_line **ret, struct err *e);
struct boot_line *boot_line_free(struct boot_line *line);
OWN_DEFINE(boot_line);
