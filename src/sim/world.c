/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "world_private.h"

#define KIB 1024ULL
#define HASH_START 14695981039346656037ULL
#define HASH_PRIME 1099511628211ULL
/* The state of all models goes into the hash this often. */
#define HASH_EVERY_USEC WORLD_SEC
/* Answers and polls of levers take up to this long together. */
#define CORRECTION_USEC (200 * WORLD_MSEC)

void world_die(const char *what)
{
    (void)fprintf(stderr, "simulator: %s\n", what);
    exit(1);
}

static void mix(struct world *w, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        w->hash ^= (value >> (8 * i)) & 0xff;
        w->hash *= HASH_PRIME;
    }
}

static void breach(struct world *w, enum world_rule rule, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void breach(struct world *w, enum world_rule rule, const char *format, ...)
{
    va_list args;

    /* the first of our own breaches says more than a host that ran out because guests took what they could reach */
    bool only_host = w->broken[WORLD_HOST] && w->broken[WORLD_HOST] == world_broken_any(w);
    w->broken[rule]++;
    if (w->first_breach[0] && (rule == WORLD_HOST || !only_host))
        return;
    int n = snprintf(w->first_breach, sizeof(w->first_breach), "at %" PRIu64 " ms: ", world_now(w) / WORLD_MSEC);
    va_start(args, format);
    (void)vsnprintf(w->first_breach + n, sizeof(w->first_breach) - (size_t)n, format, args);
    va_end(args);
}

static struct world_guest *guest_of(struct world *w, const struct hv_sim_vm *vm)
{
    return &w->guests[vm->order];
}

/* ---- what the engine asks of its surroundings ---- */

static void configure(void *user, const struct hv_vm *vm, struct guest_config *ret_config)
{
    *ret_config = guest_of(user, (const struct hv_sim_vm *)vm)->config;
}

static enum guest_hold hold_of(void *user, const struct hv_vm *vm)
{
    return guest_of(user, (const struct hv_sim_vm *)vm)->hold;
}

static int read_host(void *user, struct obs_host *ret_seen, struct err *e)
{
    struct world *w = user;

    (void)e;
    hv_sim_read_host(w->hv, ret_seen);
    return 0;
}

static void wake(void *user)
{
    struct world *w = user;

    w->due_usec = 0;
}

/* S2, from the verdict that stands behind the command. */
static void ordered(void *user, const struct engine_guest *g)
{
    struct world *w = user;
    const struct guest_verdict *v = &g->core.verdict;
    uint64_t most = g->core.hold == GUEST_HOLD_RELEASE ? guest_released_kib(&g->core) : guest_maximum_kib(&g->core);

    if (w->trace)
        world_trace_order(w, g);
    if (most < v->levels.lower_kib)
        most = v->levels.lower_kib;
    if (v->order == GUEST_ORDER_WITHDRAW && v->order_kib == guest_assigned_kib(&g->core))
        return; /* what it has: no move is asked for */
    if (v->order_kib < guest_minimum_kib(&g->core))
        breach(w, WORLD_S2, "guest '%s' ordered to %" PRIu64 " MiB, its minimum is %" PRIu64, g->vm->name,
               v->order_kib / WORLD_MIB, guest_minimum_kib(&g->core) / WORLD_MIB);
    /* on its way down from above (boot memory may exceed maximum) each step is one towards it */
    if (v->order_kib > most && v->order != GUEST_ORDER_SHRINK)
        breach(w, WORLD_S2, "guest '%s' ordered to %" PRIu64 " MiB, its maximum is %" PRIu64, g->vm->name,
               v->order_kib / WORLD_MIB, most / WORLD_MIB);
}

/* What it was told to have; virtio-mem moves in blocks, what is less than one stays out. */
static uint64_t commanded_kib(const struct world_guest *g)
{
    const struct model *m = &g->sim->model;
    uint64_t reach = m->balloon_target_kib + m->requested_kib;

    return !g->sim->command_usec && !g->sim->moving && reach < g->commanded_kib ? reach : g->commanded_kib;
}

/* What a guest counts as when memory is granted: what it was seen to have (a boot begun: all it can touch), what it
 * touches, and what was granted to it already. */
static uint64_t counts_kib(const struct world_guest *g)
{
    const struct hv_sim_vm *v = g->sim;
    uint64_t kib = v->told_kib;

    if (v->model.gone)
        return 0;
    if (!v->model.driver_up && v->resets_told == v->model.resets)
        kib = v->model.config.boot_kib;
    if (v->model.config.kind == MODEL_LYING_NONSENSE)
        return v->model.touched_kib; /* its register proves nothing, what the host sees does */
    if (kib < v->model.touched_kib && v->model.touched_kib <= model_assigned_kib(&v->model))
        kib = v->model.touched_kib;
    return g->growing && kib < commanded_kib(g) ? commanded_kib(g) : kib;
}

static void check_grant(struct world *w, const struct world_guest *g)
{
    uint64_t sum = 0, capacity = world_capacity_kib(w);

    for (size_t i = 0; i < w->n; i++) {
        if (!w->guests[i].sim->announced && !w->guests[i].sim->model.gone)
            return; /* a guest that nobody knows of: what it may still touch can't be counted */
        sum += counts_kib(&w->guests[i]);
    }
    if (sum > capacity && w->trace)
        world_trace_counts(w, counts_kib);
    if (sum > capacity)
        breach(w, WORLD_S3, "guest '%s' granted %" PRIu64 " MiB: guests then count %" PRIu64 " KiB, the host has %" PRIu64,
               g->sim->vm.name, g->commanded_kib / WORLD_MIB, sum, capacity);
}

static void check_take(struct world *w, const struct world_guest *g, uint64_t target_kib)
{
    const struct model *m = &g->sim->model;
    uint64_t need = model_need_kib(m), swap = m->config.swap_kib * 3 / 4;

    swap -= swap < m->swapped_kib ? swap : m->swapped_kib;
    if (target_kib + swap < need && target_kib < model_assigned_kib(m))
        breach(w, WORLD_S13, "guest '%s' cut to %" PRIu64 " MiB, it needs %" PRIu64, g->sim->vm.name,
               target_kib / WORLD_MIB, need / WORLD_MIB);
}

static void commanded(void *user, struct hv_sim_vm *vm, uint64_t target_kib, uint64_t now_usec)
{
    struct world *w = user;
    struct world_guest *g = guest_of(w, vm);
    uint64_t has = vm->told_kib;
    int direction = target_kib > has ? 1 : target_kib < has ? -1 : 0;
    /* A register forged upwards makes a cut look like a grant. All it can gain by that is its own boot memory, which is
     * its for the taking anyway (exposure): the books, not the truth, are what the engine can go by there. */
    bool more = target_kib > g->entitled_kib && vm->model.config.kind != MODEL_LYING_NONSENSE;
    /* A cut under way that is corrected meets a guest that was quicker: nobody else was granted what it lets go yet. */
    bool correction = (now_usec < g->cut_usec + CORRECTION_USEC && target_kib <= g->cut_from_kib) ||
                      (g->growing && target_kib <= g->commanded_kib); /* or less of a grant under way */

    mix(w, now_usec);
    mix(w, vm->order);
    mix(w, target_kib);
    g->orders++;
    g->ups += direction > 0;
    g->downs += direction < 0;
    if (direction && g->direction && direction != g->direction)
        g->turns++;
    if (direction)
        g->direction = direction;
    if (g->most_target_kib < target_kib)
        g->most_target_kib = target_kib;
    g->commanded_kib = target_kib;
    g->growing = direction > 0;
    if (direction < 0) {
        if (now_usec >= g->cut_usec + CORRECTION_USEC || g->cut_from_kib < has)
            g->cut_from_kib = has;
        g->cut_usec = now_usec;
    }
    if (direction > 0 && more && !correction) /* a cut of what a guest took by itself entitles it to nothing */
        g->entitled_kib = target_kib;
    if (direction > 0 && more && !correction)
        check_grant(w, g);
    if (direction < 0 && w->config.strict_lower)
        check_take(w, g, target_kib);
}

/* ---- what is told on ---- */

static void input(void *user, const struct engine_guest *g, const struct input *in)
{
    struct world *w = user;

    if (w->ears.input)
        w->ears.input(w->ears.user, g, in);
}

static void decided(void *user, enum decide_why why, uint64_t now_usec)
{
    struct world *w = user;

    if (w->ears.decided)
        w->ears.decided(w->ears.user, why, now_usec);
}

static void vanished(void *user, const struct engine_guest *g, const char *reason)
{
    struct world *w = user;

    if (w->ears.vanished)
        w->ears.vanished(w->ears.user, g, reason);
}

void world_hear(struct world *w, const struct world_ears *ears)
{
    w->ears = *ears;
}

struct engine *world_engine(const struct world *w)
{
    return w->engine;
}

/* ---- life ---- */

struct world *world_new(const struct world_config *config)
{
    struct world *w = calloc(1, sizeof(*w));
    struct err e = {0};

    if (!w)
        world_die("no memory");
    w->config = *config;
    w->hash = HASH_START;
    w->now_usec = WORLD_EPOCH_USEC;
    if (hv_sim_new(&config->host, config->seed, WORLD_GUESTS_MAX, &w->hv, &e) < 0)
        world_die(e.text);
    struct hv_sim_watch watch = {commanded, w};
    hv_sim_watch(w->hv, &watch);
    hv_sim_advance(w->hv, w->now_usec);
    return w;
}

void world_hold(struct world *w, size_t i, enum guest_hold hold)
{
    struct engine_config config = {.host = w->config.policy};

    w->guests[i].hold = hold;
    engine_reconfigure(w->engine, &config, w->now_usec);
    w->due_usec = 0;
}

void world_stop(struct world *w)
{
    hv_sim_listen(w->hv, NULL);
    w->engine = engine_free(w->engine);
}

struct world *world_free(struct world *w)
{
    if (!w)
        return NULL;
    world_stop(w);
    w->hv = hv_close(w->hv);
    free(w);
    return NULL;
}

static void tally_guest(struct world_guest *g)
{
    const struct model *m = &g->sim->model;

    g->orders = g->turns = g->ups = g->downs = 0;
    g->sum_kib = g->need_sum_kib = g->steps = 0;
    g->least_kib = UINT64_MAX;
    g->most_kib = g->most_target_kib = 0;
    g->stalled_usec = m->stalled_usec;
    g->stalled_full_usec = m->stalled_full_usec;
    g->killed = m->killed;
}

void world_tally(struct world *w)
{
    for (size_t i = 0; i < w->n; i++)
        tally_guest(&w->guests[i]);
}

size_t world_add(struct world *w, const char *name, const struct guest_config *config, const struct model_config *model)
{
    struct world_guest *g = &w->guests[w->n];
    struct model_config m = *model;
    struct err e = {0};

    m.buffer = config->buffer;
    if (m.happens_usec)
        m.happens_usec += WORLD_EPOCH_USEC; /* scenarios count from the start */
    for (size_t i = 0; i < m.load.n_steps; i++)
        m.load.steps[i].at_usec += WORLD_EPOCH_USEC;
    if (w->n == WORLD_GUESTS_MAX)
        world_die("too many guests");
    *g = (struct world_guest){.world = w, .config = *config};
    if (hv_sim_add(w->hv, name, &m, w->now_usec, &g->sim, &e) < 0)
        world_die(e.text);
    g->entitled_kib = model_assigned_kib(&g->sim->model);
    tally_guest(g);
    return w->n++;
}

void world_start(struct world *w)
{
    struct engine_config config = {.host = w->config.policy};
    struct engine_env env = {
        .configure = configure, .hold = hold_of, .read_host = read_host, .wake = wake, .ordered = ordered,
        .vanished = vanished, .input = input, .decided = decided, .user = w};
    struct err e = {0};

    if (engine_new(&config, &env, WORLD_GUESTS_MAX, &w->engine, &e) < 0)
        world_die(e.text);
    w->due_usec = 0;
    /* Known flaw: an adopter can't know of a grant that its predecessor began and a slow guest has not taken yet (the
     * balloon's target can't be read), so it is not held against it. */
    for (size_t i = 0; i < w->n; i++) {
        struct world_guest *g = &w->guests[i];
        g->growing = false;
        if (!g->sim->model.gone && g->entitled_kib > model_assigned_kib(&g->sim->model))
            g->entitled_kib = model_assigned_kib(&g->sim->model);
    }
    hv_sim_listen(w->hv, engine_listener(w->engine));
}

static uint64_t entitled_kib(const struct world_guest *g)
{
    return g->entitled_kib;
}

static void check_step(struct world *w)
{
    uint64_t entitled = 0, capacity = world_capacity_kib(w);
    bool unknown = false; /* there is a guest that nobody knows of */
    struct obs_host host;

    for (size_t i = 0; i < w->n; i++) {
        struct world_guest *g = &w->guests[i];
        uint64_t has = model_assigned_kib(&g->sim->model), least = commanded_kib(g);
        if (g->sim->model.gone) {
            g->entitled_kib = 0;
            continue;
        }
        if (g->sim->model.config.kind == MODEL_LYING_NONSENSE && g->entitled_kib > g->sim->model.touched_kib)
            g->entitled_kib = g->sim->model.touched_kib;
        if (least && least < g->entitled_kib) /* a take: the guest is entitled to what it has not given yet */
            g->entitled_kib = has < g->entitled_kib ? (has > least ? has : least) : g->entitled_kib;
        unknown = unknown || (w->engine && !g->sim->announced);
        entitled += g->entitled_kib;
        g->steps++;
        g->sum_kib += has;
        g->need_sum_kib += model_need_kib(&g->sim->model);
        g->least_kib = has < g->least_kib ? has : g->least_kib;
        g->most_kib = has > g->most_kib ? has : g->most_kib;
    }
    if (entitled > capacity && !unknown) {
        if (w->trace && !w->broken[WORLD_S1])
            world_trace_counts(w, entitled_kib);
        breach(w, WORLD_S1, "guests may hold %" PRIu64 " MiB by our commands, the host has %" PRIu64,
               entitled / WORLD_MIB, capacity / WORLD_MIB);
    }
    hv_sim_read_host(w->hv, &host);
    if (!host.available_bytes)
        breach(w, WORLD_HOST, "the host has no memory left");
}

static void hash_models(struct world *w)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct model *m = &w->guests[i].sim->model;
        mix(w, model_assigned_kib(m));
        mix(w, m->anon_kib);
        mix(w, m->hot_kib + m->cold_kib);
        mix(w, m->touched_kib);
        mix(w, m->psi_some_usec);
    }
}

void world_run(struct world *w, uint64_t usec)
{
    uint64_t until = w->now_usec + usec;

    while (w->now_usec < until) {
        w->now_usec += MODEL_STEP_USEC;
        hv_sim_advance(w->hv, w->now_usec);
        if (w->engine && w->now_usec >= w->due_usec)
            w->due_usec = engine_run(w->engine, w->now_usec);
        check_step(w);
        if (w->now_usec % HASH_EVERY_USEC == 0)
            hash_models(w);
        if (w->stepped)
            w->stepped(w, w->stepped_user);
    }
}
