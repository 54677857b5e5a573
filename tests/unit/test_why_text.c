/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "why_text.h"

/* Decisions in words: each sentence as it is read. */

#define MIB (1024ULL * 1024)

/* ---- sentences about now ---- */

/* A guest that has all it should: the cases change what they are about. */
static struct wire_guest guest_right(void)
{
    struct wire_guest g;

    wire_guest_clear(&g);
    (void)strcpy(g.name, "web1");
    (void)strcpy(g.mode, "auto");
    (void)strcpy(g.demand_source, "agent");
    (void)strcpy(g.reclaim, "eager");
    g.balanced = true;
    g.sample_age_ms = 400;
    g.minimum_bytes = 128 * MIB;
    g.maximum_bytes = 1024 * MIB;
    g.assigned_bytes = g.given_bytes = g.target_bytes = g.head_bytes = g.top_bytes = 420 * MIB;
    g.demand_bytes = g.floor_bytes = 350 * MIB;
    g.lower_bytes = 320 * MIB;
    g.bound_bytes = 600 * MIB;
    g.proof_bytes = 400 * MIB;
    g.buffer_percent = 2000;
    g.priority = 5000;
    g.penalty_bytes = g.shortfall_bytes = g.rise_bytes = 0;
    g.advice_bytes = 420 * MIB;
    return g;
}

static struct wire_host host_plenty(void)
{
    struct wire_host h;

    wire_host_clear(&h);
    h.share_step = SHARE_KEEP;
    h.reserve_bytes = 1024 * MIB;
    h.free_bytes = 200 * (int64_t)MIB;
    return h;
}

struct now_case {
    const char *what;
    void (*change)(struct wire_guest *g, struct wire_host *h, struct why_facts *f);
    const char *now;
    const char *because; /* a line among the reasons; NULL: none is expected */
};

#define CASE(name_) static void name_(struct wire_guest *g, struct wire_host *h, struct why_facts *f)
#define UNUSED (void)g, (void)h, (void)f

CASE(right)
{
    UNUSED;
}

CASE(dead_zone)
{
    UNUSED;
    g->given_bytes = 408 * MIB;
    f->reason = GUEST_REASON_DEAD_ZONE;
    f->dead_zone_bytes = 20 * MIB;
}

CASE(burst)
{
    UNUSED;
    g->assigned_bytes = g->given_bytes = g->head_bytes = g->top_bytes = 2458 * MIB;
    g->maximum_bytes = 4096 * MIB;
    g->rise_bytes = 1200 * MIB;
    f->burst_bytes = 1800 * MIB;
    f->burst_age_ms = 30 * 60 * 1000;
}

CASE(minimum)
{
    UNUSED;
    g->assigned_bytes = g->given_bytes = g->lower_bytes = g->target_bytes = g->minimum_bytes;
}

CASE(lower)
{
    UNUSED;
    g->assigned_bytes = g->given_bytes = g->lower_bytes;
    g->penalty_bytes = 100 * MIB;
    g->shortfall_bytes = 30 * MIB;
    h->share_step = SHARE_LOWER;
    (void)strcpy(h->share_text, "short: not everyone has what it needs; priority decides");
    f->no_swap = true;
}

CASE(waits)
{
    UNUSED;
    g->given_bytes = 720 * MIB;
    f->reason = GUEST_REASON_NOT_FREE_YET;
    f->donors = 1;
    (void)strcpy(f->donor, "web2");
    f->donor_bytes = 300 * MIB;
    f->grantable_bytes = 2 * (int64_t)MIB;
}

CASE(waits_for_many)
{
    waits(g, h, f);
    f->donors = 3;
    f->grantable_bytes = -5;
}

CASE(waits_for_nobody)
{
    waits(g, h, f);
    f->donors = 0;
    f->grantable_bytes = 0;
}

CASE(host_low)
{
    UNUSED;
    g->given_bytes = 500 * MIB;
    f->reason = GUEST_REASON_HOST_LOW;
}

CASE(in_flight)
{
    UNUSED;
    g->in_flight_bytes = 512 * MIB;
    f->reason = GUEST_REASON_IN_FLIGHT;
}

