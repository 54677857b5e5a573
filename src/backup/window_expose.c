/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "qmp_message.h"
#include "text.h"
#include "window_private.h"

/* An exposure: the window of a backup, and instead of the copy a read-only NBD export of each disk's snapshot.
 *
 * No client speaks to QEMU. One that stops reading in the middle of an answer would hang QEMU in the next drain of that disk
 * (`stop`, a reset, even `block-export-del mode=hard`), and with it the guest, until it reads on: seen with QEMU 7.2. So
 * ballast-expose stands between; it always reads what QEMU sends, and its end closes everything.
 *
 * No export is made for a disk in an iothread (a client that disconnects would abort QEMU): such a guest is backed up, and
 * ballast-expose serves the new point.
 *
 * Checkpoints are bitmaps that record from their instant until they are forgotten, each for itself: what one tells does not
 * depend on others, and a copy that failed is made again from the same one. */

bool window_checkpoint_is_valid(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < WINDOW_CHECKPOINT_SIZE && !strchr("._-", name[0]) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

static size_t array_length(struct json_object *array)
{
    return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

/* ---- PREPARE: iothreads, other servers ---- */

int window_take_iothreads(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)e;
    w->has_iothreads = array_length(v) > 0;
    return 0;
}

bool window_has_iothreads(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->has_iothreads;
}

void window_build_iothread(struct window *w, struct window_disk *d, struct wire_text *t)
{
    (void)w;
    wire_text_adds(t, "{");
    window_print_text(t, "path", d->device);
    wire_text_adds(t, ",\"property\":\"iothread\"}");
}

/* From here on it is a backup, whose point is served. */
static int go_by_repository(struct window *w, const struct window_disk *d, struct err *e)
{
    if (!w->config.repository[0]) {
        window_set_hint(w, "make one with ballast backup init DIRECTORY and name it in ballast.yaml, or start the guest without "
                        "an iothread for its disks");
        return err_set(e, ENOENT, "disk '%s' of guest '%s' is in an iothread, from which QEMU can't export it safely, and there "
                       "is no repository to copy it to first", d->name, w->config.guest);
    }
    if (w->config.since || w->config.checkpoint) {
        window_set_hint(w, "leave --since and --checkpoint out and read all, or start the guest without an iothread for its disks");
        return err_set(e, ENOTSUP, "disk '%s' of guest '%s' is in an iothread, so it is copied to the repository and exposed from "
                       "there, and what is exposed from there does not tell what changed", d->name, w->config.guest);
    }
    w->from_repository = true;
    w->mode = WINDOW_BACKUP;
    window_add_note(w, "disk '%s' is in an iothread, from which QEMU can't export it safely: the guest is backed up first, and "
                    "its new point is exposed", d->name);
    return 0;
}

int window_take_iothread(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    const char *path = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "?";

    return path[0] ? go_by_repository(w, d, e) : 0;
}

/* A disk of a SCSI controller says nothing of an iothread: its controller may have one. */
int window_iothread_refused(struct window *w, struct window_disk *d, struct err *e)
{
    return go_by_repository(w, d, e);
}

int window_take_exports(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    for (size_t i = 0; i < array_length(v); i++) {
        const char *id = "", *type = "";
        size_t n;

        (void)qmp_get_string(json_object_array_get_idx(v, i), "id", &id);
        (void)qmp_get_string(json_object_array_get_idx(v, i), "type", &type);
        if (window_number_of(id, WINDOW_EXPORT, &n))
            return window_undo_first(w, e);
        if (strcmp(type, "nbd") != 0)
            continue;
        window_set_hint(w, "end it (query-block-exports in QEMU's monitor shows it): QEMU has only one NBD server");
        return err_set(e, EBUSY, "another program exports disks of guest '%s' already ('%s')", w->config.guest,
                       text_show(id, strlen(id)).s);
    }
    return w->config.exposed_before && !w->recovered ? window_undo_first(w, e) : 0;
}

/* ---- PREPARE: ballast-prepare, and what is known of changes ---- */

static void print_path(const struct window *w, struct wire_text *t, const char *ending)
{
    char path[WINDOW_PATH_SIZE * 2];

    (void)snprintf(path, sizeof(path), "%s/%s%s", w->config.socket_dir, w->config.guest, ending);
    wire_text_string(t, path);
}

void window_server_path(const struct window *w, size_t i, char ret[WINDOW_SOCKET_SIZE])
{
    char path[WINDOW_PATH_SIZE * 2];

    if (w->from_repository)
        (void)snprintf(path, sizeof(path), "%s/%s.expose-%zu.nbd", w->config.socket_dir, w->config.guest, i);
    else
        (void)snprintf(path, sizeof(path), "%s/%s.expose.nbd", w->config.socket_dir, w->config.guest);
    wire_text_copy(ret, WINDOW_SOCKET_SIZE, path); /* its length was checked when ballast-prepare had answered */
}

void window_print_exposed_names(const struct window *w, struct wire_text *t)
{
    static const char *const endings[] = {".expose.nbd", ".expose/qemu.nbd", ".expose"};
    char ending[48];

    for (size_t i = 0; i < w->disks_n; i++) {
        (void)snprintf(ending, sizeof(ending), ".expose-%zu.nbd", i);
        print_path(w, t, ending);
        wire_text_adds(t, ",");
    }
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        wire_text_adds(t, i ? "," : "");
        print_path(w, t, endings[i]);
    }
}

