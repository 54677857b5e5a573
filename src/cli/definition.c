/* SPDX-License-Identifier: Apache-2.0 */
#include "definition.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "fresh.h"
#include "text.h"
#include "wire_field.h"

#define VALUE_SIZE 512     /* of one part of an argument: ids, nodes, paths of sockets */
#define MAC_TEXT_LENGTH 17 /* 52:54:00:12:34:56 */

struct renewing {
    const struct definition_wish *wish;
    struct json_object *from, *to;
    struct wire_text *notes;
    size_t disk_at[REPO_DISKS_MAX];            /* the argument that gives each disk */
    char dropped[REPO_DISKS_MAX][VALUE_SIZE];  /* nodes under them; "": none */
    char old_name[VALUE_SIZE];
    bool has_uuid;
};

/* ---- parts of arguments ---- */

static size_t count(const struct renewing *r)
{
    return json_object_array_length(r->from);
}

static const char *argument(const struct renewing *r, size_t i)
{
    struct json_object *item = i < count(r) ? json_object_array_get_idx(r->from, i) : NULL;

    return json_object_is_type(item, json_type_string) ? json_object_get_string(item) : "";
}

/* The argument is the value of that option: "-name" and "--name" are the same. */
static bool is_of(const struct renewing *r, size_t i, const char *option)
{
    const char *before = i > 0 ? argument(r, i - 1) : "";

    return before[0] == '-' && strcmp(before + (before[1] == '-' ? 2 : 1), option) == 0;
}

static bool json_value(const char *text, const char *key, char ret[VALUE_SIZE])
{
    struct json_object *json = NULL, *value;
    struct err ignored = {0};
    bool found = false;

    if (wire_json_parse(text, strlen(text), &json, &ignored) < 0)
        return false;
    if (json_object_object_get_ex(json, key, &value) && json_object_is_type(value, json_type_string) &&
        strlen(json_object_get_string(value)) < VALUE_SIZE) {
        (void)snprintf(ret, VALUE_SIZE, "%s", json_object_get_string(value));
        found = true;
    }
    (void)json_object_put(json);
    return found;
}

/* Where a part of "first,key=value,..." begins (key "": the first part, without its key where it has one); NULL: nowhere. Doubled commas
 * belong to a value. */
static const char *part_find(const char *text, const char *key, size_t *ret_length)
{
    const size_t key_length = strlen(key);

    for (const char *at = text;; at++) {
        size_t length = 0;

        while (at[length] && (at[length] != ',' || at[length + 1] == ','))
            length += at[length] == ',' ? 2 : 1;
        if (key_length == 0 || (length > key_length && memcmp(at, key, key_length) == 0 && at[key_length] == '=')) {
            const size_t skip = key_length ? key_length + 1 : 0;

            *ret_length = length - skip;
            return at + skip;
        }
        at += length;
        if (!*at)
            return NULL;
    }
}

static bool value_of(const char *text, const char *key, char ret[VALUE_SIZE])
{
    size_t length = 0;
    const char *at;

    ret[0] = '\0';
    if (text[0] == '{')
        return json_value(text, key, ret);
    at = part_find(text, key, &length);
    if (!at || length >= VALUE_SIZE)
        return false;
    memcpy(ret, at, length);
    ret[length] = '\0';
    return true;
}

static bool is_value(const char *text, const char *key, const char *value)
{
    char found[VALUE_SIZE];

    return value_of(text, key, found) && strcmp(found, value) == 0;
}

/* As QEMU wants a value: each comma doubled. */
static void add_escaped(struct wire_text *t, const char *value)
{
    for (; *value; value++)
        wire_text_add(t, *value == ',' ? ",," : value, *value == ',' ? 2 : 1);
}

static void note(struct renewing *r, const char *what, const char *value)
{
    wire_text_format(r->notes, "%s '%s'\n", what, text_show(value, strlen(value)).s);
}

/* ---- disks ---- */

/* The argument of a -blockdev or -drive of that name; 0: none (the first one is the program). */
static size_t node_find(const struct renewing *r, const char *node)
{
    for (size_t i = 1; i < count(r); i++)
        if ((is_of(r, i, "blockdev") && is_value(argument(r, i), "node-name", node)) ||
            (is_of(r, i, "drive") && is_value(argument(r, i), "id", node)))
            return i;
    return 0;
}

