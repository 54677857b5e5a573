/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include "band.h"
#include "harm.h"
#include "motion.h"
#include "peak.h"
#include "policy_defaults.h"
#include "recent.h"
#include "selfmanaging.h"

#define SEC USEC_PER_SEC
#define MIB KIB_PER_MIB

static void peak_halves_each_half_life(void **state)
{
    struct peak p = {0};

    (void)state;
    peak_see(&p, 1000, 10 * SEC, 100 * SEC);
    assert_int_equal(peak_value(&p, 10 * SEC, 100 * SEC), 1000);
    assert_int_equal(peak_value(&p, 60 * SEC, 100 * SEC), 750);
    assert_int_equal(peak_value(&p, 110 * SEC, 100 * SEC), 500);
    assert_int_equal(peak_value(&p, 210 * SEC, 100 * SEC), 250);
    assert_int_equal(peak_value(&p, 100000 * SEC, 100 * SEC), 0);
    assert_int_equal(peak_value(&p, 0, 100 * SEC), 1000); /* an earlier time is the same moment */
    peak_see(&p, 400, 60 * SEC, 100 * SEC);                /* less than what is left: ignored */
    assert_int_equal(peak_value(&p, 60 * SEC, 100 * SEC), 750);
    peak_see(&p, 800, 60 * SEC, 100 * SEC);
    assert_int_equal(peak_value(&p, 60 * SEC, 100 * SEC), 800);
}

static void peak_takes_any_number(void **state)
{
    struct peak p = {0};

    (void)state;
    peak_see(&p, UINT64_MAX, 1, SEC);
    assert_int_equal(peak_value(&p, 1 + SEC, SEC), UINT64_MAX / 2);
}

static void recent_pairs_with_what_held_before(void **state)
{
    struct recent r = {0};
    uint64_t least = 0;
    uint64_t largest = 0;

    (void)state;
    assert_false(recent_range(&r, 0, 100 * SEC, &least, &largest));
    recent_see(&r, 500, 10 * SEC);
    recent_see(&r, 300, 12 * SEC);
    recent_see(&r, 400, 14 * SEC);
    assert_true(recent_range(&r, 11 * SEC, 11 * SEC + 1, &least, &largest)); /* nothing inside: what held then */
    assert_int_equal(least, 500);
    assert_int_equal(largest, 500);
    assert_true(recent_range(&r, 11 * SEC, 13 * SEC, &least, &largest));
    assert_int_equal(least, 300);
    assert_int_equal(largest, 500);
    assert_true(recent_range(&r, 13 * SEC, 20 * SEC, &least, &largest));
    assert_int_equal(least, 300);
    assert_int_equal(largest, 400);
    assert_false(recent_range(&r, 5 * SEC, 9 * SEC, &least, &largest));
}

static void recent_forgets_after_its_window(void **state)
{
    struct recent r = {0};
    uint64_t least = 0;
    uint64_t largest = 0;

    (void)state;
    for (uint64_t t = 0; t < 60; t++)
        recent_see(&r, 1000 - t, t * SEC);
    assert_true(recent_range(&r, 0, 60 * SEC, &least, &largest));
    assert_int_equal(least, 941);
    assert_int_equal(largest, 953); /* 12.8 s are kept */
    recent_see(&r, 7, 2 * SEC);         /* much too late: dropped */
    assert_true(recent_range(&r, 0, 60 * SEC, &least, &largest));
    assert_int_equal(least, 941);
}

static void band_follows_history_within_its_reach(void **state)
{
    struct band b = {0};
    struct band_marks m;

    (void)state;
    for (uint64_t t = 1; t <= 1000; t++)
        band_see(&b, t % 10 < 5 ? 700 : 880, t * SEC);
    band_marks(&b, 83, &m);
    assert_int_equal(m.low_percent, 70);
    assert_int_equal(m.high_percent, 88);
    band_marks(&b, 50, &m); /* low is at most p*, high at most p* + 10 */
    assert_int_equal(m.low_percent, 50);
    assert_int_equal(m.high_percent, 60);
    band_marks(&b, 99, &m); /* low at least p* - 20; 95 caps high, but never below p* */
    assert_int_equal(m.low_percent, 79);
    assert_int_equal(m.high_percent, 99);
    for (uint64_t t = 2001; t <= 10000; t++)
        band_see(&b, 980, t * SEC);
    band_marks(&b, 90, &m); /* its history would have 98 */
    assert_int_equal(m.high_percent, 95);
}

