/* SPDX-License-Identifier: Apache-2.0 */
#include "backup_schedule.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "text.h"
#include "units.h"
#include "wire_field.h"
#include "wire_status.h"

#define NO_SCHEDULE SIZE_MAX
#define STATE_VERSION 1

/* One schedule of the configuration. */
struct entry {
    const struct config_schedule *config;
    int64_t next_sec; /* 0: never */
    int64_t last_sec; /* came round last; 0: not yet */
};

/* One guest that some schedule names, or named. */
struct known {
    char name[WIRE_NAME_SIZE];
    int64_t seen_sec;     /* was there last */
    int64_t first_sec;    /* known since */
    int64_t last_ok_sec;  /* last backup that ended well; 0: none known */
    int64_t due_sec;      /* waits for its turn since; 0: it does not */
    int64_t not_before_sec;
    size_t schedule;      /* the one it waits or runs for; NO_SCHEDULE: none */
    unsigned tries;       /* that failed in a row */
    bool is_here, is_running, failed_told, old_told;
};

struct backup_schedule {
    struct backup_schedule_env env;
    const struct config_backup *config;
    struct entry *entries;
    size_t entry_count;
    struct known *guests; /* by name */
    size_t guest_count, guest_room;
    int64_t run_sec;      /* last backup_schedule_run() */
};

int backup_schedule_new(const struct backup_schedule_env *env, struct backup_schedule **ret, struct err *e)
{
    struct backup_schedule *s = calloc(1, sizeof(*s));

    if (!s)
        return err_set(e, ENOMEM, "no memory for schedules");
    s->env = *env;
    *ret = s;
    return 0;
}

struct backup_schedule *backup_schedule_free(struct backup_schedule *s)
{
    if (!s)
        return NULL;
    free(s->entries);
    free(s->guests);
    free(s);
    return NULL;
}

/* ---- guests ---- */

static size_t find_place(const struct backup_schedule *s, const char *name)
{
    size_t from = 0, to = s->guest_count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (strcmp(s->guests[middle].name, name) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static struct known *find(const struct backup_schedule *s, const char *name)
{
    size_t at = find_place(s, name);

    return at < s->guest_count && strcmp(s->guests[at].name, name) == 0 ? &s->guests[at] : NULL;
}

static struct known *add(struct backup_schedule *s, const char *name, int64_t now_sec, struct err *e)
{
    size_t at = find_place(s, name);

    if (s->guest_count == SCHEDULE_GUESTS_MAX || strlen(name) >= sizeof(s->guests->name)) {
        (void)err_set(e, E2BIG, "more than %d guests have schedules", SCHEDULE_GUESTS_MAX);
        return NULL;
    }
    if (s->guest_count == s->guest_room) {
        size_t room = s->guest_room ? 2 * s->guest_room : 16;
        struct known *larger = realloc(s->guests, room * sizeof(*larger));

        if (!larger) {
            (void)err_set(e, ENOMEM, "no memory for the schedules of guests");
            return NULL;
        }
        s->guests = larger;
        s->guest_room = room;
    }
    memmove(&s->guests[at + 1], &s->guests[at], (s->guest_count - at) * sizeof(s->guests[0]));
    s->guest_count++;
    s->guests[at] = (struct known){.first_sec = now_sec, .seen_sec = now_sec, .schedule = NO_SCHEDULE};
    wire_text_copy(s->guests[at].name, sizeof(s->guests[at].name), name);
    return &s->guests[at];
}

static bool matches(const struct entry *entry, const char *guest)
{
    return fnmatch(entry->config->guests, guest, 0) == 0;
}

static bool has_schedule(const struct backup_schedule *s, const char *guest)
{
    for (size_t i = 0; i < s->entry_count; i++)
        if (matches(&s->entries[i], guest))
            return true;
    return false;
}

int backup_schedule_guests(struct backup_schedule *s, const char *const *names, size_t count, int64_t now_sec, struct err *e)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->guest_count; i++)
        s->guests[i].is_here = false;
    for (size_t i = 0; i < count; i++) {
        struct known *g = find(s, names[i]);

        if (!g && has_schedule(s, names[i]) && !(g = add(s, names[i], now_sec, e)))
            return -e->code;
        if (g) {
            g->is_here = true;
            g->seen_sec = now_sec;
        }
    }
    for (size_t i = 0; i < s->guest_count; i++) {
        const struct known *g = &s->guests[i];

        if (g->is_here || g->is_running || now_sec - g->seen_sec < SCHEDULE_FORGET_SEC)
            s->guests[kept++] = *g;
    }
    s->guest_count = kept;
    return 0;
}

