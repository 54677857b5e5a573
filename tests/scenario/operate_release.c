/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "scenario.h"

/* `ballast pause` and `ballast release --all`: a guest on hold keeps its size whatever it and others need; released ones get
 * back all they booted with where the host has it, and never what it has not. */

static void a_guest_on_hold_keeps_its_size(void)
{
    struct world_config wc = setup_host(4 * GIB, 2 * SETUP_OVERHEAD_KIB, 1);
    struct guest_config config = setup_guest_config(256 * MIB, 2 * GIB);
    struct model_config grows = scenario_grower(2 * GIB, 600 * MIB, 400 * MIB, 1100 * MIB, MIN, 100 * MIB);
    struct model_config idle = scenario_idle(2 * GIB, 2 * GIB);
    struct world *w = world_new(&wc);

    (void)world_add(w, "grows", &config, &grows);
    (void)world_add(w, "idle", &config, &idle);
    world_start(w);
    world_run(w, 5 * SEC);
    world_hold(w, 0, GUEST_HOLD_KEEP);
    world_run(w, 25 * SEC);
    uint64_t had = model_assigned_kib(world_model(w, 0));
    world_tally(w);
    world_run(w, 2 * MIN);
    (void)scenario_check(world_guest(w, 0)->orders == 0, "a guest on hold was moved");
    (void)scenario_check(model_assigned_kib(world_model(w, 0)) == had, "a guest on hold has another size");
    (void)scenario_check(world_guest(w, 1)->orders > 0, "the other one is moved as ever");
    (void)scenario_check(world_engine_guest(w, 0)->core.view.time_usec + 5 * SEC > world_host(w)->seen.time_usec,
                         "it is not sampled on");
    world_hold(w, 0, GUEST_HOLD_NO);
    world_run(w, MIN);
    (void)scenario_check(model_assigned_kib(world_model(w, 0)) > had, "it is not moved again");
    scenario_check_world(w, "on hold");
    (void)world_free(w);
}

static void release(uint64_t capacity_kib, bool all_fits)
{
    struct world_config wc = setup_host(capacity_kib, 3 * SETUP_OVERHEAD_KIB, 1);
    struct guest_config config = setup_guest_config(256 * MIB, GIB);
    struct model_config idle = scenario_idle(GIB, 500 * MIB);
    struct world *w = world_new(&wc);

    (void)world_add(w, "a", &config, &idle);
    (void)world_add(w, "b", &config, &idle);
    config.maximum_kib = 768 * MIB; /* less than it boots with: it was so before ballast came, too */
    (void)world_add(w, "c", &config, &idle);
    world_start(w);
    world_run(w, 30 * SEC);
    for (size_t i = 0; i < 3; i++)
        world_hold(w, i, GUEST_HOLD_RELEASE);
    world_tally(w);
    world_run(w, MIN);
    world_report(w, stdout, all_fits ? "released" : "released as far as there is");
    for (size_t i = 0; i < 3; i++) {
        (void)scenario_check(world_guest(w, i)->downs == 0, "something was taken from guest %zu", i);
        (void)scenario_check(!all_fits || model_assigned_kib(world_model(w, i)) == GIB, "guest %zu has not all of it", i);
    }
    (void)scenario_check(world_assigned_kib(w) <= world_capacity_kib(w), "they have more than there is");
    (void)scenario_check(world_assigned_kib(w) + 16 * MIB >= (all_fits ? 3 * GIB : (uint64_t)world_host(w)->capacity_kib),
                         "they have %" PRIu64 " MiB only", world_assigned_kib(w) / MIB);
    scenario_check_world(w, "release");
    (void)world_free(w);
}

int main(void)
{
    a_guest_on_hold_keeps_its_size();
    release(4 * GIB, true);
    release(2 * GIB, false);
    return scenario_end();
}
