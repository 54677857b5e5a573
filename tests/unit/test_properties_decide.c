/* SPDX-License-Identifier: Apache-2.0 */

/* Safety rules (docs/design.md 4) over random hosts with random short histories: guests that obey, lag, stop, lie, reset,
 * and numbers without any sense. After each decide() its orders are held against each rule, computed here from what was
 * seen and not from what decide() thought of it. Then every rule is switched off in turn and must be seen to break: else
 * this test would prove nothing. */

#include "testing.h"

#include <string.h>

#include "decide.h"
#include "guest.h"
#include "kib.h"
#include "policy_defaults.h"
#include "random.h"

#define HOSTS RANDOM_TRIES(1000000)
#define HOSTS_UNSAFE RANDOM_TRIES(20000) /* with a rule switched off: enough for each to break hundreds of times */
#define GUESTS_MAX 4

enum rule {
    RULE_S1,  /* orders never take the sum of what guests hold and were granted beyond capacity */
    RULE_S1B, /* a guest that was reset counts as all it booted with */
    RULE_S2,  /* minimum <= target <= maximum, no growth above it, taking nobody waits for has its rate */
    RULE_S3,  /* no grant while what it needs is not free */
    RULE_S5,  /* no growth beyond what the host saw the guest touch, with room */
    RULE_S10, /* a guest just found keeps what it has, unless another needs it */
    RULE_S11, /* one hand on the lever */
    RULE_S13, /* nothing is taken below lower */
    RULE_COUNT
};

struct trial {
    struct host host;
    struct guest guests[GUESTS_MAX];
    struct guest *list[GUESTS_MAX];
    bool foreign[GUESTS_MAX]; /* another hand was seen */
    bool reset[GUESTS_MAX];   /* was reset, and no driver has reported since */
    size_t n;
    uint64_t now_usec;
    struct levels levels[GUESTS_MAX];
    struct share_slot slots[GUESTS_MAX];
    uint64_t weight[GUESTS_MAX], given_kib[GUESTS_MAX];
    uint32_t order[GUESTS_MAX];
};

/* ---- Random worlds ---- */

/* Bytes that a guest could have said; now and then nonsense. */
static uint64_t said(struct random *r, uint64_t sensible)
{
    if (random_percent(r, 97))
        return sensible;
    return random_percent(r, 30) ? OBS_UNSET : random_magnitude(r, 64);
}

static struct guest_config random_config(struct random *r, uint64_t boot_kib)
{
    static const uint32_t taxes[] = {0, POLICY_TAX_PPM_DEFAULT, 999999};

    return (struct guest_config){
        .startup_kib = random_percent(r, 70) ? 0 : random_between(r, boot_kib / 2, boot_kib),
        .minimum_kib = random_percent(r, 50) ? 0 : random_between(r, boot_kib / 8, boot_kib / 2),
        .maximum_kib = random_percent(r, 50) ? 0 : random_between(r, boot_kib / 2, 2 * boot_kib),
        .buffer = (uint32_t)random_below(r, DEMAND_BUFFER_MAX_TOTAL + 1),
        .priority = (uint32_t)random_between(r, 1, 10000),
        .tax_ppm = taxes[random_below(r, 3)],
        .buffer_of = random_percent(r, 70) ? BUFFER_OF_DEMAND : BUFFER_OF_TOTAL,
        .demand = random_percent(r, 80) ? DEMAND_USED : DEMAND_COMMITTED,
        .mode = random_percent(r, 90) ? GUEST_MODE_AUTO : (enum guest_mode)random_below(r, GUEST_MODE_COUNT),
        .reclaim = random_percent(r, 70) ? GUEST_RECLAIM_EAGER : GUEST_RECLAIM_LAZY,
        .self_managing = random_percent(r, 80) ? GUEST_CHOICE_AUTO : (enum guest_choice)random_below(r, 3),
        .band = random_percent(r, 20),
    };
}

