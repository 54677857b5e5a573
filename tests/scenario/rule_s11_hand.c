/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

/* S11: another program moves the balloon of a guest, below what ballast would give it: from then on that guest is left to
 * it, until the operator takes the lever back. */

#define LEAST_KIB (1700 * MIB)
#define OTHERS_KIB (1200 * MIB)

static struct world *host_of(const struct decide_switches *switches)
{
    struct world_config wc = setup_host(4 * GIB, 2 * SETUP_OVERHEAD_KIB, 1);
    struct guest_config config = setup_guest_config(LEAST_KIB, 2 * GIB);
    struct model_config mine = scenario_idle(2 * GIB, 1800 * MIB), other = scenario_idle(2 * GIB, 1800 * MIB);

    wc.policy.switches = *switches;
    other.balloon_target_kib = mine.balloon_target_kib = 1800 * MIB;
    config.reclaim = GUEST_RECLAIM_LAZY; /* ballast has no reason of its own to move them */
    struct world *w = world_new(&wc);
    (void)world_add(w, "mine", &config, &mine);
    (void)world_add(w, "theirs", &config, &other);
    world_start(w);
    world_run(w, 40 * SEC);
    return w;
}

static bool is_taken(const struct world *w)
{
    return world_engine_guest((struct world *)w, 1)->core.verdict.flags & GUEST_FLAG_FOREIGN_HAND;
}

static bool left_to_the_other(const struct decide_switches *switches)
{
    struct world *w = host_of(switches);

    model_set_balloon(world_model(w, 1), OTHERS_KIB); /* ballast may answer before the memory is seen to leave */
    world_run(w, 20 * SEC);
    world_tally(w);
    model_set_balloon(world_model(w, 1), OTHERS_KIB);
    world_run(w, MIN);
    world_report(w, stdout, "another hand");
    bool left = world_guest(w, 1)->orders == 0 && world_model(w, 1)->actual_kib == OTHERS_KIB;
    if (!switches->no_foreign_hand) {
        (void)scenario_check(is_taken(w), "nobody is told");
        (void)scenario_check(!engine_take_back(world_engine(w), "mine", world_now(w)), "a lever was taken back from nobody");
        (void)scenario_check(engine_take_back(world_engine(w), "theirs", world_now(w)), "the lever can't be taken back");
        world_run(w, 20 * SEC);
        (void)scenario_check(!is_taken(w) && world_model(w, 1)->actual_kib >= LEAST_KIB, "it is not balanced again");
        scenario_check_world(w, "another hand");
    }
    (void)world_free(w);
    return left;
}

/* What is none: a rise, a reset, a register that is written without memory leaving, wobbling below the dead zone. */
static void no_foreign_hand(const char *what, void (*happens)(struct model *m))
{
    struct decide_switches none = {0};
    struct world *w = host_of(&none);

    happens(world_model(w, 1));
    world_run(w, 30 * SEC);
    (void)scenario_check(!is_taken(w), "%s was taken for a foreign hand", what);
    (void)world_free(w);
}

static void rises(struct model *m)
{
    model_set_balloon(m, 2 * GIB);
}

static void wobbles(struct model *m)
{
    model_set_balloon(m, m->actual_kib - 12 * MIB);
}

int main(void)
{
    struct decide_switches off = {.no_foreign_hand = true};

    scenario_rule("S11", &off, left_to_the_other);
    no_foreign_hand("a rise", rises);
    no_foreign_hand("a wobble", wobbles);
    return scenario_end();
}
