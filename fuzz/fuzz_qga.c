/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bitmap_plan.h"
#include "qga.h"

/* What a guest may write to its agent's port: any bytes at all. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qmp_message m;
    struct err e = {0};
    bool delimited = false;
    int r = qga_line_parse((const char *)data, size, &m, &delimited, &e);

    must(r == -e.code);
    if (r < 0) {
        must(e.text[0] != '\0');
        return 0;
    }
    must(!delimited || memchr(data, 0xff, size) != NULL);
    must(strlen(m.name) < sizeof(m.name) && strlen(m.text) < sizeof(m.text));
    qmp_message_done(&m);
    return 0;
}