static void band_old_history_fades(void **state)
{
    struct band b = {0};
    struct band_marks m;
    uint64_t now = SEC;

    (void)state;
    for (; now < 3600 * SEC; now += SEC)
        band_see(&b, 700, now);
    now += 24 * 3600 * SEC; /* 4 half-lives: an hour weighs as much as 4 minutes */
    for (uint64_t end = now + 3600 * SEC; now < end; now += SEC)
        band_see(&b, 800, now);
    band_marks(&b, 80, &m);
    assert_int_equal(m.low_percent, 80);
}

static void band_low_mark_rises_when_nobody_has(void **state)
{
    struct band b = {0};
    struct band_marks m;

    (void)state;
    band_see(&b, 600, SEC);
    band_raise(&b, false, SEC);
    band_marks(&b, 80, &m);
    assert_int_equal(m.low_percent, 60);
    band_raise(&b, true, 4 * SEC);
    band_marks(&b, 80, &m);
    assert_int_equal(m.low_percent, 66);
    band_raise(&b, true, 60 * SEC);
    band_marks(&b, 80, &m);
    assert_int_equal(m.low_percent, 80);
    band_raise(&b, false, 61 * SEC);
    band_marks(&b, 80, &m);
    assert_int_equal(m.low_percent, 60);
}

static void band_chatter_does_not_weigh_more(void **state)
{
    struct band once = {0};
    struct band often = {0};

    (void)state;
    band_see(&once, 500, SEC);
    for (uint64_t i = 0; i < 50; i++)
        band_see(&often, 500, SEC + i * USEC_PER_MSEC);
    assert_memory_equal(once.weight, often.weight, sizeof(once.weight));
}

static struct obs_guest_view view_at(enum obs_source source, uint64_t now_usec)
{
    return (struct obs_guest_view){
        .source = source, .time_usec = now_usec, .heard_usec = now_usec, .spacing_usec = SEC,
        .total_bytes = OBS_UNSET, .free_bytes = OBS_UNSET, .available_bytes = OBS_UNSET, .cache_bytes = OBS_UNSET,
        .shmem_bytes = OBS_UNSET, .committed_bytes = OBS_UNSET, .swap_total_bytes = OBS_UNSET,
        .swap_used_bytes = OBS_UNSET, .swapped_in_bytes = OBS_UNSET, .refaulted_bytes = OBS_UNSET,
        .balloon_bytes = OBS_UNSET, .oom_kills = OBS_UNSET, .psi_some_usec = OBS_UNSET, .psi_full_usec = OBS_UNSET,
    };
}

/* One row: what moves after the take, and whether that is harm. Rates are per second. */
struct harm_case {
    const char *name;
    enum obs_source source;
    uint64_t before_swap, after_swap;
    uint64_t before_refault, after_refault;
    uint64_t before_some, after_some;
    uint64_t after_full;
    uint64_t before_disk, after_disk;
    bool harm;
};

static const struct harm_case harm_cases[] = {
    {"nothing moves", OBS_SOURCE_STATISTICS, 0, 0, 0, 0, 0, 0, 0, 0, 0, false},
    {"swap-in of 1 MiB/s", OBS_SOURCE_STATISTICS, 0, 1 << 20, 0, 0, 0, 0, 0, 0, 0, true},
    {"swap-in of 0.4 MiB/s", OBS_SOURCE_STATISTICS, 0, 400 << 10, 0, 0, 0, 0, 0, 0, 0, false},
    {"swap-in as always", OBS_SOURCE_STATISTICS, 4 << 20, 5 << 20, 0, 0, 0, 0, 0, 0, 0, false},
    {"refaults of 3 MiB/s", OBS_SOURCE_AGENT, 0, 0, 0, 3 << 20, 0, 0, 0, 0, 0, true},
    {"PSI some of 2 %", OBS_SOURCE_AGENT, 0, 0, 0, 0, 0, 20000, 0, 0, 0, true},
    {"PSI some of 0.5 %", OBS_SOURCE_AGENT, 0, 0, 0, 0, 0, 5000, 0, 0, 0, false},
    {"PSI full of 3 %", OBS_SOURCE_AGENT, 0, 0, 0, 0, 0, 0, 30000, 0, 0, true},
    {"disk reads of 8 MiB/s without a refault signal", OBS_SOURCE_STATISTICS, 0, 0, 0, 0, 0, 0, 0, 0, 8 << 20, true},
    {"disk reads of 8 MiB/s with one", OBS_SOURCE_AGENT, 0, 0, 0, 0, 0, 0, 0, 0, 8 << 20, false},
};

