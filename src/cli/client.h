/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "cli.h"
#include "wire_text.h"

/* Talks HTTP to ballastd over its unix socket. */

#define CLIENT_CONNECT_MS 2000
#define CLIENT_TOTAL_MS 15000 /* a little longer than the daemon's own deadline for a connection */

/* What to do where the answer is none of ballastd's. */
#define CLIENT_NOT_OURS "is it ballastd, of the same version, that serves this socket? See: ss -xlp; ballast version"

/* GET, or with a body (JSON) POST: `path` below the API's root, `name`, where not NULL, escaped and put behind it, then
 * `suffix`, where not NULL. */
struct client_request {
    const char *path, *name, *suffix;
    const char *body;
};

/* The answer's body, JSON, goes to *ret; returns as client_get() does. */
int client_ask(const struct cli *cli, const struct client_request *rq, struct wire_text *ret, struct cli_problem *p);

/* GET `path` below the API's root; `name`, where not NULL, is escaped and put behind it. The answer's body, JSON, goes
 * to *ret (start with a zeroed one; wire_text_done() it in any case). Returns CLI_DONE, or p's exit code:
 * CLI_UNREACHABLE (no daemon, no permission, no answer in time) or CLI_FAILED (the daemon refused, or no daemon of
 * ours). */
int client_get(const struct cli *cli, const char *path, const char *name, struct wire_text *ret, struct cli_problem *p);
