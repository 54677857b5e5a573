/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* S2: minimum <= target <= max(maximum, lower), also while every message is a lie. One guest needs more than its
 * maximum, two talk nonsense (agent and statistics), one idles far below its minimum. */

static bool holds(const struct decide_switches *switches)
{
    struct world_config wc = setup_host(12 * GIB, 4 * SETUP_OVERHEAD_KIB, 7);
    struct guest_config config = setup_guest_config(512 * MIB, GIB);
    struct model_config wants = scenario_grower(2 * GIB, 800 * MIB, 400 * MIB, 850 * MIB, 20 * SEC, 20 * MIB);
    struct model_config idle = scenario_idle(2 * GIB, GIB);
    struct model_config nonsense = scenario_idle(2 * GIB, GIB);

    wc.policy.switches = *switches;
    nonsense.kind = MODEL_LYING_NONSENSE;
    struct world *w = world_new(&wc);
    (void)world_add(w, "a-wants", &config, &wants);
    (void)world_add(w, "b-idle", &config, &idle);
    (void)world_add(w, "c-nonsense", &config, &nonsense);
    nonsense.agent = false;
    (void)world_add(w, "d-nonsense", &config, &nonsense);
    world_start(w);
    world_run(w, 10 * MIN);
    world_report(w, stdout, "limits");
    bool ok = !world_broken(w, WORLD_S2);
    if (!switches->no_clamp) {
        scenario_check_world(w, "limits");
        (void)scenario_check(world_guest(w, 0)->most_kib <= GIB, "the guest got more than its maximum");
        (void)scenario_check(model_assigned_kib(world_model(w, 1)) >= 512 * MIB, "the idle one is below its minimum");
    }
    (void)world_free(w);
    return ok;
}

int main(void)
{
    struct decide_switches off = {.no_clamp = true};

    scenario_rule("S2", &off, holds);
    return scenario_end();
}
