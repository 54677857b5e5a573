/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>

#include "hv_sim.h"

#define SEC 1000000ULL
#define MIB 1024ULL
#define GIB (1024 * MIB)

struct heard {
    unsigned appeared, vanished, levers, host, views, resets, done;
    int done_code;
    struct hv_vm *vm;
    struct obs_levers last;
    struct obs_guest_view view;
};

static void on_appeared(void *user, struct hv_vm *vm, uint64_t now_usec)
{
    struct heard *h = user;

    (void)now_usec;
    h->appeared++;
    h->vm = vm;
}

static void on_vanished(void *user, struct hv_vm *vm, const char *reason, uint64_t now_usec)
{
    (void)vm;
    (void)reason;
    (void)now_usec;
    ((struct heard *)user)->vanished++;
}

static void on_levers(void *user, struct hv_vm *vm, const struct obs_levers *seen)
{
    struct heard *h = user;

    (void)vm;
    h->levers++;
    h->last = *seen;
}

static void on_host(void *user, struct hv_vm *vm, const struct obs_host_view *seen)
{
    (void)vm;
    (void)seen;
    ((struct heard *)user)->host++;
}

static void on_view(void *user, struct hv_vm *vm, const struct obs_guest_view *seen)
{
    struct heard *h = user;

    (void)vm;
    h->views++;
    h->view = *seen;
}

static void on_happened(void *user, struct hv_vm *vm, enum hv_happening what, uint64_t now_usec)
{
    (void)vm;
    (void)now_usec;
    ((struct heard *)user)->resets += what == HV_HAPPENED_RESET;
}

static void on_done(void *user, const struct err *e)
{
    struct heard *h = user;

    h->done++;
    h->done_code = e ? e->code : 0;
}

static struct hv *start(struct heard *h, const struct model_config *config, struct hv_sim_vm **ret_vm)
{
    struct hv_listener l = {on_appeared, on_vanished, on_levers, on_host, on_view, on_happened, NULL, h};
    struct hv_sim_host host = {.total_kib = 8 * GIB, .other_kib = GIB};
    struct err e = {0};
    struct hv *hv = NULL;

    *h = (struct heard){0};
    assert_int_equal(hv_sim_new(&host, 1, 4, &hv, &e), 0);
    hv_sim_advance(hv, SEC);
    assert_int_equal(hv_sim_add(hv, "a", config, SEC, ret_vm, &e), 0);
    hv_sim_listen(hv, &l);
    hv_sim_advance(hv, hv_sim_next(hv));
    assert_int_equal(h->appeared, 1);
    return hv;
}

static void a_sample_is_answered_in_the_next_step(void **state)
{
    struct model_config c = {.boot_kib = GIB, .load = {.kind = LOAD_IDLE, .base_kib = 10 * MIB}};
    struct heard h;
    struct hv_sim_vm *v;
    struct hv *hv = start(&h, &c, &v);
    struct err e = {0};

    (void)state;
    hv_sim_advance(hv, 4 * SEC); /* statistics were taken */
    assert_int_equal(hv_sample(h.vm, HV_SAMPLE_ALL, &e), 0);
    assert_int_equal(h.levers + h.host + h.views, 0);
    hv_sim_advance(hv, hv_sim_next(hv));
    assert_int_equal(h.levers, 1);
    assert_int_equal(h.host, 1);
    assert_int_equal(h.views, 1);
    assert_int_equal(h.view.source, OBS_SOURCE_STATISTICS);
    assert_true(h.view.psi_some_usec == OBS_UNSET && h.view.committed_bytes == OBS_UNSET);
    assert_true(h.view.time_usec <= h.view.heard_usec && h.view.heard_usec - h.view.time_usec <= 3 * SEC / 2);
    hv_close(hv);
}

static void a_target_deflates_before_it_plugs_and_unplugs_before_it_inflates(void **state)
{
    struct model_config c = {.boot_kib = GIB, .pluggable_kib = GIB, .block_kib = 2 * MIB,
                             .balloon_target_kib = 512 * MIB, .load = {.kind = LOAD_IDLE, .base_kib = 10 * MIB}};
    struct heard h;
    struct hv_sim_vm *v;
    struct hv *hv = start(&h, &c, &v);
    struct err e = {0};

    (void)state;
    assert_int_equal(hv_set_target(h.vm, 900 * MIB * 1024, on_done, &h, &e), 0);
    hv_sim_advance(hv, 4 * SEC);
    assert_int_equal(h.done, 1);
    assert_int_equal(h.done_code, 0);
    assert_int_equal(v->model.actual_kib, 900 * MIB);
    assert_int_equal(v->model.plugged_kib, 0);
    assert_int_equal(hv_set_target(h.vm, 1500 * MIB * 1024, on_done, &h, &e), 0);
    hv_sim_advance(hv, 8 * SEC);
    assert_int_equal(v->model.actual_kib, GIB);
    assert_int_equal(v->model.online_kib, 476 * MIB);
    assert_int_equal(hv_set_target(h.vm, 700 * MIB * 1024, on_done, &h, &e), 0);
    hv_sim_advance(hv, 12 * SEC);
    assert_int_equal(v->model.actual_kib, 700 * MIB);
    assert_int_equal(v->model.online_kib, 0);
    hv_close(hv);
}

