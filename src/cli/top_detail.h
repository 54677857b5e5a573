/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "top_model.h"

/* The pane under the list: the selected guest, what is decided about it and why, and what was moved lately.
 * Draws at most `rows` rows from `row` on. */
void top_detail_draw(const struct top *t, unsigned row, unsigned rows, struct top_screen *s);

/* The keys and the pictures, instead of the list. */
void top_help_draw(unsigned row, unsigned rows, struct top_screen *s);
