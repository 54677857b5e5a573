/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <time.h>

#include "client.h"
#include "own.h"
#include "view_status.h"
#include "wire_status.h"

OWN_DEFINE(wire_status);

#define WATCH_SEC 1 /* the daemon's own tick: more often shows nothing new */

/* Fetches the document; *ret_status is the caller's. body stays what came, for --json. */
static int status_get(const struct cli *cli, struct wire_text *body, struct wire_status **ret_status,
                      struct cli_problem *p)
{
    struct err e = {0};
    int r = client_get(cli, "/v1/status", NULL, body, p);

    if (r == CLI_DONE && wire_status_parse(body->data, body->length, ret_status, &e) < 0)
        r = cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS,
                            "the answer on '%s' is no status: %s", cli->socket_path, e.text);
    return r;
}

static int status_once(const struct cli *cli, struct cli_problem *p)
{
    AUTO(wire_status) struct wire_status *s = NULL;
    struct wire_text body = {0}, t = {0};
    int r = status_get(cli, &body, &s, p);

    if (r == CLI_DONE) {
        if (cli->options & CLI_OPTION_WATCH && cli->term.is_terminal)
            wire_text_adds(&t, "\033[H\033[J"); /* to the top, and clear */
        if (cli->options & CLI_OPTION_JSON)
            wire_text_add(&t, body.data, body.length);
        else
            view_status_print(&cli->term, &t, s);
        if (cli->options & CLI_OPTION_WATCH && !cli->term.is_terminal)
            wire_text_adds(&t, "\n");
        r = cli_write(cli, &t);
        p->text.error[0] = '\0'; /* a failed write has complained already */
    }
    wire_text_done(&body);
    wire_text_done(&t);
    return r;
}

/* A daemon that restarts is waited for, once it was there. */
static int status_watch(const struct cli *cli)
{
    const struct timespec pause = {.tv_sec = WATCH_SEC};
    unsigned long failures = 0;
    struct cli_problem p;
    int r = CLI_DONE;

    for (unsigned round = 1;; round++) {
        r = status_once(cli, &p);
        if (r != CLI_DONE && (r != CLI_UNREACHABLE || round == 1))
            return p.text.error[0] ? cli_complain(cli, &p) : r;
        if (r != CLI_DONE && failures++ == 0)
            (void)cli_complain(cli, &p);
        else if (r == CLI_DONE)
            failures = 0;
        if (cli->rounds && round >= cli->rounds)
            return r;
        while (clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL) == EINTR)
            ; /* a resized window: shown a moment later */
    }
}

int cmd_status(struct cli *cli)
{
    struct cli_problem p;
    int r;

    if (cli->options & CLI_OPTION_WATCH && cli->options & CLI_OPTION_JSON) {
        (void)cli_problem_set(&p, CLI_USAGE, "call `ballast status --json` as often as you need it",
                              "--json prints one document, --watch goes on for ever");
        return cli_complain(cli, &p);
    }
    if (cli->options & CLI_OPTION_WATCH)
        return status_watch(cli);
    r = status_once(cli, &p);
    return r != CLI_DONE && p.text.error[0] ? cli_complain(cli, &p) : r;
}
