/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <stdlib.h>

#include "lever.h"
#include "online.h"

#define MIB (1ULL << 20)
#define SEC 1000000ULL

/* MiB: boot, actual, plugged, online, pluggable, block; has a balloon */
struct state {
    uint64_t boot, actual, plugged, online, pluggable, block;
    bool balloon;
};

static struct lever_state state_of(const struct state *s)
{
    return (struct lever_state){s->boot * MIB,      s->actual * MIB, s->plugged * MIB, s->online * MIB,
                                s->pluggable * MIB, s->block * MIB,  s->balloon};
}

static void splits(void **unused)
{
    static const struct {
        const char *what;
        struct state s;
        uint64_t target, balloon, plug;
    } cases[] = {
        /* growing: deflate first */
        {"deflate within boot memory", {256, 128, 0, 0, 512, 2, true}, 200, 200, 0},
        {"deflate to boot memory", {256, 128, 0, 0, 512, 2, true}, 256, 256, 0},
        {"hot-add after that", {256, 128, 0, 0, 512, 2, true}, 384, 256, 128},
        {"rounded down to a block", {256, 256, 0, 0, 512, 4, true}, 387, 256, 128},
        {"less than a block above boot", {256, 200, 0, 0, 512, 4, true}, 259, 256, 0},
        {"at most what can be plugged", {256, 128, 0, 0, 512, 2, true}, 4096, 256, 512},
        {"no virtio-mem", {256, 128, 0, 0, 0, 0, true}, 4096, 256, 0},
        {"no balloon", {256, 256, 0, 0, 512, 2, false}, 300, 256, 44},
        {"balloon while plugged: deflate only", {256, 128, 100, 100, 512, 2, true}, 300, 200, 100},
        {"more of both", {256, 128, 100, 100, 512, 2, true}, 400, 256, 144},
        {"an unplug under way ends", {256, 200, 300, 300, 512, 2, true}, 520, 220, 300},
        {"offline memory is not counted, and goes", {256, 200, 128, 0, 512, 2, true}, 230, 230, 0},
        {"half of it online: that half stays", {256, 200, 128, 63, 512, 2, true}, 290, 227, 64},
        /* exactly what it has: all stays */
        {"frozen as it is", {256, 128, 100, 100, 512, 2, true}, 228, 128, 100},
        {"frozen, nothing plugged", {256, 128, 0, 0, 512, 2, true}, 128, 128, 0},
        /* shrinking: unplug first */
        {"unplug is enough", {256, 256, 128, 128, 512, 2, true}, 320, 256, 64},
        {"unplug, odd sizes: exact by the balloon", {256, 200, 128, 128, 512, 4, true}, 303, 203, 100},
        {"unplug all, and inflate later", {256, 256, 128, 128, 512, 2, true}, 200, 256, 0},
        {"nothing plugged: inflate", {256, 256, 0, 0, 512, 2, true}, 200, 200, 0},
        {"no virtio-mem: inflate", {256, 256, 0, 0, 0, 0, true}, 100, 100, 0},
        {"no balloon: unplug only", {256, 256, 128, 128, 512, 2, false}, 200, 256, 0},
        {"offline memory goes first", {256, 256, 128, 64, 512, 2, true}, 300, 256, 44},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lever_state s = state_of(&cases[i].s);
        struct lever_order order;

        lever_split(&s, cases[i].target * MIB, &order);
        if (order.balloon_bytes != cases[i].balloon * MIB || order.plug_bytes != cases[i].plug * MIB)
            fail_msg("%s: balloon %llu plug %llu", cases[i].what, (unsigned long long)(order.balloon_bytes / MIB),
                     (unsigned long long)(order.plug_bytes / MIB));
    }
}

