/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "guardian_message.h"
#include "qmp_buffer.h"

/* One guest's open window as the guardian sees it, and how it is ended: cont, then thaw, again and again until both were
 * answered (S7). Sockets do not block. */

#define GUARD_TRY_USEC 1000000ULL         /* first pause between tries; doubling up to ... */
#define GUARD_TRY_MAX_USEC 10000000ULL
#define GUARD_NOT_ENDED_USEC 20000000ULL  /* then ballastd is told that it is still not done */
#define GUARD_GIVE_UP_USEC 3600000000ULL  /* a guest whose agent is silent for an hour: nobody there thaws anything */

/* A socket of the guest's: a duplicate of ballastd's, later one of our own. */
struct guard_socket {
    int fd; /* -1: none */
    const char *path;
    struct qmp_buffer in;
    bool ours;     /* connected by us: the monitor greets first */
    bool greeted;  /* capabilities were negotiated */
    bool answered; /* what it was asked for is done */
};

struct guard_window {
    bool used, acting, told_not_ended;
    struct guardian_order order;
    struct guard_socket monitor, agent;
    uint64_t due_usec;   /* acts then, or tries again */
    uint64_t acting_usec; /* since then */
    uint64_t pause_usec;
    uint64_t sync_id;
    bool in_step; /* the agent's next answer is that to the thaw */
};

void guard_window_arm(struct guard_window *g, const struct guardian_order *order, int monitor_fd, int agent_fd,
                      uint64_t now_usec);
void guard_window_act(struct guard_window *g, uint64_t now_usec);

/* Something may have come, or time has passed. True: it is over (also where QEMU is). */
bool guard_window_turn(struct guard_window *g, uint64_t now_usec);

/* Closes what it holds; the window may be used again. */
void guard_window_done(struct guard_window *g);
