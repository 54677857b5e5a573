/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <string.h>

#include "decide.h"
#include "policy_defaults.h"

/* What the closed loop taught: who gives, who waits, and what a guest needs beyond what it says it uses now. */

#define SEC USEC_PER_SEC
#define MIB (1024ULL * 1024)
#define MK KIB_PER_MIB
#define GUESTS 4

struct house {
    struct host host;
    struct guest guest[GUESTS];
    struct guest *list[GUESTS];
    uint64_t refaulted_mib[GUESTS];
    size_t n;
    uint64_t now;
    struct levels levels[GUESTS];
    struct share_slot slots[GUESTS];
    uint64_t weight[GUESTS], given[GUESTS];
    uint32_t order[GUESTS];
};

static void build(struct house *w, size_t n, uint64_t memory_mib)
{
    static const struct guest_config config = {.minimum_kib = 128 * MK, .maximum_kib = 4096 * MK,
                                               .buffer = POLICY_BUFFER_DEFAULT, .priority = POLICY_PRIORITY_DEFAULT};
    struct host_config host = {.memory_kib = memory_mib * MK, .reserve_kib = 256 * MK, .overcommit_permille = 1000};

    memset(w, 0, sizeof(*w));
    w->n = n;
    w->now = 1000 * SEC;
    host_init(&w->host, &host);
    w->host.seen = (struct obs_host){.time_usec = 1, .total_bytes = 64ULL << 30, .available_bytes = 32ULL << 30};
    for (size_t i = 0; i < n; i++) {
        guest_init(&w->guest[i], &config, w->now - 100 * SEC);
        w->list[i] = &w->guest[i];
    }
}

static void see_size(struct house *w, size_t i, uint64_t has_mib, uint64_t touched_mib)
{
    struct obs_levers l = {
        .time_usec = w->now, .boot_bytes = 2048 * MIB, .balloon_actual_bytes = has_mib * MIB, .has_balloon = true};
    struct obs_host_view o = {.time_usec = w->now, .resident_bytes = touched_mib * MIB, .disk_read_bytes = OBS_UNSET};

    guest_see_levers(&w->guest[i], &l, w->now);
    guest_see_host(&w->guest[i], &o, w->now);
}

/* An agent's line: uses used_mib of has_mib, the rest is cache. */
static void see(struct house *w, size_t i, uint64_t has_mib, uint64_t used_mib)
{
    struct obs_guest_view v;

    see_size(w, i, has_mib, has_mib);
    memset(&v, 0xff, sizeof(v)); /* all unset */
    v.source = OBS_SOURCE_AGENT;
    v.time_usec = v.heard_usec = w->now;
    v.spacing_usec = SEC;
    v.available_bytes = v.cache_bytes = (has_mib - used_mib) * MIB;
    v.shmem_bytes = v.psi_some_usec = v.psi_full_usec = v.swapped_in_bytes = 0;
    v.refaulted_bytes = w->refaulted_mib[i] * MIB;
    guest_see_view(&w->guest[i], &v, w->now);
}

static size_t run(struct house *w, enum decide_why why)
{
    struct decide_scratch s = {
        .levels = w->levels, .slots = w->slots, .weight = w->weight, .given_kib = w->given, .order = w->order};
    return decide(&w->host, w->list, w->n, why, w->now, &s);
}

static const struct guest_verdict *verdict(const struct house *w, size_t i)
{
    return &w->guest[i].verdict;
}