/* ---- schedules ---- */

static int64_t next_after(const struct entry *entry, int64_t after_sec)
{
    struct err e = {0};
    int64_t next;

    return calendar_next(&entry->config->at, after_sec, &next, &e) == 0 ? next : 0;
}

static bool same_schedule(const struct config_schedule *a, const char *guests, const char *at)
{
    return strcmp(a->guests, guests) == 0 && strcmp(a->at_text, at) == 0;
}

int backup_schedule_configure(struct backup_schedule *s, const struct config_backup *config, int64_t now_sec, struct err *e)
{
    struct entry *entries = calloc(config->schedule_count + 1, sizeof(*entries));

    if (!entries)
        return err_set(e, ENOMEM, "no memory for schedules");
    for (size_t i = 0; i < config->schedule_count; i++) {
        entries[i].config = &config->schedules[i];
        for (size_t k = 0; k < s->entry_count; k++) /* the old configuration is still there */
            if (same_schedule(s->entries[k].config, config->schedules[i].guests, config->schedules[i].at_text))
                entries[i].last_sec = s->entries[k].last_sec, entries[i].next_sec = s->entries[k].next_sec;
        if (!entries[i].next_sec)
            entries[i].next_sec = next_after(&entries[i], now_sec);
    }
    free(s->entries);
    s->entries = entries;
    s->entry_count = config->schedule_count;
    s->config = config;
    for (size_t i = 0; i < s->guest_count; i++) { /* positions have changed */
        struct known *g = &s->guests[i];

        g->schedule = NO_SCHEDULE;
        for (size_t k = 0; k < s->entry_count && g->schedule == NO_SCHEDULE; k++)
            if (matches(&s->entries[k], g->name))
                g->schedule = k;
        if (g->schedule == NO_SCHEDULE)
            g->due_sec = 0;
    }
    return 0;
}

static void come_round(struct backup_schedule *s, size_t at, int64_t now_sec)
{
    for (size_t i = 0; i < s->guest_count; i++) {
        struct known *g = &s->guests[i];

        if (!g->is_here || g->is_running || !matches(&s->entries[at], g->name))
            continue;
        g->due_sec = g->due_sec ? g->due_sec : now_sec;
        g->not_before_sec = 0;
        g->schedule = at;
        g->tries = 0;
    }
}

static bool see_schedules(struct backup_schedule *s, int64_t now_sec)
{
    bool set_back = now_sec < s->run_sec - SCHEDULE_BACK_SEC, changed = false;

    for (size_t i = 0; i < s->entry_count; i++) {
        struct entry *entry = &s->entries[i];

        if (set_back)
            entry->next_sec = next_after(entry, now_sec);
        if (!entry->next_sec || entry->next_sec > now_sec)
            continue;
        come_round(s, i, now_sec);
        entry->last_sec = now_sec;
        entry->next_sec = next_after(entry, now_sec);
        changed = true;
    }
    return changed;
}

/* How old the last point may be by the schedules that name the guest: the strictest of them. 0: any age. */
static int64_t age_limit(const struct backup_schedule *s, const char *guest)
{
    int64_t least = 0;

    for (size_t i = 0; i < s->entry_count; i++) {
        const struct entry *entry = &s->entries[i];
        int64_t limit = (int64_t)(entry->config->max_age_usec / 1000000);

        if (!matches(entry, guest))
            continue;
        if (!limit && entry->next_sec) {
            int64_t then = next_after(entry, entry->next_sec);

            limit = then ? 2 * (then - entry->next_sec) : 0;
        }
        if (limit && (!least || limit < least))
            least = limit;
    }
    return least;
}