/* The guest does what it was told, a part of it, nothing, or something else; then says so, or lies. */
static void feed_levers(struct trial *t, struct random *r, size_t i)
{
    struct guest *g = &t->guests[i];
    struct obs_levers l = g->levers;
    uint64_t has_kib = guest_assigned_kib(g), boot_kib = l.boot_bytes / 1024;

    if (g->motion.active && random_percent(r, 70))
        has_kib = g->motion.target_kib;
    else if (g->motion.active && random_percent(r, 50))
        has_kib = (has_kib + g->motion.target_kib) / 2;
    else if (random_percent(r, 5))
        has_kib = random_below(r, boot_kib + l.pluggable_bytes / 1024 + 1);
    l.balloon_actual_bytes = kib_min(has_kib, boot_kib) * 1024;
    l.plugged_bytes = kib_min(kib_sub(has_kib, boot_kib) * 1024, l.pluggable_bytes);
    l.online_bytes = random_percent(r, 95) ? l.plugged_bytes : l.plugged_bytes / 2;
    l.time_usec = t->now_usec;
    if (random_percent(r, 2))
        l.balloon_actual_bytes = said(r, random_bits(r));
    guest_see_levers(g, &l, t->now_usec);
}

static void feed_host_view(struct trial *t, struct random *r, size_t i)
{
    struct guest *g = &t->guests[i];
    uint64_t assigned = guest_assigned_kib(g) * 1024;
    const struct obs_host_view v = {
        .time_usec = t->now_usec,
        .resident_bytes = said(r, random_percent(r, 95) ? random_below(r, assigned + 1) : 2 * assigned),
        .swapped_bytes = said(r, random_percent(r, 90) ? 0 : random_below(r, assigned / 4 + 1)),
        .overhead_bytes = random_below(r, 40ULL << 20),
        .disk_read_bytes = said(r, g->host.disk_read_bytes + random_magnitude(r, 28)),
    };

    guest_see_host(g, &v, t->now_usec);
}

static void feed_view(struct trial *t, struct random *r, size_t i)
{
    struct guest *g = &t->guests[i];
    bool agent = g->config.priority % 2 == 0;
    uint64_t assigned = guest_assigned_kib(g) * 1024, age = random_below(r, USEC_PER_SEC);
    uint64_t available = random_percent(r, 20) ? random_below(r, 32ULL << 20) : random_below(r, assigned + 1);
    const struct obs_guest_view *before = &g->view;
    const struct obs_guest_view v = {
        .source = agent ? OBS_SOURCE_AGENT : OBS_SOURCE_STATISTICS,
        .time_usec = random_percent(r, 99) ? t->now_usec - age : random_bits(r),
        .heard_usec = t->now_usec,
        .spacing_usec = said(r, USEC_PER_SEC),
        .total_bytes = said(r, assigned),
        .free_bytes = said(r, available / 2),
        .available_bytes = said(r, available),
        .cache_bytes = said(r, random_below(r, assigned + 1)),
        .shmem_bytes = said(r, random_below(r, assigned / 8 + 1)),
        .committed_bytes = agent ? said(r, random_below(r, 2 * assigned + 1)) : OBS_UNSET,
        .swap_total_bytes = agent ? said(r, random_percent(r, 50) ? 0 : assigned / 2) : OBS_UNSET,
        .swap_used_bytes = agent ? said(r, random_below(r, assigned / 4 + 1)) : OBS_UNSET,
        .swapped_in_bytes = said(r, before->swapped_in_bytes + (random_percent(r, 80) ? 0 : random_magnitude(r, 28))),
        .refaulted_bytes = agent ? said(r, before->refaulted_bytes + random_magnitude(r, 26)) : OBS_UNSET,
        .balloon_bytes = agent ? said(r, g->levers.boot_bytes - kib_min(assigned, g->levers.boot_bytes)) : OBS_UNSET,
        .oom_kills = 0,
        .psi_some_usec = agent ? said(r, before->psi_some_usec + random_magnitude(r, 20)) : OBS_UNSET,
        .psi_full_usec = agent ? said(r, before->psi_full_usec + random_magnitude(r, 18)) : OBS_UNSET,
    };

    guest_see_view(g, &v, t->now_usec);
    t->reset[i] = t->reset[i] && g->reset_usec != 0;
}

