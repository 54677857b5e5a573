/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* S10: when ballastd dies, guests keep what they have and run on; a new one adopts them without moving memory. Guests here
 * have much more than their targets: an adopter that acts on its first impression would take at once. */

#define GUESTS 4
#define AWAY_USEC (30 * SEC)
#define ADOPTED_USEC (9 * SEC)

static bool holds(const struct decide_switches *switches)
{
    struct world_config wc = setup_host(8 * GIB, GUESTS * SETUP_OVERHEAD_KIB, 1);
    uint64_t has[GUESTS];
    bool kept = true;
    char name[16];

    wc.policy.switches = *switches;
    struct world *w = world_new(&wc);
    for (size_t i = 0; i < GUESTS; i++) {
        struct guest_config config = setup_guest_config(256 * MIB, 2 * GIB);
        struct model_config m = scenario_idle(2 * GIB, 1500 * MIB);
        m.agent = i % 2;
        (void)snprintf(name, sizeof(name), "guest%zu", i);
        (void)world_add(w, name, &config, &m);
    }
    world_start(w);
    world_run(w, 13 * SEC); /* in the middle of taking */
    world_stop(w);
    world_run(w, 2 * SEC);  /* what was under way ends */
    for (size_t i = 0; i < GUESTS; i++)
        has[i] = model_assigned_kib(world_model(w, i));
    world_tally(w);
    world_run(w, AWAY_USEC);
    for (size_t i = 0; i < GUESTS; i++)
        kept = scenario_check(model_assigned_kib(world_model(w, i)) == has[i], "guest %zu moved while ballastd was away", i) &&
               kept;
    world_start(w);
    world_run(w, ADOPTED_USEC);
    for (size_t i = 0; i < GUESTS; i++)
        kept = kept && model_assigned_kib(world_model(w, i)) == has[i] && world_guest(w, i)->orders == 0;
    world_report(w, stdout, "adopted");
    if (!switches->no_adopt_hold)
        scenario_check_world(w, "adopted");
    (void)world_free(w);
    return kept;
}

int main(void)
{
    struct decide_switches off = {.no_adopt_hold = true};

    scenario_rule("S10", &off, holds);
    return scenario_end();
}
