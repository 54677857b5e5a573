/* SPDX-License-Identifier: Apache-2.0 */
#include "setup.h"

#include <string.h>

#include "policy_defaults.h"

#define MIB WORLD_MIB
#define GIB WORLD_GIB

struct guest_config setup_guest_config(uint64_t minimum_kib, uint64_t maximum_kib)
{
    return (struct guest_config){
        .minimum_kib = minimum_kib,
        .maximum_kib = maximum_kib,
        .buffer = POLICY_BUFFER_DEFAULT,
        .priority = POLICY_PRIORITY_DEFAULT,
        .tax_ppm = POLICY_TAX_PPM_DEFAULT,
        .buffer_of = BUFFER_OF_DEMAND,
        .demand = DEMAND_USED,
        .mode = GUEST_MODE_AUTO,
        .reclaim = GUEST_RECLAIM_EAGER,
    };
}

struct world_config setup_host(uint64_t capacity_kib, uint64_t overheads_kib, uint64_t seed)
{
    uint64_t rest = capacity_kib + overheads_kib;
    uint64_t reserve = rest * POLICY_RESERVE_PERCENT / (100 - POLICY_RESERVE_PERCENT);

    if (reserve < POLICY_RESERVE_MIN_KIB)
        reserve = POLICY_RESERVE_MIN_KIB;
    return (struct world_config){
        .host = {.total_kib = rest + reserve, .other_kib = 200 * MIB},
        .policy = {.reserve_kib = reserve, .overcommit_permille = 1000},
        .seed = seed,
    };
}

/* ---- the mix ---- */

struct kind_of_guest {
    const char *name;
    uint64_t maximum_kib, minimum_kib;
    struct load_config load;
};

static const struct kind_of_guest kinds[] = {
    {"idle", GIB, 128 * MIB,
     {.kind = LOAD_IDLE, .base_kib = 80 * MIB, .rate_kib_s = 100 * MIB, .file_kib = 400 * MIB, .read_kib_s = MIB,
      .hot_kib = 24 * MIB, .hot_kib_s = 20 * MIB}},
    {"web", 3 * GIB, 256 * MIB,
     {.kind = LOAD_WEB, .base_kib = 300 * MIB, .peak_kib = 1100 * MIB, .rate_kib_s = 150 * MIB, .period_usec = 60 * WORLD_SEC,
      .file_kib = 1200 * MIB, .read_kib_s = 10 * MIB, .hot_kib = 150 * MIB, .hot_kib_s = 200 * MIB}},
    {"files", 4 * GIB, 256 * MIB,
     {.kind = LOAD_FILES, .base_kib = 80 * MIB, .rate_kib_s = 100 * MIB, .file_kib = 6 * GIB, .read_kib_s = 60 * MIB,
      .hot_kib = 800 * MIB, .hot_kib_s = 400 * MIB}},
    {"database", 4 * GIB, 512 * MIB,
     {.kind = LOAD_DATABASE, .base_kib = 300 * MIB, .peak_kib = 3600 * MIB, .rate_kib_s = 60 * MIB, .file_kib = 4 * GIB,
      .read_kib_s = 20 * MIB, .hot_kib = 60 * MIB, .hot_kib_s = 100 * MIB}},
    {"sawtooth", 3 * GIB, 256 * MIB,
     {.kind = LOAD_SAWTOOTH, .base_kib = 100 * MIB, .peak_kib = 1200 * MIB, .rate_kib_s = 500 * MIB,
      .period_usec = 90 * WORLD_SEC, .file_kib = 500 * MIB, .read_kib_s = 5 * MIB, .hot_kib = 40 * MIB, .hot_kib_s = 80 * MIB}},
    {"batch", 3 * GIB, 256 * MIB,
     {.kind = LOAD_BATCH, .base_kib = 100 * MIB, .peak_kib = 1400 * MIB, .rate_kib_s = 300 * MIB,
      .period_usec = 8 * WORLD_MIN, .file_kib = 3 * GIB, .read_kib_s = 80 * MIB, .hot_kib = 40 * MIB, .hot_kib_s = 80 * MIB}},
    {"leak", 2 * GIB, 256 * MIB,
     {.kind = LOAD_LEAK, .base_kib = 150 * MIB, .peak_kib = 1500 * MIB, .rate_kib_s = 3 * MIB / 2, .file_kib = 500 * MIB,
      .read_kib_s = 5 * MIB, .hot_kib = 60 * MIB, .hot_kib_s = 80 * MIB}},
};

