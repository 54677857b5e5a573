/* SPDX-License-Identifier: Apache-2.0 */
#include "hv_qmp_guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "hv_qmp.h"
#include "qmp_message.h"

/* `ballast backup attach`: a running guest gets a disk of a point as a virtio-blk disk, and gives it back. One command after
 * the other; what was done for a disk that could not be plugged is undone. */

/* Tried in this order, at most. */
#define BUSES_MAX 32

/* QEMU stands still while it connects: the server was heard before, so this only ends what goes wrong in between. */
#define OPEN_TIMEOUT_SEC 2

#define SERIAL_NAME_MAX 10 /* of "ballast-7-NAME" */

struct qmp_disk {
    struct qmp_guest *guest;
    hv_disk_fn *done;
    void *user;
    struct hv_disk_told told;
    struct err failed;

    /* adding */
    char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char name[SERIAL_NAME_MAX + 1];
    bool writable;
    bool used[HV_DISKS_MAX];
    char buses[BUSES_MAX][QMP_BUS_SIZE]; /* "" is QEMU's choice */
    size_t buses_n, bus, ports_end; /* those before ports_end, but for the first one, are PCI Express ports */

    /* removing */
    bool any;
    bool is_plugged;
};

/* ---- the end ---- */

static void finish(struct qmp_disk *d)
{
    d->guest->disk = NULL;
    if (d->failed.code)
        d->told.serial[0] = '\0';
    d->done(d->user, &d->told, d->failed.code ? &d->failed : NULL);
    free(d);
}

static void fail(struct qmp_disk *d, const struct err *e)
{
    if (!d->failed.code)
        d->failed = *e;
    finish(d);
}

static void call(struct qmp_disk *d, const char *command, struct json_object *arguments, qmp_reply_fn *next)
{
    struct err e = {0};
    int r = qmp_client_call(d->guest->client, command,
                            arguments ? json_object_to_json_string_ext(arguments, JSON_C_TO_STRING_PLAIN) : NULL, next, d,
                            &e);

    (void)json_object_put(arguments);
    if (r < 0)
        fail(d, &e);
}

static bool says(const struct err *e, const char *what)
{
    return e->code == EREMOTEIO && strstr(e->text, what);
}

static struct json_object *one(const char *key, const char *value)
{
    return qmp_with_text(json_object_new_object(), key, value);
}

/* The number of a name that is ours; HV_DISKS_MAX: it is not. */
static size_t number_of(const char *name)
{
    const size_t len = strlen(HV_DISK_PREFIX);

    if (strncmp(name, HV_DISK_PREFIX, len) != 0 || name[len] < '0' || name[len] >= '0' + HV_DISKS_MAX || name[len + 1])
        return HV_DISKS_MAX;
    return (size_t)(name[len] - '0');
}

/* ---- adding ---- */

static void on_undone(void *user, struct json_object *value, const struct err *e)
{
    (void)value;
    (void)e; /* a node that no device uses: the next one takes another number, and `detach` removes it */
    finish(user);
}

static void on_device(void *user, struct json_object *value, const struct err *e);

static void add_device(struct qmp_disk *d)
{
    struct json_object *arguments = qmp_with_text(one("driver", "virtio-blk"), "id", d->told.id);

    arguments = qmp_with_text(qmp_with_text(arguments, "drive", d->told.id), "serial", d->told.serial);
    /* An error is the guest's to see; QEMU's default would stop it where the overlay is full. */
    arguments = qmp_with_text(qmp_with_text(arguments, "rerror", "report"), "werror", "report");
    if (d->buses[d->bus][0])
        arguments = qmp_with_text(arguments, "bus", d->buses[d->bus]);
    if (d->bus > 0 && d->bus < d->ports_end)
        arguments = qmp_with_text(arguments, "addr", QMP_BUS_PORT_SLOT);
    call(d, "device_add", arguments, on_device);
}

static void on_device(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_disk *d = user;

    (void)value;
    if (!e) {
        finish(d);
        return;
    }
    if (e->code == EREMOTEIO && d->bus + 1 < d->buses_n) {
        d->bus++;
        add_device(d);
        return;
    }
    if (says(e, "hotplugging") || says(e, "not available") || says(e, "no slot"))
        (void)err_set(&d->failed, ENOSPC, "guest '%s' has no free PCI slot that takes a disk while it runs (QEMU says: %.120s)",
                      d->guest->vm.name, e->text);
    else
        d->failed = *e;
    call(d, "blockdev-del", one("node-name", d->told.id), on_undone);
}

