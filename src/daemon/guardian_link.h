/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "err.h"
#include "guardian_message.h"
#include "own.h"

/* ballastd's end of the guardian (S7): started with the first order, and again whenever it ends by itself. */

struct guardian_link;
struct sd_event;

struct guardian_link_config {
    struct sd_event *loop;
    const char *directory; /* of markers; copied */
    void (*word)(void *user, const struct guardian_word *word);
    void (*restarted)(void *user); /* a new one runs: windows that are open must be armed again */
    void *user;
};

int guardian_link_new(const struct guardian_link_config *config, struct guardian_link **ret, struct err *e);

/* Its end closes: the guardian ends what is open, then itself. */
struct guardian_link *guardian_link_free(struct guardian_link *l);
OWN_DEFINE(guardian_link);

/* As guardian_send_order(). To one that has just ended nothing is sent, and that is no failure: restarted() follows. */
int guardian_link_send(struct guardian_link *l, const struct guardian_order *order, int monitor_fd, int agent_fd,
                       struct err *e);
