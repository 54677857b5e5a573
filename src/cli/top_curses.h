/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli.h"
#include "top_model.h"

/* `ballast top` on a real terminal, by ncurses. The only file that knows of it; where it is not built in
 * (meson -Dtop=disabled), cmd_top.c says so. */

/* Fetches: TOP_GET_* of what came. CLI_DONE, or p's exit code. */
typedef int top_fetch_fn(const struct cli *cli, struct top *t, bool with_history, struct cli_problem *p);

/* Shows t (which holds its first documents) until the user leaves it; the terminal is as before then, also after
 * SIGINT, SIGTERM, SIGHUP and SIGQUIT. Returns CLI_DONE, or p's exit code: the terminal is none that can be used. */
int top_curses_run(const struct cli *cli, struct top *t, top_fetch_fn *fetch, struct cli_problem *p);
