/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include "share.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define GUESTS 4

/* Five guests' worth of steps over the same three guests: lower, floor, head, top, keep. */
static const struct levels three[] = {
    {.lower_kib = 100, .floor_kib = 200, .head_kib = 300, .top_kib = 400, .keep_kib = 500},
    {.lower_kib = 100, .floor_kib = 200, .head_kib = 300, .top_kib = 400, .keep_kib = 400},
    {.lower_kib = 100, .floor_kib = 200, .head_kib = 300, .top_kib = 400, .keep_kib = 400},
};

static void each_level_is_filled_before_the_next(void **state)
{
    static const struct {
        int64_t capacity_kib;
        uint64_t pool_kib;
        enum share_step step;
        uint64_t given_kib[3];
        uint64_t free_kib, over_kib;
    } cases[] = {
        {2000, 50, SHARE_KEEP, {500, 400, 400}, 700, 0},
        {1350, 50, SHARE_KEEP, {500, 400, 400}, 50, 0},
        {1349, 50, SHARE_TOP, {499, 400, 400}, 50, 0},
        {1250, 50, SHARE_TOP, {400, 400, 400}, 50, 0},
        {1249, 50, SHARE_HEAD, {400, 400, 399}, 50, 0}, /* by position */
        {1000, 50, SHARE_HEAD, {317, 317, 316}, 50, 0},
        {960, 50, SHARE_HEAD, {310, 310, 310}, 30, 0}, /* half of what is left is the pool's */
        {900, 50, SHARE_HEAD, {300, 300, 300}, 0, 0},
        {899, 50, SHARE_FLOOR, {300, 300, 299}, 0, 0},
        {600, 50, SHARE_FLOOR, {200, 200, 200}, 0, 0},
        {599, 50, SHARE_LOWER, {200, 200, 199}, 0, 0},
        {300, 50, SHARE_LOWER, {100, 100, 100}, 0, 0},
        {299, 50, SHARE_OVER, {100, 100, 100}, 0, 1},
        {-5, 50, SHARE_OVER, {100, 100, 100}, 0, 305},
        {INT64_MIN, UINT64_MAX, SHARE_OVER, {100, 100, 100}, 0, (1ULL << 63) + 300},
        {INT64_MAX, 0, SHARE_KEEP, {500, 400, 400}, INT64_MAX - 1300, 0},
    };
    static const uint64_t weight[] = {7, 7, 7};
    struct share_slot slots[3];
    struct share_result result;
    uint64_t given_kib[3];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        share_divide(cases[i].capacity_kib, cases[i].pool_kib, three, weight, 3, slots, given_kib, &result);
        assert_int_equal(result.step, cases[i].step);
        for (size_t j = 0; j < 3; j++)
            assert_int_equal(given_kib[j], cases[i].given_kib[j]);
        assert_int_equal(result.free_kib, cases[i].free_kib);
        assert_int_equal(result.over_kib, cases[i].over_kib);
    }
}

static void no_guest_is_legal(void **state)
{
    struct share_result result;

    (void)state;
    share_divide(100, 10, NULL, NULL, 0, NULL, NULL, &result);
    assert_int_equal(result.step, SHARE_KEEP);
    assert_int_equal(result.free_kib, 100);
    share_divide(5, 10, NULL, NULL, 0, NULL, NULL, &result);
    assert_int_equal(result.step, SHARE_HEAD);
    share_divide(-1, 10, NULL, NULL, 0, NULL, NULL, &result);
    assert_int_equal(result.step, SHARE_OVER);
    assert_int_equal(result.over_kib, 1);
}

