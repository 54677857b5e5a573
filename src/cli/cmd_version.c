/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "client.h"
#include "units.h"
#include "wire_status.h"

static void print_json(struct wire_text *t, const struct wire_daemon *d, const char *body)
{
    wire_text_adds(t, "{\"version\":");
    wire_text_string(t, BALLAST_VERSION);
    wire_text_adds(t, ",\"daemon\":");
    wire_text_adds(t, d ? body : "null\n");
    if (t->length > 0 && t->data[t->length - 1] == '\n')
        t->length--;
    wire_text_adds(t, "}\n");
}

static void print_text(const struct cli *cli, struct wire_text *t, const struct wire_daemon *d)
{
    wire_text_format(t, "ballast  %s\n", BALLAST_VERSION);
    if (!d)
        return;
    wire_text_adds(t, "ballastd ");
    (void)term_text(&cli->term, t, d->version, 0);
    wire_text_format(t, ", pid %" PRIu64 ", running for %s, %s%s", d->pid, units_show_time(d->uptime_ms * 1000).s,
                     d->dry_run ? "dry run: moves nothing, " : "",
                     d->config[0] ? "configured by " : "no configuration");
    (void)term_text(&cli->term, t, d->config, 0);
    wire_text_adds(t, "\n");
}

/* Its own version is an answer also where no daemon runs: that is said, and the exit code is still 0. */
int cmd_version(struct cli *cli)
{
    struct wire_text body = {0}, t = {0};
    struct wire_daemon d;
    struct cli_problem p;
    struct err e = {0};
    int r = client_get(cli, "/v1/version", NULL, &body, &p);

    if (r == CLI_DONE && wire_daemon_parse(body.data, body.length, &d, &e) < 0)
        r = cli_problem_set(&p, CLI_FAILED, CLIENT_NOT_OURS,
                            "the answer on '%s' is none of ballastd's: %s", cli->socket_path, e.text);
    if (cli->options & CLI_OPTION_JSON)
        print_json(&t, r == CLI_DONE ? &d : NULL, body.data);
    else
        print_text(cli, &t, r == CLI_DONE ? &d : NULL);
    if (r != CLI_DONE && !(cli->options & CLI_OPTION_JSON))
        (void)fprintf(cli->err, "ballastd: %s\n", p.text.error); /* only for people; nowhere else to say it */
    r = cli_write(cli, &t);
    wire_text_done(&t);
    wire_text_done(&body);
    return r;
}
