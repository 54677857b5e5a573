/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "hv.h"
#include "qmp_message.h"
#include "text.h"
#include "window_private.h"

/* What is there before anything is touched: refusals, disks, bitmaps. */

static size_t array_length(struct json_object *array)
{
    return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

int window_take_status(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    const char *status = "";

    (void)d;
    (void)qmp_get_string(v, "status", &status);
    w->was_running = strcmp(status, "running") == 0;
    if (w->was_running)
        return 0;
    if (strcmp(status, "paused") == 0 || strcmp(status, "prelaunch") == 0 || strcmp(status, "shutdown") == 0) {
        w->use_agent = false; /* it can't answer */
        w->consistency = WINDOW_PAUSED;
        window_add_note(w, "guest '%s' is paused: its memory may hold data that its disks lack", w->config.guest);
        if (w->config.freeze != WINDOW_FREEZE_REQUIRE)
            return 0;
        window_set_hint(w, "resume it, or use --freeze prefer");
        return err_set(e, EBUSY, "guest '%s' is paused, so it can't be frozen", w->config.guest);
    }
    window_set_hint(w, "see what is wrong with it first: ballast show %s", w->config.guest);
    return err_set(e, EBUSY, "guest '%s' is in state '%s', in which nothing is backed up", w->config.guest,
                   text_show(status, strlen(status)).s);
}

int window_take_version(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    uint64_t major = 0, minor = 0, micro = 0;
    struct json_object *qemu;

    (void)d;
    (void)e;
    if (qmp_get_object(v, "qemu", &qemu)) {
        (void)qmp_get_u64(qemu, "major", &major);
        (void)qmp_get_u64(qemu, "minor", &minor);
        (void)qmp_get_u64(qemu, "micro", &micro);
    }
    (void)snprintf(w->qemu_version, sizeof(w->qemu_version), "%u.%u.%u", (unsigned)major, (unsigned)minor,
                   (unsigned)micro);
    return 0;
}

/* Names that must occur among the members of the schema's types, and which of them do. */
#define FEATURES 5
static const char *const features[FEATURES] = {"copy-before-write", "snapshot-access", "cbw-timeout", "open-timeout",
                                               "x-perf"};

int window_take_schema(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    bool found[FEATURES] = {false};

    (void)d;
    for (size_t i = 0; i < array_length(v); i++) {
        struct json_object *type = json_object_array_get_idx(v, i), *members;
        const char *name;

        if (qmp_get_string(type, "name", &name) && strcmp(name, "x-debug-query-block-graph") == 0)
            w->has_graph = true;
        if (!qmp_get_array(type, "members", &members))
            continue;
        for (size_t k = 0; k < array_length(members); k++)
            for (size_t f = 0; f < FEATURES; f++)
                found[f] = found[f] || (qmp_get_string(json_object_array_get_idx(members, k), "name", &name) &&
                                        strcmp(name, features[f]) == 0);
    }
    for (size_t f = 0; f < FEATURES; f++) {
        if (found[f])
            continue;
        window_set_hint(w, "QEMU 7.1 is the first that can be backed up; restart the guest after an upgrade");
        return err_set(e, ENOTSUP, "the QEMU of guest '%s' (%s) lacks '%s', without which its disks can't be copied "
                       "while it runs", w->config.guest, w->qemu_version, features[f]);
    }
    return 0;
}

static bool is_ours(const char *name)
{
    return strncmp(name, "ballast-", strlen("ballast-")) == 0;
}

/* What an earlier backup left in QEMU goes first; that is tried once. */
int window_undo_first(struct window *w, struct err *e)
{
    if (w->recovered) {
        window_set_hint(w, "its name begins with 'ballast-' in query-jobs or query-named-block-nodes of QEMU; shut the "
                        "guest down and start it again to be rid of it");
        return err_set(e, EBUSY, "what an earlier backup left in the QEMU of guest '%s' could not be removed%s%s",
                       w->config.guest, w->left[0] ? ": " : "", w->left);
    }
    w->recovered = w->resume = true;
    w->disks_n = 0;
    window_add_note(w, "an earlier backup was cut off: what it left in QEMU was removed first");
    window_jump_to_teardown(w);
    return 0;
}

int window_take_jobs(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    bool ours = false;

    (void)d;
    for (size_t i = 0; i < array_length(v); i++) {
        const char *id = "", *type = "";

        (void)qmp_get_string(json_object_array_get_idx(v, i), "id", &id);
        (void)qmp_get_string(json_object_array_get_idx(v, i), "type", &type);
        ours = ours || is_ours(id);
        if (is_ours(id))
            continue;
        window_set_hint(w, "run the backup again when it has ended (query-jobs in QEMU's monitor shows it)");
        return err_set(e, EBUSY, "another program runs a job of type '%s' ('%s') on the disks of guest '%s'",
                       text_show(type, strlen(type)).s, text_show(id, strlen(id)).s, w->config.guest);
    }
    return ours ? window_undo_first(w, e) : 0;
}

/* "/machine/peripheral/vda/virtio-backend" and "vda" -> "vda". */
static const char *name_in(const char *qdev, size_t *ret_len)
{
    const char *from = strncmp(qdev, "/machine/peripheral/", 20) == 0 ? qdev + 20 : qdev;

    *ret_len = from == qdev && from[0] == '/' ? strlen(from) : strcspn(from, "/");
    return from;
}

/* "/machine/system.flash1" (pc, q35), "/machine/virt.flash1" (arm): the guest's firmware, by unit. */
static bool is_firmware(const char *qdev)
{
    const char *flash = strstr(qdev, WINDOW_FLASH);

    return strncmp(qdev, "/machine/", 9) == 0 && flash && flash[strlen(WINDOW_FLASH)] && !flash[strlen(WINDOW_FLASH) + 1];
}

/* What has no name of its own -> QEMU's, or "disk3"; firmware "pflash1". */
static void name_disk(const struct window *w, struct window_disk *d, const char *qdev, const char *device)
{
    size_t len, n = w->disks_n;
    const char *from = name_in(qdev, &len);
    char name[WINDOW_NAME_SIZE], flash[] = "pflash0";

    if (is_firmware(qdev)) {
        flash[strlen(flash) - 1] = qdev[strlen(qdev) - 1];
        from = flash;
        len = strlen(flash);
    } else if (from[0] == '/' || !text_is_name(from, len)) {
        from = device;
        len = strlen(device);
    }
    if (text_is_name(from, len) && len < sizeof(name))
        (void)snprintf(name, sizeof(name), "%.*s", (int)len, from);
    else
        (void)snprintf(name, sizeof(name), "disk%zu", n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(w->disks[i].name, name) == 0)
            (void)snprintf(name, sizeof(name), "disk%zu", n);
    (void)snprintf(d->name, sizeof(d->name), "%s", name);
}

static bool fits(const char *text, size_t size)
{
    return strlen(text) < size;
}

static int take_disk(struct window *w, struct json_object *block, struct json_object *inserted, struct err *e)
{
    struct window_disk *d = &w->disks[w->disks_n];
    const char *qdev = "", *node = "", *device = "", *driver = "", *file;
    struct json_object *image = NULL;
    uint64_t size = 0;

    (void)qmp_get_string(block, "qdev", &qdev);
    (void)qmp_get_string(block, "device", &device);
    (void)qmp_get_string(inserted, "node-name", &node);
    (void)qmp_get_string(inserted, "drv", &driver);
    if (qmp_get_object(inserted, "image", &image))
        (void)qmp_get_u64(image, "virtual-size", &size);
    if (!node[0] || !fits(node, sizeof(d->node)) || !fits(qdev, sizeof(d->device)) || size == 0 || size % 512 != 0) {
        window_set_hint(w, "report this with the output of query-block of its monitor");
        return err_set(e, EPROTO, "QEMU describes a disk of guest '%s' ('%s') in a way that is not understood",
                       w->config.guest, text_show(qdev[0] ? qdev : device, strlen(qdev[0] ? qdev : device)).s);
    }
    *d = (struct window_disk){.size_bytes = size, .keeps_bitmaps = strcmp(driver, "qcow2") == 0};
    (void)snprintf(d->device, sizeof(d->device), "%s", qdev);
    (void)snprintf(d->node, sizeof(d->node), "%s", node);
    name_disk(w, d, qdev, device);
    /* Of a relative one nobody knows where it starts; "json:" and URLs are no files. */
    if (qmp_get_string(image, "filename", &file) && file[0] == '/' && fits(file, sizeof(d->file)) &&
        fits(driver, sizeof(d->format))) {
        (void)snprintf(d->file, sizeof(d->file), "%s", file);
        (void)snprintf(d->format, sizeof(d->format), "%s", driver);
    }
    d->is_firmware = is_firmware(qdev);
    if (!d->keeps_bitmaps && !d->is_firmware) /* half a MiB is no matter */
        window_add_note(w, "disk '%s' is '%s', which can't keep a record of changes: after a restart of QEMU all of it "
                        "is read again, and only what changed is stored", d->name,
                        text_show(driver, strlen(driver)).s);
    w->disks_n++;
    return 0;
}

/* What `ballast backup attach` plugs. */
#define RESTORED "/machine/peripheral/" HV_DISK_PREFIX

/* Why a drive is none of the disks; NULL: it is one. */
static const char *why_skipped(struct json_object *block, struct json_object *inserted)
{
    const char *qdev = "", *device = "";
    bool read_only = false, removable = false;

    (void)qmp_get_string(block, "qdev", &qdev);
    (void)qmp_get_string(block, "device", &device);
    (void)qmp_get_bool(inserted, "ro", &read_only);
    (void)qmp_get_bool(block, "removable", &removable);
    if (is_firmware(qdev) || strncmp(device, "pflash", 6) == 0)
        return read_only ? "it is firmware that the guest can't change" : qdev[0] ? NULL : "it is firmware";
    if (strncmp(qdev, RESTORED, strlen(RESTORED)) == 0)
        return "it is a disk of a point (ballast backup attach)";
    if (!qdev[0])
        return "no device of the guest uses it";
    if (removable)
        return "it is a removable medium";
    return read_only ? "it is read-only" : NULL;
}

/* Firmware alone is no guest. */
static bool has_disk(const struct window *w)
{
    for (size_t i = 0; i < w->disks_n; i++)
        if (!w->disks[i].is_firmware)
            return true;
    return false;
}

int window_take_blocks(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    bool ours = false;
    int r = 0;

    (void)d;
    w->disks_n = 0;
    for (size_t i = 0; r == 0 && i < array_length(v); i++) {
        struct json_object *block = json_object_array_get_idx(v, i), *inserted;
        const char *node = "", *device = "", *why;
        size_t len;

        if (!qmp_get_object(block, "inserted", &inserted))
            continue; /* an empty drive */
        (void)qmp_get_string(inserted, "node-name", &node);
        if (!qmp_get_string(block, "qdev", &device) || !device[0])
            (void)qmp_get_string(block, "device", &device);
        ours = ours || is_ours(node);
        why = why_skipped(block, inserted);
        if (why) {
            device = name_in(device, &len);
            window_add_note(w, "drive '%s' is not backed up: %s", text_show(device, len).s, why);
        } else if (w->disks_n == WINDOW_DISKS_MAX) {
            r = err_set(e, E2BIG, "guest '%s' has more than %d disks, which is not supported", w->config.guest,
                        WINDOW_DISKS_MAX);
        } else {
            r = take_disk(w, block, inserted, e);
        }
    }
    if (r == 0 && ours)
        return window_undo_first(w, e);
    if (r == 0 && !has_disk(w)) {
        window_set_hint(w, "nothing of it is backed up: its definition alone is no point");
        return err_set(e, ENOENT, "guest '%s' has no disk that can be backed up", w->config.guest);
    }
    return r;
}

int window_take_nodes(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    for (size_t i = 0; i < array_length(v); i++) {
        const char *name = "";

        (void)qmp_get_string(json_object_array_get_idx(v, i), "node-name", &name);
        if (is_ours(name))
            return window_undo_first(w, e);
    }
    w->nodes = json_object_get(v); /* bitmaps are read from it when the repository's name is known */
    return 0;
}

/* ---- ballast-prepare ---- */

void window_print_helper_names(const struct window *w, struct wire_text *t)
{
    /* How many disks an earlier backup had prepared is not known where none of them came into QEMU: all names there can be. */
    size_t n = w->config.recover || w->resume ? WINDOW_DISKS_MAX : w->disks_n;
    char path[WINDOW_PATH_SIZE * 2];

    wire_text_adds(t, "[");
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(path, sizeof(path), "%s/fleece/%s-%zu.qcow2", w->config.state_dir, w->config.guest, i);
        wire_text_string(t, path);
        wire_text_adds(t, ",");
        (void)snprintf(path, sizeof(path), "%s/%s-%zu.nbd", w->config.socket_dir, w->config.guest, i);
        wire_text_string(t, path); /* of a ballast-copy that was killed */
        wire_text_adds(t, ",");
    }
    (void)snprintf(path, sizeof(path), "%s/%s.job", w->config.socket_dir, w->config.guest);
    wire_text_string(t, path);
    if (w->mode == WINDOW_EXPOSE || w->config.exposed_before) {
        wire_text_adds(t, ",");
        window_print_exposed_names(w, t);
    }
    wire_text_adds(t, "]");
}

