/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "qmp_message.h"
#include "text.h"
#include "window_private.h"

/* While an exposure lasts (window_expose.c), and how it ends. */

/* ---- QEMU's exports, and ballast-expose before them ---- */

void window_build_export(struct window *w, struct window_disk *d, struct wire_text *t)
{
    wire_text_adds(t, "{\"type\":\"nbd\",\"writable\":false,");
    window_print_node(w, d, t, "id", WINDOW_EXPORT);
    wire_text_adds(t, ",");
    window_print_node(w, d, t, "node-name", WINDOW_NODE_ACCESS);
    wire_text_adds(t, ",");
    window_print_text(t, "name", d->name);
    if (d->since_there) {
        wire_text_adds(t, ",\"bitmaps\":[{");
        window_print_node(w, d, t, "node", WINDOW_NODE_ACCESS);
        wire_text_adds(t, ",\"name\":\"" WINDOW_SINCE_BITMAP "\"}]");
    }
    wire_text_adds(t, "}");
}

void window_sent_export(struct window *w, struct window_disk *d)
{
    (void)w;
    d->export_there = true;
}

static void print_names(const struct window *w, struct wire_text *t, const char *key)
{
    bool is_fleece = strcmp(key, "fleece") == 0;

    wire_text_format(t, ",\"%s\":[", key);
    for (size_t i = 0; i < w->disks_n; i++) {
        wire_text_adds(t, i ? "," : "");
        wire_text_string(t, is_fleece ? w->disks[i].fleece : w->disks[i].name);
    }
    wire_text_adds(t, "]");
}

void window_build_relay(struct window *w, struct window_disk *d, struct wire_text *t)
{
    char path[WINDOW_PATH_SIZE * 2], server[WINDOW_SOCKET_SIZE];

    (void)d;
    (void)snprintf(path, sizeof(path), "%s/%s.expose/qemu.nbd", w->config.socket_dir, w->config.guest);
    window_server_path(w, 0, server);
    wire_text_adds(t, "{");
    window_print_text(t, "qemu", path);
    wire_text_adds(t, ",");
    window_print_text(t, "socket", server);
    print_names(w, t, "exports");
    print_names(w, t, "fleece");
    wire_text_adds(t, "}");
}

void window_sent_server(struct window *w, struct window_disk *d)
{
    (void)d;
    w->server_there = true;
}

bool window_needs_serve(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->from_repository && w->committed;
}

void window_build_serve(struct window *w, struct window_disk *d, struct wire_text *t)
{
    const char *slash = strrchr(w->point, '/');
    char server[WINDOW_SOCKET_SIZE];

    (void)d;
    wire_text_adds(t, "{");
    window_print_text(t, "repository", w->config.repository);
    wire_text_adds(t, ",");
    window_print_text(t, "identity", w->config.identity);
    wire_text_adds(t, ",");
    window_print_text(t, "time", slash ? slash + 1 : w->point);
    print_names(w, t, "exports");
    wire_text_adds(t, ",\"sockets\":[");
    for (size_t i = 0; i < w->disks_n; i++) {
        window_server_path(w, i, server);
        wire_text_adds(t, i ? "," : "");
        wire_text_string(t, server);
    }
    wire_text_adds(t, "]}");
}

/* ---- until it is released ---- */

static void begin(struct window *w)
{
    w->is_exposed = w->was_exposed = true;
    w->exposed_usec = w->now_usec;
    w->lease_until_usec = w->now_usec + w->config.lease_usec;
}

static void end(struct window *w, const char *reason)
{
    w->is_exposed = false;
    w->unexposed_usec = w->now_usec;
    (void)snprintf(w->end_reason, sizeof(w->end_reason), "%s", reason);
}

void window_renew(struct window *w, uint64_t lease_usec, uint64_t now_usec)
{
    w->config.lease_usec = lease_usec;
    w->lease_until_usec = now_usec + lease_usec;
}

static int take_broken(struct window *w, const char *disk, struct err *e)
{
    char shown[TEXT_SHOWN_SIZE];

    (void)snprintf(shown, sizeof(shown), "%s", text_show(disk, strlen(disk)).s);
    end(w, "its fleecing image was full or too slow");
    window_set_hint(w, "what was read since its last look is not to be trusted. Old data of the disks is kept in '%s/fleece': give "
                    "it more room there, or read faster, and expose the guest again", w->config.state_dir);
    return err_set(e, ENOSPC, "disk '%s' of guest '%s' can no longer be read as it was: there was no room for old data that the "
                   "guest has overwritten, or it was not written in time", shown, w->config.guest);
}

