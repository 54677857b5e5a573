/* SPDX-License-Identifier: Apache-2.0 */
#include "view_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "units.h"

#define BAR_CELLS 10
#define CELL_SIZE 384     /* the longest: all flags of a guest */
#define NAME_COLUMNS 20   /* longer names are cut, where the width is limited */
#define NAME_COLUMNS_SHORT 12

struct cell {
    char text[CELL_SIZE];
    enum term_style style;
};

/* How the table is laid out; fitting changes it step by step. */
struct layout {
    const struct term *term;
    unsigned hidden;       /* bit: column */
    unsigned gap;
    unsigned name_columns; /* 0: not limited */
    bool is_short, bar;
};

enum column_id {
    COLUMN_NAME, COLUMN_MODE, COLUMN_STARTUP, COLUMN_MINIMUM, COLUMN_MAXIMUM, COLUMN_ASSIGNED, COLUMN_DEMAND,
    COLUMN_PRESSURE, COLUMN_BUFFER, COLUMN_PRIORITY, COLUMN_TARGET, COLUMN_PENALTY, COLUMN_STATUS, COLUMN_FLAGS,
    COLUMN_COUNT
};

static void show_size(const struct layout *l, uint64_t bytes, char *to)
{
    struct units_text text;
    const char *unit;

    if (bytes == WIRE_UNKNOWN) {
        (void)strcpy(to, "-");
        return;
    }
    if (bytes == 0) {
        (void)strcpy(to, "0");
        return;
    }
    text = units_show_size(bytes);
    unit = strchr(text.s, ' ');
    if (!l->is_short || !unit)
        (void)snprintf(to, CELL_SIZE, "%s", text.s);
    else
        (void)snprintf(to, CELL_SIZE, "%.*s%c", (int)(unit - text.s), text.s, unit[1]);
}

static void show_percent(uint64_t hundredths, char *to)
{
    if (hundredths == WIRE_UNKNOWN)
        (void)strcpy(to, "-");
    else
        (void)snprintf(to, CELL_SIZE, "%" PRIu64 " %%", (hundredths + 50) / 100);
}

/* "######----  67 %": a look tells who is short. */
static void show_pressure(const struct layout *l, const struct wire_guest *g, struct cell *ret)
{
    static const char full[] = "\xe2\x96\x88", empty[] = "\xe2\x96\x91"; /* U+2588, U+2591 */
    char percent[CELL_SIZE];
    uint64_t cells = g->pressure_percent == WIRE_UNKNOWN ? 0 : (g->pressure_percent + 500) / 1000;
    size_t used = 0;

    show_percent(g->pressure_percent, percent);
    for (unsigned i = 0; l->bar && i < BAR_CELLS; i++)
        used += (size_t)snprintf(ret->text + used, sizeof(ret->text) - used, "%s",
                                 i < cells ? (l->term->utf8 ? full : "#") : (l->term->utf8 ? empty : "-"));
    (void)snprintf(ret->text + used, sizeof(ret->text) - used, "%s%*.16s", l->bar ? " " : "", l->bar ? 5 : 0, percent);
    if (g->pressure_percent != WIRE_UNKNOWN)
        (void)view_memory_status(g->memory_status, &ret->style);
}

const char *view_memory_status(const char *status, enum term_style *ret_style)
{
    *ret_style = TERM_PLAIN;
    if (strcmp(status, "ok") == 0) {
        *ret_style = TERM_GOOD;
        return "OK";
    }
    if (strcmp(status, "low") == 0) {
        *ret_style = TERM_WORRY;
        return "Low";
    }
    if (strcmp(status, "warning") == 0) {
        *ret_style = TERM_BAD;
        return "Warning";
    }
    return status[0] ? status : "-";
}

static void show_flags(const struct wire_guest *g, struct cell *ret)
{
    size_t used = 0;

    for (size_t i = 0; i < g->flag_count; i++)
        used += (size_t)snprintf(ret->text + used, sizeof(ret->text) - used, "%s%s", i > 0 ? "," : "",
                                 g->flags[i].name);
    if (used > 0)
        ret->style = TERM_WORRY;
}
_Static_assert(WIRE_FLAGS_MAX * sizeof(((struct wire_flag *)0)->name) < CELL_SIZE, "show_flags() must fit its cell");

static void show_text(const char *text, struct cell *ret)
{
    (void)snprintf(ret->text, sizeof(ret->text), "%s", text[0] ? text : "-");
}

