/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "notify_watch.h"

/* A made-up engine: what its life makes of messages. */

#define SEC 1000000ULL
#define MIB 1024ULL /* KiB */

static struct host the_host;
static struct engine_guest the_guest;
static struct hv_vm the_vm;
static bool is_there;

const struct host *engine_host(const struct engine *engine)
{
    (void)engine;
    return &the_host;
}

const struct engine_guest *engine_find(const struct engine *engine, const char *name)
{
    (void)engine;
    return is_there && strcmp(name, the_vm.name) == 0 ? &the_guest : NULL;
}

static struct notify_message last;
static unsigned count;
static bool is_full;

static uint64_t take(void *user, const struct notify_message *m)
{
    (void)user;
    if (is_full)
        return 0;
    last = *m;
    return ++count;
}

static int set_up(void **state)
{
    struct notify_watch *w;
    struct err e = {0};

    assert_int_equal(notify_watch_new(take, NULL, &w, &e), 0);
    notify_watch_configure(w, 300 * SEC, 60 * SEC);
    the_host = (struct host){.config.reserve_kib = 1024 * MIB, .free_kib = 1000 * (int64_t)MIB};
    the_vm = (struct hv_vm){.name = "web1"};
    the_guest = (struct engine_guest){.vm = &the_vm};
    the_guest.core.assigned_kib = 512 * MIB;
    the_guest.core.verdict.held_kib = 700 * MIB;
    is_there = true;
    is_full = false;
    count = 0;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    *state = notify_watch_free(*state);
    return 0;
}

static void host_is(struct notify_watch *w, enum host_state state, int64_t free_mib, uint64_t now_usec)
{
    the_host.state = state;
    the_host.free_kib = free_mib * (int64_t)MIB;
    notify_watch_host(w, &the_host, now_usec);
    notify_watch_tick(w, NULL, now_usec);
}

static void the_host_short_of_memory_is_told(void **state)
{
    struct notify_watch *w = *state;

    host_is(w, HOST_SOFT, 700, 10 * SEC);
    assert_int_equal(count, 0);
    host_is(w, HOST_HARD, 400, 11 * SEC);
    assert_int_equal(count, 1);
    assert_int_equal(last.event, NOTIFY_HOST);
    assert_int_equal(last.severity, NOTIFY_WARNING);
    assert_string_equal(last.state, "hard");
    host_is(w, HOST_LOW, -50, 12 * SEC);
    assert_int_equal(count, 2);
    assert_int_equal(last.severity, NOTIFY_CRITICAL);
    assert_string_equal(last.guest, "");
    assert_string_equal(last.text, "memory of the host is low: -50 MiB of its reserve of 1 GiB are free; guests get nothing more "
                        "until others gave: stop or move a guest, or end what takes memory");
    assert_int_equal(last.free_bytes, -(50LL << 20));
    host_is(w, HOST_HIGH, 900, 20 * SEC);
    assert_int_equal(count, 2); /* not before it lasts */
    host_is(w, HOST_HIGH, 900, 50 * SEC);
    assert_int_equal(count, 3);
    assert_int_equal(last.severity, NOTIFY_OK);
    assert_string_equal(last.text, "memory of the host is better, high: 900 MiB of its reserve of 1 GiB are free");
}

static void flags_are(struct notify_watch *w, uint32_t flags, uint64_t now_usec)
{
    the_guest.core.verdict.flags = flags;
    notify_watch_flags(w, &the_guest, now_usec);
    notify_watch_tick(w, NULL, now_usec);
}

static void a_guest_in_trouble_is_told(void **state)
{
    struct notify_watch *w = *state;

    flags_are(w, GUEST_FLAG_BREACH, 10 * SEC);
    assert_int_equal(count, 1);
    assert_int_equal(last.event, NOTIFY_BREACH);
    assert_string_equal(last.state, "begin");
    assert_string_equal(last.text, "guest 'web1' holds 700 MiB, more than the 512 MiB it was given; what it holds is counted. "
                        "It may be hostile, or its balloon driver broken; 'ballast show web1' says more");
    assert_int_equal(last.held_bytes, 700 << 20);
    flags_are(w, GUEST_FLAG_BREACH | GUEST_FLAG_STUCK | GUEST_FLAG_SILENT, 20 * SEC);
    flags_are(w, GUEST_FLAG_BREACH | GUEST_FLAG_STUCK, 79 * SEC);
    assert_int_equal(count, 1);
    flags_are(w, GUEST_FLAG_BREACH | GUEST_FLAG_STUCK, 80 * SEC);
    assert_int_equal(count, 2);
    assert_int_equal(last.event, NOTIFY_STUCK);
    assert_non_null(strstr(last.text, "has not moved to the size it was told for 1 min, and keeps 512 MiB"));
    flags_are(w, 0, 100 * SEC);
    flags_are(w, 0, 130 * SEC);
    assert_int_equal(count, 4);
    assert_string_equal(last.state, "end");
}

static void a_guest_that_went_ends_its_trouble(void **state)
{
    struct notify_watch *w = *state;

    flags_are(w, GUEST_FLAG_BREACH, 10 * SEC);
    is_there = false;
    notify_watch_gone(w, "web1", 11 * SEC);
    notify_watch_tick(w, NULL, 41 * SEC);
    assert_int_equal(count, 2);
    assert_string_equal(last.text, "guest 'web1' is gone, and with it what was said of it");
    assert_true(last.held_bytes == UINT64_MAX);
}

static void what_is_not_taken_is_told_later(void **state)
{
    struct notify_watch *w = *state;

    is_full = true;
    host_is(w, HOST_LOW, 1, 10 * SEC);
    assert_int_equal(count, 0);
    is_full = false;
    notify_watch_tick(w, NULL, 15 * SEC);
    assert_int_equal(count, 1);
    notify_watch_tick(w, NULL, 16 * SEC);
    assert_int_equal(count, 1);
}

static void more_causes_than_there_is_room_for_are_counted(void **state)
{
    struct notify_watch *w = *state;

    for (unsigned i = 0; i < NOTIFY_CAUSES_MAX + 50; i++) {
        (void)snprintf(the_vm.name, sizeof(the_vm.name), "g%u", i);
        the_guest.core.verdict.flags = GUEST_FLAG_BREACH;
        notify_watch_flags(w, &the_guest, 10 * SEC);
    }
    notify_watch_tick(w, NULL, 10 * SEC);
    assert_int_equal(count, NOTIFY_CAUSES_MAX);
    for (unsigned i = 0; i < NOTIFY_CAUSES_MAX + 50; i++) {
        (void)snprintf(the_vm.name, sizeof(the_vm.name), "g%u", i);
        the_guest.core.verdict.flags = 0;
        notify_watch_flags(w, &the_guest, 20 * SEC);
    }
    notify_watch_tick(w, NULL, 50 * SEC);
    assert_int_equal(count, 2 * NOTIFY_CAUSES_MAX);
    notify_watch_tick(w, NULL, 400 * SEC); /* all are forgotten: there is room again */
    host_is(w, HOST_LOW, 1, 401 * SEC);
    assert_int_equal(count, 2 * NOTIFY_CAUSES_MAX + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_host_short_of_memory_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_guest_in_trouble_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_guest_that_went_ends_its_trouble, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_taken_is_told_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_causes_than_there_is_room_for_are_counted, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
