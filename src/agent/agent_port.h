/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent_line.h"
#include "err.h"

/* The virtio-serial port, never blocking. Lines go out whole or not at all; what the port took half of is finished
 * before anything else. */

struct agent_port {
    int fd;              /* -1: not open */
    bool connected;      /* someone on the host has the other end */
    bool full;           /* it took no more: wait for POLLOUT */
    char rest[AGENT_LINE_MAX];
    size_t rest_len, rest_sent;
};

void agent_port_init(struct agent_port *p);
void agent_port_close(struct agent_port *p);

/* 0, -ENOENT: no such port (yet), -EBUSY: another program has it, or -errno. */
int agent_port_open(struct agent_port *p, const char *path, struct err *e);

/* Asks whether the host side is there. -ENODEV: the port is gone. */
int agent_port_check(struct agent_port *p);

/* True: taken (whole, or the rest of it will follow by itself). False: dropped; `full` or closed then. */
bool agent_port_write(struct agent_port *p, const char *line, size_t len);

/* At POLLOUT: writes what is left. */
void agent_port_flush(struct agent_port *p);

/* Bytes read; 0: nothing there now; -ENODEV: the port is gone. A host that left clears `connected`. */
int agent_port_read(struct agent_port *p, char *buf, size_t size);
