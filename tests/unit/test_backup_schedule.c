/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backup_schedule.h"

#define HOUR 3600LL
#define DAY (24 * HOUR)
#define NOW 1767225600LL /* Thu 2026-01-01 00:00 UTC */
#define STEP 60          /* as often as ballastd looks, about */

/* A world in which backups begin at once and take as long as the test says. */
struct world {
    struct backup_schedule *s;
    struct config *config;
    int64_t now;
    unsigned starts, prunes, failed, old, well, changes, running, most;
    unsigned refuse; /* so many starts */
    char started[32][16];
    int64_t started_sec[32];
    char text[ERR_TEXT_SIZE];
};

static int start(void *user, const char *guest, struct err *e)
{
    struct world *w = user;

    if (w->refuse) {
        w->refuse--;
        return err_set(e, EBUSY, "the target is away");
    }
    (void)snprintf(w->started[w->starts % 32], sizeof(w->started[0]), "%s", guest);
    w->started_sec[w->starts % 32] = w->now;
    w->starts++;
    w->running++;
    w->most = w->running > w->most ? w->running : w->most;
    return 0;
}

static void prune(void *user, const char *guest, const struct config_schedule *schedule)
{
    struct world *w = user;

    (void)guest;
    assert_true(schedule->keeps);
    w->prunes++;
}

static void tell(void *user, enum notify_event event, enum notify_severity severity, const char *guest, const char *text)
{
    struct world *w = user;

    (void)guest;
    (void)snprintf(w->text, sizeof(w->text), "%s", text);
    if (severity == NOTIFY_OK)
        w->well++;
    else if (event == NOTIFY_BACKUP_FAILED)
        w->failed++;
    else
        w->old++;
}

static void changed(void *user)
{
    ((struct world *)user)->changes++;
}

static struct config *configuration(const char *backup)
{
    char text[512];
    struct config_list problems;
    struct config *c = NULL;
    struct err e = {0};

    (void)snprintf(text, sizeof(text), "backup: {repository: /r, %s}", backup);
    if (config_parse(text, strlen(text), "t.yaml", 16ULL << 30, &c, &problems, &e) < 0)
        fail_msg("%s", e.text);
    return c;
}

static void here(struct world *w, size_t count)
{
    static const char *const names[] = {"web1", "web2", "db", "x"};
    struct err e = {0};

    assert_int_equal(backup_schedule_guests(w->s, names, count, w->now, &e), 0);
}

static void open_world(struct world *w, const char *backup)
{
    struct backup_schedule_env env = {start, prune, tell, changed, w};
    struct err e = {0};

    memset(w, 0, sizeof(*w));
    w->now = NOW;
    w->config = configuration(backup);
    assert_int_equal(backup_schedule_new(&env, &w->s, &e), 0);
    assert_int_equal(backup_schedule_configure(w->s, &w->config->backup, w->now, &e), 0);
    here(w, 4);
}

static void close_world(struct world *w)
{
    w->s = backup_schedule_free(w->s);
    w->config = config_free(w->config);
}

static void end(struct world *w, const char *guest, const char *failed)
{
    w->running--;
    backup_schedule_ended(w->s, guest, failed, w->now);
}

static void pass(struct world *w, int64_t seconds)
{
    for (int64_t until = w->now + seconds; w->now < until;) {
        w->now += STEP;
        backup_schedule_run(w->s, w->now);
    }
}

static void each_day_each_guest_once_and_one_at_a_time(void **state)
{
    struct world w;

    (void)state;
    open_world(&w, "schedules: [{guests: \"web*\", at: \"03:00\", keep: {last: 3}}]");
    for (int day = 1; day <= 30; day++) {
        pass(&w, 3 * HOUR + 10 * STEP);
        assert_int_equal(w.running, 1);
        assert_string_equal(w.started[w.starts % 32 - 1], "web1");
        assert_in_range(w.started_sec[w.starts % 32 - 1], w.now - 10 * STEP, w.now - 9 * STEP);
        end(&w, "web1", NULL);
        assert_int_equal(w.running, 1); /* the next one at once */
        end(&w, "web2", NULL);
        pass(&w, DAY - 3 * HOUR - 10 * STEP);
        assert_int_equal(w.starts, 2 * day);
    }
    assert_int_equal(w.most, 1);
    assert_int_equal(w.prunes, 60);
    assert_int_equal(w.failed + w.old + w.well, 0);
    close_world(&w);
}