/* The bitmap of that name on a disk's node; NULL: none. */
static struct json_object *find_bitmap(const struct window *w, const struct window_disk *d, const char *bitmap)
{
    struct json_object *list;
    const char *name = "";

    for (size_t i = 0; i < array_length(w->nodes); i++) {
        struct json_object *node = json_object_array_get_idx(w->nodes, i);

        if (!qmp_get_string(node, "node-name", &name) || strcmp(name, d->node) != 0 ||
            !qmp_get_array(node, "dirty-bitmaps", &list))
            continue;
        for (size_t k = 0; k < array_length(list); k++)
            if (qmp_get_string(json_object_array_get_idx(list, k), "name", &name) && strcmp(name, bitmap) == 0)
                return json_object_array_get_idx(list, k);
    }
    return NULL;
}

static struct json_object *find_checkpoint(const struct window *w, const struct window_disk *d, const char *name)
{
    char bitmap[BITMAP_NAME_SIZE];

    (void)snprintf(bitmap, sizeof(bitmap), WINDOW_CHECKPOINT "%s", name);
    return find_bitmap(w, d, bitmap);
}

static bool is_checkpoint(const struct window *w, const char *name)
{
    for (size_t i = 0; i < w->disks_n; i++)
        if (find_checkpoint(w, &w->disks[i], name))
            return true;
    return false;
}

/* Whether it must be asked what the newest point is. */
static bool is_since_point(const struct window *w)
{
    return w->config.since && !is_checkpoint(w, w->config.since);
}

/* Further members of ballast-prepare's order. Nobody waits for a repository that is not needed. */
void window_print_exposed(struct window *w, struct wire_text *t)
{
    if (is_since_point(w) && w->config.repository[0]) {
        wire_text_adds(t, ",");
        window_print_text(t, "repository", w->config.repository);
    }
    wire_text_adds(t, ",\"expose\":");
    print_path(w, t, ".expose");
    w->directory_there = true;
}

static void take_since_checkpoint(struct window *w, struct window_disk *d)
{
    struct json_object *b = find_checkpoint(w, d, w->config.since);
    bool is_inconsistent = false, is_recording = false;

    (void)qmp_get_bool(b, "inconsistent", &is_inconsistent);
    (void)qmp_get_bool(b, "recording", &is_recording);
    if (b && !is_inconsistent && is_recording)
        (void)snprintf(d->since[0], sizeof(d->since[0]), WINDOW_CHECKPOINT "%s", w->config.since);
    else
        window_add_note(w, "disk '%s' does not tell what changed, read all of it: %s", d->name,
                        is_inconsistent ? bitmap_reason_text(BITMAP_INCONSISTENT) : "QEMU has no record of that checkpoint");
}

