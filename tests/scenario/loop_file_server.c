/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <inttypes.h>

/* A file server with 1.5 GiB of hot files, alone on an idle host, for an hour: nobody needs its memory, so there is
 * nothing to hunt for. At most 50 commands and 10 changes of direction, and it may not suffer for tidiness. */

#define COMMANDS_MAX 50
#define TURNS_MAX 10
/* Finding out that the files are hot costs some refaults; more than a second of all tasks waiting in an hour is harm. */
#define FULL_MAX_USEC SEC

static void run(bool agent, uint64_t seed)
{
    struct world *w = setup_file_server(agent, seed);

    world_run(w, seed * 330 * WORLD_MSEC);
    world_start(w);
    world_run(w, 60 * MIN);
    world_report(w, stdout, agent ? "file server with agent" : "file server with balloon statistics");
    const struct world_guest *g = world_guest(w, 0);
    uint64_t full = world_model(w, 0)->stalled_full_usec;
    (void)scenario_check(g->orders <= COMMANDS_MAX, "%" PRIu64 " commands in an hour", g->orders);
    (void)scenario_check(g->turns <= TURNS_MAX, "%" PRIu64 " changes of direction in an hour", g->turns);
    (void)scenario_check(full <= FULL_MAX_USEC, "stalled for %" PRIu64 " ms", full / WORLD_MSEC);
    (void)scenario_check(world_model(w, 0)->hot_kib > 1500 * MIB, "its hot files are not in memory at the end");
    scenario_check_world(w, "file server");
    (void)world_free(w);
}

int main(void)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        run(true, seed);
        run(false, seed);
    }
    return scenario_end();
}
