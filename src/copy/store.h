/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "assembly.h"
#include "copy_job.h"
#include "copy_link.h"
#include "err.h"

/* Where the worker puts chunks: a point of a repository, or raw image files. All of it may block for as long as a file
 * system likes. */

struct store;

struct store_ops {
    int (*open)(const struct copy_job *job, struct store **ret, struct err *e);
    uint32_t (*chunk_bytes)(const struct store *s);
    /* Bytes [task->at, + task->len) of a chunk; `chunk` is the chunk's first byte. Thread-safe, but for the same chunk. */
    int (*put)(struct store *s, const struct assembly_task *task, const uint8_t *chunk, uint64_t *ret_stored_bytes,
               struct err *e);
    /* Makes all of it durable. states: of each disk's chunks (enum assembly_state). facts: text of a JSON object. Frees the
     * store in any case. */
    int (*commit)(struct store *s, uint8_t *const *states, const struct link_figures *figures, const char *facts,
                  char ret_point[COPY_TEXT_SIZE], struct err *e);
    /* Throws all of it away and frees the store. */
    void (*abort)(struct store *s, const char *reason);
};

extern const struct store_ops store_raw, store_repo;
