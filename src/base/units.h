/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Sizes, shares and times as people write and read them (docs/man/ballast.yaml.5, "Units"). Integers throughout.
 *
 * Parsers take a number and a unit with or without blanks between: "4GiB" = "4 GiB". A number is decimal digits with at
 * most one decimal point; no sign, no exponent, no hexadecimal. The value must be exact in the unit of the result: nothing
 * is rounded behind the writer's back. On failure they return -EINVAL (not such a thing) or -ERANGE (too large), with a
 * sentence that quotes the text and says how to write it; the caller puts file, line and key before it. `text` needs no
 * end; at most UNITS_INPUT_MAX bytes are looked at. */

#define UNITS_INPUT_MAX 64 /* no sensible value is longer; keeps messages and arithmetic bounded */

/* "512 MiB", "1.5 GiB", "16 GB": KiB MiB GiB TiB (binary) and kB MB GB TB (decimal); the unit is required. */
int units_parse_size(const char *text, size_t len, uint64_t *ret_bytes, struct err *e);

/* "20 %", "12.5 %": hundredths of a percent, so two decimals; the sign is required. 20 % = 2000. */
int units_parse_share(const char *text, size_t len, uint64_t *ret_hundredths, struct err *e);

/* "250 ms", "1 s", "5 min", "2 h", "1 d" (also "us"); the unit is required. */
int units_parse_time(const char *text, size_t len, uint64_t *ret_usec, struct err *e);

/* A bare number with up to `decimals` (0..6) decimals, scaled by 10^decimals: "1.5" with 3 = 1500. */
int units_parse_number(const char *text, size_t len, unsigned decimals, uint64_t *ret_scaled, struct err *e);

/* Printers return their text by value, for use right in a printf call: units_show_size(bytes).s */
#define UNITS_TEXT_SIZE 32
struct units_text {
    char s[UNITS_TEXT_SIZE];
};

/* For people, three digits or more, binary units always: the largest of B KiB MiB GiB TiB in which the value is at least 1.
 * A whole value has no decimals and is exact below 100 ("2 GiB"); else two decimals below 10 ("1.50 GiB"), one below 100
 * ("23.5 GiB"), none above ("687 MiB"), rounded half up. A value that rounds to 1024 moves to the next unit ("1.00 GiB"). */
struct units_text units_show_size(uint64_t bytes);

/* As above for KiB, the unit of the core, and for signed differences ("-16 MiB"). What 64 bits of bytes do not hold is
 * shown as the most they do: "16777216 TiB". */
struct units_text units_show_kib(uint64_t kib);
struct units_text units_show_signed_kib(int64_t kib);

/* Never rounded: the largest binary unit that divides the value, so that units_parse_size() gives it back.
 * Values that are no whole KiB are written in B, which the parser refuses. */
struct units_text units_show_size_exact(uint64_t bytes);

/* "20 %", "12.5 %", "0.75 %": hundredths of a percent, exact. */
struct units_text units_show_share(uint64_t hundredths);

/* For people: "850 us", "250 ms", "1.5 s" (below 10 s one decimal where it is not zero), "42 s", "3 min 20 s", "2 h 5 min",
 * "3 d 4 h"; rounded half up to the last unit shown. */
struct units_text units_show_time(uint64_t usec);

/* Never rounded: the largest unit of time that divides the value, so that units_parse_time() gives it back. */
struct units_text units_show_time_exact(uint64_t usec);
