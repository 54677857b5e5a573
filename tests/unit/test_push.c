/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "push.h"

#define MIB 1024ULL
#define MSEC 1000ULL
#define SEC 1000000ULL

/* A guest in virtual time: looks when push says so, and notes what is sent as "ms:why". */
struct guest {
    struct push push;
    uint64_t now;
    uint64_t total, available, psi;
    int64_t kib_per_msec; /* how available changes */
    bool full;            /* the port takes nothing */
    unsigned looks;
    char log[4096];
};

static void guest_init(struct guest *g, uint64_t available_mib)
{
    *g = (struct guest){.now = 1000 * SEC, .total = 512 * MIB, .available = available_mib * MIB, .psi = 0};
    push_init(&g->push);
}

static void guest_look(struct guest *g)
{
    static const char *const names[AGENT_WHY_COUNT] = {"heartbeat", "watermark", "fall", "pressure", "stall", "asked"};
    enum agent_why why = AGENT_WHY_COUNT;
    struct push_look look = {.now_usec = g->now, .total_kib = g->total, .available_kib = g->available,
                             .psi_some_usec = push_wants_psi(&g->push) ? g->psi : AGENT_UNSET};

    g->looks++;
    if (!push_due(&g->push, &look, &why) || g->full)
        return;
    push_sent(&g->push);
    assert_in_range(why, 0, AGENT_WHY_COUNT - 1);
    size_t used = strlen(g->log);
    (void)snprintf(g->log + used, sizeof(g->log) - used, "%llu:%s ", (unsigned long long)(g->now / 1000 - 1000000),
                   names[why]);
}

static void guest_run(struct guest *g, uint64_t msec)
{
    uint64_t end = g->now + msec * MSEC;

    while (g->now < end) {
        uint64_t next = push_next_usec(&g->push);
        if (next > end)
            next = end;
        if (next > g->now) {
            int64_t change = g->kib_per_msec * (int64_t)(next - g->now) / 1000;
            g->available = change < 0 && g->available < (uint64_t)-change ? 0 : g->available + (uint64_t)change;
            g->now = next;
        }
        if (push_next_usec(&g->push) <= g->now)
            guest_look(g);
    }
}

static unsigned count(const struct guest *g, const char *why)
{
    unsigned n = 0;

    for (const char *p = g->log; (p = strstr(p, why)); p++)
        n++;
    return n;
}

static void beats_at_rest(void **state)
{
    struct guest g;

    (void)state;
    guest_init(&g, 400);
    guest_run(&g, 3500);
    assert_string_equal(g.log, "0:heartbeat 1000:heartbeat 2000:heartbeat 3000:heartbeat ");
    assert_in_range(g.looks, 17, 24); /* every 200 ms, and for the heartbeats */
    push_set_heartbeat(&g.push, 5 * SEC);
    g.log[0] = '\0';
    guest_run(&g, 10 * 1000);
    assert_string_equal(g.log, "8000:heartbeat 13000:heartbeat ");
    push_set_heartbeat(&g.push, 1); /* nonsense is bounded */
    g.log[0] = '\0';
    guest_run(&g, 1000);
    assert_in_range(count(&g, "heartbeat"), 9, 11);
}

static void pushes_at_the_watermark_and_each_fall(void **state)
{
    struct guest g;

    (void)state;
    guest_init(&g, 160);
    push_set_watermark(&g.push, 32 * MIB);
    guest_run(&g, 500);
    g.log[0] = '\0';
    g.kib_per_msec = -300; /* 300 KiB each ms: 128 MiB to the watermark take 437 ms */
    guest_run(&g, 544);
    assert_int_equal(count(&g, "watermark"), 1);
    assert_in_range(strtoull(g.log, NULL, 10), 936, 942); /* within 5 ms */
    /* 32 MiB more: a line for each 8 MiB of them, at most one in 25 ms */
    assert_in_range(count(&g, "fall"), 3, 4);
    /* at the bottom nothing falls any more, and there is no pressure: only the heartbeat */
    g.kib_per_msec = 0;
    g.log[0] = '\0';
    guest_run(&g, 1000);
    assert_in_range(strlen(g.log), 0, 20);
}