static bool see_age(struct backup_schedule *s, struct known *g, int64_t now_sec)
{
    int64_t last = g->last_ok_sec ? g->last_ok_sec : g->first_sec, limit = g->old_told || g->is_running ? 0 : age_limit(s, g->name);
    char text[ERR_TEXT_SIZE];

    if (!limit || now_sec - last <= limit)
        return false;
    if (g->last_ok_sec)
        (void)snprintf(text, sizeof(text), "the last backup of guest '%s' is %s old%s", g->name,
                       units_show_time((uint64_t)(now_sec - last) * 1000000).s, g->is_here ? "" : "; the guest is not there");
    else
        (void)snprintf(text, sizeof(text), "guest '%s' has no backup, %s after its schedule was first seen%s", g->name,
                       units_show_time((uint64_t)(now_sec - last) * 1000000).s, g->is_here ? "" : "; the guest is not there");
    g->old_told = true;
    s->env.tell(s->env.user, NOTIFY_BACKUP_OLD, NOTIFY_WARNING, g->name, text);
    return true;
}

static void fail(struct backup_schedule *s, struct known *g, const char *why, int64_t now_sec)
{
    char text[ERR_TEXT_SIZE];
    int64_t wait = SCHEDULE_RETRY_SEC;

    g->tries++;
    for (unsigned i = 1; i < g->tries; i++)
        wait *= 3;
    if (g->schedule == NO_SCHEDULE || g->tries >= SCHEDULE_TRIES) {
        g->due_sec = 0;
        (void)snprintf(text, sizeof(text), "backup of guest '%s' failed: %.300s", g->name, why);
    } else {
        g->due_sec = g->due_sec ? g->due_sec : now_sec;
        g->not_before_sec = now_sec + wait;
        (void)snprintf(text, sizeof(text), "backup of guest '%s' failed, it is tried again in %s: %.300s", g->name,
                       units_show_time((uint64_t)wait * 1000000).s, why);
    }
    g->failed_told = true;
    s->env.tell(s->env.user, NOTIFY_BACKUP_FAILED, NOTIFY_WARNING, g->name, text);
}

/* Whose turn it is: who waits longest. NULL: nobody may begin. */
static struct known *next_of(struct backup_schedule *s, int64_t now_sec)
{
    struct known *next = NULL;

    for (size_t i = 0; i < s->guest_count; i++) {
        struct known *g = &s->guests[i];

        if (g->due_sec && g->is_here && !g->is_running && g->not_before_sec <= now_sec && (!next || g->due_sec < next->due_sec))
            next = g;
    }
    return next;
}

static bool start_due(struct backup_schedule *s, int64_t now_sec)
{
    unsigned running = 0;
    bool changed = false;
    struct known *g;

    if (calendar_in_hours(now_sec, s->config->quiet_from_min, s->config->quiet_to_min))
        return false;
    for (size_t i = 0; i < s->guest_count; i++)
        running += s->guests[i].is_running && s->guests[i].due_sec;
    while (running < s->config->concurrency && (g = next_of(s, now_sec))) {
        struct err e = {0};

        changed = true;
        if (s->env.start(s->env.user, g->name, &e) < 0) {
            fail(s, g, e.text, now_sec);
            continue;
        }
        g->is_running = true;
        running++;
    }
    return changed;
}

void backup_schedule_run(struct backup_schedule *s, int64_t now_sec)
{
    bool changed;

    if (!s->config)
        return;
    changed = see_schedules(s, now_sec);
    s->run_sec = now_sec;
    changed = start_due(s, now_sec) || changed;
    for (size_t i = 0; i < s->guest_count; i++)
        changed = see_age(s, &s->guests[i], now_sec) || changed;
    if (changed)
        s->env.changed(s->env.user);
}