static void on_node(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_disk *d = user;

    (void)value;
    if (e)
        fail(d, e);
    else
        add_device(d);
}

static void add_node(struct qmp_disk *d)
{
    struct json_object *server = qmp_with_text(one("type", "unix"), "path", d->socket);
    struct json_object *arguments = qmp_with_text(one("driver", "nbd"), "node-name", d->told.id);

    arguments = qmp_with(arguments, "server", server);
    arguments = qmp_with(arguments, "read-only", json_object_new_boolean(!d->writable));
    arguments = qmp_with(arguments, "open-timeout", json_object_new_int(OPEN_TIMEOUT_SEC));
    call(d, "blockdev-add", arguments, on_node);
}

static void see_nodes(struct qmp_disk *d, struct json_object *value)
{
    const char *name;

    for (size_t i = 0; json_object_is_type(value, json_type_array) && i < json_object_array_length(value); i++)
        if (qmp_get_string(json_object_array_get_idx(value, i), "node-name", &name) && number_of(name) < HV_DISKS_MAX)
            d->used[number_of(name)] = true;
}

static void on_nodes(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_disk *d = user;
    size_t n = 0;

    if (e) {
        fail(d, e);
        return;
    }
    see_nodes(d, value);
    while (n < HV_DISKS_MAX && d->used[n])
        n++;
    if (n == HV_DISKS_MAX) {
        (void)err_set(&d->failed, ENOSPC, "guest '%s' has %d disks of backups already", d->guest->vm.name, HV_DISKS_MAX);
        finish(d);
        return;
    }
    (void)snprintf(d->told.id, sizeof(d->told.id), HV_DISK_PREFIX "%zu", n);
    (void)snprintf(d->told.serial, sizeof(d->told.serial), "ballast-%zu-%s", n, d->name);
    add_node(d);
}

static void see_peripheral(struct qmp_disk *d, struct json_object *value)
{
    char name[QMP_BUS_SIZE];

    for (size_t at = 0; qmp_answer_child_from(value, "child<virtio-blk", &at, name, sizeof(name));) {
        size_t n = number_of(name);

        if (n == HV_DISKS_MAX)
            continue;
        d->used[n] = true;
        if (d->any && !d->told.id[0])
            (void)snprintf(d->told.id, sizeof(d->told.id), HV_DISK_PREFIX "%zu", n);
        d->is_plugged = d->is_plugged || strcmp(d->told.id, name) == 0;
    }
}

static void on_peripheral(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_disk *d = user;

    if (e) {
        fail(d, e);
        return;
    }
    see_peripheral(d, value);
    d->buses_n += qmp_buses(value, d->buses + 1, BUSES_MAX - 1, &d->ports_end);
    d->ports_end++;
    call(d, "query-named-block-nodes", qmp_with(json_object_new_object(), "flat", json_object_new_boolean(true)), on_nodes);
}

static void on_chardevs(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_disk *d = user;
    const char *name = d->guest->vm.name;

    if (e) {
        fail(d, e);
    } else if (qmp_is_libvirts(value)) {
        (void)err_set(&d->failed, EPERM, "guest '%s' is libvirt's, which must know of all its devices", name);
        finish(d);
    } else {
        call(d, "qom-list", one("path", "/machine/peripheral"), on_peripheral);
    }
}

/* ---- removing ---- */

static void on_node_gone(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_disk *d = user;

    (void)value;
    d->told.is_left = e && says(e, "in use");
    if (e && !d->told.is_left && !says(e, "ailed to find node")) /* with and without a capital, by version */
        d->failed = *e;
    finish(d);
}

static void on_all_nodes(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_disk *d = user;

    if (e) {
        fail(d, e);
        return;
    }
    see_nodes(d, value);
    for (size_t n = 0; d->any && !d->told.id[0] && n < HV_DISKS_MAX; n++)
        if (d->used[n])
            (void)snprintf(d->told.id, sizeof(d->told.id), HV_DISK_PREFIX "%zu", n);
    if (!d->told.id[0])
        finish(d);
    else
        call(d, "blockdev-del", one("node-name", d->told.id), on_node_gone);
}

