/* SPDX-License-Identifier: Apache-2.0 */

/* What one decision costs: decide() over 10, 1,000 and 10,000 guests of all kinds on a host that is short of memory, so
 * that sharing and planning have work. Between two decisions each guest moves to where it was told, its need changes and
 * all its samples arrive anew, as in life; only decide() is timed, in processor time, so that neighbours on the machine do
 * not count. Two figures: "tick" decides right after all samples came in, so most of the guests' state (80 MB at 10,000)
 * has left the processor's caches; "event" decides once more on the same samples, as it happens when one guest calls. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "decide.h"
#include "guest.h"
#include "own.h"
#include "policy_defaults.h"
#include "random.h"
#include "report.h"
#include "weight.h"

#define GUESTS_MAX 10000
#define GOAL_MSEC 1.0 /* at 10,000 guests */
#define WARM_UP_ROUNDS 70 /* guests settle for a minute before rise counts */

struct world {
    size_t n;
    struct guest *guests;
    struct guest **list;
    uint64_t *used_kib;
    struct host host;
    struct decide_scratch scratch;
    struct random random;
    uint64_t now_usec;
};

static void *allocate(size_t n, size_t size)
{
    void *p = calloc(n, size);

    if (!p) {
        fputs("decide: no memory for the guests\n", stderr);
        exit(1);
    }
    return p;
}

