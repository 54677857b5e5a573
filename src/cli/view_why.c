/* SPDX-License-Identifier: Apache-2.0 */
#include "view_why.h"

#include <stdio.h>
#include <string.h>

#include "units.h"

#define AGE_COLUMNS 14 /* "59 min 59 s ago" is a rare one */

static struct units_text time_text(uint64_t ms)
{
    struct units_text unknown = {"?"};

    return ms == WIRE_UNKNOWN || ms > UINT64_MAX / 1000 ? unknown : units_show_time(ms * 1000);
}

/* Ages of minutes are told without seconds: nobody reads them. */
static void age_print(char *to, size_t size, const struct wire_decision *d)
{
    uint64_t ms = d->age_ms;

    if (ms != WIRE_UNKNOWN && ms < 1000)
        (void)snprintf(to, size, "just now");
    else
        (void)snprintf(to, size, "%s ago", time_text(ms == WIRE_UNKNOWN ? ms : ms - ms % (ms < 60000 ? 1000 : 60000)).s);
}

static void decision_print(const struct term *term, struct wire_text *out, const struct wire_decision *d)
{
    char age[48], line[WIRE_WHY_TEXT_SIZE + 64];
    unsigned column = 2;

    age_print(age, sizeof(age), d);
    wire_text_adds(out, "  ");
    column += term_text(term, out, age, 0);
    if (column < 2 + AGE_COLUMNS)
        term_pad(out, 2 + AGE_COLUMNS - column);
    else
        term_pad(out, 1);
    if (d->count > 1 && d->lasted_ms != WIRE_UNKNOWN && d->lasted_ms >= 1000)
        (void)snprintf(line, sizeof(line), "over %s: %s", time_text(d->lasted_ms - d->lasted_ms % 1000).s, d->text);
    else
        (void)snprintf(line, sizeof(line), "%s", d->text);
    term_wrap(term, out, line, 2 + AGE_COLUMNS, 2 + AGE_COLUMNS);
}

void view_why_print(const struct term *term, struct wire_text *out, const struct wire_why *w)
{
    term_style(term, out, TERM_HEAD);
    (void)term_text(term, out, w->name, 0);
    term_style(term, out, TERM_PLAIN);
    wire_text_adds(out, "\n");
    term_wrap(term, out, w->now, 0, 0);
    for (size_t i = 0; i < w->because_count; i++) {
        wire_text_adds(out, "  - ");
        term_wrap(term, out, w->because[i], 4, 4);
    }
    wire_text_adds(out, "\n");
    if (w->decision_count == 0) {
        term_wrap(term, out, "Nothing has moved it since ballastd knows it.", 0, 0);
        return;
    }
    term_style(term, out, TERM_HEAD);
    wire_text_adds(out, "Before that");
    term_style(term, out, TERM_PLAIN);
    wire_text_adds(out, "\n");
    for (size_t i = 0; i < w->decision_count; i++)
        decision_print(term, out, &w->decisions[i]);
}
