/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Foreign text in our sentences. Returned by value, so that it can stand in a printf call:
 *     err_set(e, EINVAL, "unknown key '%s'", text_show(key, len).s); */

/* Longest piece shown, with its end: enough to recognise it, short enough to leave room for the sentence. */
#define TEXT_SHOWN_SIZE 64

struct text_shown {
    char s[TEXT_SHOWN_SIZE];
};

/* A copy safe for a terminal and for one line: control characters (C0, DEL, C1 in UTF-8) become '?', longer text is cut
 * at a character and ends in "...". `text` needs no end; len 0 gives "". */
struct text_shown text_show(const char *text, size_t len);

/* Turns the control characters of a text into '?', in place, as text_show() does. */
void text_clean(char *text);

/* A guest's name is usable in file names, messages and tables: 1..TEXT_NAME_MAX bytes, no control character or blank, no
 * '/', quote or backslash, and no '.' at the front. `name` needs no end. */
#define TEXT_NAME_MAX 63
bool text_is_name(const char *name, size_t len);

/* How many single-character edits (insert, delete, replace, swap of neighbours) lead from a to b, counted up to
 * TEXT_DISTANCE_MAX; more, or words longer than 32 bytes, give TEXT_DISTANCE_MAX. Case differences cost nothing. */
#define TEXT_DISTANCE_MAX 99
unsigned text_distance(const char *a, const char *b);

/* A known word is suggested for a mistyped one when they are this close: a typing error or two, not another word. */
#define TEXT_SUGGEST_DISTANCE 2
