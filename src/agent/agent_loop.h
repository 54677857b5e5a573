/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "err.h"

/* The running agent: looks, sends, listens, until a signal ends it. */

/* Never returns 0. -EBUSY, -EACCES ...: the port can't be had; a port that is not there is waited for. All it needs is
 * static: nothing is allocated. */
int agent_loop_run(const char *port_path, struct err *e);
