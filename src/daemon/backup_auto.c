/* SPDX-License-Identifier: Apache-2.0 */
#include "backup_auto.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "backup_schedule.h"
#include "backup_verify.h"
#include "child.h"
#include "config_keys.h"
#include "log.h"
#include "paths.h"
#include "readfile.h"

#define STATE_MAX (4U << 20) /* 16384 guests with all they have */
#define LOOK_USEC (BACKUP_AUTO_LOOK_SEC * 1000000ULL)

/* One guest whose points are to be looked at. */
struct tidy {
    struct tidy *next;
    char guest[WIRE_NAME_SIZE], identity[WIRE_NAME_SIZE];
    unsigned keep[CONFIG_KEEP_KEYS];
};

struct backup_auto {
    struct backup_auto_env env;
    const struct config *config;
    struct backup_schedule *schedule;
    struct backup_verify *verify;
    struct sd_event_source *timer;
    const char *ended_identity; /* while backup_schedule_ended() runs */
    struct tidy *first, **last;
    size_t tidies;
    struct child *child;        /* of the first */
    bool child_said;
    int64_t swept_sec;
};

static int64_t now_sec(void)
{
    return (int64_t)time(NULL);
}

/* ---- tidying up ---- */

static void tidy_start(struct backup_auto *a);

static void tidy_pop(struct backup_auto *a)
{
    struct tidy *t = a->first;

    a->first = t->next;
    if (!a->first)
        a->last = &a->first;
    a->tidies--;
    free(t);
}

/* One line, for people: what was removed, or why nothing was. */
static void on_line(void *user, const char *line, size_t len)
{
    struct backup_auto *a = user;

    a->child_said = true;
    if (strstr(line, "\"done\":true"))
        log_info("points of guest '%s' beyond its schedule's keep are removed: %.*s", a->first->guest, (int)len, line);
    else
        log_warning("points of guest '%s' were not pruned: %.*s; by hand: ballast backup prune", a->first->guest, (int)len,
                    line);
}

static void on_ended(void *user, int status)
{
    struct backup_auto *a = user;

    a->child = child_free(a->child);
    if (!a->child_said)
        log_warning("points of guest '%s' were not pruned: ballast-prepare ended with status %d; by hand: ballast backup prune",
                    a->first->guest, status);
    tidy_pop(a);
    tidy_start(a);
}

static void order_print(const struct backup_auto *a, const struct tidy *tidy, bool sweep, struct wire_text *t)
{
    bool any = false;

    wire_text_adds(t, "{\"tidy\":");
    wire_text_string(t, a->config->backup_repository);
    wire_text_adds(t, ",\"identity\":");
    wire_text_string(t, tidy->identity);
    wire_text_format(t, ",\"sweep\":%s,\"keep\":\"", sweep ? "true" : "false");
    for (unsigned i = 0; i < CONFIG_KEEP_KEYS; i++) {
        if (!tidy->keep[i])
            continue;
        wire_text_format(t, "%s%s=%u", any ? "," : "", config_key_get(CONFIG_SECTION_KEEP, i)->name, tidy->keep[i]);
        any = true;
    }
    wire_text_adds(t, "\"}\n");
}

static void tidy_start(struct backup_auto *a)
{
    struct child_config config = {.loop = a->env.loop, .program = "ballast-prepare", .input_fd = -1, .line = on_line,
                                  .ended = on_ended, .user = a};
    int64_t now = now_sec();

    while (a->first && !a->child) {
        bool sweep = !a->first->next && now >= a->swept_sec + BACKUP_AUTO_SWEEP_SEC;
        struct wire_text order = {0};
        struct err e = {0};
        int r = -EINVAL;

        a->child_said = false;
        if (a->config->backup_repository) {
            order_print(a, a->first, sweep, &order);
            r = order.failed ? err_set(&e, ENOMEM, "no memory") : child_start(&config, &a->child, &e);
        }
        if (r >= 0 && (r = child_write(a->child, order.data, order.length, &e)) < 0)
            a->child = child_free(a->child);
        if (r >= 0) {
            child_end_input(a->child);
            a->swept_sec = sweep ? now : a->swept_sec;
        } else {
            if (e.code)
                log_warning("points of guest '%s' were not pruned: %s; by hand: ballast backup prune", a->first->guest, e.text);
            tidy_pop(a);
        }
        wire_text_done(&order);
    }
}

