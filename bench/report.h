/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Results of a benchmark: one JSON line each on stdout for programs, a table on stderr for people. */

struct report {
    const char *bench;       /* as `make bench BENCH=...` names it */
    const char *what;        /* the case: "10000 guests" */
    const char *metric;      /* "median", "p99", "growth" */
    double value;
    const char *unit;
    size_t n;                /* how many measurements */
    const char *baseline;    /* the peer, older way or physical limit measured in the same run */
    double baseline_value;   /* same unit */
    const char *goal;        /* NULL: none */
    bool met;
};

/* Lower values are better: ratio = baseline_value / value. Texts must need no escaping in JSON. */
void report_print(const struct report *r);

/* Sorts samples; the value that `percent` of them do not exceed. n > 0. */
double report_quantile(double *samples, size_t n, unsigned int percent);
