/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture_hv_qmp.h"

/* Disks of points against a played QEMU: what is asked of it, what is undone, and what is said where it can't be. */

/* The devices of this QEMU, what it refuses, and what it was told. */
struct machine {
    const char *chardevs;        /* query-chardev */
    const char *peripheral;      /* further children of /machine/peripheral, each beginning with a comma */
    const char *nodes;           /* query-named-block-nodes */
    const char *free_slot;       /* the bus that takes a disk; "": any; NULL: none does */
    bool refuses_node, hangs_up;
    const char *unplug_error, *node_error; /* of device_del and blockdev-del; NULL: obeys */
    char told[512];              /* commands that change something, in order */
};

static struct machine m;
static unsigned ended;
static struct hv_disk_told last;
static struct err last_error;

static void note(const char *what, const char *value)
{
    size_t used = strlen(m.told);

    (void)snprintf(m.told + used, sizeof(m.told) - used, "%s %s;", what, value);
}

static const char *value_of(const char *line, const char *key, char ret[64])
{
    char pattern[64];
    const char *at;

    (void)snprintf(pattern, sizeof(pattern), "\"%s\":\"", key);
    at = strstr(line, pattern);
    ret[0] = '\0';
    if (at)
        (void)sscanf(at + strlen(pattern), "%63[^\"]", ret);
    return ret;
}

static void add_device(struct guest *g, const char *line, unsigned long long id)
{
    char bus[64], text[64];

    assert_non_null(strstr(line, "\"werror\":\"report\""));
    assert_non_null(strstr(line, "\"rerror\":\"report\""));
    assert_int_equal(strstr(line, "\"addr\":\"0\"") != NULL, strncmp(value_of(line, "bus", bus), "rp", 2) == 0);
    if (m.free_slot && strcmp(m.free_slot, bus) == 0) {
        note("device", value_of(line, "serial", text));
        fake_qmp_reply(g->fake, id, "{}");
    } else if (bus[0]) {
        fake_qmp_refuse(g->fake, id, "GenericError", "PCI: slot 0 function 0 not available for virtio-blk-pci, in use");
    } else {
        fake_qmp_refuse(g->fake, id, "GenericError", "Bus 'pcie.0' does not support hotplugging");
    }
}

static void obey(struct guest *g, unsigned long long id, const char *error)
{
    if (error)
        fake_qmp_refuse(g->fake, id, "GenericError", error);
    else
        fake_qmp_reply(g->fake, id, "{}");
}

static bool on_extra(struct guest *g, const char *command, const char *line, unsigned long long id)
{
    char text[1024], value[64];

    if (strcmp(command, "query-chardev") == 0) {
        fake_qmp_reply(g->fake, id, m.chardevs ? m.chardevs : "[]");
    } else if (strcmp(command, "qom-list") == 0) {
        (void)snprintf(text, sizeof(text), "[{\"name\": \"bal\", \"type\": \"child<virtio-balloon-pci>\"}%s]",
                       m.peripheral && !strstr(line, "anon") ? m.peripheral : "");
        fake_qmp_reply(g->fake, id, text);
    } else if (strcmp(command, "query-named-block-nodes") == 0) {
        fake_qmp_reply(g->fake, id, m.nodes ? m.nodes : "[{\"node-name\": \"disk0\"}]");
    } else if (strcmp(command, "blockdev-add") == 0 && m.hangs_up) {
        fake_qmp_hang_up(g->fake);
    } else if (strcmp(command, "blockdev-add") == 0) {
        note(strstr(line, "\"read-only\":false") ? "writable" : "node", value_of(line, "node-name", value));
        obey(g, id, m.refuses_node ? "Failed to connect to '/x/y': Connection refused" : NULL);
    } else if (strcmp(command, "device_add") == 0) {
        add_device(g, line, id);
    } else if (strcmp(command, "device_del") == 0) {
        note("unplug", value_of(line, "id", value));
        obey(g, id, m.unplug_error);
    } else if (strcmp(command, "blockdev-del") == 0) {
        note("delete", value_of(line, "node-name", value));
        obey(g, id, m.node_error);
    } else {
        return false;
    }
    return true;
}

static void on_done(void *user, const struct hv_disk_told *told, const struct err *e)
{
    (void)user;
    last = *told;
    last_error = e ? *e : (struct err){0};
    ended++;
}

static void up(struct world *w)
{
    struct guest *g = &w->guests[0];

    ended = 0;
    if (g->fake)
        return;
    g->extra = on_extra;
    start_guest(w, 0);
    open_driver(w);
    run_until(w, &w->appeared, 1);
}

