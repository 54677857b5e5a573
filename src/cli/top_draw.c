/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "top_bars.h"
#include "top_detail.h"
#include "top_model.h"
#include "view_rows.h"
#include "view_table.h"

/* The frame: host, list, detail, keys (top_model.h). */

#define HEAD_ROWS 4         /* title, host, what sharing does; the keys at the foot */
#define DETAIL_ROWS_MIN 6   /* less tells nothing */
#define DETAIL_ROWS_MAX 14
#define LIST_ROWS_MIN 5     /* the list goes before the detail */
#define SCREEN_ROWS_MIN 6
#define SCREEN_COLUMNS_MIN 24

#define SIZE_COLUMNS 8      /* "23.5 GiB" */
#define PRESS_COLUMNS 6
#define NAME_COLUMNS_MIN 8
#define NAME_COLUMNS_MAX 28
#define BAR_COLUMNS_MIN 8
#define SPARK_COLUMNS_MIN 8
#define STATE_COLUMNS 9

/* Where the columns of the list begin and how wide they are; 0 wide: left out. */
struct layout {
    unsigned name, assigned_at, demand_at, press_at, bar_at, bar, spark_at, spark, state_at, state;
};

/* What does not fit is left out, least important first: sparkline, bar, state. */
static void layout_find(unsigned columns, unsigned longest_name, struct layout *l)
{
    unsigned numbers = 2 * (SIZE_COLUMNS + 1) + PRESS_COLUMNS + 1, rest;

    *l = (struct layout){.name = columns > numbers + NAME_COLUMNS_MIN ? longest_name : NAME_COLUMNS_MIN};
    if (l->name > NAME_COLUMNS_MAX)
        l->name = NAME_COLUMNS_MAX;
    if (columns <= 80 && l->name > 14)
        l->name = 14;
    if (l->name < NAME_COLUMNS_MIN)
        l->name = NAME_COLUMNS_MIN;
    l->assigned_at = l->name + 1;
    l->demand_at = l->assigned_at + SIZE_COLUMNS + 1;
    l->press_at = l->demand_at + SIZE_COLUMNS + 1;
    rest = columns > l->name + numbers ? columns - l->name - numbers : 0;
    if (rest > STATE_COLUMNS) {
        l->state = rest > 60 ? 2 * STATE_COLUMNS : STATE_COLUMNS;
        rest -= l->state + 1;
    }
    if (rest >= BAR_COLUMNS_MIN + SPARK_COLUMNS_MIN + 1) {
        l->spark = rest * 2 / 5 < WIRE_HISTORY_POINTS ? rest * 2 / 5 : WIRE_HISTORY_POINTS;
        rest -= l->spark + 1;
    }
    if (rest >= BAR_COLUMNS_MIN)
        l->bar = rest - 1;
    l->bar_at = l->press_at + PRESS_COLUMNS + 1;
    l->spark_at = l->bar ? l->bar_at + l->bar + 1 : l->bar_at;
    l->state_at = l->spark ? l->spark_at + l->spark + 1 : l->spark_at;
}

static void draw_title(const struct top *t, const char *clock, struct top_screen *s)
{
    const struct wire_host *h = &t->status->host;
    enum term_style style = strcmp(h->state, "high") == 0 ? TERM_GOOD
                            : strcmp(h->state, "low") == 0 ? TERM_BAD : TERM_WORRY;
    unsigned at;

    at = top_screen_put(s, 0, 0, s->columns, TERM_HEAD, h->name[0] ? h->name : "ballast");
    at += top_screen_put(s, 0, at, s->columns, TERM_PLAIN, ": memory is ");
    at += top_screen_put(s, 0, at, s->columns, style, h->state[0] ? h->state : "unknown");
    if (t->list_count == t->status->guest_count)
        at += top_screen_format(s, 0, at, s->columns, TERM_PLAIN, ", %zu guests", t->list_count);
    else
        at += top_screen_format(s, 0, at, s->columns, TERM_PLAIN, ", %zu of %zu guests", t->list_count,
                                t->status->guest_count);
    at += top_screen_format(s, 0, at, s->columns, TERM_PLAIN, " by %s%s", top_sort_name(t->sort),
                            t->reverse ? " (reversed)" : "");
    if (strcmp(h->moves, "off") == 0)
        at += top_screen_put(s, 0, at, s->columns, TERM_BAD, ", moves are off");
    if (t->status->daemon.dry_run)
        at += top_screen_put(s, 0, at, s->columns, TERM_WORRY, ", dry run");
    if (at + strlen(clock) + 1 < s->columns)
        top_screen_right(s, 0, 0, s->columns, TERM_DIM, clock);
}

