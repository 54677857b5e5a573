/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* S4: one stuck guest, one silent monitor never delays the others. The guest with most to give does not move (or does not
 * even answer); another one could give, too, and would rather keep (lazy). The guest in need is fed from there. */

static bool run(const struct decide_switches *switches, enum model_kind kind)
{
    struct world_config wc = setup_host(4 * GIB, 3 * SETUP_OVERHEAD_KIB, 1);
    struct guest_config config = setup_guest_config(256 * MIB, 2 * GIB);
    struct model_config grower = scenario_grower(2 * GIB, 800 * MIB, 600 * MIB, 1500 * MIB, 60 * SEC, 15 * MIB);
    struct model_config stuck = scenario_idle(2 * GIB, 1900 * MIB);
    struct model_config gives = scenario_idle(2 * GIB, 1300 * MIB);

    wc.policy.switches = *switches;
    stuck.kind = kind;
    stuck.happens_usec = 50 * SEC;
    struct world *w = world_new(&wc);
    (void)world_add(w, "grower", &config, &grower);
    config.reclaim = GUEST_RECLAIM_LAZY;
    (void)world_add(w, "gives", &config, &gives);
    (void)world_add(w, "stuck", &config, &stuck);
    world_start(w);
    world_run(w, 3 * MIN);
    world_report(w, stdout, kind == MODEL_STUCK ? "stuck" : "silent monitor");
    const struct model *m = world_model(w, 0);
    bool fed = m->anon_kib == 1500 * MIB && m->killed == 0 && m->stalled_usec < SEC;
    if (!switches->no_stuck)
        scenario_check_world(w, "stuck");
    (void)world_free(w);
    return fed;
}

static bool stuck_guest(const struct decide_switches *switches)
{
    return run(switches, MODEL_STUCK);
}

static bool silent_monitor(const struct decide_switches *switches)
{
    return run(switches, MODEL_MUTE);
}

int main(void)
{
    struct decide_switches off = {.no_stuck = true}, none = {0};

    scenario_rule("S4, stuck guest", &off, stuck_guest);
    (void)scenario_check(silent_monitor(&none), "S4: a silent monitor kept another guest waiting");
    return scenario_end();
}