static void feed_happening(struct trial *t, struct random *r, size_t i)
{
    struct guest *g = &t->guests[i];
    struct guest_config config;

    switch (random_below(r, 5)) {
    case 0:
        guest_see_reset(g, t->now_usec);
        t->reset[i] = true;
        break;
    case 1:
        guest_see_foreign_hand(g, t->now_usec);
        t->foreign[i] = true;
        break;
    case 2:
        config = random_config(r, g->levers.boot_bytes / 1024);
        t->foreign[i] = t->foreign[i] && config.mode == g->config.mode;
        guest_configure(g, &config, t->now_usec);
        break;
    default:
        guest_see_paused(g, random_percent(r, 50), t->now_usec);
        break;
    }
}

static void feed_host(struct trial *t, struct random *r)
{
    uint64_t resident_kib = 0, memory_kib = t->host.config.memory_kib;

    for (size_t i = 0; i < t->n; i++)
        resident_kib = kib_add(resident_kib, t->guests[i].host.resident_bytes / 1024);
    if (random_percent(r, 5)) /* other programs of the host */
        resident_kib = kib_add(resident_kib, random_below(r, memory_kib));
    t->host.seen = (struct obs_host){.time_usec = t->now_usec,
                                     .total_bytes = memory_kib * 1024,
                                     .available_bytes = kib_sub(memory_kib, resident_kib) * 1024,
                                     .arc_bytes = random_percent(r, 90) ? 0 : random_below(r, memory_kib * 64),
                                     .psi_some_usec = OBS_UNSET};
}

static void trial_open(struct trial *t, struct random *r, const struct decide_switches *switches)
{
    uint64_t boots_kib = 0, memory_kib;
    struct host_config config = {.overcommit_permille = 1000, .switches = *switches};

    t->n = random_between(r, 1, random_percent(r, 60) ? 2 : GUESTS_MAX);
    t->now_usec = random_between(r, 1, 1000) * USEC_PER_SEC;
    memset(t->foreign, 0, sizeof(t->foreign));
    memset(t->reset, 0, sizeof(t->reset));
    for (size_t i = 0; i < t->n; i++) {
        uint64_t boot_kib = random_between(r, 128, 2048) * KIB_PER_MIB;
        struct guest_config guest_config = random_config(r, boot_kib);
        bool plugs = random_percent(r, 40);
        const struct obs_levers levers = {.time_usec = t->now_usec,
                                          .boot_bytes = boot_kib * 1024,
                                          .balloon_actual_bytes = random_between(r, boot_kib / 4, boot_kib) * 1024,
                                          .pluggable_bytes = plugs ? boot_kib * 1024 : 0,
                                          .block_bytes = plugs ? 2U << 20 : 0,
                                          .has_balloon = random_percent(r, 95),
                                          .deflate_on_oom = random_percent(r, 50)};

        t->list[i] = &t->guests[i];
        guest_init(&t->guests[i], &guest_config, t->now_usec);
        guest_see_levers(&t->guests[i], &levers, t->now_usec);
        boots_kib += boot_kib;
    }
    memory_kib = boots_kib * random_between(r, 30, 150) / 100;
    config.memory_kib = memory_kib;
    config.reserve_kib = memory_kib * random_between(r, 0, 20) / 100;
    config.reservations_kib = random_percent(r, 90) ? 0 : memory_kib / 10;
    host_init(&t->host, &config);
}

static void trial_step(struct trial *t, struct random *r)
{
    static const uint64_t steps_msec[] = {50, 500, 1000, 1000, 1000, 2500, 12000, 70000};

    t->now_usec += steps_msec[random_below(r, 8)] * USEC_PER_MSEC;
    for (size_t i = 0; i < t->n; i++) {
        if (random_percent(r, 90))
            feed_levers(t, r, i);
        if (random_percent(r, 80))
            feed_host_view(t, r, i);
        if (random_percent(r, 90))
            feed_view(t, r, i);
        if (random_percent(r, 4))
            feed_happening(t, r, i);
    }
    feed_host(t, r);
}

static void trial_obey(struct trial *t, struct random *r)
{
    for (size_t i = 0; i < t->n; i++) {
        struct guest *g = &t->guests[i];

        if (g->verdict.order == GUEST_ORDER_NONE)
            continue;
        guest_ordered(g, g->verdict.order_kib, t->now_usec);
        if (random_percent(r, 3))
            guest_order_failed(g, t->now_usec);
    }
}

/* ---- The rules ---- */

static uint64_t touched_kib(const struct guest *g)
{
    return kib_add(kib_min(g->host.resident_bytes / 1024, POLICY_KIB_MAX),
                   kib_min(g->host.swapped_bytes / 1024, POLICY_KIB_MAX));
}