static void draw_host(const struct top *t, struct top_screen *s)
{
    const struct wire_host *h = &t->status->host;
    char text[160];
    unsigned columns;
    int64_t free_kib = h->free_bytes == WIRE_UNKNOWN_SIGNED ? 0 : h->free_bytes / 1024;

    (void)snprintf(text, sizeof(text), "%s of %s assigned, %s free, reserve %s", view_size(h->assigned_bytes).s,
                   view_size(h->memory_bytes).s, units_show_signed_kib(free_kib).s, view_size(h->reserve_bytes).s);
    columns = (unsigned)strlen(text); /* our own text: ASCII */
    if (s->columns > columns + 1 + BAR_COLUMNS_MIN) {
        top_bar_host(s, 1, 0, s->columns - columns - 1, h);
        top_screen_right(s, 1, 0, s->columns, TERM_PLAIN, text);
    } else {
        (void)top_screen_put(s, 1, 0, s->columns, TERM_PLAIN, text);
    }
    (void)top_screen_put(s, 2, 0, s->columns, view_known(h->share_step) > 2 ? TERM_WORRY : TERM_PLAIN, h->share_text);
    if (t->status->warning_count > 0) {
        (void)snprintf(text, sizeof(text), "%zu warning%s: ballast status", t->status->warning_count,
                       t->status->warning_count > 1 ? "s" : "");
        if (term_columns(&s->term, h->share_text) + strlen(text) + 2 < s->columns)
            top_screen_right(s, 2, 0, s->columns, TERM_WORRY, text);
    }
}

static void draw_heads(const struct layout *l, unsigned row, struct top_screen *s)
{
    (void)top_screen_put(s, row, 0, l->name, TERM_HEAD, "GUEST");
    top_screen_right(s, row, l->assigned_at, SIZE_COLUMNS, TERM_HEAD, "ASSIGNED");
    top_screen_right(s, row, l->demand_at, SIZE_COLUMNS, TERM_HEAD, "DEMAND");
    top_screen_right(s, row, l->press_at, PRESS_COLUMNS, TERM_HEAD, "PRESS");
    if (l->bar)
        (void)top_screen_put(s, row, l->bar_at, l->bar, TERM_HEAD, "MEMORY");
    if (l->spark)
        (void)top_screen_put(s, row, l->spark_at, l->spark, TERM_HEAD, l->spark < 15 ? "DEMAND" : "DEMAND, 5 min");
    if (l->state)
        (void)top_screen_put(s, row, l->state_at, l->state, TERM_HEAD, "STATE");
}

/* Its flags, else its memory status; a mode that is not balanced stands before a status that is fine. */
static void draw_state(const struct layout *l, unsigned row, const struct wire_guest *g, struct top_screen *s)
{
    enum term_style style;
    const char *status = view_memory_status(g->memory_status, &style);
    unsigned at = l->state_at, end = l->state_at + l->state;

    for (size_t i = 0; i < g->flag_count; i++)
        at += top_screen_format(s, row, at, end > at ? end - at : 0, TERM_WORRY, "%s%s", i > 0 ? "," : "",
                                g->flags[i].name);
    if (g->flag_count > 0)
        return;
    if (strcmp(g->mode, "auto") != 0 && strcmp(g->memory_status, "ok") == 0)
        (void)top_screen_put(s, row, at, l->state, TERM_DIM, g->mode);
    else
        (void)top_screen_put(s, row, at, l->state, style, status);
}

static void draw_guest(const struct top *t, const struct layout *l, unsigned row, const struct wire_guest *g,
                       struct top_screen *s)
{
    enum term_style style;

