/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <json-c/json.h>
#include <systemd/sd-event.h>

#include "fake_qmp.h"
#include "qmp_client.h"
#include "qmp_message.h"

/* A client against a peer that plays QEMU, well or badly. Deadlines are 50 ms here; nothing asserts how long things
 * take. */

#define SHORT_USEC 50000

struct world {
    char directory[32];
    char path[64];
    sd_event *loop;
    struct fake_qmp *fake;
    struct qmp_client *client;
    unsigned ready, lost, events, replies;
    enum qmp_loss why;
    char lost_text[ERR_TEXT_SIZE];
    int reply_code;
    char reply_text[ERR_TEXT_SIZE];
    uint64_t reply_value;
    char event_name[64];
    const char *say; /* bad answer to any command */
    unsigned flood;  /* events sent at once for any command */
    bool free_on_event, free_on_reply, free_on_lost, keep_quiet;
};

static void on_ready(void *user)
{
    struct world *w = user;

    w->ready++;
}

static void on_event(void *user, const char *name, struct json_object *data)
{
    struct world *w = user;

    (void)data;
    w->events++;
    (void)snprintf(w->event_name, sizeof(w->event_name), "%s", name);
    if (w->free_on_event)
        w->client = qmp_client_free(w->client);
}

static void on_lost(void *user, enum qmp_loss why, const struct err *e)
{
    struct world *w = user;

    w->lost++;
    w->why = why;
    (void)snprintf(w->lost_text, sizeof(w->lost_text), "%s", e->text);
    if (w->free_on_lost)
        w->client = qmp_client_free(w->client);
}

static void on_reply(void *user, struct json_object *value, const struct err *e)
{
    struct world *w = user;

    w->replies++;
    w->reply_code = e ? e->code : 0;
    (void)snprintf(w->reply_text, sizeof(w->reply_text), "%s", e ? e->text : "");
    if (!e)
        (void)qmp_get_u64(value, "actual", &w->reply_value);
    if (w->free_on_reply)
        w->client = qmp_client_free(w->client);
}

