/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "fixture_window.h"

static struct window_view view_of(const struct stage *s)
{
    struct window_view v;

    window_look(s->window, &v);
    return v;
}

static bool has_note(const struct stage *s, const char *words)
{
    struct window_view v = view_of(s);

    for (size_t i = 0; i < v.notes_n; i++)
        if (strstr(window_note(s->window, i), words))
            return true;
    return false;
}

static void run_well(struct stage *s)
{
    assert_true(stage_run(s));
    if (stage_left(s))
        fail_msg("%s", stage_left(s));
}

static void full_of_two_disks(void **state)
{
    struct window_disk_view d;
    struct window_view v;
    struct stage s;

    (void)state;
    stage_init(&s);
    run_well(&s);
    v = view_of(&s);
    assert_true(v.done && !v.failed && s.committed);
    assert_int_equal(v.consistency, WINDOW_FS);
    assert_string_equal(v.point, "g/20261124T152408Z");
    assert_int_equal(v.disks_n, 2);
    window_look_disk(s.window, 1, &d);
    assert_string_equal(d.name, "vdb");
    assert_int_equal(d.size_bytes, 2147483648);
    assert_int_equal(d.kind, WINDOW_FULL);
    assert_true(v.freeze_usec > 0 && v.stop_usec > 0 && v.stop_usec < v.freeze_usec);
    assert_true(s.switched && !s.folded);
    stage_done(&s);
}

static const char committed[] = ",\"parent\":\"20261124T150000Z\",\"disks\":{\"vda\":{\"bitmap\":1700000000000000,\"size_bytes\":"
                                "1073741824},\"old\":{\"bitmap\":3,\"size_bytes\":1}}";

static void incremental_where_its_bitmap_is(void **state)
{
    struct window_disk_view d;
    struct stage s;

    (void)state;
    stage_init(&s);
    s.prepared = committed;
    s.bitmaps = "[{\"name\":\"ballast-0123456789abcdef-1700000000000000\",\"recording\":true,\"busy\":false,\"granularity\":1048576,"
                "\"count\":3145728},{\"name\":\"somebody's\",\"recording\":true}]";
    run_well(&s);
    assert_true(s.committed && s.dropped_old && !s.folded);
    window_look_disk(s.window, 0, &d);
    assert_int_equal(d.kind, WINDOW_INCREMENTAL);
    assert_int_equal(d.dirty_bytes, 3145728);
    window_look_disk(s.window, 1, &d);
    assert_int_equal(d.kind, WINDOW_FULL); /* the point has none of it */
    assert_true(has_note(&s, "disk 'old' of the newest point is no longer there"));
    stage_done(&s);
}

/* What a verify found damaged is not handed on: its disk is read in full, the other one goes by its bitmap. */
static void damaged_point(void **state)
{
    static const char prepared[] =
        ",\"parent\":\"20261124T150000Z\",\"disks\":{\"vda\":{\"bitmap\":1700000000000000,\"size_bytes\":1073741824,"
        "\"damaged\":\"chunk 0123456789abcdef of it is damaged\"}}}";
    struct window_disk_view d;
    struct stage s;

    (void)state;
    stage_init(&s);
    s.prepared = prepared;
    s.bitmaps = "[{\"name\":\"ballast-0123456789abcdef-1700000000000000\",\"recording\":true,\"busy\":false,\"granularity\":1048576,"
                "\"count\":3145728}]";
    run_well(&s);
    window_look_disk(s.window, 0, &d);
    assert_int_equal(d.kind, WINDOW_FULL);
    assert_true(s.committed && s.dropped_old && !s.folded); /* the bitmap is of no use any more */
    assert_true(has_note(&s, "disk 'vda' is read in full: the newest point's copy of it is damaged (chunk 0123456789abcdef"));
    stage_done(&s);
}

/* ---- each step, each way to fail ---- */

static const char *const fault_names[STAGE_FAULT_COUNT] = {"none", "error", "timeout", "late", "lost", "gone",
                                                           "reset", "paused", "cancel", "overtaken", "copy-failed"};

