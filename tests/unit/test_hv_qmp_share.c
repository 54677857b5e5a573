/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fixture_hv_qmp.h"
#include "own.h"

/* `access: share`: the driver and another client take turns on one monitor, and what a poll can see makes up for events. */

/* Another client of the same monitor. */
static int connect_other(const struct guest *g)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", g->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Runs the loop until the other client is served. */
static void greet_other(struct world *w, int fd)
{
    char text[256];

    while (recv(fd, text, sizeof(text), 0) <= 0)
        assert_true(sd_event_run(w->loop, 10000) >= 0);
    assert_non_null(strstr(text, "QMP"));
}

static void let_go(struct world *w, const struct guest *g)
{
    while (fake_qmp_has_client(g->fake))
        assert_true(sd_event_run(w->loop, 10000) >= 0);
}

static void nobody_keeps_the_monitor(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);
    AUTO_CLOSE int other = -1;

    open_shared(w);
    run_until(w, &w->appeared, 1);
    let_go(w, g);
    for (int i = 0; i < 3; i++) {
        look(w, 0, HV_SAMPLE_LEVERS | HV_SAMPLE_VIEW | HV_SAMPLE_HOST, &w->levers);
        let_go(w, g);
    }
    assert_int_equal(fake_qmp_accepted(g->fake), 4); /* the probe, and one for each look */
    assert_true(w->views > 0);
    run_until(w, &w->hosts, 1);
    other = connect_other(g);
    greet_other(w, other); /* served at once */
    assert_int_equal(w->vanished, 0);
}

static void an_order_waits_for_its_turn(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);
    struct err e = {0};
    int other;

    open_shared(w);
    run_until(w, &w->appeared, 1);
    let_go(w, g);
    other = connect_other(g);
    greet_other(w, other);
    assert_int_equal(hv_set_target(w->vms[0], 200 * MIB, count_done, w, &e), 0);
    assert_int_equal(hv_set_target(w->vms[0], 180 * MIB, count_done, w, &e), 0);
    for (int i = 0; i < 5; i++)
        assert_true(sd_event_run(w->loop, 10000) >= 0);
    assert_int_equal(g->balloons + w->dones, 0);
    (void)close(other);
    run_until(w, &w->dones, 2); /* the older one is replaced, the newer one taken */
    assert_true(g->balloon_asked == 180 * MIB && g->balloons == 1 && w->done_code == 0);
    settle(w, &w->seen.balloon_actual_bytes, 180 * MIB); /* what moves is looked at without being asked */
}

static void an_order_that_waits_too_long_is_given_up(void **state)
{
    struct world *w = *state;
    struct guest *held = start_guest(w, 0), *free_one = start_guest(w, 1);
    AUTO_CLOSE int other = -1;
    struct err e = {0};

    open_shared(w);
    run_until(w, &w->appeared, 2);
    let_go(w, held);
    other = connect_other(held);
    greet_other(w, other);
    assert_int_equal(hv_set_target(w->vms[0], 200 * MIB, count_done, w, &e), 0);
    order(w, 1, 128); /* S4: the other guest is served meanwhile */
    assert_true(free_one->balloon_asked == 128 * MIB && w->done_code == 0);
    run_until(w, &w->dones, 2);
    assert_int_equal(w->done_code, ECANCELED);
    assert_int_equal(held->balloons, 0);
    assert_int_equal(w->vanished, 0);
}

static void a_closing_driver_ends_what_waits(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);
    AUTO_CLOSE int other = -1;
    struct err e = {0};

    open_shared(w);
    run_until(w, &w->appeared, 1);
    let_go(w, g);
    other = connect_other(g);
    greet_other(w, other);
    assert_int_equal(hv_set_target(w->vms[0], 200 * MIB, count_done, w, &e), 0);
    w->hv = hv_close(w->hv);
    assert_true(w->dones == 1 && w->done_code == ECANCELED && w->vanished == 1);
}

