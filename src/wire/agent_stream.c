/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_stream.h"

#include <string.h>

#define USEC_PER_LINE (1000000ULL / AGENT_LINES_PER_SEC)

void agent_stream_init(struct agent_stream *s)
{
    s->used = 0;
    s->skipping = false;
}

size_t agent_stream_pending(const struct agent_stream *s)
{
    return s->used;
}

size_t agent_stream_take(struct agent_stream *s, const char *data, size_t len, struct agent_piece *ret)
{
    const char *end = len > 0 ? memchr(data, '\n', len) : NULL;
    size_t part = end ? (size_t)(end - data) : len;
    size_t taken = part + (end ? 1 : 0);

    *ret = (struct agent_piece){0};
    if (s->skipping) {
        s->skipping = !end;
        return taken;
    }
    if (part > sizeof(s->line) - 1 - s->used) { /* one byte of the limit is the newline's */
        size_t fits = sizeof(s->line) - 1 - s->used;

        memcpy(s->line + s->used, data, fits);
        *ret = (struct agent_piece){.line = s->line, .len = sizeof(s->line) - 1, .too_long = true};
        s->used = 0;
        s->skipping = !end;
        return taken;
    }
    if (part > 0)
        memcpy(s->line + s->used, data, part);
    s->used += part;
    if (end) {
        *ret = (struct agent_piece){.line = s->line, .len = s->used};
        s->used = 0;
    }
    return taken;
}

bool agent_rate_allow(struct agent_rate *rate, uint64_t now_usec)
{
    uint64_t credit = AGENT_RATE_BURST * USEC_PER_LINE;
    uint64_t earliest = now_usec > credit ? now_usec - credit : 0;

    if (rate->paid_usec < earliest)
        rate->paid_usec = earliest;
    if (rate->paid_usec + USEC_PER_LINE > now_usec)
        return false;
    rate->paid_usec += USEC_PER_LINE;
    return true;
}
