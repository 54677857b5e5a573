/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "history.h"
#include "wire_history.h"

/* The last minutes, kept of guests of a made-up engine. */

#define SEC 1000000ULL
#define MIB (1024 * 1024ULL)
#define GUESTS 3

static struct engine_guest guests[GUESTS];
static struct hv_vm vms[GUESTS];
static size_t guest_count;

size_t engine_count(const struct engine *engine)
{
    (void)engine;
    return guest_count;
}

const struct engine_guest *engine_guest_at(const struct engine *engine, size_t i)
{
    (void)engine;
    return &guests[i];
}

size_t engine_guest_slot(const struct engine *engine, const struct engine_guest *g)
{
    (void)engine;
    return (size_t)(g - guests);
}

static void house_build(struct history **ret)
{
    static const struct guest_config config = {.buffer = 2000, .priority = 5000};

    memset(guests, 0, sizeof(guests));
    guest_count = GUESTS;
    *ret = history_new(GUESTS);
    assert_non_null(*ret);
    for (size_t i = 0; i < GUESTS; i++) {
        (void)snprintf(vms[i].name, sizeof(vms[i].name), "g%zu", i);
        guests[i].vm = &vms[i];
        guest_init(&guests[i].core, &config, SEC);
        history_appeared(*ret, i);
    }
}

static void see(size_t i, uint64_t assigned_mib, uint64_t demand_mib, uint64_t now_usec)
{
    const struct obs_levers levers = {.time_usec = now_usec, .boot_bytes = assigned_mib * MIB,
                                      .balloon_actual_bytes = assigned_mib * MIB};

    guest_see_levers(&guests[i].core, &levers, now_usec);
    guests[i].core.view.time_usec = now_usec;
    guests[i].core.verdict.demand_kib = demand_mib * 1024;
}

/* The document as a client reads it. */
static struct wire_history *read_back(const struct history *h, uint64_t now_usec)
{
    struct wire_text t = {0};
    struct wire_history *w = NULL;
    struct err e = {0};

    history_print(h, NULL, now_usec, &t);
    assert_false(t.failed);
    if (wire_history_parse(t.data, t.length, &w, &e) < 0)
        fail_msg("%s: %s", e.text, t.data);
    wire_text_done(&t);
    return w;
}

static void a_point_each_five_seconds(void **state)
{
    AUTO(history) struct history *h = NULL;
    AUTO(wire_history) struct wire_history *w = NULL;
    const struct wire_history_guest *g;

    (void)state;
    house_build(&h);
    for (uint64_t s = 10; s < 22; s++) { /* points at 10, 15 and 20 s */
        see(0, s * 10, s, s * SEC);
        history_tick(h, NULL, s * SEC);
    }
    w = read_back(h, 21 * SEC);
    assert_int_equal(w->step_ms, 5000);
    assert_int_equal(w->guest_count, GUESTS);
    g = wire_history_find(w, "g0");
    assert_int_equal(g->point_count, HISTORY_POINTS);
    assert_int_equal(g->assigned_bytes[HISTORY_POINTS - 1], 200 * MIB);
    assert_int_equal(g->assigned_bytes[HISTORY_POINTS - 2], 150 * MIB);
    assert_int_equal(g->demand_bytes[HISTORY_POINTS - 3], 10 * MIB);
    assert_int_equal(g->demand_bytes[HISTORY_POINTS - 4], WIRE_UNKNOWN);
    assert_int_equal(wire_history_find(w, "g1")->assigned_bytes[HISTORY_POINTS - 1], WIRE_UNKNOWN); /* never seen */
    assert_null(wire_history_find(w, "g9"));
}