/* "virtio1": the second -drive if=virtio that has no id. */
static size_t anonymous_find(const struct renewing *r, const char *disk)
{
    char name[VALUE_SIZE], kind[VALUE_SIZE], id[VALUE_SIZE];
    unsigned n = 0;

    for (size_t i = 1; i < count(r); i++) {
        if (!is_of(r, i, "drive") || !value_of(argument(r, i), "if", kind) || strcmp(kind, "virtio") != 0)
            continue;
        (void)snprintf(name, sizeof(name), "virtio%u", n++);
        if (strcmp(name, disk) == 0 && !value_of(argument(r, i), "id", id))
            return i;
    }
    return 0;
}

static size_t disk_find(const struct renewing *r, const char *disk)
{
    char node[VALUE_SIZE] = "";
    size_t at = 0;

    for (size_t i = 1; i < count(r) && !node[0]; i++)
        if (is_of(r, i, "device") && is_value(argument(r, i), "id", disk))
            (void)value_of(argument(r, i), "drive", node);
    if (node[0])
        at = node_find(r, node);
    if (!at)
        at = node_find(r, disk);
    return at ? at : anonymous_find(r, disk);
}

static int disks_find(struct renewing *r, struct err *e)
{
    const struct repo_manifest *m = r->wish->manifest;

    for (size_t i = 0; i < m->disk_count; i++) {
        r->disk_at[i] = disk_find(r, m->disks[i].name);
        if (!r->disk_at[i])
            return err_set(e, EOPNOTSUPP, "which argument gave the guest its disk '%s' can't be told", m->disks[i].name);
        if (is_of(r, r->disk_at[i], "blockdev"))
            (void)value_of(argument(r, r->disk_at[i]), "file", r->dropped[i]); /* a node: one that is nested has no such value */
    }
    return 0;
}

static void disk_renew(struct renewing *r, size_t disk, const char *old, bool is_blockdev, struct wire_text *t)
{
    const char *format = r->wish->is_qcow2 ? "qcow2" : "raw";
    char value[VALUE_SIZE];

    if (is_blockdev) {
        (void)value_of(old, "node-name", value);
        wire_text_format(t, "driver=%s,node-name=%s,discard=unmap,file.driver=file,file.discard=unmap,file.filename=", format, value);
    } else {
        static const char *const kept[] = {"if", "id", "index"};

        for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
            if (value_of(old, kept[i], value))
                wire_text_format(t, "%s=%s,", kept[i], value);
        wire_text_format(t, "format=%s,discard=unmap,file=", format);
    }
    add_escaped(t, r->wish->directory);
    wire_text_adds(t, "/");
    add_escaped(t, r->wish->manifest->disks[disk].name);
    wire_text_format(t, ".%s", format);
}

static bool is_dropped_node(const struct renewing *r, size_t i)
{
    char node[VALUE_SIZE];

    if (!is_of(r, i, "blockdev") || !value_of(argument(r, i), "node-name", node))
        return false;
    for (size_t k = 0; k < r->wish->manifest->disk_count; k++)
        if (r->dropped[k][0] && strcmp(r->dropped[k], node) == 0)
            return true;
    return false;
}

/* ---- who it is ---- */

void definition_renew_macs(struct wire_text *t, const char *argument_)
{
    static const char *const marks[] = {"mac=", "macaddr=", "\"mac\":\""};
    char mac[FRESH_MAC_SIZE];

    for (;;) {
        const char *first = NULL;

        for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
            const char *at = strstr(argument_, marks[i]);

            if (at && (!first || at + strlen(marks[i]) < first) && strlen(at + strlen(marks[i])) >= MAC_TEXT_LENGTH)
                first = at + strlen(marks[i]);
        }
        if (!first)
            break;
        fresh_mac(mac);
        wire_text_add(t, argument_, (size_t)(first - argument_));
        wire_text_adds(t, mac);
        argument_ = first + MAC_TEXT_LENGTH;
    }
    wire_text_adds(t, argument_);
}

