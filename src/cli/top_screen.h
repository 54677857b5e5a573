/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "own.h"
#include "term.h"

/* A grid of cells to lay a screen out on: no terminal in it, so that tests can compare what would be shown. */

#define TOP_ROWS_MAX 500
#define TOP_COLUMNS_MAX 1000

struct top_cell {
    char text[7];          /* one character in UTF-8; "": the right half of a wide one on its left */
    uint8_t style : 7;     /* enum term_style */
    uint8_t selected : 1;  /* inverse */
};

struct top_screen {
    struct term term;      /* what the terminal can do; width is not looked at */
    unsigned rows, columns;
    struct top_cell *cells; /* rows x columns, owned */
};

/* NULL: no memory. Sizes are cut to TOP_ROWS_MAX, TOP_COLUMNS_MAX and at least 1. All blank. */
struct top_screen *top_screen_new(const struct term *term, unsigned rows, unsigned columns);
struct top_screen *top_screen_free(struct top_screen *s);
OWN_DEFINE(top_screen);

/* Foreign text, made fit for a terminal (term_text()), at most `most` columns wide and not beyond the right edge. What
 * lies outside of the grid is dropped. Returns the columns written. */
unsigned top_screen_put(struct top_screen *s, unsigned row, unsigned column, unsigned most, enum term_style style,
                        const char *text);
unsigned top_screen_format(struct top_screen *s, unsigned row, unsigned column, unsigned most, enum term_style style,
                           const char *format, ...) __attribute__((format(printf, 6, 7)));

/* The same, at the right end of `most` columns. */
void top_screen_right(struct top_screen *s, unsigned row, unsigned column, unsigned most, enum term_style style,
                      const char *text);

/* Marks a whole row. */
void top_screen_select(struct top_screen *s, unsigned row);

/* As lines, without styles and trailing blanks. */
void top_screen_text(const struct top_screen *s, struct wire_text *out);