/* Memory is bounded: the oldest point goes; what was slept through is empty. */
static void it_goes_round_and_notes_gaps(void **state)
{
    AUTO(history) struct history *h = NULL;
    AUTO(wire_history) struct wire_history *w = NULL;
    const struct wire_history_guest *g;
    uint64_t now = 10 * SEC;

    (void)state;
    house_build(&h);
    for (uint64_t i = 0; i < HISTORY_POINTS + 10; i++, now += HISTORY_STEP_USEC) {
        see(0, i + 1, 1, now);
        history_tick(h, NULL, now);
    }
    w = read_back(h, now);
    assert_int_equal(wire_history_find(w, "g0")->assigned_bytes[0], 11 * MIB);
    w = wire_history_free(w);
    now += 3 * HISTORY_STEP_USEC; /* three points are missed */
    see(0, 500, 1, now);
    history_tick(h, NULL, now);
    w = read_back(h, now);
    g = wire_history_find(w, "g0");
    assert_int_equal(g->assigned_bytes[HISTORY_POINTS - 1], 500 * MIB);
    for (size_t i = 2; i <= 4; i++)
        assert_int_equal(g->assigned_bytes[HISTORY_POINTS - i], WIRE_UNKNOWN);
    assert_int_equal(g->assigned_bytes[HISTORY_POINTS - 5], (HISTORY_POINTS + 10) * MIB);
    w = wire_history_free(w);
    now += 100000 * HISTORY_STEP_USEC; /* a suspended host */
    history_tick(h, NULL, now);
    w = read_back(h, now);
    assert_int_equal(wire_history_find(w, "g0")->assigned_bytes[HISTORY_POINTS - 2], WIRE_UNKNOWN);
}

static void ordered(struct history *h, uint64_t to_mib, enum guest_order order, enum guest_reason reason, uint64_t now)
{
    guests[0].core.verdict.order = order;
    guests[0].core.verdict.reason = reason;
    guests[0].core.verdict.order_kib = to_mib * 1024;
    history_ordered(h, 0, &guests[0].core, now);
}

static void steps_of_one_move_are_one_line(void **state)
{
    AUTO(history) struct history *h = NULL;
    AUTO(wire_history) struct wire_history *w = NULL;
    const struct wire_history_guest *g;

    (void)state;
    house_build(&h);
    see(0, 400, 100, 10 * SEC);
    for (uint64_t s = 0; s < 5; s++)
        ordered(h, 396 - s * 4, GUEST_ORDER_SHRINK, GUEST_REASON_RECLAIM, (10 + s) * SEC);
    ordered(h, 500, GUEST_ORDER_GROW, GUEST_REASON_NEED, 15 * SEC);
    w = read_back(h, 20 * SEC);
    g = wire_history_find(w, "g0");
    assert_int_equal(g->move_count, 2);
    assert_string_equal(g->moves[0].order, "grow"); /* newest first */
    assert_string_equal(g->moves[1].order, "shrink");
    assert_string_equal(g->moves[1].reason, guest_reason_text(GUEST_REASON_RECLAIM));
    assert_int_equal(g->moves[1].orders, 5);
    assert_int_equal(g->moves[1].from_bytes, 400 * MIB);
    assert_int_equal(g->moves[1].to_bytes, 380 * MIB);
    assert_int_equal(g->moves[1].lasted_ms, 4000);
    assert_int_equal(g->moves[1].age_ms, 6000);
    for (uint64_t i = 0; i < 3 * HISTORY_MOVES; i++) /* each a move of its own */
        ordered(h, 100 + i, i % 2 ? GUEST_ORDER_GROW : GUEST_ORDER_SHRINK, GUEST_REASON_NEED, (30 + i) * SEC);
    w = wire_history_free(w);
    w = read_back(h, 100 * SEC);
    assert_int_equal(wire_history_find(w, "g0")->move_count, HISTORY_MOVES);
    assert_int_equal(wire_history_find(w, "g0")->moves[0].to_bytes, (100 + 3 * HISTORY_MOVES - 1) * MIB);
}

