/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "notify_message.h"
#include "notify_run.h"
#include "own.h"
#include "paths.h"
#include "wire_notify.h"

/* Runs the notify command for each message, in a thread of its own: nothing that the command does, or fails to do, delays
 * the loop. Critical ones go first; at most NOTIFY_RUNS_MAX run at once, never two of one event and guest, so that "begin"
 * and "end" arrive in this order. What finds the queue full is dropped, counted, and said with the next that fits. */

#define NOTIFY_RUNS_MAX 4   /* one that hangs must not hold up the others */
#define NOTIFY_QUEUE_MAX 32 /* more than a person reads; each is 900 bytes */
#define NOTIFY_LINES_MAX 8  /* of a command's output, for the log */
#define NOTIFY_STOP_SEC 1

struct notify;

/* Takes the memory it will ever need but what starting a program takes. Nothing runs yet. host_name is copied. */
int notify_new(const char *host_name, struct notify **ret, struct err *e);

/* The command (copied; NULL: none from now on, what waits is dropped) and how long it may run. Starts the thread with the
 * first one. What runs is not touched. */
int notify_configure(struct notify *n, const char *command, uint64_t timeout_usec, struct err *e);

/* As notify_send() for one who can wait: without room nothing is dropped (0). user: the struct notify. */
uint64_t notify_offer(void *user, const struct notify_message *m);

/* Hands a copy over; never blocks. m->dropped: what its sender lost before. Returns the message's id; 0: there is no command, or no room. From the loop's thread. */
uint64_t notify_send(struct notify *n, const struct notify_message *m);

/* What became of it all. */
void notify_read(struct notify *n, struct wire_notify *ret);

/* A sentence for the status where the last message came to nothing; false: there is none. *ret_age_ms: since when. */
bool notify_warning(struct notify *n, char *text, size_t size, uint64_t *ret_age_ms);

/* What waits is lost, and said; commands that run are left to run. */
struct notify *notify_free(struct notify *n);
OWN_DEFINE(notify);
