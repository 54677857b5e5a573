/* SPDX-License-Identifier: Apache-2.0 */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *format, ...)
{
    va_list ap;

    e->code = code > 0 ? code : EINVAL;
    va_start(ap, format);
    (void)vsnprintf(e->text, sizeof(e->text), format, ap); /* a cut sentence is better than none */
    va_end(ap);
    return -e->code;
}

int err_wrap(struct err *e, const char *format, ...)
{
    char before[ERR_TEXT_SIZE];
    char inner[ERR_TEXT_SIZE];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(before, sizeof(before), format, ap);
    va_end(ap);
    memcpy(inner, e->text, sizeof(inner));
    /* Each part may fill the room alone; the precision keeps the compiler (and us) sure that it is cut, not overrun. */
    (void)snprintf(e->text, sizeof(e->text), "%.250s: %.259s", before, inner);
    return -e->code;
}