static void refines(void **unused)
{
    static const struct {
        const char *what;
        struct state s; /* as seen now */
        uint64_t target, plug;
        bool over;
        uint64_t balloon;
    } cases[] = {
        {"unplug under way: the balloon waits", {256, 256, 90, 90, 512, 2, true}, 200, 0, false, 256},
        {"unplugged: now inflate", {256, 256, 0, 0, 512, 2, true}, 200, 0, false, 200},
        {"the rest could not be let go: inflate for it", {256, 256, 40, 40, 512, 2, true}, 260, 0, true, 220},
        {"it let go later after all: deflate again", {256, 220, 10, 10, 512, 2, true}, 260, 0, true, 250},
        {"unplugged, and room left", {256, 256, 64, 64, 512, 2, true}, 320, 64, true, 256},
        {"never below what the kernel needs", {256, 256, 1024, 1024, 2048, 2, true}, 900, 0, true, 256},
        {"a smaller boot memory's floor", {2048, 2048, 1024, 1024, 2048, 2, true}, 1100, 0, true, 512},
        {"growing: plugged memory is still to come", {256, 256, 0, 0, 512, 2, true}, 384, 128, true, 256},
        {"growing within boot", {256, 128, 0, 0, 512, 2, true}, 200, 0, true, 200},
        {"reset: hot-added memory is gone, boot memory returns", {256, 128, 0, 0, 512, 2, true}, 384, 256, true, 256},
        {"no balloon", {256, 256, 64, 64, 512, 2, false}, 200, 0, true, 256},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lever_state s = state_of(&cases[i].s);
        uint64_t balloon = lever_refine(&s, cases[i].target * MIB, cases[i].plug * MIB, cases[i].over);

        if (balloon != cases[i].balloon * MIB)
            fail_msg("%s: balloon %llu", cases[i].what, (unsigned long long)(balloon / MIB));
    }
}

/* Whatever the state and the target: within the levers, a multiple of the block, never more than ordered when growing,
 * and an obedient guest ends exactly at the target but for a block. */
static void holds_for_all_states(void **unused)
{
    unsigned short seed[3] = {1, 2, 3};

    (void)unused;
    for (int i = 0; i < 300000; i++) {
        struct lever_state s = {.has_balloon = nrand48(seed) % 4 > 0};
        uint64_t target, assigned, balloon;
        struct lever_order order;

        s.boot_bytes = (uint64_t)(nrand48(seed) % 2048 + 128) * MIB;
        s.block_bytes = (2ULL << (nrand48(seed) % 6)) * MIB;
        s.pluggable_bytes = nrand48(seed) % 3 ? (uint64_t)(nrand48(seed) % 64) * s.block_bytes : 0;
        s.plugged_bytes = (uint64_t)nrand48(seed) % (s.pluggable_bytes / s.block_bytes + 1) * s.block_bytes;
        s.online_bytes = nrand48(seed) % 2 ? s.plugged_bytes : (uint64_t)nrand48(seed) * MIB % (s.plugged_bytes + 1);
        s.balloon_actual_bytes = s.has_balloon ? (uint64_t)nrand48(seed) * 4096 % s.boot_bytes + 4096 : s.boot_bytes;
        if (s.balloon_actual_bytes > s.boot_bytes)
            s.balloon_actual_bytes = s.boot_bytes;
        target = (uint64_t)(nrand48(seed) % 5000 * 1000 + 40000) * 1024;
        assigned = s.balloon_actual_bytes + s.online_bytes;
        lever_split(&s, target, &order);
        assert_true(order.balloon_bytes <= s.boot_bytes && order.balloon_bytes > 0);
        assert_true(order.plug_bytes <= s.pluggable_bytes && order.plug_bytes % s.block_bytes == 0);
        if (!s.has_balloon)
            assert_true(order.balloon_bytes == s.boot_bytes);
        if (target >= assigned && order.plug_bytes != s.plugged_bytes && order.plug_bytes > 0)
            assert_true(order.balloon_bytes + order.plug_bytes <
                        target + s.block_bytes); /* a block half online stays */
        if (target < assigned) {
            assert_true(order.plug_bytes <= s.plugged_bytes);
            /* unplug first: never an inflating balloon beside it */
            if (order.plug_bytes < s.plugged_bytes)
                assert_true(order.balloon_bytes >= s.balloon_actual_bytes);
        }
        /* it obeys */
        s.plugged_bytes = s.online_bytes = order.plug_bytes;
        balloon = lever_refine(&s, target, order.plug_bytes, true);
        assert_true(balloon <= s.boot_bytes);
        if (balloon + order.plug_bytes > target) {
            uint64_t floor_bytes = lever_floor_bytes(s.boot_bytes, s.plugged_bytes);

            assert_true(!s.has_balloon || balloon == (target < floor_bytes ? target : floor_bytes));
        } else if (s.has_balloon && order.plug_bytes < s.pluggable_bytes) {
            assert_true(balloon + order.plug_bytes + s.block_bytes > target);
        }
    }
}

