/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "qmp_message.h"

/* Client of qemu-guest-agent, through the unix socket behind its port (NAME.qga). Asynchronous on sd-event, one command at
 * a time. The guest may send anything: lines are limited, and what was not asked for is thrown away, up to a limit.
 *
 * The protocol has no ids. A command that follows a timeout, and the first one, are preceded by 0xFF (which ends whatever
 * half a line the agent has) and guest-sync-delimited with a random id; everything up to its answer is thrown away. */

struct json_object;
struct qga;
struct sd_event;

#define QGA_LINE_MAX  (256U << 10) /* guest-get-fsinfo of a guest with a thousand mounts; guest-info has 10 KB */
#define QGA_WASTE_MAX (1U << 20)   /* bytes thrown away for one command, before the port is given up */

/* Takes one line apart: all up to the last 0xFF in it is dropped. As qmp_message_parse(); *ret_delimited: there was a
 * 0xFF. */
int qga_line_parse(const char *buf, size_t len, struct qmp_message *ret, bool *ret_delimited, struct err *e);

/* Starts connecting to `path` (of `guest`: its name, for sentences); both are copied. 0 or -errno: no such socket, nobody
 * listens. QEMU accepts a second client and leaves it waiting: then the first command passes its deadline. */
int qga_new(struct sd_event *loop, const char *guest, const char *path, struct qga **ret, struct err *e);
struct qga *qga_free(struct qga *q); /* a command under way never ends */

/* value: borrowed for the call. Errors: ETIMEDOUT; ECANCELED the connection ended; ENOSYS the agent does not know the
 * command or does not allow it (now); EREMOTEIO it refused otherwise. Once per call, from the loop. */
typedef void qga_reply_fn(void *user, struct json_object *value, const struct err *e);

/* arguments: JSON text or NULL. -EBUSY while one is under way; -ENOTCONN. */
int qga_call(struct qga *q, uint64_t deadline_usec, const char *command, const char *arguments, qga_reply_fn *done,
             void *user, struct err *e);

/* A duplicate of the socket; the caller's. */
int qga_dup(const struct qga *q, int *ret_fd, struct err *e);
