/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent_line.h"
#include "err.h"

/* What `ballast-agent status` shows: the host's last words, kept by the running agent in a file. Two lines: the agent's
 * own (times are CLOCK_BOOTTIME) and the status line of the protocol as it came. */

#define AGENT_STATUS_PATH "/run/ballast-agent.status"

/* The file has always this size: it is written in place, so that a guest without memory needs none for it. */
#define AGENT_STATUS_SIZE 1024

struct agent_status {
    pid_t pid;
    bool connected;            /* the host side of the port is open */
    uint64_t heard_usec;       /* when the host said it; 0: it said nothing yet */
    struct agent_message said; /* AGENT_VERB_STATUS */
};

/* Fills exactly AGENT_STATUS_SIZE bytes. */
void agent_status_print(const struct agent_status *s, char buf[AGENT_STATUS_SIZE]);

/* -EBADMSG: not such a file. */
int agent_status_parse(const char *buf, size_t len, struct agent_status *ret, struct err *e);

/* For people, several lines: how much of this guest's memory is lent to the host, and why. Returns as snprintf does. */
int agent_status_tell(const struct agent_status *s, bool running, uint64_t now_usec, char *buf, size_t size);
