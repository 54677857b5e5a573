/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "hv_qmp.h"
#include "observe.h"
#include "qmp_answer.h"
#include "qmp_message.h"

#define MIB (1ULL << 20)

/* ---- messages ---- */

static void messages_are_told_apart(void **state)
{
    static const struct {
        const char *line;
        enum qmp_kind kind;
        const char *name;
    } cases[] = {
        {"{\"QMP\": {\"version\": {}}}\r\n", QMP_GREETING, ""},
        {"{\"return\": {}, \"id\": 7}", QMP_RETURN, ""},
        {"{\"return\": null}", QMP_RETURN, ""},
        {"{\"error\": {\"class\": \"GenericError\", \"desc\": \"a\\u0001b\"}}", QMP_ERROR, "GenericError"},
        {"{\"event\": \"RESET\"}", QMP_EVENT, "RESET"},
        {"{\"event\": \"A\\nB\", \"data\": 5}", QMP_EVENT, "A?B"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct qmp_message m;
        struct err e = {0};

        assert_int_equal(qmp_message_parse(cases[i].line, strlen(cases[i].line), &m, &e), 0);
        assert_int_equal(m.kind, cases[i].kind);
        assert_string_equal(m.name, cases[i].name);
        qmp_message_done(&m);
    }
}

static void messages_cut_anywhere(void **state)
{
    static const char line[] = "{\"error\": {\"class\": \"GenericError\", \"desc\": \"x\\u00e4\"}, \"id\": "
                               "18446744073709551615}";

    (void)state;
    for (size_t cut = 0; cut < strlen(line); cut++) {
        char *exact = malloc(cut ? cut : 1);
        struct qmp_message m;
        struct err e = {0};

        assert_non_null(exact);
        memcpy(exact, line, cut);
        assert_int_equal(qmp_message_parse(exact, cut, &m, &e), -EPROTO);
        free(exact);
    }
}

static void messages_are_limited(void **state)
{
    static char buf[QMP_LINE_MAX + 1];
    struct qmp_message m;
    struct err e = {0};

    (void)state;
    memset(buf, '1', sizeof(buf));
    assert_int_equal(qmp_message_parse(buf, sizeof(buf), &m, &e), -EMSGSIZE);
    memset(buf, '[', sizeof(buf));
    assert_int_equal(qmp_message_parse(buf, QMP_DEPTH_MAX * 2, &m, &e), -EPROTO);
    assert_int_equal(qmp_message_parse(buf, QMP_LINE_MAX, &m, &e), -EMSGSIZE);
    memset(buf, ',', sizeof(buf));
    buf[0] = '"'; /* inside a string they cost nothing; and a string is no message */
    buf[QMP_LINE_MAX - 1] = '"';
    assert_int_equal(qmp_message_parse(buf, QMP_LINE_MAX, &m, &e), -EPROTO);
    assert_non_null(strstr(e.text, "no QMP message"));
}

/* ---- answers ---- */

static struct json_object *json(const char *text)
{
    struct json_object *o = json_tokener_parse(text);

    assert_true(o || strcmp(text, "null") == 0);
    return o;
}

static void statistics_as_qemu_sends_them(void **state)
{
    struct json_object *o = json("{\"stats\": {\"stat-htlb-pgalloc\": 0, \"stat-swap-out\": 0, "
                                 "\"stat-available-memory\": 202375168, "
                                 "\"stat-free-memory\": 199655424, \"stat-minor-faults\": 6300, \"stat-total-memory\": "
                                 "229011456, "
                                 "\"stat-swap-in\": 4096, \"stat-disk-caches\": 2359296, \"stat-oom-kills\": 3}, "
                                 "\"last-update\": "
                                 "1700000000}");
    struct qmp_statistics s;
    struct err e = {0};

    (void)state;
    assert_int_equal(qmp_answer_statistics(o, &s, &e), 0);
    assert_true(s.last_update_sec == 1700000000 && s.total_bytes == 229011456 && s.free_bytes == 199655424);
    assert_true(s.available_bytes == 202375168 && s.cache_bytes == 2359296 && s.swapped_in_bytes == 4096 &&
                s.oom_kills == 3);
    json_object_put(o);
}

static void statistics_unset_absurd_missing(void **state)
{
    struct json_object *o = json("{\"stats\": {\"stat-total-memory\": 18446744073709551615, \"stat-free-memory\": -5, "
                                 "\"stat-available-memory\": \"lots\", \"stat-disk-caches\": 99999999999999999999999, "
                                 "\"stat-swap-in\": 1e30}, \"last-update\": 0}");
    struct qmp_statistics s;
    struct err e = {0};

    (void)state;
    assert_int_equal(qmp_answer_statistics(o, &s, &e), 0);
    assert_true(s.total_bytes == OBS_UNSET && s.free_bytes == OBS_UNSET && s.available_bytes == OBS_UNSET);
    assert_true(s.cache_bytes == OBS_UNSET && s.swapped_in_bytes == OBS_UNSET && s.oom_kills == OBS_UNSET);
    json_object_put(o);
    /* parts larger than the whole */
    o = json("{\"stats\": {\"stat-total-memory\": 100, \"stat-free-memory\": 101, \"stat-available-memory\": 200, "
             "\"stat-disk-caches\": 100}, \"last-update\": 5}");
    assert_int_equal(qmp_answer_statistics(o, &s, &e), 0);
    assert_true(s.total_bytes == 100 && s.free_bytes == OBS_UNSET && s.available_bytes == OBS_UNSET &&
                s.cache_bytes == 100);
    json_object_put(o);
}

static void memory_devices(void **state)
{
    struct json_object *o = json("[{\"type\": \"virtio-mem\", \"data\": {\"memdev\": \"/objects/m\", \"memaddr\": "
                                 "4294967296, \"block-size\": 2097152, "
                                 "\"size\": 4194304, \"node\": 0, \"max-size\": 536870912, \"requested-size\": "
                                 "8388608, \"id\": \"vm0\"}}, "
                                 "{\"type\": \"dimm\", \"data\": {\"size\": 134217728}}, {\"type\": \"nvdimm\", "
                                 "\"data\": {\"size\": 1}}, "
                                 "{\"type\": \"virtio-mem\", \"data\": {\"block-size\": 2097152, \"size\": 0, "
                                 "\"max-size\": 1, \"requested-size\": 0}}, "
                                 "{\"type\": \"virtio-mem\", \"data\": {\"block-size\": 1, \"size\": 0, \"max-size\": "
                                 "1, \"requested-size\": 0, \"id\": "
                                 "\"x\\\",y\"}}]");
    struct qmp_memory_devices d;
    struct err e = {0};

    (void)state;
    assert_int_equal(qmp_answer_memory_devices(o, &d, &e), 0);
    assert_int_equal(d.plugs_n, 3);
    assert_string_equal(d.plugs[0].path, "/machine/peripheral/vm0");
    assert_true(d.plugs[0].size_bytes == 4 * MIB && d.plugs[0].requested_bytes == 8 * MIB &&
                d.plugs[0].most_bytes == 512 * MIB);
    assert_true(d.plugs[0].block_bytes == 2 * MIB && d.dimm_bytes == 128 * MIB);
    assert_string_equal(d.plugs[1].path, ""); /* no id */
    assert_string_equal(d.plugs[2].path, ""); /* an id that would break out of the command */
    json_object_put(o);
}

static void wrong_types_are_refused(void **state)
{
    static const char *const answers[] = {
        "null",
        "{}",
        "[]",
        "5",
        "\"x\"",
        "[5]",
        "[{}]",
        "[[[]]]",
        "{\"actual\": -1}",
        "{\"actual\": \"5\"}",
        "{\"actual\": 1e3}",
        "{\"actual\": 72057594037927937}",
        "{\"base-memory\": 0}",
        "{\"stats\": 5, \"last-update\": 1}",
        "{\"stats\": {}}",
        "{\"UUID\": 5}",
        "{\"UUID\": \"0123456789012345678901234567890123456789\"}",
        "{\"running\": \"yes\"}",
        "[{\"type\": \"virtio-mem\"}]",
        "[{\"type\": \"virtio-mem\", \"data\": {}}]",
        "[{\"type\": \"virtio-mem\", \"data\": {\"block-size\": 0, \"size\": 0, \"max-size\": 1, \"requested-size\": "
        "0}}]",
        "[{\"type\": \"virtio-mem\", \"data\": {\"block-size\": 1, \"size\": 2, \"max-size\": 1, \"requested-size\": "
        "0}}]",
        "[{\"type\": \"dimm\", \"data\": {\"size\": -1}}]",
    };
    static const bool lists_of_nothing[] = {[2] = true};

    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct json_object *o = json(answers[i]);
        struct qmp_memory_devices d;
        struct qmp_statistics s;
        uint64_t value, regions[QMP_REGIONS_MAX];
        char text[40];
        size_t n;
        bool flag, empty = i < sizeof(lists_of_nothing) && lists_of_nothing[i];
        struct err e = {0};

        assert_int_equal(qmp_answer_balloon(o, &value, &e), -EPROTO);
        assert_int_equal(qmp_answer_boot_memory(o, &value, &e), -EPROTO);
        assert_int_equal(qmp_answer_statistics(o, &s, &e), -EPROTO);
        assert_int_equal(qmp_answer_uuid(o, text, &e), -EPROTO);
        assert_int_equal(qmp_answer_running(o, &flag, &e), -EPROTO);
        assert_int_equal(qmp_answer_memory_devices(o, &d, &e), empty ? 0 : -EPROTO);
        (void)qmp_answer_regions(o, regions, &n, &e);
        (void)qmp_answer_disk_reads(o, &value, &e);
        assert_false(qmp_answer_child(o, "child<", text, sizeof(text)));
        json_object_put(o);
    }
}

