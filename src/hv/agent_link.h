/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "hv.h"

/* One guest's agent, from the host: client of the unix socket behind the guest's virtio-serial port
 * (docs/agent-protocol.md). Connects by itself, again and again; takes the guest's word within limits; tells the agent
 * what the engine wants. Whatever comes through the port costs this guest its agent for a while, and nobody else
 * anything.
 *
 * A port without an agent is the normal case of a guest that has none: nothing is said of it. Never blocks. */

struct agent_link;
struct sd_event;

/* How long things take; tests bring shorter ones. */
struct agent_link_times {
    uint64_t retry_usec;   /* a socket that is absent or closed is tried again, in vain up to 8 times this later */
    uint64_t penalty_usec; /* after nonsense, a flood or another version the port is left alone, doubling up to ... */
    uint64_t penalty_max_usec;
    uint64_t steady_usec;  /* good for so long: forgiven, and a new trouble is news */
    uint64_t ping_usec;    /* clocks drift by less than 100 ppm: 3 ms in 30 s */
    uint64_t slack_usec;   /* two heartbeats and this: silent */
    uint64_t beat_usec;    /* silence, pings and what could not be sent are looked at this often */
};
#define AGENT_LINK_TIMES                                                                                               \
    ((struct agent_link_times){                                                                                        \
        .retry_usec = 2000000, .penalty_usec = 10000000, .penalty_max_usec = 300000000, .steady_usec = 60000000,       \
        .ping_usec = 30000000, .slack_usec = 2000000, .beat_usec = 1000000})

struct agent_link_config {
    struct sd_event *loop;
    const char *guest; /* its name, for sentences; copied */
    const char *path;  /* of the socket; copied; need not exist yet */
    struct agent_link_times times;
    /* These must not free the link. A good sample: */
    void (*view)(void *user, const struct obs_guest_view *view);
    /* It fell silent, or its port was closed: other sources count again. Called once for each time it was heard. */
    void (*lost)(void *user);
    /* Optional: its guest's clock started anew, so it has booted. */
    void (*booted)(void *user);
    /* One sentence about this guest, once per cause until the agent has been good for times.steady_usec. e->code 0: what
     * was said is over. */
    void (*trouble)(void *user, const struct err *e);
    void *user;
};

/* What an agent does before it is told otherwise. */
#define AGENT_LINK_HEARTBEAT_USEC 1000000ULL

int agent_link_new(const struct agent_link_config *config, struct agent_link **ret, struct err *e);
struct agent_link *agent_link_free(struct agent_link *l); /* no callback comes any more */

/* Something listens on its socket: the guest has the port. */
bool agent_link_is_connected(const struct agent_link *l);

/* Its last sample counts: it is not silent. */
bool agent_link_is_heard(const struct agent_link *l);

/* Its sample can't be true, says who was just handed it: the same as nonsense through the port. `what` is a clause about the
 * guest; fine from inside view(). */
void agent_link_refuse(struct agent_link *l, const char *what);

/* A sample is wanted now; no more than a few a second go out. */
void agent_link_ask(struct agent_link *l);

/* What the agent is to know; kept, and told again to each agent that comes. Only what changed is sent. */
void agent_link_tell(struct agent_link *l, const struct hv_tell *tell);

/* The guest was reset, paused or resumed: its clock is another one, and its silence so far means nothing. A paused one
 * is not silent. l may be NULL. */
void agent_link_see_break(struct agent_link *l, bool paused);