CASE(stale)
{
    UNUSED;
    g->sample_age_ms = 17000;
    f->reason = GUEST_REASON_STALE;
}

CASE(settling)
{
    UNUSED;
    f->reason = GUEST_REASON_SETTLING;
    f->settles_ms = 7000;
}

CASE(wait_tick)
{
    UNUSED;
    g->given_bytes = 380 * MIB;
    f->reason = GUEST_REASON_WAIT_TICK;
}

CASE(band)
{
    UNUSED;
    g->pressure_percent = 7800;
    g->pressure_low_percent = 6400;
    g->pressure_high_percent = 9000;
    f->reason = GUEST_REASON_BAND;
}

CASE(watch)
{
    UNUSED;
    g->balanced = false;
    (void)strcpy(g->mode, "watch");
    g->advice_bytes = 300 * MIB;
    f->reason = GUEST_REASON_NOT_MANAGED;
}

CASE(off)
{
    watch(g, h, f);
    (void)strcpy(g->mode, "off");
}

CASE(fixed)
{
    watch(g, h, f);
    (void)strcpy(g->mode, "fixed");
    wire_guest_flag(g, "fixed", "its size is held by `mode: fixed`");
}

CASE(on_hold)
{
    UNUSED;
    g->balanced = false;
    wire_guest_flag(g, "silent", "it has not reported its memory for 20 s");
    wire_guest_flag(g, "on-hold", "its moves are paused by uid 0 (ballast) since today: ballast resume web1");
    f->reason = GUEST_REASON_ON_HOLD;
}

CASE(breach)
{
    UNUSED;
    g->balanced = false;
    wire_guest_flag(g, "marked", "taking memory from it did harm");
    wire_guest_flag(g, "breach", "it says it has 200 MiB, but the host sees it hold 450 MiB");
    f->reason = GUEST_REASON_NOT_MANAGED;
}

CASE(unknown)
{
    UNUSED;
    g->balanced = false;
    g->demand_bytes = WIRE_UNKNOWN;
}

CASE(stuck)
{
    UNUSED;
    wire_guest_flag(g, "stuck", "told to go to 300 MiB, it stays at 420 MiB; it is worked around and tried again in 4 s");
}

CASE(bound)
{
    UNUSED;
    g->target_bytes = 900 * MIB;
    g->bound_bytes = 600 * MIB;
}

CASE(lazy)
{
    UNUSED;
    g->assigned_bytes = g->given_bytes = 700 * MIB;
    (void)strcpy(g->reclaim, "lazy");
}

CASE(loads)
{
    UNUSED;
    g->assigned_bytes = g->given_bytes = 700 * MIB;
    f->loads_ms = 40000;
    f->loads_bytes = 700 * MIB;
}

CASE(maximum)
{
    UNUSED;
    g->assigned_bytes = g->given_bytes = g->target_bytes = g->maximum_bytes = 420 * MIB;
}

CASE(grows)
{
    UNUSED;
    g->order_bytes = 484 * MIB;
    f->order = GUEST_ORDER_GROW;
    f->reason = GUEST_REASON_NEED;
}

CASE(gives)
{
    UNUSED;
    g->order_bytes = 400 * MIB;
    f->order = GUEST_ORDER_SHRINK;
    f->reason = GUEST_REASON_FOR_OTHERS;
    f->waiters = 1;
    (void)strcpy(f->waiter, "db2");
    f->waiter_bytes = 300 * MIB;
}

CASE(reclaimed)
{
    gives(g, h, f);
    f->reason = GUEST_REASON_RECLAIM;
    f->dry_run = true;
}

CASE(withdrawn)
{
    gives(g, h, f);
    f->order = GUEST_ORDER_WITHDRAW;
    f->reason = GUEST_REASON_UNREACHED;
}

CASE(troubled)
{
    UNUSED;
    (void)strcpy(g->trouble, "guest 'web1': its monitor does not answer");
}

