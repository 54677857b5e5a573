/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <string.h>

#include "reserve.h"

/* Reservations by themselves: who is served first, what becomes of those that are not, who may claim one. */

#define SEC 1000000ULL
#define KIB(mib) ((mib) * 1024ULL)

static struct reserve list[RESERVE_MAX];

static struct reserve *make(uint64_t id, uint64_t kib, const char *guest)
{
    struct reserve *r = reserve_room(list, RESERVE_MAX);

    assert_non_null(r);
    *r = (struct reserve){.state = RESERVE_GATHERING, .id = id, .kib = kib, .asked_kib = kib, .made_usec = SEC,
                          .gathered_by_usec = 61 * SEC, .keep_usec = 600 * SEC, .newest_ticks = 100};
    (void)strcpy(r->guest, guest);
    return r;
}

static int setup(void **state)
{
    (void)state;
    memset(list, 0, sizeof(list));
    return 0;
}

static void older_ones_are_served_first(void **state)
{
    struct reserve *a = make(1, KIB(100), ""), *b = make(2, KIB(200), "");

    (void)state;
    assert_int_equal(reserve_sum_kib(list, RESERVE_MAX), KIB(300));
    assert_false(reserve_step(list, RESERVE_MAX, -(int64_t)KIB(250), KIB(1000), 2 * SEC)); /* 50 of 300 are free */
    assert_int_equal(a->state, RESERVE_GATHERING);
    assert_int_equal(a->missing_kib, KIB(50));
    assert_int_equal(b->missing_kib, KIB(200));
    assert_false(reserve_step(list, RESERVE_MAX, -(int64_t)KIB(150), KIB(1000), 3 * SEC));
    assert_int_equal(a->state, RESERVE_HELD);
    assert_int_equal(b->missing_kib, KIB(150));
    assert_int_equal(reserve_gathering_kib(list, RESERVE_MAX), KIB(200));
    assert_false(reserve_step(list, RESERVE_MAX, 0, KIB(1000), 4 * SEC));
    assert_int_equal(b->state, RESERVE_HELD);
    assert_false(reserve_step(list, RESERVE_MAX, -(int64_t)KIB(400), KIB(1000), 5 * SEC)); /* the host lost memory: held is held */
    assert_int_equal(a->state, RESERVE_HELD);
    assert_int_equal(a->missing_kib, KIB(100));
}

static void time_ends_each(void **state)
{
    struct reserve *fails = make(1, KIB(100), ""), *most = make(2, KIB(100), "");

    (void)state;
    most->most = true;
    assert_false(reserve_step(list, RESERVE_MAX, -(int64_t)KIB(160), KIB(1000), 60 * SEC)); /* 40 are free */
    assert_true(reserve_step(list, RESERVE_MAX, -(int64_t)KIB(160), KIB(1000), 61 * SEC));
    assert_int_equal(fails->state, RESERVE_FAILED);
    assert_int_equal(fails->missing_kib, KIB(60));
    assert_int_equal(most->state, RESERVE_FAILED); /* nothing of it was free: it is no reservation */
    most = make(3, KIB(100), "");
    most->most = true;
    assert_true(reserve_step(list, RESERVE_MAX, -(int64_t)KIB(60), KIB(1000), 61 * SEC));
    assert_int_equal(most->state, RESERVE_HELD);
    assert_int_equal(most->kib, KIB(40));
    assert_false(reserve_step(list, RESERVE_MAX, 0, KIB(1000), 660 * SEC));
    assert_true(reserve_step(list, RESERVE_MAX, 0, KIB(1000), 661 * SEC));
    assert_int_equal(most->state, RESERVE_EXPIRED);
    assert_int_equal(reserve_sum_kib(list, RESERVE_MAX), 0);
}

