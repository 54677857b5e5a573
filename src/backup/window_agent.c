/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "qmp_message.h"
#include "text.h"
#include "window_private.h"

/* The guest's agent: freeze and thaw. The count of the thaw is the proof, not what the agent believes (design.md 6.2). */

bool window_needs_agent(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->use_agent;
}

int window_ignore(struct window *w, struct window_disk *d, struct err *e)
{
    (void)w;
    (void)d;
    (void)e;
    return 0;
}

/* Goes on without a freeze, or not at all. */
static int without_freeze(struct window *w, struct err *e)
{
    const struct err why = *e;

    w->use_agent = false;
    if (w->config.freeze == WINDOW_FREEZE_REQUIRE) {
        window_set_hint(w, "start qemu-guest-agent in the guest and give its port a socket beside the monitor "
                        "(%s.qga), or use --freeze prefer", w->config.guest);
        return err_set(e, why.code, "guest '%s' can't be frozen: %.400s", w->config.guest, why.text);
    }
    window_add_note(w, "guest '%s' is not frozen, so the point is as after a power failure: %.400s", w->config.guest,
                    why.text);
    e->code = 0;
    return 0;
}

int window_agent_refused(struct window *w, struct window_disk *d, struct err *e)
{
    (void)d;
    return without_freeze(w, e);
}

static bool is_enabled(struct json_object *commands, const char *wanted)
{
    bool enabled = false;
    const char *name;

    for (size_t i = 0; i < json_object_array_length(commands); i++) {
        struct json_object *command = json_object_array_get_idx(commands, i);

        if (qmp_get_string(command, "name", &name) && strcmp(name, wanted) == 0)
            (void)qmp_get_bool(command, "enabled", &enabled);
    }
    return enabled;
}

int window_take_agent_info(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    struct json_object *commands;

    (void)d;
    if (!qmp_get_array(v, "supported_commands", &commands)) {
        (void)err_set(e, EPROTO, "its agent does not say what it can do");
        return without_freeze(w, e);
    }
    w->can_exec = is_enabled(commands, "guest-exec") && is_enabled(commands, "guest-exec-status");
    if (is_enabled(commands, "guest-fsfreeze-freeze") && is_enabled(commands, "guest-fsfreeze-thaw"))
        return 0;
    (void)err_set(e, ENOSYS, "its agent is not allowed to freeze (guest-fsfreeze-freeze is disabled)");
    return without_freeze(w, e);
}

int window_take_mounts(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)e;
    wire_text_done(&w->mounts);
    wire_text_adds(&w->mounts, "[");
    for (size_t i = 0; json_object_is_type(v, json_type_array) && i < json_object_array_length(v) && i < WINDOW_MOUNTS_MAX;
         i++) {
        const char *point = "", *type = "";

        (void)qmp_get_string(json_object_array_get_idx(v, i), "mountpoint", &point);
        (void)qmp_get_string(json_object_array_get_idx(v, i), "type", &type);
        wire_text_adds(&w->mounts, i ? ",{" : "{");
        window_print_text(&w->mounts, "mountpoint", text_show(point, strlen(point)).s);
        wire_text_adds(&w->mounts, ",");
        window_print_text(&w->mounts, "type", text_show(type, strlen(type)).s);
        wire_text_adds(&w->mounts, "}");
    }
    wire_text_adds(&w->mounts, "]");
    return 0;
}

int window_take_freeze_status(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    const char *status = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";

    (void)d;
    if (strcmp(status, "thawed") == 0)
        return 0;
    window_set_hint(w, "if nobody needs it frozen, thaw it: guest-fsfreeze-thaw by whoever froze it, or fsfreeze -u in it");
    return err_set(e, EBUSY, "guest '%s' is frozen already, by another program", w->config.guest);
}

/* ---- sync: what is written before the freeze need not be written in it ---- */

bool window_needs_sync(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->use_agent && w->can_exec;
}

bool window_needs_sync_wait(const struct window *w, const struct window_disk *d)
{
    return window_needs_sync(w, d) && w->sync_pid;
}

void window_build_sync(struct window *w, struct window_disk *d, struct wire_text *t)
{
    (void)w;
    (void)d;
    wire_text_adds(t, "{\"path\":\"/bin/sync\",\"capture-output\":false}");
}

int window_take_sync(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)e;
    if (!qmp_get_u64(v, "pid", &w->sync_pid))
        w->sync_pid = 0;
    return 0;
}

void window_build_sync_wait(struct window *w, struct window_disk *d, struct wire_text *t)
{
    (void)d;
    wire_text_format(t, "{\"pid\":%" PRIu64 "}", w->sync_pid);
}

int window_take_sync_wait(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    bool exited = false;

    (void)d;
    (void)e;
    (void)qmp_get_bool(v, "exited", &exited);
    return exited || w->now_usec >= w->step_since_usec + w->config.times.sync_usec ? 0 : WINDOW_AGAIN;
}

/* ---- freeze and thaw ---- */

int window_take_freeze(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    if (!qmp_to_u64(v, &w->frozen_count))
        w->frozen_count = 0;
    w->frozen_usec = w->now_usec;
    w->frozen = w->frozen_count > 0;
    if (w->frozen)
        return 0;
    if (w->config.freeze == WINDOW_FREEZE_REQUIRE) {
        window_set_hint(w, "the agent freezes file systems on block devices only (not ZFS, NFS, tmpfs); use --freeze "
                        "prefer to go on without");
        return err_set(e, ENOTSUP, "the agent of guest '%s' found no file system to freeze", w->config.guest);
    }
    window_add_note(w, "the agent of guest '%s' found no file system to freeze: the point is as after a power failure",
                    w->config.guest);
    return 0;
}

/* An answer means that the agent has thawed again by itself; silence, that it may be frozen: no checkpoint then. */
int window_freeze_refused(struct window *w, struct window_disk *d, struct err *e)
{
    (void)d;
    if (e->code == ETIMEDOUT || e->code == ECANCELED || e->code == ENOTCONN) {
        window_set_hint(w, "see what hangs in the guest (its agent, a freeze hook, a disk), or use --freeze never");
        return -e->code;
    }
    if (w->config.freeze == WINDOW_FREEZE_REQUIRE) {
        window_set_hint(w, "put right what the agent says, or use --freeze prefer");
        return -e->code;
    }
    window_add_note(w, "guest '%s' is not frozen, so the point is as after a power failure: %.400s", w->config.guest,
                    e->text);
    return 0;
}

bool window_needs_thaw(const struct window *w, const struct window_disk *d)
{
    (void)d;
    /* One that stands still answers nothing: the guardian does both then. */
    return w->freeze_sent && !w->thaw_done && !w->acted && !w->gone && (!w->stop_sent || w->cont_done);
}

int window_take_thaw(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    (void)d;
    (void)e;
    if (!qmp_to_u64(v, &w->thawed_count))
        w->thawed_count = 0;
    w->thaw_done = true;
    w->thawed_usec = w->now_usec;
    return 0;
}

/* Tried until the guardian's time has come: it goes on from there. */
int window_thaw_refused(struct window *w, struct window_disk *d, struct err *e)
{
    (void)d;
    if (e->code != ETIMEDOUT || w->now_usec >= w->freeze_usec + w->config.times.hard_usec)
        return -e->code;
    return WINDOW_AGAIN;
}
