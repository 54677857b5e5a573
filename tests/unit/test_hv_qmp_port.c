/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture_hv_qmp.h"

/* `ballast attach` against a played QEMU: what is asked of it, what is undone, and what is said where it can't be. */

/* The devices of this QEMU, what it refuses, and what it was told. */
struct machine {
    const char *chardevs;     /* query-chardev */
    const char *peripheral;   /* further children of /machine/peripheral, each beginning with a comma */
    const char *anonymous;    /* children of peripheral-anon */
    const char *port_name;    /* of the ports it has; NULL: another's */
    bool has_bus;             /* a virtio-serial controller */
    const char *free_slot;    /* the bus that takes a controller; "": any; NULL: none does */
    bool refuses_chardev, refuses_port, hangs_up;
    char told[512];           /* commands that change something, in order */
};

static struct machine m;
static unsigned ended;
static struct hv_attached last;
static struct err last_error;

static void note(const char *what)
{
    size_t used = strlen(m.told);

    (void)snprintf(m.told + used, sizeof(m.told) - used, "%s;", what);
}

static void add_device(struct guest *g, const char *line, unsigned long long id)
{
    char bus[64] = "", text[96];
    const char *at = strstr(line, "\"bus\":\"");

    if (at)
        (void)sscanf(at, "\"bus\":\"%63[^\"]", bus);
    if (strstr(line, "virtserialport") && !m.has_bus) {
        fake_qmp_refuse(g->fake, id, "GenericError", "No 'virtio-serial-bus' bus found for device 'virtserialport'");
    } else if (strstr(line, "virtserialport") && m.refuses_port) {
        fake_qmp_refuse(g->fake, id, "GenericError", "Maximum ports supported: 31");
    } else if (strstr(line, "virtserialport")) {
        note("port");
        fake_qmp_reply(g->fake, id, "{}");
    } else if (m.free_slot && strcmp(m.free_slot, bus) == 0) {
        m.has_bus = true;
        (void)snprintf(text, sizeof(text), "controller %s", bus);
        note(text);
        fake_qmp_reply(g->fake, id, "{}");
    } else if (bus[0]) {
        fake_qmp_refuse(g->fake, id, "GenericError", "PCI: slot 0 function 0 not available for virtio-serial-pci, in use");
    } else {
        fake_qmp_refuse(g->fake, id, "GenericError", "Bus 'pcie.0' does not support hotplugging");
    }
}

static void list_children(struct guest *g, const char *line, unsigned long long id)
{
    char text[1024];

    if (strstr(line, "peripheral-anon"))
        (void)snprintf(text, sizeof(text), "[%s]", m.anonymous ? m.anonymous : "");
    else
        (void)snprintf(text, sizeof(text), "[{\"name\": \"bal\", \"type\": \"child<virtio-balloon-pci>\"}%s]",
                       m.peripheral ? m.peripheral : "");
    fake_qmp_reply(g->fake, id, text);
}

static bool on_extra(struct guest *g, const char *command, const char *line, unsigned long long id)
{
    char text[128];

    if (strcmp(command, "query-chardev") == 0) {
        fake_qmp_reply(g->fake, id, m.chardevs ? m.chardevs : "[]");
    } else if (strcmp(command, "qom-list") == 0) {
        list_children(g, line, id);
    } else if (strstr(line, "\"property\":\"name\"")) {
        (void)snprintf(text, sizeof(text), "\"%s\"", m.port_name ? m.port_name : "com.example.0");
        fake_qmp_reply(g->fake, id, text);
    } else if (strstr(line, "\"property\":\"chardev\"")) {
        fake_qmp_reply(g->fake, id, "\"chan1\"");
    } else if (strcmp(command, "chardev-add") == 0 && m.hangs_up) {
        fake_qmp_hang_up(g->fake);
    } else if (strcmp(command, "chardev-add") == 0 && m.refuses_chardev) {
        fake_qmp_refuse(g->fake, id, "GenericError", "Failed to bind socket: Permission denied");
    } else if (strcmp(command, "chardev-add") == 0) {
        assert_non_null(strstr(line, "\"server\":true"));
        assert_non_null(strstr(line, "\"wait\":false"));
        note("chardev");
        fake_qmp_reply(g->fake, id, "{}");
    } else if (strcmp(command, "device_add") == 0) {
        add_device(g, line, id);
    } else if (strcmp(command, "chardev-remove") == 0 || strcmp(command, "device_del") == 0) {
        note(command);
        fake_qmp_reply(g->fake, id, "{}");
    } else {
        return false;
    }
    return true;
}

static void on_attached(void *user, const struct hv_attached *told, const struct err *e)
{
    (void)user;
    last = *told;
    last_error = e ? *e : (struct err){0};
    ended++;
}

static void attach(struct world *w)
{
    struct guest *g = &w->guests[0];
    struct err e = {0};

    ended = 0;
    if (!g->fake) {
        g->extra = on_extra;
        start_guest(w, 0);
        open_driver(w);
        run_until(w, &w->appeared, 1);
    }
    assert_int_equal(hv_attach(w->vms[0], on_attached, NULL, &e), 0);
    assert_int_equal(ended, 0); /* never from inside the call */
    run_until(w, &ended, 1);
    assert_non_null(strstr(last.options, "virtserialport,chardev=agent,name=org.ballast.agent.0"));
}

