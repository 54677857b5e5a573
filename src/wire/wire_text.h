/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing text and the few JSON tokens our messages are made of. Written straight into one buffer instead of through
 * json-c's objects: the daemon prints inside its event loop, and a status of 10,000 guests would cost it 600,000
 * allocations. Reading, which only clients do, is json-c's (wire_field.h).
 *
 * Start with a zeroed struct. A failed allocation sets `failed`, drops what follows, and is looked at once, at the
 * end. */

struct wire_text {
    char *data; /* always ends in NUL once something was added; owned */
    size_t length, room;
    bool failed;
};

/* Frees the data and zeroes the struct. */
void wire_text_done(struct wire_text *t);

void wire_text_add(struct wire_text *t, const char *data, size_t length);
void wire_text_adds(struct wire_text *t, const char *s);
void wire_text_format(struct wire_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "s" with quotes and escapes. Bytes that are no UTF-8 become U+FFFD, so that the result is JSON whatever a guest,
 * a file name or an error brought along. */
void wire_text_string(struct wire_text *t, const char *s);

/* Decimal digits; much faster than printf, and most of a status is numbers. */
void wire_text_u64(struct wire_text *t, uint64_t value);

/* Length in bytes of the valid UTF-8 sequence at s (at least 1 byte, NUL-terminated), or 0 where there is none. */
size_t wire_utf8_length(const char *s);

/* Copies with a cut between UTF-8 characters; always ends in NUL. */
void wire_text_copy(char *to, size_t size, const char *from);

/* The same for a text that came from outside: bytes that are no UTF-8 become '?', which json-c lets through. */
void wire_text_take(char *to, size_t size, const char *from);
