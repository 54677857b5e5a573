/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_ROOM_FIRST 4096 /* one guest */

void wire_text_done(struct wire_text *t)
{
    free(t->data);
    *t = (struct wire_text){0};
}

/* Room for `more` bytes and a NUL. */
static bool text_reserve(struct wire_text *t, size_t more)
{
    size_t need, room = t->room ? t->room : TEXT_ROOM_FIRST;
    char *data;

    if (t->failed)
        return false;
    if (__builtin_add_overflow(t->length, more, &need) || need > SIZE_MAX / 4) {
        t->failed = true;
        return false;
    }
    if (need < t->room)
        return true;
    while (room <= need)
        room *= 2;
    data = realloc(t->data, room);
    if (!data) {
        t->failed = true;
        return false;
    }
    t->data = data;
    t->room = room;
    return true;
}

void wire_text_add(struct wire_text *t, const char *data, size_t length)
{
    if (!text_reserve(t, length))
        return;
    memcpy(t->data + t->length, data, length);
    t->length += length;
    t->data[t->length] = '\0';
}

void wire_text_adds(struct wire_text *t, const char *s)
{
    wire_text_add(t, s, strlen(s));
}

void wire_text_format(struct wire_text *t, const char *format, ...)
{
    va_list ap;
    int length;

    va_start(ap, format);
    length = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (length < 0) {
        t->failed = true;
        return;
    }
    if (!text_reserve(t, (size_t)length))
        return;
    va_start(ap, format);
    (void)vsnprintf(t->data + t->length, (size_t)length + 1, format, ap); /* measured above */
    va_end(ap);
    t->length += (size_t)length;
}

void wire_text_u64(struct wire_text *t, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    wire_text_add(t, digits + at, sizeof(digits) - at);
}

size_t wire_utf8_length(const char *s)
{
    const unsigned char *u = (const unsigned char *)s;

    if (u[0] < 0x80)
        return u[0] != 0;
    if (u[0] >= 0xc2 && u[0] <= 0xdf)
        return (u[1] & 0xc0) == 0x80 ? 2 : 0;
    if ((u[0] & 0xf0) == 0xe0) {
        if ((u[1] & 0xc0) != 0x80 || (u[2] & 0xc0) != 0x80)
            return 0;
        if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] >= 0xa0)) /* overlong, surrogate */
            return 0;
        return 3;
    }
    if (u[0] >= 0xf0 && u[0] <= 0xf4) {
        if ((u[1] & 0xc0) != 0x80 || (u[2] & 0xc0) != 0x80 || (u[3] & 0xc0) != 0x80)
            return 0;
        if ((u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] >= 0x90)) /* overlong, beyond U+10FFFF */
            return 0;
        return 4;
    }
    return 0;
}

void wire_text_string(struct wire_text *t, const char *s)
{
    const char *plain = s; /* start of what needs no escape */

    wire_text_add(t, "\"", 1);
    while (*s) {
        unsigned char c = (unsigned char)*s;
        size_t length = wire_utf8_length(s);

        if (length > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            s += length;
            continue;
        }
        wire_text_add(t, plain, (size_t)(s - plain));
        if (length == 0)
            wire_text_adds(t, "\\ufffd");
        else if (c == '"' || c == '\\')
            wire_text_format(t, "\\%c", c);
        else
            wire_text_format(t, "\\u%04x", c);
        s += length ? length : 1;
        plain = s;
    }
    wire_text_add(t, plain, (size_t)(s - plain));
    wire_text_add(t, "\"", 1);
}

void wire_text_copy(char *to, size_t size, const char *from)
{
    size_t length = strlen(from);

    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)from[length] & 0xc0) == 0x80)
            length--;
    }
    memcpy(to, from, length);
    to[length] = '\0';
}

void wire_text_take(char *to, size_t size, const char *from)
{
    wire_text_copy(to, size, from);
    while (*to) {
        size_t length = wire_utf8_length(to);

        if (length == 0)
            *to = '?';
        to += length ? length : 1;
    }
}
