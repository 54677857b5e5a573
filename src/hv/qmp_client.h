/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "qmp_loss.h"

/* An asynchronous QMP client on a unix socket, driven by sd-event: greeting, capabilities, commands with a deadline
 * each, events, reconnecting. It never blocks, and what the peer sends can cost at most the connection: garbage, lines
 * without end, deep nesting, unasked answers and floods end it with one sentence; others are not delayed, as at most
 * QMP_CLIENT_READ_BYTES are read per turn of the loop. */

struct sd_event;
struct json_object;
struct qmp_client;

#define QMP_CLIENT_DEADLINE_USEC    2000000ULL  /* docs/design.md 10: QMP deadline */
#define QMP_CLIENT_BACKOFF_MIN_USEC 100000ULL   /* a QEMU that just made its socket listens a moment later */
#define QMP_CLIENT_BACKOFF_MAX_USEC 10000000ULL /* a monitor in use is asked for six times a minute */
#define QMP_CLIENT_STEADY_USEC      60000000ULL /* a connection this old did well: next loss starts at BACKOFF_MIN */
#define QMP_CLIENT_READ_BYTES       65536U      /* per turn of the loop, so that a chatty peer leaves time for others */
#define QMP_CLIENT_CALLS_MAX        32U         /* unanswered commands, those past their deadline included */
#define QMP_CLIENT_OUT_MAX          65536U      /* bytes of commands that the peer has not read yet */
#define QMP_CLIENT_FLOOD_MESSAGES   1000U       /* events and late answers a second; QEMU limits most events to one */
#define QMP_CLIENT_FLOOD_BYTES      (8U << 20)  /* and their bytes a second */

/* All are called from the loop, never from inside qmp_client_new() or qmp_client_call(); any of them may call
 * qmp_client_free(). */
struct qmp_client_handler {
    void (*ready)(void *user); /* greeting and capabilities are done: commands may be sent */
    /* data: borrowed for the call; NULL where the event has none. */
    void (*event)(void *user, const char *name, struct json_object *data);
    /* One sentence. Calls under way have ended with ECANCELED before. The client tries again by itself, later and
     * later. */
    void (*lost)(void *user, enum qmp_loss why, const struct err *e);
    /* Optional: ready, and every command was answered or is past its deadline. Told after answers and deadlines, maybe
     * more than once. */
    void (*idle)(void *user);
    void *user;
};

struct qmp_client_config {
    struct sd_event *loop;
    const char *path; /* copied */
    struct qmp_client_handler handler;
    /* 0: the constants above. For tests. */
    uint64_t deadline_usec, backoff_min_usec, backoff_max_usec;
    /* A monitor that others use, too: connects at qmp_client_hurry() only, never by itself, and waits in QEMU's queue
     * for greeting_usec (0: the deadline of a command) until its turn comes. */
    bool on_demand;
    uint64_t greeting_usec;
};

/* Starts connecting; the outcome comes as ready() or lost(). Returns 0, or -ENAMETOOLONG / -ENOMEM / -errno. */
int qmp_client_new(const struct qmp_client_config *config, struct qmp_client **ret, struct err *e);

/* Calls under way end with ECANCELED, from inside this call. Fine in a callback. */
struct qmp_client *qmp_client_free(struct qmp_client *c);

/* value: borrowed for the call, may be NULL (JSON null). On failure value is NULL and e->code tells: ETIMEDOUT no
 * answer within the deadline; ECANCELED the connection ended; ENOSYS QEMU does not know the command; ENODEV no such
 * device or none active; EREMOTEIO QEMU refused otherwise. Once per call, from the loop or from qmp_client_free(). */
typedef void qmp_reply_fn(void *user, struct json_object *value, const struct err *e);

/* Sends a command. arguments: JSON text of the object, or NULL for none. Needs no memory beyond what the client already
 * has. Returns 0, or -ENOTCONN (not ready), -EBUSY (QMP_CLIENT_CALLS_MAX unanswered, or QMP_CLIENT_OUT_MAX unread). */
int qmp_client_call(struct qmp_client *c, const char *command, const char *arguments, qmp_reply_fn *done, void *user,
                    struct err *e);

/* The same with a deadline of its own: block devices may take longer than a balloon. 0: the client's. */
int qmp_client_call_within(struct qmp_client *c, uint64_t deadline_usec, const char *command, const char *arguments,
                           qmp_reply_fn *done, void *user, struct err *e);

/* A duplicate of the connection's socket, for a process that must be able to go on where this one dies; the caller's.
 * -ENOTCONN (not ready) or -errno. */
int qmp_client_dup(const struct qmp_client *c, int *ret_fd, struct err *e);

bool qmp_client_is_ready(const struct qmp_client *c);

/* Commands past their deadline and still unanswered. */
size_t qmp_client_overdue(const struct qmp_client *c);

/* The process that listens (SO_PEERCRED), 0 where not connected or not visible from here. */
pid_t qmp_client_peer_pid(const struct qmp_client *c);

/* Ends this connection as if the peer had, without telling lost(), and tries again after the next backoff (on_demand: at
 * the next qmp_client_hurry()). */
void qmp_client_drop(struct qmp_client *c);

/* Tries to connect now if it is waiting to (the socket file has just been made; on_demand: there is something to ask). */
void qmp_client_hurry(struct qmp_client *c);
