/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <inttypes.h>

/* S5: what a guest says moves only its own target, and not beyond what it was seen to touch. A liar says that all it is
 * given is in use (with an agent: and that it stalls without end) and touches next to nothing: it stays within
 * bound = max(what it had, minimum, startup, 1.5 x touched, touched + 64 MiB). Its honest neighbour is not bothered. */

static bool run(const struct decide_switches *switches, bool agent, enum model_kind kind)
{
    struct world_config wc = setup_host(8 * GIB, 2 * SETUP_OVERHEAD_KIB, 1);
    struct guest_config config = setup_guest_config(256 * MIB, 4 * GIB);
    struct model_config liar = scenario_idle(4 * GIB, 512 * MIB);
    struct model_config honest = scenario_grower(4 * GIB, GIB, 700 * MIB, 700 * MIB, 0, 100 * MIB);

    wc.policy.switches = *switches;
    config.startup_kib = 512 * MIB;
    liar.kind = kind;
    liar.agent = agent;
    liar.load.file_kib = liar.load.hot_kib; /* nothing fills what it is given */
    struct world *w = world_new(&wc);
    size_t i = world_add(w, "liar", &config, &liar);
    config.startup_kib = GIB;
    size_t j = world_add(w, "honest", &config, &honest);
    world_start(w);
    bool within = true;
    for (int minute = 0; minute < 30; minute++) {
        world_run(w, MIN);
        const struct model *m = world_model(w, i);
        uint64_t bound = config.startup_kib / 2;
        if (bound < m->touched_kib * 3 / 2)
            bound = m->touched_kib * 3 / 2;
        if (bound < m->touched_kib + 64 * MIB)
            bound = m->touched_kib + 64 * MIB;
        within = within && model_assigned_kib(m) <= bound + 2 * MIB;
    }
    world_report(w, stdout, agent ? "liar with agent" : "liar with statistics");
    const struct model *h = world_model(w, j);
    bool left_alone = model_available_kib(h) > 60 * MIB && h->killed == 0 && h->stalled_usec < SEC;
    bool ok = within && left_alone && !world_broken_any(w);
    if (!ok)
        (void)printf("within bound: %d, honest neighbour left alone: %d %s\n", within, left_alone, world_first_breach(w));
    (void)world_free(w);
    return ok;
}

static bool claims_with_agent(const struct decide_switches *switches)
{
    return run(switches, true, MODEL_LYING_USE);
}

static bool claims_with_statistics(const struct decide_switches *switches)
{
    return run(switches, false, MODEL_LYING_USE);
}

int main(void)
{
    struct decide_switches off = {.no_bound = true};

    scenario_rule("S5, agent", &off, claims_with_agent);
    scenario_rule("S5, statistics", &off, claims_with_statistics);
    return scenario_end();
}
