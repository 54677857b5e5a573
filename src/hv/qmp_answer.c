/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp_answer.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "observe.h"
#include "qmp_message.h"

static bool get_bytes(struct json_object *object, const char *key, uint64_t *ret)
{
    uint64_t bytes;

    if (!qmp_get_u64(object, key, &bytes) || bytes > QMP_BYTES_MAX)
        return false;
    *ret = bytes;
    return true;
}

static int get_bytes_or_fail(struct json_object *object, const char *key, uint64_t *ret, struct err *e)
{
    if (!get_bytes(object, key, ret))
        return err_set(e, EPROTO, "no usable '%s' in QEMU's answer", key);
    return 0;
}

int qmp_answer_balloon(struct json_object *answer, uint64_t *ret_actual_bytes, struct err *e)
{
    return get_bytes_or_fail(answer, "actual", ret_actual_bytes, e);
}

int qmp_answer_boot_memory(struct json_object *answer, uint64_t *ret_bytes, struct err *e)
{
    uint64_t bytes;

    if (!get_bytes(answer, "base-memory", &bytes) || bytes == 0)
        return err_set(e, EPROTO, "no usable 'base-memory' in QEMU's answer");
    *ret_bytes = bytes;
    return 0;
}

static uint64_t bytes_or_unset(struct json_object *object, const char *key)
{
    uint64_t bytes;

    return get_bytes(object, key, &bytes) ? bytes : OBS_UNSET;
}

int qmp_answer_statistics(struct json_object *answer, struct qmp_statistics *ret, struct err *e)
{
    struct qmp_statistics s = {0};
    struct json_object *stats;

    if (!qmp_get_object(answer, "stats", &stats) || !qmp_get_u64(answer, "last-update", &s.last_update_sec))
        return err_set(e, EPROTO, "no usable 'stats' and 'last-update' in QEMU's answer");
    s.total_bytes = bytes_or_unset(stats, "stat-total-memory");
    s.free_bytes = bytes_or_unset(stats, "stat-free-memory");
    s.available_bytes = bytes_or_unset(stats, "stat-available-memory");
    s.cache_bytes = bytes_or_unset(stats, "stat-disk-caches");
    s.swapped_in_bytes = bytes_or_unset(stats, "stat-swap-in");
    s.minor_faults = bytes_or_unset(stats, "stat-minor-faults");
    s.oom_kills = bytes_or_unset(stats, "stat-oom-kills");
    /* Parts larger than the whole are absurd, and the whole may be the lie: nothing of it counts. */
    if (s.total_bytes == 0)
        s.total_bytes = OBS_UNSET;
    if (s.free_bytes != OBS_UNSET && s.free_bytes > s.total_bytes)
        s.free_bytes = OBS_UNSET;
    if (s.available_bytes != OBS_UNSET && s.available_bytes > s.total_bytes)
        s.available_bytes = OBS_UNSET;
    if (s.cache_bytes != OBS_UNSET && s.cache_bytes > s.total_bytes)
        s.cache_bytes = OBS_UNSET;
    *ret = s;
    return 0;
}

/* A name that can stand in a command as it is. */
static bool is_plain(const char *name)
{
    if (!*name)
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("-._[]:", *name))
            return false;
    return true;
}

static int take_plug(struct json_object *data, struct qmp_memory_devices *d, struct err *e)
{
    struct qmp_plug plug = {0};
    const char *id;
    int n;

    if (d->plugs_n == QMP_PLUGS_MAX)
        return 0;
    if (!get_bytes(data, "size", &plug.size_bytes) || !get_bytes(data, "requested-size", &plug.requested_bytes) ||
        !get_bytes(data, "max-size", &plug.most_bytes) || !get_bytes(data, "block-size", &plug.block_bytes) ||
        plug.block_bytes == 0 || plug.size_bytes > plug.most_bytes || plug.requested_bytes > plug.most_bytes)
        return err_set(e, EPROTO, "no usable sizes of a virtio-mem device in QEMU's answer");
    if (qmp_get_string(data, "id", &id) && is_plain(id)) {
        n = snprintf(plug.path, sizeof(plug.path), "/machine/peripheral/%s", id);
        if (n < 0 || (size_t)n >= sizeof(plug.path))
            plug.path[0] = '\0';
    }
    d->plugs[d->plugs_n++] = plug;
    return 0;
}

