/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guardian.h"

/* The guardian's way to end a freeze, against a monitor and an agent that this test plays, in virtual time; then the program
 * itself: markers. */

#define HARD_USEC 4000000ULL
#define START_USEC 1000000ULL

struct world {
    struct guard_window g;
    struct guardian_order order;
    int monitor, agent; /* our ends */
    uint64_t now_usec;
    char heard[1024];
};

static void arm(struct world *w)
{
    int monitor[2], agent[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, monitor), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, agent), 0);
    w->monitor = monitor[0];
    w->agent = agent[0];
    w->now_usec = START_USEC;
    guard_window_arm(&w->g, &w->order, monitor[1], agent[1], w->now_usec);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->order = (struct guardian_order){.verb = GUARDIAN_ARM, .guest = "g", .hard_usec = HARD_USEC, .may_stop = true,
                                       .may_freeze = true};
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    guard_window_done(&w->g);
    (void)close(w->monitor);
    (void)close(w->agent);
    free(w);
    return 0;
}

/* Time passes; true: the window is over. */
static bool turn(struct world *w, uint64_t usec)
{
    w->now_usec += usec;
    return guard_window_turn(&w->g, w->now_usec);
}

/* All that came by now; "": nothing. */
static const char *hear(struct world *w, int fd)
{
    ssize_t n = recv(fd, w->heard, sizeof(w->heard) - 1, MSG_DONTWAIT);

    w->heard[n > 0 ? n : 0] = '\0';
    return w->heard;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* The agent's answers to sync and thaw, for the id it was asked with. */
static void say_thawed(struct world *w, const char *asked)
{
    const char *id = strstr(asked, "\"id\":");
    char text[128];

    assert_non_null(id);
    (void)snprintf(text, sizeof(text), "\xff{\"return\":%ld}\n{\"return\":2}\n", strtol(id + 5, NULL, 10));
    say(w->agent, text);
}

#define CONT "\xff\n{\"execute\":\"cont\",\"id\":4242}\n"
#define CONTINUED "{\"return\":{},\"id\":4242}\n"

static void acts_when_its_time_is_up(void **state)
{
    struct world *w = *state;

    arm(w);
    assert_false(turn(w, HARD_USEC - 1));
    assert_string_equal(hear(w, w->monitor), "");
    assert_string_equal(hear(w, w->agent), "");
    assert_false(turn(w, 1));
    assert_string_equal(hear(w, w->monitor), CONT);
    hear(w, w->agent);
    assert_int_equal((unsigned char)w->heard[0], 0xff);
    assert_true(strstr(w->heard, "guest-sync-delimited") < strstr(w->heard, "guest-fsfreeze-thaw"));
    say(w->monitor, CONTINUED);
    assert_false(turn(w, 1000)); /* the thaw is not answered yet */
    say_thawed(w, w->heard);
    assert_true(turn(w, 1000));
}

/* What ballastd had under way is answered first: it is not taken for the answer to what was asked now. */
static void answers_to_others_do_not_count(void **state)
{
    struct world *w = *state;
    char asked[1024];

    arm(w);
    guard_window_act(&w->g, w->now_usec);
    assert_false(turn(w, 0));
    (void)strcpy(asked, hear(w, w->agent));
    say(w->monitor, "{\"return\":{},\"id\":17}\n{\"event\":\"STOP\",\"timestamp\":{\"seconds\":1,\"microseconds\":2}}\n"
                    "{\"id\":4242,\"error\":{\"class\":\"GenericError\",\"desc\":\"JSON parse error\"}}\n");
    say(w->agent, "{\"return\":2}\n{\"error\":{\"class\":\"GenericError\",\"desc\":\"JSON parse error, stray\"}}\n\xff{\"return\":1}\n"
                  "{\"return\":2}\n");
    assert_false(turn(w, 1000));
    say(w->monitor, "{\"return\":{},\"id\":42"); /* in two pieces */
    say_thawed(w, asked);
    assert_false(turn(w, 1000));
    say(w->monitor, "42}\n");
    assert_true(turn(w, 1000));
}

/* It is asked again, ever slower; meanwhile QEMU's monitor is free for another ballastd. */
static void hung_agent(void **state)
{
    struct world *w = *state;
    struct pollfd p = {.events = POLLIN};
    unsigned asked = 0;

    arm(w);
    guard_window_act(&w->g, w->now_usec);
    assert_false(turn(w, 0));
    say(w->monitor, CONTINUED);
    assert_false(turn(w, 1000));
    (void)hear(w, w->monitor);
    p.fd = w->monitor;
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_int_equal(recv(w->monitor, w->heard, 1, MSG_DONTWAIT), 0); /* closed */
    for (unsigned i = 0; i < 60; i++) { /* seconds */
        assert_false(turn(w, 1000000));
        asked += hear(w, w->agent)[0] != '\0';
    }
    assert_in_range(asked, 6, 12);
    while (!hear(w, w->agent)[0])
        assert_false(turn(w, 1000000));
    say_thawed(w, w->heard);
    assert_true(turn(w, 1000));
}

static void hung_agent_is_given_up(void **state)
{
    struct world *w = *state;

    arm(w);
    guard_window_act(&w->g, w->now_usec);
    assert_false(turn(w, 0));
    assert_false(turn(w, GUARD_GIVE_UP_USEC - 1));
    assert_true(turn(w, 1));
}

/* The thaw does not wait for the monitor. */
static void hung_monitor(void **state)
{
    struct world *w = *state;

    arm(w);
    guard_window_act(&w->g, w->now_usec);
    assert_false(turn(w, 0));
    say_thawed(w, hear(w, w->agent));
    assert_false(turn(w, 1000));
    (void)hear(w, w->monitor);
    assert_false(turn(w, 30000000));
    assert_string_equal(hear(w, w->monitor), CONT); /* again */
    assert_string_equal(hear(w, w->agent), "");
    say(w->monitor, CONTINUED);
    assert_true(turn(w, 1000));
}

static void only_what_may_be(void **state)
{
    struct world *w = *state;

    w->order.may_freeze = false;
    arm(w);
    guard_window_act(&w->g, w->now_usec);
    assert_false(turn(w, 0));
    assert_string_equal(hear(w, w->agent), "");
    say(w->monitor, CONTINUED);
    assert_true(turn(w, 0));
}

static void qemu_gone(void **state)
{
    struct world *w = *state;
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    w->order.pid = pid;
    arm(w);
    guard_window_act(&w->g, w->now_usec);
    assert_true(turn(w, 0));
}

/* Not its pid: it was given to another process. */
static void qemu_of_another_time_is_gone(void **state)
{
    struct world *w = *state;

    w->order.pid = getpid();
    w->order.start_ticks = 1;
    arm(w);
    guard_window_act(&w->g, w->now_usec);
    assert_true(turn(w, 0));
}

/* ballastd's connection has ended with it: one of its own, which is greeted first. */
static void connects_anew(void **state)
{
    struct world *w = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char directory[] = "/tmp/ballast-test-XXXXXX";
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_non_null(mkdtemp(directory));
    (void)snprintf(w->order.monitor, sizeof(w->order.monitor), "%s/g.qmp", directory);
    (void)strcpy(address.sun_path, w->order.monitor);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    w->order.may_freeze = false;
    arm(w);
    (void)close(w->monitor);
    guard_window_act(&w->g, w->now_usec);
    assert_false(turn(w, 0));
    assert_false(turn(w, GUARD_TRY_USEC));
    w->monitor = accept(listener, NULL, NULL);
    assert_true(w->monitor >= 0);
    assert_string_equal(hear(w, w->monitor), "");
    say(w->monitor, "{\"QMP\":{\"version\":{\"qemu\":{\"major\":7,\"minor\":2,\"micro\":0}},\"capabilities\":[]}}\n");
    assert_false(turn(w, 1000));
    assert_non_null(strstr(hear(w, w->monitor), "qmp_capabilities"));
    assert_non_null(strstr(w->heard, CONT));
    say(w->monitor, "{\"return\":{}}\n" CONTINUED);
    assert_true(turn(w, 1000));
    (void)close(listener);
    (void)unlink(w->order.monitor);
    (void)rmdir(directory);
}

/* ---- the program ---- */

struct process {
    char directory[32];
    pid_t pid;
    int fd, monitor;
};

static void process_start(struct process *p, rlim_t file_size)
{
    int pair[2];

    (void)strcpy(p->directory, "/tmp/ballast-test-XXXXXX");
    assert_non_null(mkdtemp(p->directory));
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    p->fd = pair[0];
    p->monitor = -1;
    p->pid = fork();
    if (p->pid == 0) {
        const struct rlimit limit = {file_size, file_size};

        (void)setrlimit(RLIMIT_FSIZE, &limit);
        (void)dup2(pair[1], STDIN_FILENO);
        (void)execl(GUARDIAN, "ballast-guardian", p->directory, (char *)NULL);
        _exit(127);
    }
    (void)close(pair[1]);
}

static enum guardian_answer process_ask(const struct process *p, enum guardian_verb verb, int monitor_fd)
{
    struct guardian_order o = {.verb = verb, .guest = "g", .pid = getpid(), .hard_usec = 60000000, .may_stop = true};
    struct pollfd wait = {.fd = p->fd, .events = POLLIN};
    struct guardian_word word;
    struct err e = {0};

    assert_int_equal(guardian_send_order(p->fd, &o, monitor_fd, -1, &e), 0);
    assert_int_equal(poll(&wait, 1, 30000), 1);
    assert_int_equal(guardian_receive_word(p->fd, &word, &e), 1);
    return (enum guardian_answer)word.answer;
}

static bool has_file(const struct process *p, const char *name)
{
    char path[64];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s/%s", p->directory, name);
    return stat(path, &st) == 0 && st.st_size > 0;
}

/* What ends it is the end of its socket, when nothing is frozen. */
static void process_end(struct process *p)
{
    int status;

    (void)close(p->fd);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(rmdir(p->directory), 0); /* it has left nothing there */
}

static void marker_is_there_before_it_is_armed(void **state)
{
    struct process p;

    (void)state;
    process_start(&p, RLIM_INFINITY);
    assert_int_equal(process_ask(&p, GUARDIAN_ARM, -1), GUARDIAN_ARMED);
    assert_true(has_file(&p, "g.frozen"));
    assert_int_equal(process_ask(&p, GUARDIAN_DISARM, -1), GUARDIAN_DISARMED);
    assert_false(has_file(&p, "g.frozen"));
    process_end(&p);
}

/* Not one byte can be written: it does not promise what it can't keep. */
static void full_disk_refuses(void **state)
{
    struct process p;

    (void)state;
    process_start(&p, 0);
    assert_int_equal(process_ask(&p, GUARDIAN_ARM, -1), GUARDIAN_REFUSED);
    process_end(&p);
}

/* ballastd is killed while it is armed: cont, then the marker goes, then it ends. */
static void end_of_ballastd_ends_the_freeze(void **state)
{
    struct process p;
    char heard[128] = "";
    int pair[2], status;

    (void)state;
    process_start(&p, RLIM_INFINITY);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(process_ask(&p, GUARDIAN_ARM, pair[1]), GUARDIAN_ARMED);
    (void)close(pair[1]);
    (void)close(p.fd);
    assert_true(recv(pair[0], heard, sizeof(heard) - 1, 0) > 0);
    assert_string_equal(heard, CONT);
    assert_true(has_file(&p, "g.frozen"));
    say(pair[0], CONTINUED);
    assert_int_equal(waitpid(p.pid, &status, 0), p.pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(rmdir(p.directory), 0);
    (void)close(pair[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(acts_when_its_time_is_up, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_to_others_do_not_count, setup, teardown),
        cmocka_unit_test_setup_teardown(hung_agent, setup, teardown),
        cmocka_unit_test_setup_teardown(hung_agent_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(hung_monitor, setup, teardown),
        cmocka_unit_test_setup_teardown(only_what_may_be, setup, teardown),
        cmocka_unit_test_setup_teardown(qemu_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(qemu_of_another_time_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(connects_anew, setup, teardown),
        cmocka_unit_test(marker_is_there_before_it_is_armed),
        cmocka_unit_test(full_disk_refuses),
        cmocka_unit_test(end_of_ballastd_ends_the_freeze),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
