/* SPDX-License-Identifier: Apache-2.0 */
#include "task_queue.h"

#include <assert.h>
#include <string.h>

void task_queue_add(struct task_queue *q, const struct assembly_task *t)
{
    assert(q->waiting_n + q->running_n < TASK_QUEUE_MAX);
    q->waiting[q->waiting_n++] = *t;
}

static bool has_chunk(const struct assembly_task *tasks, size_t n, const struct assembly_task *t)
{
    for (size_t i = 0; i < n; i++)
        if (tasks[i].chunk == t->chunk && tasks[i].disk == t->disk)
            return true;
    return false;
}

bool task_queue_begin(struct task_queue *q, struct assembly_task *ret)
{
    for (size_t i = 0; i < q->waiting_n; i++) {
        struct assembly_task *t = &q->waiting[i];

        if (has_chunk(q->running, q->running_n, t) || has_chunk(q->waiting, i, t))
            continue;
        *ret = q->running[q->running_n++] = *t;
        q->waiting_n--;
        memmove(t, t + 1, (q->waiting_n - i) * sizeof(*t));
        return true;
    }
    return false;
}

void task_queue_end(struct task_queue *q, const struct assembly_task *t)
{
    for (size_t i = 0; i < q->running_n; i++) {
        if (q->running[i].buffer != t->buffer)
            continue;
        q->running[i] = q->running[--q->running_n];
        return;
    }
}
