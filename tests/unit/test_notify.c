/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "notify.h"
#include "notify_rule.h"
#include "units.h"
#include "wire_field.h"

#define SEC 1000000ULL
#define LONG (60 * SEC)

/* ---- the rule, on a clock of its own ---- */

static const struct notify_times at_once = {.after_usec = 0, .interval_usec = 300 * SEC};
static const struct notify_times patient = {.after_usec = 120 * SEC, .interval_usec = 300 * SEC};

/* Messages of one hour, second by second, where level(t) says how things stand. */
static unsigned messages_in_an_hour(const struct notify_times *times, unsigned (*level)(unsigned second))
{
    struct notify_cause c = {0};
    unsigned count = 0;

    for (unsigned t = 1; t <= 3600; t++) {
        notify_cause_see(&c, level(t), t * SEC);
        if (notify_cause_is_due(&c, times, t * SEC)) {
            notify_cause_tell(&c, t * SEC);
            count++;
        }
    }
    return count;
}

static unsigned flaps_each_second(unsigned t)
{
    return t % 2;
}

static unsigned flaps_each_minute(unsigned t)
{
    return t / 60 % 2;
}

static unsigned flaps_between_bad_and_worse(unsigned t)
{
    return 1 + t / 40 % 2;
}

static unsigned bad_for_a_minute(unsigned t)
{
    return t >= 100 && t < 160;
}

static unsigned always_bad(unsigned t)
{
    (void)t;
    return 1;
}

static unsigned never_bad(unsigned t)
{
    (void)t;
    return 0;
}

static void flapping_does_not_storm(void **state)
{
    (void)state;
    assert_int_equal(messages_in_an_hour(&at_once, never_bad), 0);
    assert_int_equal(messages_in_an_hour(&at_once, always_bad), 1);
    assert_int_equal(messages_in_an_hour(&at_once, bad_for_a_minute), 2); /* begin and end */
    assert_int_equal(messages_in_an_hour(&at_once, flaps_each_second), 1);
    assert_in_range(messages_in_an_hour(&at_once, flaps_each_minute), 10, 2 * 12); /* each level once in 5 min */
    assert_in_range(messages_in_an_hour(&at_once, flaps_between_bad_and_worse), 10, 2 * 12);
    assert_int_equal(messages_in_an_hour(&patient, bad_for_a_minute), 0);
    assert_int_equal(messages_in_an_hour(&patient, always_bad), 1);
    assert_int_equal(messages_in_an_hour(&patient, flaps_each_second), 1); /* a breath does not end it */
    assert_int_equal(messages_in_an_hour(&patient, flaps_each_minute), 0);
}

static void worse_is_told_at_once_and_better_when_it_lasts(void **state)
{
    struct notify_cause c = {0};

    (void)state;
    notify_cause_see(&c, 1, 10 * SEC);
    assert_true(notify_cause_is_due(&c, &at_once, 10 * SEC));
    notify_cause_tell(&c, 10 * SEC);
    assert_false(notify_cause_is_due(&c, &at_once, 11 * SEC));
    notify_cause_see(&c, 2, 12 * SEC);
    assert_true(notify_cause_is_due(&c, &at_once, 12 * SEC));
    notify_cause_tell(&c, 12 * SEC);
    notify_cause_see(&c, 0, 20 * SEC);
    assert_false(notify_cause_is_due(&c, &at_once, 20 * SEC + NOTIFY_BACK_USEC - 1));
    assert_true(notify_cause_is_due(&c, &at_once, 20 * SEC + NOTIFY_BACK_USEC));
    notify_cause_tell(&c, 20 * SEC + NOTIFY_BACK_USEC);

    /* again, within the interval: not before it is over, and then only if it is still so */
    notify_cause_see(&c, 2, 100 * SEC);
    assert_false(notify_cause_is_due(&c, &at_once, 311 * SEC));
    assert_true(notify_cause_is_due(&c, &at_once, 312 * SEC));
    assert_int_equal(c.changes, 1);
    assert_false(notify_cause_is_over(&c, &at_once, 10000 * SEC));
}

static void a_cause_is_forgotten_when_it_can_cause_nothing_more(void **state)
{
    struct notify_cause c = {0};

    (void)state;
    notify_cause_see(&c, 1, 10 * SEC);
    notify_cause_see(&c, 0, 11 * SEC); /* too short for patience: nobody ever heard of it */
    assert_false(notify_cause_is_due(&c, &patient, 200 * SEC));
    assert_false(notify_cause_is_over(&c, &patient, 11 * SEC));
    assert_true(notify_cause_is_over(&c, &patient, 11 * SEC + NOTIFY_BACK_USEC));
    notify_cause_see(&c, 1, 500 * SEC);
    notify_cause_tell(&c, 620 * SEC);
    notify_cause_see(&c, 0, 630 * SEC);
    notify_cause_tell(&c, 660 * SEC);
    assert_false(notify_cause_is_over(&c, &patient, 959 * SEC));
    assert_true(notify_cause_is_over(&c, &patient, 960 * SEC));
}

