/* SPDX-License-Identifier: Apache-2.0 */
#include "operate_client.h"

#include <string.h>

#include "wire_operate.h"

int operate_run(const struct cli *cli, const struct client_request *rq)
{
    struct wire_text body = {0}, t = {0};
    struct wire_done done;
    struct cli_problem p;
    struct err e = {0};
    int r = client_ask(cli, rq, &body, &p);

    if (r == CLI_DONE && wire_done_parse(body.data, body.length, &done, &e) < 0)
        r = cli_problem_set(&p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' is none of ballastd's: %s",
                            cli->socket_path, e.text);
    if (r != CLI_DONE) {
        wire_text_done(&body);
        return cli_complain(cli, &p);
    }
    if (cli->options & CLI_OPTION_JSON)
        wire_text_add(&t, body.data, body.length);
    else
        term_wrap(&cli->term, &t, done.text, 0, 0);
    r = cli_write(cli, &t);
    if (r == CLI_DONE && done.warning[0])
        r = cli_complain(cli, (cli_problem_set(&p, CLI_WARNINGS, "ballast status shows what holds now", "%s", done.warning), &p));
    wire_text_done(&body);
    wire_text_done(&t);
    return r;
}