static const struct now_case now_cases[] = {
    {"right", right, "Nothing to do: it has 420 MiB, which is what it should have.",
     "it needs 350 MiB (its agent said so, 400 ms ago) and with a buffer of 20 % should have 420 MiB"},
    {"dead zone", dead_zone,
     "Nothing to do: it has 420 MiB and should have 408 MiB; the 12 MiB between are too few to be worth a move (dead zone: 20 "
     "MiB).",
     NULL},
    {"burst", burst, "Nothing to do: it has 2.40 GiB, which is what it should have.",
     "it holds 2.40 GiB for a burst of 30 min ago: it took 1.76 GiB within 3 s then; that counts as 1.17 GiB now and fades"},
    {"minimum", minimum, "Nothing to do: it has 128 MiB, which is what it should have.",
     "nothing may be taken from it: 128 MiB is its minimum"},
    {"lower", lower, "Nothing to do: it has 320 MiB, which is what it should have.",
     "nothing may be taken from it: by its own numbers it can't live with less than 320 MiB"},
    {"step 5", lower, NULL,
     "the host is in step 5 of 6 (short: not everyone has what it needs; priority decides): it gets 320 MiB, 100 MiB less "
     "than its target, at priority 5000"},
    {"no swap", lower, NULL,
     "it has no swap, so what it uses can't be taken from it for anybody, whatever their priority: it keeps 320 MiB"},
    {"shortfall", lower, NULL, "it lacks 30 MiB of what it needs"},
    {"waits", waits,
     "It waits for 300 MiB: memory is given once it is free, and 2 MiB are; 'web2' must give 300 MiB first.", NULL},
    {"waits for many", waits_for_many,
     "It waits for 300 MiB: memory is given once it is free; 'web2' must give 300 MiB first, and 2 more guests give.", NULL},
    {"waits for nobody", waits_for_nobody,
     "It waits for 300 MiB: memory is given once it is free; nobody has anything to give.", NULL},
    {"host low", host_low,
     "It should have 500 MiB and gets nothing: the host is in state low, with 200 MiB of its reserve of 1 GiB left.", NULL},
    {"in flight", in_flight, "A move is under way: it is on its way to 512 MiB and has 420 MiB now.", NULL},
    {"stale", stale, "Nothing is taken: its last numbers are 17 s old, too old to take by.", NULL},
    {"settling", settling, "Nothing is taken yet: it was found or has booted a moment ago and is watched for another 7 s "
     "first.", NULL},
    {"wait tick", wait_tick, "It has 40 MiB more than it should; within a second some of it is taken, slowly, as nobody "
     "waits for it.", NULL},
    {"band", band, "Nothing to do: its pressure of 78 % lies inside the band of its own history, 64 to 90 %.", NULL},
    {"watch", watch,
     "Nothing is done: it is only watched (mode: watch). It has 420 MiB; ballast would give it 300 MiB.", NULL},
    {"off", off, "Nothing is done: it is only counted (mode: off), whatever it needs.", NULL},
    {"fixed", fixed, "Nothing is done: its size of 420 MiB is held (mode: fixed).", NULL},
    {"on hold", on_hold,
     "Nothing is done (on-hold): its moves are paused by uid 0 (ballast) since today: ballast resume web1.",
     "silent: it has not reported its memory for 20 s"},
    {"breach", breach,
     "Nothing is done (breach): it says it has 200 MiB, but the host sees it hold 450 MiB.",
     "marked: taking memory from it did harm"},
    {"unknown", unknown, "Nothing is done: it has not told its size and its need yet.", NULL},
    {"stuck", stuck, "Nothing to do: it has 420 MiB, which is what it should have.",
     "stuck: told to go to 300 MiB, it stays at 420 MiB; it is worked around and tried again in 4 s"},
    {"bound", bound, NULL,
     "what it says it needs is not believed beyond 600 MiB: the host saw it touch no more than 400 MiB"},
    {"lazy", lazy, NULL, "it keeps 700 MiB until another guest needs it (reclaim: lazy)"},
    {"loads", loads, NULL,
     "it booted a moment ago: what it had before, 700 MiB, counts as its need for another 40 s"},
    {"maximum", maximum, NULL, "it can't get more: 420 MiB is its maximum"},
    {"grows", grows, "It gets 64 MiB now, from 420 MiB to 484 MiB: it needs memory now.", NULL},
    {"gives", gives, "20 MiB are taken now, from 420 MiB to 400 MiB: 'db2' waits for 300 MiB.", NULL},
    {"reclaimed", reclaimed, "20 MiB are taken now, from 420 MiB to 400 MiB: it has more than its target; taken slowly, "
     "nobody waits. (dry run: nothing is sent)", NULL},
    {"withdrawn", withdrawn, "It was told to change its size and did not move for 2 s: the order is taken back, it keeps 420 "
     "MiB.", NULL},
    {"trouble", troubled, NULL, "its driver said last: guest 'web1': its monitor does not answer"},
};

