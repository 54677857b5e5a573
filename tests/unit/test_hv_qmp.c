/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture_hv_qmp.h"
#include "online.h"

/* The QEMU driver against played QEMUs: what it tells, what it sends, and what one bad guest does to the others. */

static void finds_probes_and_samples(void **state)
{
    struct world *w = *state;
    struct guest *g = &w->guests[0];

    g->most = 512 * MIB;
    start_guest(w, 0);
    open_driver(w);
    run_until(w, &w->levers, 1);
    assert_int_equal(w->appeared, 1);
    assert_string_equal(w->vms[0]->name, "a");
    assert_string_equal(w->vms[0]->uuid, ""); /* QEMU's zeros are none */
    assert_int_equal(w->vms[0]->pid, getpid());
    assert_true(w->vms[0]->start_ticks > 0);
    assert_int_equal(w->vms[0]->caps, HV_CAP_BALLOON | HV_CAP_STATISTICS | HV_CAP_PLUG | HV_CAP_HOST_VIEW);
    assert_true(w->seen.boot_bytes == 256 * MIB && w->seen.balloon_actual_bytes == 256 * MIB);
    assert_true(w->seen.pluggable_bytes == 512 * MIB && w->seen.block_bytes == 2 * MIB && w->seen.deflate_on_oom);
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    assert_true(w->view.total_bytes == 218 * MIB && w->view.swapped_in_bytes == OBS_UNSET);
    assert_true(w->view.time_usec <= w->view.heard_usec);
    look(w, 0, HV_SAMPLE_HOST, &w->hosts);
    assert_true(w->host.disk_read_bytes == 12345 && w->host.resident_bytes > 0);
    assert_int_equal(w->troubles, 1); /* this process has no such RAM region: all of it counts */
    assert_non_null(strstr(w->trouble, "all of the process counts"));
    assert_int_equal(g->balloons + g->plugs, 0); /* S10: nothing is moved */
    w->hv = hv_close(w->hv);
    assert_int_equal(g->balloons + g->plugs, 0);
}

static void old_statistics_are_not_told_again(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);

    open_driver(w);
    run_until(w, &w->appeared, 1);
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    for (int i = 0; i < 5; i++)
        look(w, 0, HV_SAMPLE_LEVERS | HV_SAMPLE_VIEW, &w->levers);
    assert_int_equal(w->views, 1);
    g->last_update++;
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    assert_int_equal(w->views, 2);
    g->last_update = 1; /* the wall clock was set back by decades: still fresh, and not decades old */
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    assert_true(w->view.heard_usec - w->view.time_usec < 60000000);
    g->last_update = UINT64_MAX; /* nor from the future */
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    assert_true(w->view.time_usec <= w->view.heard_usec);
}

static void unset_statistics_are_no_view(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);

    g->last_update = 0;
    open_driver(w);
    run_until(w, &w->appeared, 1);
    for (int i = 0; i < 3; i++)
        look(w, 0, HV_SAMPLE_LEVERS | HV_SAMPLE_VIEW, &w->levers);
    assert_int_equal(w->views, 0);
    assert_int_equal(w->troubles, 0);
}

static void looking_often_asks_the_guest_at_once(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);

    open_driver(w);
    run_until(w, &w->appeared, 1);
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    assert_int_equal(g->kicks, 0);
    look(w, 0, HV_SAMPLE_LEVERS | HV_SAMPLE_VIEW, &w->levers);
    run_until(w, &g->kicks, 1);
}

static void facts_are_asked_for_and_may_be_missing(void **state)
{
    struct world *w = *state;
    const struct hv_facts *f;

    w->guests[1].knows_facts = true;
    start_guest(w, 0);
    start_guest(w, 1);
    open_driver(w);
    run_until(w, &w->appeared, 2);
    f = &w->vms[0]->facts; /* an old QEMU */
    assert_string_equal(f->version, "");
    assert_true(f->has_balloon && f->deflate_on_oom == HV_YES && f->page_reporting == HV_UNKNOWN);
    assert_int_equal(f->maximum_bytes, 0);
    f = &w->vms[1]->facts;
    assert_string_equal(f->version, "QEMU 7.2.15");
    assert_int_equal(f->page_reporting, HV_NO);
    assert_int_equal(f->maximum_bytes, 1024 * MIB);
    assert_int_equal(f->slots, 2);
    assert_string_equal(f->fixed, "");
    look(w, 1, HV_SAMPLE_LEVERS, &w->levers);
    assert_int_equal(f->port, HV_PORT_NONE);
    assert_int_equal(w->troubles, 0);
}