void definition_rename(struct wire_text *t, const char *value, const char *name)
{
    const char *rest = strchr(value, ',');

    wire_text_format(t, "%s%s", strncmp(value, "guest=", 6) == 0 ? "guest=" : "", name);
    wire_text_adds(t, rest ? rest : "");
}

/* QEMU gives a card without a MAC always the same one: the guest it was has it. */
static bool lacks_mac(const struct renewing *r, size_t i)
{
    const char *text = argument(r, i);
    char kind[VALUE_SIZE];

    if (strstr(text, "mac") || text[0] == '{' || !value_of(text, "", kind))
        return false;
    if (is_of(r, i, "nic"))
        return strcmp(kind, "none") != 0;
    if (is_of(r, i, "net"))
        return strcmp(kind, "nic") == 0;
    return is_of(r, i, "device") && (strncmp(kind, "virtio-net", 10) == 0 || strncmp(kind, "e1000", 5) == 0 ||
                                     strncmp(kind, "rtl8139", 7) == 0 || strncmp(kind, "vmxnet3", 7) == 0);
}

/* ---- where it listens and writes ---- */

/* The same name in the directory; with the guest's own name in it, with the new one. */
static void add_moved(const struct renewing *r, struct wire_text *t, const char *path, size_t length)
{
    char value[VALUE_SIZE];
    const char *name;
    size_t old = strlen(r->old_name);

    (void)snprintf(value, sizeof(value), "%.*s", (int)(length < VALUE_SIZE ? length : VALUE_SIZE - 1), path);
    name = strrchr(value, '/');
    name = name ? name + 1 : value;
    add_escaped(t, r->wish->directory);
    wire_text_adds(t, "/");
    if (old > 0 && strncmp(name, r->old_name, old) == 0 && (name[old] == '.' || name[old] == '\0')) {
        wire_text_adds(t, r->wish->name);
        name += old;
    }
    wire_text_adds(t, name);
}

/* Copies text up to `at`, then what is moved, and returns where the rest begins. */
static const char *move(const struct renewing *r, struct wire_text *t, const char *text, const char *at, size_t length)
{
    wire_text_add(t, text, (size_t)(at - text));
    add_moved(r, t, at, length);
    return at + length;
}

/* A character device that listens, or writes to a file. */
static void chardev_renew(const struct renewing *r, const char *text, struct wire_text *t)
{
    static const char *const keys[] = {"path", "logfile"};
    char kind[VALUE_SIZE];
    bool listens;

    (void)value_of(text, "", kind);
    listens = strstr(text, ",server") && !strstr(text, ",server=off");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        size_t length = 0;
        const char *at = part_find(text, keys[i], &length);

        if (at && (i > 0 || strcmp(kind, "file") == 0 || strcmp(kind, "pipe") == 0 || (strcmp(kind, "socket") == 0 && listens)))
            text = move(r, t, text, at, length);
    }
    wire_text_adds(t, text);
}

/* -qmp, -serial, -vnc ... with "unix:PATH" or "file:PATH"; -pidfile, -D with a path. False: nothing of the kind. */
static bool sink_renew(const struct renewing *r, size_t i, struct wire_text *t)
{
    static const char *const streams[] = {"qmp", "qmp-pretty", "monitor", "serial", "parallel", "vnc", "gdb"};
    static const char *const files[] = {"pidfile", "D"};
    const char *text = argument(r, i);

    for (size_t k = 0; k < sizeof(files) / sizeof(files[0]); k++)
        if (is_of(r, i, files[k])) {
            add_moved(r, t, text, strlen(text));
            return true;
        }
    for (size_t k = 0; k < sizeof(streams) / sizeof(streams[0]); k++)
        if (is_of(r, i, streams[k]) && (strncmp(text, "unix:", 5) == 0 || strncmp(text, "file:", 5) == 0)) {
            wire_text_adds(t, move(r, t, text, text + 5, strcspn(text + 5, ",")));
            return true;
        }
    return false;
}