/* What a guest holds, or may take at any moment by what it was told before. */
static uint64_t counts_kib(const struct trial *t, size_t i)
{
    const struct guest *g = &t->guests[i];
    uint64_t kib = kib_max(guest_assigned_kib(g), touched_kib(g));

    if (g->motion.active)
        kib = kib_max(kib, g->motion.target_kib);
    if (t->reset[i])
        kib = kib_max(kib, guest_boot_kib(g));
    return kib;
}

static uint32_t broken_by(const struct trial *t, size_t i)
{
    const struct guest *g = &t->guests[i];
    const struct guest_verdict *v = &g->verdict;
    uint64_t assigned = guest_assigned_kib(g), maximum = guest_maximum_kib(g), minimum = guest_minimum_kib(g);
    uint64_t proof = peak_value(&g->proof, t->now_usec, POLICY_HALF_LIFE_USEC);
    uint64_t bound = kib_max(kib_max(kib_max(assigned, minimum), guest_startup_kib(g)),
                             kib_max((3 * proof + 1) / 2, proof + 64 * KIB_PER_MIB));
    /* Told earlier and under way: an order may cut it down, which takes nothing the guest has. */
    uint64_t promised = g->motion.active ? kib_max(assigned, g->motion.target_kib) : assigned;
    uint64_t lower = assigned <= minimum ? minimum : kib_min(kib_max(v->levels.safe_kib, minimum), assigned);
    uint32_t broken = 0;

    if (g->booted_usec && t->now_usec < g->booted_usec + POLICY_LOADS_USEC)
        bound = kib_max(bound, g->reset_assigned_kib); /* it had that before it booted */
    if (t->reset[i] && v->counted_kib < kib_max(guest_boot_kib(g), g->reset_assigned_kib))
        broken |= 1U << RULE_S1B;
    if (v->order == GUEST_ORDER_NONE)
        return broken;
    if (t->foreign[i] && v->order != GUEST_ORDER_WITHDRAW)
        broken |= 1U << RULE_S11;
    switch (v->order) {
    case GUEST_ORDER_GROW:
        if (v->order_kib < minimum || v->order_kib > maximum || v->order_kib <= assigned)
            broken |= 1U << RULE_S2;
        if (v->order_kib > bound)
            broken |= 1U << RULE_S5;
        break;
    case GUEST_ORDER_SHRINK:
        if (v->order_kib < minimum || v->order_kib >= promised)
            broken |= 1U << RULE_S2;
        if (v->reason == GUEST_REASON_RECLAIM && kib_sub(assigned, v->order_kib) > kib_max(assigned * 8 / 100, KIB_PER_MIB))
            broken |= 1U << RULE_S2;
        if (v->reason == GUEST_REASON_RECLAIM && t->now_usec < g->appeared_usec + POLICY_SETTLE_USEC)
            broken |= 1U << RULE_S10;
        if (v->order_kib < kib_min(lower, assigned) && !(v->flags & GUEST_FLAG_SILENT))
            broken |= 1U << RULE_S13;
        break;
    default: /* withdrawn: it keeps what it has */
        if (v->order_kib != assigned)
            broken |= 1U << RULE_S2;
        break;
    }
    return broken;
}

/* docs/design.md 3.4, "capacity", in as wide numbers as needed, and host_available. */
static kib_signed capacity_kib(const struct trial *t, kib_signed *ret_available)
{
    const struct host_config *c = &t->host.config;
    kib_signed held = 0, overhead = 0, untouched = 0, books, measured;

    for (size_t i = 0; i < t->n; i++) {
        const struct guest *g = &t->guests[i];
        uint64_t holds = kib_max(guest_assigned_kib(g), touched_kib(g));

        held += holds;
        untouched += kib_sub(holds, g->host.resident_bytes / 1024);
        overhead += g->host.overhead_bytes / 1024;
    }
    *ret_available = (kib_signed)(t->host.seen.available_bytes / 1024) + t->host.seen.arc_bytes / 1024 - untouched;
    books = (kib_signed)c->memory_kib - c->reserve_kib - overhead;
    measured = held + *ret_available - c->reserve_kib;
    return (books < measured ? books : measured) - c->reservations_kib;
}