static void a_grant_and_a_new_fall_are_told(void **state)
{
    struct guest g;

    (void)state;
    guest_init(&g, 20);
    push_set_watermark(&g.push, 32 * MIB);
    guest_run(&g, 200);
    assert_string_equal(g.log, "0:watermark ");
    g.available = 38 * MIB; /* above it, but not out of it */
    guest_run(&g, 100);
    g.available = 31 * MIB;
    guest_run(&g, 100);
    assert_string_equal(g.log, "0:watermark ");
    g.available = 29 * MIB;
    guest_run(&g, 100);
    assert_int_equal(count(&g, "fall"), 1); /* from the 38 it had since */
    g.available = 41 * MIB; /* out of it: the next crossing counts again */
    guest_run(&g, 200);
    g.available = 31 * MIB;
    guest_run(&g, 100);
    assert_int_equal(count(&g, "watermark"), 2);
}

static void looks_closely_only_where_it_matters(void **state)
{
    struct guest g;

    (void)state;
    guest_init(&g, 60);
    push_set_watermark(&g.push, 32 * MIB);
    guest_run(&g, 10 * 1000);
    assert_in_range(g.looks, 345, 375); /* 28 MiB are 27 ms at 1 GiB/s */
    g.available -= MIB;
    guest_run(&g, 20); /* which it takes to see that */
    g.looks = 0;
    guest_run(&g, 1000);
    assert_in_range(g.looks, 45, 60); /* it moves, and is not there yet */
    g.available = 34 * MIB;
    guest_run(&g, 20);
    g.looks = 0;
    guest_run(&g, 1000);
    assert_in_range(g.looks, 180, 205); /* it moves, and is nearly there */
    push_set_watermark(&g.push, 64 * MIB); /* below it and quiet */
    guest_run(&g, 2000);
    g.looks = 0;
    guest_run(&g, 5 * 1000);
    assert_in_range(g.looks, 190, 260);
}

/* However long it rested: what falls by less than 1 GiB/s is told within 5 ms of the crossing, or as soon as lines may
 * follow each other. From next to the watermark it takes the pace of a guest that stands still. */
static void a_burst_after_a_long_rest_is_seen_at_once(void **state)
{
    static const int64_t rates[] = {50, 100, 300, 900};

    (void)state;
    for (uint64_t start_mib = 33; start_mib < 200; start_mib += 7) {
        for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
            struct guest g;
            uint64_t crossing_msec;

            guest_init(&g, start_mib);
            push_set_watermark(&g.push, 32 * MIB);
            guest_run(&g, 20000 + start_mib); /* at each phase of its pace */
            g.log[0] = '\0';
            g.kib_per_msec = -rates[i];
            crossing_msec = g.now / MSEC - 1000000 + (start_mib - 32) * MIB / (uint64_t)rates[i];
            guest_run(&g, (start_mib - 32) * MIB / (uint64_t)rates[i] + 80);
            const char *told = strstr(g.log, ":watermark");
            assert_non_null(told);
            while (told > g.log && told[-1] != ' ')
                told--;
            assert_in_range(strtoull(told, NULL, 10), crossing_msec, crossing_msec + 31);
        }
    }
}

static void repeats_while_a_stall_lasts(void **state)
{
    struct guest g;

    (void)state;
    guest_init(&g, 10); /* below half of 32 MiB */
    push_set_watermark(&g.push, 32 * MIB);
    guest_run(&g, 950);
    assert_string_equal(g.log, "0:watermark "); /* no pressure, nothing to say */
    g.log[0] = '\0';
    for (int i = 0; i < 100; i++) { /* 2 s of stall */
        g.psi += 10 * MSEC;
        guest_run(&g, 20);
    }
    assert_in_range(count(&g, "stall"), 15, 21);
    g.log[0] = '\0';
    guest_run(&g, 3000); /* it ended: half a second more, then heartbeats */
    assert_in_range(count(&g, "stall"), 3, 6);
    assert_in_range(count(&g, "heartbeat"), 2, 3);
    /* above half the watermark pressure says nothing */
    g.available = 30 * MIB;
    guest_run(&g, 1000);
    g.log[0] = '\0';
    for (int i = 0; i < 40; i++) {
        g.psi += 10 * MSEC;
        guest_run(&g, 20);
    }
    assert_int_equal(count(&g, "stall"), 0);
}

