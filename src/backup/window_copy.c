/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "qmp_message.h"
#include "window_private.h"

/* The copy: ballast-copy, its targets, QEMU's jobs; and what becomes of the bitmaps. */

/* ---- COPY ---- */

/* Between `disks` and the checkpoint: its fleecing image has the old size, and a snapshot that is larger breaks. */
static int check_size(struct window *w, const struct window_disk *d, struct json_object *nodes, struct err *e)
{
    for (size_t i = 0; json_object_is_type(nodes, json_type_array) && i < json_object_array_length(nodes); i++) {
        struct json_object *node = json_object_array_get_idx(nodes, i), *image;
        const char *name = "";
        uint64_t size;

        if (!qmp_get_string(node, "node-name", &name) || strcmp(name, d->node) != 0 ||
            !qmp_get_object(node, "image", &image) || !qmp_get_u64(image, "virtual-size", &size) || size == d->size_bytes)
            continue;
        window_set_hint(w, "run the backup again: it takes the new size");
        return err_set(e, EAGAIN, "disk '%s' of guest '%s' was resized from %" PRIu64 " to %" PRIu64 " bytes while its "
                       "backup began", d->name, w->config.guest, d->size_bytes, size);
    }
    return 0;
}

int window_take_dirty(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    int r = window_take_nodes_left(w, d, v, e); /* reads bitmaps along the way */

    for (size_t i = 0; r == 0 && i < w->disks_n; i++) {
        struct window_disk *disk = &w->disks[i];

        r = check_size(w, disk, v, e);
        if (r < 0 || !disk->plan.base)
            continue;
        r = err_set(e, EPROTO, "QEMU no longer shows the record of changes of disk '%s'", disk->name);
        for (size_t k = 0; k < disk->bitmaps_n; k++) {
            if (disk->bitmaps[k].number != disk->plan.base)
                continue;
            disk->dirty_bytes = disk->bitmaps[k].count_bytes;
            e->code = r = 0;
        }
    }
    return r;
}

/* The point's name. Always later than the newest one's: two within a second, or a clock that was set back. */
int64_t window_point_utc_usec(const struct window *w)
{
    int64_t usec = w->checkpoint_utc_usec;
    struct tm tm = {0};

    if (w->parent[0] && strptime(w->parent, "%Y%m%dT%H%M%SZ", &tm) && usec / 1000000 <= timegm(&tm))
        usec = ((int64_t)timegm(&tm) + 1) * 1000000;
    return usec;
}

void window_build_job(struct window *w, struct window_disk *d, struct wire_text *t)
{
    char time[WINDOW_NAME_SIZE];

    (void)d;
    window_print_time(window_point_utc_usec(w), time, sizeof(time));
    wire_text_adds(t, "{");
    window_print_text(t, "repository", w->config.repository);
    wire_text_adds(t, ",");
    window_print_text(t, "guest", w->config.identity);
    wire_text_adds(t, ",");
    window_print_text(t, "name", w->config.guest);
    wire_text_adds(t, ",");
    window_print_text(t, "time", time);
    wire_text_format(t, ",\"bandwidth_bytes_per_second\":%" PRIu64 ",\"stall_ms\":%" PRIu64 ",\"disks\":[",
                     w->config.bandwidth_bytes, w->config.times.stall_usec / 1000);
    for (size_t i = 0; i < w->disks_n; i++) {
        struct window_disk *disk = &w->disks[i];

        wire_text_adds(t, i ? ",{" : "{");
        window_print_text(t, "name", disk->name);
        wire_text_format(t, ",\"size_bytes\":%" PRIu64 ",", disk->size_bytes);
        window_print_text(t, "socket", disk->socket);
        if (disk->plan.base) {
            wire_text_format(t, ",\"kind\":\"incremental\",\"dirty_bytes\":%" PRIu64 ",", disk->dirty_bytes);
            window_print_text(t, "parent", w->parent);
        } else {
            wire_text_adds(t, ",\"kind\":\"full\",\"parent\":null");
        }
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "]}");
}

void window_sent_job(struct window *w, struct window_disk *d)
{
    (void)d;
    w->copier_there = true;
}

/* Its chunks must be those of the bitmaps. */
int window_take_job(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    uint64_t chunk = 0;

    (void)d;
    if (!qmp_get_u64(v, "chunk_bytes", &chunk) || chunk != w->chunk_bytes)
        return err_set(e, EPROTO, "ballast-copy works with chunks of %" PRIu64 " bytes, the repository's are %" PRIu64,
                       chunk, w->chunk_bytes);
    return 0;
}

void window_build_target(struct window *w, struct window_disk *d, struct wire_text *t)
{
    wire_text_adds(t, "{\"driver\":\"nbd\",");
    window_print_node(w, d, t, "node-name", WINDOW_NODE_TARGET);
    wire_text_adds(t, ",\"export\":\"\",\"open-timeout\":2,\"detect-zeroes\":\"on\",\"server\":{\"type\":\"unix\",");
    window_print_text(t, "path", d->socket);
    wire_text_adds(t, "}}");
}

void window_sent_target(struct window *w, struct window_disk *d)
{
    (void)w;
    d->target_there = true;
}

/* Bytes and requests that a job has on their way. ballast-copy holds back what is beyond the bandwidth, and whoever drains the
 * disk (a reset of the guest, `stop`) waits for all of it: a quarter of a second's worth, or the least that QEMU sends. (The job's
 * own `speed` counts zeroes, too: an empty disk took its size / bandwidth instead of a moment, and a drain waited as long.) */
