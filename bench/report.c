/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>

void report_print(const struct report *r)
{
    static bool headed;
    double ratio = r->value > 0 ? r->baseline_value / r->value : 0;

    printf("{\"bench\":\"%s\",\"case\":\"%s\",\"metric\":\"%s\",\"value\":%.4g,\"unit\":\"%s\",\"n\":%zu,"
           "\"baseline\":\"%s\",\"baseline_value\":%.4g,\"ratio\":%.3g",
           r->bench, r->what, r->metric, r->value, r->unit, r->n, r->baseline, r->baseline_value, ratio);
    if (r->goal)
        printf(",\"goal\":\"%s\",\"met\":%s", r->goal, r->met ? "true" : "false");
    puts("}");
    (void)fflush(stdout); /* a closed pipe shows at the end of the program */
    if (!headed)
        fprintf(stderr, "%-10s %-16s %-8s %12s %-4s %7s  %s\n", "bench", "case", "metric", "value", "unit", "n",
                "against");
    headed = true;
    fprintf(stderr, "%-10s %-16s %-8s %12.4g %-4s %7zu  %.4g %s (%s)", r->bench, r->what, r->metric, r->value, r->unit,
            r->n, r->baseline_value, r->unit, r->baseline);
    fprintf(stderr, r->goal ? "  goal %s: %s\n" : "%s%s\n", r->goal ? r->goal : "",
            r->goal ? r->met ? "met" : "MISSED" : "");
}

static int report_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double report_quantile(double *samples, size_t n, unsigned int percent)
{
    size_t at = (n * percent + 99) / 100;

    qsort(samples, n, sizeof(samples[0]), report_compare);
    return samples[at > 0 ? at - 1 : 0];
}