static void spreads(void **unused)
{
    static const struct {
        struct lever_device d[3]; /* MiB */
        uint64_t total, want[3];
    } cases[] = {
        {{{0, 512, 2}, {0, 512, 2}, {0, 512, 2}}, 600, {512, 88, 0}},
        {{{512, 512, 2}, {88, 512, 2}, {0, 512, 2}}, 100, {100, 0, 0}},
        {{{512, 512, 2}, {88, 512, 2}, {40, 512, 2}}, 600, {512, 88, 0}},
        {{{0, 512, 128}, {0, 512, 128}, {0, 0, 0}}, 600, {512, 0, 0}},     /* 88 is no block */
        {{{512, 512, 128}, {512, 512, 128}, {0, 0, 0}}, 600, {512, 0, 0}}, /* rounded down */
        {{{64, 64, 0}, {0, 512, 2}, {0, 0, 0}}, 100, {64, 36, 0}},         /* the first can't be set */
        {{{0, 512, 2}, {0, 512, 2}, {0, 512, 2}}, 9999, {512, 512, 512}},
        {{{100, 512, 2}, {100, 512, 2}, {100, 512, 2}}, 300, {100, 100, 100}},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lever_device d[3];
        uint64_t got[3];

        for (size_t k = 0; k < 3; k++)
            d[k] = (struct lever_device){cases[i].d[k].requested_bytes * MIB, cases[i].d[k].most_bytes * MIB,
                                         cases[i].d[k].block_bytes * MIB};
        lever_spread(d, 3, cases[i].total * MIB, got);
        for (size_t k = 0; k < 3; k++)
            if (got[k] != cases[i].want[k] * MIB)
                fail_msg("case %zu, device %zu: %llu", i, k, (unsigned long long)(got[k] / MIB));
    }
}

/* ---- online ---- */

#define BOOT (256 * MIB)

static void online_is_the_rise_of_memtotal(void **unused)
{
    struct online o = {0};

    (void)unused;
    online_adopt(&o, 0);
    online_see_total(&o, 218 * MIB, 0, BOOT, true, 1 * SEC);
    online_see_plugged(&o, 128 * MIB, 2 * SEC);
    assert_true(o.online_bytes == 0); /* plugged is not given */
    online_see_total(&o, 218 * MIB, 0, BOOT, true, 3 * SEC);
    assert_true(o.online_bytes == 0);
    online_see_total(&o, 282 * MIB, 0, BOOT, true, 4 * SEC);
    assert_true(o.online_bytes == 64 * MIB);
    online_see_total(&o, 999 * MIB, 0, BOOT, true, 5 * SEC);
    assert_true(o.online_bytes == 128 * MIB); /* never more than plugged, whatever it says */
    online_see_plugged(&o, 40 * MIB, 6 * SEC);
    assert_true(o.online_bytes == 40 * MIB); /* unplugged is gone at once */
}

static void a_kernel_without_memory_of_its_own_is_short(void **unused)
{
    (void)unused;
    assert_true(online_kernel_is_short(11700 * MIB, 3 * MIB, false));
    assert_false(online_kernel_is_short(11700 * MIB, 45 * MIB, false));
    assert_true(online_kernel_is_short(11700 * MIB, 45 * MIB, true)); /* not to and fro */
    assert_false(online_kernel_is_short(11700 * MIB, 48 * MIB, true));
    assert_false(online_kernel_is_short(20 * MIB, 10 * MIB, false)); /* cache fills all of it, the movable zone, too */
    assert_false(online_kernel_is_short(20 * MIB, 20 * MIB, false)); /* no movable zone */
    assert_false(online_kernel_is_short(500 * MIB, UINT64_MAX, true));
    assert_false(online_kernel_is_short(UINT64_MAX, 5 * MIB, true));
    assert_false(online_kernel_is_short(5 * MIB, 500 * MIB, true)); /* a lie */
}

static void hot_added_memory_leaves_the_kernel_room(void **unused)
{
    (void)unused;
    assert_true(online_room_bytes(184 * MIB, 188 * MIB, 180 * MIB, false) == 160 * 64 * MIB);
    assert_true(online_room_bytes(5 * MIB, 4 * MIB, 5 * MIB, false) == 256 * MIB); /* a guest in need */
    assert_true(online_room_bytes(5 * MIB, 105 * MIB, 5 * MIB, false) == 81 * 64 * MIB); /* cache goes */
    assert_true(online_room_bytes(999 * MIB, 999 * MIB, 3 * MIB, true) == 0);
    assert_true(online_room_bytes(999 * MIB, UINT64_MAX, 25 * MIB, false) == 256 * MIB);
    assert_true(online_room_bytes(999 * MIB, 999 * MIB, UINT64_MAX, false) == UINT64_MAX);
    assert_true(online_room_bytes(UINT64_MAX, 1, 1, false) == UINT64_MAX);
    assert_true(online_room_bytes(0, UINT64_MAX / 4, 0, false) == UINT64_MAX); /* beyond all sizes */
    /* nobody tells: half of what it has beyond its kernel's floor, as memmap */
    assert_true(online_unheard_bytes(128 * MIB) == (128 - 72) / 2 * 64 * MIB);
    assert_true(online_unheard_bytes(1024 * MIB) == (1024 - 232) / 2 * 64 * MIB);
    assert_true(online_unheard_bytes(16 * MIB) == 0); /* its kernel alone needs as much */
    assert_true(online_unheard_bytes(UINT64_MAX) == UINT64_MAX);
}