#define PORT(name) ", {\"name\": \"" name "\", \"type\": \"child<pcie-root-port>\"}"
#define BRIDGE(name) ", {\"name\": \"" name "\", \"type\": \"child<pci-bridge>\"}"
#define DISK(n) ", {\"name\": \"restored-ballast-" n "\", \"type\": \"child<virtio-blk-pci>\"}"
#define NODE(n) "{\"node-name\": \"restored-ballast-" n "\"}"

static const struct {
    const char *name;
    struct machine machine;
    struct hv_disk disk;
    int code;           /* 0: it worked */
    const char *told;   /* what QEMU was told in all */
    const char *text;   /* part of the reason */
} adds[] = {
    {"i440fx takes it", {.free_slot = ""}, {"/x/y", "vda", false}, 0, "node restored-ballast-0;device ballast-0-vda;", ""},
    {"writable, of a long and strange name", {.free_slot = ""}, {"/x/y", "scsi0 0\"0/disk", true}, 0,
     "writable restored-ballast-0;device ballast-0-scsi0_0_0_;", ""},
    {"q35 takes it in the free one of its ports", {.free_slot = "rp2", .peripheral = BRIDGE("br") PORT("rp1") PORT("rp2")},
     {"/x/y", "vda", false}, 0, "node restored-ballast-0;device ballast-0-vda;", ""},
    {"or on a bridge", {.free_slot = "br", .peripheral = BRIDGE("br") PORT("rp1")}, {"/x/y", "vda", false}, 0,
     "node restored-ballast-0;device ballast-0-vda;", ""},
    {"a third one", {.free_slot = "", .peripheral = DISK("1"), .nodes = "[" NODE("0") "]"}, {"/x/y", "vda", false}, 0,
     "node restored-ballast-2;device ballast-2-vda;", ""},
    {"a ninth one", {.free_slot = "", .nodes = "[" NODE("0") "," NODE("1") "," NODE("2") "," NODE("3") "," NODE("4") ","
      NODE("5") "," NODE("6") "," NODE("7") "]"}, {"/x/y", "vda", false}, ENOSPC, "", "8 disks"},
    {"q35 without a port", {0}, {"/x/y", "vda", false}, ENOSPC, "node restored-ballast-0;delete restored-ballast-0;",
     "no free PCI slot"},
    {"a full port", {.peripheral = PORT("rp1")}, {"/x/y", "vda", false}, ENOSPC,
     "node restored-ballast-0;delete restored-ballast-0;", "no free PCI slot"},
    {"nobody serves it", {.free_slot = "", .refuses_node = true}, {"/x/y", "vda", false}, EREMOTEIO,
     "node restored-ballast-0;", "Connection refused"},
    {"libvirt's", {.chardevs = "[{\"label\": \"charmonitor\", \"filename\": "
      "\"unix:/var/lib/libvirt/qemu/domain-1-a/monitor.sock,server=on\"}]"}, {"/x/y", "vda", false}, EPERM, "", "libvirt's"},
    {"it hangs up", {.hangs_up = true}, {"/x/y", "vda", false}, ECANCELED, "", "ended before"},
};

static void check_end(const char *name, int code, const char *told, const char *text)
{
    if (last_error.code != code || strcmp(m.told, told) != 0 || !strstr(last_error.text, text))
        fail_msg("%s: code %d, told '%s', text '%s'", name, last_error.code, m.told, last_error.text);
}

static void every_add(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    for (size_t i = 0; i < sizeof(adds) / sizeof(adds[0]); i++) {
        m = adds[i].machine;
        up(w);
        assert_int_equal(hv_disk_add(w->vms[0], &adds[i].disk, on_done, NULL, &e), 0);
        assert_int_equal(ended, 0); /* never from inside the call */
        run_until(w, &ended, 1);
        check_end(adds[i].name, adds[i].code, adds[i].told, adds[i].text);
        assert_int_equal(last.serial[0] != '\0', adds[i].code == 0);
    }
}

#define USED "Node restored-ballast-1 is in use"

