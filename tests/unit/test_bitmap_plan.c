/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <string.h>

#include "bitmap_plan.h"

#define CHUNK 1048576U
#define SIZE (1ULL << 30)
#define FRESH 900

static void numbers(void **state)
{
    static const struct {
        const char *name;
        bool is_ours;
        uint64_t number;
    } cases[] = {
        {"ballast-ab-1795533850000000", true, 1795533850000000}, {"ballast-ab-1", true, 1}, {"ballast-ab-", false, 0},
        {"ballast-ab-0", false, 0}, {"ballast-ab-01", false, 0}, {"ballast-ab-1x", false, 0}, {"ballast-abc-1", false, 0},
        {"ballast-ab--1", false, 0}, {"ballast-ab-9999999999999999999", false, 0}, {"", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t n = 0;

        assert_int_equal(bitmap_number(cases[i].name, "ballast-ab-", &n), cases[i].is_ours);
        assert_int_equal(n, cases[i].number);
    }
}

static void plans(void **state)
{
    static const struct {
        struct bitmap_seen seen[3];
        size_t n;
        uint64_t committed, committed_size;
        enum bitmap_reason reason;
        uint64_t base, next, fold;
        size_t drop_n;
    } cases[] = {
        {{{0}}, 0, 0, 0, BITMAP_FIRST, 0, FRESH, 0, 0},
        {{{0}}, 0, 5, SIZE, BITMAP_MISSING, 0, FRESH, 0, 0},
        {{{5, true, false, false, CHUNK, 7}}, 1, 5, SIZE, BITMAP_GOES_ON, 5, FRESH, 0, 0},
        /* cut off before the commit: fold back */
        {{{5, false, false, false, CHUNK, 7}, {8, true, false, false, CHUNK, 1}}, 2, 5, SIZE, BITMAP_GOES_ON, 5, FRESH, 8, 0},
        /* cut off after it: the old one goes */
        {{{5, false, false, false, CHUNK, 7}, {8, true, false, false, CHUNK, 1}}, 2, 8, SIZE, BITMAP_GOES_ON, 8, FRESH, 0, 1},
        /* what was recorded last is lost: a silent gap if it went on */
        {{{5, false, false, false, CHUNK, 7}}, 1, 5, SIZE, BITMAP_MISSING, 0, FRESH, 0, 1},
        {{{5, false, false, false, CHUNK, 7}, {8, true, true, false, CHUNK, 1}}, 2, 5, SIZE, BITMAP_INCONSISTENT, 0, FRESH, 0, 2},
        {{{5, false, false, false, CHUNK, 7}, {8, false, false, false, CHUNK, 1}}, 2, 5, SIZE, BITMAP_MISSING, 0, FRESH, 0, 2},
        {{{5, false, false, false, CHUNK, 7}, {8, false, false, false, CHUNK, 1}, {9, true, false, false, CHUNK, 1}}, 3, 5, SIZE,
         BITMAP_UNUSABLE, 0, FRESH, 0, 3},
        {{{5, true, true, false, CHUNK, 7}}, 1, 5, SIZE, BITMAP_INCONSISTENT, 0, FRESH, 0, 1},
        {{{5, true, false, true, CHUNK, 7}}, 1, 5, SIZE, BITMAP_UNUSABLE, 0, FRESH, 0, 1},
        {{{5, true, false, false, 65536, 7}}, 1, 5, SIZE, BITMAP_UNUSABLE, 0, FRESH, 0, 1},
        {{{5, true, false, false, CHUNK, 7}}, 1, 5, SIZE / 2, BITMAP_RESIZED, 0, FRESH, 0, 1},
        /* another guest's, on a copy of its disk; the newest point was pruned */
        {{{6, true, false, false, CHUNK, 7}}, 1, 5, SIZE, BITMAP_MISSING, 0, FRESH, 0, 1},
        {{{6, true, false, false, CHUNK, 7}}, 1, 0, 0, BITMAP_FIRST, 0, FRESH, 0, 1},
        /* a clock that was set back */
        {{{5000, true, false, false, CHUNK, 7}}, 1, 5000, SIZE, BITMAP_GOES_ON, 5000, 5001, 0, 0},
        {{{5000, true, false, false, CHUNK, 7}}, 1, 3, SIZE, BITMAP_MISSING, 0, 5001, 0, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bitmap_plan p;

        bitmap_plan_make(cases[i].seen, cases[i].n, cases[i].committed, cases[i].committed_size, SIZE, CHUNK, FRESH, &p);
        if (p.reason != cases[i].reason || p.base != cases[i].base || p.next != cases[i].next || p.fold != cases[i].fold ||
            p.drop_n != cases[i].drop_n)
            fail_msg("case %zu: reason %d base %llu next %llu fold %llu drops %zu", i, p.reason, (unsigned long long)p.base,
                     (unsigned long long)p.next, (unsigned long long)p.fold, p.drop_n);
        assert_true(bitmap_reason_text(p.reason)[0]);
    }
}

static void transactions(void **state)
{
    const struct bitmap_plan inc = {.base = 5, .next = 8, .fold = 6, .drop = {3}, .drop_n = 1}, full = {.next = 8};
    struct wire_text t = {0};
    bool first = true;

    (void)state;
    bitmap_print_repair(&t, &first, &inc, "#block1", "b-");
    assert_string_equal(t.data,
                        "{\"type\":\"block-dirty-bitmap-enable\",\"data\":{\"node\":\"#block1\",\"name\":\"b-5\"}},"
                        "{\"type\":\"block-dirty-bitmap-merge\",\"data\":{\"node\":\"#block1\",\"target\":\"b-5\",\"bitmaps\":[\"b-6\"]}},"
                        "{\"type\":\"block-dirty-bitmap-remove\",\"data\":{\"node\":\"#block1\",\"name\":\"b-6\"}},"
                        "{\"type\":\"block-dirty-bitmap-remove\",\"data\":{\"node\":\"#block1\",\"name\":\"b-3\"}}");
    wire_text_done(&t);
    first = true;
    bitmap_print_switch(&t, &first, &inc, "d", "b-", true, CHUNK);
    assert_string_equal(t.data,
                        "{\"type\":\"block-dirty-bitmap-add\",\"data\":{\"node\":\"d\",\"name\":\"b-8\",\"persistent\":true,"
                        "\"granularity\":1048576}},{\"type\":\"block-dirty-bitmap-disable\",\"data\":{\"node\":\"d\",\"name\":\"b-5\"}}");
    wire_text_done(&t);
    first = true;
    bitmap_print_fold(&t, &first, &full, "d", "b-");
    bitmap_print_commit(&t, &first, &full, "d", "b-");
    assert_string_equal(t.data, "{\"type\":\"block-dirty-bitmap-remove\",\"data\":{\"node\":\"d\",\"name\":\"b-8\"}}");
    wire_text_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(plans),
        cmocka_unit_test(transactions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