static void no_more_donors_than_it_takes(void **state)
{
    struct house w;

    (void)state;
    build(&w, 4, 3256); /* 3000 for guests */
    see(&w, 0, 400, 390);
    see(&w, 1, 1400, 300);
    see(&w, 2, 600, 300);
    see(&w, 3, 590, 300);
    assert_int_equal(run(&w, DECIDE_EVENT), 1);
    assert_int_equal(verdict(&w, 0)->reason, GUEST_REASON_NOT_FREE_YET);
    assert_int_equal(verdict(&w, 1)->order, GUEST_ORDER_SHRINK);
    assert_int_equal(verdict(&w, 1)->reason, GUEST_REASON_FOR_OTHERS);
    /* the largest is on its way and enough; when it does not move for a while, the next are asked */
    guest_ordered(&w.guest[1], verdict(&w, 1)->order_kib, w.now);
    assert_int_equal(run(&w, DECIDE_EVENT), 0);
    w.now += 400000;
    (void)run(&w, DECIDE_EVENT);
    assert_int_equal(verdict(&w, 2)->order, GUEST_ORDER_SHRINK);
}

static void headroom_is_not_chased_by_the_mib(void **state)
{
    struct house w;

    (void)state;
    build(&w, 2, 1256); /* 1000 for guests */
    for (size_t i = 0; i < 2; i++) { /* both rose by 400 MiB within 3 s once: more headroom than there is */
        see(&w, i, 499, 100);
        w.now += SEC;
        see(&w, i, 499, 480);
    }
    w.now += 5 * SEC;
    see(&w, 0, 499, 200);
    see(&w, 1, 491, 200);
    (void)run(&w, DECIDE_EVENT);
    assert_int_equal(w.host.share.step, SHARE_FLOOR);
    assert_true(verdict(&w, 1)->levels.head_kib > 500 * MK);
    assert_true(verdict(&w, 1)->given_kib > 491 * MK + 2 * MK);
    assert_int_equal(verdict(&w, 1)->order, GUEST_ORDER_NONE); /* it has 291 MiB left: the dead zone counts */
    see(&w, 1, 491, 470);
    (void)run(&w, DECIDE_EVENT);
    assert_int_equal(verdict(&w, 1)->order, GUEST_ORDER_GROW); /* next to nothing left: it does not */
}

static void files_in_use_are_demand_but_may_be_taken(void **state)
{
    struct house w;

    (void)state;
    build(&w, 1, 8192);
    see(&w, 0, 600, 300);
    (void)run(&w, DECIDE_TICK);
    uint64_t before = verdict(&w, 0)->demand_kib;
    assert_int_equal(before, 300 * MK);
    for (int i = 0; i < 8; i++) { /* 50 MiB/s are read again */
        w.now += SEC;
        w.refaulted_mib[0] += 50;
        see(&w, 0, 600, 300);
    }
    (void)run(&w, DECIDE_TICK);
    /* missed is at its quarter of assigned; the cache, 300 MiB, is proven to be in use */
    assert_in_range(verdict(&w, 0)->demand_kib / MK, 300 + 150 + 299, 300 + 150 + 300);
    assert_in_range(verdict(&w, 0)->levels.safe_kib / MK, 300 + 150 + 32, 300 + 150 + 33);
    w.now += 60 * SEC; /* quiet: nothing is missed any more, the files still count, less and less */
    see(&w, 0, 600, 300);
    (void)run(&w, DECIDE_TICK);
    assert_in_range(verdict(&w, 0)->demand_kib / MK, 580, 600);
    w.now += 2 * POLICY_HALF_LIFE_USEC;
    see(&w, 0, 600, 300);
    (void)run(&w, DECIDE_TICK);
    assert_in_range(verdict(&w, 0)->demand_kib / MK, 360, 390);
}

static void a_trickle_of_refaults_proves_nothing(void **state)
{
    struct house w;

    (void)state;
    build(&w, 1, 8192);
    for (int i = 0; i < 20; i++) {
        w.now += 2 * SEC;
        w.refaulted_mib[0] += 1;
        see(&w, 0, 600, 300);
    }
    (void)run(&w, DECIDE_TICK);
    assert_in_range(verdict(&w, 0)->demand_kib / MK, 300, 306); /* what was missed in 10 s */
}

