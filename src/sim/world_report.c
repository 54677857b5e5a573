/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "world_private.h"

uint64_t world_now(const struct world *w)
{
    return w->now_usec - WORLD_EPOCH_USEC;
}

struct world_guest *world_guest(struct world *w, size_t i)
{
    return &w->guests[i];
}

struct model *world_model(struct world *w, size_t i)
{
    return &w->guests[i].sim->model;
}

size_t world_count(const struct world *w)
{
    return w->n;
}

const struct engine_guest *world_engine_guest(struct world *w, size_t i)
{
    return w->engine ? engine_find(w->engine, w->guests[i].sim->vm.name) : NULL;
}

const struct host *world_host(const struct world *w)
{
    return engine_host(w->engine);
}

struct hv_sim_host *world_sim_host(struct world *w)
{
    return hv_sim_host_of(w->hv);
}

uint64_t world_capacity_kib(const struct world *w)
{
    const struct host_config *c = &w->config.policy;
    uint64_t memory = c->memory_kib ? c->memory_kib : w->config.host.total_kib;
    uint64_t taken = c->reserve_kib + c->reservations_kib;

    memory = memory * c->overcommit_permille / 1000;
    for (size_t i = 0; i < w->n; i++)
        if (!w->guests[i].sim->model.gone)
            taken += w->guests[i].sim->model.config.overhead_kib;
    return memory > taken ? memory - taken : 0;
}

uint64_t world_assigned_kib(const struct world *w)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < w->n; i++)
        if (!w->guests[i].sim->model.gone)
            sum += model_assigned_kib(&w->guests[i].sim->model);
    return sum;
}

uint64_t world_broken(const struct world *w, enum world_rule rule)
{
    return w->broken[rule];
}

uint64_t world_broken_any(const struct world *w)
{
    uint64_t sum = 0;

    for (int i = 0; i < WORLD_RULE_COUNT; i++)
        sum += w->broken[i];
    return sum;
}

const char *world_first_breach(const struct world *w)
{
    return w->first_breach;
}

static uint64_t stalled_usec(const struct world_guest *g)
{
    return g->sim->model.stalled_usec - g->stalled_usec;
}

static uint64_t killed(const struct world_guest *g)
{
    return g->sim->model.killed - g->killed;
}

uint64_t world_stalled_usec(const struct world *w)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < w->n; i++)
        sum += stalled_usec(&w->guests[i]);
    return sum;
}

uint64_t world_killed(const struct world *w)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < w->n; i++)
        sum += killed(&w->guests[i]);
    return sum;
}

uint64_t world_hash(const struct world *w)
{
    return w->hash;
}

void world_watch(struct world *w, void (*stepped)(struct world *w, void *user), void *user)
{
    w->stepped = stepped;
    w->stepped_user = user;
}

void world_trace(struct world *w, FILE *out)
{
    w->trace = out;
}

void world_trace_order(struct world *w, const struct engine_guest *g)
{
    const struct guest_verdict *v = &g->core.verdict;
    const struct host *h = engine_host(w->engine);
    static const char *const names[GUEST_ORDER_COUNT] = {"none", "grow", "shrink", "withdraw"};

    (void)fprintf(w->trace,
                  "%9" PRIu64 " %-14s %-8s %6" PRIu64 " -> %6" PRIu64 "  given %6" PRIu64 " demand %6" PRIu64
                  " lower %6" PRIu64 " floor %6" PRIu64 " head %6" PRIu64 " top %6" PRIu64 " rise %4" PRIu64
                  " stall %u step %d free %6" PRId64 " state %d: %s\n",
                  world_now(w) / WORLD_MSEC, g->vm->name, names[v->order], guest_assigned_kib(&g->core) / WORLD_MIB,
                  v->order_kib / WORLD_MIB, v->given_kib / WORLD_MIB, v->demand_kib / WORLD_MIB,
                  v->levels.lower_kib / WORLD_MIB, v->levels.floor_kib / WORLD_MIB, v->levels.head_kib / WORLD_MIB,
                  v->levels.top_kib / WORLD_MIB, v->rise_kib / WORLD_MIB, v->stall_percent, (int)h->share.step,
                  h->grantable_kib / (int64_t)WORLD_MIB, (int)h->state, guest_reason_text(v->reason));
}

