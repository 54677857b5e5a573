/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy_defaults.h"
#include "why.h"
#include "why_text.h"

/* The ring in which each guest's last decisions are kept, and what is told from it. The core is the real one, the engine
 * under it is made up. */

#define MIB (1024ULL * 1024)
#define SEC 1000000ULL
#define NOW (100000 * SEC)

static struct host the_host;
static struct engine_guest guests[3];
static struct hv_vm vms[3];
static size_t guest_count;
static uint64_t now_usec;

const struct host *engine_host(const struct engine *engine)
{
    (void)engine;
    return &the_host;
}

size_t engine_count(const struct engine *engine)
{
    (void)engine;
    return guest_count;
}

const struct engine_guest *engine_guest_at(const struct engine *engine, size_t i)
{
    (void)engine;
    return i < guest_count ? &guests[i] : NULL;
}

const struct engine_guest *engine_find(const struct engine *engine, const char *name)
{
    (void)engine, (void)name;
    return NULL;
}

size_t engine_guest_slot(const struct engine *engine, const struct engine_guest *g)
{
    (void)engine;
    return g->id;
}

void engine_guest_why(const struct guest *g, char *text, size_t size)
{
    (void)g, (void)size;
    text[0] = '\0';
}

static uint64_t clock_now(void)
{
    return now_usec;
}

static int house_build(void **state)
{
    const struct host_config config = {.memory_kib = 1024 * 1024, .reserve_kib = 256 * 1024, .overcommit_permille = 1000};
    const struct guest_config guest_config = {.buffer = 2000, .priority = 5000, .mode = GUEST_MODE_AUTO};

    (void)state;
    now_usec = NOW;
    guest_count = 2;
    host_init(&the_host, &config);
    for (size_t i = 0; i < 3; i++) {
        vms[i] = (struct hv_vm){0};
        (void)snprintf(vms[i].name, sizeof(vms[i].name), "guest%zu", i);
        memset(&guests[i], 0, sizeof(guests[i]));
        guests[i].vm = &vms[i];
        guests[i].id = (uint32_t)i;
        guest_init(&guests[i].core, &guest_config, NOW - 90 * SEC);
    }
    return 0;
}

/* A guest of 512 MiB with actual_mib of it, all touched, of which available_mib are available. */
static void see(size_t i, uint64_t actual_mib, uint64_t available_mib)
{
    const struct obs_levers levers = {.time_usec = now_usec, .boot_bytes = 512 * MIB, .has_balloon = true,
                                      .balloon_actual_bytes = actual_mib * MIB};
    const struct obs_host_view host = {.time_usec = now_usec, .resident_bytes = actual_mib * MIB};
    struct obs_guest_view view;

    memset(&view, 0xff, sizeof(view)); /* all unset */
    view.source = OBS_SOURCE_STATISTICS;
    view.time_usec = view.heard_usec = now_usec;
    view.spacing_usec = SEC;
    view.available_bytes = available_mib * MIB;
    guest_see_levers(&guests[i].core, &levers, now_usec);
    guest_see_host(&guests[i].core, &host, now_usec);
    guest_see_view(&guests[i].core, &view, now_usec);
}

static void decide_now(struct why *w)
{
    static struct levels levels[3];
    static struct share_slot slots[3];
    static uint64_t weight[3], given[3];
    static uint32_t order[3];
    const struct decide_scratch scratch = {.levels = levels, .slots = slots, .weight = weight, .given_kib = given,
                                           .order = order};
    struct guest *list[3] = {&guests[0].core, &guests[1].core, &guests[2].core};

    the_host.seen = (struct obs_host){.time_usec = now_usec, .total_bytes = 1024 * MIB, .available_bytes = 900 * MIB};
    (void)decide(&the_host, list, guest_count, DECIDE_TICK, now_usec, &scratch);
    why_decided(w, NULL, now_usec);
    for (size_t i = 0; i < guest_count; i++)
        if (guests[i].core.verdict.order != GUEST_ORDER_NONE)
            why_ordered(w, NULL, &guests[i], now_usec);
}

/* 768 MiB for guests, 512 + 256 given: what one needs more, the other must give first. */
static void who_waits_and_who_gives_are_named(void **state)
{
    static struct wire_why told;
    struct status s = {.host_name = "h", .now_usec = clock_now};
    const struct why_entry *entry;
    struct err e = {0};
    struct why w;

    (void)state;
    assert_int_equal(why_init(&w, 3, /* dry_run= */ false, &e), 0);
    see(0, 512, 400);
    see(1, 256, 2);
    decide_now(&w);
    assert_int_equal(the_host.waiting.waiters, 1);
    assert_int_equal(the_host.waiting.waiter, 1);
    assert_int_equal(the_host.waiting.donors, 1);
    assert_int_equal(the_host.waiting.donor, 0);
    assert_true(the_host.waiting.donor_kib >= 100 * 1024 && the_host.waiting.wanted_kib >= the_host.waiting.waiter_kib);

    entry = why_entry_at(&w, &guests[0], 0);
    assert_non_null(entry);
    assert_int_equal(entry->reason, GUEST_REASON_FOR_OTHERS);
    assert_string_equal(entry->other, "guest1");
    assert_null(why_entry_at(&w, &guests[0], 1));
    entry = why_entry_at(&w, &guests[1], 0);
    assert_non_null(entry);
    assert_int_equal(entry->reason, GUEST_REASON_NOT_FREE_YET);
    assert_string_equal(entry->other, "guest0");

    s.why = &w;
    why_tell(&s, &guests[1], &told);
    assert_non_null(strstr(told.now, "'guest0' must give"));
    assert_int_equal(told.decision_count, 1);
    assert_string_equal(told.reason, "not-free-yet");

    now_usec += SEC; /* it gave */
    see(0, 300, 190);
    see(1, 256, 2);
    decide_now(&w);
    entry = why_entry_at(&w, &guests[1], 0);
    assert_int_equal(entry->order, GUEST_ORDER_GROW);
    assert_string_equal(entry->other, "guest0");
    why_done(&w);
}

