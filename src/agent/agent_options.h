/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/* The command line of ballast-agent; docs/man/ballast-agent.8 says the same at length. */

#define AGENT_PORT_PATH "/dev/virtio-ports/org.ballast.agent.0"

struct agent_options {
    const char *port; /* borrowed from argv */
    bool status;      /* the command `status` */
};

/* Returns -1 to go on, else the exit code to end with (help and version are done then, or what is wrong was said). */
int agent_options_parse(int argc, char **argv, struct agent_options *ret);