/* What is as it was, and the guest it was uses, too. */
static void look_at(struct renewing *r, size_t i)
{
    const char *text = argument(r, i);
    char value[VALUE_SIZE];

    if ((is_of(r, i, "netdev") || is_of(r, i, "nic")) && value_of(text, "ifname", value))
        note(r, "it takes the network device of the guest it was:", value);
    if ((is_of(r, i, "netdev") || is_of(r, i, "nic")) && strstr(text, "hostfwd="))
        note(r, "it listens on the same ports of the host:", text);
    if (is_of(r, i, "drive") && is_value(text, "if", "pflash") && !strstr(text, "readonly=on") && value_of(text, "file", value))
        note(r, "it writes the firmware variables of the guest it was; give it a copy of", value);
    if (is_of(r, i, "device") && strncmp(text, "vfio", 4) == 0)
        note(r, "it takes a device of the host that the guest it was has:", text);
    if (is_of(r, i, "spice") || (is_of(r, i, "vnc") && strncmp(text, "unix:", 5) != 0 && strncmp(text, "none", 4) != 0))
        note(r, "its screen listens where that of the guest it was does:", text);
    if (strstr(text, ",fd=") || strstr(text, ",fds="))
        note(r, "it needs an open file that its manager gave to the guest it was:", text);
}

/* ---- all of it ---- */

static void argument_renew(struct renewing *r, size_t i, struct wire_text *t)
{
    const char *text = argument(r, i);
    char uuid[FRESH_UUID_SIZE], mac[FRESH_MAC_SIZE];

    for (size_t k = 0; k < r->wish->manifest->disk_count; k++)
        if (r->disk_at[k] == i) {
            disk_renew(r, k, text, is_of(r, i, "blockdev"), t);
            return;
        }
    look_at(r, i);
    if (is_of(r, i, "name")) {
        definition_rename(t, text, r->wish->name);
    } else if (is_of(r, i, "uuid")) {
        fresh_uuid(uuid);
        wire_text_adds(t, uuid);
    } else if (is_of(r, i, "chardev")) {
        chardev_renew(r, text, t);
    } else if (!sink_renew(r, i, t)) {
        definition_renew_macs(t, text);
        fresh_mac(mac);
        if (lacks_mac(r, i))
            wire_text_format(t, ",mac%s=%s", is_of(r, i, "net") ? "addr" : "", mac);
    }
}

/* How a guest that was migrated to, or loaded from a snapshot, began: not the way this one does. */
static bool is_beginning(const char *word)
{
    const char *name = word[0] == '-' ? word + (word[1] == '-' ? 2 : 1) : "";

    return strcmp(name, "incoming") == 0 || strcmp(name, "loadvm") == 0;
}

static void give(struct renewing *r, const char *text)
{
    (void)json_object_array_add(r->to, json_object_new_string(text)); /* no memory: the caller counts */
}

static int all_renew(struct renewing *r, struct err *e)
{
    char uuid[FRESH_UUID_SIZE];

    for (size_t i = 0; i < count(r); i++) {
        struct wire_text t = {0};

        if (is_beginning(argument(r, i)) || (i + 1 < count(r) && is_dropped_node(r, i + 1))) {
            i++;
            continue;
        }
        argument_renew(r, i, &t);
        if (t.failed) {
            wire_text_done(&t);
            return err_set(e, ENOMEM, "no memory for the command line");
        }
        give(r, t.data ? t.data : "");
        wire_text_done(&t);
    }
    if (!r->has_uuid) {
        fresh_uuid(uuid);
        give(r, "-uuid");
        give(r, uuid);
    }
    return 0;
}

int definition_renew(struct json_object *line, const struct definition_wish *wish, struct json_object **ret,
                     struct wire_text *notes, struct err *e)
{
    struct renewing r = {.wish = wish, .from = line, .notes = notes};
    int result;

    if (count(&r) == 0 || !argument(&r, 0)[0])
        return err_set(e, EINVAL, "there is no program in the point's command line");
    for (size_t i = 1; i < count(&r); i++) {
        r.has_uuid = r.has_uuid || is_of(&r, i, "uuid");
        if (is_of(&r, i, "name") && !value_of(argument(&r, i), "guest", r.old_name))
            (void)value_of(argument(&r, i), "", r.old_name);
    }
    result = disks_find(&r, e);
    if (result < 0)
        return result;
    r.to = json_object_new_array();
    result = r.to ? all_renew(&r, e) : err_set(e, ENOMEM, "no memory for the command line");
    if (result < 0)
        (void)json_object_put(r.to);
    else
        *ret = r.to;
    return result;
}
