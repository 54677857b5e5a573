/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp_buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Above this an empty buffer gives its memory back. */
#define KEPT_MAX 65536U

static int resize(struct qmp_buffer *b, size_t size, struct err *e)
{
    char *data = realloc(b->data, size);

    if (!data)
        return err_set(e, ENOMEM, "no memory for %zu bytes of a monitor", size);
    b->data = data;
    b->size = size;
    return 0;
}

int qmp_buffer_room(struct qmp_buffer *b, size_t more, size_t most, struct err *e)
{
    size_t size = b->size ? b->size : QMP_BUFFER_MIN;

    while (size < b->len + more)
        size *= 2;
    if (size > most)
        return err_set(e, EMSGSIZE, "more than %zu bytes", most);
    return b->data && size == b->size ? 0 : resize(b, size, e);
}

void qmp_buffer_drop(struct qmp_buffer *b, size_t n)
{
    struct err ignored = {0}; /* shrinking failed: it stays as it is */

    if (n == 0)
        return;
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
    b->scanned = b->scanned > n ? b->scanned - n : 0;
    if (b->size > KEPT_MAX && b->len <= QMP_BUFFER_MIN)
        (void)resize(b, QMP_BUFFER_MIN, &ignored);
}

bool qmp_buffer_line(struct qmp_buffer *b, size_t start, size_t *ret_len, size_t *ret_next)
{
    size_t from = b->scanned > start ? b->scanned : start;
    const char *end = from < b->len ? memchr(b->data + from, '\n', b->len - from) : NULL;

    if (!end) {
        b->scanned = b->len;
        return false;
    }
    *ret_next = b->scanned = (size_t)(end - b->data) + 1;
    *ret_len = *ret_next - 1 - start;
    return true;
}

void qmp_buffer_clear(struct qmp_buffer *b)
{
    b->len = b->scanned = 0;
}

void qmp_buffer_done(struct qmp_buffer *b)
{
    free(b->data);
    *b = (struct qmp_buffer){0};
}
