/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <string.h>

#include "fixture_window.h"

/* An exposure on the stage of a backup's window: QEMU's exports, ballast-expose before them, and every step that fails. */

static struct window_view view_of(const struct stage *s)
{
    struct window_view v;

    window_look(s->window, &v);
    return v;
}

static void begin(struct stage *s)
{
    stage_init(s);
    s->mode = WINDOW_EXPOSE;
}

static void run_well(struct stage *s)
{
    assert_true(stage_run(s));
    if (stage_left(s))
        fail_msg("%s", stage_left(s));
}

static bool has_note(const struct stage *s, const char *words)
{
    struct window_view v = view_of(s);

    for (size_t i = 0; i < v.notes_n; i++)
        if (strstr(window_note(s->window, i), words))
            return true;
    return false;
}

static const char checkpoints[] = "[{\"name\":\"ballast-x-monday\",\"recording\":true,\"busy\":false,\"granularity\":65536,"
                                  "\"count\":65536},{\"name\":\"ballast-x-killed\",\"recording\":true,\"inconsistent\":true}]";

static void exposed_and_released(void **state)
{
    struct window_view v;
    struct stage s;

    (void)state;
    begin(&s);
    s.no_repository = true; /* it needs none */
    run_well(&s);
    v = view_of(&s);
    assert_true(v.done && !v.failed && v.was_exposed && !v.is_exposed && !v.from_repository);
    assert_int_equal(v.consistency, WINDOW_FS);
    assert_true(v.checkpoint_utc_usec > 0 && v.fleece_bytes == 4096 && v.clients == 1);
    assert_true(!s.committed && !s.switched && !s.told_changes && !s.added_checkpoint);
    assert_int_equal(s.steps[stage_number("push")] + s.steps[stage_number("finish")], 0);
    stage_done(&s);
}

static void forgotten_one_ends_with_its_lease(void **state)
{
    struct stage s;

    (void)state;
    begin(&s);
    s.forgotten = true;
    run_well(&s);
    assert_true(!view_of(&s).failed && strstr(view_of(&s).end_reason, "lease was over"));
    stage_done(&s);
}

static void broken_snapshot_ends_it(void **state)
{
    struct stage s;

    (void)state;
    begin(&s);
    s.broken = "vdb";
    s.checkpoint = "tuesday";
    run_well(&s);
    assert_true(view_of(&s).failed && strstr(view_of(&s).error, "can no longer be read as it was") && view_of(&s).hint[0]);
    assert_true(s.added_checkpoint && !s.removed_checkpoint); /* it marks what it did */
    stage_done(&s);
}

