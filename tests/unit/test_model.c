/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include "model.h"
#include "sim_agent.h"

/* The model guest behaves like the Linux guests that were measured, where it matters to a balancer. */

#define SEC 1000000ULL
#define MSEC 1000ULL
#define MIB 1024ULL
#define GIB (1024 * MIB)

#define IDLE {.kind = LOAD_IDLE, .base_kib = 20 * MIB, .rate_kib_s = 100 * MIB}

static void run(struct model *m, uint64_t usec)
{
    for (uint64_t until = m->now_usec + usec; m->now_usec < until;)
        model_run(m, m->now_usec + MODEL_STEP_USEC);
}

static struct model start(const struct model_config *config)
{
    struct model m;

    model_init(&m, config, 1, SEC);
    return m;
}

static void total_follows_deflate_on_oom(void **state)
{
    struct model_config c = {.boot_kib = 256 * MIB, .load = IDLE};
    struct model off, on;

    (void)state;
    off = start(&c);
    c.deflate_on_oom = true;
    on = start(&c);
    uint64_t before = model_total_kib(&off), used = model_assigned_kib(&off) - model_available_kib(&off);
    assert_int_equal(model_total_kib(&on), before);
    model_set_balloon(&off, 128 * MIB);
    model_set_balloon(&on, 128 * MIB);
    run(&off, SEC);
    run(&on, SEC);
    assert_int_equal(model_total_kib(&off), before - 128 * MIB);
    assert_int_equal(model_total_kib(&on), before);
    /* assigned - MemAvailable stays what it was, with either setting */
    assert_in_range(model_assigned_kib(&off) - model_available_kib(&off), used - MIB, used + MIB);
    assert_in_range(model_assigned_kib(&on) - model_available_kib(&on), used - MIB, used + MIB);
}

static void balloon_moves_at_device_speed(void **state)
{
    static const struct {
        const struct model_speed *speed;
        uint64_t inflate_usec, deflate_usec; /* for 512 MiB */
    } cases[] = {
        {&model_speed_emulation, 320 * MSEC, 640 * MSEC},
        {&model_speed_hardware, 526 * MSEC, 125 * MSEC},
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct model_config c = {.boot_kib = GIB, .speed = *cases[i].speed, .load = IDLE};
        struct model m = start(&c);
        model_set_balloon(&m, 512 * MIB);
        run(&m, cases[i].inflate_usec - 20 * MSEC);
        assert_true(m.actual_kib > 512 * MIB);
        run(&m, 40 * MSEC);
        assert_int_equal(m.actual_kib, 512 * MIB);
        model_set_balloon(&m, GIB);
        run(&m, cases[i].deflate_usec - 20 * MSEC);
        assert_true(m.actual_kib < GIB);
        run(&m, 40 * MSEC);
        assert_int_equal(m.actual_kib, GIB);
    }
}

static void cache_fills_free_memory_and_gives_way(void **state)
{
    struct model_config c = {.boot_kib = GIB,
                             .load = {.kind = LOAD_SCRIPT, .file_kib = 4 * GIB, .read_kib_s = 100 * MIB, .n_steps = 2,
                                      .steps = {{0, 20 * MIB, 100 * MIB}, {60 * SEC, 700 * MIB, 300 * MIB}}}};
    struct model m = start(&c);

    (void)state;
    run(&m, 50 * SEC);
    assert_true(model_free_kib(&m) < 80 * MIB);
    assert_true(model_available_kib(&m) > 750 * MIB);
    run(&m, 20 * SEC);
    assert_int_equal(m.anon_kib, 700 * MIB);
    assert_int_equal(m.killed, 0);
    assert_true(m.stalled_usec < 200 * MSEC); /* kswapd keeps pace with clean cache */
    assert_int_equal(m.refaulted_kib, 0);
}

