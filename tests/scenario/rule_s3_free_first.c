/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* S3: nothing is granted before it is free. The memory is at a guest whose devices are slow. */

static bool holds(const struct decide_switches *switches)
{
    struct world_config wc = setup_host(3 * GIB, 2 * SETUP_OVERHEAD_KIB, 1);
    struct guest_config config = setup_guest_config(256 * MIB, 2 * GIB);
    struct model_config slow = scenario_idle(2 * GIB, 2 * GIB);
    struct model_config grower = scenario_grower(2 * GIB, GIB, 800 * MIB, 1400 * MIB, 5 * SEC, 20 * MIB);

    wc.policy.switches = *switches;
    slow.kind = MODEL_SLOW;
    struct world *w = world_new(&wc);
    (void)world_add(w, "grower", &config, &grower);
    (void)world_add(w, "slow", &config, &slow);
    world_start(w);
    world_run(w, 2 * MIN);
    world_report(w, stdout, "free first");
    bool ok = !world_broken(w, WORLD_S3);
    if (!switches->no_free_first) {
        scenario_check_world(w, "free first");
        (void)scenario_check(world_model(w, 0)->anon_kib == 1400 * MIB, "the guest that needs it did not get it");
    }
    (void)world_free(w);
    return ok;
}

int main(void)
{
    struct decide_switches off = {.no_free_first = true};

    scenario_rule("S3", &off, holds);
    return scenario_end();
}
