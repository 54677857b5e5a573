/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "qmp_message.h"
#include "text.h"
#include "window_private.h"

/* What of ours is in QEMU, by its own word: a command that got no answer may have worked, and an earlier ballastd may
 * have left anything. */

bool window_needs_undo(const struct window *w, const struct window_disk *d)
{
    (void)d;
    if (w->config.recover || w->resume || w->nbd_there)
        return true;
    for (size_t i = 0; i < w->disks_n; i++) {
        const struct window_disk *disk = &w->disks[i];

        if (disk->fleece_there || disk->filter_there || disk->plugged || disk->access_there || disk->target_there ||
            disk->job_there || disk->export_there)
            return true;
    }
    return false;
}

/* All that follows goes by these answers. */
int window_look_again(struct window *w, struct window_disk *d, struct err *e)
{
    (void)d;
    return w->tries + 1 < WINDOW_LOOK_TRIES ? WINDOW_AGAIN : -e->code;
}

/* The number behind prefix; false: not such a name, or not one that we give. */
bool window_number_of(const char *name, const char *prefix, size_t *ret)
{
    const char *digits = name + strlen(prefix);

    if (strncmp(name, prefix, strlen(prefix)) != 0 || strlen(digits) < 1 || strlen(digits) > 2 ||
        strspn(digits, "0123456789") != strlen(digits))
        return false;
    *ret = strtoul(digits, NULL, 10);
    return *ret < WINDOW_DISKS_MAX;
}

/* The disk of that number; after a restart they are known only by this. */
struct window_disk *window_disk_numbered(struct window *w, size_t number)
{
    while (w->disks_n <= number)
        w->disks[w->disks_n++] = (struct window_disk){0};
    return &w->disks[number];
}

/* For each job of ours: id, status, error. */
static void look_at_jobs(struct window *w, struct json_object *v)
{
    for (size_t i = 0; i < w->disks_n; i++)
        w->disks[i].job_there = w->disks[i].job_concluded = false;
    for (size_t i = 0; json_object_is_type(v, json_type_array) && i < json_object_array_length(v); i++) {
        struct json_object *job = json_object_array_get_idx(v, i);
        const char *id = "", *status = "";
        struct window_disk *d;
        size_t number;

        (void)qmp_get_string(job, "id", &id);
        (void)qmp_get_string(job, "status", &status);
        if (!window_number_of(id, WINDOW_JOB, &number))
            continue;
        d = window_disk_numbered(w, number);
        d->job_there = true;
        d->job_concluded = strcmp(status, "concluded") == 0;
        (void)qmp_get_u64(job, "current-progress", &d->pushed_bytes);
    }
}

static struct json_object *job_of(struct json_object *v, const struct window *w, const struct window_disk *d)
{
    const char *id = "";
    size_t number;

    for (size_t i = 0; json_object_is_type(v, json_type_array) && i < json_object_array_length(v); i++) {
        struct json_object *job = json_object_array_get_idx(v, i);

        if (qmp_get_string(job, "id", &id) && window_number_of(id, WINDOW_JOB, &number) && number == window_disk_index(w, d))
            return job;
    }
    return NULL;
}

int window_take_pushed(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    bool all = true;

    (void)d;
    look_at_jobs(w, v);
    for (size_t i = 0; i < w->disks_n; i++) {
        const struct window_disk *disk = &w->disks[i];
        const char *error = "it vanished";

        if (disk->job_there && !disk->job_concluded) {
            all = false;
            continue;
        }
        if (disk->job_there && !qmp_get_string(job_of(v, w, disk), "error", &error))
            continue;
        if (!w->job_failed) { /* ballast-copy may just be saying why */
            w->job_failed = true;
            return WINDOW_AGAIN;
        }
        if (strstr(error, "Permission denied") || strstr(error, "Invalid argument")) { /* read from a broken snapshot */
            window_set_hint(w, "make room there or see what hangs (df, dmesg); the guest is not affected, run the backup again");
            return err_set(e, EIO, "the old data that guest '%s' overwrote on disk '%s' during the copy could not be kept in "
                           "'%s/fleece': that is full, or hangs", w->config.guest, disk->name, w->config.state_dir);
        }
        window_set_hint(w, "see the log of ballastd; the guest is not affected, run the backup again");
        return err_set(e, EIO, "QEMU's copy of disk '%s' of guest '%s' ended: %s", disk->name, w->config.guest,
                       text_show(error, strlen(error)).s);
    }
    w->copied = all;
    return all ? 0 : WINDOW_AGAIN;
}

int window_take_jobs_left(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)e;
    look_at_jobs(w, v);
    return 0;
}