static void on_prune(void *user, const char *guest, const struct config_schedule *schedule)
{
    struct backup_auto *a = user;
    struct tidy *t = a->tidies < BACKUP_AUTO_TIDIES_MAX ? calloc(1, sizeof(*t)) : NULL;

    if (!t)
        return; /* its next backup asks again */
    wire_text_copy(t->guest, sizeof(t->guest), guest);
    wire_text_copy(t->identity, sizeof(t->identity), a->ended_identity);
    memcpy(t->keep, schedule->keep, sizeof(t->keep));
    *a->last = t;
    a->last = &t->next;
    a->tidies++;
    tidy_start(a);
}
/* ---- the schedule's environment ---- */

static int on_start(void *user, const char *guest, struct err *e)
{
    struct backup_auto *a = user;
    int r = backup_start(a->env.backup, guest, e);

    if (r >= 0)
        log_info("guest '%s' is due: its backup begins", guest);
    return r;
}

void backup_auto_tell(struct backup_auto *a, enum notify_event event, enum notify_severity severity, const char *guest,
                      const char *text)
{
    struct notify_message m = {.event = event, .severity = severity, .assigned_bytes = WIRE_UNKNOWN,
                               .held_bytes = WIRE_UNKNOWN, .reserve_bytes = WIRE_UNKNOWN};

    wire_text_copy(m.state, sizeof(m.state), severity == NOTIFY_OK ? "end" : "begin");
    wire_text_copy(m.guest, sizeof(m.guest), guest);
    wire_text_copy(m.text, sizeof(m.text), text);
    if (severity == NOTIFY_OK)
        log_info("%s", text);
    else
        log_warning("%s", text);
    if (a->env.notify)
        (void)notify_send(a->env.notify, &m); /* no command, or no room: the log has it */
}

static void on_tell(void *user, enum notify_event event, enum notify_severity severity, const char *guest, const char *text)
{
    backup_auto_tell(user, event, severity, guest, text);
}

static void on_verify(void *user, bool is_bad, const char *text)
{
    backup_auto_tell(user, NOTIFY_VERIFY_FAILED, is_bad ? NOTIFY_CRITICAL : NOTIFY_OK, "", text);
}

static void on_changed(void *user)
{
    struct backup_auto *a = user;
    struct wire_text t = {0};
    char path[PATHS_SIZE];
    struct err e = {0};

    if (!a->env.keeper || paths_join(a->env.state_dir, BACKUP_AUTO_FILE, path, &e) < 0)
        return;
    backup_schedule_print_state(a->schedule, &t);
    if (t.failed || !keeper_replace(a->env.keeper, path, 0644, &t))
        wire_text_done(&t); /* no memory: the next change writes it all */
}

/* ---- looking ---- */

static void look(struct backup_auto *a)
{
    size_t n = a->config->backup.schedule_count ? engine_count(a->env.engine) : 0;
    int64_t now = now_sec();
    const char **names;
    struct err e = {0};

    backup_verify_look(a->verify, now);
    if (n == 0 && a->config->backup.schedule_count == 0)
        return;
    names = calloc(n + 1, sizeof(*names));
    if (!names)
        return; /* five seconds later there may be some */
    for (size_t i = 0; i < n; i++)
        names[i] = engine_guest_at(a->env.engine, i)->vm->name;
    if (backup_schedule_guests(a->schedule, names, n, now, &e) < 0)
        log_warning("not all guests are backed up by their schedules: %s", e.text);
    free(names);
    backup_schedule_run(a->schedule, now);
}