int qmp_answer_memory_devices(struct json_object *answer, struct qmp_memory_devices *ret, struct err *e)
{
    struct qmp_memory_devices d = {0};

    if (!json_object_is_type(answer, json_type_array))
        return err_set(e, EPROTO, "no list of memory devices in QEMU's answer");
    for (size_t i = 0; i < json_object_array_length(answer); i++) {
        struct json_object *device = json_object_array_get_idx(answer, i), *data;
        uint64_t size_bytes;
        const char *type;
        int r;

        if (!qmp_get_string(device, "type", &type) || !qmp_get_object(device, "data", &data))
            return err_set(e, EPROTO, "a memory device without type or data in QEMU's answer");
        if (strcmp(type, "virtio-mem") == 0) {
            r = take_plug(data, &d, e);
            if (r < 0)
                return r;
        } else if (strcmp(type, "dimm") == 0) {
            if (!get_bytes(data, "size", &size_bytes) || size_bytes > QMP_BYTES_MAX - d.dimm_bytes)
                return err_set(e, EPROTO, "no usable size of a pc-dimm in QEMU's answer");
            d.dimm_bytes += size_bytes;
        } /* nvdimm, virtio-pmem, sgx-epc: no memory of the guest's in this sense */
    }
    *ret = d;
    return 0;
}

int qmp_answer_regions(struct json_object *answer, uint64_t ret_bytes[QMP_REGIONS_MAX], size_t *ret_n, struct err *e)
{
    size_t n = 0;

    if (!json_object_is_type(answer, json_type_array))
        return err_set(e, EPROTO, "no list of memory backends in QEMU's answer");
    for (size_t i = 0; i < json_object_array_length(answer) && n < QMP_REGIONS_MAX; i++) {
        uint64_t bytes;

        if (get_bytes(json_object_array_get_idx(answer, i), "size", &bytes) && bytes > 0)
            ret_bytes[n++] = bytes;
    }
    *ret_n = n;
    return 0;
}

int qmp_answer_uuid(struct json_object *answer, char ret[40], struct err *e)
{
    const char *uuid;

    if (!qmp_get_string(answer, "UUID", &uuid) || strlen(uuid) >= 40)
        return err_set(e, EPROTO, "no usable 'UUID' in QEMU's answer");
    if (strspn(uuid, "0-") == strlen(uuid))
        ret[0] = '\0';
    else
        qmp_copy_printable(ret, 40, uuid);
    return 0;
}

bool qmp_answer_child_from(struct json_object *answer, const char *prefix, size_t *at, char *ret_name, size_t size)
{
    if (!json_object_is_type(answer, json_type_array))
        return false;
    while (*at < json_object_array_length(answer)) {
        struct json_object *child = json_object_array_get_idx(answer, (*at)++);
        const char *name, *type;

        if (!qmp_get_string(child, "name", &name) || !qmp_get_string(child, "type", &type))
            continue;
        if (strncmp(type, prefix, strlen(prefix)) != 0 || !is_plain(name) || strlen(name) >= size)
            continue;
        memcpy(ret_name, name, strlen(name) + 1);
        return true;
    }
    return false;
}

bool qmp_answer_child(struct json_object *answer, const char *prefix, char *ret_name, size_t size)
{
    size_t at = 0;

    return qmp_answer_child_from(answer, prefix, &at, ret_name, size);
}

static bool take_chardev(struct json_object *chardev, const char *label, qmp_chardev_fn *take, char *ret, size_t size)
{
    const char *its_label, *filename;

    return qmp_get_string(chardev, "label", &its_label) && qmp_get_string(chardev, "filename", &filename) &&
           (!label || strcmp(its_label, label) == 0) && take(filename, ret, size);
}

bool qmp_answer_chardev(struct json_object *answer, const char *label, qmp_chardev_fn *take, char *ret, size_t size)
{
    if (!json_object_is_type(answer, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(answer); i++)
        if (take_chardev(json_object_array_get_idx(answer, i), label, take, ret, size))
            return true;
    return false;
}

bool qmp_answer_chardev_from(struct json_object *answer, size_t *at, qmp_chardev_fn *take, char *ret, size_t size)
{
    if (!json_object_is_type(answer, json_type_array))
        return false;
    while (*at < json_object_array_length(answer))
        if (take_chardev(json_object_array_get_idx(answer, (*at)++), NULL, take, ret, size))
            return true;
    return false;
}

int qmp_answer_disk_reads(struct json_object *answer, uint64_t *ret_bytes, struct err *e)
{
    uint64_t sum = 0;

    if (!json_object_is_type(answer, json_type_array))
        return err_set(e, EPROTO, "no list of disks in QEMU's answer");
    for (size_t i = 0; i < json_object_array_length(answer); i++) {
        struct json_object *stats;
        uint64_t bytes;

        if (!qmp_get_object(json_object_array_get_idx(answer, i), "stats", &stats) ||
            !get_bytes(stats, "rd_bytes", &bytes))
            continue;
        sum += bytes; /* at most QMP_VALUES_MAX times 2^56: wraps for a liar only, and harms nobody */
    }
    *ret_bytes = sum;
    return 0;
}

int qmp_answer_running(struct json_object *answer, bool *ret_running, struct err *e)
{
    if (!qmp_get_bool(answer, "running", ret_running))
        return err_set(e, EPROTO, "no usable 'running' in QEMU's answer");
    return 0;
}
