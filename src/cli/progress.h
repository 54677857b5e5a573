/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli.h"
#include "wire_text.h"

/* A line on a terminal that tells how far something is: share, amount, rate, time left. Nothing where stderr is none, or
 * with --json. */

struct progress {
    FILE *out;
    struct term term;
    char what[48];
    uint64_t start_usec, shown_usec;
    bool is_shown;
};

/* `what`: "restoring vda"; cut where it is long. */
void progress_start(struct progress *p, const struct cli *cli, const char *what);

/* Written at most a few times a second. total 0: not known. */
void progress_update(struct progress *p, uint64_t done_bytes, uint64_t total_bytes);

/* The line goes away again. */
void progress_end(struct progress *p);

/* The line's text, after so many microseconds: for tests. */
void progress_print(struct wire_text *t, const char *what, uint64_t done_bytes, uint64_t total_bytes, uint64_t usec);
