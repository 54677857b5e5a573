/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <systemd/sd-event.h>

/* A QMP server for tests, on the test's own loop: it greets, hands each command to the test, and sends what the test
 * says, right or wrong. One client at a time is served; others wait in the queue, as with QEMU. */

struct fake_qmp;

#define FAKE_QMP_GREETING                                                                                              \
    "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":0,\"minor\":2,\"major\":7}},\"capabilities\":[\"oob\"]}}\r\n"

struct fake_qmp_config {
    sd_event *loop;
    const char *path;
    const char *greeting; /* NULL: FAKE_QMP_GREETING; "": silence */
    /* Answers a command by fake_qmp_reply() or fake_qmp_send(), now or never. NULL: everything returns {}.
     * qmp_capabilities is answered by itself. */
    void (*command)(void *user, struct fake_qmp *f, const char *command, const char *line, unsigned long long id);
    void *user;
};

struct fake_qmp *fake_qmp_new(const struct fake_qmp_config *config);
struct fake_qmp *fake_qmp_free(struct fake_qmp *f); /* removes the socket, too */

/* {"return": json, "id": id} */
void fake_qmp_reply(struct fake_qmp *f, unsigned long long id, const char *json);
/* {"error": ..., "id": id} */
void fake_qmp_refuse(struct fake_qmp *f, unsigned long long id, const char *class, const char *desc);
/* As it is. Blocks never: what does not fit is kept and sent later. */
void fake_qmp_send(struct fake_qmp *f, const char *bytes, size_t len);
void fake_qmp_send_text(struct fake_qmp *f, const char *text);
void fake_qmp_hang_up(struct fake_qmp *f);

unsigned fake_qmp_accepted(const struct fake_qmp *f); /* clients so far */
bool fake_qmp_has_client(const struct fake_qmp *f);
