/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "status.h"
#include "status_reasons.h"

/* The real core under a made-up engine: what the status says of guests in every state. */

#define SEC 1000000ULL
#define KIB 1024ULL
#define MIB (1024 * KIB)
#define NOW (1000 * SEC)

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
    return &guests[i];
}

const struct engine_guest *engine_find(const struct engine *engine, const char *name)
{
    (void)engine;
    for (size_t i = 0; i < guest_count; i++)
        if (strcmp(vms[i].name, name) == 0)
            return &guests[i];
    return NULL;
}

size_t engine_guest_slot(const struct engine *engine, const struct engine_guest *g)
{
    (void)engine;
    return (size_t)(g - guests);
}

void engine_guest_why(const struct guest *g, char *text, size_t size)
{
    (void)g;
    (void)snprintf(text, size, "because");
}

static uint64_t clock_now(void)
{
    return now_usec;
}

static struct status new_status(void)
{
    return (struct status){.host_name = "node1", .started_usec = NOW - 60 * SEC, .now_usec = clock_now};
}

static const struct guest_config config_auto = {
    .buffer = 2000, .priority = 5000, .tax_ppm = 750000, .mode = GUEST_MODE_AUTO};

static int house_build(void **state)
{
    static const struct hv_ops ops = {.name = "qmp"};
    static struct hv hv = {.ops = &ops};
    const struct host_config config = {.memory_kib = 2048 * KIB, .reserve_kib = 256 * KIB, .overcommit_permille = 1000};

    (void)state;
    now_usec = NOW;
    guest_count = 0;
    host_init(&the_host, &config);
    the_host.seen = (struct obs_host){.time_usec = NOW, .total_bytes = 8192 * MIB, .available_bytes = 6000 * MIB,
                                      .psi_some_usec = OBS_UNSET};
    for (size_t i = 0; i < 3; i++) {
        vms[i] = (struct hv_vm){.hv = &hv, .pid = 100 + (int)i, .caps = HV_CAP_BALLOON | HV_CAP_STATISTICS};
        (void)snprintf(vms[i].name, sizeof(vms[i].name), "guest%zu", i);
        memset(&guests[i], 0, sizeof(guests[i]));
        guests[i].vm = &vms[i];
        guest_init(&guests[i].core, &config_auto, NOW - 90 * SEC);
    }
    return 0;
}

static void see(size_t i, uint64_t boot_mib, uint64_t actual_mib, uint64_t touched_mib, uint64_t available_mib)
{
    const struct obs_levers levers = {.time_usec = now_usec, .boot_bytes = boot_mib * MIB, .has_balloon = true,
                                      .balloon_actual_bytes = actual_mib * MIB};
    const struct obs_host_view host = {.time_usec = now_usec, .resident_bytes = touched_mib * MIB,
                                       .overhead_bytes = 30 * MIB, .disk_read_bytes = OBS_UNSET};
    struct obs_guest_view view;

    memset(&view, 0xff, sizeof(view)); /* all unset */
    view.source = OBS_SOURCE_STATISTICS;
    view.time_usec = view.heard_usec = now_usec;
    view.spacing_usec = SEC;
    view.total_bytes = (actual_mib - 38) * MIB;
    view.available_bytes = available_mib * MIB;
    guest_see_levers(&guests[i].core, &levers, now_usec);
    guest_see_host(&guests[i].core, &host, now_usec);
    guest_see_view(&guests[i].core, &view, now_usec);
    if (i >= guest_count)
        guest_count = i + 1;
}

static void decide_now(void)
{
    static struct levels levels[3];
    static struct share_slot slots[3];
    static uint64_t weight[3], given[3];
    static uint32_t order[3];
    const struct decide_scratch scratch = {.levels = levels, .slots = slots, .weight = weight, .given_kib = given,
                                           .order = order};
    struct guest *list[3] = {&guests[0].core, &guests[1].core, &guests[2].core};

    the_host.seen.time_usec = now_usec;
    (void)decide(&the_host, list, guest_count, DECIDE_TICK, now_usec, &scratch);
}

static struct wire_guest filled(size_t i)
{
    const struct status s = new_status();
    struct wire_guest g;

    status_fill_guest(&s, &guests[i], &g);
    return g;
}

static void configured_as(const void *user, const char *name, const char **ret_entry, const char **ret_owner)
{
    (void)user;
    *ret_entry = strcmp(name, "guest0") == 0 ? "guest*" : NULL;
    *ret_owner = "";
}

