/* SPDX-License-Identifier: Apache-2.0 */
#include "hv_qmp_guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "hv_qmp.h"
#include "qmp_message.h"

/* `ballast attach`: a running guest gets the agent's port, one command after the other; what was done for a port that
 * could not be made is undone. */

#define PORT_NAME "org.ballast.agent.0"
#define CHARDEV_ID "ballast-agent"
#define DEVICE_ID "ballast-agent-port"
#define CONTROLLER_ID "ballast-serial"

/* Looked through, at most: QEMU's own limit is 31 ports a controller. */
#define PORTS_MAX 32
#define SLOTS_MAX 32
#define CHILD_SIZE QMP_BUS_SIZE

struct qmp_port {
    struct qmp_guest *guest;
    hv_attach_fn *done;
    void *user;
    char ports[PORTS_MAX][QMP_PATH_SIZE]; /* virtio-serial ports it has */
    size_t ports_n, port;
    char slots[SLOTS_MAX][CHILD_SIZE]; /* buses that may take a controller; "" is QEMU's choice */
    size_t slots_n, slot, ports_end; /* those before ports_end, but for the first one, are PCI Express ports */
    char label[CHILD_SIZE]; /* of the port's chardev, where it has one already */
    bool left_over;         /* our chardev is there, of an earlier try */
    bool has_chardev, has_controller; /* ours, made now */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    struct err failed;
};

/* ---- the end ---- */

static void port_options(const struct qmp_guest *g, const char *path, struct hv_attached *ret)
{
    (void)snprintf(ret->path, sizeof(ret->path), "%s", path);
    (void)snprintf(ret->options, sizeof(ret->options),
                   "-device virtio-serial-pci -chardev socket,id=agent,path=%s,server=on,wait=off "
                   "-device virtserialport,chardev=agent,name=" PORT_NAME,
                   path[0] ? path : "/run/ballast/guests/NAME.agent");
    (void)g;
}

static void port_finish(struct qmp_port *p, bool was_there)
{
    struct qmp_guest *g = p->guest;
    struct hv_attached told = {.was_there = was_there};

    port_options(g, p->path[0] ? p->path : g->agent_path, &told);
    g->port = NULL;
    if (!p->failed.code) {
        (void)snprintf(g->agent_path, sizeof(g->agent_path), "%s", told.path);
        g->port_given = g->port_given || !was_there;
        qmp_guest_agent_start(g); /* it is heard from now on */
    }
    p->done(p->user, &told, p->failed.code ? &p->failed : NULL);
    free(p);
}

/* ---- commands ---- */

static void port_call(struct qmp_port *p, const char *command, struct json_object *arguments, qmp_reply_fn *next)
{
    struct err e = {0};
    int r = qmp_client_call(p->guest->client, command,
                            arguments ? json_object_to_json_string_ext(arguments, JSON_C_TO_STRING_PLAIN) : NULL, next, p,
                            &e);

    (void)json_object_put(arguments);
    if (r == 0)
        return;
    if (!p->failed.code)
        p->failed = e;
    port_finish(p, /* was_there= */ false);
}

struct json_object *qmp_with(struct json_object *object, const char *key, struct json_object *value)
{
    (void)json_object_object_add(object, key, value); /* no memory: QEMU refuses what lacks it */
    return object;
}

struct json_object *qmp_with_text(struct json_object *object, const char *key, const char *value)
{
    return qmp_with(object, key, json_object_new_string(value));
}

static void port_fail(struct qmp_port *p, const struct err *e)
{
    if (!p->failed.code)
        p->failed = *e;
}

/* ---- undoing ---- */

static void on_chardev_removed(void *user, struct json_object *value, const struct err *e)
{
    (void)value;
    (void)e; /* a socket nobody uses is left: harmless, and the next try removes it */
    port_finish(user, /* was_there= */ false);
}

static void undo_chardev(struct qmp_port *p)
{
    if (p->has_chardev)
        port_call(p, "chardev-remove", qmp_with_text(json_object_new_object(), "id", CHARDEV_ID), on_chardev_removed);
    else
        port_finish(p, /* was_there= */ false);
}

