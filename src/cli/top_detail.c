/* SPDX-License-Identifier: Apache-2.0 */
#include "top_detail.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "top_bars.h"
#include "view_rows.h"
#include "view_status.h"
#include "view_table.h"

/* Rows still to be written, from the top. */
struct pane {
    struct top_screen *s;
    unsigned row, end;
};

static void line(struct pane *p, enum term_style style, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void line(struct pane *p, enum term_style style, const char *format, ...)
{
    char text[VIEW_LINE_ROOM];
    va_list ap;

    if (p->row >= p->end)
        return;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    (void)top_screen_put(p->s, p->row++, 0, p->s->columns, style, text);
}

/* A sentence over as many rows as it needs, up to two: the rest is in `ballast show`. */
static void sentence(struct pane *p, enum term_style style, const char *text)
{
    const struct term term = {.width = p->s->columns, .utf8 = p->s->term.utf8};
    struct wire_text wrapped = {0};
    char *rest, *next;

    term_wrap(&term, &wrapped, text, 2, 4);
    rest = wrapped.data;
    for (unsigned i = 0; rest && *rest && i < 2; i++, rest = next) {
        size_t length = strcspn(rest, "\n");

        next = rest + length + (rest[length] == '\n');
        rest[length] = '\0';
        line(p, style, "%s%s%s", i == 0 ? "  " : "", rest, i == 1 && *next ? " .." : "");
    }
    wire_text_done(&wrapped);
}

static void draw_who(struct pane *p, const struct wire_guest *g)
{
    enum term_style style;
    const char *status = view_memory_status(g->memory_status, &style);

    line(p, TERM_HEAD, "%s: %s, mode %s, Memory Status %s%s%s%s%s", g->name, g->state[0] ? g->state : "unknown",
         g->mode[0] ? g->mode : "unknown", status, g->owner[0] ? ", owner " : "", g->owner,
         g->demand_source[0] ? ", heard by " : "", g->demand_source);
}

static void draw_sizes(struct pane *p, const struct wire_guest *g)
{
    line(p, TERM_PLAIN, "  assigned %s (min %s, max %s), demand %s, target %s", view_size(g->assigned_bytes).s,
         view_size(g->minimum_bytes).s, view_size(g->maximum_bytes).s, view_size(g->demand_bytes).s,
         view_size(g->target_bytes).s);
    line(p, TERM_PLAIN, "  given %s, penalty %s, held %s, moved %s in %" PRIu64 " orders", view_size(g->given_bytes).s,
         view_size(g->penalty_bytes).s, view_size(g->held_bytes).s, view_size(g->moved_bytes).s,
         view_known(g->orders));
}

static void draw_decision(struct pane *p, const struct wire_guest *g)
{
    char text[VIEW_LINE_ROOM];

    if (strcmp(g->order, "none") == 0 || !g->order[0])
        (void)snprintf(text, sizeof(text), "now: nothing is moved: %s", g->order_reason[0] ? g->order_reason : "not known");
    else
        (void)snprintf(text, sizeof(text), "now: %s to %s: %s", g->order, view_size(g->order_bytes).s, g->order_reason);
    sentence(p, TERM_PLAIN, text);
}

static void draw_flags(struct pane *p, const struct wire_guest *g)
{
    char text[VIEW_LINE_ROOM], trouble[VIEW_LINE_ROOM - 16];

    for (size_t i = 0; i < g->flag_count; i++) {
        (void)snprintf(text, sizeof(text), "! %s%s%s", g->flags[i].name, g->flags[i].reason[0] ? ": " : "",
                       g->flags[i].reason);
        sentence(p, TERM_WORRY, text);
    }
    if (!g->trouble[0])
        return;
    view_trouble_text(g, trouble, sizeof(trouble));
    (void)snprintf(text, sizeof(text), "! trouble: %s", trouble);
    sentence(p, TERM_WORRY, text);
}

static void draw_moves(struct pane *p, const struct wire_history_guest *h)
{
    if (!h || h->move_count == 0) {
        line(p, TERM_DIM, "  %s", h ? "nothing was moved lately" : "what was moved lately is not known");
        return;
    }
    for (size_t i = 0; i < h->move_count; i++) {
        const struct wire_history_move *m = &h->moves[i];
        char steps[32] = "";

        if (view_known(m->orders) > 1)
            (void)snprintf(steps, sizeof(steps), " (%" PRIu64 " steps)", m->orders);
        line(p, TERM_PLAIN, "  %s ago: %s %s -> %s%s: %s", view_age(m->age_ms).s, m->order, view_size(m->from_bytes).s,
             view_size(m->to_bytes).s, steps, m->reason);
    }
}

void top_detail_draw(const struct top *t, unsigned row, unsigned rows, struct top_screen *s)
{
    struct pane p = {s, row, row + rows};
    const struct wire_guest *g;

    for (unsigned i = 0; i < s->columns && rows > 0; i++)
        (void)top_screen_put(s, row, i, 1, TERM_DIM, s->term.utf8 ? "\xe2\x94\x80" : "-");
    p.row++;
    g = top_guest(t, top_selected(t));
    draw_who(&p, g);
    draw_sizes(&p, g);
    draw_flags(&p, g);
    draw_decision(&p, g);
    draw_moves(&p, wire_history_find(t->history, g->name));
}

void top_help_draw(unsigned row, unsigned rows, struct top_screen *s)
{
    struct top_marks m = top_marks_of(&s->term);
    struct pane p = {s, row, row + rows};

    line(&p, TERM_HEAD, "Keys");
    line(&p, TERM_PLAIN, "  up down k j  choose a guest (also page up, page down, home, end)");
    line(&p, TERM_PLAIN, "  enter        what was decided about it and why: show or hide");
    line(&p, TERM_PLAIN, "  n a d p m i  sort by name, assigned, demand, pressure, moved, priority");
    line(&p, TERM_PLAIN, "  s r          sort by the next of these; the other way round");
    line(&p, TERM_PLAIN, "  / esc        show only names with these letters, or like web*; show all");
    line(&p, TERM_PLAIN, "  space        ask ballastd now (it is asked once a second)");
    line(&p, TERM_PLAIN, "  ? q          this help; leave");
    line(&p, TERM_PLAIN, "%s", "");
    line(&p, TERM_HEAD, "Pictures");
    line(&p, TERM_PLAIN, "  memory, from nothing to the guest's maximum:");
    line(&p, TERM_PLAIN, "      %s what it needs  %s what it has beyond  %s what it lacks", m.demand, m.beyond, m.lacking);
    line(&p, TERM_PLAIN, "  host: %s assigned  %s other use  %s free  %s free part of the reserve", m.demand, m.other,
         m.empty, m.reserve);
    line(&p, TERM_PLAIN, "  demand: the last five minutes, the newest on the right");
    line(&p, TERM_PLAIN, "%s", "");
    line(&p, TERM_PLAIN, "Low: less than half of its buffer is free. Warning: its demand is all it has.");
    line(&p, TERM_DIM, "Any key goes back.");
}