static void squeezed_hot_files_refault_and_stall(void **state)
{
    struct model_config c = {.boot_kib = GIB,
                             .agent = true,
                             .load = {.kind = LOAD_FILES, .base_kib = 50 * MIB, .rate_kib_s = 50 * MIB,
                                      .file_kib = 2 * GIB, .read_kib_s = 20 * MIB,
                                      .hot_kib = 400 * MIB, .hot_kib_s = 800 * MIB}};
    struct model m = start(&c);

    (void)state;
    run(&m, 60 * SEC);
    assert_true(m.hot_kib > 399 * MIB);
    uint64_t some = m.psi_some_usec;
    model_set_balloon(&m, 700 * MIB); /* cold cache pays */
    run(&m, 30 * SEC);
    assert_int_equal(m.refaulted_kib, 0);
    assert_int_equal(m.psi_some_usec, some);
    model_set_balloon(&m, 450 * MIB);
    run(&m, 30 * SEC);
    assert_true(m.refaulted_kib > 100 * MIB);
    assert_true(m.psi_some_usec > some + 5 * SEC);
    assert_int_equal(m.killed, 0);
}

static void starved_program_is_killed_after_a_second(void **state)
{
    struct model_config c = {.boot_kib = 512 * MIB,
                             .load = {.kind = LOAD_SCRIPT, .n_steps = 2,
                                      .steps = {{0, 20 * MIB, 100 * MIB}, {10 * SEC, 2 * GIB, 400 * MIB}}}};
    struct model m = start(&c);

    (void)state;
    run(&m, 11 * SEC);
    assert_int_equal(m.killed, 0);
    run(&m, SEC);
    assert_int_equal(m.killed, 1);
    assert_in_range(m.stalled_usec, 900 * MSEC, 1100 * MSEC);
}

static void deflate_on_oom_comes_before_killing_but_not_with_swap(void **state)
{
    struct model_config c = {.boot_kib = GIB,
                             .deflate_on_oom = true,
                             .load = {.kind = LOAD_SCRIPT, .n_steps = 2, .active_permille = 1000,
                                      .steps = {{0, 20 * MIB, 100 * MIB}, {10 * SEC, 500 * MIB, 400 * MIB}}}};
    struct model m = start(&c);

    (void)state;
    model_set_balloon(&m, 256 * MIB);
    run(&m, 30 * SEC);
    assert_int_equal(m.killed, 0);
    assert_int_equal(m.anon_kib, 500 * MIB);
    assert_true(m.actual_kib > 500 * MIB); /* and stays high: nobody sent the target again */
    c.swap_kib = GIB;
    m = start(&c);
    model_set_balloon(&m, 256 * MIB);
    run(&m, 30 * SEC);
    assert_int_equal(m.actual_kib, 256 * MIB);
    assert_true(m.swapped_in_kib > 100 * MIB); /* it thrashes */
    assert_true(m.psi_full_usec > 5 * SEC);
}

static void reset_takes_all_boot_memory_and_inflates_again(void **state)
{
    struct model_config c = {.boot_kib = GIB, .pluggable_kib = GIB, .block_kib = 2 * MIB, .load = IDLE};
    struct model m = start(&c);
    struct obs_levers l;

    (void)state;
    model_set_balloon(&m, 400 * MIB);
    model_set_requested(&m, 100 * MIB);
    run(&m, SEC);
    assert_int_equal(model_assigned_kib(&m), 500 * MIB);
    model_reset(&m, m.now_usec);
    run(&m, SEC);
    model_levers(&m, &l);
    assert_int_equal(model_assigned_kib(&m), GIB);
    assert_int_equal(l.balloon_actual_bytes, 400 * MIB * 1024); /* nobody has written it yet */
    assert_int_equal(l.plugged_bytes, 0);
    run(&m, 6 * SEC);
    assert_int_equal(model_assigned_kib(&m), 500 * MIB);
}

