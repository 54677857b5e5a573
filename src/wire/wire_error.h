/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "err.h"
#include "wire_text.h"

/* What the API answers when it can't do what was asked: {"error": what happened, "hint": what to do}. */

#define WIRE_ERROR_TEXT_SIZE 1024 /* fits the names of the guests that there are */

struct wire_error {
    char error[WIRE_ERROR_TEXT_SIZE]; /* one sentence */
    char hint[WIRE_ERROR_TEXT_SIZE];  /* one sentence; may be empty */
};

void wire_error_print(struct wire_text *t, const struct wire_error *error);

/* EBADMSG where buf is no such document. */
int wire_error_parse(const char *buf, size_t length, struct wire_error *ret, struct err *e);
