/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <inttypes.h>

/* A step of +400 MiB: memory follows within seconds and the target never overshoots: at most 1.25 x the ideal, which is
 * 1.2 x what the guest truly needs (before the step: then; from the step on: in the end). Wrong pairing of a sample with
 * today's size would make the loop run away here. */

#define OVERSHOOT_PERCENT 125
#define BUFFER_PERCENT 120
#define FED_USEC (10 * SEC)

struct seen {
    uint64_t most_before_kib, most_after_kib;
};

static void stepped(struct world *w, void *user)
{
    struct seen *s = user;
    const struct engine_guest *g = world_engine_guest(w, 0);
    uint64_t *most = world_now(w) < SETUP_STEP_USEC ? &s->most_before_kib : &s->most_after_kib;

    if (g && g->core.view.time_usec && g->core.verdict.target_kib > *most)
        *most = g->core.verdict.target_kib;
}

static void check(const char *when, uint64_t target_kib, uint64_t need_kib)
{
    uint64_t ideal = need_kib * BUFFER_PERCENT / 100;

    (void)printf("%s: most target %" PRIu64 " MiB, ideal %" PRIu64 " MiB\n", when, target_kib / MIB, ideal / MIB);
    (void)scenario_check(target_kib * 100 <= ideal * OVERSHOOT_PERCENT, "%s: target %" PRIu64 " MiB, ideal %" PRIu64, when,
                         target_kib / MIB, ideal / MIB);
}

static void run(bool agent, bool plug, bool deflate_on_oom)
{
    struct world *w = setup_step(agent, plug, deflate_on_oom, 1);
    struct seen seen = {0};

    (void)printf("-- %s, %s, deflate-on-oom %s\n", agent ? "agent" : "statistics", plug ? "virtio-mem" : "balloon",
                 deflate_on_oom ? "on" : "off");
    world_start(w);
    world_watch(w, stepped, &seen);
    world_run(w, SETUP_STEP_USEC);
    uint64_t before = model_need_kib(world_model(w, 0));
    world_run(w, FED_USEC);
    uint64_t after = model_need_kib(world_model(w, 0));
    (void)scenario_check(model_available_kib(world_model(w, 0)) > after / 10, "10 s after the step it is still short");
    world_run(w, 10 * MIN);
    after = after > model_need_kib(world_model(w, 0)) ? model_need_kib(world_model(w, 0)) : after;
    check("before", seen.most_before_kib, before);
    check("after", seen.most_after_kib, after);
    (void)scenario_check(world_killed(w) == 0, "a program was killed");
    scenario_check_world(w, "step");
    world_report(w, stdout, "step of 400 MiB");
    (void)world_free(w);
}

int main(void)
{
    for (int i = 0; i < 8; i++)
        run(i & 1, i & 2, i & 4);
    return scenario_end();
}
