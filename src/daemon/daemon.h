/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "err.h"
#include "options.h"
#include "own.h"

/* ballastd: the loop around the engine. Drivers, API, signals, timer and systemd meet here; nothing is decided here. */

struct daemon;

/* Reads the configuration, takes the lock, opens API and drivers. Nothing is moved. The process's signals are blocked by
 * then (they come through the loop). *ret_is_wrong is set on failure only: the configuration is at fault (exit code 2). */
int daemon_new(const struct options *options, struct daemon **ret, bool *ret_is_wrong, struct err *e);
struct daemon *daemon_free(struct daemon *daemon);
OWN_DEFINE(daemon);

/* Runs until SIGTERM or SIGINT. 0, or -errno where the loop itself broke. */
int daemon_run(struct daemon *daemon, struct err *e);
