/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "term.h"
#include "wire_status.h"

/* The host, the table of guests, and in words what the table can't say; with no guest yet, how to give it one. */
void view_status_print(const struct term *term, struct wire_text *out, const struct wire_status *s);

/* What the Memory Status words mean; used under the table and by `show`. */
extern const char view_status_legend[];

/* Its driver's last complaint, a sentence of the log that stands alone, told of a guest that is named already. */
void view_trouble_text(const struct wire_guest *g, char *to, size_t size);
