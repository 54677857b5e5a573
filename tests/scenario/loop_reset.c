/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <inttypes.h>

/* One of several guests resets on a full host. It owns all its boot memory until its driver is back, seconds later; it
 * touches little of it. Nothing is taken from the others for that, and nobody is granted memory it could touch. */

#define GUESTS 5
#define WATCHED_USEC (60 * SEC)

static void run(bool agent, uint64_t seed)
{
    struct world_config wc = setup_host(4 * GIB, GUESTS * SETUP_OVERHEAD_KIB, seed);
    struct world *w = world_new(&wc);
    char name[16];

    for (size_t i = 0; i < GUESTS; i++) {
        struct guest_config config = setup_guest_config(256 * MIB, 2 * GIB);
        /* with their buffers (and without agent the cache they keep) more than the host has: it is given out whole */
        uint64_t anon = agent ? 500 * MIB : 420 * MIB;
        struct model_config m = scenario_grower(2 * GIB, 800 * MIB, anon, anon, 0, 100 * MIB);
        m.agent = agent;
        if (i == 2) {
            m.kind = MODEL_REBOOTING;
            m.happens_usec = 5 * MIN;
        }
        (void)snprintf(name, sizeof(name), "guest%zu", i);
        (void)world_add(w, name, &config, &m);
    }
    world_start(w);
    world_run(w, 5 * MIN - SEC);
    (void)scenario_check(world_host(w)->share.step >= SHARE_HEAD, "the host is not full: step %d", (int)world_host(w)->share.step);
    world_tally(w);
    world_run(w, WATCHED_USEC);
    world_report(w, stdout, agent ? "one resets, agents" : "one resets, statistics");
    for (size_t i = 0; i < GUESTS; i++)
        (void)scenario_check(i == 2 || world_guest(w, i)->downs == 0, "%" PRIu64 " takes from guest %zu",
                             world_guest(w, i)->downs, i);
    (void)scenario_check(world_model(w, 2)->resets == 1, "it did not reset");
    (void)scenario_check(world_killed(w) == 0, "a program was killed");
    scenario_check_world(w, "reset");
    (void)world_free(w);
}

int main(void)
{
    run(true, 1);
    run(false, 1);
    return scenario_end();
}
