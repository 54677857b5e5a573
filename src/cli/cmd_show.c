/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"
#include "view_guest.h"
#include "wire_status.h"

int cmd_show(struct cli *cli)
{
    struct wire_text body = {0}, t = {0};
    struct wire_guest g;
    struct wire_host h;
    struct cli_problem p;
    struct err e = {0};
    int r;

    if (!cli->args[0][0]) {
        (void)cli_problem_set(&p, CLI_USAGE, "ballast status lists the guests", "the guest's name is empty");
        return cli_complain(cli, &p);
    }
    r = client_get(cli, "/v1/guests/", cli->args[0], &body, &p);
    if (r == CLI_DONE && wire_guest_parse(body.data, body.length, &g, &h, &e) < 0)
        r = cli_problem_set(&p, CLI_FAILED, CLIENT_NOT_OURS,
                            "the answer on '%s' is no guest: %s", cli->socket_path, e.text);
    if (r != CLI_DONE) {
        wire_text_done(&body);
        return cli_complain(cli, &p);
    }
    if (cli->options & CLI_OPTION_JSON)
        wire_text_add(&t, body.data, body.length);
    else
        view_guest_print(&cli->term, &t, &g, &h);
    r = cli_write(cli, &t);
    wire_text_done(&body);
    wire_text_done(&t);
    return r;
}
