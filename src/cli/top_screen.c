/* SPDX-License-Identifier: Apache-2.0 */
#include "top_screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_ROOM 1024 /* more than any row is wide */

static unsigned within(unsigned value, unsigned most)
{
    return value == 0 ? 1 : value > most ? most : value;
}

struct top_screen *top_screen_new(const struct term *term, unsigned rows, unsigned columns)
{
    struct top_screen *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->term = *term;
    s->rows = within(rows, TOP_ROWS_MAX);
    s->columns = within(columns, TOP_COLUMNS_MAX);
    s->cells = calloc((size_t)s->rows * s->columns, sizeof(*s->cells));
    if (!s->cells)
        return top_screen_free(s);
    for (size_t i = 0; i < (size_t)s->rows * s->columns; i++)
        s->cells[i].text[0] = ' ';
    return s;
}

struct top_screen *top_screen_free(struct top_screen *s)
{
    if (s)
        free(s->cells);
    free(s);
    return NULL;
}

/* One character that is `wide` columns. */
static void cell_set(struct top_cell *cell, const char *text, size_t length, unsigned wide, enum term_style style)
{
    for (unsigned i = 0; i < wide; i++) {
        cell[i].text[0] = '\0';
        cell[i].style = style & 0x7fU;
    }
    memcpy(cell->text, text, length);
    cell->text[length] = '\0';
}

unsigned top_screen_put(struct top_screen *s, unsigned row, unsigned column, unsigned most, enum term_style style,
                        const char *text)
{
    struct wire_text clean = {0};
    unsigned at = column;

    if (row >= s->rows || column >= s->columns || most == 0)
        return 0;
    if (most > s->columns - column)
        most = s->columns - column;
    (void)term_text(&s->term, &clean, text, most);
    for (const char *c = clean.data; c && *c && at < column + most;) {
        char one[sizeof(s->cells->text)] = "";
        size_t length = wire_utf8_length(c);
        unsigned wide;

        if (length == 0 || length >= sizeof(one))
            break; /* term_text() lets nothing of the kind through */
        memcpy(one, c, length);
        wide = term_columns(&s->term, one);
        if (at + wide > column + most)
            break;
        cell_set(&s->cells[(size_t)row * s->columns + at], one, length, wide, style);
        at += wide;
        c += length;
    }
    wire_text_done(&clean);
    return at - column;
}

unsigned top_screen_format(struct top_screen *s, unsigned row, unsigned column, unsigned most, enum term_style style,
                           const char *format, ...)
{
    char text[TEXT_ROOM];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    return top_screen_put(s, row, column, most, style, text);
}

void top_screen_right(struct top_screen *s, unsigned row, unsigned column, unsigned most, enum term_style style,
                      const char *text)
{
    unsigned wide = term_columns(&s->term, text);
    unsigned blank = wide < most ? most - wide : 0;

    (void)top_screen_put(s, row, column + blank, most - blank, style, text);
}

void top_screen_select(struct top_screen *s, unsigned row)
{
    for (unsigned i = 0; row < s->rows && i < s->columns; i++)
        s->cells[(size_t)row * s->columns + i].selected = 1;
}

void top_screen_text(const struct top_screen *s, struct wire_text *out)
{
    for (unsigned row = 0; row < s->rows; row++) {
        const struct top_cell *cells = &s->cells[(size_t)row * s->columns];
        unsigned end = s->columns;

        while (end > 0 && strcmp(cells[end - 1].text, " ") == 0)
            end--;
        for (unsigned i = 0; i < end; i++)
            wire_text_adds(out, cells[i].text);
        wire_text_adds(out, "\n");
    }
}
