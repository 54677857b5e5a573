/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"
#include "replay.h"

/* A record that somebody brings to `ballast replay`: it is refused with a sentence, or replayed, decisions and all; nothing
 * in it crashes the core. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *line = (const char *)data, *all = line + size, *end;
    struct replay *r = NULL;
    struct err e = {0};

    must(replay_new(&r, &e) == 0);
    for (; line < all; line = end + 1) {
        end = memchr(line, '\n', (size_t)(all - line));
        if (!end)
            end = all;
        int code = replay_line(r, line, (size_t)(end - line), &e);
        if (code < 0) {
            must(code == -e.code && e.text[0] != '\0');
            break;
        }
    }
    const struct replay_report *report = replay_report(r);
    must(report->differ <= report->decisions);
    must(report->differ == 0 || report->first.inputs.length > 0);
    (void)replay_free(r);
    return 0;
}