static void on_controller_removed(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_port *p = user;
    struct err old = p->failed;

    (void)value;
    if (e)
        (void)err_set(&p->failed, old.code, "%.400s (an empty virtio-serial controller stays until it is shut down)", old.text);
    undo_chardev(p);
}

static void undo(struct qmp_port *p)
{
    if (p->has_controller)
        port_call(p, "device_del", qmp_with_text(json_object_new_object(), "id", CONTROLLER_ID), on_controller_removed);
    else
        undo_chardev(p);
}

/* ---- doing ---- */

static void add_device(struct qmp_port *p);

static bool is_lack_of(const struct err *e, const char *what)
{
    return e->code == EREMOTEIO && strstr(e->text, what);
}

static void on_controller(void *user, struct json_object *value, const struct err *e);

static void add_controller(struct qmp_port *p)
{
    struct json_object *arguments = qmp_with_text(qmp_with_text(json_object_new_object(), "driver", "virtio-serial"), "id", CONTROLLER_ID);

    if (p->slots[p->slot][0])
        arguments = qmp_with_text(arguments, "bus", p->slots[p->slot]);
    if (p->slot > 0 && p->slot < p->ports_end)
        arguments = qmp_with_text(arguments, "addr", QMP_BUS_PORT_SLOT);
    port_call(p, "device_add", arguments, on_controller);
}

static void on_controller(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_port *p = user;

    (void)value;
    if (!e) {
        p->has_controller = true;
        add_device(p);
        return;
    }
    if (e->code == EREMOTEIO && p->slot + 1 < p->slots_n) {
        p->slot++;
        add_controller(p);
        return;
    }
    if (is_lack_of(e, "hotplugging") || is_lack_of(e, "not available"))
        (void)err_set(&p->failed, ENOSPC, "guest '%s' has no virtio-serial controller, and no free PCI slot that takes one "
                      "while it runs (q35 needs a free pcie-root-port; QEMU says: %.120s)", p->guest->vm.name, e->text);
    else
        port_fail(p, e);
    undo(p);
}

static void on_device(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_port *p = user;

    (void)value;
    if (!e) {
        port_finish(p, /* was_there= */ false);
    } else if (!p->has_controller && is_lack_of(e, "virtio-serial-bus")) {
        add_controller(p); /* it has none; the port comes after it */
    } else {
        port_fail(p, e);
        undo(p);
    }
}

static void add_device(struct qmp_port *p)
{
    struct json_object *arguments = json_object_new_object();

    arguments = qmp_with_text(qmp_with_text(arguments, "driver", "virtserialport"), "id", DEVICE_ID);
    arguments = qmp_with_text(qmp_with_text(arguments, "chardev", CHARDEV_ID), "name", PORT_NAME);
    port_call(p, "device_add", arguments, on_device);
}

static void on_chardev(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_port *p = user;

    (void)value;
    if (e) {
        port_fail(p, e);
        undo(p);
        return;
    }
    p->has_chardev = true;
    add_device(p);
}

static void add_chardev(struct qmp_port *p)
{
    struct json_object *address = json_object_new_object(), *data = json_object_new_object();
    struct json_object *backend = json_object_new_object(), *arguments = json_object_new_object();

    address = qmp_with_text(address, "type", "unix");
    address = qmp_with(address, "data", qmp_with_text(json_object_new_object(), "path", p->path));
    data = qmp_with(data, "addr", address);
    data = qmp_with(data, "server", json_object_new_boolean(true));
    data = qmp_with(data, "wait", json_object_new_boolean(false));
    backend = qmp_with(qmp_with_text(backend, "type", "socket"), "data", data);
    arguments = qmp_with(qmp_with_text(arguments, "id", CHARDEV_ID), "backend", backend);
    port_call(p, "chardev-add", arguments, on_chardev);
}

static void on_left_over_removed(void *user, struct json_object *value, const struct err *e)
{
    (void)value;
    (void)e; /* then adding it says why it can't be */
    add_chardev(user);
}

/* ---- looking ---- */

