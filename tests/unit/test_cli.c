/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <curl/curl.h>
#include <json-c/json.h>
#include <systemd/sd-event.h>

#include "api.h"
#include "api_routes.h"
#include "cli.h"
#include "fixture_status.h"
#include "own.h"
#include "wire_operate.h"

/* A daemon (the real API server over a made-up host) or an impostor runs in a child; commands run here, in-process. */
struct rig {
    char dir[32], path[64];
    pid_t child;
    long total_ms;
};

static int rig_setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));

    assert_non_null(r);
    (void)snprintf(r->dir, sizeof(r->dir), "/tmp/ballast-cli-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    (void)snprintf(r->path, sizeof(r->path), "%s/api.sock", r->dir);
    *state = r;
    return 0;
}

static void child_stop(struct rig *r)
{
    if (r->child > 0) {
        (void)kill(r->child, SIGKILL);
        assert_int_equal(waitpid(r->child, NULL, 0), r->child);
    }
    r->child = 0;
}

static int rig_teardown(void **state)
{
    struct rig *r = *state;
    char lock[96];

    child_stop(r);
    (void)snprintf(lock, sizeof(lock), "%s/ballastd.lock", r->dir);
    (void)unlink(lock);
    (void)unlink(r->path);
    assert_int_equal(rmdir(r->dir), 0);
    free(r);
    return 0;
}

/* Runs `serve` in a child and returns when it says it is ready. */
static void child_start(struct rig *r, void (*serve)(const struct rig *r, int ready, const char *what),
                        const char *what)
{
    int ready[2];
    char byte;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    r->child = fork();
    assert_true(r->child >= 0);
    if (r->child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(r, ready[1], what);
        _exit(1);
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
}

static void on_operate(void *user, enum api_operation what, const struct api_request *rq, struct api_reply *ret)
{
    struct wire_done d = {.changed = true, .moves = "on", .save = WIRE_UNKNOWN};

    (void)user;
    if (rq->name && strcmp(rq->name, "nope") == 0) {
        api_reply_error(ret, 404, "known guests: web1", "there is no guest 'nope'");
        return;
    }
    (void)snprintf(d.text, sizeof(d.text), "operation %d of '%s' is done", (int)what, rq->name ? rq->name : "all");
    if (what == API_OPERATION_RESUME)
        (void)snprintf(d.warning, sizeof(d.warning), "ballast is off for all guests");
    wire_done_print(&ret->body, &d);
}

static void daemon_serve(const struct rig *r, int ready, const char *what)
{
    struct wire_status *s = fixture_status();
    struct api_config config = {.runtime_dir = r->dir, .source = fixture_source(s)};
    struct err e = {0};
    sd_event *loop = NULL;
    struct api *api;

    config.source.operate = on_operate;
    if (strcmp(what, "nogroup may look") == 0) {
        config.socket_group = "nogroup";
        config.operate_group = "ballast-no-such-group";
    }

    if (strcmp(what, "empty") == 0)
        s->guest_count = 0;
    if (sd_event_new(&loop) < 0 || api_open(loop, &config, &api, &e) < 0 || write(ready, "x", 1) != 1)
        _exit(2);
    (void)sd_event_loop(loop);
}

/* Answers every connection with the same bytes; "" closes at once, "endless" never ends, "silent" never begins. */
static void impostor_serve(const struct rig *r, int ready, const char *what)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char request[4096];

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", r->path);
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0 ||
        write(ready, "x", 1) != 1)
        _exit(2);
    for (;;) {
        int client = accept(fd, NULL, NULL);

        if (read(client, request, sizeof(request)) > 0) {
            if (strcmp(what, "silent") == 0)
                continue; /* and keep it open */
            (void)!send(client, what, strlen(what), MSG_NOSIGNAL);
            while (strstr(what, "endless") && send(client, request, sizeof(request), MSG_NOSIGNAL) > 0)
                ;
        }
        (void)close(client);
    }
}

struct result {
    int code;
    char *out, *err;
};

static struct result run(const struct rig *r, const char *const *words)
{
    char *argv[16] = {(char *)"ballast", (char *)"--socket", (char *)r->path};
    struct cli cli = {.socket_path = r->path, .rounds = 1, .total_ms = r->total_ms};
    struct result result = {0};
    size_t out_size, err_size;
    int argc = 3;