int window_take_concluded(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    look_at_jobs(w, v);
    for (size_t i = 0; i < w->disks_n; i++) {
        if (!w->disks[i].job_there || w->disks[i].job_concluded)
            continue;
        if (w->now_usec < w->step_since_usec + w->config.times.stall_usec + WINDOW_CONCLUDE_USEC)
            return WINDOW_AGAIN;
        w->gone = true; /* whatever else is tried now would hang QEMU and its guest */
        return err_set(e, ETIMEDOUT, "QEMU's copy of a disk of guest '%s' does not end, and stays in QEMU with all that "
                       "belongs to it; the next backup tries again to remove it", w->config.guest);
    }
    return 0;
}

int window_take_nodes_left(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)e;
    for (size_t i = 0; i < w->disks_n; i++)
        w->disks[i].fleece_there = w->disks[i].filter_there = w->disks[i].access_there = w->disks[i].target_there = false;
    for (size_t i = 0; json_object_is_type(v, json_type_array) && i < json_object_array_length(v); i++) {
        const char *name = "";
        size_t n;

        (void)qmp_get_string(json_object_array_get_idx(v, i), "node-name", &name);
        if (window_number_of(name, WINDOW_NODE_FLEECE, &n))
            window_disk_numbered(w, n)->fleece_there = true;
        else if (window_number_of(name, WINDOW_NODE_FILTER, &n))
            window_disk_numbered(w, n)->filter_there = true;
        else if (window_number_of(name, WINDOW_NODE_ACCESS, &n))
            window_disk_numbered(w, n)->access_there = true;
        else if (window_number_of(name, WINDOW_NODE_TARGET, &n))
            window_disk_numbered(w, n)->target_there = true;
    }
    window_read_bitmaps(w, v);
    return 0;
}

/* `qom-set drive` to the node that the disk has already aborts QEMU: only what query-block shows on our filter goes back. */
int window_take_blocks_left(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)e;
    w->looked = true;
    for (size_t i = 0; i < w->disks_n; i++)
        w->disks[i].plugged = false;
    for (size_t i = 0; json_object_is_type(v, json_type_array) && i < json_object_array_length(v); i++) {
        struct json_object *block = json_object_array_get_idx(v, i), *inserted;
        const char *node = "", *qdev = "";
        struct window_disk *disk;
        size_t n;

        if (!qmp_get_object(block, "inserted", &inserted) || !qmp_get_string(inserted, "node-name", &node) ||
            !window_number_of(node, WINDOW_NODE_FILTER, &n))
            continue;
        disk = window_disk_numbered(w, n);
        (void)qmp_get_string(block, "qdev", &qdev);
        disk->plugged = qdev[0] && strlen(qdev) < sizeof(disk->device);
        if (disk->plugged)
            (void)snprintf(disk->device, sizeof(disk->device), "%s", qdev);
    }
    return 0;
}

bool window_needs_graph(const struct window *w, const struct window_disk *d)
{
    (void)d;
    for (size_t i = 0; i < w->disks_n; i++)
        if (w->disks[i].plugged && !w->disks[i].node[0])
            return true;
    return false;
}

/* The name of the node with that number. */
static const char *graph_name(struct json_object *nodes, uint64_t id)
{
    const char *name = "";
    uint64_t this;

    for (size_t i = 0; i < json_object_array_length(nodes); i++) {
        struct json_object *node = json_object_array_get_idx(nodes, i);

        if (qmp_get_u64(node, "id", &this) && this == id && qmp_get_string(node, "name", &name))
            return name;
    }
    return "";
}

int window_take_graph(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    struct json_object *nodes, *edges;

    (void)d;
    if (!qmp_get_array(v, "nodes", &nodes) || !qmp_get_array(v, "edges", &edges))
        return err_set(e, EPROTO, "QEMU does not say which disk is below a filter of ours");
    for (size_t i = 0; i < json_object_array_length(edges); i++) {
        struct json_object *edge = json_object_array_get_idx(edges, i);
        uint64_t parent, child;
        const char *role = "";
        struct window_disk *disk;
        size_t n;

        if (!qmp_get_u64(edge, "parent", &parent) || !qmp_get_u64(edge, "child", &child) ||
            !qmp_get_string(edge, "name", &role) || strcmp(role, "file") != 0 ||
            !window_number_of(graph_name(nodes, parent), WINDOW_NODE_FILTER, &n))
            continue;
        disk = window_disk_numbered(w, n);
        if (!disk->node[0] && strlen(graph_name(nodes, child)) < sizeof(disk->node))
            (void)snprintf(disk->node, sizeof(disk->node), "%s", graph_name(nodes, child));
    }
    return 0;
}

