/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "window_private.h"

/* What a window tells: to those who look at it, and the manifest (docs/repository-format.md: facts). */

const char *window_consistency_text(enum window_consistency c)
{
    static const char *const texts[WINDOW_CONSISTENCY_COUNT] = {"crash", "paused", "fs"};

    return texts[c];
}

const char *window_freeze_text(enum window_freeze f)
{
    static const char *const texts[WINDOW_FREEZE_COUNT] = {"prefer", "require", "never"};

    return texts[f];
}

void window_print_text(struct wire_text *t, const char *key, const char *value)
{
    wire_text_format(t, "\"%s\":", key);
    wire_text_string(t, value);
}

void window_print_node(const struct window *w, const struct window_disk *d, struct wire_text *t, const char *key,
                       const char *prefix)
{
    wire_text_format(t, "\"%s\":\"%s%zu\"", key, prefix, window_disk_index(w, d));
}

/* As the repository writes times of points: 20261124T150000Z. */
void window_print_time(int64_t utc_usec, char *to, size_t size)
{
    time_t seconds = (time_t)(utc_usec / 1000000);
    struct tm tm = {0};

    (void)gmtime_r(&seconds, &tm);
    if (strftime(to, size, "%Y%m%dT%H%M%SZ", &tm) == 0)
        to[0] = '\0';
}

static void print_disks(const struct window *w, struct wire_text *t)
{
    wire_text_adds(t, ",\"disks\":{");
    for (size_t i = 0; i < w->disks_n; i++) {
        const struct window_disk *d = &w->disks[i];

        wire_text_adds(t, i ? "," : "");
        wire_text_string(t, d->name);
        wire_text_format(t, ":{\"bitmap\":%" PRIu64 ",\"size_bytes\":%" PRIu64 ",\"dirty_bytes\":%" PRIu64 ",",
                         d->plan.next, d->size_bytes, d->dirty_bytes);
        window_print_text(t, "read", d->plan.base ? "incremental" : "full");
        wire_text_adds(t, ",");
        window_print_text(t, "why", bitmap_reason_text(d->plan.reason));
        wire_text_adds(t, ",");
        window_print_text(t, "device", d->device);
        wire_text_adds(t, ",");
        window_print_text(t, "file", d->file);
        wire_text_adds(t, ",");
        window_print_text(t, "format", d->format);
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "}");
}

void window_print_facts(const struct window *w, struct wire_text *t)
{
    struct window_view v;

    window_look(w, &v);
    wire_text_format(t, "{\"checkpoint_usec\":%" PRId64 ",", w->checkpoint_utc_usec);
    window_print_text(t, "consistency", window_consistency_text(w->consistency));
    wire_text_adds(t, ",");
    window_print_text(t, "freeze_policy", window_freeze_text(w->config.freeze));
    wire_text_format(t, ",\"freeze_ms\":%" PRIu64 ",\"stall_ms\":%" PRIu64, v.freeze_usec / 1000, v.stop_usec / 1000);
    wire_text_format(t, ",\"file_systems_frozen\":%" PRIu64 ",\"file_systems_thawed\":%" PRIu64 ",", w->frozen_count,
                     w->thawed_count);
    window_print_text(t, "qemu_version", w->qemu_version);
    wire_text_adds(t, ",");
    window_print_text(t, "ballast_version", BALLAST_VERSION);
    wire_text_adds(t, ",\"hooks\":");
    window_print_hooks(w, t);
    wire_text_adds(t, ",\"mounts\":");
    wire_text_adds(t, w->mounts.data ? w->mounts.data : "null");
    wire_text_adds(t, ",\"command_line\":");
    wire_text_adds(t, w->definition ? w->definition : "null");
    print_disks(w, t);
    if (w->config.grouped && w->env.print_group) {
        wire_text_adds(t, ",\"group\":");
        w->env.print_group(w->env.user, t);
    }
    wire_text_adds(t, ",\"notes\":[");
    for (size_t i = 0; i < w->notes_n; i++) {
        wire_text_adds(t, i ? "," : "");
        wire_text_string(t, w->notes[i]);
    }
    wire_text_adds(t, "]}");
}

/* ---- looking at it ---- */

void window_look(const struct window *w, struct window_view *ret)
{
    unsigned at = w->at < window_step_count ? w->at : window_step_count - 1;

    *ret = (struct window_view){
        .step = window_steps[at].name,
        .step_number = at + 1,
        .phase = window_steps[at].phase,
        .done = w->finished,
        .failed = w->failed && !(w->committed && w->config.mode == WINDOW_BACKUP),
        .abandoned = w->abandoned,
        .error = w->error.text,
        .hint = w->hint,
        .failed_step = w->failed_step,
        .point = w->committed ? w->point : "",
        .left = w->left,
        .hook = window_hook_failure(w),
        .consistency = w->consistency,
        .checkpoint_utc_usec = w->checkpoint_utc_usec,
        .frozen_count = w->frozen_count,
        .thawed_count = w->thawed_count,
        .freeze_usec = w->thawed_usec > w->freeze_usec && w->freeze_sent ? w->thawed_usec - w->freeze_usec : 0,
        .stop_usec = w->cont_usec > w->stop_usec && w->stop_sent ? w->cont_usec - w->stop_usec : 0,
        .disks_n = w->disks_n,
        .notes_n = w->notes_n,
        .notes_more = w->notes_more,
        .is_exposed = w->is_exposed,
        .was_exposed = w->was_exposed,
        .from_repository = w->from_repository,
        .since = w->config.since ? w->config.since : "",
        .checkpoint = w->config.checkpoint ? w->config.checkpoint : "",
        .end_reason = w->end_reason,
        .lease_until_usec = w->lease_until_usec,
        .exposed_usec = w->exposed_usec,
        .unexposed_usec = w->unexposed_usec,
        .fleece_bytes = w->fleece_bytes,
        .clients = w->clients,
        .sent_bytes = w->sent_bytes,
    };
}

void window_look_instant(const struct window *w, struct window_instant *ret)
{
    *ret = (struct window_instant){
        .is_paused = w->checkpoint_utc_usec && !w->was_running,
        .stopped_usec = w->stopped_usec,
        .continued_usec = w->continue_usec,
    };
    if (w->checkpoint_utc_usec)
        window_print_time(window_point_utc_usec(w), ret->time, sizeof(ret->time));
}

void window_look_disk(const struct window *w, size_t i, struct window_disk_view *ret)
{
    const struct window_disk *d = &w->disks[i];

    *ret = (struct window_disk_view){
        .name = d->name,
        .socket = d->socket,
        .size_bytes = d->size_bytes,
        .kind = d->plan.base ? WINDOW_INCREMENTAL : WINDOW_FULL,
        .dirty_bytes = d->dirty_bytes,
        .pushed_bytes = d->pushed_bytes,
        .tells_changes = d->since_there,
    };
}

const char *window_note(const struct window *w, size_t i)
{
    return w->notes[i];
}