    while (*words)
        argv[argc++] = (char *)*words++;
    cli.out = open_memstream(&result.out, &out_size);
    cli.err = open_memstream(&result.err, &err_size);
    result.code = cli_run(&cli, argc, argv);
    (void)fclose(cli.out);
    (void)fclose(cli.err);
    return result;
}
#define RUN(r, ...) run(r, (const char *const[]){__VA_ARGS__, NULL})

static void result_done(struct result *result)
{
    free(result->out);
    free(result->err);
}

/* Fails unless the exit code fits, stdout holds `out`, and stderr `err` in exactly two lines ("": nothing at all). */
static void expect(struct result result, int code, const char *out, const char *err)
{
    size_t lines = 0;

    for (const char *c = result.err; *c; c++)
        lines += *c == '\n';
    if (result.code != code || !strstr(result.out, out) || !strstr(result.err, err) || lines != (*err ? 2 : 0))
        fail_msg("exit code %d, not %d\nstdout: %s\nstderr: %s\nnot '%s', '%s'", result.code, code, result.out,
                 result.err, out, err);
    result_done(&result);
}

static void expect_json(struct result result, int code, const char *member)
{
    enum json_tokener_error error = json_tokener_success;
    struct json_object *json = json_tokener_parse_verbose(result.out, &error);

    if (result.code != code || !json || !json_object_object_get_ex(json, member, NULL) || result.err[0])
        fail_msg("exit code %d\nstdout: %s\nstderr: %s", result.code, result.out, result.err);
    json_object_put(json);
    result_done(&result);
}

static void commands_show_what_the_daemon_says(void **state)
{
    struct rig *r = *state;

    child_start(r, daemon_serve, "");
    expect(RUN(r, "status"), 0, "web1", "");
    expect(RUN(r, "status"), 0, "Memory Status: Low =", "");
    expect(RUN(r, "status", "--watch"), 0, "web1", "");
    expect(RUN(r, "show", "web1"), 0, "what it may use now: 512 MiB boot memory - 192 MiB in the balloon", "");
    expect(RUN(r, "--", "show", "web1"), 0, "web1: running", "");
    expect(RUN(r, "why", "web1"), 0, "Nothing to do: it has 412 MiB", "");
    expect_json(RUN(r, "why", "web1", "--json"), 0, "decisions");
    expect(RUN(r, "version"), 0, "ballastd 0.1.0, pid 777", "");
    expect(RUN(r, "--version"), 0, "ballast  " BALLAST_VERSION, "");
    expect_json(RUN(r, "status", "--json"), 0, "guests");
    expect_json(RUN(r, "--json", "show", "liar"), 0, "reasons");
    expect_json(RUN(r, "version", "--json"), 0, "daemon");
    expect_json(RUN(r, "dump"), 0, "dump");
}

static void doctor_and_top_ask_the_daemon(void **state)
{
    struct rig *r = *state;

    child_start(r, daemon_serve, "");
    expect(RUN(r, "doctor"), 4, "host node1: ", "");
    expect(RUN(r, "doctor"), 4, "; see: ballast doctor web1", "");
    expect(RUN(r, "doctor"), 4, "guests run on QEMU 7.2.15 (1)", "");
    expect(RUN(r, "doctor", "web1"), 4, "it has no balloon device", "");
    expect_json(RUN(r, "doctor", "--json"), 4, "host");
    expect_json(RUN(r, "doctor", "web1", "--json"), 4, "guests");
    expect(RUN(r, "doctor", "nope"), 1, "", "there is no guest 'nope'");
    expect(RUN(r, "doctor", ""), 2, "", "the guest's name is empty");
    expect_json(RUN(r, "top", "--json"), 0, "history");
    expect(RUN(r, "top"), 2, "", "top needs a terminal");
}

static void unknown_guests_are_told_with_the_known_ones(void **state)
{
    struct rig *r = *state;

    child_start(r, daemon_serve, "");
    expect(RUN(r, "show", "nope"), 1, "", "there is no guest 'nope'");
    expect(RUN(r, "show", "nope"), 1, "", "known guests: web1, database-of-the-accounting, batch, liar, new");
    expect(RUN(r, "show", "../status"), 1, "", "there is nothing at");
    expect(RUN(r, "show", ".."), 1, "", "there is no guest '..'");
    expect(RUN(r, "why", "nope"), 1, "", "there is no guest 'nope'");
    expect(RUN(r, "why", ""), 2, "", "the guest's name is empty");
    expect(RUN(r, "show", "a b\x1b[2J%00&?#"), 1, "", "there is no guest 'a b?[2J%00&?#'");
    expect(RUN(r, "show", "nope", "--json"), 1, "", "there is no guest 'nope'");
    expect(RUN(r, "show", ""), 2, "", "the guest's name is empty");
}

