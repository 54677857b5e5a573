/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "agent_link.h"

/* The host's side against a peer that plays QEMU with a guest behind it, well or badly. Times are short here; nothing
 * asserts how long things take. */

#define MSEC 1000ULL
#define SEC 1000000ULL
#define PATIENCE_SEC 30 /* ends what hangs */

struct world {
    char directory[32];
    char path[64];
    sd_event *loop;
    int listener, peer;
    unsigned accepted;
    char in[65536]; /* what the link sent on this connection */
    size_t in_len;
    struct agent_link *link;
    unsigned views, losses, troubles;
    const char *refuse; /* what is said of the next sample */
    struct obs_guest_view view;
    char text[ERR_TEXT_SIZE];
    int code;
};

static void on_view(void *user, const struct obs_guest_view *view)
{
    struct world *w = user;

    w->views++;
    w->view = *view;
    if (w->refuse)
        agent_link_refuse(w->link, w->refuse);
}

static void on_lost(void *user)
{
    struct world *w = user;

    w->losses++;
}

static void on_trouble(void *user, const struct err *e)
{
    struct world *w = user;

    w->troubles++;
    w->code = e->code;
    memcpy(w->text, e->text, sizeof(w->text));
}

static const struct agent_link_times quick = {
    .retry_usec = 5 * MSEC, .penalty_usec = 20 * MSEC, .penalty_max_usec = 50 * MSEC, .steady_usec = 3600 * SEC,
    .ping_usec = 3600 * SEC, .slack_usec = 3600 * SEC, .beat_usec = 5 * MSEC,
};

static void world_listen(struct world *w)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", w->path);
    w->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(w->listener >= 0);
    assert_int_equal(bind(w->listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(w->listener, 1), 0);
}

static void world_link(struct world *w, const struct agent_link_times *times)
{
    struct agent_link_config config = {.loop = w->loop, .guest = "web1", .path = w->path, .times = *times,
                                       .view = on_view, .lost = on_lost, .trouble = on_trouble, .user = w};
    struct err e = {0};

    assert_int_equal(agent_link_new(&config, &w->link, &e), 0);
}

static struct world *world_new(bool with_socket)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    strcpy(w->directory, "/tmp/ballast-link-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    (void)snprintf(w->path, sizeof(w->path), "%s/web1.agent", w->directory);
    w->listener = w->peer = -1;
    assert_int_equal(sd_event_new(&w->loop), 0);
    if (with_socket)
        world_listen(w);
    return w;
}

static void world_free(struct world *w)
{
    w->link = agent_link_free(w->link);
    sd_event_unref(w->loop);
    if (w->peer >= 0)
        close(w->peer);
    if (w->listener >= 0)
        close(w->listener);
    unlink(w->path);
    rmdir(w->directory);
    free(w);
}

/* One turn of the loop, and of the peer. */
static void turn(struct world *w)
{
    assert_true(sd_event_run(w->loop, 5 * MSEC) >= 0);
    if (w->peer < 0 && w->listener >= 0) {
        w->peer = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (w->peer >= 0) {
            w->accepted++;
            w->in_len = 0;
        }
    }
    if (w->peer < 0)
        return;
    ssize_t n = recv(w->peer, w->in + w->in_len, sizeof(w->in) - 1 - w->in_len, MSG_DONTWAIT);
    if (n > 0)
        w->in_len += (size_t)n;
    if (n == 0 || (n < 0 && errno == ECONNRESET)) {
        close(w->peer);
        w->peer = -1;
    }
    w->in[w->in_len] = '\0';
}