static void online_adds_the_balloon_back(void **unused)
{
    struct online o = {0};

    (void)unused;
    online_adopt(&o, 0);
    online_see_total(&o, 90 * MIB, 128 * MIB, BOOT, true, 1 * SEC); /* deflate-on-oom off: MemTotal shrinks */
    online_see_plugged(&o, 128 * MIB, 2 * SEC);
    online_see_total(&o, 218 * MIB, 128 * MIB, BOOT, true, 3 * SEC);
    assert_true(o.online_bytes == 128 * MIB);
    online_see_total(&o, 218 * MIB, 20 * MIB, BOOT, false, 4 * SEC); /* moving: the two do not belong together */
    assert_true(o.online_bytes == 128 * MIB);
    online_see_total(&o, 346 * MIB, 0, BOOT, true, 5 * SEC);
    assert_true(o.online_bytes == 128 * MIB);
}

static void online_of_an_adopted_guest(void **unused)
{
    static const struct {
        uint64_t plugged, total, want;
    } cases[] = {
        {256, 218 + 256, 256}, /* all online */
        {256, 218, 0},         /* all offline */
        {256, 260, 4},         /* in between: what exceeds boot memory */
        {32, 218, 32},         /* less than what may be hidden: counts as given */
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct online o = {0};

        online_adopt(&o, cases[i].plugged * MIB);
        assert_true(o.online_bytes == cases[i].plugged * MIB); /* until statistics come */
        online_see_total(&o, cases[i].total * MIB, 0, BOOT, true, 1 * SEC);
        assert_true(o.online_bytes == cases[i].want * MIB);
        online_see_plugged(&o, cases[i].plugged * MIB, 2 * SEC);
        assert_false(online_is_missing(&o, 2 * MIB, ONLINE_PATIENCE_USEC, 60 * SEC)); /* S10: nothing is moved for it */
    }
}

static void online_missing_after_five_seconds(void **unused)
{
    struct online o = {0};

    (void)unused;
    online_adopt(&o, 0);
    online_see_total(&o, 218 * MIB, 0, BOOT, true, 1 * SEC);
    online_see_plugged(&o, 128 * MIB, 2 * SEC);
    assert_false(online_is_missing(&o, 2 * MIB, ONLINE_PATIENCE_USEC,
                                   8 * SEC)); /* no statistics since: silence proves nothing */
    online_see_total(&o, 218 * MIB, 0, BOOT, true, 3 * SEC);
    assert_false(online_is_missing(&o, 2 * MIB, ONLINE_PATIENCE_USEC, 6 * SEC));
    assert_true(online_is_missing(&o, 2 * MIB, ONLINE_PATIENCE_USEC, 7 * SEC));
    online_see_total(&o, 218 * MIB + 120 * MIB, 0, BOOT, true, 7 * SEC);
    assert_false(online_is_missing(&o, 2 * MIB, ONLINE_PATIENCE_USEC, 9 * SEC)); /* nearly all of it is there */
    online_see_reset(&o);
    assert_false(online_is_missing(&o, 2 * MIB, ONLINE_PATIENCE_USEC, 99 * SEC));
    assert_true(o.online_bytes == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits),
        cmocka_unit_test(refines),
        cmocka_unit_test(holds_for_all_states),
        cmocka_unit_test(spreads),
        cmocka_unit_test(online_is_the_rise_of_memtotal),
        cmocka_unit_test(a_kernel_without_memory_of_its_own_is_short),
        cmocka_unit_test(hot_added_memory_leaves_the_kernel_room),
        cmocka_unit_test(online_adds_the_balloon_back),
        cmocka_unit_test(online_of_an_adopted_guest),
        cmocka_unit_test(online_missing_after_five_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
