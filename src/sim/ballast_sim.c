/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "setup.h"

/* ballast-sim SETUP [SEED [MINUTES [CSV-MILLISECONDS|orders]]]: runs a named setup, prints the report on stderr and, where
 * asked, a timeline for plots or every order on stdout. For people who tune the policy; not installed. */

#define MINUTES_MAX (7 * 24 * 60)

static struct {
    uint64_t every_usec;
} timeline;

static void print_line(struct world *w, void *user)
{
    (void)user;
    if (world_now(w) % timeline.every_usec == 0)
        world_print_csv(w, stdout, /* header= */ false);
}

static uint64_t number(int argc, char **argv, int i, uint64_t otherwise)
{
    return argc > i ? strtoull(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    uint64_t seed = number(argc, argv, 2, 1), minutes = number(argc, argv, 3, 30);
    struct world *w = argc > 1 ? setup_named(argv[1], seed) : NULL;

    if (!w || minutes == 0 || minutes > MINUTES_MAX) {
        (void)fprintf(stderr, "usage: ballast-sim mix-1.5|mix-2.5|files|files-statistics|step|burst [SEED [MINUTES "
                              "[CSV-MILLISECONDS|orders]]]\n");
        return 2;
    }
    if (argc > 4 && strcmp(argv[4], "orders") == 0)
        world_trace(w, stdout);
    timeline.every_usec = number(argc, argv, 4, 0) * WORLD_MSEC;
    world_start(w);
    if (timeline.every_usec) {
        world_print_csv(w, stdout, /* header= */ true);
        world_watch(w, print_line, NULL);
    }
    world_run(w, minutes * WORLD_MIN);
    world_report(w, stderr, argv[1]);
    int broken = world_broken_any(w) > 0;
    (void)world_free(w);
    return broken;
}
