/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "top_screen.h"
#include "wire_history.h"
#include "wire_status.h"

/* The pictures of `ballast top`, in `columns` columns; blocks with UTF-8, else ASCII. Less than three columns: nothing. */

/* The host from nothing to all its memory: assigned to guests, what else is taken, free, and the free part of the
 * reserve at the end. */
void top_bar_host(struct top_screen *s, unsigned row, unsigned column, unsigned columns, const struct wire_host *h);

/* A guest from nothing to its maximum: what it needs, what it has beyond, what it lacks. */
void top_bar_guest(struct top_screen *s, unsigned row, unsigned column, unsigned columns, const struct wire_guest *g);

/* Its demand over the last minutes, the newest on the right; the highest column is the most it had or needed then.
 * h NULL: nothing. */
void top_spark(struct top_screen *s, unsigned row, unsigned column, unsigned columns,
               const struct wire_history_guest *h);

/* What the pictures are made of, for the help. */
struct top_marks {
    const char *demand, *beyond, *lacking, *empty, *other, *reserve;
};
struct top_marks top_marks_of(const struct term *term);