void backup_schedule_ended(struct backup_schedule *s, const char *guest, const char *failed, int64_t now_sec)
{
    struct known *g = find(s, guest);
    char text[ERR_TEXT_SIZE];

    if (!g)
        return; /* no schedule names it */
    g->is_running = false;
    if (failed && g->due_sec) { /* else somebody asked for it, and was told */
        fail(s, g, failed, now_sec);
    } else if (!failed) {
        size_t schedule = g->schedule;

        if (g->failed_told || g->old_told) {
            (void)snprintf(text, sizeof(text), "guest '%s' is backed up again", g->name);
            s->env.tell(s->env.user, g->failed_told ? NOTIFY_BACKUP_FAILED : NOTIFY_BACKUP_OLD, NOTIFY_OK, g->name, text);
        }
        g->failed_told = g->old_told = false;
        g->tries = 0;
        g->due_sec = g->not_before_sec = 0;
        g->last_ok_sec = now_sec;
        if (schedule != NO_SCHEDULE && s->entries[schedule].config->keeps)
            s->env.prune(s->env.user, g->name, s->entries[schedule].config);
    }
    s->env.changed(s->env.user);
    if (s->config)
        (void)start_due(s, now_sec); /* who waits for this one's turn; the state is written with the next change */
}

/* ---- state ---- */

struct kept_schedule {
    char guests[CALENDAR_INPUT_MAX + 1], at[CALENDAR_INPUT_MAX + 1];
    uint64_t last;
};
static const struct wire_field schedule_fields[] = {
    WIRE_FIELD(kept_schedule, TEXT, guests),
    WIRE_FIELD(kept_schedule, TEXT, at),
    WIRE_FIELD(kept_schedule, U64, last),
};

struct kept_guest {
    char name[WIRE_NAME_SIZE];
    uint64_t first, seen, last_ok;
    bool failed_told, old_told;
};
static const struct wire_field guest_fields[] = {
    WIRE_FIELD(kept_guest, TEXT, name),       WIRE_FIELD(kept_guest, U64, first),
    WIRE_FIELD(kept_guest, U64, seen),        WIRE_FIELD(kept_guest, U64, last_ok),
    WIRE_FIELD(kept_guest, BOOL, failed_told), WIRE_FIELD(kept_guest, BOOL, old_told),
};
#define SCHEDULE_FIELDS (sizeof(schedule_fields) / sizeof(schedule_fields[0]))
#define GUEST_FIELDS (sizeof(guest_fields) / sizeof(guest_fields[0]))

void backup_schedule_print_state(const struct backup_schedule *s, struct wire_text *t)
{
    wire_text_format(t, "{\"version\":%d,\"schedules\":[", STATE_VERSION);
    for (size_t i = 0; i < s->entry_count; i++) {
        struct kept_schedule kept = {.last = (uint64_t)s->entries[i].last_sec};

        wire_text_copy(kept.guests, sizeof(kept.guests), s->entries[i].config->guests);
        wire_text_copy(kept.at, sizeof(kept.at), s->entries[i].config->at_text);
        wire_text_adds(t, i ? ",\n{" : "\n{");
        wire_fields_print(t, schedule_fields, SCHEDULE_FIELDS, &kept);
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "],\n\"guests\":[");
    for (size_t i = 0; i < s->guest_count; i++) {
        const struct known *g = &s->guests[i];
        struct kept_guest kept = {.first = (uint64_t)g->first_sec, .seen = (uint64_t)g->seen_sec,
                                  .last_ok = (uint64_t)g->last_ok_sec, .failed_told = g->failed_told, .old_told = g->old_told};

        wire_text_copy(kept.name, sizeof(kept.name), g->name);
        wire_text_adds(t, i ? ",\n{" : "\n{");
        wire_fields_print(t, guest_fields, GUEST_FIELDS, &kept);
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "]}\n");
}

/* A time from a file: not before 1970, not in the future. */
static int64_t bounded(uint64_t sec, int64_t now_sec)
{
    if (sec == WIRE_UNKNOWN)
        return 0;
    return sec > (uint64_t)now_sec ? now_sec : (int64_t)sec;
}

static void restore_schedule(struct backup_schedule *s, const struct kept_schedule *kept, int64_t now_sec)
{
    for (size_t i = 0; i < s->entry_count; i++) {
        struct entry *entry = &s->entries[i];

        if (!kept->last || !same_schedule(entry->config, kept->guests, kept->at))
            continue;
        entry->last_sec = bounded(kept->last, now_sec);
        entry->next_sec = next_after(entry, entry->last_sec); /* passed while nobody looked: made up for */
    }
}

