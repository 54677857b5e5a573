/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "own.h"
#include "wire_attach.h"

/* attach GUEST: starts it, then asks until it is over. */

#define ASK_MS 100
#define ASKS_MAX 300 /* QEMU has 2 s for each of some ten commands */

static int ask(const struct cli *cli, const char *body, struct wire_text *ret_json, struct wire_attach *ret,
               struct cli_problem *p)
{
    const struct client_request rq = {.path = "/v1/guests/", .name = cli->args[0], .suffix = "/attach", .body = body};
    struct err e = {0};
    int r;

    wire_text_done(ret_json);
    *ret_json = (struct wire_text){0};
    r = client_ask(cli, &rq, ret_json, p);
    if (r == CLI_DONE && wire_attach_parse(ret_json->data, ret_json->length, ret, &e) < 0)
        r = cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' does not tell how it went: %s",
                            cli->socket_path, e.text);
    return r;
}

static int wait_for_end(const struct cli *cli, struct wire_text *json, struct wire_attach *a, struct cli_problem *p)
{
    const struct timespec pause = {.tv_nsec = ASK_MS * 1000000L};
    int r = ask(cli, "{}", json, a, p);

    for (int i = 0; r == CLI_DONE && strcmp(a->state, WIRE_ATTACH_RUNNING) == 0; i++) {
        if (i == ASKS_MAX)
            return cli_problem_set(p, CLI_FAILED, "try again when its QEMU answers: ballast show tells",
                                   "guest '%s' is still being given the agent's port", cli->args[0]);
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL); /* interrupted: asked a little sooner */
        r = ask(cli, NULL, json, a, p);
    }
    if (r == CLI_DONE && strcmp(a->state, WIRE_ATTACH_DONE) != 0)
        r = cli_problem_set(p, CLI_FAILED, a->hint[0] ? a->hint : NULL, "%s",
                            a->text[0] ? a->text : "ballastd was asked to give it the port and forgot: ask again");
    return r;
}

static int attach_once(struct cli *cli, struct wire_attach *a)
{
    struct wire_text json = {0}, t = {0};
    struct cli_problem p;
    int r = wait_for_end(cli, &json, a, &p), written;

    if (cli->options & CLI_OPTION_JSON && a->state[0])
        wire_text_add(&t, json.data, json.length);
    else if (r == CLI_DONE)
        term_wrap(&cli->term, &t, a->text, 0, 0);
    written = cli_write(cli, &t);
    wire_text_done(&json);
    wire_text_done(&t);
    if (r != CLI_DONE)
        return cli_complain(cli, &p);
    return written;
}

int cmd_attach(struct cli *cli)
{
    AUTO_FREE struct wire_attach *a = calloc(1, sizeof(*a));
    struct cli_problem p;

    if (!a) {
        (void)cli_problem_set(&p, CLI_FAILED, "free some and try again", "no memory for the answer");
        return cli_complain(cli, &p);
    }
    if (!cli->args[0][0]) {
        (void)cli_problem_set(&p, CLI_USAGE, "ballast status lists the guests", "the guest's name is empty");
        return cli_complain(cli, &p);
    }
    return attach_once(cli, a);
}