static void try_fault(unsigned step, enum stage_fault fault, bool stays, const char *prepared, const char *bitmaps)
{
    struct stage s;
    const char *left;

    stage_init(&s);
    s.fault_step = step;
    s.fault = fault;
    s.fault_stays = stays;
    s.prepared = prepared;
    s.bitmaps = bitmaps;
    s.hooks = true;
    if (!stage_run(&s))
        fail_msg("step %u (%s), fault %s: no end", step, window_step_name(step), fault_names[fault]);
    left = stage_left(&s);
    /* One that can't be taken out by itself stays, and is said; a later backup takes it. */
    if (left && !s.wrong[0] && step > stage_number("copier-end") && (stays || fault == STAGE_ERROR || fault == STAGE_TIMEOUT ||
                                                                       (fault == STAGE_LATE && step == stage_number("probe-left"))))
        left = view_of(&s).left[0] || s.committed ? NULL : left;
    if (left)
        fail_msg("step %u (%s), fault %s%s: %s", step, window_step_name(step), fault_names[fault], stays ? ", each time" : "",
                 left);
    if (fault == STAGE_GONE && view_of(&s).failed && step < stage_number("copier-end") && !strstr(view_of(&s).error, "is gone"))
        fail_msg("step %u (%s), fault gone: says only '%s'", step, window_step_name(step), view_of(&s).error);
    if (!view_of(&s).failed != s.committed && !(step == stage_number("finish") && fault == STAGE_LATE)) /* nobody knows */
        fail_msg("step %u (%s), fault %s: failed or not?", step, window_step_name(step), fault_names[fault]);
    stage_done(&s);
}

static void guest_runs_whatever_fails(void **state)
{
    static const char recording[] = "[{\"name\":\"ballast-0123456789abcdef-1700000000000000\",\"recording\":true,\"busy\":false,"
                                    "\"granularity\":1048576,\"count\":3145728}]";

    (void)state;
    for (unsigned step = 1; window_step_name(step); step++) {
        for (int fault = STAGE_ERROR; fault < STAGE_FAULT_COUNT; fault++) {
            bool in_window = step > stage_number("arm") && step <= stage_number("disarm");

            if ((fault == STAGE_RESET || fault == STAGE_OVERTAKEN) && !in_window)
                continue;
            if (fault == STAGE_PAUSED)
                continue; /* pause_is_respected() */
            try_fault(step, (enum stage_fault)fault, false, NULL, NULL);
            try_fault(step, (enum stage_fault)fault, false, committed, recording);
        }
        /* `act` answers nothing for ever only where the guest can't be helped: then it stays frozen, and is said. */
        if (step != stage_number("act"))
            try_fault(step, STAGE_ERROR, true, committed, recording);
    }
}

/* What its user does to the guest is not undone by ours, and what it does to a disk is seen. */
static void pause_is_respected(void **state)
{
    struct stage s;

    (void)state;
    for (unsigned step = stage_number("version"); step <= stage_number("arm"); step++) {
        stage_init(&s);
        s.fault_step = step;
        s.fault = STAGE_PAUSED;
        run_well(&s);
        if (s.faulted && (!strstr(view_of(&s).error, "paused by somebody else") || s.steps[stage_number("cont")]))
            fail_msg("step %u (%s): '%s', cont %u times", step, window_step_name(step), view_of(&s).error,
                     s.steps[stage_number("cont")]);
        stage_done(&s);
    }
}

/* Where fleecing images hang, QEMU and the guest would hang with them: it is asked for nothing more. */
static void hung_fleece_is_left(void **state)
{
    struct stage s;

    (void)state;
    stage_init(&s);
    s.fault_step = stage_number("probe");
    s.fault = STAGE_TIMEOUT;
    run_well(&s);
    assert_true(view_of(&s).failed && strstr(view_of(&s).error, "does not answer") && view_of(&s).hint[0]);
    assert_int_equal(s.steps[stage_number("disks")], 0);
    stage_done(&s);

    stage_init(&s);
    s.fault_step = stage_number("probe-left");
    s.fault = STAGE_TIMEOUT;
    assert_true(stage_run(&s));
    assert_true(s.committed && strstr(view_of(&s).left, "does not answer"));
    assert_int_equal(s.steps[stage_number("nodes-left")] + s.steps[stage_number("disks-left")] + s.steps[stage_number("unplug")] +
                     s.steps[stage_number("fleece-remove")], 0);
    stage_done(&s);
}