#define PORT(name) ", {\"name\": \"" name "\", \"type\": \"child<virtserialport>\"}"
#define ROOT_PORT(name) ", {\"name\": \"" name "\", \"type\": \"child<pcie-root-port>\"}"

static const struct {
    const char *name;
    struct machine machine;
    int code;          /* 0: it worked */
    bool was_there;
    const char *path;  /* NULL: beside the monitor */
    const char *told;  /* what QEMU was told in all */
    const char *text;  /* part of the reason */
} cases[] = {
    {"a controller is there", {.has_bus = true, .peripheral = PORT("p1"), .anonymous = "{\"name\": \"device[0]\", "
     "\"type\": \"child<virtserialport>\"}"}, 0, false, NULL, "chardev;port;", ""},
    {"i440fx takes a controller", {.free_slot = ""}, 0, false, NULL, "chardev;controller ;port;", ""},
    {"q35 takes it in the free one of its root ports", {.free_slot = "rp2", .peripheral = ROOT_PORT("rp1") ROOT_PORT("rp2")},
     0, false, NULL, "chardev;controller rp2;port;", ""},
    {"q35 without root port", {0}, ENOSPC, false, NULL, "chardev;chardev-remove;", "no free PCI slot"},
    {"q35 with full root ports", {.peripheral = ROOT_PORT("rp1")}, ENOSPC, false, NULL, "chardev;chardev-remove;",
     "free pcie-root-port"},
    {"a full controller", {.has_bus = true, .refuses_port = true}, EREMOTEIO, false, NULL, "chardev;chardev-remove;",
     "Maximum ports"},
    {"a new controller that is of no use goes again", {.free_slot = "", .refuses_port = true}, EREMOTEIO, false, NULL,
     "chardev;controller ;device_del;chardev-remove;", "Maximum ports"},
    {"QEMU may not write there", {.has_bus = true, .refuses_chardev = true}, EREMOTEIO, false, NULL, "",
     "Permission denied"},
    {"it has the port already",
     {.port_name = "org.ballast.agent.0", .peripheral = PORT("p1"),
      .chardevs = "[{\"label\": \"chan1\", \"filename\": \"disconnected:unix:/x/y.agent,server=on\"}]"},
     0, true, "/x/y.agent", "", ""},
    {"that leads nowhere",
     {.port_name = "org.ballast.agent.0", .peripheral = PORT("p1"), .chardevs = "[{\"label\": \"chan1\", \"filename\": \"pty\"}]"},
     EEXIST, true, NULL, "", "leads to no unix socket"},
    {"libvirt's",
     {.has_bus = true, .chardevs = "[{\"label\": \"charmonitor\", \"filename\": "
      "\"unix:/var/lib/libvirt/qemu/domain-1-a/monitor.sock,server=on\"}]"},
     EPERM, false, NULL, "", "virsh attach-device a agent.xml --live --config"},
    {"left over from an earlier try",
     {.has_bus = true, .chardevs = "[{\"label\": \"ballast-agent\", \"filename\": \"disconnected:unix:/x,server=on\"}]"},
     0, false, NULL, "chardev-remove;chardev;port;", ""},
    {"it hangs up", {.has_bus = true, .hangs_up = true}, ECANCELED, false, NULL, "", "ended before"},
};

static void every_case(void **state)
{
    struct world *w = *state;
    char path[128];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        m = cases[i].machine;
        attach(w);
        (void)snprintf(path, sizeof(path), "%s/a.agent", w->directory);
        if (last_error.code != cases[i].code || last.was_there != cases[i].was_there ||
            strcmp(m.told, cases[i].told) != 0 || !strstr(last_error.text, cases[i].text))
            fail_msg("%s: code %d, there %d, told '%s', text '%s'", cases[i].name, last_error.code, last.was_there, m.told,
                     last_error.text);
        assert_string_equal(last.path, cases[i].path ? cases[i].path : path);
        if (cases[i].path) { /* the driver took over that socket: begin anew */
            teardown_world(state);
            setup_world(state);
            w = *state;
        }
    }
}

static void one_at_a_time(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    m = (struct machine){.has_bus = true};
    attach(w);
    ended = 0;
    assert_int_equal(hv_attach(w->vms[0], on_attached, NULL, &e), 0);
    assert_int_equal(hv_attach(w->vms[0], on_attached, NULL, &e), -EBUSY);
    w->hv = hv_close(w->hv); /* and one under way ends with the driver */
    assert_int_equal(ended, 1);
    assert_int_equal(last_error.code, ECANCELED);
}

static void a_shared_monitor_is_left_alone(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    start_guest(w, 0);
    open_shared(w);
    run_until(w, &w->appeared, 1);
    assert_int_equal(hv_attach(w->vms[0], on_attached, NULL, &e), -ENOTSUP);
    assert_non_null(strstr(e.text, "access: share"));
}

#define WORLD(f) cmocka_unit_test_setup_teardown(f, setup_world, teardown_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(every_case),
        WORLD(one_at_a_time),
        WORLD(a_shared_monitor_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