static void look_at_nodes(struct qmp_disk *d)
{
    call(d, "query-named-block-nodes", qmp_with(json_object_new_object(), "flat", json_object_new_boolean(true)), on_all_nodes);
}

static void on_unplugged(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_disk *d = user;

    (void)value;
    if (e && !says(e, "process of unplug") && !says(e, "not found") && e->code != ENODEV)
        fail(d, e);
    else
        look_at_nodes(d);
}

static void on_plugged(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_disk *d = user;

    if (e) {
        fail(d, e);
        return;
    }
    see_peripheral(d, value);
    if (d->is_plugged)
        call(d, "device_del", one("id", d->told.id), on_unplugged);
    else
        look_at_nodes(d);
}

/* ---- orders ---- */

static int begin(struct qmp_guest *g, hv_disk_fn *done, void *user, struct qmp_disk **ret, struct err *e)
{
    struct qmp_disk *d;

    if (g->share.on)
        return err_set(e, ENOTSUP, "the monitor of guest '%s' is shared (access: share): what else uses it must know of its "
                       "devices; give ballast a monitor of its own", g->vm.name);
    if (!g->known || !qmp_client_is_ready(g->client)) /* but while it is probed: a disk that goes makes it so */
        return err_set(e, ENOTCONN, "no connection to the monitor of guest '%s'", g->vm.name);
    if (g->disk)
        return err_set(e, EBUSY, "guest '%s' is being given or deprived of a disk already", g->vm.name);
    d = calloc(1, sizeof(*d));
    if (!d)
        return err_set(e, ENOMEM, "no memory to change the disks of guest '%s'", g->vm.name);
    d->guest = g;
    d->done = done;
    d->user = user;
    *ret = d;
    return 0;
}

/* What may stand in a serial number, and in the name udev makes of it. */
static void name_take(char *to, const char *from)
{
    static const char fit[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    size_t n = 0;

    for (; *from && n < SERIAL_NAME_MAX; from++)
        to[n++] = strchr(fit, *from) ? *from : '_';
    to[n] = '\0';
}

int qmp_guest_disk_add(struct qmp_guest *g, const struct hv_disk *disk, hv_disk_fn *done, void *user, struct err *e)
{
    struct qmp_disk *d;
    int r;

    if (disk->socket[0] != '/' || strlen(disk->socket) >= sizeof(d->socket))
        return err_set(e, EINVAL, "the socket's path must begin with '/' and have at most %zu bytes", sizeof(d->socket) - 1);
    if (g->backup.used)
        return err_set(e, EBUSY, "guest '%s' is being backed up: its disks stay as they are until that has ended", g->vm.name);
    r = begin(g, done, user, &d, e);
    if (r < 0)
        return r;
    (void)snprintf(d->socket, sizeof(d->socket), "%s", disk->socket);
    name_take(d->name, disk->name);
    d->writable = disk->writable;
    d->buses_n = 1;
    if (qmp_client_call(g->client, "query-chardev", NULL, on_chardevs, d, e) < 0) {
        free(d);
        return -e->code;
    }
    g->disk = d;
    return 0;
}

int qmp_guest_disk_remove(struct qmp_guest *g, const char *id, hv_disk_fn *done, void *user, struct err *e)
{
    struct qmp_disk *d;
    int r;

    if (id && number_of(id) == HV_DISKS_MAX)
        return err_set(e, EINVAL, "no disk of a backup is called so");
    if (g->backup.frozen)
        return err_set(e, EBUSY, "guest '%s' is frozen for a backup at the moment", g->vm.name);
    r = begin(g, done, user, &d, e);
    if (r < 0)
        return r;
    d->any = !id;
    (void)snprintf(d->told.id, sizeof(d->told.id), "%s", id ? id : "");
    if (qmp_client_call(g->client, "qom-list", "{\"path\":\"/machine/peripheral\"}", on_plugged, d, e) < 0) {
        free(d);
        return -e->code;
    }
    g->disk = d;
    return 0;
}