/* Memory that does not come back to the host: the driver says it has no lever, and why. */
static void memory_that_cannot_move_is_fixed(void **state)
{
    static const struct {
        const char *device, *object;
        uint64_t most;
        const char *says; /* NULL: it has a lever */
        bool balloon;
    } cases[] = {
        {NULL, NULL, 0, NULL, true},
        {"vfio-pci", NULL, 0, "passed-through", false},
        {"vfio-pci", NULL, 512 * MIB, NULL, false},
        {NULL, "sev-guest", 0, "AMD SEV", false},
        {NULL, "tdx-guest", 512 * MIB, "Intel TDX", false},
        {"virtio-net-pci", "memory-backend-ram", 0, NULL, true},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct guest *g = &w->guests[0];
        const struct hv_vm *vm;

        g->device = cases[i].device;
        g->object = cases[i].object;
        g->most = cases[i].most;
        start_guest(w, 0);
        open_driver(w);
        run_until(w, &w->levers, w->levers + 1);
        vm = w->vms[0];
        assert_int_equal(w->seen.has_balloon, cases[i].balloon);
        assert_int_equal(vm->caps & HV_CAP_BALLOON ? 1 : 0, cases[i].balloon);
        assert_int_equal(vm->caps & HV_CAP_PLUG && w->seen.block_bytes ? 1 : 0, cases[i].most > 0 && !cases[i].says);
        assert_true(vm->facts.has_balloon && vm->caps & HV_CAP_STATISTICS); /* it tells of its memory all the same */
        if (!cases[i].says)
            assert_string_equal(vm->facts.fixed, "");
        else if (!strstr(vm->facts.fixed, cases[i].says) || !strstr(w->trouble, cases[i].says))
            fail_msg("case %zu: '%s', told '%s'", i, vm->facts.fixed, w->trouble);
        w->hv = hv_close(w->hv);
        fake_qmp_free(g->fake);
        g->fake = NULL;
    }
}

static void moves_both_levers(void **state)
{
    struct world *w = *state;
    struct guest *g = &w->guests[0];

    g->most = 512 * MIB;
    start_guest(w, 0);
    open_driver(w);
    run_until(w, &w->appeared, 1);
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    order(w, 0, 128);
    assert_true(g->balloon_asked == 128 * MIB && g->plugs == 0 && w->done_code == 0);
    settle(w, &w->seen.balloon_actual_bytes, 128 * MIB); /* seen without asking */
    order(w, 0, 400);
    assert_true(g->balloon_asked == 256 * MIB && g->requested == 144 * MIB);
    settle(w, &w->seen.online_bytes, 144 * MIB); /* and the statistics that prove it are asked for */
    order(w, 0, 300);
    assert_true(g->requested == 44 * MIB && g->balloon_asked == 256 * MIB);
    settle(w, &w->seen.plugged_bytes, 44 * MIB);
    order(w, 0, 100); /* unplugs first; the balloon follows when that is done */
    assert_true(g->requested == 0);
    settle(w, &w->seen.balloon_actual_bytes, 100 * MIB);
    assert_int_equal(w->happened[HV_HAPPENED_FOREIGN_HAND], 0);
    assert_int_equal(w->troubles, 0);
}

static void the_balloon_takes_what_stays_plugged(void **state)
{
    struct world *w = *state;
    struct guest *g = &w->guests[0];

    g->most = 512 * MIB;
    g->plugged = g->requested = 128 * MIB;
    g->stubborn_plug = true;
    start_guest(w, 0);
    open_driver(w);
    run_until(w, &w->appeared, 1);
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    order(w, 0, 300);
    assert_true(g->requested == 44 * MIB);
    settle(w, &w->seen.balloon_actual_bytes, 172 * MIB); /* 128 stay plugged */
    g->plugged = 44 * MIB;                               /* and when they go after all */
    settle(w, &w->seen.balloon_actual_bytes, 256 * MIB);
}