static void uuids(void **state)
{
    struct json_object *none = json("{\"UUID\": \"00000000-0000-0000-0000-000000000000\"}");
    struct json_object *some = json("{\"UUID\": \"8d3b7c2e-0000-4000-8000-000000000001\"}");
    char uuid[40];
    struct err e = {0};

    (void)state;
    assert_int_equal(qmp_answer_uuid(none, uuid, &e), 0);
    assert_string_equal(uuid, "");
    assert_int_equal(qmp_answer_uuid(some, uuid, &e), 0);
    assert_string_equal(uuid, "8d3b7c2e-0000-4000-8000-000000000001");
    json_object_put(none);
    json_object_put(some);
}

static void children_by_type(void **state)
{
    struct json_object *o = json("[{\"name\": \"type\", \"type\": \"string\"}, {\"name\": \"a\\\"b\", \"type\": "
                                 "\"child<virtio-balloon-pci>\"}, {\"name\": \"device[3]\", \"type\": "
                                 "\"child<virtio-balloon-ccw>\"}]");
    char name[16], little[4];

    (void)state;
    assert_true(qmp_answer_child(o, "child<virtio-balloon", name, sizeof(name)));
    assert_string_equal(name, "device[3]");
    assert_false(qmp_answer_child(o, "child<virtio-mem", name, sizeof(name)));
    assert_false(qmp_answer_child(o, "child<virtio-balloon", little, sizeof(little)));
    json_object_put(o);
}

