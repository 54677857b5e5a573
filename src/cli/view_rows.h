/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "term.h"
#include "units.h"

/* "  label          412 MiB  what it means", wrapped: what `ballast show` is made of. */

#define VIEW_LABEL_COLUMNS 12
#define VIEW_VALUE_COLUMNS 10
#define VIEW_TEXT_COLUMN (2 + VIEW_LABEL_COLUMNS + VIEW_VALUE_COLUMNS + 2)
#define VIEW_LINE_ROOM 768 /* longest text of a row; a cut one is better than none */

/* "-" where not known. */
struct units_text view_size(uint64_t bytes);
struct units_text view_percent(uint64_t hundredths);

/* "850 ms"; "an unknown time". */
struct units_text view_age(uint64_t ms);

/* 0 where not known. */
uint64_t view_known(uint64_t value);

/* An empty line and a head line. */
void view_head(const struct term *term, struct wire_text *out, const char *text);

void view_row(const struct term *term, struct wire_text *out, const char *label, const char *value,
              const char *format, ...) __attribute__((format(printf, 5, 6)));