static void resize_while_it_begins(void **state)
{
    struct stage s;

    (void)state;
    stage_init(&s);
    s.grown = true;
    run_well(&s);
    assert_true(view_of(&s).failed && view_of(&s).hint[0]);
    assert_non_null(strstr(view_of(&s).error, "disk 'vdb' of guest 'g' was resized from 2147483648 to 3147483648 bytes"));
    assert_int_equal(s.steps[stage_number("push")], 0);
    stage_done(&s);
}

/* ---- the agent ---- */

static void agent_cases(void **state)
{
    static const struct {
        const char *agent;
        enum window_freeze freeze;
        bool is_done;
        enum window_consistency consistency;
        const char *words; /* of a note, or of the error */
    } cases[] = {
        {NULL, WINDOW_FREEZE_REQUIRE, true, WINDOW_FS, NULL},
        {NULL, WINDOW_FREEZE_NEVER, true, WINDOW_CRASH, NULL},
        {"absent", WINDOW_FREEZE_PREFER, true, WINDOW_CRASH, "as after a power failure"},
        {"absent", WINDOW_FREEZE_REQUIRE, false, WINDOW_CRASH, "can't be frozen"},
        {"silent", WINDOW_FREEZE_PREFER, true, WINDOW_CRASH, "as after a power failure"},
        {"silent", WINDOW_FREEZE_REQUIRE, false, WINDOW_CRASH, "can't be frozen"},
        {"no-freeze", WINDOW_FREEZE_PREFER, true, WINDOW_CRASH, "not allowed to freeze"},
        {"no-freeze", WINDOW_FREEZE_REQUIRE, false, WINDOW_CRASH, "not allowed to freeze"},
        {"frozen", WINDOW_FREEZE_PREFER, false, WINDOW_CRASH, "frozen already"},
        {"refuses", WINDOW_FREEZE_PREFER, true, WINDOW_CRASH, "hook has failed"},
        {"refuses", WINDOW_FREEZE_REQUIRE, false, WINDOW_CRASH, "hook has failed"},
        {"froze-none", WINDOW_FREEZE_PREFER, true, WINDOW_CRASH, "found no file system"},
        {"froze-none", WINDOW_FREEZE_REQUIRE, false, WINDOW_CRASH, "found no file system"},
        {"thaws-less", WINDOW_FREEZE_PREFER, true, WINDOW_CRASH, "did not hold"},
        {"thaws-less", WINDOW_FREEZE_REQUIRE, false, WINDOW_CRASH, "did not hold"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct window_view v;
        struct stage s;

        stage_init(&s);
        s.agent = cases[i].agent;
        s.freeze = cases[i].freeze;
        run_well(&s);
        v = view_of(&s);
        if (v.failed == cases[i].is_done || v.consistency != cases[i].consistency)
            fail_msg("case %zu: failed %d, %s: %s", i, v.failed, window_consistency_text(v.consistency), v.error);
        if (cases[i].words && !has_note(&s, cases[i].words) && !strstr(v.error, cases[i].words))
            fail_msg("case %zu does not say '%s': %s", i, cases[i].words, v.error);
        if (v.failed)
            assert_true(v.hint[0]);
        stage_done(&s);
    }
}

/* Silence after the freeze command may mean that it is frozen: no checkpoint then, and thaw until it is answered. */
static void silent_freeze_takes_no_checkpoint(void **state)
{
    struct stage s;

    (void)state;
    stage_init(&s);
    s.fault_step = stage_number("freeze");
    s.fault = STAGE_LATE;
    run_well(&s);
    assert_true(view_of(&s).failed && !s.switched && s.steps[stage_number("thaw")] == 1);
    assert_int_equal(s.steps[stage_number("stop")], 0);
    stage_done(&s);
}

static void hung_thaw_is_the_guardians(void **state)
{
    struct stage s;

    (void)state;
    stage_init(&s);
    s.fault_step = stage_number("thaw");
    s.fault = STAGE_TIMEOUT;
    s.fault_stays = true;
    run_well(&s);
    assert_true(view_of(&s).failed && s.acted);
    stage_done(&s);
}

/* ---- hooks ---- */

static void hook_cases(void **state)
{
    static const struct {
        const char *before, *after; /* what they fail by */
        bool warns, is_done;
        const char *words, *in_manifest;
    } cases[] = {
        {NULL, NULL, false, true, NULL, "\"hooks\": { \"before_freeze\": \"done\", \"after_thaw\": \"done\" }"},
        {"it says no", NULL, false, false, "it says no", NULL},
        {"it says no", NULL, true, true, "it says no; the backup went on", "\"before_freeze\": \"it says no\""},
        {NULL, "left locked", false, true, "left locked", "\"after_thaw\": \"left locked\""},
        {"it says no", "left locked", false, false, "left locked", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct window_view v;
        struct stage s;

        stage_init(&s);
        s.hooks = true;
        s.hook_warns = cases[i].warns;
        s.hook_error = cases[i].before;
        s.hook_after_error = cases[i].after;
        run_well(&s);
        v = view_of(&s);
        if (v.failed == cases[i].is_done || s.hooked != 1 || s.unhooked != 1)
            fail_msg("case %zu: failed %d, hooks ran %u and %u times: %s", i, v.failed, s.hooked, s.unhooked, v.error);
        if (cases[i].words && (!strstr(v.hook, cases[i].after ? cases[i].after : cases[i].before) ||
                               (!has_note(&s, cases[i].words) && !strstr(v.error, cases[i].words))))
            fail_msg("case %zu: '%s' is not told", i, cases[i].words);
        if (!cases[i].words)
            assert_string_equal(v.hook, "");
        if (v.failed) { /* before anything was frozen */
            assert_string_equal(v.failed_step, "hook-before");
            assert_int_equal(s.steps[stage_number("arm")] + s.steps[stage_number("freeze")], 0);
        }
        if (cases[i].in_manifest && !strstr(s.manifest, cases[i].in_manifest))
            fail_msg("case %zu: the manifest lacks %s: %s", i, cases[i].in_manifest, s.manifest);
        stage_done(&s);
    }
}

/* One that hangs is ballast-prepare's to end; where that hangs, too, the backup fails before the freeze, or goes on. */
static void hung_hooks(void **state)
{
    static const char *const steps[] = {"hook-before", "hook-after"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        bool is_before = i < 2, warns = i % 2;
        struct stage s;

        stage_init(&s);
        s.hooks = true;
        s.hook_warns = warns;
        s.fault_step = stage_number(steps[!is_before]);
        s.fault = STAGE_TIMEOUT;
        run_well(&s);
        assert_int_equal(view_of(&s).failed, is_before && !warns);
        assert_true(strstr(view_of(&s).hook, is_before ? "before-freeze hook of guest 'g'" : "after-thaw hook of guest 'g'"));
        assert_int_equal(s.steps[stage_number("freeze")], !is_before || warns);
        assert_int_equal(s.steps[stage_number("hook-after")], 1);
        stage_done(&s);
    }
}

/* Variables of the firmware go the way of a disk; its code is said to be left out. */
static void firmware_variables(void **state)
{
    struct window_disk_view d;
    struct stage s;

    (void)state;
    stage_init(&s);
    s.firmware = true;
    run_well(&s);
    if (!s.committed)
        fail_msg("%s", view_of(&s).error);
    assert_int_equal(view_of(&s).disks_n, 2);
    window_look_disk(s.window, 1, &d);
    assert_string_equal(d.name, "pflash1");
    assert_int_equal(d.size_bytes, 540672);
    assert_true(has_note(&s, "drive '/machine/system.flash0' is not backed up: it is firmware that the guest can't change"));
    assert_false(has_note(&s, "disk 'pflash1' is 'raw'"));
    assert_non_null(strstr(s.manifest, "\"device\": \"\\/machine\\/system.flash1\""));
    stage_done(&s);
}

static void no_hooks_no_steps(void **state)
{
    struct stage s;

    (void)state;
    stage_init(&s);
    run_well(&s);
    assert_int_equal(s.steps[stage_number("hook-before")] + s.steps[stage_number("hook-after")], 0);
    assert_non_null(strstr(s.manifest, "\"hooks\": { \"before_freeze\": null, \"after_thaw\": null }"));
    stage_done(&s);
}

/* ---- refusals ---- */

static void refusals(void **state)
{
    static const struct {
        const char *status, *jobs, *nodes, *words;
        enum window_freeze freeze;
    } cases[] = {
        {"io-error", NULL, NULL, "in state 'io-error'", WINDOW_FREEZE_PREFER},
        {"paused", NULL, NULL, "is paused", WINDOW_FREEZE_REQUIRE},
        {NULL, "{\"id\":\"mirror0\",\"type\":\"mirror\",\"status\":\"running\"}", NULL, "another program runs a job",
         WINDOW_FREEZE_PREFER},
        {NULL, NULL, "{\"node-name\":\"ballast-odd\"}", "could not be removed", WINDOW_FREEZE_PREFER},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct window_view v;
        struct stage s;

        stage_init(&s);
        s.status = cases[i].status;
        s.jobs_left = cases[i].jobs;
        s.nodes_left = cases[i].nodes;
        s.freeze = cases[i].freeze;
        run_well(&s);
        v = view_of(&s);
        if (!v.failed || !strstr(v.error, cases[i].words) || !v.hint[0])
            fail_msg("case %zu: '%s' (%s)", i, v.error, v.hint);
        assert_int_equal(s.steps[stage_number("freeze")], 0);
        stage_done(&s);
    }
}

static void paused_guest_stays_paused(void **state)
{
    struct stage s;

    (void)state;
    stage_init(&s);
    s.status = "paused";
    run_well(&s);
    assert_true(s.committed);
    assert_int_equal(view_of(&s).consistency, WINDOW_PAUSED);
    assert_int_equal(s.steps[stage_number("cont")] + s.steps[stage_number("stop")] + s.steps[stage_number("freeze")], 0);
    stage_done(&s);
}

static void leftovers_go_first(void **state)
{
    struct stage s;

    (void)state;
    stage_init(&s);
    for (size_t i = 0; i < STAGE_DISKS; i++) {
        s.plugged[i] = s.job[i] = true;
        for (size_t k = 0; k < 4; k++)
            s.nodes[k][i] = true;
    }
    run_well(&s);
    assert_true(s.committed && has_note(&s, "an earlier backup was cut off"));
    stage_done(&s);
}

/* ---- killed ---- */

/* ballastd is killed at one step, and once more while the next one undoes that; `after`: its command was taken. */
static void die_twice(unsigned first, bool after, bool guardian_too, unsigned second)
{
    struct stage s;
    const char *left;

    stage_init(&s);
    s.prepared = committed;
    s.bitmaps = "[{\"name\":\"ballast-0123456789abcdef-1700000000000000\",\"recording\":true,\"busy\":false,\"granularity\":1048576,"
                "\"count\":3145728}]";
    s.die_before = after ? 0 : first;
    s.die_after = after ? first : 0;
    (void)stage_run(&s);
    stage_bury(&s, guardian_too);
    s.die_before = after ? 0 : second;
    s.die_after = after ? second : 0;
    if ((s.files || s.armed) && !stage_recover(&s)) {
        stage_bury(&s, guardian_too);
        s.die_before = s.die_after = 0;
        if (s.files || s.armed) /* a note or a marker tells that there is something to undo */
            assert_true(stage_recover(&s));
    }
    left = stage_left(&s);
    if (left)
        fail_msg("killed %s step %u (%s)%s, then step %u (%s): %s", after ? "after" : "before", first, window_step_name(first),
                 guardian_too ? " with the guardian" : "", second, second ? window_step_name(second) : "", left);
    stage_done(&s);
}

static void nothing_stays_after_two_kills(void **state)
{
    (void)state;
    for (unsigned first = 1; window_step_name(first); first++)
        for (unsigned second = 0; second == 0 || window_step_name(second); second++)
            for (int kind = 0; kind < 4; kind++)
                die_twice(first, kind & 1, kind & 2, second);
}

static void copy_that_fails(void **state)
{
    struct stage s;

    (void)state;
    stage_init(&s);
    s.job_error = "No space left on device";
    s.prepared = committed;
    s.bitmaps = "[{\"name\":\"ballast-0123456789abcdef-1700000000000000\",\"recording\":true,\"busy\":false,\"granularity\":1048576,"
                "\"count\":3145728}]";
    run_well(&s);
    assert_true(view_of(&s).failed && strstr(view_of(&s).error, "No space left on device"));
    assert_true(s.folded); /* the next one covers both */
    stage_done(&s);
}

/* Nobody knows whether that point is there: both bitmaps must stay. */
static void lost_commit_keeps_both_bitmaps(void **state)
{
    struct stage s;

    (void)state;
    stage_init(&s);
    s.prepared = committed;
    s.bitmaps = "[{\"name\":\"ballast-0123456789abcdef-1700000000000000\",\"recording\":true,\"busy\":false,\"granularity\":1048576,"
                "\"count\":3145728}]";
    s.fault_step = stage_number("finish");
    s.fault = STAGE_TIMEOUT;
    run_well(&s);
    assert_true(view_of(&s).failed && s.switched && !s.folded && !s.dropped_old);
    stage_done(&s);
}

/* What both jobs have on their way is a quarter of a second's worth, or the least that QEMU sends; zeroes are free. */
static void slow_copies_keep_little_on_its_way(void **state)
{
    static const struct {
        uint64_t bandwidth_bytes;
        int workers, chunk_bytes;
    } cases[] = {
        {0, 8, 1 << 20},         {1ULL << 40, 8, 1 << 20}, {64 << 20, 8, 1 << 20}, {32 << 20, 4, 1 << 20},
        {8 << 20, 1, 1 << 20},   {4 << 20, 1, 512 << 10},  {3 << 20, 1, 256 << 10}, {1 << 20, 1, 128 << 10},
        {64 << 10, 1, 64 << 10}, {1, 1, 64 << 10},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char perf[96];
        struct stage s;

        stage_init(&s);
        s.bandwidth_bytes = cases[i].bandwidth_bytes;
        run_well(&s);
        assert_true(s.committed);
        (void)snprintf(perf, sizeof(perf), "\"x-perf\":{\"max-workers\":%d,\"max-chunk\":%d}", cases[i].workers, cases[i].chunk_bytes);
        assert_non_null(strstr(s.pushed, perf));
        assert_null(strstr(s.pushed, "\"speed\""));
        stage_done(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_of_two_disks),
        cmocka_unit_test(incremental_where_its_bitmap_is),
        cmocka_unit_test(damaged_point),
        cmocka_unit_test(guest_runs_whatever_fails),
        cmocka_unit_test(pause_is_respected),
        cmocka_unit_test(resize_while_it_begins),
        cmocka_unit_test(hung_fleece_is_left),
        cmocka_unit_test(agent_cases),
        cmocka_unit_test(silent_freeze_takes_no_checkpoint),
        cmocka_unit_test(hung_thaw_is_the_guardians),
        cmocka_unit_test(hook_cases),
        cmocka_unit_test(hung_hooks),
        cmocka_unit_test(no_hooks_no_steps),
        cmocka_unit_test(firmware_variables),
        cmocka_unit_test(refusals),
        cmocka_unit_test(paused_guest_stays_paused),
        cmocka_unit_test(leftovers_go_first),
        cmocka_unit_test(nothing_stays_after_two_kills),
        cmocka_unit_test(copy_that_fails),
        cmocka_unit_test(lost_commit_keeps_both_bitmaps),
        cmocka_unit_test(slow_copies_keep_little_on_its_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
