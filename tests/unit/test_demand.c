/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include "demand.h"

#define MIB 1024ULL
#define GIB (1024ULL * MIB)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void kernel_floor_follows_its_five_pieces(void **state)
{
    static const struct {
        uint64_t t_kib, floor_kib;
    } cases[] = {
        {0, 8 * MIB},
        {16 * MIB, 16 * MIB},
        {128 * MIB - 1, 8 * MIB + 64 * MIB - 1},
        {128 * MIB, 72 * MIB},
        {512 * MIB - 1, 168 * MIB - 1},
        {512 * MIB, 168 * MIB},
        {2 * GIB - 1, 360 * MIB - 1},
        {2 * GIB, 360 * MIB},
        {8 * GIB - 1, 744 * MIB - 1},
        {8 * GIB, 744 * MIB},
        {32 * GIB, 1512 * MIB},
        {UINT64_MAX, 488 * MIB + (UINT64_MAX >> 5)},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(demand_kernel_floor_kib(cases[i].t_kib), cases[i].floor_kib);
}

static void assigned_is_boot_and_online_less_the_balloon(void **state)
{
    (void)state;
    assert_int_equal(demand_assigned_kib(256 * MIB, 256 * MIB, 128 * MIB), 384 * MIB);
    assert_int_equal(demand_assigned_kib(256 * MIB, 0, 300 * MIB), 0); /* forged */
    assert_int_equal(demand_assigned_kib(UINT64_MAX, UINT64_MAX, 1), UINT64_MAX - 1);
}

static void missed_adds_bytes_first_and_rounds_up_once(void **state)
{
    static const struct {
        uint64_t swapped, refaulted, assigned_kib, missed_kib;
    } cases[] = {
        {0, 0, 4096, 0},
        {1, 1, 4096, 1},
        {1023, 1, 4096, 1},
        {1024, 1, 4096, 2},
        {1024 * 1024, 1, 4096, 1024}, /* at most a quarter */
        {1024 * 1024, 0, 4095, 1023}, /* rounded down */
        {1, 1, 3, 0},
        {UINT64_MAX, UINT64_MAX, 1ULL << 60, 1ULL << 55},
        {UINT64_MAX, UINT64_MAX, 4096, 1024},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(demand_missed_kib(cases[i].swapped, cases[i].refaulted, cases[i].assigned_kib),
                         cases[i].missed_kib);
}

static void kept_cache_is_at_most_15_percent(void **state)
{
    (void)state;
    assert_int_equal(demand_kept_kib(100 * MIB, 0, GIB), 100 * MIB);
    assert_int_equal(demand_kept_kib(500 * MIB, 0, GIB), 157286); /* floor(15 x assigned / 100) */
    assert_int_equal(demand_kept_kib(500 * MIB, 450 * MIB, GIB), 50 * MIB);
    assert_int_equal(demand_kept_kib(10, 20, GIB), 0);
    assert_int_equal(demand_kept_kib(UINT64_MAX, 0, UINT64_MAX), UINT64_MAX / 100 * 15 + UINT64_MAX % 100 * 15 / 100);
}

static void used_is_clamped_before_missed_and_kept_are_added(void **state)
{
    (void)state;
    assert_int_equal(demand_used_kib(100, 30, 5, 7), 82);
    assert_int_equal(demand_used_kib(100, 130, 5, 7), 12);
    assert_int_equal(demand_used_kib(UINT64_MAX, 0, UINT64_MAX, UINT64_MAX), UINT64_MAX);
}

static void committed_adds_the_kernel_floor(void **state)
{
    (void)state;
    assert_int_equal(demand_committed_kib(90 * MIB, 128 * MIB), 162 * MIB);
    assert_int_equal(demand_committed_kib(UINT64_MAX, 128 * MIB), UINT64_MAX);
}

static void a_stalled_guest_asks_for_more_than_it_has(void **state)
{
    (void)state;
    assert_int_equal(demand_stalled_kib(GIB), 1101005); /* 5 %, rounded up */
    assert_int_equal(demand_stalled_kib(256 * MIB), 288 * MIB);
    assert_int_equal(demand_stalled_kib(640 * MIB), 672 * MIB); /* 5 % is 32 MiB */
    assert_int_equal(demand_stalled_kib(0), 32 * MIB);
    assert_int_equal(demand_stalled_kib(UINT64_MAX), UINT64_MAX);
    assert_int_equal(demand_stall_line_kib(4 * GIB), 4 * GIB / 50);
    assert_int_equal(demand_stall_line_kib(256 * MIB), 16 * MIB);
}

static void targets_of_the_worked_examples(void **state)
{
    static const struct {
        enum buffer_of of;
        int64_t buffer;
        uint64_t demand_kib, minimum_kib, maximum_kib, unclamped_kib, target_kib;
    } cases[] = {
        /* docs/design.md 3.2: 515 MiB used, startup 512 MiB, maximum 64 GiB, 25 % of total: 686.7 MiB */
        {BUFFER_OF_TOTAL, 2500, 515 * MIB, 512 * MIB, 64 * GIB, 703147, 703147},
        {BUFFER_OF_DEMAND, 2000, 534780, 128 * MIB, 64 * GIB, 641736, 641736},
        {BUFFER_OF_DEMAND, 0, 77, 0, 100, 77, 77},
        {BUFFER_OF_TOTAL, 9000, 77, 0, 1000, 770, 770},
        {BUFFER_OF_DEMAND, 20000, 77, 0, 1000, 231, 231},
        {BUFFER_OF_DEMAND, 1, 1, 0, 1000, 2, 2}, /* rounds up */
        {BUFFER_OF_TOTAL, 1, 1, 0, 1000, 2, 2},
        {BUFFER_OF_DEMAND, 2000, 100, 200, 300, 120, 200},
        {BUFFER_OF_DEMAND, 2000, 1000, 200, 300, 1200, 300},
        {BUFFER_OF_DEMAND, 2000, 1000, 300, 300, 1200, 300},
        {BUFFER_OF_TOTAL, 9000, UINT64_MAX, 0, UINT64_MAX, UINT64_MAX, UINT64_MAX},
        {BUFFER_OF_DEMAND, 20000, UINT64_MAX, 0, UINT64_MAX, UINT64_MAX, UINT64_MAX},
        {BUFFER_OF_DEMAND, 2000, 1ULL << 46, 0, UINT64_MAX, 84442493013197ULL, 84442493013197ULL},
    };
    uint64_t unclamped_kib, target_kib;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(demand_target_kib(cases[i].of, cases[i].buffer, cases[i].demand_kib, cases[i].minimum_kib,
                                      cases[i].maximum_kib, &unclamped_kib, &target_kib));
        assert_int_equal(unclamped_kib, cases[i].unclamped_kib);
        assert_int_equal(target_kib, cases[i].target_kib);
    }
}

static void targets_that_are_refused_write_nothing(void **state)
{
    static const struct {
        enum buffer_of of;
        int64_t buffer;
        uint64_t minimum_kib, maximum_kib;
    } cases[] = {
        {BUFFER_OF_TOTAL, 9001, 0, 1},        {BUFFER_OF_TOTAL, -1, 0, 1},  {BUFFER_OF_TOTAL, 10000, 0, 1},
        {BUFFER_OF_DEMAND, 20001, 0, 1},      {BUFFER_OF_DEMAND, -1, 0, 1}, {BUFFER_OF_DEMAND, INT64_MIN, 0, 1},
        {BUFFER_OF_DEMAND, INT64_MAX, 0, 1},  {BUFFER_OF_COUNT, 0, 0, 1},   {BUFFER_OF_DEMAND, 0, 2, 1},
    };
    uint64_t unclamped_kib = 7, target_kib = 8;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_false(demand_target_kib(cases[i].of, cases[i].buffer, 100, cases[i].minimum_kib, cases[i].maximum_kib,
                                       &unclamped_kib, &target_kib));
    assert_int_equal(unclamped_kib, 7);
    assert_int_equal(target_kib, 8);
}

static void pressure_rounds_half_up_without_a_cap(void **state)
{
    static const struct {
        uint64_t demand_kib, assigned_kib, permille;
    } cases[] = {
        {534780, 798264, 670}, /* docs/design.md 3.2: 67 % */
        {1, 2000, 1},          /* 0.5 */
        {1, 2001, 0},
        {3, 2000, 2}, /* 1.5 */
        {2000, 1000, 2000},
        {0, 0, 0},
        {5, 0, 5000},
        {UINT64_MAX, 1, UINT64_MAX},
        {UINT64_MAX, UINT64_MAX, 1000},
        {1ULL << 53, 1ULL << 53, 1000},
        {1ULL << 52, 1ULL << 52, 1000},
        {(1ULL << 62) - 1, 1ULL << 63, 500},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(demand_pressure_permille(cases[i].demand_kib, cases[i].assigned_kib), cases[i].permille);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernel_floor_follows_its_five_pieces),
        cmocka_unit_test(assigned_is_boot_and_online_less_the_balloon),
        cmocka_unit_test(missed_adds_bytes_first_and_rounds_up_once),
        cmocka_unit_test(kept_cache_is_at_most_15_percent),
        cmocka_unit_test(used_is_clamped_before_missed_and_kept_are_added),
        cmocka_unit_test(committed_adds_the_kernel_floor),
        cmocka_unit_test(a_stalled_guest_asks_for_more_than_it_has),
        cmocka_unit_test(targets_of_the_worked_examples),
        cmocka_unit_test(targets_that_are_refused_write_nothing),
        cmocka_unit_test(pressure_rounds_half_up_without_a_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
