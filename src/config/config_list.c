/* SPDX-License-Identifier: Apache-2.0 */
#include "config_list.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FILE_SHOWN_MAX 200 /* of a longer file name the end tells more */

void config_list_add(struct config_list *list, const struct config_store *store, struct config_place place, int code,
                     const char *format, ...)
{
    const char *file = place.file < store->file_count ? store->files[place.file] : "configuration";
    size_t len = strlen(file);
    const char *shown = len > FILE_SHOWN_MAX ? file + len - FILE_SHOWN_MAX : file;
    char sentence[ERR_TEXT_SIZE];
    va_list ap;

    if (list->count == sizeof(list->items) / sizeof(list->items[0])) {
        list->more++;
        return;
    }
    va_start(ap, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, ap); /* a cut sentence is better than none */
    va_end(ap);
    if (place.line)
        (void)err_set(&list->items[list->count++], code, "%s%s:%u:%u: %s", shown == file ? "" : "...", shown,
                      place.line, place.column, sentence);
    else
        (void)err_set(&list->items[list->count++], code, "%s%s: %s", shown == file ? "" : "...", shown, sentence);
}

void config_list_add_plain(struct config_list *list, const struct err *e)
{
    if (list->count == sizeof(list->items) / sizeof(list->items[0]))
        list->more++;
    else
        list->items[list->count++] = *e;
}