static void order_now(struct why *w, enum guest_order order, enum guest_reason reason)
{
    guests[0].core.verdict.order = order;
    guests[0].core.verdict.reason = reason;
    if (order == GUEST_ORDER_NONE)
        why_decided(w, NULL, now_usec);
    else
        why_ordered(w, NULL, &guests[0], now_usec);
}

static size_t entries_of(const struct why *w, size_t i)
{
    size_t n = 0;

    while (why_entry_at(w, &guests[i], n))
        n++;
    return n;
}

static void decisions_of_one_kind_in_a_row_are_one(void **state)
{
    const struct why_entry *entry;
    struct err e = {0};
    struct why w;

    (void)state;
    assert_int_equal(why_init(&w, 3, /* dry_run= */ true, &e), 0);
    guest_count = 1;
    for (int i = 0; i < 8; i++, now_usec += SEC)
        order_now(&w, GUEST_ORDER_SHRINK, GUEST_REASON_RECLAIM);
    assert_int_equal(entries_of(&w, 0), 1);
    entry = why_entry_at(&w, &guests[0], 0);
    assert_int_equal(entry->count, 8);
    assert_true(entry->would);
    assert_int_equal(entry->last_usec - entry->first_usec, 7 * SEC);

    order_now(&w, GUEST_ORDER_NONE, GUEST_REASON_DEAD_ZONE); /* at rest: nothing to keep */
    order_now(&w, GUEST_ORDER_NONE, GUEST_REASON_WAIT_TICK);
    assert_int_equal(entries_of(&w, 0), 1);
    now_usec += 2 * WHY_TOGETHER_USEC;
    order_now(&w, GUEST_ORDER_SHRINK, GUEST_REASON_RECLAIM); /* another time */
    assert_int_equal(entries_of(&w, 0), 2);
    for (int i = 0; i < 5; i++, now_usec += SEC) { /* what holds it back comes between: neither is parted */
        order_now(&w, GUEST_ORDER_GROW, GUEST_REASON_NEED);
        order_now(&w, GUEST_ORDER_NONE, GUEST_REASON_NOT_FREE_YET);
    }
    assert_int_equal(entries_of(&w, 0), 4);
    order_now(&w, GUEST_ORDER_SHRINK, GUEST_REASON_FOR_OTHERS); /* the other way: another entry, and so the next */
    order_now(&w, GUEST_ORDER_GROW, GUEST_REASON_NEED);
    assert_int_equal(entries_of(&w, 0), 6);
    why_done(&w);
}

static void the_oldest_goes_and_a_new_guest_starts_empty(void **state)
{
    struct err e = {0};
    struct why w;

    (void)state;
    assert_int_equal(why_init(&w, 3, /* dry_run= */ false, &e), 0);
    guest_count = 1;
    for (unsigned i = 0; i < 3 * WHY_KEPT; i++, now_usec += SEC)
        order_now(&w, i % 2 ? GUEST_ORDER_SHRINK : GUEST_ORDER_GROW, GUEST_REASON_NEED);
    assert_int_equal(entries_of(&w, 0), WHY_KEPT);
    assert_true(why_entry_at(&w, &guests[0], 0)->last_usec > why_entry_at(&w, &guests[0], WHY_KEPT - 1)->last_usec);

    (void)strcpy(vms[0].name, "other"); /* another guest in the same place */
    assert_int_equal(entries_of(&w, 0), 0);
    order_now(&w, GUEST_ORDER_GROW, GUEST_REASON_NEED);
    assert_int_equal(entries_of(&w, 0), 1);
    guests[0].id = 3; /* no place for it */
    order_now(&w, GUEST_ORDER_GROW, GUEST_REASON_NEED);
    assert_int_equal(entries_of(&w, 0), 0);
    why_done(&w);
}

static void what_is_sent_is_read(void **state)
{
    static struct wire_why sent, read;
    struct wire_text first = {0}, second = {0};
    struct err e = {0};

    (void)state;
    wire_why_clear(&sent);
    (void)strcpy(sent.name, "web1");
    (void)strcpy(sent.now, "Nothing to do: \"quotes\" and \\ and more.");
    for (int i = 0; i < WIRE_WHY_BECAUSE_MAX + 3; i++)
        wire_why_because(&sent, "sentence %d", i);
    assert_int_equal(sent.because_count, WIRE_WHY_BECAUSE_MAX);
    sent.decision_count = 2;
    wire_decision_clear(&sent.decisions[0]);
    wire_decision_clear(&sent.decisions[1]);
    sent.decisions[1].age_ms = 12000;
    wire_why_print(&first, &sent);
    assert_int_equal(wire_why_parse(first.data, first.length, &read, &e), 0);
    wire_why_print(&second, &read);
    assert_string_equal(first.data, second.data);
    assert_int_equal(wire_why_parse("{}", 2, &read, &e), -EBADMSG);
    wire_text_done(&first);
    wire_text_done(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_waits_and_who_gives_are_named, house_build),
        cmocka_unit_test_setup(decisions_of_one_kind_in_a_row_are_one, house_build),
        cmocka_unit_test_setup(the_oldest_goes_and_a_new_guest_starts_empty, house_build),
        cmocka_unit_test(what_is_sent_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
