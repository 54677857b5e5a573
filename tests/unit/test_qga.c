/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "qga.h"

/* The client against a played agent: this test, at the other end of the socket. */

#define DEADLINE_USEC 30000000ULL /* never comes where the agent answers */

struct world {
    char directory[32], path[64];
    int listener, fd;
    sd_event *loop;
    struct qga *qga;
    unsigned answers;
    int code;
    uint64_t value;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct err e = {0};

    assert_non_null(w);
    strcpy(w->directory, "/tmp/ballast-test-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    (void)snprintf(w->path, sizeof(w->path), "%s/g.qga", w->directory);
    memcpy(address.sun_path, w->path, strlen(w->path) + 1);
    w->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(w->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(w->listener, 1), 0);
    assert_true(sd_event_new(&w->loop) >= 0);
    assert_int_equal(qga_new(w->loop, "g", w->path, &w->qga, &e), 0);
    w->fd = accept(w->listener, NULL, NULL);
    assert_true(w->fd >= 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    w->qga = qga_free(w->qga);
    (void)sd_event_unref(w->loop);
    if (w->fd >= 0)
        (void)close(w->fd);
    (void)close(w->listener);
    (void)unlink(w->path);
    (void)rmdir(w->directory);
    free(w);
    return 0;
}

static void on_answer(void *user, struct json_object *value, const struct err *e)
{
    struct world *w = user;

    w->answers++;
    w->code = e ? e->code : 0;
    w->value = 0;
    (void)qmp_to_u64(value, &w->value);
}

static void call(struct world *w, uint64_t deadline_usec)
{
    struct err e = {0};

    assert_int_equal(qga_call(w->qga, deadline_usec, "guest-fsfreeze-thaw", NULL, on_answer, w, &e), 0);
}

/* What was sent to the agent; returns the id of its sync, 0 where there is none. */
static unsigned long long heard(struct world *w)
{
    char text[1024];
    ssize_t n = recv(w->fd, text, sizeof(text) - 1, 0);
    const char *id;

    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(text, "guest-fsfreeze-thaw"));
    id = strstr(text, "\"id\":");
    assert_true(!id || (unsigned char)text[0] == 0xff);
    return id ? strtoull(id + 5, NULL, 10) : 0;
}

__attribute__((format(printf, 2, 3))) static void say(struct world *w, const char *format, ...)
{
    char text[512];
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    assert_int_equal(send(w->fd, text, (size_t)n, MSG_NOSIGNAL), n);
}

static void wait_for(struct world *w, unsigned answers)
{
    while (w->answers < answers)
        assert_true(sd_event_run(w->loop, UINT64_MAX) >= 0);
}

/* What is recorded of qemu-ga: 0xFF yields an error line, then the sync's answer; before it anything may have waited. */
static void first_command_is_in_step(void **state)
{
    struct world *w = *state;

    call(w, DEADLINE_USEC);
    say(w, "{\"return\": 99}\nrubbish\n{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error, stray\"}}\n"
           "\xff{\"return\": 1}\n\xff{\"return\": %llu}\n{\"return\": 2}\n", heard(w));
    wait_for(w, 1);
    assert_int_equal(w->code, 0);
    assert_int_equal(w->value, 2);
    call(w, DEADLINE_USEC);
    assert_int_equal(heard(w), 0); /* in step: no sync needed */
    say(w, "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"the agent is in frozen state\"}}\n");
    wait_for(w, 2);
    assert_int_equal(w->code, ENOSYS);
}

static void late_answer_is_nobodys(void **state)
{
    struct world *w = *state;

    call(w, 1000);
    wait_for(w, 1);
    assert_int_equal(w->code, ETIMEDOUT);
    say(w, "\xff{\"return\": %llu}\n{\"return\": 5}\n", heard(w));
    call(w, DEADLINE_USEC);
    say(w, "\xff{\"return\": %llu}\n{\"return\": 7}\n", heard(w));
    wait_for(w, 2);
    assert_int_equal(w->value, 7);
}

static void one_at_a_time(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    call(w, DEADLINE_USEC);
    assert_int_equal(qga_call(w->qga, 1, "guest-ping", NULL, on_answer, w, &e), -EBUSY);
}

static void closed_port(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    call(w, DEADLINE_USEC);
    (void)heard(w);
    (void)close(w->fd);
    w->fd = -1;
    wait_for(w, 1);
    assert_int_equal(w->code, ECANCELED);
    assert_int_equal(qga_call(w->qga, 1, "guest-ping", NULL, on_answer, w, &e), -ENOTCONN);
}

static void line_without_end(void **state)
{
    static char many[65536];
    struct world *w = *state;
    size_t sent = 0;

    memset(many, 'x', sizeof(many));
    call(w, DEADLINE_USEC);
    while (w->answers == 0) {
        ssize_t n = send(w->fd, many, sizeof(many), MSG_DONTWAIT | MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        assert_true(sent <= 2 * QGA_LINE_MAX + 2 * sizeof(many) + (1U << 20));
        assert_true(sd_event_run(w->loop, 0) >= 0);
    }
    assert_int_equal(w->code, EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_command_is_in_step, setup, teardown),
        cmocka_unit_test_setup_teardown(late_answer_is_nobodys, setup, teardown),
        cmocka_unit_test_setup_teardown(one_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(closed_port, setup, teardown),
        cmocka_unit_test_setup_teardown(line_without_end, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