static void a_booted_guest_needs_what_it_had(void **state)
{
    struct house w;

    (void)state;
    build(&w, 2, 1920); /* 1664 for guests */
    see(&w, 0, 800, 700);
    see(&w, 1, 800, 700);
    (void)run(&w, DECIDE_TICK);
    guest_see_reset(&w.guest[0], w.now);
    w.now += 6 * SEC;
    see_size(&w, 0, 2048, 700); /* its driver reports; it inflates to its old target by itself */
    see(&w, 1, 800, 700);
    assert_int_equal(run(&w, DECIDE_TICK), 0);
    assert_int_equal(w.host.state, HOST_LOW);
    assert_int_equal(w.host.deficit_kib, 0); /* the other gives nothing for that */
    see_size(&w, 0, 800, 700);
    w.now += SEC;
    see(&w, 0, 800, 150);
    (void)run(&w, DECIDE_TICK);
    assert_int_equal(verdict(&w, 0)->levels.floor_kib, 800 * MK);
    assert_true(verdict(&w, 0)->levels.lower_kib < 400 * MK);
    assert_int_equal(verdict(&w, 0)->given_kib, 800 * MK);
    w.now += POLICY_LOADS_USEC;
    see(&w, 0, 800, 150);
    see(&w, 1, 800, 700);
    (void)run(&w, DECIDE_TICK);
    assert_true(verdict(&w, 0)->given_kib < 700 * MK);
}

static void a_grant_counts_until_its_last_block(void **state)
{
    struct house w;
    struct obs_levers l;

    (void)state;
    build(&w, 1, 8192);
    see(&w, 0, 600, 580);
    (void)run(&w, DECIDE_TICK);
    assert_int_equal(verdict(&w, 0)->order, GUEST_ORDER_GROW);
    uint64_t target = verdict(&w, 0)->order_kib;
    guest_ordered(&w.guest[0], target, w.now);
    w.now += 50000;
    l = w.guest[0].levers;
    l.balloon_actual_bytes = (target - 512) * 1024; /* all but half a MiB */
    guest_see_levers(&w.guest[0], &l, w.now);
    (void)run(&w, DECIDE_EVENT);
    assert_int_equal(verdict(&w, 0)->counted_kib, target);
    w.now += 400000;
    guest_see_levers(&w.guest[0], &l, w.now);
    (void)run(&w, DECIDE_EVENT);
    assert_int_equal(verdict(&w, 0)->counted_kib, target - 512); /* it rests: that is all it takes */
}

static void what_virtio_mem_was_asked_for_counts(void **state)
{
    struct house w;
    struct obs_levers l;

    (void)state;
    build(&w, 1, 8192);
    see(&w, 0, 600, 500);
    l = w.guest[0].levers;
    l.pluggable_bytes = 1024 * MIB;
    l.block_bytes = 2 * MIB;
    l.requested_bytes = 512 * MIB; /* a booted guest plugs that by itself, in its own time */
    guest_see_levers(&w.guest[0], &l, w.now);
    (void)run(&w, DECIDE_EVENT);
    assert_int_equal(verdict(&w, 0)->held_kib, 600 * MK);
    assert_int_equal(verdict(&w, 0)->counted_kib, (600 + 512) * MK);
}

static void a_sample_from_before_a_reset_is_no_sign_of_life(void **state)
{
    struct house w;

    (void)state;
    build(&w, 1, 8192);
    see(&w, 0, 600, 500);
    guest_see_reset(&w.guest[0], w.now);
    w.now += POLICY_PAIRING_USEC / 2; /* still on its way when the guest reset */
    see(&w, 0, 600, 500);
    (void)run(&w, DECIDE_EVENT);
    assert_true(verdict(&w, 0)->flags & GUEST_FLAG_BOOTING);
    assert_int_equal(verdict(&w, 0)->counted_kib, 2048 * MK); /* all it booted with (S1b) */
    w.now += SEC;
    see(&w, 0, 600, 500);
    (void)run(&w, DECIDE_EVENT);
    assert_false(verdict(&w, 0)->flags & GUEST_FLAG_BOOTING);
    assert_int_equal(verdict(&w, 0)->counted_kib, 600 * MK);
}

