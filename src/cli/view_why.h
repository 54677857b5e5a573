/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "term.h"
#include "wire_why.h"

/* Why a guest has the size it has: what is done now and why, then its last decisions, newest first: `ballast why GUEST`. */
void view_why_print(const struct term *term, struct wire_text *out, const struct wire_why *w);