/* Rates, where its settings come from, and how old each group of numbers is. */
static void sources_are_told(void **state)
{
    AUTO(history) struct history *history = history_new(3);
    struct status s = new_status();
    struct obs_guest_view *v = &guests[0].core.view;
    struct wire_guest g;

    (void)state;
    see(0, 1024, 512, 400, 300);
    v->swapped_in_bytes = 10 * MIB;
    v->psi_some_usec = 0;
    history_appeared(history, 0);
    history_tick(history, NULL, now_usec);
    now_usec += 5 * SEC;
    v->time_usec += 5 * SEC;
    v->swapped_in_bytes = 30 * MIB;
    v->psi_some_usec = SEC;
    history_tick(history, NULL, now_usec);
    s.history = history;
    s.configured = configured_as;
    guests[0].vm->start_ticks = 77;
    status_fill_guest(&s, &guests[0], &g);
    assert_int_equal(g.rate_ms, 5000);
    assert_int_equal(g.swap_in_rate_bytes, 4 * MIB);
    assert_int_equal(g.swap_out_rate_bytes, WIRE_UNKNOWN);
    assert_int_equal(g.psi_some_percent, 2000);
    assert_int_equal(g.psi_full_percent, WIRE_UNKNOWN);
    assert_int_equal(g.levers_age_ms, 5000);
    assert_int_equal(g.host_age_ms, 5000);
    assert_string_equal(g.config_entry, "guest*");
    assert_string_equal(g.owner, "");
    assert_string_equal(g.incarnation, "100.77");
    assert_string_equal(g.lent_reason, "because");
}

static const char *reason_of(const struct wire_guest *g, const char *flag)
{
    for (size_t i = 0; i < g->flag_count; i++)
        if (strcmp(g->flags[i].name, flag) == 0)
            return g->flags[i].reason;
    return NULL;
}

static void expect_reason(const struct wire_guest *g, const char *flag, const char *says)
{
    const char *reason = reason_of(g, flag);

    if (!reason || !strstr(reason, says))
        fail_msg("'%s' says '%s', not '%s'", flag, reason ? reason : "nothing", says);
}

/* Devices that free nothing: fixed with that reason, and no advice to add what is there. */
static void a_fixed_guest_says_why(void **state)
{
    const struct obs_levers levers = {.time_usec = now_usec, .boot_bytes = 512 * MIB, .balloon_actual_bytes = 512 * MIB};
    struct wire_guest g;

    (void)state;
    vms[0].facts = (struct hv_facts){.has_balloon = true, .deflate_on_oom = HV_YES, .port = HV_PORT_OPEN,
                                     .fixed = "its memory is locked", .version = "QEMU 7.2.15"};
    see(0, 512, 512, 400, 100);
    guest_see_levers(&guests[0].core, &levers, now_usec);
    decide_now();
    g = filled(0);
    expect_reason(&g, "fixed", "its memory is locked");
    assert_null(reason_of(&g, "no-balloon"));
    assert_int_equal(g.flag_count, 1);
    assert_string_equal(g.fixed_reason, "its memory is locked");
    assert_string_equal(g.deflate_on_oom, "yes");
    assert_string_equal(g.page_reporting, "");
    assert_string_equal(g.agent_port, "open");
    assert_string_equal(g.hypervisor, "QEMU 7.2.15");
    assert_true(g.balloon);
    assert_int_equal(g.machine_maximum_bytes, WIRE_UNKNOWN);
}

static void a_balanced_guest_is_told_in_bytes(void **state)
{
    struct wire_guest g;

    (void)state;
    see(0, 512, 400, 300, 150);
    decide_now();
    g = filled(0);
    assert_string_equal(g.name, "guest0");
    assert_string_equal(g.identity, "guest0");
    assert_string_equal(g.driver, "qmp");
    assert_string_equal(g.state, "running");
    assert_string_equal(g.mode, "auto");
    assert_true(g.balanced);
    assert_int_equal(g.assigned_bytes, 400 * MIB);
    assert_int_equal(g.balloon_bytes, 112 * MIB);
    assert_int_equal(g.exposure_bytes, 112 * MIB);
    assert_int_equal(g.held_bytes, 400 * MIB);
    assert_int_equal(g.visible_bytes, 362 * MIB);
    assert_int_equal(g.hidden_bytes, 38 * MIB);
    assert_int_equal(g.demand_bytes, 250 * MIB);
    assert_int_equal(g.pressure_percent, 6250);
    assert_int_equal(g.target_bytes, 300 * MIB);
    assert_int_equal(g.buffer_percent, 2000);
    assert_string_equal(g.memory_status, "ok");
    assert_string_equal(g.demand_source, "statistics");
    assert_int_equal(g.sample_age_ms, 0);
    assert_int_equal(g.committed_bytes, WIRE_UNKNOWN); /* statistics don't tell */
    assert_int_equal(g.mark_bytes, WIRE_UNKNOWN);
    assert_int_equal(g.flag_count, 0);
    assert_int_equal(g.known_ms, 90000);
}