static void replaced_commands_and_closing_end_with_cancelled(void **state)
{
    struct model_config c = {.boot_kib = GIB, .load = {.kind = LOAD_IDLE, .base_kib = 10 * MIB}};
    struct heard h;
    struct hv_sim_vm *v;
    struct hv *hv = start(&h, &c, &v);
    struct err e = {0};

    (void)state;
    assert_int_equal(hv_set_target(h.vm, 700 * MIB * 1024, on_done, &h, &e), 0);
    assert_int_equal(hv_set_target(h.vm, 600 * MIB * 1024, on_done, &h, &e), 0);
    assert_int_equal(h.done, 0); /* from the loop only */
    hv_sim_advance(hv, 2 * SEC);
    assert_int_equal(h.done, 2);
    assert_int_equal(v->model.actual_kib, 600 * MIB);
    assert_int_equal(hv_set_target(h.vm, 700 * MIB * 1024, on_done, &h, &e), 0);
    hv_close(hv);
    assert_int_equal(h.done, 3);
    assert_int_equal(h.done_code, ECANCELED);
}

static void a_mute_monitor_times_out(void **state)
{
    struct model_config c = {.kind = MODEL_MUTE, .boot_kib = GIB, .happens_usec = 3 * SEC,
                             .load = {.kind = LOAD_IDLE, .base_kib = 10 * MIB}};
    struct heard h;
    struct hv_sim_vm *v;
    struct hv *hv = start(&h, &c, &v);
    struct err e = {0};

    (void)state;
    hv_sim_advance(hv, 4 * SEC);
    assert_int_equal(hv_sample(h.vm, HV_SAMPLE_ALL, &e), 0);
    assert_int_equal(hv_set_target(h.vm, 700 * MIB * 1024, on_done, &h, &e), 0);
    hv_sim_advance(hv, 7 * SEC);
    assert_int_equal(h.levers + h.host + h.views, 0);
    assert_int_equal(h.done_code, ETIMEDOUT);
    assert_int_equal(v->model.actual_kib, GIB);
    hv_close(hv);
}

static void resets_and_ends_are_told(void **state)
{
    struct model_config c = {.kind = MODEL_REBOOTING, .boot_kib = GIB, .happens_usec = 3 * SEC, .agent = true,
                             .balloon_target_kib = 500 * MIB, .load = {.kind = LOAD_IDLE, .base_kib = 10 * MIB}};
    struct heard h;
    struct hv_sim_vm *v;
    struct hv *hv = start(&h, &c, &v);
    struct err e = {0};

    (void)state;
    hv_sim_advance(hv, 4 * SEC);
    assert_int_equal(h.resets, 1);
    assert_in_range(h.views, 2, 3);
    hv_sim_advance(hv, 7 * SEC);
    assert_in_range(h.views, 2, 3); /* no agent while it boots */
    hv_sim_advance(hv, 12 * SEC);
    assert_true(h.views >= 5);
    assert_int_equal(v->model.actual_kib, 500 * MIB);
    v->model.config.kind = MODEL_VANISHING;
    v->model.config.happens_usec = 13 * SEC;
    hv_sim_advance(hv, 14 * SEC);
    assert_int_equal(h.vanished, 1);
    assert_int_equal(hv_sample(h.vm, HV_SAMPLE_ALL, &e), -ENODEV);
    assert_int_equal(hv_set_target(h.vm, GIB, on_done, &h, &e), -ENODEV);
    hv_close(hv);
}

static void the_host_has_what_guests_did_not_touch(void **state)
{
    struct model_config c = {.boot_kib = GIB, .overhead_kib = 100 * MIB,
                             .load = {.kind = LOAD_IDLE, .base_kib = 10 * MIB}};
    struct heard h;
    struct hv_sim_vm *v;
    struct hv *hv = start(&h, &c, &v);
    struct obs_host seen;

    (void)state;
    hv_sim_read_host(hv, &seen);
    assert_int_equal(seen.total_bytes, 8 * GIB * 1024);
    assert_int_equal(seen.available_bytes / 1024, 7 * GIB - 100 * MIB - v->model.touched_kib);
    hv_close(hv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_is_answered_in_the_next_step),
        cmocka_unit_test(a_target_deflates_before_it_plugs_and_unplugs_before_it_inflates),
        cmocka_unit_test(replaced_commands_and_closing_end_with_cancelled),
        cmocka_unit_test(a_mute_monitor_times_out),
        cmocka_unit_test(resets_and_ends_are_told),
        cmocka_unit_test(the_host_has_what_guests_did_not_touch),
    };
    return cmocka_run_group_tests_name("hv_sim", tests, NULL, NULL);
}
