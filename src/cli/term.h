/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "wire_text.h"

/* What the terminal can do, and text made fit for it. Names and sentences come from guests and files: whatever they
 * hold, no control character reaches the terminal. */

#define TERM_WIDTH_UNLIMITED 0 /* a pipe or a file: nothing is left out or wrapped */
#define TERM_WIDTH_MIN 40      /* narrower ones get this */

enum term_style {
    TERM_PLAIN,
    TERM_HEAD,
    TERM_DIM,
    TERM_GOOD,
    TERM_WORRY,
    TERM_BAD,
    TERM_STYLE_COUNT
};

struct term {
    unsigned width;   /* columns, or TERM_WIDTH_UNLIMITED */
    bool is_terminal; /* bars, screen refresh */
    bool colour;      /* a terminal, and neither NO_COLOR nor TERM=dumb */
    bool utf8;        /* the locale's */
};

/* Of the stream; $COLUMNS goes before what the terminal says. Call setlocale() first. */
struct term term_of(FILE *stream);

/* Switches a style on or back to plain; nothing without colour. */
void term_style(const struct term *term, struct wire_text *out, enum term_style style);

/* Copies foreign text: control characters and, without UTF-8, everything beyond ASCII become '?'. At most `columns`
 * columns (0: all), the last two "..", where it is cut. Returns the columns written. */
unsigned term_text(const struct term *term, struct wire_text *out, const char *text, unsigned columns);

/* Columns of that text. */
unsigned term_columns(const struct term *term, const char *text);

/* A paragraph: words wrapped to the width, following lines indented by `indent`; `column` is where the cursor stands.
 * Ends with a newline. */
void term_wrap(const struct term *term, struct wire_text *out, const char *text, unsigned column, unsigned indent);

/* n blanks. */
void term_pad(struct wire_text *out, unsigned n);
