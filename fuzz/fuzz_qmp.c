/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "observe.h"
#include "qmp_answer.h"
#include "qmp_message.h"

/* What the other end of a monitor's socket may send: a line, and in it an answer to any question. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

static void must_be_printable(const char *text)
{
    for (; *text; text++)
        must(*text >= 0x20 && *text < 0x7f);
}

static void check_statistics(struct json_object *body)
{
    struct qmp_statistics s;
    struct err e = {0};

    if (qmp_answer_statistics(body, &s, &e) < 0)
        return;
    must(s.total_bytes == OBS_UNSET || (s.total_bytes > 0 && s.total_bytes <= QMP_BYTES_MAX));
    must(s.free_bytes == OBS_UNSET || s.free_bytes <= s.total_bytes);
    must(s.available_bytes == OBS_UNSET || s.available_bytes <= s.total_bytes);
    must(s.cache_bytes == OBS_UNSET || s.cache_bytes <= s.total_bytes);
}

static void check_devices(struct json_object *body)
{
    struct qmp_memory_devices d;
    struct err e = {0};

    if (qmp_answer_memory_devices(body, &d, &e) < 0)
        return;
    must(d.plugs_n <= QMP_PLUGS_MAX && d.dimm_bytes <= QMP_BYTES_MAX);
    for (size_t i = 0; i < d.plugs_n; i++) {
        must(d.plugs[i].block_bytes > 0 && d.plugs[i].size_bytes <= d.plugs[i].most_bytes);
        must(d.plugs[i].requested_bytes <= d.plugs[i].most_bytes && d.plugs[i].most_bytes <= QMP_BYTES_MAX);
        must(!strpbrk(d.plugs[i].path, "\"\\ {}\n")); /* it stands in commands as it is */
        must_be_printable(d.plugs[i].path);
    }
}

static void check_others(struct json_object *body)
{
    uint64_t value, regions[QMP_REGIONS_MAX];
    char uuid[40] = "", name[32] = "";
    size_t n = 0;
    bool running;
    struct err e = {0};

    must(qmp_answer_balloon(body, &value, &e) < 0 || value <= QMP_BYTES_MAX);
    must(qmp_answer_boot_memory(body, &value, &e) < 0 || (value > 0 && value <= QMP_BYTES_MAX));
    must(qmp_answer_regions(body, regions, &n, &e) < 0 || n <= QMP_REGIONS_MAX);
    (void)qmp_answer_disk_reads(body, &value, &e);
    (void)qmp_answer_running(body, &running, &e);
    if (qmp_answer_uuid(body, uuid, &e) == 0)
        must_be_printable(uuid);
    if (qmp_answer_child(body, "child<virtio-balloon", name, sizeof(name)))
        must(name[0] && !strpbrk(name, "\"\\ {}\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qmp_message m;
    struct err e = {0};
    int r = qmp_message_parse((const char *)data, size, &m, &e);

    if (r < 0) {
        must(r == -e.code);
        must_be_printable(e.text);
        return 0;
    }
    must(e.code == 0 && m.kind < QMP_KIND_COUNT);
    must_be_printable(m.name);
    must_be_printable(m.text);
    check_statistics(m.body);
    check_devices(m.body);
    check_others(m.body);
    qmp_message_done(&m);
    return 0;
}
