/* SPDX-License-Identifier: Apache-2.0 */
#include "top_bars.h"

#define BRACKETS 2
#define SPARK_HEIGHTS 8

struct top_marks top_marks_of(const struct term *term)
{
    static const struct top_marks blocks = {"\xe2\x96\x88", "\xe2\x96\x92", "!", "\xc2\xb7", "\xe2\x96\x93", "R"};
    static const struct top_marks ascii = {"#", "=", "!", ".", "o", "R"};

    return term->utf8 ? blocks : ascii;
}

static uint64_t known(uint64_t bytes)
{
    return bytes == WIRE_UNKNOWN ? 0 : bytes;
}

/* Cells of `columns` that a part of the whole takes, rounded half up; never more than all. */
static unsigned cells_of(uint64_t part, uint64_t whole, unsigned columns)
{
    if (whole == 0 || part == 0)
        return 0;
    if (part >= whole)
        return columns;
    return (unsigned)(((unsigned __int128)part * columns * 2 + whole) / ((unsigned __int128)whole * 2));
}

static void fill(struct top_screen *s, unsigned row, unsigned from, unsigned to, enum term_style style,
                 const char *mark)
{
    for (; from < to; from++)
        (void)top_screen_put(s, row, from, 1, style, mark);
}

static void brackets(struct top_screen *s, unsigned row, unsigned column, unsigned columns)
{
    (void)top_screen_put(s, row, column, 1, TERM_PLAIN, "[");
    (void)top_screen_put(s, row, column + columns - 1, 1, TERM_PLAIN, "]");
}

void top_bar_guest(struct top_screen *s, unsigned row, unsigned column, unsigned columns, const struct wire_guest *g)
{
    struct top_marks marks = top_marks_of(&s->term);
    uint64_t assigned = known(g->assigned_bytes), demand = known(g->demand_bytes), whole = known(g->maximum_bytes);
    unsigned left = column + 1, room, has, needs;

    if (columns <= BRACKETS)
        return;
    room = columns - BRACKETS;
    if (assigned > whole)
        whole = assigned;
    has = cells_of(assigned, whole, room);
    needs = cells_of(demand, whole, room);
    brackets(s, row, column, columns);
    fill(s, row, left, left + room, TERM_DIM, marks.empty);
    fill(s, row, left, left + (needs < has ? needs : has), TERM_GOOD, marks.demand);
    if (needs < has)
        fill(s, row, left + needs, left + has, TERM_PLAIN, marks.beyond);
    else
        fill(s, row, left + has, left + needs, TERM_BAD, marks.lacking);
}

void top_bar_host(struct top_screen *s, unsigned row, unsigned column, unsigned columns, const struct wire_host *h)
{
    struct top_marks marks = top_marks_of(&s->term);
    uint64_t whole = known(h->memory_bytes), reserve = known(h->reserve_bytes), free_bytes = 0;
    unsigned left = column + 1, room, guests, taken, kept;

    if (columns <= BRACKETS)
        return;
    room = columns - BRACKETS;
    if (h->free_bytes != WIRE_UNKNOWN_SIGNED && h->free_bytes > 0)
        free_bytes = (uint64_t)h->free_bytes;
    if (free_bytes > whole)
        free_bytes = whole;
    taken = room - cells_of(free_bytes, whole, room);
    guests = cells_of(known(h->assigned_bytes), whole, room);
    kept = cells_of(free_bytes < reserve ? free_bytes : reserve, whole, room);
    if (guests > taken)
        guests = taken;
    if (kept > room - taken)
        kept = room - taken;
    brackets(s, row, column, columns);
    fill(s, row, left, left + room, TERM_DIM, marks.empty);
    fill(s, row, left, left + guests, TERM_GOOD, marks.demand);
    fill(s, row, left + guests, left + taken, TERM_WORRY, marks.other);
    fill(s, row, left + room - kept, left + room, TERM_DIM, marks.reserve);
}

/* The largest demand of the points that share a column; WIRE_UNKNOWN: none is known. */
static uint64_t bucket(const struct wire_history_guest *h, size_t from, size_t to)
{
    uint64_t most = WIRE_UNKNOWN;

    for (; from < to; from++) {
        uint64_t demand = h->demand_bytes[from];

        if (demand != WIRE_UNKNOWN && (most == WIRE_UNKNOWN || demand > most))
            most = demand;
    }
    return most;
}

void top_spark(struct top_screen *s, unsigned row, unsigned column, unsigned columns,
               const struct wire_history_guest *h)
{
    static const char *const blocks[SPARK_HEIGHTS] = {"\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83", "\xe2\x96\x84",
                                                      "\xe2\x96\x85", "\xe2\x96\x86", "\xe2\x96\x87", "\xe2\x96\x88"};
    static const char *const ascii[SPARK_HEIGHTS] = {"_", ".", ":", "-", "=", "+", "*", "#"};
    uint64_t whole = 0;

    if (!h || columns < 3)
        return;
    for (size_t i = 0; i < h->point_count; i++) {
        whole = known(h->demand_bytes[i]) > whole ? h->demand_bytes[i] : whole;
        whole = known(h->assigned_bytes[i]) > whole ? h->assigned_bytes[i] : whole;
    }
    if (columns > h->point_count) { /* a column for each point is the most there is to see */
        column += columns - (unsigned)h->point_count;
        columns = (unsigned)h->point_count;
    }
    for (unsigned i = 0; i < columns; i++) {
        uint64_t demand = bucket(h, h->point_count * i / columns, h->point_count * (i + 1) / columns);
        unsigned height = demand == WIRE_UNKNOWN ? 0 : cells_of(demand, whole, SPARK_HEIGHTS - 1);

        if (demand != WIRE_UNKNOWN)
            (void)top_screen_put(s, row, column + i, 1, TERM_PLAIN, s->term.utf8 ? blocks[height] : ascii[height]);
    }
}