static void on_command(void *user, struct fake_qmp *f, const char *command, const char *line, unsigned long long id)
{
    struct world *w = user;

    (void)line;
    if (w->keep_quiet)
        return;
    for (unsigned i = 0; i < w->flood; i++)
        fake_qmp_send_text(f, "{\"event\": \"RTC_CHANGE\", \"data\": {\"offset\": 1}}\r\n");
    if (w->say)
        fake_qmp_send_text(f, w->say);
    else if (strcmp(command, "query-balloon") == 0)
        fake_qmp_reply(f, id, "{\"actual\": 18446744073709551615}");
    else
        fake_qmp_refuse(f, id, "CommandNotFound", "The command has not been found");
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    strcpy(w->directory, "/tmp/ballast-test-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    (void)snprintf(w->path, sizeof(w->path), "%s/a.qmp", w->directory);
    assert_true(sd_event_new(&w->loop) >= 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    w->client = qmp_client_free(w->client);
    w->fake = fake_qmp_free(w->fake);
    w->loop = sd_event_unref(w->loop);
    (void)unlink(w->path);
    assert_int_equal(rmdir(w->directory), 0);
    free(w);
    return 0;
}

static void start_fake(struct world *w, const char *greeting)
{
    const struct fake_qmp_config config = {w->loop, w->path, greeting, on_command, w};

    w->fake = fake_qmp_new(&config);
}

static void start_client(struct world *w)
{
    const struct qmp_client_config config = {
        .loop = w->loop,
        .path = w->path,
        .handler = {on_ready, on_event, on_lost, NULL, w},
        .deadline_usec = SHORT_USEC,
        .backoff_min_usec = 1000,
        .backoff_max_usec = 4000,
    };
    struct err e = {0};

    assert_int_equal(qmp_client_new(&config, &w->client, &e), 0);
}

/* Runs the loop until *what is at least n; Meson's timeout ends a test that waits for ever. */
static void run_until(struct world *w, const unsigned *what, unsigned n)
{
    while (*what < n)
        assert_true(sd_event_run(w->loop, UINT64_MAX) >= 0);
}

static void call(struct world *w, const char *command)
{
    struct err e = {0};

    assert_int_equal(qmp_client_call(w->client, command, NULL, on_reply, w, &e), 0);
}

static void greets_and_answers(void **state)
{
    struct world *w = *state;

    start_fake(w, NULL);
    start_client(w);
    assert_false(qmp_client_is_ready(w->client));
    run_until(w, &w->ready, 1);
    assert_true(qmp_client_is_ready(w->client));
    assert_int_equal(qmp_client_peer_pid(w->client), getpid());
    call(w, "query-balloon");
    run_until(w, &w->replies, 1);
    assert_int_equal(w->reply_code, 0);
    assert_true(w->reply_value == UINT64_MAX); /* "unset" survives */
}

static void maps_errors(void **state)
{
    struct world *w = *state;

    start_fake(w, NULL);
    start_client(w);
    run_until(w, &w->ready, 1);
    call(w, "no-such");
    run_until(w, &w->replies, 1);
    assert_int_equal(w->reply_code, ENOSYS);
    assert_string_equal(w->reply_text, "QEMU refused 'no-such': The command has not been found");
    assert_int_equal(w->lost, 0);
}

static void calls_before_ready_fail(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    start_fake(w, NULL);
    start_client(w);
    assert_int_equal(qmp_client_call(w->client, "query-balloon", NULL, on_reply, w, &e), -ENOTCONN);
    assert_int_equal(w->replies, 0);
}

static void silence_is_a_monitor_in_use(void **state)
{
    struct world *w = *state;

    start_fake(w, "");
    start_client(w);
    run_until(w, &w->lost, 2); /* and it tries again */
    assert_int_equal(w->why, QMP_LOSS_BUSY);
}

/* QEMU serves one client; the next ones connect, and hear nothing until the first has gone. */
static void waits_for_another_client(void **state)
{
    struct world *w = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    start_fake(w, NULL);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", w->path);
    assert_int_equal(connect(other, (struct sockaddr *)&address, sizeof(address)), 0);
    while (!fake_qmp_has_client(w->fake))
        assert_true(sd_event_run(w->loop, UINT64_MAX) >= 0);
    start_client(w);
    run_until(w, &w->lost, 1);
    assert_int_equal(w->why, QMP_LOSS_BUSY);
    (void)close(other);
    run_until(w, &w->ready, 1);
}

static void absent_and_dead_sockets(void **state)
{
    struct world *w = *state;

    start_client(w);
    run_until(w, &w->lost, 1);
    assert_int_equal(w->why, QMP_LOSS_ABSENT);
    start_fake(w, NULL);
    run_until(w, &w->ready, 1);
    w->fake = fake_qmp_free(w->fake);
    w->lost = 0;
    run_until(w, &w->lost, 1);
    assert_int_equal(w->why, QMP_LOSS_ENDED);
    {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", w->path);
        assert_int_equal(bind(dead, (struct sockaddr *)&address, sizeof(address)), 0);
        (void)close(dead);
    }
    w->lost = 0;
    while (w->why != QMP_LOSS_REFUSED)
        assert_true(sd_event_run(w->loop, UINT64_MAX) >= 0);
}

static void unanswered_commands_time_out(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    int r = 0;

    w->keep_quiet = true;
    start_fake(w, NULL);
    start_client(w);
    run_until(w, &w->ready, 1);
    call(w, "query-balloon");
    run_until(w, &w->replies, 1);
    assert_int_equal(w->reply_code, ETIMEDOUT);
    assert_non_null(strstr(w->reply_text, "query-balloon"));
    assert_int_equal(qmp_client_overdue(w->client), 1);
    assert_int_equal(w->lost, 0); /* a stopped QEMU comes back: the connection stays */
    /* It never takes more than it can keep count of. */
    for (unsigned i = 0; i < QMP_CLIENT_CALLS_MAX && r == 0; i++)
        r = qmp_client_call(w->client, "query-balloon", NULL, on_reply, w, &e);
    assert_int_equal(r, -EBUSY);
    run_until(w, &w->replies, QMP_CLIENT_CALLS_MAX);
    /* A late answer is dropped, and the next command works. */
    fake_qmp_reply(w->fake, 2, "{\"actual\": 1}");
    w->keep_quiet = false;
    while (qmp_client_overdue(w->client) == QMP_CLIENT_CALLS_MAX)
        assert_true(sd_event_run(w->loop, UINT64_MAX) >= 0);
    w->replies = 0;
    call(w, "query-balloon");
    run_until(w, &w->replies, 1);
    assert_int_equal(w->reply_code, 0);
}

static void events_arrive(void **state)
{
    struct world *w = *state;

    start_fake(w, NULL);
    start_client(w);
    run_until(w, &w->ready, 1);
    fake_qmp_send_text(w->fake, "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"RE");
    assert_true(sd_event_run(w->loop, 1000) >= 0); /* half a line */
    fake_qmp_send_text(w->fake, "SET\", \"data\": {\"guest\": true}}\r\n\r\n{\"event\": \"STOP\"}\n");
    run_until(w, &w->events, 2);
    assert_string_equal(w->event_name, "STOP");
}

static void end_of_connection_ends_calls(void **state)
{
    struct world *w = *state;

    w->keep_quiet = true;
    start_fake(w, NULL);
    start_client(w);
    run_until(w, &w->ready, 1);
    call(w, "query-balloon");
    fake_qmp_send_text(w->fake, "{\"return\": {\"actual\""); /* EOF in the middle of an answer */
    fake_qmp_hang_up(w->fake);
    run_until(w, &w->lost, 1);
    assert_int_equal(w->reply_code, ECANCELED);
    assert_int_equal(w->why, QMP_LOSS_ENDED);
    assert_string_equal(w->lost_text, "QEMU closed the connection in the middle of a line");
    run_until(w, &w->ready, 2); /* reconnects by itself */
}

/* What a peer may say that ends the connection, and the sentence for it. */
static void nonsense_ends_the_connection(void **state)
{
    static const struct {
        const char *say;
        const char *text; /* part of the sentence */
    } cases[] = {
        {"hello\r\n", "no JSON"},
        {"\x01\xff\r\n", "no JSON"},
        {"{\"return\": {}}\r\n", "an answer to a command that was not sent"},
        {"{\"return\": {}, \"id\": 99}\r\n", "an answer to a command that was not sent"},
        {"{\"return\": {}, \"id\": -1}\r\n", "an answer to a command that was not sent"},
        {"{\"return\": {}, \"id\": \"2\"}\r\n", "an answer to a command that was not sent"},
        {"{\"error\": {\"class\": \"X\", \"desc\": \"Y\"}}\r\n", "an answer to a command that was not sent"},
        {"[]\r\n", "no QMP message"},
        {"17\r\n", "no JSON"},
        {"null\r\n", "no JSON"},
        {"{\"event\": 5}\r\n", "no QMP message"},
        {"{\"return\": {}\r\n", "no JSON"},
        {"{\"QMP\": {}}\r\n", "a second greeting"},
    };
    struct world *w = *state;

    start_fake(w, NULL);
    start_client(w);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run_until(w, &w->ready, (unsigned)i + 1);
        w->say = cases[i].say;
        call(w, "query-balloon");
        run_until(w, &w->lost, (unsigned)i + 1);
        assert_int_equal(w->why, QMP_LOSS_NONSENSE);
        if (!strstr(w->lost_text, cases[i].text))
            fail_msg("case %zu: '%s' is not in '%s'", i, cases[i].text, w->lost_text);
        assert_int_equal(w->reply_code, ECANCELED);
    }
}

static void repeat(char *buf, size_t size, const char *what)
{
    size_t len = strlen(what);

    for (size_t i = 0; i + len <= size; i += len)
        memcpy(buf + i, what, len);
}

/* Too much: a line without end, a deep nest, millions of values, a flood. Memory stays bounded, the connection does
 * not. */
static void too_much_ends_the_connection(void **state)
{
    static const struct {
        const char *what;
        const char *text;
    } cases[] = {
        {" ", "a line of more than 4 MiB"},
        {"[", "no JSON"}, /* deeper than QMP_DEPTH_MAX */
        {"1,", "more than 65536 values"},
    };
    static char buf[6 << 20];
    struct world *w = *state;

    w->keep_quiet = true;
    start_fake(w, NULL);
    start_client(w);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size = i == 0 ? sizeof(buf) : i == 1 ? 1000 : 1 << 20;

        run_until(w, &w->ready, (unsigned)i + 1);
        repeat(buf, size, cases[i].what);
        fake_qmp_send(w->fake, buf, size);
        if (i > 0)
            fake_qmp_send_text(w->fake, "\r\n");
        run_until(w, &w->lost, (unsigned)i + 1);
        assert_int_equal(w->why, QMP_LOSS_NONSENSE);
        if (!strstr(w->lost_text, cases[i].text))
            fail_msg("case %zu: '%s' is not in '%s'", i, cases[i].text, w->lost_text);
    }
}

static void floods_end_the_connection(void **state)
{
    struct world *w = *state;

    start_fake(w, NULL);
    start_client(w);
    run_until(w, &w->ready, 1);
    w->flood = 5 * QMP_CLIENT_FLOOD_MESSAGES;
    call(w, "query-balloon");
    run_until(w, &w->lost, 1);
    assert_int_equal(w->why, QMP_LOSS_NONSENSE);
    assert_string_equal(w->lost_text, "a flood of events");
}

static void wrong_greetings(void **state)
{
    static const char *const greetings[] = {
        "QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) ",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "{\"return\": {}}\r\n",
        "{\"event\": \"RESET\"}\r\n",
        "{\"QMP\": 5}\r\n",
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(greetings) / sizeof(greetings[0]); i++) {
        start_fake(w, greetings[i]);
        start_client(w);
        run_until(w, &w->lost, 1);
        assert_int_equal(w->why, QMP_LOSS_NOT_QMP);
        w->client = qmp_client_free(w->client);
        w->fake = fake_qmp_free(w->fake);
        w->lost = 0;
    }
}

static void may_be_freed_in_any_callback(void **state)
{
    struct world *w = *state;

    start_fake(w, NULL);
    start_client(w);
    run_until(w, &w->ready, 1);
    w->free_on_event = true;
    fake_qmp_send_text(w->fake, "{\"event\": \"STOP\"}\n{\"event\": \"STOP\"}\n{\"event\": \"STOP\"}\n");
    run_until(w, &w->events, 1);
    assert_null(w->client);

    start_client(w);
    run_until(w, &w->ready, 2);
    w->free_on_reply = true;
    call(w, "query-balloon");
    run_until(w, &w->replies, 1);
    assert_null(w->client);

    start_client(w); /* freed by the reply that its own end brings */
    run_until(w, &w->ready, 3);
    w->say = "nonsense\n";
    call(w, "query-balloon");
    run_until(w, &w->replies, 2);
    assert_null(w->client);
    assert_int_equal(w->lost, 0);

    w->free_on_reply = false;
    w->free_on_lost = true;
    start_client(w);
    run_until(w, &w->ready, 4);
    call(w, "query-balloon");
    run_until(w, &w->lost, 1);
    assert_null(w->client);

    start_client(w); /* and from outside, with a command under way */
    w->say = NULL;
    w->keep_quiet = true;
    run_until(w, &w->ready, 5);
    w->replies = 0;
    call(w, "query-balloon");
    w->client = qmp_client_free(w->client);
    assert_int_equal(w->replies, 1);
    assert_int_equal(w->reply_code, ECANCELED);
}

static void a_peer_that_does_not_read(void **state)
{
    struct world *w = *state;
    static char arguments[20000];
    struct err e = {0};
    int r = 0;

    w->keep_quiet = true;
    start_fake(w, NULL);
    start_client(w);
    run_until(w, &w->ready, 1);
    memset(arguments, ' ', sizeof(arguments) - 1);
    arguments[0] = '{';
    arguments[sizeof(arguments) - 2] = '}';
    for (unsigned i = 0; i < QMP_CLIENT_CALLS_MAX && r == 0; i++)
        r = qmp_client_call(w->client, "x", arguments, on_reply, w, &e);
    assert_int_equal(r, -EBUSY);
    assert_non_null(strstr(e.text, "does not read"));
}

static void long_paths_are_refused(void **state)
{
    struct world *w = *state;
    char path[300];
    struct qmp_client_config config = {.loop = w->loop, .path = path};
    struct err e = {0};

    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(qmp_client_new(&config, &w->client, &e), -ENAMETOOLONG);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(greets_and_answers),
        TEST(maps_errors),
        TEST(calls_before_ready_fail),
        TEST(silence_is_a_monitor_in_use),
        TEST(waits_for_another_client),
        TEST(absent_and_dead_sockets),
        TEST(unanswered_commands_time_out),
        TEST(events_arrive),
        TEST(end_of_connection_ends_calls),
        TEST(nonsense_ends_the_connection),
        TEST(too_much_ends_the_connection),
        TEST(floods_end_the_connection),
        TEST(wrong_greetings),
        TEST(may_be_freed_in_any_callback),
        TEST(a_peer_that_does_not_read),
        TEST(long_paths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
