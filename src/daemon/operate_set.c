/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_body.h"
#include "log.h"
#include "operate_private.h"
#include "paths.h"
#include "text.h"
#include "wire_field.h"

/* `ballast set`: values of one guest above its configuration. What is saved goes to CONFIG_SET_FILE, rewritten whole from
 * what is known here. */

#define SET_VALUE_MAX 64 /* longest value of a key: sizes, shares, words */

static size_t set_position(const struct operate *o, const char *guest)
{
    size_t low = 0, high = o->set_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (strcmp(o->sets[mid].guest, guest) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct operate_set *set_find(const struct operate *o, const char *guest)
{
    size_t at = set_position(o, guest);

    return at < o->set_count && strcmp(o->sets[at].guest, guest) == 0 ? &o->sets[at] : NULL;
}

/* The guest's, made where it is missing; NULL: no memory, or too many. Others' addresses change. */
static struct operate_set *set_take(struct operate *o, const char *guest)
{
    struct operate_set *found = set_find(o, guest), *larger;
    size_t at = set_position(o, guest);

    if (found || o->set_count >= OPERATE_GUESTS_MAX)
        return found;
    larger = realloc(o->sets, (o->set_count + 1) * sizeof(*larger));
    if (!larger)
        return NULL;
    o->sets = larger;
    memmove(&larger[at + 1], &larger[at], (o->set_count - at) * sizeof(*larger));
    larger[at] = (struct operate_set){0};
    wire_text_copy(larger[at].guest, sizeof(larger[at].guest), guest);
    o->set_count++;
    return &larger[at];
}

void operate_sets_free(struct operate *o)
{
    free(o->sets);
    o->sets = NULL;
    o->set_count = 0;
}

void operate_reload(struct operate *o)
{
    const struct config *config = o->env.config(o->env.user);
    char trouble[8];
    struct config_set saved;
    const char *guest;

    /* A file that is still being written was read too early: what is known here is what it will say. */
    if (o->env.keeper && keeper_saved(o->env.keeper, trouble, sizeof(trouble)) < o->kept)
        return;
    for (size_t i = 0; i < o->set_count; i++)
        o->sets[i].saved = (struct config_set){0};
    for (size_t i = 0; (guest = config_saved_at(config, i, &saved)); i++) {
        struct operate_set *s = set_take(o, guest);

        if (s)
            s->saved = saved;
        else
            log_warning("no memory for what was saved of guest '%s': its configuration holds without", guest);
    }
}

void operate_configure(const struct operate *o, const char *guest, struct guest_config *ret)
{
    const struct operate_set *s = set_find(o, guest);

    config_guest_with(o->env.config(o->env.user), guest, s ? &s->saved : NULL, s ? &s->now : NULL, ret);
}

void operate_last_text(const struct operate *o, const char *guest, char *to, size_t size)
{
    const struct operate_set *s = set_find(o, guest);
    char who[160];

    to[0] = '\0';
    if (!s || !s->who.time_sec)
        return;
    operate_who_text(o, &s->who, who, sizeof(who));
    (void)snprintf(to, size, "%s (by %s)", s->last, who);
}

/* ---- the file ---- */

static void saved_print(const struct operate *o, struct wire_text *t)
{
    char value[CONFIG_VALUE_TEXT_SIZE];
    bool any = false;

    wire_text_adds(t, "# Written by `ballast set --save`, whole, at each such call: above everything else that is written for a "
                      "guest.\n# Take a value back with `ballast set GUEST KEY= --save`.\n");
    for (size_t i = 0; i < o->set_count; i++) {
        const struct operate_set *s = &o->sets[i];

        if (!s->saved.set)
            continue;
        wire_text_format(t, "%s  \"%s\":\n", any ? "" : "guests:\n", s->guest); /* a name has no quote or backslash */
        any = true;
        for (unsigned id = 0; id < CONFIG_GUEST_KEYS; id++) {
            if (!(s->saved.set & (1U << id)))
                continue;
            config_value_text(id, s->saved.number[id], value);
            wire_text_format(t, "    %s: \"%s\"\n", config_key_get(CONFIG_SECTION_GUEST, id)->name, value);
        }
    }
}

static void saved_keep(struct operate *o, struct wire_done *d)
{
    struct wire_text t = {0};
    char path[PATHS_SIZE];
    struct err e = {0};

    if (config_set_path(o->env.config(o->env.user), path, &e) < 0) {
        (void)snprintf(d->warning, sizeof(d->warning), "it holds, but is not saved: %.300s", e.text);
        return;
    }
    saved_print(o, &t);
    operate_keep_file(o, path, &t, d);
}

/* ---- the request ---- */

struct set_request {
    bool save;
    struct config_set now, saved; /* as they will be */
    struct config_set asked;      /* what this request sets */
    uint32_t keys;                /* that it names */
};

/* {"values":{"minimum":"512 MiB"},"save":true} */
static bool request_read(struct operate *o, const struct api_request *rq, struct set_request *ret, struct api_reply *reply)
{
    static const struct wire_field fields[] = {WIRE_FIELD(set_request, BOOL, save)};
    const struct operate_set *before = set_find(o, rq->name);
    struct json_object *values = NULL;
    struct err e = {0};

    if (!api_body_read(rq, fields, 1, "values", ret, reply))
        return false;
    ret->now = before ? before->now : (struct config_set){0};
    ret->saved = before ? before->saved : (struct config_set){0};
    if (!json_object_object_get_ex(rq->body, "values", &values) || !json_object_is_type(values, json_type_object) ||
        json_object_object_length(values) == 0) {
        api_reply_error(reply, 400, "send {\"values\":{\"minimum\":\"512 MiB\"}}",
                        "'values' should be an object with at least one key");
        return false;
    }
    json_object_object_foreach(values, key, value) {
        const char *text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
        unsigned id = 0;

        if (!text || strlen(text) > SET_VALUE_MAX || strlen(text) != (size_t)json_object_get_string_len(value)) {
            api_reply_error(reply, 400, "send values as they are written in the configuration: \"512 MiB\"",
                            "the value of '%s' is no text of at most %d bytes", text_show(key, strlen(key)).s, SET_VALUE_MAX);
            return false;
        }
        if (config_set_parse(&ret->asked, key, text, &id, &e) < 0 || config_set_parse(&ret->now, key, text, &id, &e) < 0 ||
            (ret->save && config_set_parse(&ret->saved, key, text, &id, &e) < 0)) {
            api_reply_error(reply, 400, "ballastd --help-config lists the keys and their values", "%s", e.text);
            return false;
        }
        ret->keys |= 1U << id;
    }
    return true;
}

/* Both what holds now and what will after a restart must make sense. */
static bool request_check(struct operate *o, const struct api_request *rq, const struct set_request *s,
                          struct guest_config *ret_after, struct api_reply *reply)
{
    const struct config *config = o->env.config(o->env.user);
    struct guest_config restarted;
    struct err e = {0};

    config_guest_with(config, rq->name, &s->saved, &s->now, ret_after);
    config_guest_with(config, rq->name, &s->saved, NULL, &restarted);
    if (config_guest_check(config, rq->name, ret_after, &e) == 0 &&
        (!s->save || config_guest_check(config, rq->name, &restarted, &e) == 0))
        return true;
    api_reply_error(reply, 400, "nothing was changed", "%s", e.text);
    return false;
}

/* "minimum 256 MiB (was 128 MiB), ..." of the keys that the request names; a line of the audit log for each that changes. */
static bool changes_tell(struct operate *o, const char *guest, const struct set_request *s, const struct guest_config *before,
                         const struct guest_config *after, const struct operate_who *who, char *to, size_t size)
{
    const struct operate_set *was = set_find(o, guest);
    bool any = false;
    size_t used = 0;

    for (unsigned id = 0; id < CONFIG_GUEST_KEYS; id++) {
        const char *name = config_key_get(CONFIG_SECTION_GUEST, id)->name;
        char old[CONFIG_VALUE_TEXT_SIZE], new[CONFIG_VALUE_TEXT_SIZE], more[256];
        uint32_t bit = 1U << id;
        bool is_saved = s->save && (((was ? was->saved.set : 0) ^ s->saved.set) & bit ||
                                    (was && was->saved.number[id] != s->saved.number[id]));

        if (!(s->keys & bit))
            continue;
        config_guest_value_text(id, before, old);
        config_guest_value_text(id, after, new);
        if (used < size)
            used += (size_t)snprintf(to + used, size - used, strcmp(old, new) ? "%s%s %s (was %s)" : "%s%s %s",
                                     used ? ", " : "", name, new, old);
        if (strcmp(old, new) == 0 && !is_saved)
            continue;
        any = true;
        (void)snprintf(more, sizeof(more), ",\"key\":\"%s\",\"old\":\"%s\",\"new\":\"%s\",\"saved\":%s", name, old, new,
                       s->save ? "true" : "false");
        operate_audit(o, who, "set", guest, more);
    }
    return any;
}

static bool is_utf8(const char *s)
{
    size_t length;

    while (*s && (length = wire_utf8_length(s)))
        s += length;
    return !*s;
}

static bool guest_is_known(const struct operate *o, const char *guest)
{
    const char *entry = config_guest_entry(o->env.config(o->env.user), guest);

    return engine_find(o->env.engine, guest) || set_find(o, guest) || (entry && strcmp(entry, guest) == 0);
}

void operate_request_set(struct operate *o, const struct api_request *rq, struct api_reply *ret)
{
    struct set_request s = {0};
    struct guest_config before, after;
    struct wire_done d = {.save = WIRE_UNKNOWN};
    char changes[OPERATE_CHANGES_SIZE];
    struct operate_who who;
    struct operate_set *set;

    if (!text_is_name(rq->name, strlen(rq->name)) || !guest_is_known(o, rq->name)) {
        api_reply_no_guest(rq->source, rq->name, ret);
        return;
    }
    if (!is_utf8(rq->name)) { /* such a file could not be read again, and ballastd would not start */
        api_reply_error(ret, 400, "give the guest another name", "the name of this guest is no UTF-8");
        return;
    }
    if (!request_read(o, rq, &s, ret) || !request_check(o, rq, &s, &after, ret))
        return;
    operate_configure(o, rq->name, &before);
    operate_who_find(rq, &who);
    if (!set_take(o, rq->name)) {
        api_reply_error(ret, 503, "free some memory of the host and try again", "no memory to remember it");
        return;
    }
    d.changed = changes_tell(o, rq->name, &s, &before, &after, &who, changes, sizeof(changes));
    (void)snprintf(d.text, sizeof(d.text), "guest '%s': %s%s; %s", rq->name, d.changed ? "" : "already so: ", changes,
                   s.save ? "holds from now on, also after a restart of ballastd"
                          : "holds until ballastd ends, also over a reload (--save: for good)");
    if (s.keys & 1U << CONFIG_GUEST_MODE && after.mode == GUEST_MODE_AUTO && o->env.take_back &&
        o->env.take_back(o->env.user, rq->name)) {
        size_t used = strlen(d.text);

        log_info("guest '%s' is taken back from the program that moved its memory, by uid %" PRIu64, rq->name, who.uid);
        (void)snprintf(d.text + used, sizeof(d.text) - used, "; ballast has its lever again");
        operate_audit(o, &who, "take-back", rq->name, "");
    }
    if (d.changed) {
        set = set_find(o, rq->name);
        set->now = s.now;
        set->who = who;
        wire_text_copy(set->last, sizeof(set->last), changes);
        log_info("guest '%s' is set by uid %" PRIu64 " (%s): %s", rq->name, who.uid, who.program, changes);
        if (s.save) {
            set->saved = s.saved;
            config_set_contradiction(o->env.config(o->env.user), rq->name, &s.asked, d.warning, sizeof(d.warning));
            saved_keep(o, &d);
        }
        o->env.changed(o->env.user);
    }
    operate_reply(o, &d, ret);
}
