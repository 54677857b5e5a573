/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include "levels.h"

#define MIB 1024ULL
#define GIB (1024ULL * MIB)

/* 4 GiB of which 2 are in use, all touched, with a stall signal; buffer 20 %. */
static struct levels_in normal(void)
{
    return (struct levels_in){.minimum_kib = 256 * MIB,
                              .maximum_kib = 8 * GIB,
                              .assigned_kib = 4 * GIB,
                              .plugged_kib = 4 * GIB,
                              .proof_kib = 4 * GIB,
                              .demand_kib = 2 * GIB,
                              .used_kib = 2 * GIB,
                              .target_kib = 2516583,
                              .stall_signal = true};
}

static struct levels compute(struct levels_in in)
{
    struct levels l;

    levels_compute(&in, &l);
    assert_true(l.lower_kib <= l.floor_kib);
    assert_true(l.floor_kib <= l.head_kib);
    assert_true(l.head_kib <= l.top_kib);
    assert_true(l.top_kib <= l.keep_kib);
    return l;
}

static void a_guest_with_plenty_gives_down_to_its_target(void **state)
{
    struct levels l = compute(normal());

    (void)state;
    assert_int_equal(l.safe_kib, 2139096); /* 102 %, rounded up */
    assert_int_equal(l.bound_kib, 6 * GIB);
    assert_int_equal(l.lower_kib, 2139096);
    assert_int_equal(l.floor_kib, 2139096);
    assert_int_equal(l.head_kib, 2139096);
    assert_int_equal(l.top_kib, 2516583);
    assert_int_equal(l.keep_kib, 2516583);
}

static void lower_is_never_above_what_the_guest_has_nor_below_its_minimum(void **state)
{
    struct levels_in in = normal();

    (void)state;
    in.assigned_kib = 1 * GIB; /* starved */
    assert_int_equal(compute(in).lower_kib, 1 * GIB);
    in.assigned_kib = 256 * MIB; /* at its minimum */
    assert_int_equal(compute(in).lower_kib, 256 * MIB);
    in.assigned_kib = 100 * MIB; /* below it */
    assert_int_equal(compute(in).lower_kib, 256 * MIB);
    in = normal();
    in.used_kib = 0;
    in.plugged_kib = 0;
    in.minimum_kib = 300 * MIB;
    assert_int_equal(compute(in).lower_kib, 300 * MIB);
}

static void swap_makes_room_under_use(void **state)
{
    struct levels_in in = normal();

    (void)state;
    in.swap_total_kib = 1 * GIB;
    assert_int_equal(compute(in).safe_kib, 2139096 - 512 * MIB);
    in.higher_waits = true;
    assert_int_equal(compute(in).safe_kib, 2139096 - 768 * MIB);
    in.swap_used_kib = 256 * MIB;
    assert_int_equal(compute(in).safe_kib, 2139096 - 512 * MIB);
    in.swap_used_kib = 1 * GIB; /* none left, not negative */
    assert_int_equal(compute(in).safe_kib, 2139096);
    in.swap_total_kib = UINT64_MAX;
    in.swap_used_kib = 0;
    assert_int_equal(compute(in).safe_kib, 488 * MIB); /* the kernel's floor: 4 GiB need 232 + 256 */
}

static void a_margin_stays_available(void **state)
{
    struct levels_in in = normal();

    (void)state;
    in.used_kib = in.demand_kib = 1 * GIB;
    in.assigned_kib = 2 * GIB;
    in.plugged_kib = 256 * MIB;
    assert_int_equal(compute(in).safe_kib, 1 * GIB + 32 * MIB);
    in.stall_signal = false;
    assert_int_equal(compute(in).safe_kib, 1 * GIB + 64 * MIB);
}

static void a_claim_beyond_the_bound_is_not_believed(void **state)
{
    struct levels_in in = normal();
    struct levels l;

    (void)state;
    in.assigned_kib = 512 * MIB;
    in.plugged_kib = 512 * MIB;
    in.proof_kib = 100 * MIB;
    in.demand_kib = in.used_kib = 6 * GIB;
    in.target_kib = 7 * GIB;
    in.rise_kib = 1 * GIB;
    l = compute(in);
    assert_int_equal(l.bound_kib, 512 * MIB);
    assert_int_equal(l.keep_kib, 512 * MIB);
    in.startup_kib = 600 * MIB;
    assert_int_equal(compute(in).top_kib, 600 * MIB);
    in.proof_kib = 600 * MIB + 1;
    assert_int_equal(compute(in).top_kib, 900 * MIB + 2); /* 1.5 x proof, rounded up */
    in.startup_kib = 0;
    in.assigned_kib = 10 * MIB;
    in.minimum_kib = 0;
    in.proof_kib = 10 * MIB;
    assert_int_equal(compute(in).bound_kib, 74 * MIB); /* proof + 64 MiB */
    in.minimum_kib = 80 * MIB;
    assert_int_equal(compute(in).bound_kib, 80 * MIB);
}

