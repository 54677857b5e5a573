/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#define SEC 1000000ULL
#define MIB 1024ULL

/* How often a database looks at what is available: buffer pools resize on a timer. */
#define DATABASE_THINK_USEC (SEC / 2)
/* Programs load their base at least this fast, also where they grow slowly later. */
#define START_KIB_S (64 * MIB)
/* Leaves 1/DATABASE_SPARE of what the machine has, gives back below half of that. */
#define DATABASE_SPARE 10

void load_init(struct load *l, const struct load_config *config, uint64_t seed, uint64_t now_usec)
{
    *l = (struct load){.config = *config, .goal_kib = config->base_kib};
    chance_seed(&l->chance, seed);
    /* rounds of different guests must not run in step */
    l->until_usec = now_usec + chance_between(&l->chance, 0, config->period_usec);
}

void load_restart(struct load *l, uint64_t now_usec, uint64_t wait_usec)
{
    l->up = false;
    l->goal_kib = l->config.base_kib;
    l->burst_kib = 0;
    l->down_usec = now_usec + wait_usec;
    l->until_usec = l->down_usec + chance_between(&l->chance, l->config.period_usec / 4, l->config.period_usec);
}

static uint64_t around(struct load *l, uint64_t value)
{
    return chance_between(&l->chance, value - value / 3, value + value / 3);
}

static void run_script(const struct load *l, uint64_t now_usec, struct load_want *want)
{
    for (size_t i = 0; i < l->config.n_steps; i++) {
        if (l->config.steps[i].at_usec > now_usec)
            break;
        want->anon_kib = l->config.steps[i].anon_kib;
        want->rate_kib_s = l->config.steps[i].rate_kib_s;
    }
}

static void run_web(struct load *l, uint64_t now_usec)
{
    const struct load_config *c = &l->config;
    uint64_t span = c->peak_kib - c->base_kib;

    if (now_usec >= l->until_usec) {
        l->goal_kib = c->base_kib + chance_between(&l->chance, 0, span * 3 / 5);
        l->until_usec = now_usec + around(l, c->period_usec);
    }
    if (now_usec >= l->burst_usec) {
        /* a burst of requests of 2..6 s, then some quiet time */
        bool burst = l->burst_kib == 0;
        l->burst_kib = burst ? chance_between(&l->chance, span / 10, span * 2 / 5) : 0;
        l->burst_usec = now_usec + (burst ? chance_between(&l->chance, 2 * SEC, 6 * SEC)
                                          : chance_between(&l->chance, 10 * SEC, 60 * SEC));
    }
}

static void run_database(struct load *l, const struct load_seen *seen, uint64_t now_usec)
{
    const struct load_config *c = &l->config;
    uint64_t spare = seen->total_kib / DATABASE_SPARE;

    if (now_usec < l->think_usec)
        return;
    l->think_usec = now_usec + DATABASE_THINK_USEC;
    l->goal_kib = seen->anon_kib;
    if (seen->available_kib > spare)
        l->goal_kib += seen->available_kib - spare;
    else if (seen->available_kib < spare / 2 && l->goal_kib > spare / 2 - seen->available_kib)
        l->goal_kib -= spare / 2 - seen->available_kib;
    if (l->goal_kib > c->peak_kib)
        l->goal_kib = c->peak_kib;
    if (l->goal_kib < c->base_kib)
        l->goal_kib = c->base_kib;
}

/* Rounds of up and down: hold and pause in parts of the period. */
static void run_rounds(struct load *l, const struct load_seen *seen, uint64_t now_usec)
{
    const struct load_config *c = &l->config;
    bool sawtooth = c->kind == LOAD_SAWTOOTH;

    if (now_usec < l->until_usec)
        return;
    if (!l->up) {
        uint64_t span = c->peak_kib - c->base_kib;
        l->up = true;
        l->goal_kib = c->base_kib + chance_between(&l->chance, span / 2, span);
        l->until_usec = now_usec + around(l, sawtooth ? c->period_usec / 4 : c->period_usec / 2);
        /* time to get there */
        l->until_usec += (l->goal_kib - c->base_kib) * SEC / (c->rate_kib_s ? c->rate_kib_s : 1);
        return;
    }
    if (seen->anon_kib + MIB < l->goal_kib)
        return; /* a job that waits for memory takes longer */
    l->up = false;
    l->goal_kib = c->base_kib;
    l->until_usec = now_usec + around(l, sawtooth ? c->period_usec * 3 / 4 : c->period_usec / 2);
}

static void run_leak(struct load *l, const struct load_seen *seen)
{
    if (l->up && seen->anon_kib >= l->config.peak_kib)
        l->up = false; /* restarted by its supervisor */
    else if (!l->up && seen->anon_kib <= l->config.base_kib)
        l->up = true;
    l->goal_kib = l->up ? l->config.peak_kib : l->config.base_kib;
}

void load_run(struct load *l, const struct load_seen *seen, uint64_t now_usec, struct load_want *ret)
{
    ret->rate_kib_s = l->config.rate_kib_s;
    ret->anon_kib = 0;
    if (now_usec < l->down_usec)
        return;
    switch (l->config.kind) {
    case LOAD_WEB:
        run_web(l, now_usec);
        break;
    case LOAD_DATABASE:
        run_database(l, seen, now_usec);
        break;
    case LOAD_SAWTOOTH:
    case LOAD_BATCH:
        run_rounds(l, seen, now_usec);
        break;
    case LOAD_LEAK:
        run_leak(l, seen);
        break;
    case LOAD_IDLE:
    case LOAD_SCRIPT:
    case LOAD_FILES:
    case LOAD_KIND_COUNT:
        break;
    }
    ret->anon_kib = l->goal_kib + l->burst_kib;
    if (seen->anon_kib < l->config.base_kib && ret->rate_kib_s < START_KIB_S)
        ret->rate_kib_s = START_KIB_S;
    if (l->config.kind == LOAD_SCRIPT)
        run_script(l, now_usec, ret);
}