static void a_monitor_that_is_held_is_said_once(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);
    AUTO_CLOSE int other = -1;
    unsigned before;

    open_shared(w);
    run_until(w, &w->appeared, 1);
    look(w, 0, HV_SAMPLE_HOST, &w->hosts);
    let_go(w, g);
    before = w->troubles;
    other = connect_other(g);
    greet_other(w, other);
    assert_int_equal(hv_sample(w->vms[0], HV_SAMPLE_LEVERS, &(struct err){0}), 0);
    run_until(w, &w->troubles, before + 1);
    assert_non_null(strstr(w->trouble, "monitor of 'a' is held by another client since 0 s"));
    assert_non_null(strstr(w->trouble, "-qmp unix:/run/ballast/guests/a.qmp,server=on,wait=off"));
    assert_int_equal(w->vanished, 0);
    (void)close(other);
    other = -1;
    run_until(w, &w->troubles, before + 2);
    assert_int_equal(w->trouble_code, 0); /* over */
}

static void a_poll_makes_up_for_events(void **state)
{
    struct world *w = *state;
    struct guest *g = &w->guests[0];

    g->most = 512 * MIB;
    g->faults = 1000;
    start_guest(w, 0);
    open_shared(w);
    run_until(w, &w->appeared, 1);
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    g->paused = true;
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    assert_int_equal(w->happened[HV_HAPPENED_PAUSED], 1);
    g->paused = false;
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    assert_int_equal(w->happened[HV_HAPPENED_RESUMED], 1);
    assert_int_equal(w->happened[HV_HAPPENED_RESET], 0);
    g->faults = 10; /* its counters begin anew */
    g->last_update++;
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    assert_int_equal(w->happened[HV_HAPPENED_RESET], 1);
    order(w, 0, 256 + 128);
    settle(w, &w->seen.plugged_bytes, 128 * MIB);
    g->plugged = 0; /* a reset machine has nothing plugged, though it was asked for */
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    assert_int_equal(w->happened[HV_HAPPENED_RESET], 2);
    g->requested = 32 * MIB; /* and the other client's hand on the lever is seen */
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    assert_int_equal(w->happened[HV_HAPPENED_FOREIGN_HAND], 1);
}

static void own_monitors_beside_shared_ones(void **state)
{
    struct world *w = *state;
    struct guest *own = start_guest(w, 0), *shared = start_guest(w, 1);
    const char *directory = w->directory;
    const bool directories_shared = true;
    const struct hv_qmp_socket sockets[] = {{.name = "a", .access = HV_QMP_ACCESS_OWN}};
    const struct hv_qmp_config config = {
        .loop = w->loop,
        .listener = listener_of(w),
        .directories = &directory,
        .directories_n = 1,
        .directories_shared = &directories_shared,
        .sockets = sockets,
        .sockets_n = 1,
    };
    struct err e = {0};

    assert_int_equal(hv_qmp_open(&config, &w->hv, &e), 0);
    run_until(w, &w->appeared, 2);
    let_go(w, shared);
    assert_true(fake_qmp_has_client(own->fake));
}

static void where_the_agents_socket_is(void **state)
{
    char path[32];

    (void)state;
    assert_true(hv_qmp_agent_path("/g/web1.qmp", path, sizeof(path)));
    assert_string_equal(path, "/g/web1.agent");
    assert_true(hv_qmp_agent_path("/g/monitor.sock", path, sizeof(path)));
    assert_string_equal(path, "/g/monitor.sock.agent");
    assert_true(hv_qmp_agent_path(".qmp", path, sizeof(path)));
    assert_string_equal(path, ".qmp.agent");
    assert_false(hv_qmp_agent_path("/a/path/of/just/about/thirty.sock", path, sizeof(path)));
    assert_string_equal(path, "");
}

#define WORLD(f) cmocka_unit_test_setup_teardown(f, setup_world, teardown_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(nobody_keeps_the_monitor),
        WORLD(an_order_waits_for_its_turn),
        WORLD(an_order_that_waits_too_long_is_given_up),
        WORLD(a_closing_driver_ends_what_waits),
        WORLD(a_monitor_that_is_held_is_said_once),
        WORLD(a_poll_makes_up_for_events),
        WORLD(own_monitors_beside_shared_ones),
        cmocka_unit_test(where_the_agents_socket_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