static void take_since_point(struct window *w, struct window_disk *d, struct json_object *committed)
{
    struct bitmap_plan plan;
    struct json_object *known;
    uint64_t number = 0, size = 0;

    if (qmp_get_object(committed, d->name, &known)) {
        (void)qmp_get_u64(known, "bitmap", &number);
        (void)qmp_get_u64(known, "size_bytes", &size);
    }
    bitmap_plan_make(d->bitmaps, d->bitmaps_n, number, size, d->size_bytes, w->chunk_bytes, 1, &plan);
    if (plan.base)
        (void)snprintf(d->since[0], sizeof(d->since[0]), "%s%" PRIu64, w->bitmap_prefix, plan.base);
    if (plan.fold) /* of a backup that was cut off: the next one adds it */
        (void)snprintf(d->since[1], sizeof(d->since[1]), "%s%" PRIu64, w->bitmap_prefix, plan.fold);
    if (!plan.base)
        window_add_note(w, "disk '%s' does not tell what changed, read all of it: %s", d->name,
                        bitmap_reason_text(plan.reason));
}

/* "20261124T150000Z", with or without a guest's name in front. */
static bool is_newest_point(const struct window *w, const char *since)
{
    const char *slash = strrchr(since, '/');

    return w->parent[0] && strcmp(slash ? slash + 1 : since, w->parent) == 0;
}

static int plan_since(struct window *w, struct json_object *prepared, struct err *e)
{
    struct json_object *committed = NULL;
    const char *name = "", *parent = "";

    if (!is_since_point(w)) {
        for (size_t i = 0; i < w->disks_n; i++)
            take_since_checkpoint(w, &w->disks[i]);
        return 0;
    }
    (void)qmp_get_string(prepared, "parent", &parent);
    wire_text_copy(w->parent, sizeof(w->parent), parent);
    if (!is_newest_point(w, w->config.since)) {
        window_set_hint(w, "name one that was made with --checkpoint, or the newest point of the guest%s%s; without --since "
                        "all is read", w->parent[0] ? ", which is " : "", w->parent);
        return err_set(e, ENOENT, "QEMU has no record of what changed on guest '%s' since '%s'", w->config.guest,
                       text_show(w->config.since, strlen(w->config.since)).s);
    }
    (void)qmp_get_string(prepared, "repository_name", &name);
    if (strlen(name) > 32 || !qmp_get_u64(prepared, "chunk_bytes", &w->chunk_bytes))
        return err_set(e, EPROTO, "ballast-prepare answered without the repository's chunks");
    (void)snprintf(w->bitmap_prefix, sizeof(w->bitmap_prefix), "ballast-%s-", name);
    (void)qmp_get_object(prepared, "disks", &committed);
    window_read_bitmaps(w, w->nodes);
    for (size_t i = 0; i < w->disks_n; i++)
        take_since_point(w, &w->disks[i], committed);
    return 0;
}

static size_t count_checkpoints(const struct window *w, const struct window_disk *d)
{
    struct json_object *list;
    const char *name = "";
    size_t n = 0;

    for (size_t i = 0; i < array_length(w->nodes); i++) {
        struct json_object *node = json_object_array_get_idx(w->nodes, i);

        if (!qmp_get_string(node, "node-name", &name) || strcmp(name, d->node) != 0 ||
            !qmp_get_array(node, "dirty-bitmaps", &list))
            continue;
        for (size_t k = 0; k < array_length(list); k++)
            n += qmp_get_string(json_object_array_get_idx(list, k), "name", &name) &&
                 strncmp(name, WINDOW_CHECKPOINT, strlen(WINDOW_CHECKPOINT)) == 0;
    }
    return n;
}

int window_plan_exposed(struct window *w, struct json_object *prepared, struct err *e)
{
    char path[WINDOW_SOCKET_SIZE];
    int r = 0;

    window_server_path(w, w->disks_n, path);
    if (strlen(path) + 1 >= sizeof(path))
        return err_set(e, ENAMETOOLONG, "the path '%s' is too long: use shorter directories", path);
    if (w->config.since)
        r = plan_since(w, prepared, e);
    for (size_t i = 0; r == 0 && w->config.checkpoint && i < w->disks_n; i++) {
        struct window_disk *d = &w->disks[i];

        d->checkpoint_old = find_checkpoint(w, d, w->config.checkpoint) != NULL;
        if (!d->checkpoint_old && count_checkpoints(w, d) >= WINDOW_CHECKPOINTS_MAX) {
            window_set_hint(w, "forget some: ballast backup expose %s, then ballast backup release %s --forget NAME; "
                            "query-named-block-nodes in QEMU's monitor lists them as '" WINDOW_CHECKPOINT "NAME'",
                            w->config.guest, w->config.guest);
            r = err_set(e, EMFILE, "disk '%s' of guest '%s' has %d checkpoints already", d->name, w->config.guest,
                        WINDOW_CHECKPOINTS_MAX);
        }
    }
    return r;
}

