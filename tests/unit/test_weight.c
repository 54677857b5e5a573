/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include "weight.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void idle_memory_weighs_less_by_the_tax(void **state)
{
    static const struct {
        int64_t priority, active_ppm, tax_ppm;
        uint64_t weight;
    } cases[] = {
        {5000, 1000000, 750000, 5000000000},
        {5000, 0, 0, 5000000000},
        {5000, 0, 750000, 1250000000}, /* a quarter: k = 1 / (1 - tau) = 4 */
        {5000, 333333, 750000, 1666666111},
        {1, 0, 999999, 1}, /* never 0 */
        {1, 1, 999999, 1},
        {10000, 1000000, 0, 10000000000},
        {10000, 1000000, 999999, 10000000000},
        {10000, 999999, 999999, 5000002500},
    };
    uint64_t weight;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(weight_compute(cases[i].priority, cases[i].active_ppm, cases[i].tax_ppm, &weight));
        assert_int_equal(weight, cases[i].weight);
    }
}

static void out_of_range_is_refused(void **state)
{
    static const int64_t cases[][3] = {
        {0, 0, 0},           {-1, 0, 0},       {10001, 0, 0},         {1, -1, 0},        {1, 1000001, 0},
        {1, 0, -1},          {1, 0, 1000000},  {INT64_MIN, 0, 0},     {INT64_MAX, 0, 0}, {1, INT64_MIN, 0},
        {1, INT64_MAX, 0},   {1, 0, INT64_MIN}, {1, 0, INT64_MAX},    {1, 1000000, 1000000},
    };
    uint64_t weight = 7;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_false(weight_compute(cases[i][0], cases[i][1], cases[i][2], &weight));
    assert_int_equal(weight, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_memory_weighs_less_by_the_tax),
        cmocka_unit_test(out_of_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