#define until(w, condition)                                                                                            \
    do {                                                                                                               \
        time_t start = time(NULL);                                                                                     \
        while (!(condition)) {                                                                                         \
            turn(w);                                                                                                   \
            if (time(NULL) - start > PATIENCE_SEC)                                                                     \
                fail_msg("never: %s (heard: '%s', trouble: '%s')", #condition, (w)->in, (w)->text);                    \
        }                                                                                                              \
    } while (0)

static void say(struct world *w, const char *text)
{
    assert_int_equal(send(w->peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

#define SAMPLE(seq) "sample seq=" seq " time=5000000 mem_total=200000 mem_free=1000 mem_available=50000 balloon=62144\n"

static void world_greet(struct world *w)
{
    until(w, w->peer >= 0 && strstr(w->in, "hello version=1\n"));
    say(w, "hello version=1 text=test\n");
    until(w, strstr(w->in, "ping time="));
}

static void hears_an_agent(void **state)
{
    struct world *w = world_new(true);
    char line[128];

    (void)state;
    world_link(w, &quick);
    world_greet(w);
    assert_false(agent_link_is_heard(w->link));
    say(w, SAMPLE("1"));
    until(w, w->views == 1);
    assert_true(agent_link_is_heard(w->link));
    assert_int_equal(w->view.source, OBS_SOURCE_AGENT);
    assert_int_equal(w->view.available_bytes, 50000ULL * 1024);
    assert_int_equal(w->view.balloon_bytes, 62144ULL * 1024);
    assert_int_equal(w->view.spacing_usec, SEC);
    assert_int_equal(w->view.time_usec, w->view.heard_usec); /* no clock known */
    /* The pong tells that the guest's clock says 5.1 s now: the next sample is 100 ms old. */
    unsigned long long ping = strtoull(strstr(w->in, "ping time=") + 10, NULL, 10);
    (void)snprintf(line, sizeof(line), "pong time=%llu guest_time=%llu\n", ping, 5100000ULL + ping % 2);
    say(w, line);
    say(w, SAMPLE("2"));
    until(w, w->views == 2);
    assert_true(w->view.heard_usec - w->view.time_usec <= 5 * SEC);
    assert_int_equal(w->troubles, 0);
    assert_int_equal(w->losses, 0);
    world_free(w);
}

static void corrects_by_pings(void **state)
{
    struct world *w = world_new(true);
    char line[128];

    (void)state;
    world_link(w, &quick);
    world_greet(w);
    /* The guest booted long before us: with its clock as it comes, samples would be from the future. */
    unsigned long long ping = strtoull(strstr(w->in, "ping time=") + 10, NULL, 10);
    unsigned long long ahead = 1000 * SEC;
    (void)snprintf(line, sizeof(line), "pong time=%llu guest_time=%llu\n", ping, ping + ahead);
    say(w, line);
    (void)snprintf(line, sizeof(line), "pong time=%llu guest_time=1\n", ping); /* answered already: worth nothing */
    say(w, line);
    (void)snprintf(line, sizeof(line), "sample seq=1 time=%llu mem_total=4 mem_free=1\n", ping + ahead);
    say(w, line);
    until(w, w->views == 1);
    uint64_t first = w->view.time_usec;
    assert_true(first <= w->view.heard_usec);
    assert_true(first >= ping || w->view.heard_usec - first <= 5 * SEC);
    /* Time never runs backwards, whatever the guest says. */
    (void)snprintf(line, sizeof(line), "sample seq=2 time=%llu mem_total=4 mem_free=1\n", ping + ahead - 2 * SEC);
    say(w, line);
    until(w, w->views == 2);
    assert_int_equal(w->view.time_usec, first);
    world_free(w);
}

static const struct hv_tell example = {.watermark_bytes = 32 << 20, .heartbeat_usec = SEC, .lent_bytes = 64 << 20,
                                       .assigned_bytes = 192 << 20, .maximum_bytes = 1 << 30, .why = "others need it"};

static void tells_what_it_is_to_know(void **state)
{
    struct world *w = world_new(true);
    struct hv_tell tell = example;

    (void)state;
    world_link(w, &quick);
    agent_link_tell(w->link, &tell);
    world_greet(w);
    assert_non_null(strstr(w->in, "watermark size=32768\n"));
    assert_non_null(strstr(w->in, "heartbeat interval=1000000\n"));
    assert_non_null(strstr(w->in, "status lent=65536 assigned=196608 maximum=1048576 text=others need it\n"));
    w->in_len = 0;
    agent_link_tell(w->link, &tell); /* nothing new */
    tell.heartbeat_usec = 5 * SEC;
    agent_link_tell(w->link, &tell);
    until(w, strstr(w->in, "heartbeat interval=5000000\n"));
    assert_null(strstr(w->in, "watermark"));
    assert_null(strstr(w->in, "status"));
    say(w, SAMPLE("1"));
    until(w, w->views == 1);
    assert_int_equal(w->view.spacing_usec, 5 * SEC);
    /* An agent that starts anew is told again. */
    w->in_len = 0;
    say(w, "hello version=1\n" SAMPLE("1"));
    until(w, w->views == 2 && strstr(w->in, "watermark") && strstr(w->in, "status") && strstr(w->in, "ping"));
    assert_int_equal(w->troubles, 0);
    /* So is one behind a new connection. */
    close(w->peer);
    w->peer = -1;
    until(w, w->losses == 1);
    assert_false(agent_link_is_heard(w->link));
    world_greet(w);
    assert_int_equal(w->accepted, 2);
    assert_non_null(strstr(w->in, "heartbeat interval=5000000\n"));
    world_free(w);
}

static void waits_for_a_socket(void **state)
{
    struct world *w = world_new(false);

    (void)state;
    world_link(w, &quick);
    for (int i = 0; i < 20; i++)
        turn(w);
    assert_int_equal(w->troubles, 0); /* no port is nothing to say a word about */
    world_listen(w);
    world_greet(w);
    world_free(w);
}

static void says_that_it_may_not(void **state)
{
    struct world *w = world_new(true);

    (void)state;
    if (geteuid() == 0) {
        world_free(w);
        return; /* root may */
    }
    assert_int_equal(chmod(w->path, 0), 0);
    world_link(w, &quick);
    until(w, w->troubles == 1);
    assert_non_null(strstr(w->text, "no permission to connect"));
    for (int i = 0; i < 20; i++)
        turn(w);
    assert_int_equal(w->troubles, 1);
    world_free(w);
}

static void ignores_what_is_left_over(void **state)
{
    struct world *w = world_new(true);

    (void)state;
    world_link(w, &quick);
    until(w, w->peer >= 0 && w->in_len > 0);
    say(w, "ree=77 mem_available=5\n"); /* the end of a line from before */
    say(w, SAMPLE("88") SAMPLE("89") "pong time=1 guest_time=2\n");
    say(w, "hello version=1\n");
    until(w, strstr(w->in, "ping time="));
    assert_int_equal(w->views, 0);
    say(w, SAMPLE("1"));
    until(w, w->views == 1);
    assert_int_equal(w->troubles, 0);
    world_free(w);
}

static void says_nonsense_once_and_leaves_the_port_alone(void **state)
{
    static const struct {
        const char *lines;
        const char *text;
    } cases[] = {
        {"sample seq=2 time=1 mem_total=4 mem_free=-1\n",
         "guest 'web1': nonsense came through its agent's port ('mem_free=-1' is negative); its agent's port is left alone for a while, balloon statistics are used"},
        {"sample seq=2 time=1 mem_total=4 mem_free=5\n", "impossible"},
        {"\x01\x02\x03\n", "byte 0x01"},
        {"hello version=7\n", "its agent speaks protocol version 7, this side speaks version 1"},
        {"watermark size=5\n", "'watermark', which only the host sends"},
        {"quit\n", "'quit' is no message"},
        {SAMPLE("1"), "two agents"},
        {SAMPLE("3") SAMPLE("2"), "two agents"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct world *w = world_new(true);
        world_link(w, &quick);
        world_greet(w);
        say(w, SAMPLE("1"));
        until(w, w->views == 1);
        say(w, cases[i].lines);
        until(w, w->troubles == 1);
        if (!strstr(w->text, cases[i].text))
            fail_msg("'%s' is not in '%s'", cases[i].text, w->text);
        assert_int_equal(w->losses, 1);
        assert_false(agent_link_is_heard(w->link));
        until(w, w->peer < 0); /* it hung up */
        for (unsigned again = 0; again < 3; again++) { /* and comes back; the same again is no news */
            world_greet(w);
            say(w, SAMPLE("1"));
            unsigned before = w->views;
            until(w, w->views > before);
            assert_true(agent_link_is_heard(w->link));
            say(w, cases[i].lines);
            until(w, w->peer < 0);
        }
        assert_int_equal(w->troubles, 1);
        assert_int_equal(w->losses, 4);
        world_free(w);
    }
}

/* What the protocol can't see: whoever takes the sample knows how much memory the guest can have. */
static void a_sample_that_cant_be_true_is_nonsense(void **state)
{
    struct world *w = world_new(true);

    (void)state;
    world_link(w, &quick);
    world_greet(w);
    w->refuse = "its agent says it has 9 MiB";
    say(w, SAMPLE("1"));
    until(w, w->peer < 0);
    assert_true(w->troubles == 1 && w->code == ERANGE && w->losses == 1);
    assert_non_null(strstr(w->text, "guest 'web1': its agent says it has 9 MiB; its agent's port is left alone"));
    w->refuse = NULL;
    world_greet(w);
    say(w, SAMPLE("1"));
    until(w, w->views == 2);
    assert_true(agent_link_is_heard(w->link));
    world_free(w);
}

static void refuses_endless_lines_and_floods(void **state)
{
    struct world *w = world_new(true);
    char data[2000];

    (void)state;
    world_link(w, &quick);
    world_greet(w);
    memset(data, 'x', sizeof(data));
    while (w->troubles == 0 && w->peer >= 0) {
        (void)send(w->peer, data, sizeof(data), MSG_NOSIGNAL | MSG_DONTWAIT);
        turn(w);
    }
    assert_non_null(strstr(w->text, "a line longer than 4096 bytes"));
    until(w, w->peer < 0);
    world_greet(w);
    for (unsigned i = 0; w->troubles == 1 && w->peer >= 0; i++) { /* good lines, but too many */
        int n = snprintf(data, sizeof(data), "sample seq=%u time=1 mem_total=4 mem_free=1\n", i + 1);
        (void)send(w->peer, data, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (i % 16 == 0)
            turn(w);
    }
    assert_int_equal(w->troubles, 2);
    assert_non_null(strstr(w->text, "flooded with more than 50 lines a second"));
    world_free(w);
}

static void an_agent_that_falls_silent_is_lost(void **state)
{
    struct agent_link_times times = quick;
    struct world *w = world_new(true);
    struct hv_tell tell = example;

    (void)state;
    times.slack_usec = 1;
    tell.heartbeat_usec = 100 * MSEC;
    world_link(w, &times);
    agent_link_tell(w->link, &tell);
    world_greet(w);
    say(w, SAMPLE("1"));
    until(w, w->views == 1);
    until(w, w->losses == 1);
    assert_int_equal(w->troubles, 1);
    assert_string_equal(w->text, "guest 'web1': its agent is silent; balloon statistics are used until it is back");
    /* What it is to know waits until it is back: nothing piles up in its port. */
    w->in_len = 0;
    tell.watermark_bytes = 16 << 20;
    agent_link_tell(w->link, &tell);
    for (int i = 0; i < 10; i++)
        turn(w);
    assert_int_equal(w->in_len, 0);
    say(w, SAMPLE("2"));
    until(w, w->views == 2 && strstr(w->in, "watermark size=16384\n"));
    assert_true(agent_link_is_heard(w->link));
    assert_true(w->troubles == 2 && w->code == 0); /* over: status shows it no longer */
    /* A paused guest is not silent. */
    agent_link_see_break(w->link, /* paused= */ true);
    for (int i = 0; i < 100; i++)
        turn(w);
    assert_int_equal(w->losses, 1);
    agent_link_see_break(w->link, /* paused= */ false);
    until(w, w->losses == 2);
    world_free(w);
}

static void asks_when_a_heartbeat_is_late(void **state)
{
    struct world *w = world_new(true);
    struct hv_tell tell = example;

    (void)state;
    tell.heartbeat_usec = 100 * MSEC;
    world_link(w, &quick);
    agent_link_ask(w->link); /* nobody there */
    agent_link_tell(w->link, &tell);
    world_greet(w);
    say(w, SAMPLE("1"));
    until(w, w->views == 1);
    agent_link_ask(w->link); /* it has just spoken */
    turn(w);
    assert_null(strstr(w->in, "ask\n"));
    time_t start = time(NULL);
    while (!strstr(w->in, "ask\n") && time(NULL) - start < PATIENCE_SEC) {
        agent_link_ask(w->link);
        turn(w);
    }
    assert_non_null(strstr(w->in, "ask\n"));
    world_free(w);
}

static void refuses_a_path_that_is_too_long(void **state)
{
    char path[200];
    struct agent_link_config config = {.guest = "web1", .path = path, .times = AGENT_LINK_TIMES};
    struct agent_link *link = NULL;
    struct err e = {0};

    (void)state;
    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(sd_event_new(&config.loop), 0);
    assert_int_equal(agent_link_new(&config, &link, &e), -ENAMETOOLONG);
    assert_null(link);
    assert_false(agent_link_is_heard(NULL));
    assert_null(agent_link_free(NULL));
    sd_event_unref(config.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hears_an_agent), cmocka_unit_test(corrects_by_pings),
        cmocka_unit_test(tells_what_it_is_to_know), cmocka_unit_test(waits_for_a_socket),
        cmocka_unit_test(says_that_it_may_not), cmocka_unit_test(ignores_what_is_left_over),
        cmocka_unit_test(says_nonsense_once_and_leaves_the_port_alone),
        cmocka_unit_test(a_sample_that_cant_be_true_is_nonsense), cmocka_unit_test(refuses_endless_lines_and_floods),
        cmocka_unit_test(an_agent_that_falls_silent_is_lost),
        cmocka_unit_test(asks_when_a_heartbeat_is_late), cmocka_unit_test(refuses_a_path_that_is_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
