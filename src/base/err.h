/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* One error on the caller's stack: a code and one sentence for people. No allocation, no ownership.
 *
 * Every function that can fail takes a `struct err *e` last (never NULL), leaves it untouched on success, and on
 * failure returns exactly -e->code. */

/* Longest sentence kept, with its end; longer ones are cut. Fits a path, a name and a reason. */
#define ERR_TEXT_SIZE 512

struct err {
    int code;                 /* a positive errno value; 0: no error yet */
    char text[ERR_TEXT_SIZE]; /* what happened, and where; no newline */
};

/* Sets code and text. Returns -code (a code of 0 or below becomes EINVAL: our own mistake must not read as success). */
int err_set(struct err *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "<format>: " before the text that is there, keeping the code. Returns -e->code. */
int err_wrap(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