static void rates_are_of_one_boot(void **state)
{
    AUTO(history) struct history *h = NULL;
    struct obs_guest_view *v = &guests[0].core.view;

    (void)state;
    house_build(&h);
    memset(v, 0xff, sizeof(*v)); /* all unset */
    v->source = OBS_SOURCE_AGENT;
    v->time_usec = 10 * SEC;
    v->swapped_in_bytes = 100;
    v->psi_some_usec = 1000;
    history_tick(h, NULL, 10 * SEC);
    assert_int_equal(history_find(h, 0)->rates.span_usec, 0);
    v->time_usec = 14 * SEC;
    v->swapped_in_bytes = 300;
    v->psi_some_usec = 900; /* fell: another boot */
    history_tick(h, NULL, 15 * SEC);
    assert_int_equal(history_find(h, 0)->rates.span_usec, 4 * SEC);
    assert_int_equal(history_find(h, 0)->rates.swapped_in_bytes, 200);
    assert_int_equal(history_find(h, 0)->rates.psi_some_usec, OBS_UNSET);
    assert_int_equal(history_find(h, 0)->rates.refaulted_bytes, OBS_UNSET);
    v->source = OBS_SOURCE_STATISTICS; /* another source counts differently */
    v->time_usec = 19 * SEC;
    history_tick(h, NULL, 20 * SEC);
    assert_int_equal(history_find(h, 0)->rates.span_usec, 0);
}

static void a_new_guest_in_an_old_place_begins_anew(void **state)
{
    AUTO(history) struct history *h = NULL;
    AUTO(wire_history) struct wire_history *w = NULL;

    (void)state;
    house_build(&h);
    see(0, 400, 100, 10 * SEC);
    history_tick(h, NULL, 10 * SEC);
    ordered(h, 500, GUEST_ORDER_GROW, GUEST_REASON_NEED, 11 * SEC);
    history_vanished(h, 0);
    assert_null(history_find(h, 0));
    history_ordered(h, 0, &guests[0].core, 12 * SEC); /* without a place: nothing happens */
    history_appeared(h, 0);
    w = read_back(h, 12 * SEC);
    assert_int_equal(wire_history_find(w, "g0")->move_count, 0);
    assert_int_equal(wire_history_find(w, "g0")->assigned_bytes[HISTORY_POINTS - 1], WIRE_UNKNOWN);
    history_appeared(h, GUESTS); /* beyond what there is room for */
    history_vanished(h, GUESTS);
    history_appeared(NULL, 0);
    history_tick(NULL, NULL, 12 * SEC);
    assert_null(history_find(NULL, 0));
}

static void readers_survive_anything(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"{\"guests\":[]}", true},
        {"{\"guests\":[{\"name\":\"a\"}]}", true},
        {"{\"guests\":[{\"name\":\"a\",\"assigned_bytes\":[1,null,3],\"demand_bytes\":null,\"moves\":[{}]}]}", true},
        {"{}", false},
        {"[]", false},
        {"{\"guests\":{}}", false},
        {"{\"guests\":[1]}", false},
        {"{\"guests\":[{}]}", false},
        {"{\"guests\":[{\"name\":\"a\",\"assigned_bytes\":[-1]}]}", false},
        {"{\"guests\":[{\"name\":\"a\",\"assigned_bytes\":[\"x\"]}]}", false},
        {"{\"guests\":[{\"name\":\"a\",\"assigned_bytes\":7}]}", false},
        {"{\"guests\":[{\"name\":\"a\",\"moves\":[7]}]}", false},
        {"{\"step_ms\":-1,\"guests\":[]}", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(wire_history) struct wire_history *w = NULL;
        struct err e = {0};
        int r = wire_history_parse(cases[i].text, strlen(cases[i].text), &w, &e);

        if ((r == 0) != cases[i].ok)
            fail_msg("%s: %d, %s", cases[i].text, r, e.text);
        assert_true(r == 0 ? w != NULL && !e.text[0] : w == NULL && r == -EBADMSG && e.text[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_point_each_five_seconds),
        cmocka_unit_test(it_goes_round_and_notes_gaps),
        cmocka_unit_test(steps_of_one_move_are_one_line),
        cmocka_unit_test(rates_are_of_one_boot),
        cmocka_unit_test(a_new_guest_in_an_old_place_begins_anew),
        cmocka_unit_test(readers_survive_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
