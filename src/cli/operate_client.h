/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli.h"
#include "client.h"
#include "wire_operate.h"

/* Sends a request to operate (rq->body is set), shows the daemon's sentence (its document with --json) and complains of a
 * warning in it. What it causes to be written is waited for. Returns an exit code: CLI_WARNINGS where it was done with one. */
int operate_run(const struct cli *cli, const struct client_request *rq);

/* The same without showing anything: waits for what is written. A warning in the answer is complained of, and no failure. */
int operate_ask(const struct cli *cli, const struct client_request *rq, struct wire_text *ret, struct cli_problem *p);

/* Asks for a reservation (ask: its JSON) and waits until it no longer gathers, wait_ms and a grace period; a line of progress a
 * second where is_shown and something came. *row, and *body as it came last. What became of it stands in row->state. */
int operate_reserve(const struct cli *cli, const char *ask, uint64_t wait_ms, bool is_shown, struct wire_text *body,
                    struct wire_reservation *row, struct cli_problem *p);

/* --wait, where given. False: p says that it is no time. */
bool operate_wait_ms(const struct cli *cli, uint64_t *ret_ms, struct cli_problem *p);