static void cell_fill(const struct layout *l, enum column_id column, const struct wire_guest *g, struct cell *ret)
{
    ret->text[0] = '\0';
    ret->style = TERM_PLAIN;
    switch (column) {
    case COLUMN_NAME: show_text(g->name, ret); return;
    case COLUMN_MODE: show_text(g->mode, ret); return;
    case COLUMN_STARTUP: show_size(l, g->startup_bytes, ret->text); return;
    case COLUMN_MINIMUM: show_size(l, g->minimum_bytes, ret->text); return;
    case COLUMN_MAXIMUM: show_size(l, g->maximum_bytes, ret->text); return;
    case COLUMN_ASSIGNED: show_size(l, g->assigned_bytes, ret->text); return;
    case COLUMN_DEMAND: show_size(l, g->demand_bytes, ret->text); return;
    case COLUMN_PRESSURE: show_pressure(l, g, ret); return;
    case COLUMN_BUFFER: show_percent(g->buffer_percent, ret->text); return;
    case COLUMN_PRIORITY:
        if (g->priority == WIRE_UNKNOWN)
            show_text("", ret);
        else
            (void)snprintf(ret->text, sizeof(ret->text), "%" PRIu64, g->priority);
        return;
    case COLUMN_TARGET: show_size(l, g->target_bytes, ret->text); return;
    case COLUMN_PENALTY:
        show_size(l, g->penalty_bytes, ret->text);
        if (g->penalty_bytes != WIRE_UNKNOWN && g->penalty_bytes > 0)
            ret->style = TERM_WORRY;
        return;
    case COLUMN_STATUS: show_text(view_memory_status(g->memory_status, &ret->style), ret); return;
    case COLUMN_FLAGS: show_flags(g, ret); return;
    case COLUMN_COUNT: break;
    }
}

static const struct column {
    const char *head, *head_short, *name;
    bool left;
} columns[COLUMN_COUNT] = {
    [COLUMN_NAME] = {"GUEST", "GUEST", "name", true},
    [COLUMN_MODE] = {"MODE", "MODE", "mode", true},
    [COLUMN_STARTUP] = {"STARTUP", "START", "startup", false},
    [COLUMN_MINIMUM] = {"MINIMUM", "MIN", "minimum", false},
    [COLUMN_MAXIMUM] = {"MAXIMUM", "MAX", "maximum", false},
    [COLUMN_ASSIGNED] = {"ASSIGNED", "ASSIGN", "assigned", false},
    [COLUMN_DEMAND] = {"DEMAND", "DEMAND", "demand", false},
    [COLUMN_PRESSURE] = {"PRESSURE", "PRESS", "pressure", false},
    [COLUMN_BUFFER] = {"BUFFER", "BUF", "buffer", false},
    [COLUMN_PRIORITY] = {"PRIORITY", "PRIO", "priority", false},
    [COLUMN_TARGET] = {"TARGET", "TARGET", "target", false},
    [COLUMN_PENALTY] = {"PENALTY", "PENALTY", "penalty", false},
    [COLUMN_STATUS] = {"STATUS", "STATUS", "status", true},
    [COLUMN_FLAGS] = {"FLAGS", "FLAGS", "flags", true},
};

static const char *head_of(const struct layout *l, enum column_id column)
{
    return l->is_short ? columns[column].head_short : columns[column].head;
}

static bool is_shown(const struct layout *l, enum column_id column)
{
    return !(l->hidden & 1U << column);
}

static unsigned cell_columns(const struct layout *l, enum column_id column, const struct cell *cell)
{
    unsigned wide = term_columns(l->term, cell->text);

    return column == COLUMN_NAME && l->name_columns && wide > l->name_columns ? l->name_columns : wide;
}

/* Widths of all columns; returns the whole line's. */
static unsigned widths_find(const struct layout *l, const struct wire_guest *guests, size_t n, unsigned *ret_widths)
{
    unsigned whole = 0;
    struct cell cell;

    for (enum column_id c = 0; c < COLUMN_COUNT; c++) {
        ret_widths[c] = (unsigned)strlen(head_of(l, c));
        for (size_t i = 0; i < n && is_shown(l, c); i++) {
            unsigned wide;

            cell_fill(l, c, &guests[i], &cell);
            wide = cell_columns(l, c, &cell);
            if (wide > ret_widths[c])
                ret_widths[c] = wide;
        }
        if (is_shown(l, c))
            whole += ret_widths[c] + (whole > 0 ? l->gap : 0);
    }
    return whole;
}