static void quiet_hours_only_put_off(void **state)
{
    struct world w;

    (void)state;
    open_world(&w, "quiet-hours: 08:00-18:00, concurrency: 2, schedules: [{guests: \"*\", at: \"12:00\"}]");
    pass(&w, 17 * HOUR + 59 * STEP);
    assert_int_equal(w.starts, 0);
    pass(&w, 2 * STEP);
    assert_int_equal(w.running, 2);
    end(&w, w.started[0], NULL);
    end(&w, w.started[1], NULL);
    assert_int_equal(w.starts, 4);
    assert_int_equal(w.most, 2);
    close_world(&w);
}

static void what_fails_is_tried_again_and_told(void **state)
{
    struct world w;

    (void)state;
    open_world(&w, "schedules: [{guests: db, at: daily}]");
    pass(&w, DAY);
    assert_int_equal(w.starts, 1);
    end(&w, "db", "no space");
    assert_string_equal(w.text, "backup of guest 'db' failed, it is tried again in 10 min: no space");
    w.refuse = 1;
    pass(&w, SCHEDULE_RETRY_SEC - STEP);
    assert_int_equal(w.failed, 1);
    pass(&w, STEP);
    assert_string_equal(w.text, "backup of guest 'db' failed, it is tried again in 30 min: the target is away");
    pass(&w, 3 * SCHEDULE_RETRY_SEC);
    assert_int_equal(w.starts, 2);
    end(&w, "db", "still none");
    assert_string_equal(w.text, "backup of guest 'db' failed: still none"); /* that was the last try */
    pass(&w, 22 * HOUR);
    assert_int_equal(w.starts, 2);
    pass(&w, 2 * HOUR);
    assert_int_equal(w.starts, 3); /* its next day */
    end(&w, "db", NULL);
    assert_int_equal(w.failed, 3);
    assert_int_equal(w.well, 1);
    assert_string_equal(w.text, "guest 'db' is backed up again");
    close_world(&w);
}

static void a_backup_by_hand_counts_but_its_failure_is_no_news(void **state)
{
    struct world w;

    (void)state;
    open_world(&w, "schedules: [{guests: db, at: weekly, max-age: 2 d}]");
    w.running++;
    end(&w, "db", "asked for by hand");
    w.running++;
    end(&w, "x", NULL); /* has no schedule */
    assert_int_equal(w.failed, 0);
    pass(&w, DAY);
    w.running++;
    end(&w, "db", NULL);
    pass(&w, 2 * DAY);
    assert_int_equal(w.old, 0);
    pass(&w, 2 * STEP);
    assert_int_equal(w.old, 1);
    assert_non_null(strstr(w.text, "the last backup of guest 'db' is 2 d"));
    pass(&w, 10 * HOUR);
    assert_int_equal(w.old, 1); /* once */
    close_world(&w);
}

static void one_that_is_switched_off_is_too_old_in_the_end(void **state)
{
    struct world w;

    (void)state;
    open_world(&w, "schedules: [{guests: db, at: daily}]");
    here(&w, 0);
    pass(&w, 2 * DAY);
    assert_int_equal(w.starts + w.old, 0);
    pass(&w, 2 * STEP);
    assert_int_equal(w.old, 1);
    assert_string_equal(w.text, "guest 'db' has no backup, 2 d after its schedule was first seen; the guest is not there");
    close_world(&w);
}

/* Writes the state, and opens a new world with it at a later time. */
static void restart(struct world *w, int64_t later, const char *backup)
{
    struct backup_schedule_env env = {start, prune, tell, changed, w};
    struct wire_text t = {0};
    struct err e = {0};

    backup_schedule_print_state(w->s, &t);
    close_world(w);
    w->now += later;
    w->config = configuration(backup);
    assert_int_equal(backup_schedule_new(&env, &w->s, &e), 0);
    assert_int_equal(backup_schedule_configure(w->s, &w->config->backup, w->now, &e), 0);
    if (backup_schedule_read_state(w->s, t.data, t.length, w->now, &e) < 0)
        fail_msg("%s", e.text);
    here(w, 4);
    wire_text_done(&t);
}