/* ---- what the command gets ---- */

static struct notify_message message(enum notify_event event, const char *guest, const char *text)
{
    struct notify_message m = {
        .event = event, .severity = NOTIFY_WARNING, .state = "begin", .assigned_bytes = 512 << 20,
        .held_bytes = WIRE_UNKNOWN, .free_bytes = -5, .reserve_bytes = 1 << 30,
    };

    wire_text_copy(m.guest, sizeof(m.guest), guest);
    wire_text_copy(m.text, sizeof(m.text), text);
    return m;
}

static const char *value_of(const struct notify_env *env, const char *name)
{
    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->list[i], name, strlen(name)) == 0 && env->list[i][strlen(name)] == '=')
            return env->list[i] + strlen(name) + 1;
    return NULL;
}

static void hostile_values_stay_values(void **state)
{
    struct notify_message m = message(NOTIFY_BREACH, "$(reboot)`x`;\n\x1b[2J\xc2\x9b=\xff", "two\nlines\r\x7f");
    struct notify_env env;
    struct wire_text text = {0};

    (void)state;
    m.time_sec = INT64_MAX; /* a clock gone mad */
    notify_message_env(&m, &env);
    assert_int_equal(env.count, 11);
    assert_null(env.list[env.count]);
    assert_string_equal(value_of(&env, "BALLAST_GUEST"), "$(reboot)`x`;??[2J?=\xff");
    assert_string_equal(value_of(&env, "BALLAST_TEXT"), "two?lines??");
    assert_string_equal(value_of(&env, "BALLAST_TIME"), "");
    notify_message_print(&m, &text);
    AUTO_FREE char *copy = strdup(text.data);
    struct json_object *o = json_tokener_parse(copy);
    assert_non_null(o);
    assert_string_equal(json_object_get_string(json_object_object_get(o, "text")), "two\nlines\r\x7f");
    assert_int_equal(json_object_get_int64(json_object_object_get(o, "free_bytes")), -5);
    assert_null(json_object_object_get(o, "held_bytes"));
    (void)json_object_put(o);
    wire_text_done(&text);

    /* the largest there is still fits, whole */
    memset(&m, 'x', sizeof(m));
    m = (struct notify_message){.event = NOTIFY_STUCK, .id = UINT64_MAX, .dropped = UINT64_MAX};
    memset(m.guest, 'g', sizeof(m.guest) - 1);
    memset(m.host, 'h', sizeof(m.host) - 1);
    memset(m.text, 't', sizeof(m.text) - 1);
    memset(m.state, 's', sizeof(m.state) - 1);
    notify_message_env(&m, &env);
    assert_int_equal(env.count, 11);
    assert_int_equal(strlen(value_of(&env, "BALLAST_TEXT")), sizeof(m.text) - 1);
}

/* ---- real processes ---- */

struct world {
    char dir[32], command[64], fifo[64];
    int fifo_fd; /* held open for both: nobody waits for the other side, or sees it end */
    struct notify *n;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct err e = {0};