/* One transaction may not remove a name and add it again. */
bool window_needs_checkpoint_old(const struct window *w, const struct window_disk *d)
{
    bool any = false;

    (void)d;
    for (size_t i = 0; i < w->disks_n; i++)
        any = any || w->disks[i].checkpoint_old;
    return any;
}

static void print_bitmap(struct wire_text *t, bool *first, const char *action, const struct window_disk *d, const char *name)
{
    wire_text_format(t, "%s{\"type\":\"%s\",\"data\":{", *first ? "" : ",", action);
    window_print_text(t, "node", d->node);
    wire_text_format(t, ",\"name\":\"" WINDOW_CHECKPOINT "%s\"", name); /* only characters that need no quoting */
    *first = false;
}

void window_build_checkpoint_old(struct window *w, struct window_disk *d, struct wire_text *t)
{
    bool first = true;

    (void)d;
    wire_text_adds(t, "{\"actions\":[");
    for (size_t i = 0; i < w->disks_n; i++) {
        if (!w->disks[i].checkpoint_old)
            continue;
        print_bitmap(t, &first, "block-dirty-bitmap-remove", &w->disks[i], w->config.checkpoint);
        wire_text_adds(t, "}}");
    }
    wire_text_adds(t, "]}");
}

/* Before anything is frozen: it is what is refused where another program's server runs. */
void window_build_nbd(struct window *w, struct window_disk *d, struct wire_text *t)
{
    (void)d;
    wire_text_format(t, "{\"max-connections\":%d,\"addr\":{\"type\":\"unix\",\"data\":{\"path\":", WINDOW_CLIENTS_MAX);
    print_path(w, t, ".expose/qemu.nbd");
    wire_text_adds(t, "}}}");
}

void window_sent_nbd(struct window *w, struct window_disk *d)
{
    (void)d;
    w->nbd_there = true;
}

int window_nbd_refused(struct window *w, struct window_disk *d, struct err *e)
{
    (void)d;
    if (e->code != EREMOTEIO)
        return -e->code; /* no answer: it may run */
    w->nbd_there = false;
    window_set_hint(w, "end it (nbd-server-stop in QEMU's monitor): QEMU has only one NBD server");
    return err_wrap(e, "QEMU of guest '%s' can't offer its disks, most likely as another program uses its NBD server",
                    w->config.guest);
}

/* ---- WINDOW ---- */

bool window_needs_checkpoint(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->config.checkpoint != NULL;
}

void window_build_checkpoint(struct window *w, struct window_disk *d, struct wire_text *t)
{
    bool first = true;

    (void)d;
    wire_text_adds(t, "{\"actions\":[");
    for (size_t i = 0; i < w->disks_n; i++) {
        print_bitmap(t, &first, "block-dirty-bitmap-add", &w->disks[i], w->config.checkpoint);
        wire_text_format(t, ",\"granularity\":%u,\"persistent\":%s}}", WINDOW_CHECKPOINT_BYTES,
                         w->disks[i].keeps_bitmaps ? "true" : "false");
    }
    wire_text_adds(t, "]}");
}

void window_sent_checkpoint(struct window *w, struct window_disk *d)
{
    (void)d;
    for (size_t i = 0; i < w->disks_n; i++)
        w->disks[i].checkpointed = true;
}

bool window_needs_since(const struct window *w, const struct window_disk *d)
{
    bool any = false;

    (void)d;
    for (size_t i = 0; i < w->disks_n; i++)
        any = any || w->disks[i].since[0][0];
    return any;
}

