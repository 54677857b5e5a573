/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "qmp_message.h"
#include "window_private.h"

/* The window itself: what happens while the guest stands still, and its end. */

void window_sent_freeze(struct window *w, struct window_disk *d)
{
    (void)d;
    w->freeze_sent = w->window_open = true;
    w->freeze_usec = w->now_usec;
    w->env.frozen(w->env.user, true);
}

bool window_needs_stop(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->was_running;
}

void window_sent_stop(struct window *w, struct window_disk *d)
{
    (void)d;
    w->stop_sent = w->window_open = true;
    w->stop_usec = w->now_usec;
    w->env.frozen(w->env.user, true);
}

int window_take_stop(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)v;
    (void)e;
    w->stopped_usec = w->now_usec;
    return 0;
}

void window_build_switch(struct window *w, struct window_disk *d, struct wire_text *t)
{
    bool first = true;

    (void)d;
    wire_text_adds(t, "{\"actions\":[");
    for (size_t i = 0; i < w->disks_n; i++)
        bitmap_print_switch(t, &first, &w->disks[i].plan, w->disks[i].node, w->bitmap_prefix, w->disks[i].keeps_bitmaps,
                            w->chunk_bytes);
    wire_text_adds(t, "]}");
}

void window_sent_switch(struct window *w, struct window_disk *d)
{
    (void)d;
    w->checkpoint_utc_usec = w->utc_usec;
    for (size_t i = 0; i < w->disks_n; i++)
        w->disks[i].dirtied = true;
}

void window_build_filter(struct window *w, struct window_disk *d, struct wire_text *t)
{
    wire_text_adds(t, "{\"driver\":\"copy-before-write\",");
    window_print_node(w, d, t, "node-name", WINDOW_NODE_FILTER);
    wire_text_adds(t, ",");
    window_print_text(t, "file", d->node);
    wire_text_adds(t, ",");
    window_print_node(w, d, t, "target", WINDOW_NODE_FLEECE);
    wire_text_format(t, ",\"on-cbw-error\":\"break-snapshot\",\"cbw-timeout\":%" PRIu64,
                     w->config.times.fleece_usec / 1000000);
    if (d->plan.base) { /* writes to what the copy does not read cost nothing */
        wire_text_adds(t, ",\"bitmap\":{");
        window_print_text(t, "node", d->node);
        wire_text_format(t, ",\"name\":\"%s%" PRIu64 "\"}", w->bitmap_prefix, d->plan.base);
    }
    wire_text_adds(t, "}");
}

void window_sent_filter(struct window *w, struct window_disk *d)
{
    d->filter_there = true;
    if (!w->checkpoint_utc_usec) /* no bitmap was switched: the guest stands still, it is the same instant */
        w->checkpoint_utc_usec = w->utc_usec;
}

void window_build_plug(struct window *w, struct window_disk *d, struct wire_text *t)
{
    wire_text_adds(t, "{");
    window_print_text(t, "path", d->device);
    wire_text_adds(t, ",\"property\":\"drive\",");
    window_print_node(w, d, t, "value", WINDOW_NODE_FILTER);
    wire_text_adds(t, "}");
}

void window_sent_plug(struct window *w, struct window_disk *d)
{
    (void)w;
    d->plugged = true;
}

void window_build_access(struct window *w, struct window_disk *d, struct wire_text *t)
{
    wire_text_adds(t, "{\"driver\":\"snapshot-access\",\"read-only\":true,");
    window_print_node(w, d, t, "node-name", WINDOW_NODE_ACCESS);
    wire_text_adds(t, ",");
    window_print_node(w, d, t, "file", WINDOW_NODE_FILTER);
    wire_text_adds(t, "}");
}

void window_sent_access(struct window *w, struct window_disk *d)
{
    (void)w;
    d->access_there = true;
}

/* ---- CLOSE ---- */

bool window_needs_cont(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->stop_sent && !w->cont_done; /* also where the guardian acted: it may have come before our stop */
}

void window_sent_cont(struct window *w, struct window_disk *d)
{
    (void)d;
    if (!w->continue_usec)
        w->continue_usec = w->now_usec;
}

int window_take_cont(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)v;
    (void)e;
    w->cont_done = true;
    w->cont_usec = w->now_usec;
    return 0;
}

int window_cont_refused(struct window *w, struct window_disk *d, struct err *e)
{
    (void)d;
    return w->tries + 1 < WINDOW_CONT_TRIES ? WINDOW_AGAIN : -e->code;
}

/* What the two steps before could not do. */
bool window_needs_act(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->armed && !w->acted &&
           ((w->stop_sent && !w->cont_done) || (w->freeze_sent && !w->thaw_done));
}

int window_take_act(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)v;
    (void)e;
    w->acted = true;
    if (!w->cont_usec)
        w->cont_usec = w->now_usec;
    if (!w->thawed_usec)
        w->thawed_usec = w->now_usec;
    return 0;
}

bool window_needs_disarm(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->armed && !w->acted;
}

int window_take_disarm(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)v;
    (void)e;
    w->armed = false;
    return 0;
}

bool window_needs_clear(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->window_open;
}

/* Not a wait: the clock's answer is where the window is over, whatever went wrong in it. */
int window_take_clear(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)v;
    w->window_open = false;
    w->env.frozen(w->env.user, false);
    if (w->frozen && w->frozen_count && w->thaw_done && w->thawed_count >= w->frozen_count)
        w->consistency = WINDOW_FS;
    if (!w->failed && w->config.freeze == WINDOW_FREEZE_REQUIRE && w->consistency != WINDOW_FS) {
        window_set_hint(w, "look who thaws file systems in the guest (a script, an administrator), or use --freeze prefer");
        return err_set(e, EREMOTEIO, "the freeze of guest '%s' did not hold: %" PRIu64 " file systems were frozen, and "
                       "only %" PRIu64 " were still when it was thawed", w->config.guest, w->frozen_count,
                       w->thawed_count);
    }
    if (w->frozen && w->consistency != WINDOW_FS)
        window_add_note(w, "the freeze did not hold (%" PRIu64 " file systems frozen, %" PRIu64 " thawed): the point is as "
                        "after a power failure", w->frozen_count, w->thawed_count);
    return 0;
}