static int on_timer(struct sd_event_source *s, uint64_t usec, void *user)
{
    look(user);
    (void)sd_event_source_set_time(s, usec + LOOK_USEC);
    return 0;
}

/* ---- life ---- */

static void read_state(struct backup_auto *a)
{
    AUTO_FREE char *text = malloc(STATE_MAX);
    char path[PATHS_SIZE];
    struct err e = {0};
    size_t len = 0;
    int r;

    if (!text || paths_join(a->env.state_dir, BACKUP_AUTO_FILE, path, &e) < 0 || access(path, F_OK) < 0)
        return;
    r = readfile_into(path, text, STATE_MAX, &len, &e);
    if (r >= 0)
        r = backup_schedule_read_state(a->schedule, text, len, now_sec(), &e);
    if (r < 0)
        log_warning("when guests were backed up last is not known: '%s': %s; schedules begin anew", path, e.text);
}

int backup_auto_new(const struct backup_auto_env *env, const struct config *config, struct backup_auto **ret, struct err *e)
{
    AUTO(backup_auto) struct backup_auto *a = calloc(1, sizeof(*a));
    struct backup_schedule_env schedule = {.start = on_start, .prune = on_prune, .tell = on_tell, .changed = on_changed,
                                           .user = a};
    const struct backup_verify_env verify = {.loop = env->loop, .tell = on_verify, .user = a};
    uint64_t now = 0;
    int r;

    if (!a)
        return err_set(e, ENOMEM, "no memory for schedules");
    a->env = *env;
    a->config = config;
    a->last = &a->first;
    r = backup_schedule_new(&schedule, &a->schedule, e);
    if (r >= 0)
        r = backup_schedule_configure(a->schedule, &config->backup, now_sec(), e);
    if (r >= 0)
        r = backup_verify_new(&verify, &a->verify, e);
    if (r < 0)
        return r;
    backup_verify_configure(a->verify, config);
    read_state(a);
    (void)sd_event_now(env->loop, CLOCK_MONOTONIC, &now);
    r = sd_event_add_time(env->loop, &a->timer, CLOCK_MONOTONIC, now + LOOK_USEC, /* accuracy= */ 1000000, on_timer, a);
    if (r >= 0)
        r = sd_event_source_set_enabled(a->timer, SD_EVENT_ON);
    if (r < 0)
        return err_set(e, -r, "no timer for schedules: %s", strerror(-r));
    *ret = TAKE(a);
    return 0;
}

struct backup_auto *backup_auto_free(struct backup_auto *a)
{
    if (!a)
        return NULL;
    a->timer = sd_event_source_disable_unref(a->timer);
    a->child = child_free(a->child);
    while (a->first)
        tidy_pop(a);
    a->schedule = backup_schedule_free(a->schedule);
    a->verify = backup_verify_free(a->verify);
    free(a);
    return NULL;
}

void backup_auto_configure(struct backup_auto *a, const struct config *config)
{
    struct err e = {0};

    a->config = config;
    if (backup_schedule_configure(a->schedule, &config->backup, now_sec(), &e) < 0)
        log_error("the new schedules of backups do not hold: %s", e.text);
    backup_verify_configure(a->verify, config);
}

void backup_auto_ended(struct backup_auto *a, const char *guest, const char *identity, const char *failed)
{
    a->ended_identity = identity;
    backup_schedule_ended(a->schedule, guest, failed, now_sec());
    a->ended_identity = NULL;
}

void backup_auto_verified(struct backup_auto *a)
{
    backup_verify_again(a->verify);
    backup_verify_look(a->verify, now_sec());
}

void backup_auto_print(const struct backup_auto *a, struct wire_text *t)
{
    backup_schedule_print(a->schedule, t);
    wire_text_adds(t, ",\n");
    backup_verify_print(a->verify, t);
}