/* What guests keep at least may grow while it is gathered. */
static void the_hopeless_end_early(void **state)
{
    struct reserve *first = make(1, KIB(100), ""), *fails = make(2, KIB(100), ""), *most = make(3, KIB(100), "");

    (void)state;
    most->most = true;
    assert_false(reserve_step(list, RESERVE_MAX, -(int64_t)KIB(300), KIB(150), 2 * SEC));
    assert_false(reserve_step(list, RESERVE_MAX, -(int64_t)KIB(300), KIB(300), 3 * SEC)); /* a wobble */
    assert_false(reserve_step(list, RESERVE_MAX, -(int64_t)KIB(300), KIB(150), 4 * SEC));
    assert_true(reserve_step(list, RESERVE_MAX, -(int64_t)KIB(300), KIB(150), 6 * SEC));
    assert_int_equal(first->state, RESERVE_GATHERING);
    assert_int_equal(fails->state, RESERVE_FAILED);
    assert_int_equal(fails->missing_kib, KIB(50));
    assert_int_equal(most->state, RESERVE_FAILED); /* nothing could be left for it */
    most = make(4, KIB(100), "");
    most->most = true;
    assert_false(reserve_step(list, RESERVE_MAX, -(int64_t)KIB(200), KIB(150), 7 * SEC));
    assert_true(reserve_step(list, RESERVE_MAX, -(int64_t)KIB(200), KIB(150), 9 * SEC));
    assert_int_equal(most->state, RESERVE_GATHERING);
    assert_int_equal(most->kib, KIB(50)); /* as much as there can be, and that is gathered on */
    first->state = RESERVE_HELD;
    first->held_usec = 9 * SEC;
    assert_false(reserve_step(list, RESERVE_MAX, -(int64_t)KIB(150), 0, 20 * SEC)); /* held is held */
    assert_int_equal(first->state, RESERVE_HELD);
}

static void who_may_claim(void **state)
{
    struct reserve *gathering = make(1, KIB(900), ""), *small = make(2, KIB(100), ""), *any = make(3, KIB(300), "");
    struct reserve *own = make(4, KIB(50), "web1");

    (void)state;
    small->state = any->state = RESERVE_HELD;
    assert_null(reserve_claim(list, RESERVE_MAX, "web2", KIB(200), 100, SEC)); /* it was there before */
    assert_null(reserve_claim(list, RESERVE_MAX, "web2", KIB(301), 101, SEC)); /* too large */
    assert_ptr_equal(reserve_claim(list, RESERVE_MAX, "web1", KIB(200), 101, 2 * SEC), own); /* its own, as small as it is */
    assert_string_equal(own->claimed_by, "web1");
    assert_int_equal(own->ended_usec, 2 * SEC);
    assert_ptr_equal(reserve_claim(list, RESERVE_MAX, "web1", KIB(200), 102, SEC), any);
    assert_ptr_equal(reserve_claim(list, RESERVE_MAX, "web3", KIB(100), 0, SEC), small); /* its start is not known */
    assert_null(reserve_claim(list, RESERVE_MAX, "web3", KIB(100), 103, SEC));
    assert_int_equal(gathering->state, RESERVE_GATHERING);
    assert_string_equal(reserve_state_text(own->state), "claimed");
}

static void those_that_ended_make_room(void **state)
{
    struct reserve *first;

    (void)state;
    for (uint64_t id = 1; id <= RESERVE_OPEN_MAX; id++)
        (void)make(id, KIB(1), "");
    assert_null(reserve_room(list, RESERVE_MAX)); /* as many as may be open */
    first = &list[3];
    first->state = RESERVE_CANCELLED;
    first->ended_usec = 5 * SEC;
    for (uint64_t id = 100; id < 200; id++) {
        struct reserve *r = make(id, KIB(1), "");
        r->state = RESERVE_EXPIRED;
        r->ended_usec = id * SEC;
    }
    assert_int_equal(reserve_sum_kib(list, RESERVE_MAX), KIB(RESERVE_OPEN_MAX - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(older_ones_are_served_first, setup),
        cmocka_unit_test_setup(time_ends_each, setup),
        cmocka_unit_test_setup(the_hopeless_end_early, setup),
        cmocka_unit_test_setup(who_may_claim, setup),
        cmocka_unit_test_setup(those_that_ended_make_room, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
