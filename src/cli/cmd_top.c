/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "client.h"
#include "top_curses.h"

#define TOP_TOTAL_MS 3000 /* keys wait as long for a ballastd that hangs */

static int status_get(const struct cli *cli, struct wire_text *body, struct wire_status **ret, struct cli_problem *p)
{
    struct err e = {0};
    int r = client_get(cli, "/v1/status", NULL, body, p);

    if (r == CLI_DONE && wire_status_parse(body->data, body->length, ret, &e) < 0)
        r = cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS,
                            "the answer on '%s' is no status: %s", cli->socket_path, e.text);
    return r;
}

/* An older ballastd has none: that costs the sparklines and the moves only. */
static struct wire_history *history_get(const struct cli *cli, struct wire_text *body)
{
    struct wire_history *h = NULL;
    struct cli_problem ignored;
    struct err e = {0};

    if (client_get(cli, "/v1/history", NULL, body, &ignored) != CLI_DONE ||
        wire_history_parse(body->data, body->length, &h, &e) < 0)
        return NULL;
    return h;
}

static int fetch(const struct cli *cli, struct top *t, bool with_history, struct cli_problem *p)
{
    struct wire_text body = {0}, past = {0};
    struct wire_status *s = NULL;
    int r = status_get(cli, &body, &s, p);

    if (r == CLI_DONE)
        top_see(t, s, with_history ? history_get(cli, &past) : NULL);
    wire_text_done(&body);
    wire_text_done(&past);
    return r;
}

/* What top would show now: {"status":..., "history":...}; history null where ballastd keeps none. */
static int top_json(const struct cli *cli)
{
    struct wire_text body = {0}, past = {0}, t = {0};
    struct wire_status *s = NULL;
    struct wire_history *h = NULL;
    struct cli_problem p;
    int r = status_get(cli, &body, &s, &p);

    if (r == CLI_DONE) {
        h = history_get(cli, &past);
        wire_text_adds(&t, "{\"status\":");
        wire_text_add(&t, body.data, body.length);
        wire_text_adds(&t, ",\"history\":");
        if (h)
            wire_text_add(&t, past.data, past.length);
        else
            wire_text_adds(&t, "null");
        wire_text_adds(&t, "}\n");
        r = cli_write(cli, &t);
    } else {
        r = cli_complain(cli, &p);
    }
    (void)wire_status_free(s);
    (void)wire_history_free(h);
    wire_text_done(&body);
    wire_text_done(&past);
    wire_text_done(&t);
    return r;
}

#ifdef BALLAST_TOP
static int top_show(struct cli *cli, struct cli_problem *p)
{
    struct top t;
    int r;

    top_init(&t);
    if (!cli->total_ms)
        cli->total_ms = TOP_TOTAL_MS;
    r = fetch(cli, &t, /* with_history= */ true, p);
    if (r == CLI_DONE)
        r = top_curses_run(cli, &t, fetch, p);
    top_done(&t);
    return r;
}
#else
static int top_show(struct cli *cli, struct cli_problem *p)
{
    (void)cli;
    (void)fetch; /* used by the other one */
    return cli_problem_set(p, CLI_FAILED, "ballast status --watch shows the same as text; for top, build ballast with "
                           "libncurses-dev (meson setup -Dtop=enabled)", "this ballast was built without ncurses");
}
#endif

int cmd_top(struct cli *cli)
{
    struct cli_problem p;
    int r;

    if (cli->options & CLI_OPTION_JSON)
        return top_json(cli);
    if (cli->term.is_terminal && isatty(STDIN_FILENO))
        r = top_show(cli, &p);
    else
        r = cli_problem_set(&p, CLI_USAGE, "ballast status shows the same as text, ballast top --json as JSON",
                            "top needs a terminal");
    return r == CLI_DONE ? r : cli_complain(cli, &p);
}
