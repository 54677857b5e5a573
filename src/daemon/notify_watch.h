/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "engine.h"
#include "err.h"
#include "notify_message.h"
#include "own.h"

/* What of the engine's life is worth a message, and when (notify_rule.h). Called from the loop; hands messages on, and
 * never blocks. */

/* Causes at once: one guest has at most two. Whoever got 256 messages needs no more; the rest are counted as dropped. */
#define NOTIFY_CAUSES_MAX 256

struct notify_watch;

/* Gets each message: notify_send() for the daemon. 0: not now, ask again with the next tick. */
typedef uint64_t notify_send_fn(void *user, const struct notify_message *m);

/* Call notify_watch_configure() before the first tick. */
int notify_watch_new(notify_send_fn *send, void *user, struct notify_watch **ret, struct err *e);
struct notify_watch *notify_watch_free(struct notify_watch *w);
OWN_DEFINE(notify_watch);

/* Least time between two messages of one cause and level; how long a guest must be stuck. From the next tick on. */
void notify_watch_configure(struct notify_watch *w, uint64_t interval_usec, uint64_t stuck_after_usec);

/* A guest's flags may have changed; it is gone; the host's state may have changed. */
void notify_watch_flags(struct notify_watch *w, const struct engine_guest *g, uint64_t now_usec);
void notify_watch_gone(struct notify_watch *w, const char *guest, uint64_t now_usec);
void notify_watch_host(struct notify_watch *w, const struct host *host, uint64_t now_usec);

/* Sends what is due. Each second or more often. */
void notify_watch_tick(struct notify_watch *w, const struct engine *engine, uint64_t now_usec);
