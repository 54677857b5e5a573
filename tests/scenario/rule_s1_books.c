/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* S1: our own commands never let guests hold more than the host has for them. One guest has most of the host, touches
 * little of it and is stuck: the host looks empty. The other asks for more than the books have left. */

static bool holds(const struct decide_switches *switches)
{
    struct world_config wc = setup_host(3 * GIB, 2 * SETUP_OVERHEAD_KIB, 1);
    struct guest_config config = setup_guest_config(256 * MIB, 2 * GIB);
    struct model_config stuck = scenario_idle(2 * GIB, 2 * GIB);
    struct model_config grower = scenario_grower(2 * GIB, 700 * MIB, 400 * MIB, 1500 * MIB, 20 * SEC, 50 * MIB);

    wc.policy.switches = *switches;
    stuck.kind = MODEL_STUCK;
    stuck.load.file_kib = stuck.load.hot_kib;
    struct world *w = world_new(&wc);
    (void)world_add(w, "grower", &config, &grower);
    (void)world_add(w, "stuck", &config, &stuck);
    world_start(w);
    world_run(w, 2 * MIN);
    world_report(w, stdout, "books");
    bool ok = !world_broken(w, WORLD_S1);
    if (!switches->no_books)
        scenario_check_world(w, "books");
    (void)world_free(w);
    return ok;
}

int main(void)
{
    struct decide_switches off = {.no_books = true};

    scenario_rule("S1", &off, holds);
    return scenario_end();
}