static void weighted_parts(void **state)
{
    static const struct {
        const char *what;
        uint64_t amount_kib;
        size_t n;
        uint64_t room_kib[GUESTS], weight[GUESTS], given_kib[GUESTS];
    } cases[] = {
        {"nothing to share", 0, 2, {5, 5}, {1, 1}, {0, 0}},
        {"enough for all", 10, 2, {5, 5}, {1, 1}, {5, 5}},
        {"more than enough", UINT64_MAX, 2, {5, 5}, {1, 1}, {5, 5}},
        {"position decides", 1, 3, {5, 5, 5}, {1, 1, 1}, {1, 0, 0}},
        {"largest remainder, not the first", 2, 3, {1, 2, 3}, {1, 1, 1}, {0, 1, 1}},
        {"the heavy saturates first", 100, 2, {50, 100}, {1000, 1}, {50, 50}},
        {"equal weights saturate together", 75, 3, {10, 50, 100}, {9, 9, 1}, {10, 50, 15}},
        {"exactly at the edge, R w = S", 6, 2, {4, 4}, {2, 1}, {4, 2}},
        {"one KiB under the edge", 5, 2, {4, 4}, {2, 1}, {3, 2}},
        {"saturation frees weight for the next", 9, 3, {1, 4, 10}, {100, 8, 1}, {1, 4, 4}},
        {"zero rooms", 3, 4, {0, 3, 0, 3}, {9, 1, 9, 1}, {0, 2, 0, 1}},
        {"largest of all", UINT64_MAX, 2, {UINT64_MAX, UINT64_MAX}, {1, 1}, {1ULL << 63, (1ULL << 63) - 1}},
        {"weights beyond all sense", 3, 2, {UINT64_MAX, UINT64_MAX}, {UINT64_MAX, UINT64_MAX}, {2, 1}},
        {"the lightest keeps a bit", 100, 2, {UINT64_MAX, UINT64_MAX}, {UINT64_MAX, 1}, {100, 0}},
        {"weight 0 counts as 1", 4, 2, {4, 4}, {0, 1}, {2, 2}},
        {"wider than 128 bits", 1ULL << 60, 2, {1ULL << 60, 1ULL << 60}, {1ULL << 40, 1ULL << 40}, {1ULL << 59, 1ULL << 59}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct share_slot slots[GUESTS] = {{0}};
        uint64_t given_kib[GUESTS] = {0};

        for (size_t j = 0; j < cases[i].n; j++)
            slots[j] = (struct share_slot){
                .room_kib = cases[i].room_kib[j], .weight = cases[i].weight[j], .position = j};
        share_weighted(cases[i].amount_kib, slots, cases[i].n, given_kib);
        for (size_t j = 0; j < cases[i].n; j++)
            if (given_kib[j] != cases[i].given_kib[j])
                fail_msg("%s: guest %zu got %llu instead of %llu", cases[i].what, j, (unsigned long long)given_kib[j],
                         (unsigned long long)cases[i].given_kib[j]);
    }
}

static void parts_are_added_and_a_repeated_position_does_no_harm(void **state)
{
    struct share_slot slots[] = {{.room_kib = 10, .weight = 1, .position = 0},
                                 {.room_kib = 10, .weight = 1, .position = 0},
                                 {.room_kib = 10, .weight = 1, .position = 0}};
    uint64_t given_kib[] = {1000};

    (void)state;
    share_weighted(4, slots, 3, given_kib);
    assert_int_equal(given_kib[0], 1004);
}

static void levels_out_of_order_never_wrap(void **state)
{
    static const struct levels odd[] = {
        {.lower_kib = 10, .floor_kib = 5, .head_kib = 30, .top_kib = 3, .keep_kib = 50},
        {.lower_kib = UINT64_MAX, .floor_kib = 5, .head_kib = UINT64_MAX, .top_kib = 0, .keep_kib = UINT64_MAX},
    };
    static const uint64_t weight[] = {1, UINT64_MAX};
    struct share_slot slots[2];
    struct share_result result;
    uint64_t given_kib[2];

    (void)state;
    for (int64_t capacity_kib = -50; capacity_kib < 100; capacity_kib++)
        share_divide(capacity_kib, /* pool_kib= */ 1, odd, weight, 2, slots, given_kib, &result);
    share_divide(INT64_MAX, UINT64_MAX, odd, weight, 2, slots, given_kib, &result);
    assert_true(result.step >= SHARE_KEEP && result.step <= SHARE_OVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_level_is_filled_before_the_next),
        cmocka_unit_test(no_guest_is_legal),
        cmocka_unit_test(weighted_parts),
        cmocka_unit_test(parts_are_added_and_a_repeated_position_does_no_harm),
        cmocka_unit_test(levels_out_of_order_never_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