static void an_unheard_guest_has_no_invented_numbers(void **state)
{
    struct wire_guest g;

    (void)state;
    guest_count = 1;
    guests[0].core.appeared_usec = NOW;
    decide_now();
    g = filled(0);
    assert_string_equal(g.state, "booting");
    assert_int_equal(g.assigned_bytes, WIRE_UNKNOWN);
    assert_int_equal(g.held_bytes, WIRE_UNKNOWN);
    assert_int_equal(g.demand_bytes, WIRE_UNKNOWN);
    assert_int_equal(g.target_bytes, WIRE_UNKNOWN);
    assert_int_equal(g.hidden_bytes, WIRE_UNKNOWN_SIGNED);
    assert_int_equal(g.sample_age_ms, WIRE_UNKNOWN);
    assert_string_equal(g.demand_source, "none");
    expect_reason(&g, "booting", "has not reported");
}

static void deflate_on_oom_changes_what_is_hidden(void **state)
{
    struct wire_guest g;

    (void)state;
    see(0, 512, 400, 300, 150);
    guests[0].core.levers.deflate_on_oom = true;
    guests[0].core.view.total_bytes = (512 - 38) * MIB; /* MemTotal then counts ballooned memory */
    decide_now();
    g = filled(0);
    assert_int_equal(g.hidden_bytes, 38 * MIB);
    assert_non_null(strstr(g.hidden_reason, "deflate-on-oom=on"));
}

static void flags_have_reasons_with_numbers(void **state)
{
    struct wire_guest g;

    (void)state;
    for (int i = 0; i < 5; i++) {
        see(0, 512, 200, 450, 100);
        see(1, 512, 400, 300, 2);
        see(2, 512, 400, 300, 150);
        now_usec += SEC;
        decide_now();
    }
    now_usec += 20 * SEC;
    see(0, 512, 200, 450, 100);
    see(1, 512, 400, 300, 2);
    decide_now();
    g = filled(0);
    expect_reason(&g, "breach", "it says it has 200 MiB, but the host sees it hold 450 MiB");
    assert_int_equal(g.held_bytes, 450 * MIB);
    assert_false(g.balanced);
    g = filled(1);
    expect_reason(&g, "stalled", "2 MiB available");
    assert_string_equal(g.memory_status, "warning");
    assert_true(g.stall_percent > 0);
    g = filled(2);
    expect_reason(&g, "silent", "has not reported its memory for 21 s");
}

static void every_flag_of_the_core_has_a_reason(void **state)
{
    (void)state;
    see(0, 512, 400, 300, 150);
    for (unsigned bit = 0; 1U << bit <= GUEST_FLAG_PAUSED; bit++) { /* the last one */
        struct wire_guest g;

        decide_now();
        guests[0].core.verdict.flags = 1U << bit;
        guests[0].paused = (1U << bit) == GUEST_FLAG_PAUSED;
        g = filled(0);
        if (g.flag_count == 0)
            fail_msg("flag bit %u is not told", bit);
        for (size_t i = 0; i < g.flag_count; i++)
            assert_true(strlen(g.flags[i].reason) > 10);
    }
}

static void a_reset_guest_counts_and_says_so(void **state)
{
    struct wire_guest g;

    (void)state;
    see(0, 512, 200, 200, 100);
    decide_now();
    now_usec += SEC;
    guest_see_reset(&guests[0].core, now_usec);
    decide_now();
    g = filled(0);
    assert_string_equal(g.state, "booting");
    assert_int_equal(g.counted_bytes, 512 * MIB);
    expect_reason(&g, "booting", "counts as 512 MiB");
    assert_int_equal(g.hidden_bytes, WIRE_UNKNOWN_SIGNED);
}