static int restore_guest(struct backup_schedule *s, const struct kept_guest *kept, int64_t now_sec, struct err *e)
{
    struct known *g = find(s, kept->name);

    if (!g && !(g = add(s, kept->name, now_sec, e)))
        return -e->code;
    g->first_sec = bounded(kept->first, now_sec);
    g->seen_sec = bounded(kept->seen, now_sec);
    g->last_ok_sec = bounded(kept->last_ok, now_sec);
    g->failed_told = kept->failed_told;
    g->old_told = kept->old_told;
    return 0;
}

/* Each row of a list is read, and taken if `take` says so. */
static int read_rows(struct backup_schedule *s, const struct json_object *document, bool take, int64_t now_sec, struct err *e)
{
    struct json_object *schedules, *guests;
    int r = 0;

    if (!json_object_object_get_ex(document, "schedules", &schedules) || !json_object_is_type(schedules, json_type_array) ||
        !json_object_object_get_ex(document, "guests", &guests) || !json_object_is_type(guests, json_type_array))
        return err_set(e, EBADMSG, "it lacks a list of schedules or guests");
    if (json_object_array_length(schedules) > CONFIG_SCHEDULES_MAX || json_object_array_length(guests) > SCHEDULE_GUESTS_MAX)
        return err_set(e, EBADMSG, "it lists more than there can be");
    for (size_t i = 0; r == 0 && i < json_object_array_length(schedules); i++) {
        struct kept_schedule kept;

        r = wire_fields_parse(json_object_array_get_idx(schedules, i), schedule_fields, SCHEDULE_FIELDS, &kept, e);
        if (r == 0 && take)
            restore_schedule(s, &kept, now_sec);
    }
    for (size_t i = 0; r == 0 && i < json_object_array_length(guests); i++) {
        struct kept_guest kept;

        r = wire_fields_parse(json_object_array_get_idx(guests, i), guest_fields, GUEST_FIELDS, &kept, e);
        if (r == 0 && !text_is_name(kept.name, strlen(kept.name)))
            r = err_set(e, EBADMSG, "it has a guest without a name");
        if (r == 0 && take)
            r = restore_guest(s, &kept, now_sec, e);
    }
    return r;
}

int backup_schedule_read_state(struct backup_schedule *s, const char *text, size_t len, int64_t now_sec, struct err *e)
{
    struct json_object *document = NULL, *version;
    int r = wire_json_parse(text, len, &document, e);

    if (r < 0)
        return r;
    if (!json_object_object_get_ex(document, "version", &version) || json_object_get_int64(version) != STATE_VERSION)
        r = err_set(e, EBADMSG, "it is of another version");
    else if ((r = read_rows(s, document, /* take= */ false, now_sec, e)) == 0)
        r = read_rows(s, document, /* take= */ true, now_sec, e);
    json_object_put(document);
    return r;
}

/* ---- for people ---- */

static void print_time(struct wire_text *t, const char *name, int64_t sec)
{
    if (sec)
        wire_text_format(t, ",\"%s\":%" PRId64, name, sec);
    else
        wire_text_format(t, ",\"%s\":null", name);
}

void backup_schedule_print(const struct backup_schedule *s, struct wire_text *t)
{
    wire_text_adds(t, "\"schedules\":[");
    for (size_t i = 0; i < s->entry_count; i++) {
        wire_text_adds(t, i ? ",\n{\"guests\":" : "\n{\"guests\":");
        wire_text_string(t, s->entries[i].config->guests);
        wire_text_adds(t, ",\"at\":");
        wire_text_string(t, s->entries[i].config->at_text);
        print_time(t, "last_sec", s->entries[i].last_sec);
        print_time(t, "next_sec", s->entries[i].next_sec);
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "],\n\"guests\":[");
    for (size_t i = 0; i < s->guest_count; i++) {
        const struct known *g = &s->guests[i];

        wire_text_adds(t, i ? ",\n{\"name\":" : "\n{\"name\":");
        wire_text_string(t, g->name);
        print_time(t, "last_ok_sec", g->last_ok_sec);
        print_time(t, "due_sec", g->due_sec);
        print_time(t, "retry_sec", g->due_sec ? g->not_before_sec : 0);
        wire_text_format(t, ",\"running\":%s,\"tries\":%u}", g->is_running ? "true" : "false", g->tries);
    }
    wire_text_adds(t, "]");
}