/* With overcommit the books may have room while the host has none left. */
static void a_low_host_grants_nothing_that_was_only_promised(void **state)
{
    struct house w;

    (void)state;
    build(&w, 1, 4096);
    w.host.config.overcommit_permille = 4000;
    see(&w, 0, 600, 590);
    w.host.seen.available_bytes = 200 * MIB; /* of 256 in reserve */
    assert_int_equal(run(&w, DECIDE_EVENT), 1);
    assert_int_equal(verdict(&w, 0)->order, GUEST_ORDER_GROW);
    w.host.seen.available_bytes = 50 * MIB;
    assert_int_equal(run(&w, DECIDE_EVENT), 0);
    assert_int_equal(w.host.state, HOST_LOW);
    assert_true(w.host.grantable_kib > 100 * (int64_t)MK);
    assert_int_equal(verdict(&w, 0)->reason, GUEST_REASON_HOST_LOW);
}

/* A guest of 500 MiB gives 50, and reads 50 MiB of files again a second later. Returns whether that left a mark. */
static bool harm_marks(uint64_t memory_mib, enum share_step step)
{
    struct house w;

    build(&w, 2, memory_mib);
    see(&w, 0, 500, 300);
    see(&w, 1, 500, 480);
    (void)run(&w, DECIDE_TICK);
    assert_int_equal(w.host.share.step, step);
    guest_ordered(&w.guest[0], 450 * MK, w.now);
    w.now += SEC;
    w.refaulted_mib[0] += 50;
    see(&w, 0, 450, 300);
    see(&w, 1, 500, 480);
    (void)run(&w, DECIDE_TICK);
    return verdict(&w, 0)->flags & GUEST_FLAG_MARKED;
}

static void harm_leaves_a_mark_only_where_memory_is_plentiful(void **state)
{
    (void)state;
    assert_true(harm_marks(8192, SHARE_KEEP));
    assert_false(harm_marks(1156, SHARE_HEAD)); /* 900 for guests that would like 936 */
}

static void a_balloon_that_lags_for_a_moment_is_no_breach(void **state)
{
    struct house w;

    (void)state;
    build(&w, 1, 8192);
    see(&w, 0, 600, 500);
    w.now += 5 * SEC;
    for (uint64_t tenths = 0; tenths < 40; tenths++) {
        see_size(&w, 0, 600, 700); /* the host sees it touch more than it says it has */
        (void)run(&w, DECIDE_EVENT);
        assert_int_equal(!!(verdict(&w, 0)->flags & GUEST_FLAG_BREACH), tenths * SEC / 10 >= POLICY_BREACH_USEC);
        w.now += SEC / 10;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_donors_than_it_takes),
        cmocka_unit_test(headroom_is_not_chased_by_the_mib),
        cmocka_unit_test(files_in_use_are_demand_but_may_be_taken),
        cmocka_unit_test(a_trickle_of_refaults_proves_nothing),
        cmocka_unit_test(a_booted_guest_needs_what_it_had),
        cmocka_unit_test(a_grant_counts_until_its_last_block),
        cmocka_unit_test(what_virtio_mem_was_asked_for_counts),
        cmocka_unit_test(a_sample_from_before_a_reset_is_no_sign_of_life),
        cmocka_unit_test(a_low_host_grants_nothing_that_was_only_promised),
        cmocka_unit_test(harm_leaves_a_mark_only_where_memory_is_plentiful),
        cmocka_unit_test(a_balloon_that_lags_for_a_moment_is_no_breach),
    };
    return cmocka_run_group_tests_name("needs", tests, NULL, NULL);
}