static bool says(const struct wire_why *w, const char *sentence)
{
    for (size_t i = 0; i < w->because_count; i++)
        if (strcmp(w->because[i], sentence) == 0)
            return true;
    return false;
}

static void each_reason_has_its_sentence(void **state)
{
    static struct wire_why w;

    (void)state;
    for (size_t i = 0; i < sizeof(now_cases) / sizeof(now_cases[0]); i++) {
        const struct now_case *c = &now_cases[i];
        struct wire_guest g = guest_right();
        struct wire_host h = host_plenty();
        struct why_facts f = {0};

        wire_why_clear(&w);
        c->change(&g, &h, &f);
        why_text_now(&g, &h, &f, &w);
        if (c->now && strcmp(w.now, c->now) != 0)
            fail_msg("%s: says '%s'", c->what, w.now);
        for (size_t j = 0; c->because && !says(&w, c->because) && j <= w.because_count; j++)
            if (j == w.because_count)
                fail_msg("%s: does not say '%s', but '%s'", c->what, c->because, j ? w.because[j - 1] : "nothing");
    }
}

/* ---- sentences about what was decided ---- */

static const struct {
    struct why_entry entry;
    const char *text;
} decision_cases[] = {
    {{.order = GUEST_ORDER_GROW, .reason = GUEST_REASON_NEED, .count = 1, .from_kib = 120 * 1024, .to_kib = 420 * 1024,
      .demand_kib = 350 * 1024, .head_kib = 400 * 1024, .step = SHARE_KEEP},
     "gave it 300 MiB, from 120 MiB to 420 MiB: it needed 350 MiB and room to grow to 400 MiB"},
    {{.order = GUEST_ORDER_GROW, .reason = GUEST_REASON_NEED, .count = 3, .from_kib = 120 * 1024, .to_kib = 420 * 1024,
      .demand_kib = 350 * 1024, .head_kib = 400 * 1024, .step = SHARE_FLOOR, .other = "web2"},
     "gave it 300 MiB, from 120 MiB to 420 MiB in 3 steps: it needed 350 MiB and room to grow to 400 MiB; 'web2' gave for it "
     "(step 4 of 6)"},
    {{.order = GUEST_ORDER_GROW, .reason = GUEST_REASON_PLENTY, .count = 1, .from_kib = 400 * 1024, .to_kib = 420 * 1024,
      .demand_kib = 350 * 1024, .target_kib = 420 * 1024, .step = SHARE_KEEP, .would = true},
     "would have given it 20 MiB, from 400 MiB to 420 MiB: it needed 350 MiB, and there was memory for its buffer (target 420 "
     "MiB)"},
    {{.order = GUEST_ORDER_SHRINK, .reason = GUEST_REASON_FOR_OTHERS, .count = 1, .from_kib = 400 * 1024,
      .to_kib = 300 * 1024, .demand_kib = 250 * 1024, .step = SHARE_KEEP, .other = "db1", .other_kib = 300 * 1024},
     "took 100 MiB, from 400 MiB to 300 MiB: 'db1' waited for 300 MiB; it needed 250 MiB itself"},
    {{.order = GUEST_ORDER_SHRINK, .reason = GUEST_REASON_FOR_OTHERS, .count = 1, .from_kib = 400 * 1024,
      .to_kib = 300 * 1024, .step = SHARE_KEEP},
     "took 100 MiB, from 400 MiB to 300 MiB: another guest waits for its memory"},
    {{.order = GUEST_ORDER_SHRINK, .reason = GUEST_REASON_RECLAIM, .count = 8, .from_kib = 512 * 1024,
      .to_kib = 480 * 1024, .demand_kib = 350 * 1024, .given_kib = 420 * 1024, .step = SHARE_KEEP, .would = true},
     "would have taken 32 MiB, from 512 MiB to 480 MiB in 8 steps: it needed 350 MiB and had more than its share of 420 MiB; "
     "slowly, as nobody waited"},
    {{.order = GUEST_ORDER_SHRINK, .reason = GUEST_REASON_FOR_HOST, .count = 1, .from_kib = 512 * 1024,
      .to_kib = 480 * 1024, .step = SHARE_OVER},
     "took 32 MiB, from 512 MiB to 480 MiB: guests hold more than the host can keep (step 6 of 6)"},
    {{.order = GUEST_ORDER_WITHDRAW, .reason = GUEST_REASON_UNREACHED, .has_kib = 420 * 1024, .step = SHARE_KEEP},
     "took an order back: it did not move for 2 s and kept 420 MiB"},
    {{.reason = GUEST_REASON_NOT_FREE_YET, .has_kib = 120 * 1024, .given_kib = 420 * 1024, .demand_kib = 350 * 1024,
      .step = SHARE_KEEP, .other = "web2", .other_kib = 250 * 1024},
     "waited for 300 MiB: it needed 350 MiB, had 120 MiB, and too little was free; 'web2' had to give 250 MiB first"},
    {{.reason = GUEST_REASON_HOST_LOW, .has_kib = 120 * 1024, .given_kib = 420 * 1024, .step = SHARE_LOWER},
     "got nothing, though 300 MiB were missing: the host was in state low (step 5 of 6)"},
    {{.reason = GUEST_REASON_STALE, .step = SHARE_KEEP},
     "nothing was taken: its last numbers were too old to take by"},
    {{.reason = GUEST_REASON_SETTLING, .step = SHARE_KEEP},
     "it was watched before anything was taken: it had just been found or had booted"},
    {{.reason = GUEST_REASON_NOT_MANAGED, .step = SHARE_KEEP, .mode = GUEST_MODE_WATCH},
     "nothing was done: it was only watched (mode: watch)"},
    {{.reason = GUEST_REASON_NOT_MANAGED, .step = SHARE_KEEP, .mode = GUEST_MODE_FIXED},
     "nothing was done: its size was held (mode: fixed)"},
    {{.reason = GUEST_REASON_NOT_MANAGED, .step = SHARE_KEEP, .mode = GUEST_MODE_OFF},
     "nothing was done: it was only counted (mode: off)"},
    {{.reason = GUEST_REASON_NOT_MANAGED, .step = SHARE_KEEP, .flags = GUEST_FLAG_BREACH},
     "nothing was done: it held more than it said"},
    {{.reason = GUEST_REASON_ON_HOLD, .step = SHARE_KEEP, .flags = GUEST_FLAG_ON_HOLD | GUEST_FLAG_SILENT},
     "nothing was done: its moves were paused by an operator"},
    {{.reason = GUEST_REASON_NOT_MANAGED, .step = SHARE_KEEP, .flags = GUEST_FLAG_FOREIGN_HAND},
     "nothing was done: another program moves its memory"},
    {{.reason = GUEST_REASON_NOT_MANAGED, .step = SHARE_KEEP, .flags = GUEST_FLAG_NO_BALLOON},
     "nothing was done: nothing can change its size"},
    {{.reason = GUEST_REASON_NOT_MANAGED, .step = SHARE_KEEP, .flags = GUEST_FLAG_PAUSED},
     "nothing was done: it stood still: paused, shut down, or frozen for a backup"},
};

static void each_decision_has_its_sentence(void **state)
{
    char text[WIRE_WHY_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(decision_cases) / sizeof(decision_cases[0]); i++) {
        why_text_decision(&decision_cases[i].entry, text, sizeof(text));
        assert_string_equal(text, decision_cases[i].text);
    }
}

static void every_reason_has_a_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < GUEST_REASON_COUNT; i++)
        if (!why_reason_name((enum guest_reason)i)[0])
            fail_msg("reason %u has no name", i);
    assert_string_equal(why_reason_name(GUEST_REASON_COUNT), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reason_has_its_sentence),
        cmocka_unit_test(each_decision_has_its_sentence),
        cmocka_unit_test(every_reason_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