static void print_perf(const struct window *w, struct wire_text *t)
{
    uint64_t each = w->config.bandwidth_bytes / 4 / (w->disks_n ? w->disks_n : 1), chunk = WINDOW_REQUEST_MAX, workers;

    if (!w->config.bandwidth_bytes)
        each = WINDOW_WORKERS_MAX * WINDOW_REQUEST_MAX;
    while (chunk > WINDOW_REQUEST_MIN && chunk > each)
        chunk /= 2;
    workers = each / chunk;
    if (workers < 1)
        workers = 1;
    if (workers > WINDOW_WORKERS_MAX)
        workers = WINDOW_WORKERS_MAX;
    wire_text_format(t, ",\"x-perf\":{\"max-workers\":%" PRIu64 ",\"max-chunk\":%" PRIu64 "}", workers, chunk);
}

static void print_job(const struct window *w, const struct window_disk *d, struct wire_text *t)
{
    if (d->plan.base) {
        wire_text_adds(t, "{\"type\":\"block-dirty-bitmap-add\",\"data\":{");
        window_print_node(w, d, t, "node", WINDOW_NODE_ACCESS);
        wire_text_format(t, ",\"name\":\"" WINDOW_JOB_BITMAP "\",\"disabled\":true,\"granularity\":%" PRIu64 "}},",
                         w->chunk_bytes);
        wire_text_adds(t, "{\"type\":\"block-dirty-bitmap-merge\",\"data\":{");
        window_print_node(w, d, t, "node", WINDOW_NODE_ACCESS);
        wire_text_adds(t, ",\"target\":\"" WINDOW_JOB_BITMAP "\",\"bitmaps\":[{");
        window_print_text(t, "node", d->node);
        wire_text_format(t, ",\"name\":\"%s%" PRIu64 "\"}]}},", w->bitmap_prefix, d->plan.base);
    }
    wire_text_adds(t, "{\"type\":\"blockdev-backup\",\"data\":{");
    window_print_node(w, d, t, "job-id", WINDOW_JOB);
    wire_text_adds(t, ",");
    window_print_node(w, d, t, "device", WINDOW_NODE_ACCESS);
    wire_text_adds(t, ",");
    window_print_node(w, d, t, "target", WINDOW_NODE_TARGET);
    wire_text_adds(t, d->plan.base ? ",\"sync\":\"bitmap\",\"bitmap\":\"" WINDOW_JOB_BITMAP "\",\"bitmap-mode\":\"never\""
                                   : ",\"sync\":\"full\"");
    wire_text_adds(t, ",\"auto-dismiss\":false");
    print_perf(w, t);
    wire_text_adds(t, "}}");
}

void window_build_push(struct window *w, struct window_disk *d, struct wire_text *t)
{
    (void)d;
    wire_text_adds(t, "{\"actions\":[");
    for (size_t i = 0; i < w->disks_n; i++) {
        wire_text_adds(t, i ? "," : "");
        print_job(w, &w->disks[i], t);
    }
    wire_text_adds(t, "]}");
}

void window_sent_push(struct window *w, struct window_disk *d)
{
    (void)d;
    for (size_t i = 0; i < w->disks_n; i++)
        w->disks[i].job_there = true;
}

/* ---- SETTLE ---- */

bool window_needs_finish(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return !w->failed && !w->finish_sent;
}

void window_build_finish(struct window *w, struct window_disk *d, struct wire_text *t)
{
    (void)d;
    wire_text_adds(t, "{\"manifest\":");
    window_print_facts(w, t);
    wire_text_adds(t, "}");
}

void window_sent_finish(struct window *w, struct window_disk *d)
{
    (void)d;
    w->finish_sent = true;
}

int window_take_finish(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    const char *point = "";

    (void)d;
    if (!qmp_get_string(v, "committed", &point) || !point[0])
        return err_set(e, EPROTO, "ballast-copy ended without naming its point");
    (void)snprintf(w->point, sizeof(w->point), "%s", point);
    w->committed = true;
    w->copier_there = false;
    return 0;
}

/* After `finish` was sent and not answered nobody knows whether the point is there: both bitmaps stay, and the next
 * backup goes on from the one that the repository names. */
bool window_needs_bitmaps(const struct window *w, const struct window_disk *d)
{
    bool any = false;

    (void)d;
    for (size_t i = 0; i < w->disks_n; i++)
        any = any || (w->disks[i].dirtied && (!w->committed || w->disks[i].plan.base));
    return any && (w->committed || !w->finish_sent);
}

void window_build_bitmaps(struct window *w, struct window_disk *d, struct wire_text *t)
{
    bool first = true;

    (void)d;
    wire_text_adds(t, "{\"actions\":[");
    for (size_t i = 0; i < w->disks_n; i++) {
        const struct window_disk *disk = &w->disks[i];

        if (disk->dirtied && w->committed)
            bitmap_print_commit(t, &first, &disk->plan, disk->node, w->bitmap_prefix);
        else if (disk->dirtied)
            bitmap_print_fold(t, &first, &disk->plan, disk->node, w->bitmap_prefix);
    }
    wire_text_adds(t, "]}");
}

/* Where the switch itself was refused there is nothing to fold back; whatever is there, the next backup looks at it. */
int window_bitmaps_refused(struct window *w, struct window_disk *d, struct err *e)
{
    (void)w;
    (void)d;
    (void)e;
    return 0;
}
