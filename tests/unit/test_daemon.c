/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"
#include "log.h"
#include "log_writer.h"
#include "options.h"
#include "protect.h"
#include "tell.h"

/* The parts of ballastd that need no loop. */

static int parse(const char *const *words, struct options *ret, struct err *e)
{
    char *argv[16];
    int argc = 1;

    argv[0] = (char *)"ballastd";
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)words[argc - 1];
    argv[argc] = NULL;
    return options_parse(argc, argv, ret, e);
}

static void options_are_read(void **state)
{
    const char *const words[] = {"--config", "/a.yaml", "--runtime-dir=/r", "--state-dir", "/s", "--dry-run",
                                 "--log-level", "debug", NULL};
    struct options o;
    struct err e = {0};

    (void)state;
    assert_int_equal(parse(words, &o, &e), 0);
    assert_int_equal(o.action, OPTIONS_RUN);
    assert_string_equal(o.config_path, "/a.yaml");
    assert_true(o.config_given);
    assert_string_equal(o.runtime_dir, "/r");
    assert_string_equal(o.state_dir, "/s");
    assert_true(o.dry_run);
    assert_int_equal(o.log_level, LOG_LEVEL_DEBUG);
}

static void wrong_options_are_one_sentence(void **state)
{
    static char long_path[PATHS_SIZE + 1];
    static const struct {
        const char *words[3];
        const char *text;
    } cases[] = {
        {{"--frob"}, "option '--frob' is not known; see ballastd --help"},
        {{"--config"}, "option '--config' needs a value"},
        {{"--config", ""}, "--config needs a path, not an empty word"},
        {{"--runtime-dir", long_path}, "the path after --runtime-dir is too long: 255 characters at most"},
        {{"--log-level", "loud"}, "--log-level 'loud' is not known: error, warning, info or debug are"},
        {{"status"}, "'status' is not an option, and ballastd takes nothing else; see ballastd --help"},
        {{"--dry-run=yes"}, "option '--dry-run=yes' takes no value"},
    };

    (void)state;
    memset(long_path, 'x', sizeof(long_path) - 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct options o;
        struct err e = {0};
        assert_int_equal(parse(cases[i].words, &o, &e), -EINVAL);
        assert_string_equal(e.text, cases[i].text);
    }
}

static void help_and_version_need_no_environment(void **state)
{
    const char *const help[] = {"--help", NULL}, *const version[] = {"--version", NULL};
    const char *const keys[] = {"--help-config", NULL};
    struct options o;
    struct err e = {0};

    (void)state;
    assert_int_equal(parse(help, &o, &e), 0);
    assert_int_equal(o.action, OPTIONS_HELP);
    assert_int_equal(parse(keys, &o, &e), 0);
    assert_int_equal(o.action, OPTIONS_HELP_CONFIG);
    assert_int_equal(parse(version, &o, &e), 0);
    assert_int_equal(o.action, OPTIONS_VERSION);
}

static void floods_are_held_back_and_counted(void **state)
{
    static struct tell t;
    uint64_t now = 1000000000;
    uint32_t held_back = 99;

    (void)state;
    for (unsigned int i = 0; i < TELL_BURST; i++)
        assert_true(tell_may(&t, "noisy", now, &held_back));
    assert_int_equal(held_back, 0);
    for (unsigned int i = 0; i < 1000; i++)
        assert_false(tell_may(&t, "noisy", now, &held_back));
    assert_true(tell_may(&t, "quiet", now, &held_back)); /* others are heard */
    now += TELL_REFILL_USEC;
    assert_true(tell_may(&t, "noisy", now, &held_back));
    assert_int_equal(held_back, 1000);
    assert_false(tell_may(&t, "noisy", now, &held_back));
    now += (TELL_BURST + 1) * TELL_REFILL_USEC;
    for (unsigned int i = 0; i < TELL_BURST; i++)
        assert_true(tell_may(&t, "noisy", now, &held_back));
    assert_false(tell_may(&t, "noisy", now, &held_back));
}

static void make_file(char path[32], const char *text)
{
    int fd;

    (void)strcpy(path, "/tmp/ballast-test-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static void oom_score_is_written(void **state)
{
    char path[32], text[16] = "";
    int score = 1;
    FILE *f;

    (void)state;
    make_file(path, "");
    assert_int_equal(protect_oom_score(path, &score), 0);
    assert_int_equal(score, -900);
    f = fopen(path, "re");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof(text), f));
    assert_int_equal(fclose(f), 0);
    assert_string_equal(text, "-900\n");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(protect_oom_score(path, &score), -ENOENT);
}

