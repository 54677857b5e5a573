/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "client.h"
#include "own.h"
#include "view_why.h"

/* Fetches and shows; w is room for the answer. */
static int why_once(struct cli *cli, struct wire_why *w)
{
    struct wire_text body = {0}, t = {0};
    struct cli_problem p;
    struct err e = {0};
    const struct client_request rq = {.path = "/v1/guests/", .name = cli->args[0], .suffix = "/why"};
    int r = client_ask(cli, &rq, &body, &p);

    if (r == CLI_DONE && wire_why_parse(body.data, body.length, w, &e) < 0)
        r = cli_problem_set(&p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' tells no reasons: %s", cli->socket_path,
                            e.text);
    if (r == CLI_DONE && cli->options & CLI_OPTION_JSON)
        wire_text_add(&t, body.data, body.length);
    else if (r == CLI_DONE)
        view_why_print(&cli->term, &t, w);
    r = r == CLI_DONE ? cli_write(cli, &t) : cli_complain(cli, &p);
    wire_text_done(&body);
    wire_text_done(&t);
    return r;
}

int cmd_why(struct cli *cli)
{
    AUTO_FREE struct wire_why *w = calloc(1, sizeof(*w));
    struct cli_problem p;

    if (!w) {
        (void)cli_problem_set(&p, CLI_FAILED, "free some and try again", "no memory for the answer");
        return cli_complain(cli, &p);
    }
    if (!cli->args[0][0]) {
        (void)cli_problem_set(&p, CLI_USAGE, "ballast status lists the guests", "the guest's name is empty");
        return cli_complain(cli, &p);
    }
    return why_once(cli, w);
}
