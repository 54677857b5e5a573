/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli.h"
#include "client.h"

/* Sends a request to operate (rq->body is set), shows the daemon's sentence (its document with --json) and complains of a
 * warning in it. What it causes to be written is waited for. Returns an exit code: CLI_WARNINGS where it was done with one. */
int operate_run(const struct cli *cli, const struct client_request *rq);