void window_build_prepare(struct window *w, struct window_disk *d, struct wire_text *t)
{
    char path[WINDOW_PATH_SIZE * 2];

    (void)d;
    wire_text_adds(t, "{");
    window_print_text(t, "identity", w->config.identity);
    if (w->mode == WINDOW_EXPOSE)
        window_print_exposed(w, t);
    else
        wire_text_adds(t, ",");
    if (w->mode == WINDOW_BACKUP)
        window_print_text(t, "repository", w->config.repository);
    (void)snprintf(path, sizeof(path), "%s/%s.job", w->config.socket_dir, w->config.guest);
    wire_text_adds(t, ",");
    window_print_text(t, "note", path);
    wire_text_format(t, ",\"pid\":%ld,\"fleece\":[", (long)w->config.pid);
    for (size_t i = 0; i < w->disks_n; i++) {
        struct window_disk *disk = &w->disks[i];

        (void)snprintf(path, sizeof(path), "%s/fleece/%s-%zu.qcow2", w->config.state_dir, w->config.guest, i);
        wire_text_copy(disk->fleece, sizeof(disk->fleece), path); /* checked when the answer is taken */
        (void)snprintf(path, sizeof(path), "%s/%s-%zu.nbd", w->config.socket_dir, w->config.guest, i);
        wire_text_copy(disk->socket, sizeof(disk->socket), path);
        wire_text_adds(t, i ? ",{" : "{");
        window_print_text(t, "path", disk->fleece);
        wire_text_format(t, ",\"size_bytes\":%" PRIu64 "}", disk->size_bytes);
    }
    wire_text_adds(t, "]}");
}

