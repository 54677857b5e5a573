/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <inttypes.h>

/* 500 MiB at 300 MiB/s in a guest with an agent, on a host whose memory is at another guest: fed within 1.5 s of its
 * first line about it, without a stall, and all programs have what they want when they would have it on a machine of
 * their own. */

#define FED_USEC (1500 * WORLD_MSEC)
#define TAKES_USEC (1670 * WORLD_MSEC) /* 500 MiB at 300 MiB/s */

struct seen {
    uint64_t orders, needs_kib;
    uint64_t first_usec; /* first grant of the burst */
    uint64_t fed_usec;   /* it has what the burst needs in the end */
};

static void stepped(struct world *w, void *user)
{
    struct seen *s = user;

    if (!s->first_usec && world_guest(w, 0)->ups > 0)
        s->first_usec = world_now(w);
    if (!s->fed_usec && model_assigned_kib(world_model(w, 0)) >= s->needs_kib)
        s->fed_usec = world_now(w);
}

static void run(uint64_t seed)
{
    struct world *w = setup_burst(seed);
    struct seen seen = {0};

    world_run(w, seed * 170 * WORLD_MSEC); /* bursts come at any moment between two ticks */
    world_start(w);
    world_run(w, SETUP_BURST_USEC - world_now(w));
    world_tally(w);
    seen.needs_kib = model_need_kib(world_model(w, 0)) + SETUP_BURST_KIB;
    (void)scenario_check(model_available_kib(world_model(w, 0)) < SETUP_BURST_KIB / 2, "the burst has memory anyway");
    world_watch(w, stepped, &seen);
    world_run(w, TAKES_USEC + 50 * WORLD_MSEC);
    (void)scenario_check(world_model(w, 0)->anon_kib == 900 * MIB, "its programs are late");
    world_run(w, 10 * SEC);
    world_report(w, stdout, "burst of 500 MiB at 300 MiB/s");
    (void)printf("fed %" PRIu64 " ms after the first grant\n", (seen.fed_usec - seen.first_usec) / WORLD_MSEC);
    (void)scenario_check(seen.fed_usec && seen.fed_usec - seen.first_usec <= FED_USEC, "not fed within 1.5 s");
    (void)scenario_check(world_stalled_usec(w) == 0, "stalled for %" PRIu64 " us", world_stalled_usec(w));
    scenario_check_world(w, "burst");
    (void)world_free(w);
}

int main(void)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
        run(seed);
    return scenario_end();
}