/* A bitmap of the snapshot, which goes with it; while the guest stands still, so that it is exact. */
static void print_since(const struct window *w, const struct window_disk *d, struct wire_text *t)
{
    uint64_t granularity = is_since_point(w) ? w->chunk_bytes : WINDOW_CHECKPOINT_BYTES;

    wire_text_adds(t, "{\"type\":\"block-dirty-bitmap-add\",\"data\":{");
    window_print_node(w, d, t, "node", WINDOW_NODE_ACCESS);
    wire_text_format(t, ",\"name\":\"" WINDOW_SINCE_BITMAP "\",\"disabled\":true,\"granularity\":%" PRIu64 "}},", granularity);
    wire_text_adds(t, "{\"type\":\"block-dirty-bitmap-merge\",\"data\":{");
    window_print_node(w, d, t, "node", WINDOW_NODE_ACCESS);
    wire_text_adds(t, ",\"target\":\"" WINDOW_SINCE_BITMAP "\",\"bitmaps\":[");
    for (size_t i = 0; i < 2 && d->since[i][0]; i++) {
        wire_text_adds(t, i ? ",{" : "{");
        window_print_text(t, "node", d->node);
        wire_text_adds(t, ",");
        window_print_text(t, "name", d->since[i]);
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "]}}");
}

void window_build_since(struct window *w, struct window_disk *d, struct wire_text *t)
{
    bool first = true;

    (void)d;
    wire_text_adds(t, "{\"actions\":[");
    for (size_t i = 0; i < w->disks_n; i++) {
        if (!w->disks[i].since[0][0])
            continue;
        wire_text_adds(t, first ? "" : ",");
        first = false;
        print_since(w, &w->disks[i], t);
    }
    wire_text_adds(t, "]}");
}

void window_sent_since(struct window *w, struct window_disk *d)
{
    (void)d;
    for (size_t i = 0; i < w->disks_n; i++)
        w->disks[i].since_there = w->disks[i].since[0][0];
}

/* ---- forgetting checkpoints ---- */

int window_forget(struct window *w, const char *name, struct err *e)
{
    bool any = false;

    for (size_t i = 0; i < w->disks_n; i++) {
        struct window_disk *d = &w->disks[i];

        d->forgets = find_checkpoint(w, d, name) ||
                     (d->checkpointed && w->config.checkpoint && strcmp(w->config.checkpoint, name) == 0);
        any = any || d->forgets;
    }
    if (!any || !window_checkpoint_is_valid(name))
        return err_set(e, ENOENT, "guest '%s' has no checkpoint '%s'", w->config.guest, text_show(name, strlen(name)).s);
    wire_text_copy(w->forget, sizeof(w->forget), name);
    return 0;
}

/* A checkpoint of an exposure that nobody could read marks nothing. */
static bool is_void(const struct window *w, const struct window_disk *d)
{
    return d->checkpointed && !w->was_exposed;
}

bool window_needs_checkpoint_settled(const struct window *w, const struct window_disk *d)
{
    bool any = false;

    (void)d;
    for (size_t i = 0; i < w->disks_n; i++)
        any = any || is_void(w, &w->disks[i]) || w->disks[i].forgets;
    return any;
}

void window_build_checkpoint_settled(struct window *w, struct window_disk *d, struct wire_text *t)
{
    bool first = true;

    (void)d;
    wire_text_adds(t, "{\"actions\":[");
    for (size_t i = 0; i < w->disks_n; i++) {
        const struct window_disk *disk = &w->disks[i];
        bool voids = is_void(w, disk), is_same = voids && strcmp(w->forget, w->config.checkpoint) == 0;

        if (voids) {
            print_bitmap(t, &first, "block-dirty-bitmap-remove", disk, w->config.checkpoint);
            wire_text_adds(t, "}}");
        }
        if (disk->forgets && !is_same) {
            print_bitmap(t, &first, "block-dirty-bitmap-remove", disk, w->forget);
            wire_text_adds(t, "}}");
        }
    }
    wire_text_adds(t, "]}");
}

int window_checkpoint_unsettled(struct window *w, struct window_disk *d, struct err *e)
{
    (void)d;
    if (!w->was_exposed && !w->forget[0])
        return 0; /* it was never added, as the failure says */
    return err_wrap(e, "a checkpoint of guest '%s' could not be forgotten", w->config.guest);
}