/* Makes the table narrower by one step; false: nothing is left to do. Flags go first, as they are told in words below;
 * then what is written in the configuration; what is measured stays longest. */
static bool layout_narrow(struct layout *l, unsigned *step)
{
    static const enum column_id order[] = {COLUMN_STARTUP, COLUMN_BUFFER, COLUMN_PRIORITY, COLUMN_MODE, COLUMN_MAXIMUM,
                                           COLUMN_MINIMUM, COLUMN_PENALTY, COLUMN_TARGET, COLUMN_DEMAND};
    unsigned at = (*step)++;

    switch (at) {
    case 0: l->hidden |= 1U << COLUMN_FLAGS; return true;
    case 1: l->name_columns = NAME_COLUMNS; return true;
    case 2: l->bar = false; return true;
    case 3: l->is_short = true; return true;
    case 4: l->gap = 1; return true;
    case 5: l->name_columns = NAME_COLUMNS_SHORT; return true;
    default:
        if (at - 6 >= sizeof(order) / sizeof(order[0]))
            return false;
        l->hidden |= 1U << order[at - 6];
        return true;
    }
}

/* Columns in which nobody has anything to say. */
static void hide_empty(struct layout *l, const struct wire_guest *guests, size_t n)
{
    size_t i = 0;

    while (i < n && guests[i].flag_count == 0)
        i++;
    if (i == n)
        l->hidden |= 1U << COLUMN_FLAGS;
}

static void left_out_list(const struct layout *l, struct view_table_result *ret)
{
    size_t used = 0;

    ret->left_out[0] = '\0';
    for (enum column_id c = 0; c < COLUMN_COUNT; c++)
        if (!is_shown(l, c) && c != COLUMN_FLAGS)
            used += (size_t)snprintf(ret->left_out + used, sizeof(ret->left_out) - used, "%s%s", used ? ", " : "",
                                     columns[c].name);
}

static void print_cell(const struct layout *l, struct wire_text *out, enum column_id column, const struct cell *cell,
                       unsigned width, bool last)
{
    unsigned wide = cell_columns(l, column, cell), pad = width > wide ? width - wide : 0;

    if (!columns[column].left)
        term_pad(out, pad);
    if (cell->style != TERM_PLAIN)
        term_style(l->term, out, cell->style);
    (void)term_text(l->term, out, cell->text, column == COLUMN_NAME ? l->name_columns : 0);
    if (cell->style != TERM_PLAIN)
        term_style(l->term, out, TERM_PLAIN);
    if (columns[column].left && !last)
        term_pad(out, pad);
}

/* guest NULL: the heads. */
static void print_line(const struct layout *l, struct wire_text *out, const struct wire_guest *guest,
                       const unsigned *widths)
{
    enum column_id last = COLUMN_COUNT - 1;
    struct cell cell;

    while (!is_shown(l, last))
        last--;
    for (enum column_id c = 0; c < COLUMN_COUNT; c++) {
        if (!is_shown(l, c))
            continue;
        if (guest) {
            cell_fill(l, c, guest, &cell);
        } else {
            (void)snprintf(cell.text, sizeof(cell.text), "%s", head_of(l, c));
            cell.style = TERM_HEAD;
        }
        if (c != COLUMN_NAME)
            term_pad(out, l->gap);
        print_cell(l, out, c, &cell, widths[c], c == last);
    }
    while (out->length > 0 && out->data[out->length - 1] == ' ')
        out->data[--out->length] = '\0'; /* a guest without flags */
    wire_text_adds(out, "\n");
}

void view_table_print(const struct term *term, struct wire_text *out, const struct wire_guest *guests, size_t n,
                      struct view_table_result *ret)
{
    struct layout l = {.term = term, .gap = 2, .bar = term->is_terminal};
    unsigned widths[COLUMN_COUNT], step = 0;

    hide_empty(&l, guests, n);
    while (widths_find(&l, guests, n, widths) > term->width && term->width != TERM_WIDTH_UNLIMITED)
        if (!layout_narrow(&l, &step))
            break;
    ret->is_short = l.is_short;
    left_out_list(&l, ret);
    print_line(&l, out, NULL, widths);
    for (size_t i = 0; i < n; i++)
        print_line(&l, out, &guests[i], widths);
}