    (void)strcpy(w->dir, "/tmp/ballast-test-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    (void)snprintf(w->command, sizeof(w->command), "%s/a $(b); c", w->dir); /* a shell would stumble */
    (void)snprintf(w->fifo, sizeof(w->fifo), "%s/fifo", w->dir);
    assert_int_equal(mkfifo(w->fifo, 0600), 0);
    w->fifo_fd = open(w->fifo, O_RDWR | O_CLOEXEC);
    assert_true(w->fifo_fd >= 0);
    assert_int_equal(notify_new("node1", &w->n, &e), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    w->n = notify_free(w->n);
    (void)unlink(w->command);
    (void)unlink(w->fifo);
    (void)close(w->fifo_fd);
    assert_int_equal(rmdir(w->dir), 0);
    free(w);
    return 0;
}

/* The command is this shell script. */
static void command_is(struct world *w, const char *script, uint64_t timeout_usec)
{
    struct err e = {0};
    int fd = open(w->command, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

    assert_true(fd >= 0);
    assert_int_equal(dprintf(fd, "#!/bin/sh\ncd '%s'\n%s\n", w->dir, script) > 0, 1);
    assert_int_equal(close(fd), 0);
    assert_int_equal(notify_configure(w->n, w->command, timeout_usec, &e), 0);
}

static uint64_t send(struct world *w, enum notify_event event, const char *guest)
{
    struct notify_message m = message(event, guest, "it is so");

    return notify_send(w->n, &m);
}

/* Until `finished` runs are over; the test's own timeout ends what hangs. */
static struct wire_notify wait_finished(struct world *w, uint64_t finished)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    struct wire_notify s;

    for (;;) {
        notify_read(w->n, &s);
        if (s.sent + s.failed >= finished && s.running + s.waiting == 0)
            return s;
        (void)nanosleep(&pause, NULL);
    }
}

static struct wire_notify wait_running(struct world *w, uint64_t running)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    struct wire_notify s;

    do {
        (void)nanosleep(&pause, NULL);
        notify_read(w->n, &s);
    } while (s.running < running);
    return s;
}

static void it_gets_the_facts_and_nothing_else(void **state)
{
    struct world *w = *state;
    struct wire_notify s;

    assert_int_equal(setenv("NOTIFY_SOCKET", "/run/systemd/notify", 1), 0);
    command_is(w, "read -r json; echo \"$BALLAST_EVENT $BALLAST_GUEST $BALLAST_STATE $BALLAST_HOST ${NOTIFY_SOCKET-none} "
               "$PWD $(ls /proc/self/fd | tr '\\n' ,)\"; case $json in '{\"api\":1,\"id\":1,\"event\":\"stuck\"'*) echo json;; esac",
               LONG);
    assert_int_equal(send(w, NOTIFY_STUCK, "$(id)"), 1);
    s = wait_finished(w, 1);
    char expected[128];
    (void)snprintf(expected, sizeof(expected), "stuck $(id) begin node1 none %s 0,1,2,3,?json?", w->dir);
    assert_string_equal(s.last.output, expected); /* 3: ls reading the directory */
    assert_string_equal(s.last.result, "");
    assert_int_equal(s.sent, 1);
    assert_int_equal(s.last.id, 1);
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
}

static void a_failure_is_kept_and_said(void **state)
{
    struct world *w = *state;
    char text[512];
    uint64_t age_ms;
    struct err e = {0};
    struct wire_text json = {0};

    command_is(w, "echo no route to the pager >&2; exit 3", LONG);
    (void)send(w, NOTIFY_HOST, "");
    struct wire_notify s = wait_finished(w, 1);
    assert_string_equal(s.last.result, "ended with exit status 3");
    assert_true(notify_warning(w->n, text, sizeof(text), &age_ms));
    assert_non_null(strstr(text, "ended with exit status 3 (1 of 1 messages so)"));
    struct wire_notify back;
    wire_notify_print(&json, &s);
    assert_int_equal(wire_notify_parse(json.data, json.length, &back, &e), 0);
    assert_memory_equal(&back.last, &s.last, sizeof(s.last));
    assert_string_equal(back.last.output, "no route to the pager?");
    wire_text_done(&json);

    command_is(w, "kill -11 $$", LONG);
    (void)send(w, NOTIFY_HOST, "");
    assert_string_equal(wait_finished(w, 2).last.result, "was killed by signal 11 (Segmentation fault)");

    assert_int_equal(notify_configure(w->n, "/nowhere/notify", LONG, &e), 0);
    (void)send(w, NOTIFY_HOST, "");
    assert_string_equal(wait_finished(w, 3).last.result, "could not be started: No such file or directory");

    command_is(w, "exit 0", LONG);
    (void)send(w, NOTIFY_HOST, "");
    assert_int_equal(wait_finished(w, 4).failed, 3);
    assert_false(notify_warning(w->n, text, sizeof(text), &age_ms));
}

static void what_hangs_or_babbles_is_ended(void **state)
{
    struct world *w = *state;

    command_is(w, "trap 'echo got it; exit 0' TERM; while :; do read -r x <fifo; done", SEC / 5);
    (void)send(w, NOTIFY_HOST, "");
    struct wire_notify s = wait_finished(w, 1);
    assert_string_equal(s.last.result, "did not end within 200 ms and was stopped");

    command_is(w, "exec yes", SEC / 5); /* prints without end, and never reads */
    (void)send(w, NOTIFY_HOST, "");
    s = wait_finished(w, 2);
    assert_string_equal(s.last.result, "did not end within 200 ms and was stopped");
    assert_int_equal(strlen(s.last.output), sizeof(s.last.output) - 1);
}

/* Lets `count` runs of a script that reads a line of the fifo go on. */
static void let_go(const struct world *w, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(write(w->fifo_fd, "x\n", 2), 2);
}

static void some_run_some_wait_and_the_rest_is_counted(void **state)
{
    struct world *w = *state;
    struct notify_message critical = message(NOTIFY_HOST, "", "low");
    size_t taken = 0;
    char guest[16];

    command_is(w, "read -r x <fifo; echo $BALLAST_EVENT dropped $BALLAST_DROPPED", LONG);
    for (unsigned i = 0; i < NOTIFY_RUNS_MAX; i++) {
        (void)snprintf(guest, sizeof(guest), "r%u", i);
        taken += send(w, NOTIFY_STUCK, guest) != 0;
    }
    (void)wait_running(w, NOTIFY_RUNS_MAX);
    for (unsigned i = 0; i < NOTIFY_QUEUE_MAX + 10; i++) {
        (void)snprintf(guest, sizeof(guest), "q%u", i);
        taken += send(w, NOTIFY_STUCK, guest) != 0;
    }
    assert_int_equal(taken, NOTIFY_RUNS_MAX + NOTIFY_QUEUE_MAX);
    assert_int_equal(notify_offer(w->n, &critical), 0);
    struct wire_notify s;
    notify_read(w->n, &s);
    assert_int_equal(s.running, NOTIFY_RUNS_MAX);
    assert_int_equal(s.waiting, NOTIFY_QUEUE_MAX);
    assert_int_equal(s.dropped, 10);

    let_go(w, NOTIFY_RUNS_MAX + NOTIFY_QUEUE_MAX);
    s = wait_finished(w, taken);
    assert_int_equal(s.sent, taken);
    critical.dropped = 2; /* its sender lost some, too */
    assert_true(notify_send(w->n, &critical) != 0);
    let_go(w, 1);
    assert_string_equal(wait_finished(w, taken + 1).last.output, "host dropped 12?");
}

/* The ids of the runs that began, one a line, once there are `count`. */
static void wait_begun(const struct world *w, size_t count, char *text, size_t size)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    char path[64];
    size_t lines = 0;

