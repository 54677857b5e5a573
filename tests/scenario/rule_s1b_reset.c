/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* S1b: after a reset a guest counts as all it booted with, whatever its balloon's register says, until its driver
 * reports: nobody is granted memory that it may touch. And when all guests of a full host reset at once, nobody is
 * killed and nothing is granted that is not there. */

static bool one_resets(const struct decide_switches *switches)
{
    struct world_config wc = setup_host(5 * GIB / 2, 2 * SETUP_OVERHEAD_KIB, 1);
    struct guest_config config = setup_guest_config(256 * MIB, 2 * GIB);
    struct model_config resets = scenario_idle(2 * GIB, 512 * MIB);
    struct model_config grower = scenario_grower(2 * GIB, 700 * MIB, 400 * MIB, 1200 * MIB, 61 * SEC, 200 * MIB);

    wc.policy.switches = *switches;
    resets.kind = MODEL_REBOOTING;
    resets.happens_usec = MIN;
    struct world *w = world_new(&wc);
    (void)world_add(w, "grower", &config, &grower);
    (void)world_add(w, "resets", &config, &resets);
    world_start(w);
    world_run(w, 2 * MIN);
    world_report(w, stdout, "one resets while another grows");
    bool ok = !world_broken(w, WORLD_S3);
    (void)world_free(w);
    return ok;
}

static void all_reset(void)
{
    struct world_config wc = setup_host(3 * GIB, 6 * SETUP_OVERHEAD_KIB, 1);
    struct world *w = world_new(&wc);
    char name[16];

    for (int i = 0; i < 6; i++) {
        struct guest_config config = setup_guest_config(192 * MIB, GIB);
        struct model_config m = scenario_grower(GIB, 500 * MIB, 250 * MIB, 250 * MIB, 0, 100 * MIB);
        m.agent = i % 2;
        m.kind = MODEL_REBOOTING;
        m.happens_usec = 2 * MIN;
        (void)snprintf(name, sizeof(name), "guest%d", i);
        (void)world_add(w, name, &config, &m);
    }
    world_start(w);
    world_run(w, 2 * MIN + SEC);
    uint64_t orders = 0;
    world_tally(w);
    world_run(w, 4 * SEC); /* all boot */
    for (size_t i = 0; i < world_count(w); i++)
        orders += world_guest(w, i)->ups;
    (void)scenario_check(orders == 0, "grants while all guests boot");
    (void)scenario_check(world_assigned_kib(w) > world_capacity_kib(w), "they do not own more than there is");
    world_run(w, 2 * MIN);
    world_report(w, stdout, "all reset at once");
    (void)scenario_check(world_killed(w) == 0, "a program was killed");
    (void)scenario_check(world_assigned_kib(w) <= world_capacity_kib(w), "two minutes later they still hold more than there is");
    scenario_check_world(w, "all reset");
    (void)world_free(w);
}

int main(void)
{
    struct decide_switches off = {.no_reset_count = true};

    scenario_rule("S1b", &off, one_resets);
    all_reset();
    return scenario_end();
}