static void offline_memory_is_unplugged_and_said(void **state)
{
    struct world *w = *state;
    struct guest *g = &w->guests[0];
    uint64_t start, now;

    g->most = 512 * MIB;
    g->offline = true;
    start_guest(w, 0);
    open_driver(w);
    run_until(w, &w->appeared, 1);
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    order(w, 0, 384);
    assert_true(g->plugged == 128 * MIB);
    assert_true(sd_event_now(w->loop, CLOCK_MONOTONIC, &start) >= 0);
    do { /* the guest reports, and its MemTotal does not rise */
        g->last_update++;
        assert_true(sd_event_run(w->loop, UINT64_MAX) >= 0);
        assert_true(sd_event_now(w->loop, CLOCK_MONOTONIC, &now) >= 0);
    } while (now - start < 2 * ONLINE_PROOF_USEC);
    assert_int_equal(w->troubles, 0);
    assert_true(w->seen.plugged_bytes == 128 * MIB && w->seen.online_bytes == 0); /* not given */
    order(w, 0, 256); /* as the engine withdraws what does not move */
    assert_int_equal(w->troubles, 1);
    assert_non_null(strstr(w->trouble, "offline"));
    assert_non_null(strstr(w->trouble, "memhp_default_state=online"));
    settle(w, &w->seen.plugged_bytes, 0);
    assert_true(w->seen.online_bytes == 0);
    order(w, 0, 384); /* not again at once */
    assert_true(g->requested == 0);
    assert_int_equal(w->troubles, 1);
}

static void the_same_target_is_sent_again(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);

    open_driver(w);
    run_until(w, &w->appeared, 1);
    order(w, 0, 128);
    settle(w, &w->seen.balloon_actual_bytes, 128 * MIB);
    g->actual = 200 * MIB; /* deflate-on-oom took memory back */
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    assert_int_equal(g->balloons, 1);
    order(w, 0, 128);
    assert_int_equal(g->balloons, 2);
    settle(w, &w->seen.balloon_actual_bytes, 128 * MIB);
}

static void a_refused_order_ends_with_its_reason(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);
    struct err e = {0};

    g->refuses = true;
    open_driver(w);
    run_until(w, &w->appeared, 1);
    order(w, 0, 128);
    assert_int_equal(w->done_code, EREMOTEIO);
    assert_int_equal(w->troubles, 1);
    assert_string_equal(w->trouble, "guest 'a': QEMU refused 'balloon': not today");
    assert_int_equal(hv_set_target(w->vms[0], 0, count_done, w, &e), -EINVAL);
}

static void another_hand_on_virtio_mem_is_seen(void **state)
{
    struct world *w = *state;
    struct guest *g = &w->guests[0];

    g->most = 512 * MIB;
    start_guest(w, 0);
    open_driver(w);
    run_until(w, &w->appeared, 1);
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    order(w, 0, 384);
    settle(w, &w->seen.online_bytes, 128 * MIB);
    g->plugged = 0; /* a reset: its driver plugs the same size again, which is no other hand */
    fake_qmp_send_text(g->fake, "{\"event\": \"RESET\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\r\n");
    run_until(w, &w->happened[HV_HAPPENED_RESET], 1);
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    g->plugged = 128 * MIB;
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    assert_int_equal(w->happened[HV_HAPPENED_FOREIGN_HAND], 0);
    g->requested = g->plugged = 64 * MIB;
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    assert_int_equal(w->happened[HV_HAPPENED_FOREIGN_HAND], 1);
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    assert_int_equal(w->happened[HV_HAPPENED_FOREIGN_HAND], 1); /* once */
}

static void a_guest_that_resets_plugs_no_more_than_it_can_boot_with(void **state)
{
    struct world *w = *state;
    struct guest *g = &w->guests[0];

    g->most = 16384 * MIB;
    start_guest(w, 0);
    g->plugged = g->requested = 12288 * MIB;
    open_driver(w);
    run_until(w, &w->appeared, 1);
    fake_qmp_send_text(g->fake, "{\"event\": \"RESET\"}\r\n");
    run_until(w, &w->happened[HV_HAPPENED_RESET], 1);
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    assert_int_equal(g->requested, 12288 * MIB); /* the size is somebody else's: it may be watched only */
    order(w, 0, 11264 + 256);
    assert_int_equal(g->requested, 11264 * MIB);
    fake_qmp_send_text(g->fake, "{\"event\": \"RESET\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\r\n");
    g->plugged = 0;
    run_until(w, &w->happened[HV_HAPPENED_RESET], 2);
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    assert_int_equal(g->requested, online_unheard_bytes(g->boot));
    assert_true(g->requested > 0 && g->requested < 12288 * MIB);
    assert_int_equal(w->seen.requested_bytes, g->requested);
    assert_int_equal(w->happened[HV_HAPPENED_FOREIGN_HAND], 0);
}

