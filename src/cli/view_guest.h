/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "term.h"
#include "wire_status.h"

/* Everything about one guest, in words: `ballast show GUEST`. */
void view_guest_print(const struct term *term, struct wire_text *out, const struct wire_guest *g,
                      const struct wire_host *h);
