/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "wire_text.h"

/* How giving a guest the agent's port went: the answer of /v1/guests/NAME/attach. */

/* States. */
#define WIRE_ATTACH_NONE "none" /* nobody asked for it */
#define WIRE_ATTACH_RUNNING "running"
#define WIRE_ATTACH_DONE "done"
#define WIRE_ATTACH_FAILED "failed"

/* {"state":"done","changed":true,"text":"...","hint":null,"path":"...","options":"..."} */
struct wire_attach {
    char state[12];
    bool changed;       /* false: it had the port already, or has none */
    char text[1024];    /* one sentence or two for people; empty while running */
    char hint[768];     /* failed: what to do; empty: text says it */
    char path[108];     /* of the socket on the host */
    char options[512];  /* the hypervisor's own, that give the port at the guest's next start */
};

void wire_attach_print(struct wire_text *t, const struct wire_attach *a);
int wire_attach_parse(const char *buf, size_t length, struct wire_attach *ret, struct err *e);
