/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <time.h>

#include "client.h"
#include "operate_client.h"
#include "units.h"
#include "wire_operate.h"

/* release --all: asks once, then waits until every guest has all its memory back, or until waiting does not help. */

#define RELEASE_POLL_MS 250
#define RELEASE_SETTLED_MS 2500 /* ballastd decides once a second: what it says for so long is no moment's hitch */

/* How far it is, for people who wait. */
static void progress(const struct cli *cli, const struct wire_release *r)
{
    struct wire_text t = {0};

    wire_text_format(&t, "%" PRIu64 " of %" PRIu64 " guests have all their memory", r->done, r->guest_count);
    if (r->left_count) {
        wire_text_adds(&t, "; ");
        (void)term_text(&cli->term, &t, r->left[0].guest, 0);
        wire_text_format(&t, " lacks %s", r->left[0].lacks_bytes == WIRE_UNKNOWN ? "some" : units_show_size(r->left[0].lacks_bytes).s);
    }
    if (!t.failed)
        (void)fprintf(cli->err, "%s\n", t.data); /* for people only */
    wire_text_done(&t);
}

static bool all_final(const struct wire_release *r)
{
    for (size_t i = 0; i < r->left_count; i++)
        if (!r->left[i].final)
            return false;
    return true;
}

/* Polls until all is given back, or nothing more will be, or the time is over. *body: the last answer. */
static int release_wait(const struct cli *cli, uint64_t wait_ms, struct wire_text *body, struct wire_release *ret,
                        struct cli_problem *p)
{
    const struct timespec pause = {.tv_nsec = RELEASE_POLL_MS * 1000000L};
    uint64_t told = UINT64_MAX, settled_ms = 0;

    for (uint64_t waited_ms = 0;; waited_ms += RELEASE_POLL_MS) {
        struct err e = {0};
        int r;

        wire_text_done(body);
        wire_release_done(ret);
        r = client_get(cli, "/v1/release", NULL, body, p);
        if (r == CLI_DONE && wire_release_parse(body->data, body->length, ret, &e) < 0)
            r = cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' is none of ballastd's: %s",
                                cli->socket_path, e.text);
        if (r != CLI_DONE)
            return r;
        settled_ms = all_final(ret) ? settled_ms + RELEASE_POLL_MS : 0;
        if (!ret->left_count || settled_ms > RELEASE_SETTLED_MS || waited_ms >= wait_ms)
            return CLI_DONE;
        if (told != ret->done)
            progress(cli, ret);
        told = ret->done;
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL); /* a signal only makes it look earlier */
    }
}

static void print_left(const struct term *term, struct wire_text *t, const struct wire_release *r)
{
    char line[WIRE_REASON_SIZE + WIRE_NAME_SIZE + 64];

    (void)snprintf(line, sizeof(line), "%" PRIu64 " of %" PRIu64 " guests have all their memory; ballast is off, nothing is taken "
                   "back; ballast on lets guests be moved again", r->done, r->guest_count);
    term_wrap(term, t, line, 0, 2);
    for (size_t i = 0; i < r->left_count; i++) {
        const struct wire_release_left *l = &r->left[i];

        (void)snprintf(line, sizeof(line), "%s lacks %s: %s", l->guest,
                       l->lacks_bytes == WIRE_UNKNOWN ? "some of it" : units_show_size(l->lacks_bytes).s, l->why);
        wire_text_adds(t, "  ");
        term_wrap(term, t, line, 2, 4);
    }
}

static int release_run(struct cli *cli, uint64_t wait_ms)
{
    struct client_request rq = {.path = "/v1/release", .body = "{}"};
    struct wire_text body = {0}, t = {0};
    struct wire_release release = {0};
    struct cli_problem p;
    int r = operate_ask(cli, &rq, &body, &p);

    if (r == CLI_DONE)
        r = release_wait(cli, wait_ms, &body, &release, &p);
    if (r != CLI_DONE) {
        r = cli_complain(cli, &p);
    } else {
        if (cli->options & CLI_OPTION_JSON)
            wire_text_add(&t, body.data, body.length);
        else
            print_left(&cli->term, &t, &release);
        r = cli_write(cli, &t);
        if (r == CLI_DONE && release.left_count)
            r = cli_complain(cli, (cli_problem_set(&p, CLI_WARNINGS, "what becomes free goes to them until ballast on; ballast status "
                                                   "shows them", "%zu of %" PRIu64 " guests have not got all their memory",
                                                   release.left_count, release.guest_count), &p));
    }
    wire_text_done(&body);
    wire_text_done(&t);
    wire_release_done(&release);
    return r;
}

int cmd_release(struct cli *cli)
{
    uint64_t wait_ms = 60000;
    struct cli_problem p;

    if (!(cli->options & CLI_OPTION_ALL)) {
        (void)cli_problem_set(&p, CLI_USAGE, "ballast release --all; to leave one guest alone: ballast pause GUEST",
                              "release is for all guests, and switches ballast off: say --all");
        return cli_complain(cli, &p);
    }
    if (!operate_wait_ms(cli, &wait_ms, &p))
        return cli_complain(cli, &p);
    return release_run(cli, wait_ms);
}