static void harm_is_told_from_habit(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(harm_cases) / sizeof(*harm_cases); i++) {
        const struct harm_case *c = &harm_cases[i];
        struct harm h = {0};
        struct obs_guest_view v = view_at(c->source, 0);
        struct obs_host_view o = {0};
        bool agent = c->source == OBS_SOURCE_AGENT;
        bool harmed = false;

        v.swapped_in_bytes = v.refaulted_bytes = v.psi_some_usec = v.psi_full_usec = 0;
        for (uint64_t t = 1; t <= 200; t++) {
            bool after = t > 180;
            if (t == 181)
                harm_took(&h, 180 * SEC + SEC / 2);
            v.swapped_in_bytes += after ? c->after_swap : c->before_swap;
            v.refaulted_bytes += after ? c->after_refault : c->before_refault;
            v.psi_some_usec += after ? c->after_some : c->before_some;
            v.psi_full_usec += after ? c->after_full : 0;
            o.disk_read_bytes += after ? c->after_disk : c->before_disk;
            harm_see_view(&h, &v, t * SEC);
            harm_see_host(&h, &o, agent, t * SEC);
            if (harm_check(&h, t * SEC)) {
                assert_false(harmed); /* once for a take */
                harmed = true;
            }
        }
        if (harmed != c->harm)
            fail_msg("%s: harm is %d", c->name, harmed);
    }
}

static void harm_mark_holds_longer_each_time(void **state)
{
    struct harm h = {0};
    uint64_t now = SEC;
    static const uint64_t minutes[] = {30, 60, 120, 240, 240};

    (void)state;
    assert_int_equal(harm_mark_kib(&h, now), 0);
    for (size_t i = 0; i < 5; i++) {
        harm_mark(&h, 1000, now);
        assert_int_equal(harm_mark_kib(&h, now + minutes[i] * USEC_PER_MIN - 1), 1000);
        assert_int_equal(harm_mark_kib(&h, now + minutes[i] * USEC_PER_MIN), 0);
        now += minutes[i] * USEC_PER_MIN;
    }
    now += 5 * 3600 * SEC; /* long without harm: it starts anew */
    harm_mark(&h, 700, now);
    assert_int_equal(harm_mark_kib(&h, now + 1), 700);
    assert_int_equal(harm_mark_kib(&h, now + 30 * USEC_PER_MIN), 0);
}

static void motion_withdraws_then_is_stuck_then_forgiven(void **state)
{
    struct motion m = {0};
    uint64_t now = SEC;

    (void)state;
    motion_order(&m, 1000 * MIB, 500 * MIB, now);
    assert_false(motion_wants_withdrawal(&m, now + 2 * SEC - 1));
    assert_true(motion_wants_withdrawal(&m, now + 2 * SEC));
    now += 2 * SEC;
    motion_withdraw(&m, now);
    assert_false(motion_is_stuck(&m));
    motion_order(&m, 1000 * MIB, 500 * MIB, now);
    now += 2 * SEC;
    motion_withdraw(&m, now);
    assert_true(motion_is_stuck(&m)); /* two in a row */
    assert_true(motion_is_held(&m, now + 5 * SEC - 1));
    assert_false(motion_is_held(&m, now + 5 * SEC));
    static const uint64_t waits[] = {10, 20, 40, 80, 160, 300, 300};
    now += 5 * SEC;
    for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
        motion_order(&m, 1000 * MIB, 500 * MIB, now);
        now += 2 * SEC;
        assert_true(motion_wants_withdrawal(&m, now));
        motion_withdraw(&m, now);
        assert_true(motion_is_held(&m, now + waits[i] * SEC - 1));
        assert_false(motion_is_held(&m, now + waits[i] * SEC));
        now += waits[i] * SEC;
    }
    motion_order(&m, 1000 * MIB, 500 * MIB, now);
    motion_see(&m, 990 * MIB, MIB, now + SEC);
    assert_false(motion_is_stuck(&m)); /* it moves: forgiven */
    assert_false(motion_wants_withdrawal(&m, now + 3 * SEC - 1));
    motion_see(&m, 500 * MIB, MIB, now + 2 * SEC);
    assert_false(m.active);
}

