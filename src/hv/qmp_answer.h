/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* QEMU's answers, taken apart: wrong types, missing members and absurd sizes give one clause ("no 'actual' in it") or
 * an OBS_UNSET, never more. Each returns 0, or -EPROTO with nothing written. `answer` is borrowed and may be NULL. */

struct json_object;

/* No machine has 64 PiB (the core counts up to that, POLICY_KIB_MAX): a size beyond it is a lie or "unset". */
#define QMP_BYTES_MAX (1ULL << 56)

#define QMP_PATH_SIZE   128 /* of a device in QEMU's object tree */
#define QMP_PLUGS_MAX   8   /* virtio-mem devices of a guest: one for each NUMA node is usual */
#define QMP_REGIONS_MAX 32  /* RAM regions: boot memory of each node, a region for each memory device */

int qmp_answer_balloon(struct json_object *answer, uint64_t *ret_actual_bytes, struct err *e);

struct qmp_statistics {
    uint64_t last_update_sec; /* wall clock; 0: the guest never sent any */
    /* OBS_UNSET where not sent or absurd */
    uint64_t total_bytes, free_bytes, available_bytes, cache_bytes;
    uint64_t swapped_in_bytes; /* counter */
    uint64_t minor_faults;     /* counter: each process of the guest adds to it */
    uint64_t oom_kills;        /* counter; newer QEMU only */
};
int qmp_answer_statistics(struct json_object *answer, struct qmp_statistics *ret, struct err *e);

int qmp_answer_boot_memory(struct json_object *answer, uint64_t *ret_bytes, struct err *e);

struct qmp_plug {
    char path[QMP_PATH_SIZE]; /* in QEMU's object tree; empty: it has no id, its size can't be set */
    uint64_t size_bytes, requested_bytes, most_bytes, block_bytes;
};
struct qmp_memory_devices {
    struct qmp_plug plugs[QMP_PLUGS_MAX];
    size_t plugs_n;      /* further virtio-mem devices are left alone */
    uint64_t dimm_bytes; /* pc-dimms: counted by the balloon as boot memory is */
};
int qmp_answer_memory_devices(struct json_object *answer, struct qmp_memory_devices *ret, struct err *e);

/* Sizes of the RAM regions (query-memdev). */
int qmp_answer_regions(struct json_object *answer, uint64_t ret_bytes[QMP_REGIONS_MAX], size_t *ret_n, struct err *e);

/* An empty string for QEMU's all-zero UUID: it is none. */
int qmp_answer_uuid(struct json_object *answer, char ret[40], struct err *e);

/* Name of the first child whose type starts with prefix ("child<virtio-balloon"), in a qom-list answer; names that
 * would not be safe inside a command are no names. False: none. */
bool qmp_answer_child(struct json_object *answer, const char *prefix, char *ret_name, size_t size);
/* The same from the child number *at on; sets it to the one behind what was found. */
bool qmp_answer_child_from(struct json_object *answer, const char *prefix, size_t *at, char *ret_name, size_t size);

/* Character devices (query-chardev): the first one of that label (NULL: of any) whose filename `take` takes; take may
 * write to ret. False: none. */
typedef bool qmp_chardev_fn(const char *filename, char *ret, size_t size);
bool qmp_answer_chardev(struct json_object *answer, const char *label, qmp_chardev_fn *take, char *ret, size_t size);
/* Of any label, from the one number *at on; sets it to the one behind what was found. */
bool qmp_answer_chardev_from(struct json_object *answer, size_t *at, qmp_chardev_fn *take, char *ret, size_t size);

/* Bytes read from all disks (query-blockstats). */
int qmp_answer_disk_reads(struct json_object *answer, uint64_t *ret_bytes, struct err *e);

int qmp_answer_running(struct json_object *answer, bool *ret_running, struct err *e);
