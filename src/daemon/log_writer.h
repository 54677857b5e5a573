/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "err.h"

/* Log lines go through a bounded queue to a thread of their own: a terminal that is held, or a journal that hangs, delays
 * no decision (S12). When the queue is full, lines are dropped and counted, and the count is said. One per process. */

/* Starts the thread; log_line() goes through it from now on. 0 or -errno: then lines are written directly as before. */
int log_writer_start(struct err *e);

/* Writes what is queued, for at most a second, and ends the thread. Fine without a start. */
void log_writer_stop(void);