static void motion_new_targets_do_not_renew_patience(void **state)
{
    struct motion m = {0};

    (void)state;
    for (uint64_t t = 0; t < 2; t++)
        motion_order(&m, 1000 * MIB, (900 - t) * MIB, (1 + t) * SEC);
    assert_true(motion_wants_withdrawal(&m, 3 * SEC));
    motion_order(&m, 1000 * MIB, 1200 * MIB, 3 * SEC); /* the other way: a new matter */
    assert_false(motion_wants_withdrawal(&m, 3 * SEC));
}

static void motion_moving_away_is_no_movement(void **state)
{
    struct motion m = {0};

    (void)state;
    motion_order(&m, 1000 * MIB, 500 * MIB, SEC);
    motion_see(&m, 1100 * MIB, MIB, 2 * SEC);
    assert_true(motion_wants_withdrawal(&m, 3 * SEC));
}

static void selfmanaging_database_is_found_and_honesty_ends_it(void **state)
{
    struct selfmanaging s = {0};
    uint64_t assigned = 1000 * MIB;
    uint64_t now = SEC;

    (void)state;
    selfmanaging_see(&s, assigned, 900 * MIB, false, now);
    for (int i = 0; i < 4; i++) { /* it takes all it is given */
        now += 3 * USEC_PER_MIN;
        assigned += assigned / 8;
        selfmanaging_see(&s, assigned, assigned - 100 * MIB, false, now);
    }
    assert_int_equal(selfmanaging_limit_kib(&s), assigned);
    selfmanaging_see(&s, assigned, assigned - 100 * MIB, true, now + SEC); /* it stalled: it did need it */
    assert_int_equal(selfmanaging_limit_kib(&s), 0);
}

static void selfmanaging_needs_time_and_grants(void **state)
{
    struct selfmanaging s = {0};
    uint64_t assigned = 1000 * MIB;
    uint64_t now = SEC;

    (void)state;
    selfmanaging_see(&s, assigned, 900 * MIB, false, now);
    for (int i = 0; i < 5; i++) { /* all within 5 min of the start: may be a start-up */
        now += USEC_PER_MIN;
        assigned += assigned / 8;
        selfmanaging_see(&s, assigned, assigned - 100 * MIB, false, now);
    }
    assert_int_equal(selfmanaging_limit_kib(&s), 0);

    struct selfmanaging quiet = {0};
    assigned = 1000 * MIB;
    for (int i = 0; i < 40; i++) { /* grants, but it does not use them */
        now += USEC_PER_MIN;
        assigned += assigned / 50;
        selfmanaging_see(&quiet, assigned, 300 * MIB, false, now);
    }
    assert_int_equal(selfmanaging_limit_kib(&quiet), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peak_halves_each_half_life),
        cmocka_unit_test(peak_takes_any_number),
        cmocka_unit_test(recent_pairs_with_what_held_before),
        cmocka_unit_test(recent_forgets_after_its_window),
        cmocka_unit_test(band_follows_history_within_its_reach),
        cmocka_unit_test(band_old_history_fades),
        cmocka_unit_test(band_low_mark_rises_when_nobody_has),
        cmocka_unit_test(band_chatter_does_not_weigh_more),
        cmocka_unit_test(harm_is_told_from_habit),
        cmocka_unit_test(harm_mark_holds_longer_each_time),
        cmocka_unit_test(motion_withdraws_then_is_stuck_then_forgiven),
        cmocka_unit_test(motion_new_targets_do_not_renew_patience),
        cmocka_unit_test(motion_moving_away_is_no_movement),
        cmocka_unit_test(selfmanaging_database_is_found_and_honesty_ends_it),
        cmocka_unit_test(selfmanaging_needs_time_and_grants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
