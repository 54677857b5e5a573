/* SPDX-License-Identifier: Apache-2.0 */
#include "view_rows.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "wire_field.h"

struct units_text view_size(uint64_t bytes)
{
    struct units_text dash = {"-"};

    return bytes == WIRE_UNKNOWN ? dash : units_show_size(bytes);
}

struct units_text view_percent(uint64_t hundredths)
{
    struct units_text text = {"-"};

    if (hundredths != WIRE_UNKNOWN)
        (void)snprintf(text.s, sizeof(text.s), "%" PRIu64 " %%", (hundredths + 50) / 100);
    return text;
}

struct units_text view_age(uint64_t ms)
{
    struct units_text dash = {"an unknown time"};

    return ms == WIRE_UNKNOWN || ms > UINT64_MAX / 1000 ? dash : units_show_time(ms * 1000);
}

uint64_t view_known(uint64_t value)
{
    return value == WIRE_UNKNOWN ? 0 : value;
}

void view_head(const struct term *term, struct wire_text *out, const char *text)
{
    wire_text_adds(out, "\n");
    term_style(term, out, TERM_HEAD);
    wire_text_adds(out, text);
    term_style(term, out, TERM_PLAIN);
    wire_text_adds(out, "\n");
}

void view_row(const struct term *term, struct wire_text *out, const char *label, const char *value,
              const char *format, ...)
{
    unsigned wide = term_columns(term, value), labelled, pad;
    char line[VIEW_LINE_ROOM];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    wire_text_adds(out, "  ");
    labelled = term_text(term, out, label, VIEW_LABEL_COLUMNS);
    wide += labelled;
    pad = wide < VIEW_LABEL_COLUMNS + VIEW_VALUE_COLUMNS ? VIEW_LABEL_COLUMNS + VIEW_VALUE_COLUMNS - wide : 1;
    term_pad(out, pad);
    (void)term_text(term, out, value, 0);
    if (line[0])
        wire_text_adds(out, "  ");
    term_wrap(term, out, line, 2 + wide + pad + (line[0] ? 2 : 0), VIEW_TEXT_COLUMN);
}
