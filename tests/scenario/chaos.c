/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <inttypes.h>
#include <stdlib.h>

/* Hosts put together at random: guests of all kinds, loads, devices and settings, liars included, ballastd restarted in
 * between. Whatever happens, S1, S2 and S3 hold after every step, and the same seed gives the same run. Arguments: number
 * of hosts, first seed. */

#define HOSTS_DEFAULT 150
#define GUESTS_MAX 10

static struct load_config random_load(struct chance *c, uint64_t most_kib)
{
    struct load_config l = {
        .kind = (enum load_kind)chance_between(c, 0, LOAD_KIND_COUNT - 1),
        .base_kib = chance_between(c, 20 * MIB, most_kib / 3),
        .rate_kib_s = chance_between(c, 5 * MIB, 500 * MIB),
        .period_usec = chance_between(c, 5 * SEC, MIN),
        .file_kib = chance_between(c, 50 * MIB, 4 * GIB),
        .read_kib_s = chance_between(c, 0, 100 * MIB),
        .hot_kib = chance_between(c, 10 * MIB, 40 * MIB),
        .hot_kib_s = chance_between(c, 10 * MIB, 400 * MIB),
        .active_permille = (uint32_t)chance_between(c, 100, 1000),
        .n_steps = 3,
    };
    if (l.kind == LOAD_FILES)
        l.hot_kib = chance_between(c, 100 * MIB, most_kib / 2);
    l.peak_kib = l.base_kib + chance_between(c, 10 * MIB, most_kib / 2);
    for (size_t i = 0; i < l.n_steps; i++)
        l.steps[i] = (struct load_step){i * 40 * SEC, chance_between(c, 20 * MIB, most_kib), l.rate_kib_s};
    return l;
}

static void add_random(struct world *w, struct chance *c, size_t i, uint64_t share_kib)
{
    uint64_t boot = chance_between(c, 1, 16) * 256 * MIB, most;
    struct guest_config config = setup_guest_config(chance_between(c, 0, 1) ? 128 * MIB : 0, 0);
    struct model_config m = {
        .kind = chance_between(c, 0, 2) ? MODEL_IDEAL : (enum model_kind)chance_between(c, 0, MODEL_KIND_COUNT - 1),
        .boot_kib = boot,
        .block_kib = 2 * MIB * chance_between(c, 0, 1),
        .swap_kib = chance_between(c, 0, 1) * chance_between(c, 64 * MIB, GIB),
        .overhead_kib = SETUP_OVERHEAD_KIB,
        .limit_kib = boot / 2,
        .happens_usec = chance_between(c, 20 * SEC, 2 * MIN),
        .again_usec = chance_between(c, 0, 1) * 30 * SEC,
        .deflate_on_oom = chance_between(c, 0, 1),
        .agent = chance_between(c, 0, 1),
        .stays_offline = chance_between(c, 0, 9) == 0,
        .speed = chance_between(c, 0, 1) ? model_speed_hardware : model_speed_emulation,
    };
    char name[32];

    m.pluggable_kib = m.block_kib ? chance_between(c, 1, 8) * 256 * MIB : 0;
    m.balloon_target_kib = boot < share_kib ? boot : share_kib;
    most = boot + m.pluggable_kib;
    m.load = random_load(c, most);
    config.maximum_kib = chance_between(c, 0, 1) ? chance_between(c, boot / 2, most) : 0;
    if (config.maximum_kib && config.maximum_kib < m.balloon_target_kib)
        config.maximum_kib = m.balloon_target_kib;
    config.priority = (uint32_t)chance_between(c, 1, 10000);
    config.reclaim = chance_between(c, 0, 1) ? GUEST_RECLAIM_LAZY : GUEST_RECLAIM_EAGER;
    config.band = chance_between(c, 0, 3) == 0;
    if (chance_between(c, 0, 7) == 0)
        config.mode = (enum guest_mode)chance_between(c, 0, GUEST_MODE_COUNT - 1);
    (void)snprintf(name, sizeof(name), "guest%02zu", i);
    (void)world_add(w, name, &config, &m);
}

static uint64_t run(uint64_t seed, bool tell)
{
    struct chance c;

    chance_seed(&c, seed);
    size_t n = chance_between(&c, 1, GUESTS_MAX);
    uint64_t share = chance_between(&c, 256 * MIB, GIB);
    struct world_config wc = setup_host(n * share * chance_between(&c, 100, 200) / 100, n * SETUP_OVERHEAD_KIB, seed);
    struct world *w = world_new(&wc);
    for (size_t i = 0; i < n; i++)
        add_random(w, &c, i, share);
    world_start(w);
    if (tell && getenv("SCENARIO_TRACE"))
        world_trace(w, stdout);
    world_run(w, chance_between(&c, 10, 60) * SEC);
    world_stop(w);
    world_run(w, 2 * SEC);
    world_start(w);
    world_run(w, 2 * MIN);
    uint64_t hash = world_hash(w);
    /* WORLD_HOST is not our doing: guests take what they can reach (deflate-on-oom, reset) and the ladder answers */
    uint64_t broken = world_broken(w, WORLD_S1) + world_broken(w, WORLD_S2) + world_broken(w, WORLD_S3);
    if (tell && !scenario_check(broken == 0, "seed %" PRIu64 ": %s", seed, world_first_breach(w)))
        world_report(w, stdout, "chaos");
    (void)world_free(w);
    return hash;
}

int main(int argc, char **argv)
{
    uint64_t hosts = argc > 1 ? strtoull(argv[1], NULL, 10) : HOSTS_DEFAULT;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

    for (uint64_t seed = first; seed < first + hosts; seed++) {
        uint64_t hash = run(seed, /* tell= */ true);
        if (seed % 10 == 0)
            (void)scenario_check(run(seed, /* tell= */ false) == hash, "seed %" PRIu64 " gave another run", seed);
    }
    return scenario_end();
}