static void read_bitmaps(struct window *w, struct window_disk *d, struct json_object *list)
{
    d->bitmaps_n = 0;
    for (size_t i = 0; i < array_length(list) && d->bitmaps_n < BITMAPS_MAX; i++) {
        struct json_object *b = json_object_array_get_idx(list, i);
        struct bitmap_seen *seen = &d->bitmaps[d->bitmaps_n];
        const char *name;

        *seen = (struct bitmap_seen){0};
        if (!qmp_get_string(b, "name", &name) || !bitmap_number(name, w->bitmap_prefix, &seen->number))
            continue;
        (void)qmp_get_bool(b, "recording", &seen->recording);
        (void)qmp_get_bool(b, "inconsistent", &seen->inconsistent);
        (void)qmp_get_bool(b, "busy", &seen->busy);
        (void)qmp_get_u64(b, "granularity", &seen->granularity);
        (void)qmp_get_u64(b, "count", &seen->count_bytes);
        d->bitmaps_n++;
    }
}

void window_read_bitmaps(struct window *w, struct json_object *nodes)
{
    for (size_t i = 0; i < array_length(nodes); i++) {
        struct json_object *node = json_object_array_get_idx(nodes, i), *list;
        const char *name = "";

        (void)qmp_get_string(node, "node-name", &name);
        for (size_t k = 0; k < w->disks_n; k++)
            if (strcmp(w->disks[k].node, name) == 0)
                read_bitmaps(w, &w->disks[k], qmp_get_array(node, "dirty-bitmaps", &list) ? list : NULL);
    }
}