    (void)view_memory_status(g->memory_status, &style);
    (void)top_screen_put(s, row, 0, l->name, TERM_PLAIN, g->name);
    top_screen_right(s, row, l->assigned_at, SIZE_COLUMNS, TERM_PLAIN, view_size(g->assigned_bytes).s);
    top_screen_right(s, row, l->demand_at, SIZE_COLUMNS, TERM_PLAIN, view_size(g->demand_bytes).s);
    top_screen_right(s, row, l->press_at, PRESS_COLUMNS, style, view_percent(g->pressure_percent).s);
    if (l->bar)
        top_bar_guest(s, row, l->bar_at, l->bar, g);
    if (l->spark)
        top_spark(s, row, l->spark_at, l->spark, wire_history_find(t->history, g->name));
    if (l->state)
        draw_state(l, row, g, s);
}

/* Keeps the selected guest on the screen. */
static void scroll(struct top *t, size_t rows)
{
    size_t at = top_selected(t);

    t->page = rows;
    if (at < t->first)
        t->first = at;
    if (at >= t->first + rows)
        t->first = at + 1 - rows;
    if (t->first + rows > t->list_count)
        t->first = t->list_count > rows ? t->list_count - rows : 0;
}

static void draw_list(struct top *t, unsigned row, unsigned rows, struct top_screen *s)
{
    unsigned longest = 0;
    struct layout l;

    scroll(t, rows > 1 ? rows - 1 : 1);
    for (size_t i = 0; i < t->list_count; i++) {
        unsigned wide = term_columns(&s->term, top_guest(t, i)->name);

        longest = wide > longest ? wide : longest;
    }
    layout_find(s->columns, longest, &l);
    draw_heads(&l, row, s);
    for (unsigned i = 1; i < rows && t->first + i - 1 < t->list_count; i++) {
        size_t at = t->first + i - 1;

        draw_guest(t, &l, row + i, top_guest(t, at), s);
        if (at == top_selected(t))
            top_screen_select(s, row + i);
    }
    if (t->list_count == 0)
        (void)top_screen_put(s, row + 1, 0, s->columns, TERM_DIM, t->filter[0] ? "no guest's name fits the filter"
                             : "ballastd knows no guest yet; `ballast status` tells how to give it one");
}

static void draw_foot(const struct top *t, struct top_screen *s)
{
    unsigned row = s->rows - 1, at;

    if (t->typing) {
        at = top_screen_put(s, row, 0, s->columns, TERM_HEAD, "filter: /");
        at += top_screen_put(s, row, at, s->columns, TERM_PLAIN, t->typed);
        (void)top_screen_put(s, row, at, s->columns, TERM_PLAIN, "_");
    } else if (t->problem[0]) {
        (void)top_screen_put(s, row, 0, s->columns, TERM_BAD, t->problem);
    } else {
        at = top_screen_put(s, row, 0, s->columns, TERM_DIM, "q quit  ? help  / filter  s sort  enter detail");
        if (t->filter[0])
            (void)top_screen_format(s, row, at, s->columns, TERM_HEAD, "  only '%s' (esc: all)", t->filter);
    }
}

void top_draw(struct top *t, const char *clock, struct top_screen *s)
{
    unsigned rows, detail = 0;

    if (s->rows < SCREEN_ROWS_MIN || s->columns < SCREEN_COLUMNS_MIN) {
        (void)top_screen_put(s, 0, 0, s->columns, TERM_PLAIN, "too small");
        return;
    }
    draw_foot(t, s);
    rows = s->rows - HEAD_ROWS; /* the list with its heads, and the detail */
    if (t->help) {
        top_help_draw(0, s->rows - 1, s);
        return;
    }
    if (!t->status)
        return;
    draw_title(t, clock, s);
    draw_host(t, s);
    if (t->detail && t->list_count > 0 && rows >= LIST_ROWS_MIN + DETAIL_ROWS_MIN) {
        unsigned wanted = t->list_count + 1 > LIST_ROWS_MIN ? (unsigned)t->list_count + 1 : LIST_ROWS_MIN;

        detail = rows / 2 < DETAIL_ROWS_MIN ? DETAIL_ROWS_MIN : rows / 2;
        if (wanted < rows - detail)
            detail = rows - wanted;
        if (detail > DETAIL_ROWS_MAX)
            detail = DETAIL_ROWS_MAX;
    }
    draw_list(t, HEAD_ROWS - 1, rows - detail, s);
    if (detail)
        top_detail_draw(t, s->rows - 1 - detail, detail, s);
}