static void events_are_told(void **state)
{
    static const struct {
        const char *event;
        enum hv_happening what;
    } cases[] = {
        {"{\"event\": \"RESET\"}\n", HV_HAPPENED_RESET},
        {"{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}\n",
         HV_HAPPENED_SHUTDOWN},
        {"{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\n", HV_HAPPENED_RESET},
        {"{\"event\": \"SHUTDOWN\", \"data\": 7}\n", HV_HAPPENED_SHUTDOWN},
        {"{\"event\": \"GUEST_PANICKED\", \"data\": {\"action\": \"pause\"}}\n", HV_HAPPENED_PANIC},
        {"{\"event\": \"STOP\"}\n", HV_HAPPENED_PAUSED},
        {"{\"event\": \"RESUME\"}\n", HV_HAPPENED_RESUMED},
    };
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);

    open_driver(w);
    run_until(w, &w->appeared, 1);
    fake_qmp_send_text(g->fake, "{\"event\": \"NIC_RX_FILTER_CHANGED\"}\n");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned before = w->happened[cases[i].what];

        fake_qmp_send_text(g->fake, cases[i].event);
        run_until(w, &w->happened[cases[i].what], before + 1);
    }
    w->levers = 0;
    g->actual = 77 * MIB;
    fake_qmp_send_text(g->fake, "{\"event\": \"BALLOON_CHANGE\", \"data\": {\"actual\": 5}}\n");
    run_until(w, &w->levers, 1);
    assert_true(w->seen.balloon_actual_bytes == 77 * MIB); /* looked at, not taken from the event */
}

static void no_lever_is_one_sentence(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);
    struct err e = {0};

    g->no_balloon = true;
    open_driver(w);
    run_until(w, &w->levers, 1);
    assert_int_equal(w->vms[0]->caps, HV_CAP_HOST_VIEW);
    assert_false(w->seen.has_balloon);
    assert_int_equal(w->troubles, 1);
    assert_non_null(strstr(w->trouble, "no balloon device"));
    assert_non_null(strstr(w->trouble, "-device virtio-balloon-pci"));
    assert_int_equal(hv_set_target(w->vms[0], 128 * MIB, count_done, w, &e), -ENODEV);
    look(w, 0, HV_SAMPLE_ALL, &w->levers);
    assert_int_equal(g->balloons, 0);
}

/* S4: a silent guest and one that talks nonsense cost one sentence each; the third goes on. */
static void bad_guests_trouble_nobody_else(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    start_guest(w, 0);
    start_guest(w, 1);
    start_guest(w, 2);
    open_driver(w);
    run_until(w, &w->appeared, 3);
    w->guests[0].silent = true;
    w->guests[1].foolish = true;
    assert_int_equal(hv_sample(w->vms[0], HV_SAMPLE_LEVERS, &e), 0);
    assert_int_equal(hv_sample(w->vms[1], HV_SAMPLE_LEVERS, &e), 0);
    order(w, 2, 128);
    settle(w, &w->seen.balloon_actual_bytes, 128 * MIB);
    run_until(w, &w->troubles, 2); /* "can't be used" at once, "silent" after the deadline */
    assert_int_equal(w->trouble_code, ETIMEDOUT);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(hv_sample(w->vms[1], HV_SAMPLE_LEVERS, &e), 0);
        look(w, 2, HV_SAMPLE_LEVERS, &w->levers);
    }
    assert_int_equal(w->troubles, 2);
    assert_int_equal(w->vanished, 0);
}

static void a_lost_monitor_is_taken_up_again(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);
    struct hv_vm *vm;
    struct err e = {0};

    open_driver(w);
    run_until(w, &w->appeared, 1);
    vm = w->vms[0];
    w->levers = 0;
    assert_int_equal(hv_set_target(vm, 128 * MIB, count_done, w, &e), 0);
    fake_qmp_hang_up(g->fake);
    run_until(w, &w->dones, 1);
    assert_int_equal(w->done_code, ECANCELED);
    assert_int_equal(hv_sample(vm, HV_SAMPLE_ALL, &e), 0); /* answers nothing, and is no trouble each second */
    assert_int_equal(hv_set_target(vm, 128 * MIB, count_done, w, &e), -ENOTCONN);
    run_until(w, &w->levers, 1); /* attached again */
    assert_int_equal(w->appeared, 1);
    assert_int_equal(w->vanished, 0); /* the process lives */
    assert_ptr_equal(w->vms[0], vm);
    assert_int_equal(w->troubles, 0);
}

