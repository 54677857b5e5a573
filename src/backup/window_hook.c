/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "qmp_message.h"
#include "text.h"
#include "window_private.h"

/* The administrator's own commands before the freeze and after the thaw. ballast-prepare runs them, keeps a note
 * (SOCKET_DIR/GUEST.hook) from before the first until after the second, and gives each an end; a note that outlives ballastd
 * leads to the second one later. Whatever became of the first, and of the backup, the second is run. */

#define HOOK_SPARE_USEC 10000000ULL /* beyond its own limit: from the signal to its end, and for ballast-prepare's start */

bool window_needs_hook_before(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->config.before_freeze || w->config.after_thaw;
}

static void print_note(const struct window *w, struct wire_text *t)
{
    char path[WINDOW_PATH_SIZE * 2];

    (void)snprintf(path, sizeof(path), "%s/%s" WINDOW_HOOK_ENDING, w->config.socket_dir, w->config.guest);
    window_print_text(t, "note", path);
}

static void print_command(struct wire_text *t, const char *key, const char *command, uint64_t limit_usec)
{
    if (!command)
        return;
    wire_text_format(t, ",\"%s_ms\":%" PRIu64 ",", key, limit_usec / 1000);
    window_print_text(t, key, command);
}

void window_build_hook_before(struct window *w, struct window_disk *d, struct wire_text *t)
{
    (void)d;
    wire_text_adds(t, "{\"hook\":\"before-freeze\",");
    print_note(w, t);
    wire_text_adds(t, ",");
    window_print_text(t, "guest", w->config.guest);
    wire_text_adds(t, ",");
    window_print_text(t, "identity", w->config.identity);
    wire_text_adds(t, ",");
    window_print_text(t, "repository", w->config.repository);
    print_command(t, "before-freeze", w->config.before_freeze, w->config.before_usec);
    print_command(t, "after-thaw", w->config.after_thaw, w->config.after_usec);
    wire_text_adds(t, "}");
}

void window_sent_hook_before(struct window *w, struct window_disk *d)
{
    (void)d;
    w->hook_sent = true; /* also where the answer does not come */
}

/* Nothing is frozen yet: it fails here, or goes on and says so. */
static int before_failed(struct window *w, const char *why, struct err *e)
{
    (void)snprintf(w->hook_before, sizeof(w->hook_before), "%s", why);
    if (w->config.hook_warns) {
        window_add_note(w, "%s; the backup went on (hook-failure: warn)", why);
        e->code = 0;
        return 0;
    }
    window_set_hint(w, "put right what it says, or let backups go on without it: hook-failure: warn");
    return err_set(e, EREMOTEIO, "%s", w->hook_before);
}

int window_take_hook_before(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    const char *error;

    (void)d;
    if (qmp_get_string(v, "error", &error))
        return before_failed(w, error, e);
    (void)snprintf(w->hook_before, sizeof(w->hook_before), "%s", w->config.before_freeze ? WINDOW_HOOK_DONE : "");
    return 0;
}

int window_hook_before_refused(struct window *w, struct window_disk *d, struct err *e)
{
    char why[WINDOW_TEXT_SIZE];

    (void)d;
    (void)snprintf(why, sizeof(why), "the before-freeze hook of guest '%s': %.400s", w->config.guest, e->text);
    return before_failed(w, why, e);
}

bool window_needs_hook_after(const struct window *w, const struct window_disk *d)
{
    (void)d;
    return w->hook_sent || (w->config.recover && w->config.recover_hook);
}

void window_build_hook_after(struct window *w, struct window_disk *d, struct wire_text *t)
{
    (void)d;
    wire_text_adds(t, "{\"hook\":\"after-thaw\",");
    print_note(w, t);
    wire_text_format(t, ",\"checkpoint\":%s}", w->checkpoint_utc_usec && !w->failed ? "true" : "false");
}

/* The point is none the worse for it, so the backup goes on; people are told. */
static void after_failed(struct window *w, const char *why)
{
    (void)snprintf(w->hook_after, sizeof(w->hook_after), "%s", why);
    window_add_note(w, "%s", why);
}

int window_take_hook_after(struct window *w, struct window_disk *d, struct json_object *v, struct err *e)
{
    const char *error;
    bool ran = false;

    (void)d;
    (void)e;
    if (qmp_get_string(v, "error", &error)) {
        after_failed(w, error);
        return 0;
    }
    (void)qmp_get_bool(v, "ran", &ran);
    (void)snprintf(w->hook_after, sizeof(w->hook_after), "%s", ran ? WINDOW_HOOK_DONE : "");
    return 0;
}

int window_hook_after_refused(struct window *w, struct window_disk *d, struct err *e)
{
    char why[WINDOW_TEXT_SIZE];

    (void)d;
    (void)snprintf(why, sizeof(why), "the after-thaw hook of guest '%s': %.400s", w->config.guest, e->text);
    after_failed(w, why);
    e->code = 0;
    return 0;
}

/* After one that was cut off the other's limit counts, too: it waits for its end. */
uint64_t window_within_hook(const struct window *w)
{
    uint64_t usec = w->config.before_usec > w->config.after_usec ? w->config.before_usec : w->config.after_usec;

    return usec + HOOK_SPARE_USEC;
}

static void print_result(struct wire_text *t, const char *key, const char *result)
{
    wire_text_format(t, "\"%s\":", key);
    if (result[0])
        wire_text_string(t, result);
    else
        wire_text_adds(t, "null");
}

void window_print_hooks(const struct window *w, struct wire_text *t)
{
    wire_text_adds(t, "{");
    print_result(t, "before_freeze", w->hook_before);
    wire_text_adds(t, ",");
    print_result(t, "after_thaw", w->hook_after);
    wire_text_adds(t, "}");
}

const char *window_hook_failure(const struct window *w)
{
    if (w->hook_after[0] && strcmp(w->hook_after, WINDOW_HOOK_DONE) != 0)
        return w->hook_after;
    return w->hook_before[0] && strcmp(w->hook_before, WINDOW_HOOK_DONE) != 0 ? w->hook_before : "";
}
