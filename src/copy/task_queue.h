/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "assembly.h"

/* Tasks for several threads, first come first served, but never two of the same chunk at once nor out of order: a piece that came again has
 * to find the chunk it belongs to. Not locked: the caller is. */

#define TASK_QUEUE_MAX ASSEMBLY_BUFFERS_MAX /* each task has a buffer */

struct task_queue {
    size_t waiting_n, running_n;
    struct assembly_task waiting[TASK_QUEUE_MAX]; /* in order */
    struct assembly_task running[TASK_QUEUE_MAX];
};

void task_queue_add(struct task_queue *q, const struct assembly_task *t);

/* The first task that may begin; false: none may now. It runs until task_queue_end(). */
bool task_queue_begin(struct task_queue *q, struct assembly_task *ret);
void task_queue_end(struct task_queue *q, const struct assembly_task *t);