static void plan_disk(struct window *w, struct window_disk *d, struct json_object *committed)
{
    struct json_object *known = NULL;
    uint64_t number = 0, size = 0;
    const char *damaged = NULL;

    if (qmp_get_object(committed, d->name, &known)) {
        (void)qmp_get_u64(known, "bitmap", &number);
        (void)qmp_get_u64(known, "size_bytes", &size);
        (void)qmp_get_string(known, "damaged", &damaged);
    }
    /* Every disk has a number of its own: two images of a guest that change places must not pass for each other. */
    bitmap_plan_make(d->bitmaps, d->bitmaps_n, damaged ? 0 : number, size, d->size_bytes, w->chunk_bytes,
                     (uint64_t)w->utc_usec + window_disk_index(w, d), &d->plan);
    if (known && number == 0 && d->plan.reason == BITMAP_FIRST)
        d->plan.reason = BITMAP_OFF;
    if (damaged)
        window_add_note(w, "disk '%s' is read in full: the newest point's copy of it is damaged (%s)", d->name,
                        text_show(damaged, strlen(damaged)).s);
    else if (!d->plan.base)
        window_add_note(w, "disk '%s' is read in full: %s", d->name, bitmap_reason_text(d->plan.reason));
}

/* What the newest point has and the guest has no longer. */
static void note_removed(struct window *w, struct json_object *committed)
{
    if (!json_object_is_type(committed, json_type_object))
        return;
    json_object_object_foreach(committed, name, ignored) {
        bool there = false;

        (void)ignored;
        for (size_t i = 0; i < w->disks_n; i++)
            there = there || strcmp(w->disks[i].name, name) == 0;
        if (!there)
            window_add_note(w, "disk '%s' of the newest point is no longer there: older points keep it",
                            text_show(name, strlen(name)).s);
    }
}