static void the_host_adds_up(void **state)
{
    const struct status s = new_status();
    struct wire_host h;

    (void)state;
    see(0, 512, 400, 300, 150);
    see(1, 512, 512, 500, 400);
    guests[1].core.config.mode = GUEST_MODE_WATCH;
    decide_now();
    status_fill_host(&s, &h);
    assert_string_equal(h.name, "node1");
    assert_string_equal(h.state, "high");
    assert_int_equal(h.memory_bytes, 2048 * MIB);
    assert_int_equal(h.assigned_bytes, 912 * MIB);
    assert_int_equal(h.overhead_bytes, 60 * MIB);
    assert_int_equal(h.demand_bytes, 362 * MIB);
    assert_int_equal(h.capacity_bytes, (2048 - 256 - 60) * (int64_t)MIB);
    assert_int_equal(h.guest_count, 2);
    assert_int_equal(h.watched, 1);
    assert_int_equal(h.saving_bytes, 512 * (int64_t)MIB - (int64_t)(guests[1].core.verdict.advice_kib * KIB));
    assert_int_equal(h.stall_usec, WIRE_UNKNOWN);
    assert_int_equal(h.share_step, 1);
    assert_non_null(strstr(h.share_text, "plenty"));
}

static void what_is_wrong_with_the_host_is_warned_of(void **state)
{
    static const struct {
        struct wire_host host;
        const char *says;
    } cases[] = {
        {{.total_bytes = WIRE_UNKNOWN}, "can't be read"},
        {{.share_step = SHARE_OVER, .over_bytes = 105 * MIB}, "over-promised by 105 MiB: move or stop"},
        {{.share_step = SHARE_OVER, .over_bytes = MIB, .watched = 1, .saving_bytes = MIB}, "mode: auto"},
        {{.capacity_bytes = -(int64_t)MIB}, "1 MiB of the reserve"},
        {{.capacity_bytes = MIB, .minimum_bytes = 2 * MIB}, "the minimums (2 MiB) do not fit"},
        {{.squeezed = true, .waits_priority = 9000}, "priority 9000 starves"},
        {{.shortfall_bytes = 3 * MIB}, "lack 3 MiB"},
    };
    struct wire_warning warnings[8];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = status_host_warnings(&cases[i].host, warnings, 8);

        assert_int_equal(n, 1);
        if (!strstr(warnings[0].text, cases[i].says))
            fail_msg("'%s', not '%s'", warnings[0].text, cases[i].says);
        assert_int_equal(status_host_warnings(&cases[i].host, warnings, 0), 0);
    }
}

static void warnings_are_kept_once_and_few(void **state)
{
    struct status s = new_status();
    const size_t most = sizeof(s.warnings) / sizeof(s.warnings[0]);
    struct api_source source = status_source(&s);
    struct wire_warning got[WIRE_WARNINGS_MAX];
    char text[32];

    (void)state;
    guest_count = 0;
    status_warn(&s, "a");
    now_usec += 5 * SEC;
    status_warn(&s, "b");
    now_usec += 5 * SEC;
    status_warn(&s, "a"); /* again: only younger */
    assert_int_equal(s.warning_count, 2);
    assert_int_equal(source.warnings(source.user, got, WIRE_WARNINGS_MAX), 2);
    assert_string_equal(got[0].text, "b");
    assert_int_equal(got[0].age_ms, 5000);
    assert_string_equal(got[1].text, "a");
    for (size_t i = 0; i < 100; i++) {
        (void)snprintf(text, sizeof(text), "warning %zu", i);
        status_warn(&s, text);
    }
    assert_int_equal(s.warning_count, most);
    assert_string_equal(s.warnings[most - 1].text, "warning 99");
}

static void the_dump_is_json(void **state)
{
    struct status s = new_status();
    struct wire_text t = {0};
    struct json_object *json, *list;

    (void)state;
    see(0, 512, 400, 300, 150);
    see(1, 512, 400, 300, 150);
    (void)strcpy(vms[1].name, "quo\"te");
    decide_now();
    status_dump(&s, &t);
    json = json_tokener_parse(t.data);
    assert_non_null(json);
    assert_true(json_object_object_get_ex(json, "guests", &list));
    assert_int_equal(json_object_array_length(list), 2);
    json_object_put(json);
    wire_text_done(&t);
}

#define HOUSE(test) cmocka_unit_test_setup(test, house_build)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOUSE(sources_are_told),
        HOUSE(a_fixed_guest_says_why),
        HOUSE(a_balanced_guest_is_told_in_bytes),
        HOUSE(an_unheard_guest_has_no_invented_numbers),
        HOUSE(deflate_on_oom_changes_what_is_hidden),
        HOUSE(flags_have_reasons_with_numbers),
        HOUSE(every_flag_of_the_core_has_a_reason),
        HOUSE(a_reset_guest_counts_and_says_so),
        HOUSE(the_host_adds_up),
        HOUSE(what_is_wrong_with_the_host_is_warned_of),
        HOUSE(warnings_are_kept_once_and_few),
        HOUSE(the_dump_is_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