static void host_sees_touched_memory_only(void **state)
{
    struct model_config c = {.boot_kib = GIB, .load = {.kind = LOAD_SCRIPT, .n_steps = 3,
                             .steps = {{0, 20 * MIB, 100 * MIB}, {5 * SEC, 500 * MIB, 400 * MIB},
                                       {10 * SEC, 20 * MIB, 400 * MIB}}}};
    struct model m = start(&c);
    struct obs_host_view v;

    (void)state;
    run(&m, SEC);
    model_host_view(&m, &v);
    assert_true(v.resident_bytes < 150 * MIB * 1024);
    run(&m, 14 * SEC);
    model_host_view(&m, &v);
    assert_true(v.resident_bytes > 550 * MIB * 1024); /* freed in the guest, still there for the host */
    model_set_balloon(&m, 200 * MIB);
    run(&m, SEC);
    model_host_view(&m, &v);
    assert_true(v.resident_bytes <= 200 * MIB * 1024);
}

static void kinds_move_as_they_are_called(void **state)
{
    static const struct {
        enum model_kind kind;
        uint64_t least, most; /* MiB after 2 s of a target of 300 */
    } cases[] = {
        {MODEL_IDEAL, 300, 300}, {MODEL_SLOW, 950, 990}, {MODEL_STUCK, 1024, 1024}, {MODEL_LIMITED_BELOW, 600, 600},
        {MODEL_LYING_USE, 300, 300},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct model_config c = {.kind = cases[i].kind, .boot_kib = GIB, .limit_kib = 600 * MIB, .load = IDLE};
        struct model m = start(&c);
        model_set_balloon(&m, 300 * MIB);
        run(&m, 2 * SEC);
        assert_in_range(m.actual_kib / MIB, cases[i].least, cases[i].most);
    }
}

static void agent_speaks_before_the_heartbeat_when_it_matters(void **state)
{
    struct model_config c = {.boot_kib = GIB, .agent = true, .buffer = 2000,
                             .load = {.kind = LOAD_SCRIPT, .n_steps = 2,
                                      .steps = {{0, 20 * MIB, 100 * MIB}, {10 * SEC, 900 * MIB, 300 * MIB}}}};
    struct model m = start(&c);
    struct sim_agent a = {0};
    unsigned lines = 0;

    (void)state;
    while (m.now_usec < 9 * SEC) {
        model_run(&m, m.now_usec + MODEL_STEP_USEC);
        lines += sim_agent_speaks(&a, &m, m.now_usec);
    }
    assert_in_range(lines, 8, 9); /* heartbeats */
    while (model_available_kib(&m) > 0) {
        model_run(&m, m.now_usec + MODEL_STEP_USEC);
        lines += sim_agent_speaks(&a, &m, m.now_usec);
    }
    assert_in_range(lines, 12, 22); /* the watermark, then every 8 MiB as far as 50 lines a second allow */
}

static void same_seed_same_run(void **state)
{
    struct model_config c = {.boot_kib = GIB, .kind = MODEL_SOMETIMES_STUCK,
                             .load = {.kind = LOAD_WEB, .base_kib = 100 * MIB, .peak_kib = 500 * MIB,
                                      .rate_kib_s = 100 * MIB, .period_usec = 20 * SEC}};
    uint64_t anon[3];

    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        struct model m;
        model_init(&m, &c, i / 2, SEC);
        run(&m, 300 * SEC);
        anon[i] = m.anon_kib;
    }
    assert_int_equal(anon[0], anon[1]);
    assert_int_not_equal(anon[0], anon[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(total_follows_deflate_on_oom),
        cmocka_unit_test(balloon_moves_at_device_speed),
        cmocka_unit_test(cache_fills_free_memory_and_gives_way),
        cmocka_unit_test(squeezed_hot_files_refault_and_stall),
        cmocka_unit_test(starved_program_is_killed_after_a_second),
        cmocka_unit_test(deflate_on_oom_comes_before_killing_but_not_with_swap),
        cmocka_unit_test(reset_takes_all_boot_memory_and_inflates_again),
        cmocka_unit_test(host_sees_touched_memory_only),
        cmocka_unit_test(kinds_move_as_they_are_called),
        cmocka_unit_test(agent_speaks_before_the_heartbeat_when_it_matters),
        cmocka_unit_test(same_seed_same_run),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