static void rise_and_stall_want_headroom(void **state)
{
    struct levels_in in = normal();

    (void)state;
    in.rise_kib = 1 * GIB;
    assert_int_equal(compute(in).head_kib, 3 * GIB);
    in.maximum_kib = 2800 * MIB;
    assert_int_equal(compute(in).head_kib, 2800 * MIB);
    in = normal();
    in.stall_percent = 25;
    assert_int_equal(compute(in).head_kib, 5 * GIB);
    in.assigned_kib = 4 * GIB + 1;
    assert_int_equal(compute(in).head_kib, 5 * GIB + 2);
    in.rise_kib = 4 * GIB;
    assert_int_equal(compute(in).head_kib, 6 * GIB);
}

static void a_mark_lifts_top_only(void **state)
{
    struct levels_in in = normal();
    struct levels l;

    (void)state;
    in.mark_kib = 3 * GIB;
    l = compute(in);
    assert_int_equal(l.top_kib, 3 * GIB);
    assert_int_equal(l.head_kib, 2139096);
    in.maximum_kib = 2600 * MIB;
    assert_int_equal(compute(in).top_kib, 2600 * MIB);
}

static void a_self_managing_guest_is_limited_down_to_its_floor(void **state)
{
    struct levels_in in = normal();
    struct levels l;

    (void)state;
    in.rise_kib = 1 * GIB;
    in.target_kib = 4 * GIB;
    in.limit_kib = 2500 * MIB;
    l = compute(in);
    assert_int_equal(l.head_kib, 2500 * MIB);
    assert_int_equal(l.top_kib, 2500 * MIB);
    in.limit_kib = 1;
    l = compute(in);
    assert_int_equal(l.head_kib, l.floor_kib);
    assert_int_equal(l.top_kib, l.floor_kib);
}

static void a_lazy_guest_would_rather_keep(void **state)
{
    struct levels_in in = normal();

    (void)state;
    in.lazy = true;
    assert_int_equal(compute(in).keep_kib, 4 * GIB);
    in.assigned_kib = 1 * GIB;
    assert_int_equal(compute(in).keep_kib, 2516583);
}

static void a_lowered_maximum_never_grows_but_never_undoes(void **state)
{
    struct levels_in in = normal();
    struct levels l;

    (void)state;
    in.maximum_kib = in.target_kib = 1 * GIB;
    in.rise_kib = 1 * GIB;
    l = compute(in);
    assert_int_equal(l.lower_kib, 2139096);
    assert_int_equal(l.keep_kib, 2139096); /* above maximum, at most assigned */
}

static void largest_values_saturate(void **state)
{
    const struct levels_in in = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
                                 UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
                                 UINT32_MAX, true,       true,       true};

    (void)state;
    assert_int_equal(compute(in).lower_kib, UINT64_MAX);
    assert_int_equal(compute((struct levels_in){0}).keep_kib, 32 * MIB - 32 * MIB);
}

static void fixed_levels_are_all_one(void **state)
{
    struct levels l;

    (void)state;
    levels_fix(77, &l);
    assert_int_equal(l.lower_kib, 77);
    assert_int_equal(l.floor_kib, 77);
    assert_int_equal(l.head_kib, 77);
    assert_int_equal(l.top_kib, 77);
    assert_int_equal(l.keep_kib, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_with_plenty_gives_down_to_its_target),
        cmocka_unit_test(lower_is_never_above_what_the_guest_has_nor_below_its_minimum),
        cmocka_unit_test(swap_makes_room_under_use),
        cmocka_unit_test(a_margin_stays_available),
        cmocka_unit_test(a_claim_beyond_the_bound_is_not_believed),
        cmocka_unit_test(rise_and_stall_want_headroom),
        cmocka_unit_test(a_mark_lifts_top_only),
        cmocka_unit_test(a_self_managing_guest_is_limited_down_to_its_floor),
        cmocka_unit_test(a_lazy_guest_would_rather_keep),
        cmocka_unit_test(a_lowered_maximum_never_grows_but_never_undoes),
        cmocka_unit_test(largest_values_saturate),
        cmocka_unit_test(fixed_levels_are_all_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
