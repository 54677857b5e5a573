/* SPDX-License-Identifier: Apache-2.0 */
#include "term.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define TERM_WIDTH_MAX 1000       /* beyond it COLUMNS is nonsense */
#define TERM_WIDTH_UNKNOWN 80     /* a terminal that does not tell */

static unsigned width_of(int fd, bool is_terminal)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size;
    unsigned long width = 0;

    if (columns && *columns >= '1' && *columns <= '9')
        width = strtoul(columns, NULL, 10);
    if (width == 0 || width > TERM_WIDTH_MAX) {
        if (!is_terminal)
            return TERM_WIDTH_UNLIMITED;
        width = ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : TERM_WIDTH_UNKNOWN;
    }
    return width < TERM_WIDTH_MIN ? TERM_WIDTH_MIN : (unsigned)width;
}

struct term term_of(FILE *stream)
{
    const char *no_colour = getenv("NO_COLOR"), *name = getenv("TERM");
    struct term term = {0};
    int fd = fileno(stream);

    term.is_terminal = fd >= 0 && isatty(fd) == 1;
    term.width = width_of(fd, term.is_terminal);
    term.colour = term.is_terminal && !(no_colour && *no_colour) && name && strcmp(name, "dumb") != 0;
    term.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    return term;
}

void term_style(const struct term *term, struct wire_text *out, enum term_style style)
{
    static const char *const codes[TERM_STYLE_COUNT] = {"\033[0m", "\033[1m", "\033[2m", "\033[32m", "\033[33m",
                                                        "\033[1;31m"};

    if (term->colour)
        wire_text_adds(out, codes[style]);
}

/* Columns of the character at s, and its length in bytes; -1: not fit for a terminal. */
static int character_columns(const struct term *term, const char *s, size_t *ret_length)
{
    size_t length = wire_utf8_length(s);
    unsigned char c = (unsigned char)*s;
    wchar_t wide;
    int columns;

    *ret_length = length ? length : 1;
    if (length == 1)
        return c >= 0x20 && c != 0x7f ? 1 : -1;
    if (length == 0 || !term->utf8)
        return -1;
    wide = c & (length == 2 ? 0x1f : length == 3 ? 0x0f : 0x07);
    for (size_t i = 1; i < length; i++)
        wide = (wide << 6) | (s[i] & 0x3f);
    columns = wcwidth(wide);
    return columns > 0 ? columns : -1; /* zero-width ones could hide what is there */
}

unsigned term_columns(const struct term *term, const char *text)
{
    unsigned columns = 0;
    size_t length;

    for (; *text; text += length) {
        int wide = character_columns(term, text, &length);

        columns += wide < 0 ? 1 : (unsigned)wide;
    }
    return columns;
}

unsigned term_text(const struct term *term, struct wire_text *out, const char *text, unsigned columns)
{
    bool cut = columns >= 3 && term_columns(term, text) > columns;
    unsigned room = cut ? columns - 2 : columns, used = 0;
    size_t length;

    for (; *text; text += length) {
        int wide = character_columns(term, text, &length);
        unsigned one = wide < 0 ? 1 : (unsigned)wide;

        if (columns && used + one > room)
            break;
        if (wide < 0)
            wire_text_adds(out, "?");
        else
            wire_text_add(out, text, length);
        used += one;
    }
    if (cut) {
        wire_text_adds(out, "..");
        used += 2;
    }
    return used;
}

void term_pad(struct wire_text *out, unsigned n)
{
    while (n-- > 0)
        wire_text_add(out, " ", 1);
}

/* Bytes of the word at text. "712 MiB," is one word: a number and its unit are not torn apart. */
static size_t word_length(const char *text)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "%", "ms", "s", "min", "h", "d"};
    size_t length = strcspn(text, " \n");
    const char *next = text + length + 1;

    if (length == 0 || text[length] != ' ' || text[length - 1] < '0' || text[length - 1] > '9')
        return length;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t unit = strlen(units[i]);

        if (strncmp(next, units[i], unit) == 0 && (!next[unit] || strchr(" \n,.;:)", next[unit])))
            return length + 1 + strcspn(next, " \n");
    }
    return length;
}

void term_wrap(const struct term *term, struct wire_text *out, const char *text, unsigned column, unsigned indent)
{
    char word[1024]; /* longer ones are cut in two */
    bool first = true;

    while (*text) {
        size_t length = word_length(text);
        unsigned columns;

        if (length >= sizeof(word)) {
            length = sizeof(word) - 1;
            while (length > 1 && ((unsigned char)text[length] & 0xc0) == 0x80)
                length--;
        }
        memcpy(word, text, length);
        word[length] = '\0';
        text += length;
        text += strspn(text, " \n");
        columns = term_columns(term, word);
        if (!first && term->width && column + 1 + columns > term->width) {
            wire_text_adds(out, "\n");
            term_pad(out, indent);
            column = indent;
            first = true;
        }
        if (!first) {
            wire_text_adds(out, " ");
            column++;
        }
        column += term_text(term, out, word, 0);
        first = false;
    }
    wire_text_adds(out, "\n");
}