    (void)snprintf(path, sizeof(path), "%s/begun", w->dir);
    while (lines < count) {
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);
        text[n < 0 ? 0 : n] = '\0';
        lines = 0;
        for (const char *c = text; *c; c++)
            lines += *c == '\n';
        (void)nanosleep(&pause, NULL);
    }
    if (count > 5)
        (void)unlink(path);
}

static void begin_comes_before_end_and_critical_before_all(void **state)
{
    struct world *w = *state;
    struct notify_message critical = message(NOTIFY_HOST, "", "low");
    char guest[16], begun[256];

    command_is(w, "echo $BALLAST_ID >>begun; read -r x <fifo", LONG);
    (void)send(w, NOTIFY_STUCK, "a");
    (void)send(w, NOTIFY_STUCK, "a"); /* 2: waits for 1 */
    (void)send(w, NOTIFY_BREACH, "a"); /* 3: another event, need not wait */
    struct wire_notify s = wait_running(w, 2);
    assert_int_equal(s.running, 2);
    assert_int_equal(s.waiting, 1);
    for (unsigned i = 4; i < 14; i++) {
        (void)snprintf(guest, sizeof(guest), "q%u", i);
        assert_int_equal(send(w, NOTIFY_STUCK, guest), i);
    }
    wait_begun(w, 4, begun, sizeof(begun));
    critical.severity = NOTIFY_CRITICAL;
    assert_int_equal(notify_send(w->n, &critical), 14);
    let_go(w, 1);
    wait_begun(w, 5, begun, sizeof(begun));
    assert_string_equal(begun + strlen(begun) - 4, "\n14\n");
    let_go(w, 13);
    assert_int_equal(wait_finished(w, 14).sent, 14);
    wait_begun(w, 14, begun, sizeof(begun));
}

static void without_a_command_nothing_happens(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    struct wire_notify s;
    struct wire_text json = {0};

    assert_int_equal(notify_configure(w->n, NULL, LONG, &e), 0);
    assert_int_equal(send(w, NOTIFY_HOST, ""), 0);
    notify_read(w->n, &s);
    assert_int_equal(s.dropped, 0);
    wire_notify_print(&json, &s);
    assert_string_equal(json.data, "{\"api\":1,\"command\":null,\"timeout_ms\":60000,\"sent\":0,\"failed\":0,\"dropped\":0,"
                        "\"waiting\":0,\"running\":0,\"last\":null,\"last_test\":null}\n");
    wire_text_done(&json);
}

static void stopping_waits_for_no_command(void **state)
{
    struct world *w = *state;

    command_is(w, "read -r x <fifo", LONG);
    (void)send(w, NOTIFY_STUCK, "a");
    (void)send(w, NOTIFY_STUCK, "a");
    (void)wait_running(w, 1);
    w->n = notify_free(w->n);
    let_go(w, 1); /* it was left to run, and still does */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flapping_does_not_storm),
        cmocka_unit_test(worse_is_told_at_once_and_better_when_it_lasts),
        cmocka_unit_test(a_cause_is_forgotten_when_it_can_cause_nothing_more),
        cmocka_unit_test(hostile_values_stay_values),
        cmocka_unit_test_setup_teardown(it_gets_the_facts_and_nothing_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failure_is_kept_and_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_hangs_or_babbles_is_ended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(some_run_some_wait_and_the_rest_is_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(begin_comes_before_end_and_critical_before_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_command_nothing_happens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stopping_waits_for_no_command, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