static void records_that_are_none_are_refused(void **state)
{
    struct rig *r = *state;

    expect(RUN(r, "replay", "/nonexistent"), 1, "", "cannot replay '/nonexistent': it can't be opened");
    expect(RUN(r, "replay", "/dev/null"), 1, "", "it is empty");
    expect(RUN(r, "replay"), 2, "", "replay");
    expect(RUN(r, "record", "--for", "tomorrow"), 2, "", "--for");
    expect(RUN(r, "record", "--for", "0s"), 2, "", "no time at all");
    expect(RUN(r, "record", "/dev/null"), 1, "", "cannot make '/dev/null'");
    expect(RUN(r, "record"), 3, "", "ballastd does not run");
    child_start(r, daemon_serve, "");
    expect(RUN(r, "record"), 1, "", "is no recording"); /* this one tells of operations only */
}

static void operations_tell_what_was_done(void **state)
{
    struct rig *r = *state;

    child_start(r, daemon_serve, "");
    expect(RUN(r, "pause", "web1"), 0, "of 'web1' is done", "");
    expect(RUN(r, "pause"), 0, "of 'all' is done", "");
    expect(RUN(r, "off"), 0, "of 'all' is done", "");
    expect(RUN(r, "on"), 0, "of 'all' is done", "");
    expect(RUN(r, "resume", "web1"), 4, "of 'web1' is done", "ballast is off for all guests");
    expect_json(RUN(r, "pause", "web1", "--json"), 0, "changed");
    expect(RUN(r, "pause", "nope"), 1, "", "there is no guest 'nope'");
    expect(RUN(r, "pause", ""), 2, "", "the guest's name is empty");
    expect(RUN(r, "off", "web1"), 2, "", "'web1' is one argument too many");
}