static void repeats_without_pressure_information(void **state)
{
    struct guest g;

    (void)state;
    guest_init(&g, 12);
    g.psi = AGENT_UNSET;
    push_set_watermark(&g.push, 32 * MIB);
    guest_run(&g, 950);
    assert_string_equal(g.log, "0:watermark ");
    g.log[0] = '\0';
    g.available -= 2 * MIB;
    guest_run(&g, 2000);
    assert_in_range(count(&g, "stall"), 4, 6); /* for half a second after it moved */
}

static void tells_what_is_wanted(void **state)
{
    struct guest g;

    (void)state;
    guest_init(&g, 400);
    guest_run(&g, 510);
    push_want(&g.push, AGENT_WHY_ASKED);
    guest_run(&g, 10);
    assert_string_equal(g.log, "0:heartbeat 510:asked ");
    push_want(&g.push, AGENT_WHY_PRESSURE); /* at once, but not in the same breath */
    guest_run(&g, 100);
    assert_string_equal(g.log, "0:heartbeat 510:asked 535:pressure ");
    g.log[0] = '\0';
    for (int i = 0; i < 1000; i++) { /* a host that asks without end gets 40 a second */
        push_want(&g.push, AGENT_WHY_ASKED);
        guest_run(&g, 1);
    }
    assert_in_range(count(&g, "asked"), 35, 41);
}

static void keeps_within_the_rate(void **state)
{
    struct guest g;

    (void)state;
    guest_init(&g, 100);
    push_set_watermark(&g.push, 64 * MIB);
    for (int i = 0; i < 2000; i++) { /* 10 s of memory that jumps about as wildly as it can */
        g.available = i % 2 ? 100 * MIB : 5 * MIB;
        g.psi += 3 * MSEC;
        guest_run(&g, 5);
        if (i % 400 == 399) {
            unsigned all = count(&g, ":");
            assert_in_range(all, 1, 2 * 40 + 2);
            g.log[0] = '\0';
        }
    }
}

static void a_full_port_drops_and_the_newest_wins(void **state)
{
    struct guest g;

    (void)state;
    guest_init(&g, 100);
    push_set_watermark(&g.push, 32 * MIB);
    guest_run(&g, 100);
    g.log[0] = '\0';
    g.full = true;
    g.available = 30 * MIB;
    guest_run(&g, 1000);
    g.available = 10 * MIB;
    guest_run(&g, 1000);
    assert_string_equal(g.log, "");
    g.full = false;
    guest_run(&g, 30);
    assert_non_null(strstr(g.log, "watermark")); /* still not told, so told now, with what is now */
    assert_int_equal(count(&g, ":"), 1);
}

static void a_new_conversation_starts_anew(void **state)
{
    struct guest g;

    (void)state;
    guest_init(&g, 20);
    push_set_watermark(&g.push, 32 * MIB);
    push_set_heartbeat(&g.push, 5 * SEC);
    guest_run(&g, 500);
    push_restart(&g.push);
    g.log[0] = '\0';
    guest_run(&g, 1500);
    assert_int_equal(count(&g, "watermark"), 1); /* its own: 1/16 of 512 MiB */
    assert_int_equal(count(&g, "heartbeat"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beats_at_rest), cmocka_unit_test(pushes_at_the_watermark_and_each_fall),
        cmocka_unit_test(a_grant_and_a_new_fall_are_told), cmocka_unit_test(looks_closely_only_where_it_matters),
        cmocka_unit_test(a_burst_after_a_long_rest_is_seen_at_once),
        cmocka_unit_test(repeats_while_a_stall_lasts), cmocka_unit_test(repeats_without_pressure_information),
        cmocka_unit_test(tells_what_is_wanted), cmocka_unit_test(keeps_within_the_rate),
        cmocka_unit_test(a_full_port_drops_and_the_newest_wins), cmocka_unit_test(a_new_conversation_starts_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
