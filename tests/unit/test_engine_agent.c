/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <string.h>

#include "engine_private.h"

#define MIB 1024ULL

/* A balanced guest of 256 MiB with 64 MiB in the balloon. */
static struct guest guest_example(void)
{
    return (struct guest){
        .config = {.mode = GUEST_MODE_AUTO, .maximum_kib = 256 * MIB},
        .levers = {.time_usec = 1, .boot_bytes = 256 << 20, .balloon_actual_bytes = 192 << 20, .has_balloon = true},
        .assigned_kib = 192 * MIB,
        .verdict = {.exposure_kib = 64 * MIB, .demand_kib = 160 * MIB, .target_kib = 192 * MIB, .given_kib = 192 * MIB},
    };
}

static void tells_what_is_lent_and_why(void **state)
{
    struct guest g = guest_example();
    struct engine_told told = {0};
    struct hv_tell tell;

    (void)state;
    assert_true(engine_agent_news(&g, &told, &tell));
    assert_int_equal(tell.lent_bytes, 64 << 20);
    assert_int_equal(tell.assigned_bytes, 192 << 20);
    assert_int_equal(tell.maximum_bytes, 256 << 20);
    assert_int_equal(tell.heartbeat_usec, 1000000);
    assert_string_equal(tell.why, "this guest needs about 160 MiB now and gets 192 MiB with its buffer; "
                                  "it gets more as soon as it needs more");
    g.verdict.given_kib = 170 * MIB;
    assert_true(engine_agent_news(&g, &told, &tell));
    assert_string_equal(tell.why, "the host is short of memory and shares it by need and priority: this guest needs "
                                  "about 160 MiB, should have 192 MiB and gets 170 MiB");
    g.verdict.flags = GUEST_FLAG_STUCK;
    g.verdict.reason = GUEST_REASON_STUCK;
    assert_true(engine_agent_news(&g, &told, &tell));
    assert_non_null(strstr(tell.why, "does not move this guest's memory now: it does not move; it is tried again"));
    g.config.mode = GUEST_MODE_WATCH;
    assert_true(engine_agent_news(&g, &told, &tell));
    assert_non_null(strstr(tell.why, "does not balance this guest"));
    assert_int_equal(tell.heartbeat_usec, 5000000);
}

static void the_longest_reason_fits(void **state)
{
    struct guest g = guest_example();
    struct engine_told told = {0};
    struct hv_tell tell;

    (void)state;
    g.verdict.demand_kib = g.verdict.target_kib = (1ULL << 46) - 1;
    g.verdict.given_kib = g.verdict.target_kib - 1;
    assert_true(engine_agent_news(&g, &told, &tell));
    assert_true(strlen(tell.why) < sizeof(tell.why) - 1);
    g.verdict.flags = GUEST_FLAG_STUCK;
    for (enum guest_reason r = 0; r < GUEST_REASON_COUNT; r++) {
        told = (struct engine_told){0};
        g.verdict.reason = r;
        assert_true(engine_agent_news(&g, &told, &tell));
        assert_true(strlen(tell.why) < sizeof(tell.why) - 1);
    }
}

static void the_watermark_is_half_the_buffer(void **state)
{
    static const struct {
        uint64_t demand_mib, target_mib, watermark_mib;
    } cases[] = {
        {160, 192, 16}, {160, 160, 16}, {200, 160, 16}, {400, 480, 40}, {1000, 1200, 64}, {64, 100, 18}, {60, 101, 20},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct guest g = guest_example();
        struct engine_told told = {0};
        struct hv_tell tell;
        g.verdict.demand_kib = cases[i].demand_mib * MIB;
        g.verdict.target_kib = cases[i].target_mib * MIB;
        assert_true(engine_agent_news(&g, &told, &tell));
        assert_int_equal(tell.watermark_bytes >> 20, cases[i].watermark_mib);
    }
}

static void small_changes_are_no_news(void **state)
{
    struct guest g = guest_example();
    struct engine_told told = {0};
    struct hv_tell tell;

    (void)state;
    g.verdict.demand_kib = 400 * MIB;
    g.verdict.target_kib = g.verdict.given_kib = 480 * MIB;
    assert_true(engine_agent_news(&g, &told, &tell));
    assert_false(engine_agent_news(&g, &told, &tell));
    g.verdict.demand_kib += 2 * MIB; /* the watermark would be 39 MiB */
    g.verdict.exposure_kib += MIB - 1;
    assert_false(engine_agent_news(&g, &told, &tell));
    g.verdict.exposure_kib += 1;
    assert_true(engine_agent_news(&g, &told, &tell));
    assert_int_equal(tell.watermark_bytes, 40 << 20);
    g.verdict.demand_kib += 13 * MIB; /* 15 since it was told: no news for people, but for the watermark */
    assert_true(engine_agent_news(&g, &told, &tell));
    assert_int_equal(tell.watermark_bytes, 32 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_is_lent_and_why),
        cmocka_unit_test(the_longest_reason_fits),
        cmocka_unit_test(the_watermark_is_half_the_buffer),
        cmocka_unit_test(small_changes_are_no_news),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