static void host_is_read(void **state)
{
    char meminfo[32], psi[32];
    struct host_paths paths = {.meminfo = meminfo, .psi = psi, .arc = "/nonexistent/arcstats"};
    struct obs_host seen;
    struct err e = {0};

    (void)state;
    make_file(meminfo, "MemTotal:        2048 kB\nMemFree:          100 kB\nMemAvailable:    1024 kB\n");
    make_file(psi, "some avg10=0.00 avg60=0.00 avg300=0.00 total=77\n"
                   "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");
    assert_int_equal(host_read(&paths, 5, &seen, &e), 0);
    assert_int_equal(seen.time_usec, 5);
    assert_int_equal(seen.total_bytes, 2048 * 1024);
    assert_int_equal(seen.available_bytes, 1024 * 1024);
    assert_int_equal(seen.arc_bytes, 0);
    assert_int_equal(seen.psi_some_usec, 77);
    assert_int_equal(unlink(psi), 0);
    assert_int_equal(host_read(&paths, 6, &seen, &e), 0);
    assert_true(seen.psi_some_usec == OBS_UNSET); /* a kernel without it */
    assert_int_equal(unlink(meminfo), 0);
    assert_int_equal(host_read(&paths, 7, &seen, &e), -ENOENT);
    assert_non_null(strstr(e.text, "nothing is given or taken"));
}

static void log_lines_pass_the_writer(void **state)
{
    char text[256] = "";
    int fds[2], kept;
    struct err e = {0};

    (void)state;
    assert_int_equal(pipe(fds), 0);
    kept = dup(STDERR_FILENO);
    assert_true(kept >= 0);
    assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
    assert_int_equal(log_writer_start(&e), 0);
    log_info("first");
    log_warning("second");
    log_writer_stop();
    log_info("third"); /* directly again */
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    assert_int_equal(close(fds[1]), 0);
    for (size_t used = 0;;) {
        ssize_t n = read(fds[0], text + used, sizeof(text) - 1 - used);
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    assert_string_equal(text, "first\nwarning: second\nthird\n");
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(close(kept), 0);
}

static void full_log_delays_nobody(void **state)
{
    char text[4096];
    int fds[2], kept;
    struct err e = {0};
    size_t kept_bytes = 0;
    bool noted = false, ended = false;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    kept = dup(STDERR_FILENO);
    assert_true(kept >= 0);
    assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
    assert_int_equal(log_writer_start(&e), 0);
    for (unsigned int i = 0; i < 20000; i++) /* nobody reads: more than pipe and queue hold, and we get here */
        log_info("line %u of many, with enough words in it to fill the queue soon", i);
    /* Somebody reads again: for 64 reads what piled up, then one more line before each read, so that there is always
     * something to come. The note comes with the first line that fits again, which may be one of the many (the writer
     * moves on while they are logged), and may be cut in two by a read. */
    for (unsigned int i = 0; i < 2000 && !ended; i++) {
        if (i >= 64)
            log_info(noted ? "the end" : "again");
        ssize_t n = read(fds[0], text + kept_bytes, sizeof(text) - 1 - kept_bytes);
        assert_true(n > 0);
        n += (ssize_t)kept_bytes;
        text[n] = '\0';
        noted = noted || strstr(text, "lines of the log were lost");
        ended = strstr(text, "the end") != NULL;
        kept_bytes = n < 64 ? (size_t)n : 64;
        memmove(text, text + n - kept_bytes, kept_bytes);
    }
    assert_true(noted && ended);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    log_writer_stop();
    assert_int_equal(close(fds[1]), 0);
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(close(kept), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(wrong_options_are_one_sentence),
        cmocka_unit_test(help_and_version_need_no_environment),
        cmocka_unit_test(floods_are_held_back_and_counted),
        cmocka_unit_test(oom_score_is_written),
        cmocka_unit_test(host_is_read),
        cmocka_unit_test(log_lines_pass_the_writer),
        cmocka_unit_test(full_log_delays_nobody),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* the full log's pipe is closed under its writer */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