int window_take_status_exposed(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    const char *disk = "";

    (void)d;
    if (!w->was_exposed)
        begin(w);
    (void)qmp_get_u64(v, "clients", &w->clients);
    (void)qmp_get_u64(v, "sent_bytes", &w->sent_bytes);
    (void)qmp_get_u64(v, "fleece_bytes", &w->fleece_bytes);
    if (qmp_get_string(v, "broken", &disk))
        return take_broken(w, disk, e);
    if (w->released) {
        end(w, "");
        return 0;
    }
    if (w->now_usec >= w->lease_until_usec) {
        end(w, "its lease was over and nobody had renewed it");
        window_add_note(w, "the exposure ended because its lease was over and nobody had renewed it");
        return 0;
    }
    return WINDOW_AGAIN;
}

/* ---- TEARDOWN: ballast-expose first, as its connections are what QEMU would wait for ---- */

bool window_has_server(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->server_there;
}

int window_take_server_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)v;
    (void)e;
    w->server_there = false;
    if (w->is_exposed)
        end(w, w->failed ? "it failed" : "");
    return 0;
}

/* It has ended by itself, or nobody can end it: then what it may hold is not touched. */
int window_server_gone_refused(struct window *w, struct window_disk *d, struct err *e)
{
    int code = e->code;

    (void)window_take_server_gone(w, d, NULL, e);
    if (code == EPIPE || w->from_repository)
        return 0;
    w->gone = true;
    return err_wrap(e, "the exposure of guest '%s' does not end, and stays in QEMU; the next backup tries again to remove it",
                    w->config.guest);
}

static bool look_at_exports(struct window *w, struct json_object *v)
{
    bool is_foreign = false;

    for (size_t i = 0; i < w->disks_n; i++)
        w->disks[i].export_there = false;
    for (size_t i = 0; json_object_is_type(v, json_type_array) && i < json_object_array_length(v); i++) {
        const char *id = "", *type = "";
        size_t n;

        (void)qmp_get_string(json_object_array_get_idx(v, i), "id", &id);
        (void)qmp_get_string(json_object_array_get_idx(v, i), "type", &type);
        if (window_number_of(id, WINDOW_EXPORT, &n))
            window_disk_numbered(w, n)->export_there = true;
        else
            is_foreign = is_foreign || strcmp(type, "nbd") == 0;
    }
    return is_foreign;
}

int window_take_exports_left(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    bool is_foreign = look_at_exports(w, v);

    (void)d;
    (void)e;
    /* After a restart of ballastd: a server with exports of ours is ours, one without any may be. */
    if (window_has_any_export(w, NULL) || (w->config.exposed_before && (w->config.recover || w->resume)))
        w->nbd_there = true;
    if (is_foreign)
        w->nbd_there = false;
    return 0;
}

bool window_has_export(const struct window *w, const struct window_disk *d)
{
    (void)w;
    return d->export_there;
}

bool window_has_any_export(const struct window *w, const struct window_disk *d)
{
    (void)d;
    for (size_t i = 0; i < w->disks_n; i++)
        if (w->disks[i].export_there)
            return true;
    return false;
}

void window_build_drop_export(struct window *w, struct window_disk *d, struct wire_text *t)
{
    wire_text_adds(t, "{\"mode\":\"hard\",");
    window_print_node(w, d, t, "id", WINDOW_EXPORT);
    wire_text_adds(t, "}");
}

int window_take_exports_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)look_at_exports(w, v);
    if (!window_has_any_export(w, NULL))
        return 0;
    if (w->now_usec < w->step_since_usec + WINDOW_CONCLUDE_USEC)
        return WINDOW_AGAIN;
    w->gone = true; /* whatever else is tried now would be refused, or hang QEMU */
    return err_set(e, ETIMEDOUT, "an export of guest '%s' does not end, and stays in QEMU with all that belongs to it; the next "
                   "backup tries again to remove it", w->config.guest);
}

bool window_has_nbd(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->nbd_there;
}

int window_take_nbd_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)v;
    (void)e;
    w->nbd_there = false;
    return 0;
}

/* After a restart of ballastd it was only a guess that one runs. */
int window_nbd_gone_refused(struct window *w, struct window_disk *d, struct err *e)
{
    (void)d;
    w->nbd_there = false;
    if (strstr(e->text, "not running"))
        return 0;
    return err_wrap(e, "the NBD server in the QEMU of guest '%s' could not be ended", w->config.guest);
}

/* What of an exposure's files goes now: those of a served point when that has ended. */
bool window_needs_served_remove(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->from_repository;
}

void window_build_served_remove(struct window *w, struct window_disk *d, struct wire_text *t)
{
    (void)d;
    wire_text_adds(t, "{\"remove\":[");
    window_print_exposed_names(w, t);
    wire_text_adds(t, "]}");
}