static double now_msec(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* can't fail with these arguments */
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static struct guest_config config_of(size_t i, struct random *r)
{
    return (struct guest_config){
        .buffer = POLICY_BUFFER_DEFAULT,
        .buffer_of = i % 5 == 0 ? BUFFER_OF_TOTAL : BUFFER_OF_DEMAND,
        .demand = i % 7 == 0 ? DEMAND_COMMITTED : DEMAND_USED,
        .mode = i % 50 == 7 ? GUEST_MODE_FIXED : i % 50 == 9 ? GUEST_MODE_WATCH : GUEST_MODE_AUTO,
        .reclaim = i % 10 == 3 ? GUEST_RECLAIM_LAZY : GUEST_RECLAIM_EAGER,
        .priority = (uint32_t)random_between(r, 1, WEIGHT_PRIORITY_MAX),
        .tax_ppm = POLICY_TAX_PPM_DEFAULT,
        .band = i % 13 == 0,
    };
}

/* All samples of one guest, a second after the last: statistics for a third of them, an agent for the others. */
static void guest_feed(struct world *w, size_t i)
{
    struct guest *g = &w->guests[i];
    uint64_t boot = g->levers.boot_bytes, available, assigned, touched;
    struct obs_levers levers = g->levers;
    bool agent = i % 3 != 0;

    if (g->motion.active)
        levers.balloon_actual_bytes = g->motion.target_kib * 1024;
    if (levers.balloon_actual_bytes > boot)
        levers.balloon_actual_bytes = boot;
    levers.time_usec = w->now_usec;
    guest_see_levers(g, &levers, w->now_usec);
    assigned = levers.balloon_actual_bytes;

    if (random_below(&w->random, 10) == 0) { /* a tenth of the guests is restless in any second, some very */
        w->used_kib[i] += random_below(&w->random, w->used_kib[i] / 16 + 1);
        w->used_kib[i] -= random_below(&w->random, w->used_kib[i] / 16 + 1);
        if (random_below(&w->random, 50) == 0)
            w->used_kib[i] = random_between(&w->random, boot / 1024 / 16, boot / 1024);
    }
    available = assigned > w->used_kib[i] * 1024 ? assigned - w->used_kib[i] * 1024 : 0;
    touched = assigned - available / 2;
    const struct obs_host_view host = {.time_usec = w->now_usec,
                                       .resident_bytes = touched,
                                       .overhead_bytes = 20ULL << 20,
                                       .disk_read_bytes = w->now_usec / 10};
    guest_see_host(g, &host, w->now_usec);
    const struct obs_guest_view view = {
        .source = agent ? OBS_SOURCE_AGENT : OBS_SOURCE_STATISTICS,
        .time_usec = w->now_usec - 100 * USEC_PER_MSEC,
        .heard_usec = w->now_usec - 50 * USEC_PER_MSEC,
        .spacing_usec = USEC_PER_SEC,
        .total_bytes = boot,
        .free_bytes = available / 2,
        .available_bytes = available,
        .cache_bytes = available / 2,
        .shmem_bytes = 0,
        .committed_bytes = agent ? w->used_kib[i] * 1100 : OBS_UNSET,
        .swap_total_bytes = agent ? boot / 4 : OBS_UNSET,
        .swap_used_bytes = agent ? 0 : OBS_UNSET,
        .swapped_in_bytes = 0,
        .refaulted_bytes = agent ? 0 : OBS_UNSET,
        .balloon_bytes = agent ? boot - assigned : OBS_UNSET,
        .oom_kills = 0,
        .psi_some_usec = agent ? (available == 0 ? w->now_usec / 4 : 0) : OBS_UNSET,
        .psi_full_usec = agent ? (available == 0 ? w->now_usec / 8 : 0) : OBS_UNSET,
    };
    guest_see_view(g, &view, w->now_usec);
}

static void world_open(struct world *w, size_t n)
{
    uint64_t boots_kib = 0;

    *w = (struct world){.n = n, .now_usec = 1000 * USEC_PER_SEC, .random = {.state = n}};
    w->guests = allocate(n, sizeof(*w->guests));
    w->list = allocate(n, sizeof(*w->list));
    w->used_kib = allocate(n, sizeof(*w->used_kib));
    w->scratch = (struct decide_scratch){.levels = allocate(n, sizeof(struct levels)),
                                         .slots = allocate(n, sizeof(struct share_slot)),
                                         .weight = allocate(n, sizeof(uint64_t)),
                                         .given_kib = allocate(n, sizeof(uint64_t)),
                                         .order = allocate(n, sizeof(uint32_t))};
    for (size_t i = 0; i < n; i++) {
        uint64_t boot_kib = random_between(&w->random, 256, 16384) * KIB_PER_MIB;
        struct guest_config config = config_of(i, &w->random);

        w->list[i] = &w->guests[i];
        guest_init(&w->guests[i], &config, w->now_usec);
        guest_see_levers(&w->guests[i],
                         &(struct obs_levers){.time_usec = w->now_usec,
                                              .boot_bytes = boot_kib * 1024,
                                              .balloon_actual_bytes = boot_kib * 1024 / 2,
                                              .has_balloon = true,
                                              .deflate_on_oom = true},
                         w->now_usec);
        w->used_kib[i] = boot_kib / 4 + random_below(&w->random, boot_kib / 4);
        boots_kib += boot_kib;
    }
    const struct host_config config = {
        .memory_kib = boots_kib / 2, .reserve_kib = boots_kib / 40, .overcommit_permille = 1000};
    host_init(&w->host, &config);
}

static void world_close(struct world *w)
{
    free(w->guests);
    free(w->list);
    free(w->used_kib);
    free(w->scratch.levels);
    free(w->scratch.slots);
    free(w->scratch.weight);
    free(w->scratch.given_kib);
    free(w->scratch.order);
}

/* A second passes: everything moves and is seen anew. */
static void world_step(struct world *w)
{
    uint64_t resident_kib = 0;

    w->now_usec += USEC_PER_SEC;
    for (size_t i = 0; i < w->n; i++) {
        guest_feed(w, i);
        resident_kib += w->guests[i].host.resident_bytes / 1024;
    }
    w->host.seen = (struct obs_host){.time_usec = w->now_usec,
                                     .total_bytes = w->host.config.memory_kib * 1024,
                                     .available_bytes = (w->host.config.memory_kib > resident_kib
                                                             ? w->host.config.memory_kib - resident_kib
                                                             : 0) * 1024,
                                     .psi_some_usec = OBS_UNSET};
}

static void world_obey(struct world *w)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->guests[i].verdict.order != GUEST_ORDER_NONE)
            guest_ordered(&w->guests[i], w->guests[i].verdict.order_kib, w->now_usec);
}

/* The rule loop of oVirt's MOM (docs/design.md 9) as integer arithmetic over the same guests: each for itself, no books,
 * no sharing, no order. A floor for what any policy costs, not a peer in what it does. Returns a sum, so that nothing is
 * optimised away. */