static void what_was_missed_is_made_up_for_once(void **state)
{
    static const char daily[] = "schedules: [{guests: db, at: \"03:00\"}]";
    struct world w;

    (void)state;
    open_world(&w, daily);
    pass(&w, 4 * HOUR);
    end(&w, "db", NULL);
    restart(&w, 5 * HOUR, daily); /* nothing was due in between */
    pass(&w, HOUR);
    assert_int_equal(w.starts, 1);
    restart(&w, 3 * DAY, daily);
    pass(&w, HOUR);
    assert_int_equal(w.starts, 2);
    end(&w, "db", NULL);
    assert_int_equal(w.old, 0);
    restart(&w, 3 * DAY, "schedules: [{guests: db, at: \"05:00\"}]"); /* another schedule: nothing of it was missed */
    pass(&w, STEP);
    assert_int_equal(w.starts, 2);
    close_world(&w);
}

static void a_clock_that_jumps_starts_nothing_twice(void **state)
{
    struct world w;

    (void)state;
    open_world(&w, "schedules: [{guests: db, at: \"03:00\"}]");
    pass(&w, 3 * HOUR + STEP);
    end(&w, "db", NULL);
    w.now -= 10 * STEP; /* set back a little */
    pass(&w, HOUR);
    assert_int_equal(w.starts, 1);
    w.now -= 3 * DAY; /* a wrong clock was put right: from here, each day again */
    pass(&w, DAY);
    assert_int_equal(w.starts, 2);
    end(&w, "db", NULL);
    w.now += 1000 * DAY;
    pass(&w, DAY / 2);
    assert_int_equal(w.starts, 3);
    close_world(&w);
}

static void broken_state_is_refused_as_a_whole(void **state)
{
    static const char *const broken[] = {
        "", "[]", "{}", "{\"version\":2,\"schedules\":[],\"guests\":[]}", "{\"version\":1,\"schedules\":{},\"guests\":[]}",
        "{\"version\":1,\"schedules\":[],\"guests\":[{\"name\":\"db\",\"last_ok\":1},{\"name\":7}]}",
        "{\"version\":1,\"schedules\":[],\"guests\":[{\"name\":\"db\"},{\"name\":\"a/b\"}]}",
        "{\"version\":1,\"schedules\":[3],\"guests\":[]}",
        "{\"version\":1,\"schedules\":[{\"guests\":\"db\",\"at\":\"daily\",\"last\":-1}],\"guests\":[]}",
    };
    struct world w;

    (void)state;
    open_world(&w, "schedules: [{guests: db, at: daily}]");
    struct wire_text before = {0}, after = {0};
    backup_schedule_print_state(w.s, &before);
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct err e = {0};

        if (backup_schedule_read_state(w.s, broken[i], strlen(broken[i]), w.now, &e) >= 0)
            fail_msg("this was taken: %s", broken[i]);
        assert_true(e.text[0]);
    }
    backup_schedule_print_state(w.s, &after);
    assert_string_equal(before.data, after.data);
    /* Times of the future count as now: nothing is put off for years. */
    static const char future[] = "{\"version\":1,\"schedules\":[{\"guests\":\"db\",\"at\":\"daily\",\"last\":99999999999999}],"
                                 "\"guests\":[{\"name\":\"db\",\"last_ok\":99999999999999}]}";
    struct err e = {0};
    assert_int_equal(backup_schedule_read_state(w.s, future, sizeof(future) - 1, w.now, &e), 0);
    pass(&w, DAY);
    assert_int_equal(w.starts, 1);
    wire_text_done(&before);
    wire_text_done(&after);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_day_each_guest_once_and_one_at_a_time),
        cmocka_unit_test(quiet_hours_only_put_off),
        cmocka_unit_test(what_fails_is_tried_again_and_told),
        cmocka_unit_test(a_backup_by_hand_counts_but_its_failure_is_no_news),
        cmocka_unit_test(one_that_is_switched_off_is_too_old_in_the_end),
        cmocka_unit_test(what_was_missed_is_made_up_for_once),
        cmocka_unit_test(a_clock_that_jumps_starts_nothing_twice),
        cmocka_unit_test(broken_state_is_refused_as_a_whole),
    };
    (void)setenv("TZ", "UTC0", 1);
    tzset();
    return cmocka_run_group_tests_name("backup_schedule", tests, NULL, NULL);
}
