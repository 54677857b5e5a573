/* SPDX-License-Identifier: Apache-2.0 */
#include "notify_message.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "text.h"
#include "wire_field.h"

/* The command may call others; nothing of ballastd's own environment is for it (NOTIFY_SOCKET least of all). */
#define NOTIFY_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#define TIME_SIZE 32

const struct notify_event_row notify_events[NOTIFY_EVENT_COUNT] = {
    [NOTIFY_HOST] = {"host", "the host's free reserve came to hard or low, or is better again"},
    [NOTIFY_BREACH] = {"breach", "a guest holds more memory than it says"},
    [NOTIFY_STUCK] = {"stuck", "a guest has not moved to its size for longer than stuck-after"},
    [NOTIFY_BACKUP_FAILED] = {"backup-failed", "a scheduled backup of a guest failed, or one ends well again"},
    [NOTIFY_BACKUP_OLD] = {"backup-old", "the last backup of a guest is older than its schedule's max-age"},
    [NOTIFY_BACKUP_HOOK] = {"backup-hook", "the before-freeze or after-thaw command of a guest's backup failed; each time"},
    [NOTIFY_VERIFY_FAILED] = {"verify-failed", "backups are damaged, or can't be verified, or are found whole again"},
    [NOTIFY_TEST] = {"test", "somebody asked for it: ballast notify-test"},
};

static const char *const severities[NOTIFY_SEVERITY_COUNT] = {"ok", "warning", "critical"};

/* 2026-01-31T08:15:00Z */
static void time_text(int64_t time_sec, char text[TIME_SIZE])
{
    time_t t = (time_t)time_sec;
    struct tm utc;

    if (!gmtime_r(&t, &utc) || strftime(text, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        text[0] = '\0'; /* a clock beyond the year 9999 */
}

/* One NAME=value; what does not fit is left out whole. */
static __attribute__((format(printf, 2, 3))) void env_add(struct notify_env *env, const char *format, ...)
{
    size_t room = sizeof(env->room) - env->used;
    char *at = env->room + env->used;
    va_list ap;
    int n;

    if (env->count == NOTIFY_ENV_MAX)
        return;
    va_start(ap, format);
    n = vsnprintf(at, room, format, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= room)
        return;
    text_clean(at);
    env->list[env->count++] = at;
    env->list[env->count] = NULL;
    env->used += strlen(at) + 1;
}

void notify_message_env(const struct notify_message *m, struct notify_env *ret)
{
    char when[TIME_SIZE];

    ret->count = ret->used = 0;
    ret->list[0] = NULL;
    time_text(m->time_sec, when);
    env_add(ret, "%s", NOTIFY_PATH);
    env_add(ret, "LANG=C.UTF-8");
    env_add(ret, "BALLAST_EVENT=%s", notify_events[m->event].name);
    env_add(ret, "BALLAST_STATE=%s", m->state);
    env_add(ret, "BALLAST_SEVERITY=%s", severities[m->severity]);
    env_add(ret, "BALLAST_HOST=%s", m->host);
    env_add(ret, "BALLAST_GUEST=%s", m->guest);
    env_add(ret, "BALLAST_TEXT=%s", m->text);
    env_add(ret, "BALLAST_TIME=%s", when);
    env_add(ret, "BALLAST_ID=%" PRIu64, m->id);
    env_add(ret, "BALLAST_DROPPED=%" PRIu64, m->dropped);
}

static void member_text(struct wire_text *t, const char *name, const char *value)
{
    wire_text_format(t, ",\"%s\":", name);
    wire_text_string(t, value);
}

static void member_u64(struct wire_text *t, const char *name, uint64_t value)
{
    if (value == WIRE_UNKNOWN)
        wire_text_format(t, ",\"%s\":null", name);
    else
        wire_text_format(t, ",\"%s\":%" PRIu64, name, value);
}

void notify_message_print(const struct notify_message *m, struct wire_text *out)
{
    char when[TIME_SIZE];

    time_text(m->time_sec, when);
    wire_text_format(out, "{\"api\":1,\"id\":%" PRIu64, m->id);
    member_text(out, "event", notify_events[m->event].name);
    member_text(out, "state", m->state);
    member_text(out, "severity", severities[m->severity]);
    member_text(out, "host", m->host);
    member_text(out, "guest", m->guest);
    member_text(out, "text", m->text);
    member_text(out, "time", when);
    member_u64(out, "since_ms", m->since_ms);
    member_u64(out, "changes", m->changes);
    member_u64(out, "dropped", m->dropped);
    if (m->guest[0]) {
        member_u64(out, "assigned_bytes", m->assigned_bytes);
        member_u64(out, "held_bytes", m->held_bytes);
    }
    wire_text_format(out, ",\"free_bytes\":%" PRId64, m->free_bytes);
    member_u64(out, "reserve_bytes", m->reserve_bytes);
    wire_text_adds(out, "}\n");
}