enum { IDLE, WEB, FILES, DATABASE, SAWTOOTH, BATCH, LEAK };

/* The order spreads agent, swap and plugging over the kinds. */
static const int mix[SETUP_MIX_GUESTS] = {WEB, SAWTOOTH, IDLE, FILES, DATABASE, WEB, BATCH, SAWTOOTH, WEB, IDLE,
                                          LEAK, FILES, WEB, SAWTOOTH, IDLE, DATABASE, WEB, FILES, BATCH, IDLE};

/* Programs of one kind differ: sizes and speeds by a third either way, allocation from 300 to 800 MiB/s for sawteeth. */
static uint64_t vary(struct chance *c, uint64_t value)
{
    return chance_between(c, value - value / 4, value + value / 4);
}

static void vary_load(struct chance *c, struct load_config *l)
{
    l->base_kib = vary(c, l->base_kib);
    if (l->peak_kib)
        l->peak_kib = l->base_kib + vary(c, l->peak_kib) - l->peak_kib / 4;
    l->rate_kib_s = vary(c, l->rate_kib_s);
    l->period_usec = vary(c, l->period_usec);
    l->hot_kib = vary(c, l->hot_kib);
    l->active_permille = (uint32_t)chance_between(c, 500, 900);
    if (l->kind == LOAD_SAWTOOTH)
        l->rate_kib_s = chance_between(c, 300 * MIB, 800 * MIB);
}

static uint64_t mix_maximum_kib(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < SETUP_MIX_GUESTS; i++)
        sum += kinds[mix[i]].maximum_kib;
    return sum;
}

struct world *setup_mix(uint64_t overcommit_permille, uint64_t seed)
{
    uint64_t capacity = mix_maximum_kib() * 1000 / overcommit_permille;
    struct world_config wc = setup_host(capacity, SETUP_MIX_GUESTS * SETUP_OVERHEAD_KIB, seed);
    struct world *w = world_new(&wc);
    struct chance chance;

    chance_seed(&chance, seed);
    for (size_t i = 0; i < SETUP_MIX_GUESTS; i++) {
        const struct kind_of_guest *k = &kinds[mix[i]];
        struct guest_config config = setup_guest_config(k->minimum_kib, k->maximum_kib);
        struct model_config model = {.boot_kib = k->maximum_kib, .overhead_kib = SETUP_OVERHEAD_KIB, .load = k->load};
        char name[32];
        config.startup_kib = k->maximum_kib * 3 / 8;
        /* file servers have an agent: nothing else tells of files that were squeezed out */
        model.agent = k->load.kind == LOAD_FILES || (i % 5 < 3 && i != 2);
        model.swap_kib = i % 3 == 0 ? 512 * MIB : 0;
        model.balloon_target_kib = config.startup_kib;
        if (i % 2) { /* boots with half, the rest can be plugged */
            model.boot_kib = k->maximum_kib / 2;
            model.pluggable_kib = k->maximum_kib - model.boot_kib;
            model.block_kib = 2 * MIB;
        }
        vary_load(&chance, &model.load);
        (void)snprintf(name, sizeof(name), "%02zu-%s", i, k->name);
        (void)world_add(w, name, &config, &model);
    }
    return w;
}

/* ---- the others ---- */

