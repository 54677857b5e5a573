/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "child.h"
#include "guardian_link.h"

/* ballastd's helper processes: children (child.c), of which these are scripts, and the guardian itself, which is killed. */

#define TURN_USEC 30000000ULL /* never comes */

struct world {
    char directory[32];
    sd_event *loop;
    struct child *child;
    struct guardian_link *link;
    char lines[256];
    unsigned ended, words, restarted;
    int status;
    enum guardian_answer answer;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    (void)strcpy(w->directory, "/tmp/ballast-test-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    assert_true(sd_event_new(&w->loop) >= 0);
    *state = w;
    return 0;
}

static void remove_file(const struct world *w, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "%s/%s", w->directory, name);
    (void)unlink(path);
}

static void turn(struct world *w)
{
    assert_true(sd_event_run(w->loop, TURN_USEC) > 0);
}

static int teardown(void **state)
{
    struct world *w = *state;

    if (w->child)
        child_kill(w->child);
    while (w->child)
        turn(w);
    w->link = guardian_link_free(w->link);
    (void)sd_event_unref(w->loop);
    remove_file(w, "script");
    remove_file(w, "g.frozen");
    assert_int_equal(rmdir(w->directory), 0);
    free(w);
    return 0;
}

/* ---- children ---- */

static void on_line(void *user, const char *line, size_t len)
{
    struct world *w = user;

    assert_int_equal(strlen(line), len);
    (void)snprintf(w->lines + strlen(w->lines), sizeof(w->lines) - strlen(w->lines), "%s;", line);
}

static void on_ended(void *user, int status)
{
    struct world *w = user;

    w->ended++;
    w->status = status;
    w->child = child_free(w->child);
}

static int start(struct world *w, const char *script, struct err *e)
{
    const struct child_config config = {.loop = w->loop, .program = "script", .input_fd = -1, .line = on_line,
                                        .ended = on_ended, .user = w};
    char path[64];

    assert_int_equal(setenv("BALLAST_LIBEXEC_DIR", w->directory, 1), 0);
    if (script) {
        FILE *f;

        (void)snprintf(path, sizeof(path), "%s/script", w->directory);
        f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fprintf(f, "#!/bin/sh\n%s\n", script) > 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(path, 0755), 0);
    }
    return child_start(&config, &w->child, e);
}

static void lines_come_before_the_end(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    assert_int_equal(start(w, "read a; echo one; echo \"two $a\"; echo no end of line | tr -d '\\n'; exit 3", &e), 0);
    assert_int_equal(child_write(w->child, "hello\n", 6, &e), 0);
    child_end_input(w->child);
    while (!w->ended)
        turn(w);
    assert_string_equal(w->lines, "one;two hello;");
    assert_true(WIFEXITED(w->status) && WEXITSTATUS(w->status) == 3);
}

static void one_that_is_not_there(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    assert_true(start(w, NULL, &e) < 0);
    assert_non_null(strstr(e.text, "cannot start '"));
    assert_null(w->child);
}

static void killed(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    assert_int_equal(start(w, "echo up; exec sleep 1000", &e), 0);
    while (!w->lines[0])
        turn(w);
    child_kill(w->child);
    while (!w->ended)
        turn(w);
    assert_int_equal(w->ended, 1);
    assert_true(WIFSIGNALED(w->status) && WTERMSIG(w->status) == SIGKILL);
}

/* What it does not read is bounded. */
static void one_that_does_not_read(void **state)
{
    static char much[1U << 20];
    struct world *w = *state;
    struct err e = {0};
    int r = 0;

    assert_int_equal(start(w, "exec sleep 1000", &e), 0);
    for (unsigned i = 0; i < 4 && r == 0; i++)
        r = child_write(w->child, much, sizeof(much), &e);
    assert_int_equal(r, -EMSGSIZE);
    assert_non_null(strstr(e.text, "does not read"));
}

/* One that closes its input tells of it by its end only. */
static void one_that_closed_its_input(void **state)
{
    static char much[1U << 20];
    struct world *w = *state;
    struct err e = {0};

    assert_int_equal(start(w, "exec <&-; echo closed; read a <&1 || exit 5", &e), 0);
    while (!w->lines[0])
        turn(w);
    assert_int_equal(child_write(w->child, much, sizeof(much), &e), 0);
    while (!w->ended)
        turn(w);
    assert_true(WIFEXITED(w->status));
}

/* ---- the guardian ---- */

static void on_word(void *user, const struct guardian_word *word)
{
    struct world *w = user;

    w->words++;
    w->answer = (enum guardian_answer)word->answer;
}

static void on_restarted(void *user)
{
    ((struct world *)user)->restarted++;
}

static enum guardian_answer ask(struct world *w, enum guardian_verb verb)
{
    const struct guardian_order o = {.verb = verb, .guest = "g", .hard_usec = 60000000};
    unsigned words = w->words;
    struct err e = {0};

    assert_int_equal(guardian_link_send(w->link, &o, -1, -1, &e), 0);
    while (w->words == words)
        turn(w);
    return w->answer;
}

/* The youngest child. */
static pid_t guardian_pid(void)
{
    char path[64], text[256] = "", *last;
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%ld/children", (long)getpid());
    f = fopen(path, "re");
    if (!f)
        skip();
    (void)!fgets(text, sizeof(text), f);
    (void)fclose(f);
    text[strcspn(text, "\n")] = '\0';
    while (text[0] && text[strlen(text) - 1] == ' ')
        text[strlen(text) - 1] = '\0';
    last = strrchr(text, ' ');
    return (pid_t)strtol(last ? last : text, NULL, 10);
}

static void killed_guardian_is_no_failure(void **state)
{
    const struct guardian_order o = {.verb = GUARDIAN_DISARM, .guest = "g"};
    struct world *w = *state;
    const struct guardian_link_config config = {.loop = w->loop, .directory = w->directory, .word = on_word,
                                                .restarted = on_restarted, .user = w};
    siginfo_t info;
    struct err e = {0};
    pid_t pid;

    assert_int_equal(setenv("BALLAST_LIBEXEC_DIR", LIBEXEC_DIR, 1), 0);
    assert_int_equal(guardian_link_new(&config, &w->link, &e), 0);
    assert_int_equal(ask(w, GUARDIAN_ARM), GUARDIAN_ARMED);
    pid = guardian_pid();
    assert_true(pid > 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(guardian_link_send(w->link, &o, -1, -1, &e), 0); /* the loop does not know yet */
    assert_int_equal(guardian_link_send(w->link, &o, -1, -1, &e), 0);
    while (!w->restarted)
        turn(w);
    assert_int_equal(ask(w, GUARDIAN_ARM), GUARDIAN_ARMED);
    assert_int_equal(ask(w, GUARDIAN_DISARM), GUARDIAN_DISARMED);
    assert_int_equal(w->restarted, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_come_before_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_is_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(killed, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_does_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_closed_its_input, setup, teardown),
        cmocka_unit_test_setup_teardown(killed_guardian_is_no_failure, setup, teardown),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as ballastd does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
