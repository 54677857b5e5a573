/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <ctype.h>
#include <string.h>

#define DISTANCE_WORD_MAX 32

struct text_shown text_show(const char *text, size_t len)
{
    static const char more[] = "...";
    struct text_shown shown;
    size_t room = sizeof(shown.s) - sizeof(more); /* what fits beside "..." and the end */
    size_t used = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        unsigned char next = i + 1 < len ? (unsigned char)text[i + 1] : 0;

        if (used == room && len - i > sizeof(more) - 1) {
            while (used > 0 && ((unsigned char)shown.s[used - 1] & 0xc0) == 0x80)
                used--; /* never half a character: first its tail, ... */
            if (used > 0 && ((unsigned char)shown.s[used - 1] & 0xc0) == 0xc0)
                used--; /* ... then its head */
            memcpy(shown.s + used, more, sizeof(more));
            return shown;
        }
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0)) {
            i += c == 0xc2; /* U+0080..U+009F take two bytes */
            c = '?';
        }
        shown.s[used++] = (char)c;
    }
    shown.s[used] = '\0';
    return shown;
}

void text_clean(char *text)
{
    char *to = text;

    for (const char *c = text; *c; c++) {
        unsigned char byte = (unsigned char)*c, next = (unsigned char)c[1];
        bool is_c1 = byte == 0xc2 && next >= 0x80 && next < 0xa0; /* U+0080..U+009F take two bytes */

        c += is_c1;
        *to++ = byte < 0x20 || byte == 0x7f || is_c1 ? '?' : (char)byte;
    }
    *to = '\0';
}

bool text_is_name(const char *name, size_t len)
{
    if (len == 0 || len > TEXT_NAME_MAX || name[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];

        if (c < 0x21 || c == 0x7f || c == '/' || c == '\'' || c == '"' || c == '\\')
            return false;
    }
    return true;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment, three rows of the table at a time. */
unsigned text_distance(const char *a, const char *b)
{
    unsigned rows[3][DISTANCE_WORD_MAX + 1];
    size_t na = strlen(a), nb = strlen(b);

    if (na > DISTANCE_WORD_MAX || nb > DISTANCE_WORD_MAX)
        return TEXT_DISTANCE_MAX;
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned *now = rows[i % 3], *before = rows[(i - 1) % 3], *older = rows[(i + 1) % 3];

        now[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);

            now[j] = least(least(before[j], now[j - 1]) + 1, before[j - 1] + (ca != cb));
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) && cb == tolower((unsigned char)a[i - 2]))
                now[j] = least(now[j], older[j - 2] + 1);
        }
    }
    return rows[na % 3][nb];
}