struct world *setup_file_server(bool agent, uint64_t seed)
{
    struct world_config wc = setup_host(8 * GIB, SETUP_OVERHEAD_KIB, seed);
    struct world *w = world_new(&wc);
    struct guest_config config = setup_guest_config(512 * MIB, 4 * GIB);
    struct model_config model = {
        .boot_kib = 4 * GIB, .balloon_target_kib = 2 * GIB, .agent = agent, .overhead_kib = SETUP_OVERHEAD_KIB,
        .load = {.kind = LOAD_FILES, .base_kib = 100 * MIB, .rate_kib_s = 100 * MIB, .file_kib = 20 * GIB,
                 .read_kib_s = 30 * MIB, .hot_kib = 1536 * MIB, .hot_kib_s = 400 * MIB}};

    config.startup_kib = 2 * GIB;
    (void)world_add(w, "files", &config, &model);
    return w;
}

struct world *setup_step(bool agent, bool plug, bool deflate_on_oom, uint64_t seed)
{
    struct world_config wc = setup_host(8 * GIB, SETUP_OVERHEAD_KIB, seed);
    struct world *w = world_new(&wc);
    struct guest_config config = setup_guest_config(256 * MIB, 4 * GIB);
    struct model_config model = {
        .boot_kib = plug ? GIB : 4 * GIB, .pluggable_kib = plug ? 3 * GIB : 0, .block_kib = plug ? 2 * MIB : 0,
        .balloon_target_kib = GIB, .agent = agent, .deflate_on_oom = deflate_on_oom, .overhead_kib = SETUP_OVERHEAD_KIB,
        .load = {.kind = LOAD_SCRIPT, .base_kib = 500 * MIB, .file_kib = GIB, .read_kib_s = 10 * MIB, .hot_kib = 60 * MIB,
                 .hot_kib_s = 60 * MIB, .n_steps = 2,
                 .steps = {{0, 500 * MIB, 100 * MIB}, {SETUP_STEP_USEC, 500 * MIB + SETUP_STEP_KIB, 200 * MIB}}}};

    config.startup_kib = GIB;
    (void)world_add(w, "step", &config, &model);
    return w;
}

struct world *setup_burst(uint64_t seed)
{
    struct world_config wc = setup_host(5 * GIB / 2, 2 * SETUP_OVERHEAD_KIB, seed);
    struct world *w = world_new(&wc);
    struct guest_config config = setup_guest_config(256 * MIB, 2 * GIB);
    struct model_config model = {
        .boot_kib = 2 * GIB, .balloon_target_kib = 800 * MIB, .agent = true, .overhead_kib = SETUP_OVERHEAD_KIB,
        .load = {.kind = LOAD_SCRIPT, .base_kib = 400 * MIB, .file_kib = 300 * MIB, .read_kib_s = 10 * MIB,
                 .hot_kib = 40 * MIB, .hot_kib_s = 60 * MIB, .n_steps = 2,
                 .steps = {{0, 400 * MIB, 100 * MIB}, {SETUP_BURST_USEC, 400 * MIB + SETUP_BURST_KIB, 300 * MIB}}}};

    (void)world_add(w, "burst", &config, &model);
    config.reclaim = GUEST_RECLAIM_LAZY;
    model.balloon_target_kib = 1750 * MIB;
    model.load = (struct load_config){.kind = LOAD_IDLE, .base_kib = 300 * MIB, .rate_kib_s = 100 * MIB,
                                      .file_kib = 3 * GIB, .read_kib_s = 40 * MIB, .hot_kib = 40 * MIB, .hot_kib_s = 60 * MIB};
    (void)world_add(w, "holder", &config, &model);
    return w;
}

struct world *setup_named(const char *name, uint64_t seed)
{
    if (strcmp(name, "mix-1.5") == 0)
        return setup_mix(1500, seed);
    if (strcmp(name, "mix-2.5") == 0)
        return setup_mix(2500, seed);
    if (strcmp(name, "files") == 0)
        return setup_file_server(true, seed);
    if (strcmp(name, "files-statistics") == 0)
        return setup_file_server(false, seed);
    if (strcmp(name, "step") == 0)
        return setup_step(true, false, false, seed);
    if (strcmp(name, "burst") == 0)
        return setup_burst(seed);
    return NULL;
}
