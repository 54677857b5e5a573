/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "term.h"
#include "wire_status.h"

/* What the guest's kernel says of its memory: Linux's words beside those that other systems' administrators know
 * (commit charge, available, standby and modified lists, working set). What its source does not tell is named, with the
 * reason. Nothing where the guest was never heard. */
void view_linux_print(const struct term *term, struct wire_text *out, const struct wire_guest *g);

/* Where each group of numbers comes from, and how old it is. */
void view_sources_print(const struct term *term, struct wire_text *out, const struct wire_guest *g);
