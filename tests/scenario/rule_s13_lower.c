/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* S13: never the guest's undoing. A guest of the highest priority wants more than the others can spare: they give down to
 * what their own numbers support, and no further. Only their minimums, far below, would allow it. */

static bool holds(const struct decide_switches *switches)
{
    struct world_config wc = setup_host(3 * GIB, 3 * SETUP_OVERHEAD_KIB, 1);
    struct guest_config config = setup_guest_config(128 * MIB, 3 * GIB);
    struct model_config wants = scenario_grower(3 * GIB, GIB, 800 * MIB, 2500 * MIB, 30 * SEC, 30 * MIB);
    struct model_config humble = scenario_grower(2 * GIB, GIB, 700 * MIB, 700 * MIB, 0, 30 * MIB);
    bool ok = true;

    wc.policy.switches = *switches;
    wc.strict_lower = true;
    struct world *w = world_new(&wc);
    config.priority = 10000;
    (void)world_add(w, "wants", &config, &wants);
    config.priority = 1;
    (void)world_add(w, "humble-a", &config, &humble);
    humble.agent = false;
    (void)world_add(w, "humble-b", &config, &humble);
    world_start(w);
    world_run(w, 3 * MIN);
    world_report(w, stdout, "lower");
    ok = !world_broken(w, WORLD_S13) && world_model(w, 1)->killed == 0 && world_model(w, 2)->killed == 0;
    if (!switches->no_lower)
        scenario_check_world(w, "lower");
    (void)world_free(w);
    return ok;
}

int main(void)
{
    struct decide_switches off = {.no_lower = true};

    scenario_rule("S13", &off, holds);
    return scenario_end();
}
