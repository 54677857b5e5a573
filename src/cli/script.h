/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "err.h"
#include "wire_text.h"

/* A shell script that starts a guest: mode 0700, a new file, durable when this returns. comment: lines without their "# ", each
 * ended by a newline; whatever they and the arguments hold, it is one command and nothing else. -EEXIST. */
int script_write(const char *path, const char *comment, const char *const *argv, size_t argc, struct err *e);

/* The same as text, for tests. */
void script_print(struct wire_text *t, const char *comment, const char *const *argv, size_t argc);