static void checkpoints_and_changes(void **state)
{
    static const struct {
        const char *since, *checkpoint, *forget, *prepared, *bitmaps, *words;
        bool fails, tells;
    } cases[] = {
        {"monday", "tuesday", "monday", NULL, checkpoints, "disk 'vdb' does not tell what changed", false, true},
        {"killed", NULL, NULL, NULL, checkpoints, "QEMU was killed", false, false},
        {"sunday", NULL, NULL, NULL, checkpoints, "no record of what changed", true, false},
        {"monday", NULL, "killed", NULL, checkpoints, NULL, false, true},
        {NULL, "monday", NULL, NULL, checkpoints, NULL, false, false},
        {"g/20261124T150000Z", NULL, NULL,
         ",\"parent\":\"20261124T150000Z\",\"disks\":{\"vda\":{\"bitmap\":1700000000000000,\"size_bytes\":1073741824}}",
         "[{\"name\":\"ballast-0123456789abcdef-1700000000000000\",\"recording\":true,\"busy\":false,\"granularity\":1048576,"
         "\"count\":3145728}]", "disk 'vdb' does not tell what changed", false, true},
        {"20261123T150000Z", NULL, NULL, ",\"parent\":\"20261124T150000Z\"", NULL, "no record of what changed", true, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct window_disk_view d;
        struct stage s;

        begin(&s);
        s.since = cases[i].since;
        s.checkpoint = cases[i].checkpoint;
        s.forget = cases[i].forget;
        s.prepared = cases[i].prepared;
        s.bitmaps = cases[i].bitmaps;
        run_well(&s);
        if (view_of(&s).failed != cases[i].fails || s.told_changes != cases[i].tells)
            fail_msg("case %zu: %s", i, view_of(&s).error);
        if (cases[i].words && !has_note(&s, cases[i].words) && !strstr(view_of(&s).error, cases[i].words))
            fail_msg("case %zu does not say '%s': %s", i, cases[i].words, view_of(&s).error);
        window_look_disk(s.window, 0, &d);
        assert_int_equal(d.tells_changes, cases[i].tells);
        assert_true(s.added_checkpoint == (cases[i].checkpoint != NULL) && !s.switched && !s.folded);
        assert_true(s.removed_old == (cases[i].forget || (cases[i].checkpoint && !cases[i].since)));
        if (cases[i].fails)
            assert_int_equal(s.steps[stage_number("freeze")], 0);
        stage_done(&s);
    }
}

/* No export for a disk in an iothread, ever: the guest is backed up, and its point is served. */
static void iothread_goes_by_the_repository(void **state)
{
    static const struct {
        const char *iothread, *since;
        bool no_repository, fails;
    } cases[] = {
        {"/objects/io0", NULL, false, false},
        {"refused", NULL, false, false},
        {"/objects/io0", NULL, true, true},
        {"/objects/io0", "monday", false, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stage s;

        begin(&s);
        s.iothread = cases[i].iothread;
        s.since = cases[i].since;
        s.no_repository = cases[i].no_repository;
        run_well(&s);
        assert_true(view_of(&s).failed == cases[i].fails && s.committed == !cases[i].fails);
        assert_true(view_of(&s).was_exposed == !cases[i].fails);
        if (cases[i].fails)
            assert_true(strstr(view_of(&s).error, "iothread") && view_of(&s).hint[0] && !s.steps[stage_number("freeze")]);
        else
            assert_true(view_of(&s).from_repository && has_note(&s, "is in an iothread"));
        assert_int_equal(s.steps[stage_number("nbd")] + s.steps[stage_number("export")], 0);
        stage_done(&s);
    }
}

/* QEMU has one NBD server: another program's is left alone, and nothing is frozen for nothing. */
static void another_server_is_left_alone(void **state)
{
    struct stage s;

    (void)state;
    begin(&s);
    s.exports_left = "{\"id\":\"theirs\",\"type\":\"nbd\"}";
    run_well(&s);
    assert_true(view_of(&s).failed && strstr(view_of(&s).error, "'theirs'") && view_of(&s).hint[0]);
    assert_int_equal(s.steps[stage_number("freeze")] + s.steps[stage_number("nbd-stop")], 0);
    stage_done(&s);

    begin(&s);
    s.nbd = true; /* without an export */
    assert_true(stage_run(&s));
    assert_true(s.nbd && view_of(&s).failed && strstr(view_of(&s).error, "NBD server already running"));
    assert_int_equal(s.steps[stage_number("freeze")] + s.steps[stage_number("nbd-stop")], 0);
    s.nbd = false;
    assert_null(stage_left(&s));
    stage_done(&s);
}

static void leftovers_go_first(void **state)
{
    struct stage s;

    (void)state;
    begin(&s);
    s.nbd = true;
    for (size_t i = 0; i < STAGE_DISKS; i++) {
        s.plugged[i] = s.exports[i] = true;
        s.nodes[0][i] = s.nodes[1][i] = s.nodes[2][i] = true;
    }
    run_well(&s);
    assert_true(view_of(&s).was_exposed && has_note(&s, "was cut off"));
    stage_done(&s);
}

/* ---- each step, each way to fail ---- */

static const char *const fault_names[STAGE_FAULT_COUNT] = {"none", "error", "timeout", "late", "lost", "gone",
                                                           "reset", "paused", "cancel", "overtaken", "copy-failed"};

static void try_fault(unsigned step, enum stage_fault fault, bool stays, const char *iothread)
{
    const char *left, *name = window_step_name(step);
    struct stage s;

    begin(&s);
    s.fault_step = step;
    s.fault = fault;
    s.fault_stays = stays;
    s.iothread = iothread;
    if (!iothread) {
        s.since = "monday";
        s.checkpoint = "tuesday";
        s.bitmaps = checkpoints;
    }
    if (!stage_run(&s))
        fail_msg("step %u (%s), fault %s: no end", step, name, fault_names[fault]);
    left = stage_left(&s);
    /* One that can't be taken out by itself stays, and is said; a later backup takes it. */
    if (left && !s.wrong[0] && step >= stage_number("server-end") && (stays || fault == STAGE_ERROR ||
        fault == STAGE_TIMEOUT || step == stage_number("server-end") || step == stage_number("probe-left")))
        left = view_of(&s).left[0] ? NULL : left;
    if (left)
        fail_msg("step %u (%s), fault %s%s: %s", step, name, fault_names[fault], stays ? ", each time" : "", left);
    if (!view_of(&s).failed && !view_of(&s).was_exposed)
        fail_msg("step %u (%s), fault %s: neither exposed nor failed", step, name, fault_names[fault]);
    if (s.added_checkpoint && !view_of(&s).was_exposed && !s.removed_checkpoint && !s.gone &&
        step != stage_number("settle-checkpoints"))
        fail_msg("step %u (%s), fault %s: a checkpoint that nobody could read stays", step, name, fault_names[fault]);
    stage_done(&s);
}

static void guest_runs_whatever_fails(void **state)
{
    (void)state;
    for (unsigned step = 1; window_step_name(step); step++) {
        for (int fault = STAGE_ERROR; fault < STAGE_FAULT_COUNT; fault++) {
            bool in_window = step > stage_number("arm") && step <= stage_number("disarm");

            if ((fault == STAGE_RESET || fault == STAGE_OVERTAKEN) && !in_window)
                continue;
            try_fault(step, (enum stage_fault)fault, false, NULL);
            try_fault(step, (enum stage_fault)fault, false, "/objects/io0");
        }
        if (step != stage_number("act"))
            try_fault(step, STAGE_ERROR, true, NULL);
    }
}

static void names_of_checkpoints(void **state)
{
    (void)state;
    assert_true(window_checkpoint_is_valid("a") && window_checkpoint_is_valid("2026-11-24_x.1"));
    assert_true(window_checkpoint_is_valid("1234567890123456789012345678901234567890"));
    assert_false(window_checkpoint_is_valid("") || window_checkpoint_is_valid("-a") || window_checkpoint_is_valid("a b"));
    assert_false(window_checkpoint_is_valid("a\"") || window_checkpoint_is_valid("a/b"));
    assert_false(window_checkpoint_is_valid("12345678901234567890123456789012345678901"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exposed_and_released),
        cmocka_unit_test(forgotten_one_ends_with_its_lease),
        cmocka_unit_test(broken_snapshot_ends_it),
        cmocka_unit_test(checkpoints_and_changes),
        cmocka_unit_test(iothread_goes_by_the_repository),
        cmocka_unit_test(another_server_is_left_alone),
        cmocka_unit_test(leftovers_go_first),
        cmocka_unit_test(guest_runs_whatever_fails),
        cmocka_unit_test(names_of_checkpoints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