static void disks_are_summed(void **state)
{
    struct json_object *o = json("[{\"device\": \"a\", \"stats\": {\"rd_bytes\": 100}, \"parent\": {\"stats\": "
                                 "{\"rd_bytes\": 7}}}, "
                                 "{\"stats\": {\"rd_bytes\": 23}}, {\"stats\": {\"rd_bytes\": -1}}, {}]");
    uint64_t bytes;
    struct err e = {0};

    (void)state;
    assert_int_equal(qmp_answer_disk_reads(o, &bytes, &e), 0);
    assert_int_equal(bytes, 123);
    json_object_put(o);
}

/* ---- whose monitor is it? ---- */

static void monitors_of_others(void **state)
{
    static const struct {
        const char *path;
        const char *whose; /* NULL: ours */
    } cases[] = {
        {"/var/lib/libvirt/qemu/domain-3-web/monitor.sock", "libvirt"},
        {"/home/a/.config/libvirt/qemu/lib/domain-1-x/monitor.sock", "libvirt"},
        {"/var/run/qemu-server/100.qmp", "Proxmox VE"},
        {"/run/qemu-server/100.qmp", "Proxmox VE"},
        {"/run/ballast/guests/web.qmp", NULL},
        {"/var/lib/libvirt/qemu/ballast/web.qmp", NULL},
        {"/run/qemu-server/100.qga", NULL},
        {"web.qmp", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e = {0};
        int r = hv_qmp_check_socket("web", cases[i].path, &e);

        assert_int_equal(r, cases[i].whose ? -EPERM : 0);
        if (cases[i].whose)
            assert_non_null(strstr(e.text, cases[i].whose));
    }
    {
        struct err e = {0};

        assert_int_equal(hv_qmp_check_socket("web", "/run/qemu-server/100.qmp", &e), -EPERM);
        assert_non_null(strstr(e.text, "args: -chardev "
                                       "socket,id=ballast,path=/run/ballast/guests/web.qmp,server=on,wait=off -mon "
                                       "chardev=ballast,mode=control"));
    }
}

static void links_are_resolved_first(void **state)
{
    char directory[] = "/tmp/ballast-test-XXXXXX", path[128], real[160], link[128];
    struct err e = {0};

    (void)state;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/libvirt", directory);
    (void)snprintf(link, sizeof(link), "%s/web.qmp", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    strcat(path, "/qemu");
    assert_int_equal(mkdir(path, 0700), 0);
    strcat(path, "/lib");
    assert_int_equal(mkdir(path, 0700), 0);
    strcat(path, "/domain-1-w");
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(real, sizeof(real), "%s/monitor.sock", path);
    assert_int_equal(close(creat(real, 0600)), 0);
    assert_int_equal(symlink(real, link), 0);
    assert_int_equal(hv_qmp_check_socket("w", link, &e), -EPERM);
    (void)unlink(link);
    (void)unlink(real);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(rmdir(path), 0);
        *strrchr(path, '/') = '\0';
    }
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_told_apart),
        cmocka_unit_test(messages_cut_anywhere),
        cmocka_unit_test(messages_are_limited),
        cmocka_unit_test(statistics_as_qemu_sends_them),
        cmocka_unit_test(statistics_unset_absurd_missing),
        cmocka_unit_test(memory_devices),
        cmocka_unit_test(wrong_types_are_refused),
        cmocka_unit_test(uuids),
        cmocka_unit_test(children_by_type),
        cmocka_unit_test(disks_are_summed),
        cmocka_unit_test(monitors_of_others),
        cmocka_unit_test(links_are_resolved_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
