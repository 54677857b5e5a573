/* SPDX-License-Identifier: Apache-2.0 */
#include "operate_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "units.h"
#include "wire_operate.h"

/* A disk that hangs is not waited for longer; what was asked for holds in any case. */
#define SAVE_WAIT_MS 5000
#define SAVE_POLL_MS 20
#define RESERVE_POLL_MS 100
#define RESERVE_GRACE_MS 5000 /* ballastd ends the gathering itself; longer than this beyond it means that it does not */

/* Waits until a write of ballastd's is on disk. Returns CLI_DONE, or CLI_WARNINGS with the reason. */
static int saved_wait(const struct cli *cli, uint64_t number, struct cli_problem *p)
{
    const struct timespec pause = {.tv_nsec = SAVE_POLL_MS * 1000000L};
    struct wire_moves m;

    for (int waited_ms = 0;; waited_ms += SAVE_POLL_MS) {
        struct wire_text body = {0};
        struct err e = {0};
        int r = client_get(cli, "/v1/moves", NULL, &body, p);

        if (r == CLI_DONE && wire_moves_parse(body.data, body.length, &m, &e) < 0)
            r = cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' is none of ballastd's: %s",
                                cli->socket_path, e.text);
        wire_text_done(&body);
        if (r != CLI_DONE)
            return r;
        if (m.save_trouble[0])
            return cli_problem_set(p, CLI_WARNINGS, "make room there, then ask again", "it holds, but is not kept over a restart "
                                   "of ballastd: %s", m.save_trouble);
        if (m.saved != WIRE_UNKNOWN && m.saved >= number)
            return CLI_DONE;
        if (waited_ms >= SAVE_WAIT_MS)
            return cli_problem_set(p, CLI_WARNINGS, "look at the disk of ballastd's state directory", "it holds, but is not on "
                                   "disk yet: a restart of ballastd may forget it");
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL); /* a signal only makes it look earlier */
    }
}

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
    if (r == CLI_DONE && done.save != WIRE_UNKNOWN && saved_wait(cli, done.save, &p) != CLI_DONE)
        r = cli_complain(cli, &p);
    if (r == CLI_DONE && done.warning[0])
        r = cli_complain(cli, (cli_problem_set(&p, CLI_WARNINGS, "ballast status shows what holds now", "%s", done.warning), &p));
    wire_text_done(&body);
    wire_text_done(&t);
    return r;
}

int operate_ask(const struct cli *cli, const struct client_request *rq, struct wire_text *ret, struct cli_problem *p)
{
    struct wire_done done;
    struct cli_problem late;
    struct err e = {0};
    int r = client_ask(cli, rq, ret, p);

    if (r == CLI_DONE && wire_done_parse(ret->data, ret->length, &done, &e) < 0)
        r = cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' is none of ballastd's: %s",
                            cli->socket_path, e.text);
    if (r != CLI_DONE)
        return r;
    if (done.save != WIRE_UNKNOWN && saved_wait(cli, done.save, &late) != CLI_DONE)
        (void)cli_complain(cli, &late);
    else if (done.warning[0])
        (void)cli_complain(cli, (cli_problem_set(&late, CLI_WARNINGS, "ballast status shows what holds now", "%s",
                                                 done.warning), &late));
    return CLI_DONE;
}

static int parse_answer(const struct cli *cli, const struct wire_text *body, struct wire_reservation *ret,
                        struct cli_problem *p)
{
    struct err e = {0};

    if (wire_reservation_parse(body->data, body->length, ret, &e) == 0)
        return CLI_DONE;
    return cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' is none of ballastd's: %s", cli->socket_path,
                           e.text);
}

/* Until it no longer gathers; a line of progress a second where something came. */
static int reserve_wait(const struct cli *cli, uint64_t wait_ms, bool is_shown, struct wire_text *body,
                        struct wire_reservation *row, struct cli_problem *p)
{
    const struct timespec pause = {.tv_nsec = RESERVE_POLL_MS * 1000000L};
    uint64_t told = UINT64_MAX;
    char number[24];

    (void)snprintf(number, sizeof(number), "%" PRIu64, row->id);
    for (uint64_t waited_ms = 0; strcmp(row->state, "gathering") == 0; waited_ms += RESERVE_POLL_MS) {
        int r;

        if (waited_ms > wait_ms + RESERVE_GRACE_MS)
            return cli_problem_set(p, CLI_WARNINGS, "ballast reserve shows what becomes of it",
                                   "reservation %s is still being gathered", number);
        if (is_shown && waited_ms % 1000 == 0 && row->missing_bytes != told)
            (void)fprintf(cli->err, "reservation %s: %s\n", number, row->text); /* for people only */
        if (waited_ms % 1000 == 0)
            told = row->missing_bytes;
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL); /* a signal only makes it look earlier */
        wire_text_done(body);
        r = client_get(cli, "/v1/reservations/", number, body, p);
        if (r == CLI_DONE)
            r = parse_answer(cli, body, row, p);
        if (r != CLI_DONE)
            return r;
    }
    return CLI_DONE;
}

int operate_reserve(const struct cli *cli, const char *ask, uint64_t wait_ms, bool is_shown, struct wire_text *body,
                    struct wire_reservation *row, struct cli_problem *p)
{
    int r = client_ask(cli, &(struct client_request){.path = "/v1/reservations", .body = ask}, body, p);

    if (r == CLI_DONE)
        r = parse_answer(cli, body, row, p);
    return r == CLI_DONE ? reserve_wait(cli, wait_ms, is_shown, body, row, p) : r;
}

bool operate_wait_ms(const struct cli *cli, uint64_t *ret_ms, struct cli_problem *p)
{
    const char *text = cli_value(cli, CLI_OPTION_WAIT);
    struct err e = {0};
    uint64_t usec;

    if (!text)
        return true;
    if (units_parse_time(text, strlen(text), &usec, &e) < 0 || usec < 1000) {
        (void)cli_problem_set(p, CLI_USAGE, "write it as 30s or \"2 min\"", "--wait: %s", e.code ? e.text : "it is too short");
        return false;
    }
    *ret_ms = usec / 1000;
    return true;
}