/* "unix:PATH,server=on", before it "disconnected:" */
static bool socket_of(const char *filename, char *ret, size_t size)
{
    const char *from = strstr(filename, "unix:");
    size_t len;

    if (!from)
        return false;
    from += strlen("unix:");
    len = strcspn(from, ",");
    if (len == 0 || len >= size || from[0] != '/')
        return false;
    memcpy(ret, from, len);
    ret[len] = '\0';
    return true;
}

/* Where the port that is there leads to. */
static void on_where(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_port *p = user;

    if (e)
        port_fail(p, e);
    else if (!qmp_answer_chardev(value, p->label, socket_of, p->path, sizeof(p->path)))
        (void)err_set(&p->failed, EEXIST, "guest '%s' has the agent's port already, but it leads to no unix socket: give it "
                      "one in the guest's command line or definition", p->guest->vm.name);
    port_finish(p, /* was_there= */ true);
}

static void on_label(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_port *p = user;

    if (e || !value || !json_object_is_type(value, json_type_string)) {
        (void)err_set(&p->failed, EEXIST, "guest '%s' has the agent's port already, but QEMU does not tell its socket",
                      p->guest->vm.name);
        port_finish(p, /* was_there= */ true);
        return;
    }
    qmp_copy_printable(p->label, sizeof(p->label), json_object_get_string(value));
    port_call(p, "query-chardev", NULL, on_where);
}

static void look_at_port(struct qmp_port *p);

static struct json_object *property(const struct qmp_port *p, const char *name)
{
    return qmp_with_text(qmp_with_text(json_object_new_object(), "path", p->ports[p->port]), "property", name);
}

static void on_name(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_port *p = user;

    if (e && e->code == ECANCELED) {
        port_fail(p, e);
        port_finish(p, /* was_there= */ false);
    } else if (!e && value && json_object_is_type(value, json_type_string) &&
               strcmp(json_object_get_string(value), PORT_NAME) == 0) {
        port_call(p, "qom-get", property(p, "chardev"), on_label);
    } else {
        p->port++;
        look_at_port(p);
    }
}

static void look_at_port(struct qmp_port *p)
{
    if (p->port < p->ports_n)
        port_call(p, "qom-get", property(p, "name"), on_name);
    else if (p->left_over)
        port_call(p, "chardev-remove", qmp_with_text(json_object_new_object(), "id", CHARDEV_ID), on_left_over_removed);
    else
        add_chardev(p);
}

size_t qmp_buses(struct json_object *answer, char ret[][QMP_BUS_SIZE], size_t cap, size_t *ret_ports)
{
    static const char *const takes_devices[] = {"child<pcie-root-port", "child<ioh3420", "child<xio3130-downstream",
                                                "child<pcie-pci-bridge", "child<pci-bridge"};
    const size_t port_kinds = 3;
    size_t n = 0;

    *ret_ports = 0;
    for (size_t i = 0; i < sizeof(takes_devices) / sizeof(takes_devices[0]); i++) {
        for (size_t at = 0; n < cap && qmp_answer_child_from(answer, takes_devices[i], &at, ret[n], QMP_BUS_SIZE);)
            n++;
        if (i < port_kinds)
            *ret_ports = n;
    }
    return n;
}

static void see_ports(struct qmp_port *p, const char *parent, struct json_object *value)
{
    char name[CHILD_SIZE];

    for (size_t at = 0; p->ports_n < PORTS_MAX && qmp_answer_child_from(value, "child<virtserialport", &at, name, sizeof(name));)
        (void)snprintf(p->ports[p->ports_n++], QMP_PATH_SIZE, "%s/%s", parent, name); /* fits: the lengths are limited */
}

static void on_anonymous(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_port *p = user;

    if (e) {
        port_fail(p, e);
        port_finish(p, /* was_there= */ false);
        return;
    }
    see_ports(p, "/machine/peripheral-anon", value); /* a bus needs a name to be given something: no slots there */
    look_at_port(p);
}

