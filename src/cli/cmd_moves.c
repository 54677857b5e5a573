/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"
#include "operate_client.h"

/* pause, resume, off and on: whether guests are moved at all. Without a guest pause is off, and resume is on. */

static int moves_of(struct cli *cli, const char *of_guest, const char *of_all)
{
    struct client_request rq = {.path = of_all, .body = "{}"};
    struct cli_problem p;

    if (cli->arg_count > 0 && !cli->args[0][0]) {
        (void)cli_problem_set(&p, CLI_USAGE, "ballast status lists the guests", "the guest's name is empty");
        return cli_complain(cli, &p);
    }
    if (cli->arg_count > 0)
        rq = (struct client_request){.path = "/v1/guests/", .name = cli->args[0], .suffix = of_guest, .body = "{}"};
    return operate_run(cli, &rq);
}

int cmd_pause(struct cli *cli)
{
    return moves_of(cli, "/pause", "/v1/off");
}

int cmd_resume(struct cli *cli)
{
    return moves_of(cli, "/resume", "/v1/on");
}

int cmd_off(struct cli *cli)
{
    return moves_of(cli, NULL, "/v1/off");
}

int cmd_on(struct cli *cli)
{
    return moves_of(cli, NULL, "/v1/on");
}