/* Somebody who may look may not operate; looked at as another user where the test is root. */
static void looking_is_not_operating(void **state)
{
    struct rig *r = *state;
    int status = 0;
    pid_t child;

    if (geteuid() != 0) {
        puts("not root: nobody else to be");
        skip();
    }
    child_start(r, daemon_serve, "nogroup may look");
    assert_int_equal(chmod(r->dir, 0755), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
            _exit(77);
        expect(RUN(r, "show", "web1"), 0, "web1", "");
        expect(RUN(r, "off"), 1, "", "POST /v1/off is for operators only, and uid 65534 is not one of them");
        expect(RUN(r, "off"), 1, "", "sudo groupadd -r ballast-no-such-group");
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void an_empty_host_is_an_answer(void **state)
{
    struct rig *r = *state;

    child_start(r, daemon_serve, "empty");
    expect(RUN(r, "status"), 0, "No guests yet", "");
    expect(RUN(r, "show", "web1"), 1, "", "ballastd knows no guest yet");
    expect_json(RUN(r, "status", "--json"), 0, "guests");
}

static void without_a_daemon_it_is_3(void **state)
{
    struct rig *r = *state;
    int fd;

    expect(RUN(r, "status"), 3, "", "ballastd does not run: there is no socket");
    expect(RUN(r, "status", "--json"), 3, "", "systemctl start ballastd");
    expect(RUN(r, "show", "web1"), 3, "", "ballastd does not run");
    expect(RUN(r, "doctor", "web1"), 3, "", "ballastd does not run");
    expect(RUN(r, "doctor"), 4, "! ballastd does not run", ""); /* the host is looked at all the same */
    expect_json(RUN(r, "doctor", "--json"), 4, "host");
    expect(RUN(r, "top", "--json"), 3, "", "ballastd does not run");
    child_start(r, daemon_serve, "");
    child_stop(r); /* its socket stays */
    expect(RUN(r, "status"), 3, "", "nobody serves the socket");
    expect(RUN(r, "status", "--watch"), 3, "", "nobody serves the socket");
    (void)unlink(r->path);
    fd = open(r->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    (void)close(fd);
    expect(RUN(r, "status"), 3, "", "is no socket");
    expect(RUN(r, "--socket", r->dir, "status"), 3, "", "is no socket");
    expect(RUN(r, "--socket", "/proc/self/nothing/x", "status"), 3, "", "there is no socket");
}

/* Its own version is an answer without any daemon. */
static void version_needs_no_daemon(void **state)
{
    struct rig *r = *state;
    struct result result = RUN(r, "version");

    assert_int_equal(result.code, 0);
    assert_non_null(strstr(result.out, "ballast  " BALLAST_VERSION));
    assert_non_null(strstr(result.err, "ballastd does not run"));
    result_done(&result);
    expect_json(RUN(r, "version", "--json"), 0, "version");
}

static void no_permission_is_3_with_the_remedy(void **state)
{
    struct rig *r = *state;
    int status = 0;
    pid_t child;

    child_start(r, daemon_serve, "");
    assert_int_equal(chmod(r->path, 0), 0);
    assert_int_equal(chmod(r->dir, 0755), 0);
    child = fork(); /* root is refused nothing: look as somebody else */
    assert_true(child >= 0);
    if (child == 0) {
        struct result result;

        if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
            _exit(77);
        result = RUN(r, "status");
        if (result.code == 3 && strstr(result.err, "no permission to use the socket") && strstr(result.err, "as root"))
            _exit(0);
        (void)fprintf(stderr, "exit code %d\n%s", result.code, result.err);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define OK "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

static void garbage_is_1_and_never_shown(void **state)
{
    static const struct {
        const char *answer;
        int code;
        const char *says;
    } cases[] = {
        {"SSH-2.0-OpenSSH\r\n", 1, "no HTTP answer"},
        {"", 3, "closed the connection"},
        {OK "Content-Length: 100\r\n\r\n{\"api\"", 3, "closed the connection"},
        {OK "\r\n{\"api\":1}", 1, "is no status: 'daemon' should be"},
        {OK "\r\n<html>", 1, "is no status: no JSON"},
        {OK "\r\n", 1, "none of ballastd's (HTTP status 200)"},
        {OK "\r\n{\"daemon\":{},\"host\":{},\"guests\":[{\"name\":\"\x1b[2J\"}]}", 1, "none of ballastd's"},
        {OK "\r\n{\"daemon\":{},\"host\":{},\"guests\":[{\"name\":\"a\",\"held_bytes\":-1}]}", 1, "field 'held_bytes'"},
        {"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", 1, "(HTTP status 302)"},
        {"HTTP/1.1 500 Oops\r\n\r\n<html>", 1, "(HTTP status 500)"},
        {"HTTP/1.1 404 Not Found\r\n\r\n{\"error\":\"\\u001b[2Jbad\",\"hint\":\"do\"}", 1, "?[2Jbad"},
    };
    struct rig *r = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct result result;

        child_start(r, impostor_serve, cases[i].answer);
        result = RUN(r, "status");
        assert_null(strchr(result.err, 0x1b));
        assert_string_equal(result.out, "");
        expect(result, cases[i].code, "", cases[i].says);
        result = RUN(r, "status", "--json");
        assert_string_equal(result.out, "");
        expect(result, cases[i].code, "", cases[i].says);
        child_stop(r);
        (void)unlink(r->path);
    }
}

static void endless_answers_are_cut_off(void **state)
{
    struct rig *r = *state;

    child_start(r, impostor_serve, OK "\r\n{\"endless\":\"");
    expect(RUN(r, "status"), 1, "", "longer than any of ballastd's");
}

static void silent_daemons_are_not_waited_for_for_ever(void **state)
{
    struct rig *r = *state;

    r->total_ms = 50;
    child_start(r, impostor_serve, "silent");
    expect(RUN(r, "status"), 3, "", "does not answer");
}

static void bad_usage_is_2_with_the_right_one(void **state)
{
    struct rig *r = *state;

    expect(RUN(r, "sttaus"), 2, "", "did you mean 'ballast status'?");
    expect(RUN(r, "frobnicate"), 2, "", "there is no command 'frobnicate'");
    expect(RUN(r, "status", "web1"), 2, "", "usage: ballast status [--watch] [--json]");
    expect(RUN(r, "show"), 2, "", "usage: ballast show GUEST [--json]");
    expect(RUN(r, "show", "a", "b"), 2, "", "'b' is one argument too many");
    expect(RUN(r, "show", "a", "--watch"), 2, "", "'--watch' does not go with 'show'");
    expect(RUN(r, "status", "--jsn"), 2, "", "there is no option '--jsn'");
    expect(RUN(r, "status", "--json=yes"), 2, "", "takes no value");
    expect(RUN(r, "status", "--json", "--watch"), 2, "", "--json prints one document");
    expect(RUN(r, "status", "--socket"), 2, "", "--socket lacks its PATH");
    expect(RUN(r, "status", "--socket="), 2, "", "--socket lacks its PATH");
    expect(RUN(r, "\x1b[2J"), 2, "", "there is no command '?[2J'");
    expect(run(r, (const char *const[]){NULL}), 2, "", "a command is missing");
    expect(RUN(r, "help", "frobnicate"), 2, "", "there is no command 'frobnicate'");
}

static void help_is_there_for_every_command(void **state)
{
    struct rig *r = *state;

    for (size_t i = 0; i < cli_command_count; i++) {
        char usage[64];

        (void)snprintf(usage, sizeof(usage), "usage: ballast [--socket PATH] %s", cli_commands[i].name);
        expect(RUN(r, "help", cli_commands[i].name), 0, usage, "");
        expect(RUN(r, cli_commands[i].name, "--help"), 0, usage, "");
        expect(RUN(r, "help"), 0, cli_commands[i].summary, "");
    }
    expect(RUN(r, "--help"), 0, "Exit codes: 0 done;", "");
}

static void config_write(const struct rig *r, const char *text)
{
    FILE *f = fopen(r->path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void configurations_are_checked_without_a_daemon(void **state)
{
    struct rig *r = *state;
    struct result result;

    config_write(r, "defaults:\n  mode: auto\n");
    expect(RUN(r, "check-config", r->path), 0, ": right", "");
    expect_json(RUN(r, "check-config", r->path, "--json"), 0, "ok");
    config_write(r, "defaults:\n  mode: auto\n  bufer: 20 %\n  priority: 0\n");
    result = RUN(r, "check-config", r->path);
    assert_int_equal(result.code, 2);
    assert_string_equal(result.out, "");
    assert_non_null(strstr(result.err, ":3:"));
    assert_non_null(strstr(result.err, ":4:"));
    result_done(&result);
    expect_json(RUN(r, "check-config", r->path, "--json"), 2, "problems");
    (void)unlink(r->path);
    result = RUN(r, "check-config", r->path);
    assert_int_equal(result.code, 2);
    assert_non_null(strstr(result.err, r->path));
    result_done(&result);
}

/* A full disk is no success. */
static void unwritten_answers_are_told(void **state)
{
    struct rig *r = *state;
    struct cli cli = {.socket_path = r->path};
    char *argv[] = {(char *)"ballast", (char *)"help"}, *err = NULL;
    size_t size;

    cli.out = fopen("/dev/full", "w");
    if (!cli.out)
        skip();
    cli.err = open_memstream(&err, &size);
    assert_int_equal(cli_run(&cli, 2, argv), 1);
    (void)fclose(cli.out);
    (void)fclose(cli.err);
    assert_non_null(strstr(err, "cannot write the answer"));
    free(err);
}

#define RIGGED(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIGGED(commands_show_what_the_daemon_says),
        RIGGED(doctor_and_top_ask_the_daemon),
        RIGGED(unknown_guests_are_told_with_the_known_ones),
        RIGGED(records_that_are_none_are_refused),
        RIGGED(operations_tell_what_was_done),
        RIGGED(looking_is_not_operating),
        RIGGED(an_empty_host_is_an_answer),
        RIGGED(without_a_daemon_it_is_3),
        RIGGED(version_needs_no_daemon),
        RIGGED(no_permission_is_3_with_the_remedy),
        RIGGED(garbage_is_1_and_never_shown),
        RIGGED(endless_answers_are_cut_off),
        RIGGED(silent_daemons_are_not_waited_for_for_ever),
        RIGGED(bad_usage_is_2_with_the_right_one),
        RIGGED(help_is_there_for_every_command),
        RIGGED(configurations_are_checked_without_a_daemon),
        RIGGED(unwritten_answers_are_told),
    };
    int r;

    if (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK)
        return 1;
    r = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return r;
}