static void on_peripheral(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_port *p = user;

    if (e) {
        port_fail(p, e);
        port_finish(p, /* was_there= */ false);
        return;
    }
    see_ports(p, "/machine/peripheral", value);
    p->slots_n += qmp_buses(value, p->slots + 1, SLOTS_MAX - 1, &p->ports_end);
    p->ports_end++;
    port_call(p, "qom-list", qmp_with_text(json_object_new_object(), "path", "/machine/peripheral-anon"), on_anonymous);
}

static bool is_libvirts(const char *filename, char *ret, size_t size)
{
    (void)ret;
    (void)size;
    return strstr(filename, "/libvirt/qemu/") != NULL;
}

bool qmp_is_libvirts(struct json_object *chardevs)
{
    return qmp_answer_chardev(chardevs, NULL, is_libvirts, NULL, 0);
}

static bool is_any(const char *filename, char *ret, size_t size)
{
    (void)filename;
    (void)ret;
    (void)size;
    return true;
}

static void on_chardevs(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_port *p = user;
    const char *name = p->guest->vm.name;

    if (e) {
        port_fail(p, e);
    } else if (qmp_is_libvirts(value)) {
        (void)err_set(&p->failed, EPERM,
                      "guest '%s' is libvirt's, which must know of all its devices: put <channel type='unix'><source "
                      "mode='bind' path='%s'/><target type='virtio' name='" PORT_NAME "'/></channel> into agent.xml, then: "
                      "virsh attach-device %s agent.xml --live --config", name, p->guest->agent_path, name);
    } else {
        p->left_over = qmp_answer_chardev(value, CHARDEV_ID, is_any, NULL, 0);
        port_call(p, "qom-list", qmp_with_text(json_object_new_object(), "path", "/machine/peripheral"), on_peripheral);
        return;
    }
    port_finish(p, /* was_there= */ false);
}

int qmp_guest_attach(struct qmp_guest *g, hv_attach_fn *done, void *user, struct err *e)
{
    struct qmp_port *p;

    if (g->share.on)
        return err_set(e, ENOTSUP, "the monitor of guest '%s' is shared (access: share): what else uses it must know of its "
                       "devices; add the port there, or give ballast a monitor of its own", g->vm.name);
    if (!g->attached)
        return err_set(e, ENOTCONN, "no connection to the monitor of guest '%s'", g->vm.name);
    if (g->port)
        return err_set(e, EBUSY, "guest '%s' is being given the agent's port already", g->vm.name);
    if (!g->agent_path[0])
        return err_set(e, ENAMETOOLONG, "the path of the monitor of guest '%s' leaves no room for a socket beside it: name "
                       "one with 'agent:' in its entry of ballast.yaml", g->vm.name);
    p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(e, ENOMEM, "no memory to give guest '%s' the agent's port", g->vm.name);
    *p = (struct qmp_port){.guest = g, .done = done, .user = user, .slots_n = 1};
    memcpy(p->path, g->agent_path, sizeof(p->path));
    if (qmp_client_call(g->client, "query-chardev", NULL, on_chardevs, p, e) < 0) {
        free(p);
        return -e->code;
    }
    g->port = p;
    return 0;
}

/* ---- after another QEMU took its place ---- */

static void on_chardevs_again(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_guest *g = user;
    struct hv_attached told = {0};
    char path[sizeof(g->agent_path)];

    if (e || !g->known)
        return;
    for (size_t at = 0; qmp_answer_chardev_from(value, &at, socket_of, path, sizeof(path));)
        if (strcmp(path, g->agent_path) == 0)
            return; /* its command line has it now */
    port_options(g, g->agent_path, &told);
    qmp_guest_trouble(g, QMP_CAUSE_PORT_GONE, ENODEV,
                      "guest '%s': the port that 'ballast attach' gave it went with its QEMU; repeat ballast attach %s, or "
                      "start its QEMU with %s", g->vm.name, g->vm.name, told.options);
}

void qmp_guest_port_missed(struct qmp_guest *g)
{
    struct err e = {0};

    if (!g->port_given)
        return;
    g->port_given = false;
    (void)qmp_client_call(g->client, "query-chardev", NULL, on_chardevs_again, g, &e); /* only to inform people */
}