static const struct {
    const char *name;
    struct machine machine;
    const char *id;
    int code;
    const char *told, *ret_id;
    bool is_left;
} removals[] = {
    {"there is none", {0}, NULL, 0, "", "", false},
    {"the one there is", {.peripheral = DISK("1"), .nodes = "[" NODE("1") "]"}, NULL, 0,
     "unplug restored-ballast-1;delete restored-ballast-1;", "restored-ballast-1", false},
    {"that one", {.peripheral = DISK("1") DISK("3"), .nodes = "[" NODE("1") "," NODE("3") "]"}, "restored-ballast-3", 0,
     "unplug restored-ballast-3;delete restored-ballast-3;", "restored-ballast-3", false},
    {"the guest takes its time", {.peripheral = DISK("1"), .node_error = USED}, NULL, 0,
     "unplug restored-ballast-1;delete restored-ballast-1;", "restored-ballast-1", true},
    {"asked again", {.peripheral = DISK("1"), .unplug_error = "Device restored-ballast-1 is already in the process of unplug",
      .node_error = USED}, "restored-ballast-1", 0, "unplug restored-ballast-1;delete restored-ballast-1;",
     "restored-ballast-1", true},
    {"only its node is left", {.nodes = "[" NODE("2") "]"}, NULL, 0, "delete restored-ballast-2;", "restored-ballast-2", false},
    {"gone meanwhile", {.node_error = "Failed to find node with node-name='restored-ballast-2'"}, "restored-ballast-2", 0,
     "delete restored-ballast-2;", "restored-ballast-2", false},
    {"refused", {.peripheral = DISK("1"), .unplug_error = "Bus 'x' does not support hotplugging"}, NULL, EREMOTEIO,
     "unplug restored-ballast-1;", "restored-ballast-1", false},
};

static void every_removal(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    for (size_t i = 0; i < sizeof(removals) / sizeof(removals[0]); i++) {
        m = removals[i].machine;
        up(w);
        assert_int_equal(hv_disk_remove(w->vms[0], removals[i].id, on_done, NULL, &e), 0);
        run_until(w, &ended, 1);
        check_end(removals[i].name, removals[i].code, removals[i].told, "");
        assert_string_equal(last.id, removals[i].ret_id);
        assert_int_equal(last.is_left, removals[i].is_left);
    }
}

static void refused_at_once(void **state)
{
    static const char *const names[] = {"vda", "restored-ballast-", "restored-ballast-8", "restored-ballast-0x", ""};
    const struct hv_disk disk = {"/x/y", "vda", false}, relative = {"x", "vda", false};
    struct world *w = *state;
    struct err e = {0};

    m = (struct machine){.free_slot = ""};
    up(w);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(hv_disk_remove(w->vms[0], names[i], on_done, NULL, &e), -EINVAL); /* no disk but ours is taken */
    assert_int_equal(hv_disk_add(w->vms[0], &relative, on_done, NULL, &e), -EINVAL);
    assert_int_equal(hv_disk_add(w->vms[0], &disk, on_done, NULL, &e), 0);
    assert_int_equal(hv_disk_add(w->vms[0], &disk, on_done, NULL, &e), -EBUSY);
    assert_int_equal(hv_disk_remove(w->vms[0], NULL, on_done, NULL, &e), -EBUSY);
    w->hv = hv_close(w->hv); /* and one under way ends with the driver */
    assert_int_equal(ended, 1);
    assert_int_equal(last_error.code, ECANCELED);
}

static void not_beside_a_backup(void **state)
{
    const struct hv_backup_listener listener = {0};
    const struct hv_disk disk = {"/x/y", "vda", false};
    struct hv_backup_sockets sockets;
    struct world *w = *state;
    struct err e = {0};

    m = (struct machine){.free_slot = ""};
    up(w);
    assert_int_equal(w->hv->ops->backup->begin(w->hv, w->vms[0], &listener, &sockets, &e), 0);
    assert_int_equal(hv_disk_add(w->vms[0], &disk, on_done, NULL, &e), -EBUSY);
    w->hv->ops->backup->freeze(w->hv, w->vms[0], true);
    assert_int_equal(hv_disk_remove(w->vms[0], NULL, on_done, NULL, &e), -EBUSY);
    w->hv->ops->backup->end(w->hv, w->vms[0]);
    assert_int_equal(hv_disk_add(w->vms[0], &disk, on_done, NULL, &e), 0);
    run_until(w, &ended, 1);
}

static void a_shared_monitor_is_left_alone(void **state)
{
    const struct hv_disk disk = {"/x/y", "vda", false};
    struct world *w = *state;
    struct err e = {0};

    start_guest(w, 0);
    open_shared(w);
    run_until(w, &w->appeared, 1);
    assert_int_equal(hv_disk_add(w->vms[0], &disk, on_done, NULL, &e), -ENOTSUP);
    assert_non_null(strstr(e.text, "access: share"));
}

#define WORLD(f) cmocka_unit_test_setup_teardown(f, setup_world, teardown_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(every_add),
        WORLD(every_removal),
        WORLD(refused_at_once),
        WORLD(not_beside_a_backup),
        WORLD(a_shared_monitor_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