static uint32_t broken_rules(const struct trial *t, const uint64_t before[GUESTS_MAX])
{
    kib_signed counted = 0, after = 0, available, capacity = capacity_kib(t, &available);
    uint32_t broken = 0;

    for (size_t i = 0; i < t->n; i++) {
        const struct guest_verdict *v = &t->guests[i].verdict;

        counted += before[i];
        after += v->order == GUEST_ORDER_GROW ? kib_max(before[i], v->order_kib) : before[i];
        broken |= broken_by(t, i);
    }
    /* Where guests hold more than that already, nothing may be added. */
    if (after > counted && after > capacity)
        broken |= 1U << RULE_S1;
    /* The memory a grant needs is free by measurement, too: the host would not have to swap for it. */
    if (after > counted && after - counted > available - t->host.config.reserve_kib)
        broken |= 1U << RULE_S3;
    return broken;
}

struct tally {
    size_t broken[RULE_COUNT];
    size_t orders[GUEST_ORDER_COUNT];
};

/* Runs one random host through its history; returns the rules that broke. */
static uint32_t trial_run(struct trial *t, struct random *r, const struct decide_switches *switches, struct tally *tally)
{
    struct decide_scratch scratch = {t->levels, t->slots, t->weight, t->given_kib, t->order};
    size_t steps = random_between(r, 2, 6);
    uint32_t broken = 0;

    trial_open(t, r, switches);
    for (size_t step = 0; step < steps; step++) {
        uint64_t before[GUESTS_MAX] = {0};
        uint32_t now;

        trial_step(t, r);
        for (size_t i = 0; i < t->n; i++)
            before[i] = counts_kib(t, i);
        (void)decide(&t->host, t->list, t->n, random_percent(r, 70) ? DECIDE_TICK : DECIDE_EVENT, t->now_usec, &scratch);
        now = broken_rules(t, before);
        for (size_t i = 0; i < t->n; i++)
            tally->orders[t->guests[i].verdict.order]++;
        for (unsigned int rule = 0; rule < RULE_COUNT; rule++)
            tally->broken[rule] += now >> rule & 1;
        broken |= now;
        trial_obey(t, r);
    }
    return broken;
}

static void no_random_history_breaks_a_rule(void **state)
{
    static const struct decide_switches none;
    static struct trial t;
    struct tally tally = {0};

    (void)state;
    for (uint64_t host = 0; host < HOSTS; host++) {
        struct random r = {.state = host};
        uint32_t broken = trial_run(&t, &r, &none, &tally);

        if (broken)
            fail_msg("host %llu breaks rules %#x", (unsigned long long)host, broken);
    }
    /* All kinds of orders were among them, else this tests less than it seems to. */
    for (unsigned int order = GUEST_ORDER_NONE; order < GUEST_ORDER_COUNT; order++)
        assert_true(tally.orders[order] > HOSTS / 100);
}

static void each_rule_breaks_with_its_switch(void **state)
{
    static const struct {
        struct decide_switches off;
        enum rule rule;
        const char *what;
    } cases[] = {
        {{.no_books = true}, RULE_S1, "no_books"},
        {{.no_free_first = true}, RULE_S1, "no_free_first"},
        {{.no_free_first = true}, RULE_S3, "no_free_first"},
        {{.no_reset_count = true}, RULE_S1B, "no_reset_count"},
        {{.no_clamp = true}, RULE_S2, "no_clamp"},
        {{.no_bound = true}, RULE_S5, "no_bound"},
        {{.no_adopt_hold = true}, RULE_S10, "no_adopt_hold"},
        {{.no_foreign_hand = true}, RULE_S11, "no_foreign_hand"},
        {{.no_lower = true}, RULE_S13, "no_lower"},
    };
    static struct trial t;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tally tally = {0};

        for (uint64_t host = 0; host < HOSTS_UNSAFE; host++) {
            struct random r = {.state = host};

            (void)trial_run(&t, &r, &cases[i].off, &tally);
        }
        print_message("%s: rule broken in %zu decisions\n", cases[i].what, tally.broken[cases[i].rule]);
        assert_true(tally.broken[cases[i].rule] > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_random_history_breaks_a_rule),
        cmocka_unit_test(each_rule_breaks_with_its_switch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
