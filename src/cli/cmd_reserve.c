/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "operate_client.h"
#include "text.h"
#include "units.h"
#include "wire_operate.h"

/* reserve: without a size it lists, with --cancel it gives back, else it asks and waits until the memory is there. */

#define RESERVE_WAIT_MS 60000

static void print_row(const struct term *term, struct wire_text *t, const struct wire_reservation *r)
{
    char line[WIRE_DONE_TEXT_SIZE + 128], left[48] = "";

    if (r->left_ms != WIRE_UNKNOWN)
        (void)snprintf(left, sizeof(left), " (%s left)", units_show_time(r->left_ms * 1000).s);
    (void)snprintf(line, sizeof(line), "%" PRIu64 " %s%s: %s", r->id, r->state, left, r->text);
    term_wrap(term, t, line, 0, 2);
}

static int reserve_list(struct cli *cli)
{
    struct wire_reservation rows[WIRE_RESERVATIONS_MAX];
    struct wire_text body = {0}, t = {0};
    struct cli_problem p;
    struct err e = {0};
    int n = 0, r = client_get(cli, "/v1/reservations", NULL, &body, &p);

    if (r == CLI_DONE && (n = wire_reservations_parse(body.data, body.length, rows, WIRE_RESERVATIONS_MAX, &e)) < 0)
        r = cli_problem_set(&p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' is none of ballastd's: %s", cli->socket_path,
                            e.text);
    if (r == CLI_DONE && cli->options & CLI_OPTION_JSON)
        wire_text_add(&t, body.data, body.length);
    else if (r == CLI_DONE && n == 0)
        wire_text_adds(&t, "nothing is reserved\n");
    for (int i = 0; r == CLI_DONE && i < n && !(cli->options & CLI_OPTION_JSON); i++)
        print_row(&cli->term, &t, &rows[i]);
    r = r == CLI_DONE ? cli_write(cli, &t) : cli_complain(cli, &p);
    wire_text_done(&body);
    wire_text_done(&t);
    return r;
}

static int reserve_make(struct cli *cli, const char *ask, uint64_t wait_ms)
{
    struct wire_text body = {0}, t = {0};
    struct wire_reservation row;
    struct cli_problem p;
    int r = operate_reserve(cli, ask, wait_ms, /* is_shown= */ true, &body, &row, &p);

    if (r == CLI_DONE && strcmp(row.state, "held") != 0 && strcmp(row.state, "claimed") != 0)
        r = cli_problem_set(&p, CLI_FAILED, "stop a guest, lower its minimum, or take what there is with --max", "%s", row.text);
    if (r == CLI_DONE && cli->options & CLI_OPTION_JSON)
        wire_text_add(&t, body.data, body.length);
    else if (r == CLI_DONE)
        print_row(&cli->term, &t, &row);
    r = r == CLI_DONE ? cli_write(cli, &t) : cli_complain(cli, &p);
    wire_text_done(&body);
    wire_text_done(&t);
    return r;
}

/* The size and --expires of the command line; false: p says what is wrong. */
static bool ask_print(const struct cli *cli, uint64_t wait_ms, struct wire_text *t, struct cli_problem *p)
{
    const char *expires = cli_value(cli, CLI_OPTION_EXPIRES), *guest = cli_value(cli, CLI_OPTION_FOR);
    uint64_t bytes = 0, usec = 0;
    struct err e = {0};

    if (cli->arg_count > 0 && units_parse_size(cli->args[0], strlen(cli->args[0]), &bytes, &e) < 0)
        return cli_problem_set(p, CLI_USAGE, "write it as 512MiB or \"1.5 GiB\"", "the size: %s", e.text), false;
    if (expires && units_parse_time(expires, strlen(expires), &usec, &e) < 0)
        return cli_problem_set(p, CLI_USAGE, "write it as 10min or \"1 h\"", "--expires: %s", e.text), false;
    wire_text_format(t, "{\"gather_ms\":%" PRIu64 ",\"max\":%s", wait_ms, cli->options & CLI_OPTION_MAX ? "true" : "false");
    if (cli->arg_count > 0)
        wire_text_format(t, ",\"size_bytes\":%" PRIu64, bytes);
    if (expires)
        wire_text_format(t, ",\"expires_ms\":%" PRIu64, usec / 1000);
    if (guest) {
        wire_text_adds(t, ",\"guest\":");
        wire_text_string(t, guest);
    }
    wire_text_adds(t, "}");
    return true;
}

int cmd_reserve(struct cli *cli)
{
    const char *number = cli_value(cli, CLI_OPTION_CANCEL), *guest = cli_value(cli, CLI_OPTION_FOR);
    uint64_t wait_ms = RESERVE_WAIT_MS;
    struct wire_text ask = {0};
    struct cli_problem p;
    int r;

    if (number)
        return operate_run(cli, &(struct client_request){.path = "/v1/reservations/", .name = number, .suffix = "/cancel",
                                                         .body = "{}"});
    if (cli->arg_count == 0 && !(cli->options & CLI_OPTION_MAX))
        return reserve_list(cli);
    if (guest && !text_is_name(guest, strlen(guest))) {
        (void)cli_problem_set(&p, CLI_USAGE, "name it as its monitor will be named", "'%s' can't be the name of a guest",
                              text_show(guest, strlen(guest)).s);
        return cli_complain(cli, &p);
    }
    if (!operate_wait_ms(cli, &wait_ms, &p) || !ask_print(cli, wait_ms, &ask, &p)) {
        wire_text_done(&ask);
        return cli_complain(cli, &p);
    }
    r = reserve_make(cli, ask.failed ? "{}" : ask.data, wait_ms);
    wire_text_done(&ask);
    return r;
}