/* ---- TEARDOWN: by the flags that the looks before have set ---- */

bool window_needs_copy_end(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->failed && w->copier_there;
}

int window_take_copy_end(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)v;
    (void)e;
    w->copier_there = false;
    return 0;
}

bool window_has_job(const struct window *w, const struct window_disk *d)
{
    (void)w;
    return d->job_there;
}

bool window_has_running_job(const struct window *w, const struct window_disk *d)
{
    (void)w;
    return d->job_there && !d->job_concluded;
}

bool window_has_any_job(const struct window *w, const struct window_disk *d)
{
    (void)d;
    for (size_t i = 0; i < w->disks_n; i++)
        if (window_has_running_job(w, &w->disks[i]))
            return true;
    return false;
}

void window_build_job_cancel(struct window *w, struct window_disk *d, struct wire_text *t)
{
    wire_text_adds(t, "{\"force\":true,");
    window_print_node(w, d, t, "device", WINDOW_JOB);
    wire_text_adds(t, "}");
}

void window_build_job_id(struct window *w, struct window_disk *d, struct wire_text *t)
{
    wire_text_adds(t, "{");
    window_print_node(w, d, t, "id", WINDOW_JOB);
    wire_text_adds(t, "}");
}

bool window_has_target(const struct window *w, const struct window_disk *d)
{
    (void)w;
    return d->target_there;
}

bool window_has_access(const struct window *w, const struct window_disk *d)
{
    (void)w;
    return d->access_there;
}

bool window_is_plugged(const struct window *w, const struct window_disk *d)
{
    return w->looked && d->plugged && d->node[0];
}

bool window_has_filter(const struct window *w, const struct window_disk *d)
{
    (void)w;
    return d->filter_there;
}

bool window_has_fleece(const struct window *w, const struct window_disk *d)
{
    (void)w;
    return d->fleece_there;
}

/* A server that does not answer is not waited for: blockdev-del would. */
void window_build_yank(struct window *w, struct window_disk *d, struct wire_text *t)
{
    wire_text_adds(t, "{\"instances\":[{\"type\":\"block-node\",");
    window_print_node(w, d, t, "node-name", WINDOW_NODE_TARGET);
    wire_text_adds(t, "}]}");
}

static void build_node(struct window *w, struct window_disk *d, struct wire_text *t, const char *prefix)
{
    wire_text_adds(t, "{");
    window_print_node(w, d, t, "node-name", prefix);
    wire_text_adds(t, "}");
}

void window_build_drop_target(struct window *w, struct window_disk *d, struct wire_text *t)
{
    build_node(w, d, t, WINDOW_NODE_TARGET);
}

void window_build_drop_access(struct window *w, struct window_disk *d, struct wire_text *t)
{
    build_node(w, d, t, WINDOW_NODE_ACCESS);
}

void window_build_drop_filter(struct window *w, struct window_disk *d, struct wire_text *t)
{
    build_node(w, d, t, WINDOW_NODE_FILTER);
}

void window_build_drop_fleece(struct window *w, struct window_disk *d, struct wire_text *t)
{
    build_node(w, d, t, WINDOW_NODE_FLEECE);
}

void window_build_unplug(struct window *w, struct window_disk *d, struct wire_text *t)
{
    (void)w;
    wire_text_adds(t, "{");
    window_print_text(t, "path", d->device);
    wire_text_adds(t, ",\"property\":\"drive\",");
    window_print_text(t, "value", d->node);
    wire_text_adds(t, "}");
}

void window_build_remove(struct window *w, struct window_disk *d, struct wire_text *t)
{
    (void)d;
    wire_text_adds(t, "{\"remove\":");
    window_print_helper_names(w, t);
    wire_text_adds(t, "}");
}

bool window_has_fleece_files(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return !w->fleece_hangs && (w->config.recover || w->resume || (w->disks_n > 0 && w->disks[0].fleece[0]));
}

/* ---- what has left */

int window_take_job_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)w, (void)v, (void)e;
    d->job_there = false;
    return 0;
}

int window_take_target_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)w, (void)v, (void)e;
    d->target_there = false;
    return 0;
}

int window_take_access_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)w, (void)v, (void)e;
    d->access_there = false;
    return 0;
}

int window_take_filter_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)w, (void)v, (void)e;
    d->filter_there = false;
    return 0;
}

int window_take_fleece_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)w, (void)v, (void)e;
    d->fleece_there = false;
    return 0;
}

int window_take_unplugged(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)w, (void)v, (void)e;
    d->plugged = false;
    return 0;
}