void world_trace_counts(struct world *w, uint64_t (*counts_kib)(const struct world_guest *g))
{
    for (size_t i = 0; i < w->n; i++) {
        const struct world_guest *g = &w->guests[i];
        const struct engine_guest *e = world_engine_guest(w, i);
        uint64_t counts = counts_kib(g);
        (void)fprintf(w->trace,
                      "%9" PRIu64 " %-14s counts %" PRIu64 " KiB, engine %" PRIu64 " KiB%s (has %" PRIu64 ", told %" PRIu64
                      ", touched %" PRIu64 ", commanded %" PRIu64 ") kind %d%s\n",
                      world_now(w) / WORLD_MSEC, g->sim->vm.name, counts, e ? e->core.verdict.counted_kib : 0,
                      e && counts != e->core.verdict.counted_kib ? " !" : "", model_assigned_kib(&g->sim->model),
                      g->sim->told_kib, g->sim->model.touched_kib, g->commanded_kib, (int)g->sim->model.config.kind,
                      g->sim->model.driver_up ? "" : " boots");
    }
}

static uint64_t mean(uint64_t sum, uint64_t n)
{
    return n ? sum / n : 0;
}

void world_report(struct world *w, FILE *out, const char *title)
{
    uint64_t orders = 0, turns = 0, full = 0;

    (void)fprintf(out, "%s\n%-10s %5s %9s %9s %4s %7s %6s %6s %6s %6s %6s  %s\n", title, "guest", "from", "stall ms",
                  "full ms", "OOM", "orders", "turns", "min", "avg", "max", "need", "MiB; need: average");
    for (size_t i = 0; i < w->n; i++) {
        const struct world_guest *g = &w->guests[i];
        const struct model *m = &g->sim->model;
        uint64_t full_usec = m->stalled_full_usec - g->stalled_full_usec;
        (void)fprintf(out, "%-10s %5s %9" PRIu64 " %9" PRIu64 " %4" PRIu64 " %7" PRIu64 " %6" PRIu64, g->sim->vm.name,
                      m->config.agent ? "agent" : "stats", stalled_usec(g) / WORLD_MSEC, full_usec / WORLD_MSEC,
                      killed(g), g->orders, g->turns);
        (void)fprintf(out, " %6" PRIu64 " %6" PRIu64 " %6" PRIu64 " %6" PRIu64 "%s\n", g->least_kib / WORLD_MIB,
                      mean(g->sum_kib, g->steps) / WORLD_MIB, g->most_kib / WORLD_MIB,
                      mean(g->need_sum_kib, g->steps) / WORLD_MIB, m->gone ? "  gone" : "");
        orders += g->orders;
        turns += g->turns;
        full += full_usec;
    }
    (void)fprintf(out, "%-10s %5s %9" PRIu64 " %9" PRIu64 " %4" PRIu64 " %7" PRIu64 " %6" PRIu64 "  capacity %" PRIu64
                  " MiB, hash %016" PRIx64 "%s%s\n",
                  "all", "", world_stalled_usec(w) / WORLD_MSEC, full / WORLD_MSEC, world_killed(w), orders, turns,
                  world_capacity_kib(w) / WORLD_MIB, w->hash, w->first_breach[0] ? ", broken " : "", w->first_breach);
}

void world_print_csv(struct world *w, FILE *out, bool header)
{
    if (header)
        (void)fprintf(out, "ms,guest,assigned,need,available,resident,given,target,demand,lower,floor,head,top,stall_ms,"
                           "killed,orders,step\n");
    for (size_t i = 0; i < w->n; i++) {
        const struct world_guest *g = &w->guests[i];
        const struct model *m = &g->sim->model;
        const struct engine_guest *e = world_engine_guest(w, i);
        (void)fprintf(out, "%" PRIu64 ",%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, world_now(w) / WORLD_MSEC,
                      g->sim->vm.name, model_assigned_kib(m) / WORLD_MIB, model_need_kib(m) / WORLD_MIB,
                      model_available_kib(m) / WORLD_MIB, m->touched_kib / WORLD_MIB);
        if (e) {
            const struct guest_verdict *v = &e->core.verdict;
            (void)fprintf(out, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64,
                          v->given_kib / WORLD_MIB, v->target_kib / WORLD_MIB, v->demand_kib / WORLD_MIB,
                          v->levels.lower_kib / WORLD_MIB, v->levels.floor_kib / WORLD_MIB,
                          v->levels.head_kib / WORLD_MIB, v->levels.top_kib / WORLD_MIB);
        } else {
            (void)fprintf(out, ",,,,,,,");
        }
        (void)fprintf(out, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%d\n", stalled_usec(g) / WORLD_MSEC, killed(g),
                      g->orders, w->engine ? (int)world_host(w)->share.step : 0);
    }
}
