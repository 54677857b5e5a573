/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "term.h"
#include "wire_status.h"

/* One line a guest, as wide as the terminal: what does not fit is shortened, then left out, least important first. */

struct view_table_result {
    bool is_short;          /* sizes are written as 412M: the reader is told what M means */
    char left_out[128];     /* names of the columns that are missing; empty: none */
};

void view_table_print(const struct term *term, struct wire_text *out, const struct wire_guest *guests, size_t n,
                      struct view_table_result *ret);

/* "ok" -> "OK", with its style. */
const char *view_memory_status(const char *status, enum term_style *ret_style);
