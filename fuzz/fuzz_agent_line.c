/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent_line.h"
#include "agent_stream.h"
#include "agent_view.h"

/* What a guest may write to the agent's port: any bytes at all. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

/* A refusal is one printable sentence; what is accepted can be written again and means the same. */
static void check_line(const char *line, size_t len)
{
    char out[AGENT_LINE_MAX];
    struct agent_message first, second;
    struct obs_guest_view view;
    struct err e = {0};
    int r = agent_line_parse(line, len, &first, &e);

    if (r < 0) {
        must(r == -e.code && e.text[0] != '\0');
        for (const char *p = e.text; *p; p++)
            must((unsigned char)*p >= 0x20 && *p != 0x7f);
        return;
    }
    must(e.code == 0 && strlen(first.text) < sizeof(first.text));
    agent_view_fill(&first, 1, 2, 3, &view);
    int written = agent_line_print(&first, out, sizeof(out));
    must(written > 0 && out[written - 1] == '\n');
    must(agent_line_parse(out, (size_t)written - 1, &second, &e) == 0);
    must(first.verb == second.verb && strcmp(first.text, second.text) == 0);
    must(memcmp(first.value, second.value, sizeof(first.value)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agent_stream stream;
    struct agent_piece piece;
    /* The first byte cuts the rest into reads: where one ends must not matter. */
    size_t step = size > 0 ? (size_t)data[0] + 1 : 1;

    agent_stream_init(&stream);
    for (size_t at = 0; at < size;) {
        size_t len = size - at < step ? size - at : step;
        size_t taken = agent_stream_take(&stream, (const char *)data + at, len, &piece);

        must(taken > 0 && taken <= len);
        at += taken;
        if (piece.line) {
            must(piece.len < AGENT_LINE_MAX);
            check_line(piece.line, piece.len);
        }
    }
    must(agent_stream_pending(&stream) < AGENT_LINE_MAX);
    return 0;
}