static uint64_t baseline_decide(struct world *w)
{
    uint64_t memory_kib = w->host.config.memory_kib, sum = 0;
    uint64_t free_permille = w->host.seen.available_bytes / 1024 * 1000 / memory_kib;

    for (size_t i = 0; i < w->n; i++) {
        const struct guest *g = &w->guests[i];
        uint64_t cur = guest_assigned_kib(g), spare = g->view.free_bytes / 1024, used = cur > spare ? cur - spare : 0;
        uint64_t least = guest_minimum_kib(g), most = guest_maximum_kib(g), target;

        if (free_permille < 200) {
            uint64_t guard = free_permille < 50 ? 0 : free_permille;

            target = used + guard * cur / 1000;
            target = target < cur * 95 / 100 ? cur * 95 / 100 : target;
            target = target < least ? least : target;
        } else {
            target = used + cur / 5;
            target = target < cur * 105 / 100 ? cur * 105 / 100 : target;
            target = target > most ? most : target;
        }
        if ((target > cur ? target - cur : cur - target) * 400 > cur)
            sum += target;
    }
    return sum;
}

struct cost {
    double *tick, *event, *baseline;
    size_t n;
};

static void measure(size_t guests, struct cost *cost)
{
    struct world w;
    volatile uint64_t kept = 0;
    size_t orders = 0, steps[SHARE_OVER + 1] = {0};

    world_open(&w, guests);
    for (size_t round = 0; round < WARM_UP_ROUNDS + cost->n; round++) {
        size_t i = round < WARM_UP_ROUNDS ? 0 : round - WARM_UP_ROUNDS; /* the first is overwritten */
        double start;

        /* By turns, so that neither finds what the other left in the caches: each begins after a step. */
        world_step(&w);
        start = now_msec();
        kept = kept + baseline_decide(&w);
        cost->baseline[i] = now_msec() - start;
        world_step(&w);
        start = now_msec();
        orders += decide(&w.host, w.list, w.n, DECIDE_TICK, w.now_usec, &w.scratch);
        cost->tick[i] = now_msec() - start;
        steps[w.host.share.step]++;
        world_obey(&w);
        start = now_msec();
        (void)decide(&w.host, w.list, w.n, DECIDE_EVENT, w.now_usec + 1, &w.scratch);
        cost->event[i] = now_msec() - start;
        world_obey(&w);
    }
    fprintf(stderr, "%zu guests: %zu orders in %zu ticks; sharing ended in step", guests, orders,
            WARM_UP_ROUNDS + cost->n);
    for (size_t step = SHARE_KEEP; step <= SHARE_OVER; step++)
        if (steps[step])
            fprintf(stderr, " %zu: %zu times", step, steps[step]);
    fputc('\n', stderr);
    world_close(&w);
}

/* Median and p99 of one kind of decision against the baseline; returns the median. */
static double report_kind(const char *what, double *samples, const struct cost *cost, bool has_goal)
{
    static const char *const baseline = "MOM's rule loop as plain integer arithmetic, no sharing";
    double median = report_quantile(samples, cost->n, 50);

    report_print(&(struct report){"decide", what, "median", median, "ms", cost->n, baseline,
                                  report_quantile(cost->baseline, cost->n, 50), has_goal ? "<= 1 ms" : NULL,
                                  median <= GOAL_MSEC});
    report_print(&(struct report){"decide", what, "p99", report_quantile(samples, cost->n, 99), "ms", cost->n, baseline,
                                  report_quantile(cost->baseline, cost->n, 99), NULL, false});
    return median;
}

int main(void)
{
    static const struct {
        size_t guests, rounds;
        const char *tick, *event;
    } cases[] = {{10, 5000, "10 guests", "10 guests, event"},
                 {1000, 500, "1000 guests", "1000 guests, event"},
                 {GUESTS_MAX, 100, "10000 guests", "10000 guests, event"}};
    double tick[3], event[3];
    const double allowed = 10 * log(10000) / log(1000);

    for (size_t i = 0; i < 3; i++) {
        AUTO_FREE double *samples = allocate(3 * cases[i].rounds, sizeof(double));
        struct cost cost = {samples, samples + cases[i].rounds, samples + 2 * cases[i].rounds, cases[i].rounds};

        measure(cases[i].guests, &cost);
        tick[i] = report_kind(cases[i].tick, cost.tick, &cost, i == 2);
        event[i] = report_kind(cases[i].event, cost.event, &cost, i == 2);
    }
    report_print(&(struct report){"decide", "1000 to 10000", "growth", tick[2] / tick[1], "x", cases[2].rounds, "n log n",
                                  allowed, "<= 13.3 x (n log n)", tick[2] / tick[1] <= allowed});
    report_print(&(struct report){"decide", "the same, event", "growth", event[2] / event[1], "x", cases[2].rounds,
                                  "n log n", allowed, "<= 13.3 x (n log n)", event[2] / event[1] <= allowed});
    return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