int window_take_prepare(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    struct json_object *committed = NULL, *definition;
    const char *name = "", *parent = "", *error, *hint = "";

    (void)d;
    if (qmp_get_string(v, "error", &error)) {
        (void)qmp_get_string(v, "hint", &hint);
        window_set_hint(w, "%s", hint);
        return err_set(e, EIO, "%s", error);
    }
    if (w->mode == WINDOW_EXPOSE)
        return window_plan_exposed(w, v, e);
    if (!qmp_get_string(v, "repository_name", &name) || strlen(name) > 32 ||
        !qmp_get_u64(v, "chunk_bytes", &w->chunk_bytes))
        return err_set(e, EPROTO, "ballast-prepare answered without the repository's name");
    for (size_t i = 0; i < w->disks_n; i++)
        if (strlen(w->disks[i].socket) + 1 >= sizeof(w->disks[i].socket) ||
            strlen(w->disks[i].fleece) + 1 >= sizeof(w->disks[i].fleece))
            return err_set(e, ENAMETOOLONG, "the path '%s' is too long: use shorter directories", w->disks[i].socket);
    (void)snprintf(w->bitmap_prefix, sizeof(w->bitmap_prefix), "ballast-%s-", name);
    (void)qmp_get_string(v, "parent", &parent);
    (void)snprintf(w->parent, sizeof(w->parent), "%s", parent);
    (void)qmp_get_object(v, "disks", &committed);
    if (qmp_get_array(v, "definition", &definition)) {
        free(w->definition);
        w->definition = strdup(json_object_to_json_string_ext(definition, JSON_C_TO_STRING_PLAIN));
    }
    window_read_bitmaps(w, w->nodes);
    for (size_t i = 0; i < w->disks_n; i++)
        plan_disk(w, &w->disks[i], committed);
    note_removed(w, committed);
    return 0;
}

bool window_needs_bitmap_repair(const struct window *w, const struct window_disk *d)
{
    (void)d;
    for (size_t i = 0; i < w->disks_n; i++)
        if (w->disks[i].plan.fold || w->disks[i].plan.drop_n)
            return true;
    return false;
}

void window_build_bitmap_repair(struct window *w, struct window_disk *d, struct wire_text *t)
{
    bool first = true;

    (void)d;
    wire_text_adds(t, "{\"actions\":[");
    for (size_t i = 0; i < w->disks_n; i++)
        bitmap_print_repair(t, &first, &w->disks[i].plan, w->disks[i].node, w->bitmap_prefix);
    wire_text_adds(t, "]}");
}

void window_build_flat(struct window *w, struct window_disk *d, struct wire_text *t)
{
    (void)w;
    (void)d;
    wire_text_adds(t, "{\"flat\":true}");
}

void window_build_fleece(struct window *w, struct window_disk *d, struct wire_text *t)
{
    wire_text_adds(t, "{\"driver\":\"qcow2\",");
    window_print_node(w, d, t, "node-name", WINDOW_NODE_FLEECE);
    wire_text_adds(t, ",\"discard\":\"unmap\",\"file\":{\"driver\":\"file\",\"discard\":\"unmap\",");
    window_print_text(t, "filename", d->fleece);
    wire_text_adds(t, "}}");
}

void window_sent_fleece(struct window *w, struct window_disk *d)
{
    (void)w;
    d->fleece_there = true;
}

int window_fleece_refused(struct window *w, struct window_disk *d, struct err *e)
{
    (void)d;
    if (strstr(e->text, "ermission denied"))
        window_set_hint(w, "the user that QEMU runs as must be able to pass the directories above its image: chmod o+x %s; or "
                        "AppArmor or SELinux keeps QEMU from it", w->config.state_dir);
    return -e->code;
}

/* Nothing of one that its user has paused is stopped or frozen. */
bool window_needs_arm(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->was_running;
}

void window_sent_arm(struct window *w, struct window_disk *d)
{
    (void)d;
    w->armed = true; /* also where the answer does not come */
    w->armed_usec = w->now_usec;
}