static void directories_may_come_later(void **state)
{
    struct world *w = *state;

    assert_int_equal(rmdir(w->directory), 0);
    open_driver(w);
    assert_true(sd_event_run(w->loop, UINT64_MAX) >= 0);
    assert_int_equal(mkdir(w->directory, 0700), 0);
    start_guest(w, 0);
    run_until(w, &w->appeared, 1); /* by the rescan */
    start_guest(w, 1);
    run_until(w, &w->appeared, 2); /* by inotify */
}

static void wrong_names_and_files_are_left_alone(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {".qmp", "b.qga", "c.qmp.old", "plain.qmp"};
    char path[96];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", w->directory, names[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    start_guest(w, 0);
    open_driver(w);
    run_until(w, &w->appeared, 1);
    assert_int_equal(w->troubles, 1); /* the last one only: a name of ours that is no socket */
    assert_non_null(strstr(w->trouble, "plain.qmp' is no socket"));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", w->directory, names[i]);
        assert_int_equal(rmdir(path), 0);
    }
}

/* Once for all of them, and the others are found. */
static void a_name_that_is_none_is_said(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"x y.qmp", "it's.qmp"};
    struct fake_qmp *fakes[2];

    for (size_t i = 0; i < 2; i++) {
        struct fake_qmp_config config = {.loop = w->loop};
        char path[96];

        (void)snprintf(path, sizeof(path), "%s/%s", w->directory, names[i]);
        config.path = path;
        fakes[i] = fake_qmp_new(&config);
    }
    start_guest(w, 0);
    open_driver(w);
    run_until(w, &w->appeared, 1);
    assert_int_equal(w->troubles, 1);
    assert_non_null(strstr(w->trouble, "can't be that of a guest"));
    for (size_t i = 0; i < 2; i++)
        (void)fake_qmp_free(fakes[i]);
}

static void explicit_sockets(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 1);
    struct hv_qmp_socket sockets[] = {
        {.name = "b", .path = g->path},
        {.name = "c", .path = "/nonexistent/c.qmp"},
        {.name = "a", .path = "/var/run/qemu-server/100.qmp"},
    };
    struct hv_qmp_config config = {
        .loop = w->loop,
        .listener = listener_of(w),
        .sockets = sockets,
        .sockets_n = 3,
    };
    struct err e = {0};

    assert_int_equal(hv_qmp_open(&config, &w->hv, &e), 0);
    run_until(w, &w->appeared, 1);
    run_until(w, &w->troubles, 2); /* absent; not ours */
    w->hv = hv_close(w->hv);
    sockets[1].name = "b";
    assert_int_equal(hv_qmp_open(&config, &w->hv, &e), -EINVAL);
    sockets[1].name = "b/c";
    assert_int_equal(hv_qmp_open(&config, &w->hv, &e), -EINVAL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_world, teardown_world)
    const struct CMUnitTest tests[] = {
        TEST(finds_probes_and_samples),
        TEST(facts_are_asked_for_and_may_be_missing),
        TEST(memory_that_cannot_move_is_fixed),
        TEST(old_statistics_are_not_told_again),
        TEST(unset_statistics_are_no_view),
        TEST(looking_often_asks_the_guest_at_once),
        TEST(moves_both_levers),
        TEST(the_balloon_takes_what_stays_plugged),
        TEST(offline_memory_is_unplugged_and_said),
        TEST(the_same_target_is_sent_again),
        TEST(a_refused_order_ends_with_its_reason),
        TEST(another_hand_on_virtio_mem_is_seen),
        TEST(a_guest_that_resets_plugs_no_more_than_it_can_boot_with),
        TEST(events_are_told),
        TEST(no_lever_is_one_sentence),
        TEST(bad_guests_trouble_nobody_else),
        TEST(a_lost_monitor_is_taken_up_again),
        TEST(directories_may_come_later),
        TEST(wrong_names_and_files_are_left_alone),
        TEST(a_name_that_is_none_is_said),
        TEST(explicit_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
