/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "client.h"
#include "wire_field.h"
#include "wire_notify.h"

#define POLL_MS 100
#define SLACK_MS 15000 /* others that wait before it, and the 5 s from SIGTERM to SIGKILL */

static int not_ours(const struct cli *cli, const struct err *e, struct cli_problem *p)
{
    return cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' is none of ballastd's: %s",
                           cli->socket_path, e->text);
}

/* The number under which ballastd sends the test. */
static int test_ask(const struct cli *cli, uint64_t *ret_id, struct cli_problem *p)
{
    const struct client_request rq = {.path = "/v1/notify/test", .body = "{}"};
    struct wire_text body = {0};
    struct json_object *json, *id;
    struct err e = {0};
    int r = client_ask(cli, &rq, &body, p);

    if (r == CLI_DONE && wire_json_parse(body.data, body.length, &json, &e) < 0) {
        r = not_ours(cli, &e, p);
    } else if (r == CLI_DONE) {
        *ret_id = json_object_object_get_ex(json, "id", &id) ? (uint64_t)json_object_get_int64(id) : 0;
        (void)json_object_put(json);
        if (!*ret_id)
            r = cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS, "ballastd's answer lacks the number of the message");
    }
    wire_text_done(&body);
    return r;
}

static int test_wait(const struct cli *cli, uint64_t id, struct wire_notify *ret, struct cli_problem *p)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};

    for (uint64_t waited_ms = 0;; waited_ms += POLL_MS) {
        struct wire_text body = {0};
        struct err e = {0};
        int r = client_get(cli, "/v1/notify", NULL, &body, p);

        if (r == CLI_DONE && wire_notify_parse(body.data, body.length, ret, &e) < 0)
            r = not_ours(cli, &e, p);
        wire_text_done(&body);
        if (r != CLI_DONE || ret->last_test.id >= id) /* a later test's outcome is as good */
            return r;
        if (waited_ms > ret->timeout_ms + SLACK_MS)
            return cli_problem_set(p, CLI_FAILED, "ballast dump shows what waits and what runs, under 'notify'",
                                   "the test message is still under way");
        (void)nanosleep(&pause, NULL);
    }
}

static void outcome_print(const struct cli *cli, const struct wire_notify *n, struct wire_text *t)
{
    if (cli->options & CLI_OPTION_JSON) {
        wire_notify_print(t, n);
        return;
    }
    wire_text_adds(t, "a test message was handed to '");
    (void)term_text(&cli->term, t, n->command, 0);
    wire_text_adds(t, n->last_test.output[0] ? "', which ended well; it printed: " : "', which ended well\n");
    if (n->last_test.output[0]) {
        (void)term_text(&cli->term, t, n->last_test.output, 0);
        wire_text_adds(t, "\n");
    }
}

int cmd_notify_test(struct cli *cli)
{
    struct wire_text t = {0};
    struct wire_notify n;
    struct cli_problem p;
    char hint[WIRE_ERROR_TEXT_SIZE];
    uint64_t id = 0;
    int r = test_ask(cli, &id, &p);

    if (r == CLI_DONE)
        r = test_wait(cli, id, &n, &p);
    if (r != CLI_DONE)
        return cli_complain(cli, &p);
    if (n.last_test.result[0]) {
        (void)snprintf(hint, sizeof(hint), "%s%.200s", n.last_test.output[0] ? "it printed: " : "it printed nothing; "
                       "'ballast help notify-test' says what it gets", n.last_test.output);
        (void)cli_problem_set(&p, CLI_FAILED, hint, "the notify command '%s' %s", n.command, n.last_test.result);
        return cli_complain(cli, &p);
    }
    outcome_print(cli, &n, &t);
    r = cli_write(cli, &t);
    wire_text_done(&t);
    return r;
}
