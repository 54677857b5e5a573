/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy_defaults.h"
#include "random.h"
#include "record.h"
#include "record_fields.h"
#include "replay.h"

/* Records: no field of the core is forgotten, what is written reads back to the same, and no line that somebody brings does
 * harm. That a record replays to the same answers is a scenario (rule_s6_record); here it is that changed rules do not go
 * unnoticed. */

/* ---- tables ---- */

#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define HAS_CLEAR_PADDING
#endif
#endif

#ifdef HAS_CLEAR_PADDING
/* Every byte of a struct that is no padding must belong to a field of one of the tables that are said to hold it. */
static void fields_mark(const struct record_table *table, size_t offset, unsigned char *map)
{
    for (size_t i = 0; i < table->count; i++)
        for (size_t k = 0; k < table->fields[i].size; k++) {
            if (map[offset + table->fields[i].offset + k] == 1)
                fail_msg("'%s' is there twice", table->fields[i].name);
            map[offset + table->fields[i].offset + k] = 1;
        }
}

static void bytes_mark(size_t offset, size_t size, unsigned char *map)
{
    memset(map + offset, 1, size);
}

static void map_check(const char *what, const unsigned char *map, const unsigned char *used, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (used[i] && !map[i])
            fail_msg("byte %zu of struct %s is in no table of record_fields.c: was a field added?", i, what);
}

#define CHECK_STRUCT(type, ...)                                                                                        \
    do {                                                                                                               \
        static struct type whole;                                                                                      \
        static unsigned char map[sizeof(struct type)], used[sizeof(struct type)];                                      \
        memset(&whole, 0xff, sizeof(whole));                                                                           \
        __builtin_clear_padding(&whole);                                                                               \
        memcpy(used, &whole, sizeof(whole));                                                                           \
        __VA_ARGS__                                                                                                    \
        map_check(#type, map, used, sizeof(whole));                                                                    \
    } while (0)
#endif

static void no_field_is_forgotten(void **state)
{
    (void)state;
#ifndef HAS_CLEAR_PADDING
    skip(); /* this compiler can't tell padding; GCC's build does */
#else
    CHECK_STRUCT(guest_config, fields_mark(&record_config, 0, map););
    CHECK_STRUCT(learned, fields_mark(&record_learned, 0, map););
    CHECK_STRUCT(obs_levers, fields_mark(&record_levers, 0, map););
    CHECK_STRUCT(obs_host_view, fields_mark(&record_host_view, 0, map););
    CHECK_STRUCT(obs_guest_view, fields_mark(&record_view, 0, map););
    CHECK_STRUCT(obs_host, fields_mark(&record_seen, 0, map););
    CHECK_STRUCT(host_config, fields_mark(&record_host_config, 0, map););
    CHECK_STRUCT(guest_verdict, fields_mark(&record_verdict, 0, map););
    CHECK_STRUCT(host, fields_mark(&record_host, 0, map); fields_mark(&record_seen, offsetof(struct host, seen), map);
                 fields_mark(&record_host_config, offsetof(struct host, config), map););
    CHECK_STRUCT(guest, fields_mark(&record_kept, 0, map);
                 fields_mark(&record_config, offsetof(struct guest, config), map);
                 fields_mark(&record_levers, offsetof(struct guest, levers), map);
                 fields_mark(&record_host_view, offsetof(struct guest, host), map);
                 fields_mark(&record_view, offsetof(struct guest, view), map);
                 fields_mark(&record_verdict, offsetof(struct guest, verdict), map);
                 bytes_mark(offsetof(struct guest, band.weight), sizeof(((struct guest *)0)->band.weight), map);
                 bytes_mark(offsetof(struct guest, assigned_seen), sizeof(struct recent), map);
                 bytes_mark(offsetof(struct guest, used_seen), sizeof(struct recent), map);
                 bytes_mark(offsetof(struct guest, missed_seen), sizeof(struct recent), map););
#endif
}

/* ---- a host to record ---- */

#define GUESTS 12
#define MIB (1024ULL * 1024)
#define SEC 1000000ULL
#define START (1000 * SEC)

static struct house {
    struct host host;
    struct guest guests[GUESTS];
    struct guest *list[GUESTS];
    uint32_t ids[GUESTS];
    uint64_t counters[GUESTS];
    uint64_t digest;
    struct random random;
    struct wire_text *record; /* NULL: none */
} house;

static void put(size_t i, const struct input *in)
{
    char name[16];

    (void)snprintf(name, sizeof(name), "guest%02zu", i);
    input_apply(&house.guests[i], in);
    if (house.record)
        record_print_input(house.record, (uint32_t)i, name, name, in);
}

static void house_build(uint64_t seed)
{
    const struct host_config config = {
        .memory_kib = 8ULL << 20, .reserve_kib = 512 * 1024, .overcommit_permille = 1000};

    memset(&house, 0, sizeof(house));
    house.random.state = seed;
    host_init(&house.host, &config);
    for (size_t i = 0; i < GUESTS; i++) {
        struct input in = {.kind = INPUT_APPEARED, .now_usec = START};
        in.config = (struct guest_config){.minimum_kib = 128 * 1024, .buffer = 2000, .priority = (uint32_t)(1000 + 700 * i),
                                          .tax_ppm = 750000, .mode = i == 4 ? GUEST_MODE_WATCH : GUEST_MODE_AUTO,
                                          .reclaim = i % 3 == 2 ? GUEST_RECLAIM_LAZY : GUEST_RECLAIM_EAGER,
                                          .self_managing = i == 7 ? GUEST_CHOICE_YES : GUEST_CHOICE_AUTO,
                                          .band = i == 5, .demand = i == 6 ? DEMAND_COMMITTED : DEMAND_USED};
        house.list[i] = &house.guests[i];
        house.ids[i] = (uint32_t)i;
        put(i, &in);
    }
}

/* What a guest that wanders up and down tells, each second. Some are stuck, silent, in breach or harmed for a while, so that
 * no rule goes unused. */
static void house_samples(size_t i, uint64_t now)
{
    struct random *r = &house.random;
    struct guest *g = &house.guests[i];
    uint64_t has = guest_assigned_kib(g) ? guest_assigned_kib(g) : 1024 * 1024;
    uint64_t busy = (150 + i * 30 + (now / SEC / 15 * (i + 3) * 137) % 500) * 1024;
    struct input levers = {.kind = INPUT_LEVERS, .now_usec = now};
    struct input host = {.kind = INPUT_HOST_VIEW, .now_usec = now};
    struct input view = {.kind = INPUT_VIEW, .now_usec = now};
    const size_t first = offsetof(struct obs_guest_view, time_usec);

    uint64_t second = (now - START) / SEC;
    bool taken = g->motion.active && g->motion.target_kib < has;

    if (g->motion.active && !(i == 8 && second % 120 > 60)) /* it moves a good part of the way */
        has = g->motion.target_kib > has ? has + (g->motion.target_kib - has + 1) / 2 : g->motion.target_kib;
    levers.levers = (struct obs_levers){.time_usec = now, .boot_bytes = 1024 * MIB, .balloon_actual_bytes = has * 1024,
                                        .has_balloon = true};
    if (has * 1024 > 1024 * MIB)
        levers.levers.balloon_actual_bytes = 1024 * MIB;
    host.host_view = (struct obs_host_view){.time_usec = now, .resident_bytes = ((busy < has ? busy : has) + (i == 10 && second % 100 < 9 ? 200 * 1024 : 0)) * 1024,
                                            .overhead_bytes = 30 * MIB, .disk_read_bytes = OBS_UNSET};
    memset((char *)&view.view + first, 0xff, sizeof(view.view) - first); /* all unset; padding stays 0 */
    house.counters[i] += random_below(r, 20) ? 0 : random_below(r, 8 * MIB);
    if (taken && i % 4 == 1 && second % 3 == 0)
        house.counters[i] += 20 * MIB;
    view.view.source = i % 3 ? OBS_SOURCE_AGENT : OBS_SOURCE_STATISTICS;
    view.view.time_usec = view.view.heard_usec = now;
    view.view.spacing_usec = SEC;
    view.view.available_bytes = (has > busy ? has - busy : random_below(r, 8 * 1024)) * 1024;
    view.view.cache_bytes = 100 * MIB;
    view.view.committed_bytes = 400 * MIB;
    view.view.swapped_in_bytes = house.counters[i];
    if (i % 3) {
        view.view.refaulted_bytes = 2 * house.counters[i];
        view.view.psi_some_usec = view.view.psi_full_usec = house.counters[i] / 64;
        view.view.swap_total_bytes = i % 2 ? 512 * MIB : 0;
        view.view.swap_used_bytes = 0;
    }
    put(i, &levers);
    put(i, &host);
    if (i != 3 || second % 60 < 40) /* one falls silent now and then */
        put(i, &view);
}

static void house_decide(enum decide_why why, uint64_t now)
{
    static struct levels levels[GUESTS];
    static struct share_slot slots[GUESTS];
    static uint64_t weight[GUESTS], given[GUESTS];
    static uint32_t order[GUESTS];
    const struct decide_scratch scratch = {.levels = levels, .slots = slots, .weight = weight, .given_kib = given,
                                           .order = order};
    const struct guest *const *guests = (const struct guest *const *)house.list;
    uint64_t held = 0, eaten = (now - START) / SEC % 200 / 2 * 5 * MIB; /* by something else, up to 500 MiB */

    for (size_t i = 0; i < GUESTS; i++)
        held += house.guests[i].host.resident_bytes;
    house.host.seen = (struct obs_host){.time_usec = now, .total_bytes = 8192 * MIB,
                                        .available_bytes = 7500 * MIB > held + eaten ? 7500 * MIB - held - eaten : 0};
    (void)decide(&house.host, house.list, GUESTS, why, now, &scratch);
    house.digest = record_digest_number(house.digest, record_answer(&house.host, guests, GUESTS));
    if (house.record)
        record_print_decide(house.record, why, now, &house.host, false, guests, house.ids, GUESTS);
    for (size_t i = 0; i < GUESTS; i++) {
        const struct guest_verdict *v = &house.guests[i].verdict;
        struct input in = {.kind = INPUT_ORDERED, .now_usec = now, .target_kib = v->order_kib};
        if (v->order != GUEST_ORDER_NONE)
            put(i, &in);
    }
}

static void house_run(uint64_t from_sec, uint64_t to_sec)
{
    for (uint64_t second = from_sec; second < to_sec; second++) {
        uint64_t now = START + second * SEC;
        struct input reset = {.kind = INPUT_RESET, .now_usec = now};

        for (size_t i = 0; i < GUESTS; i++)
            house_samples(i, now);
        if (second % 90 == 50)
            put(9, &reset);
        house_decide(DECIDE_TICK, now + 100000);
        house_decide(DECIDE_EVENT, now + 150000);
    }
}

/* ---- tests ---- */

/* Change a rule or a constant of the core, and this fails: raise POLICY_VERSION (policy_defaults.h) and put its digest here.
 * Records of before then say under which rules they were made. */
static void changed_rules_have_a_new_version(void **state)
{
    static const uint64_t digests[] = {[1] = 0xbbcff84a32ff02b, [2] = 0xe4f78004d4e66c6e};

    (void)state;
    house_build(1);
    house_build(1);
    house_run(0, 600);
    if (POLICY_VERSION >= sizeof(digests) / sizeof(digests[0]) || digests[POLICY_VERSION] != house.digest)
        fail_msg("the rules decide otherwise than those of version %d did: raise POLICY_VERSION and put 0x%llx here",
                 POLICY_VERSION, (unsigned long long)house.digest);
}

static void state_print(struct wire_text *t)
{
    struct record_start start = {.record = RECORD_VERSION, .policy_version = POLICY_VERSION, .config_hash = "00",
                                 .version = "0", .host_name = "h", .wall_sec = 5, .now_usec = START};
    char name[16];

    record_print_start(t, &start);
    record_print_host(t, &house.host);
    for (size_t i = 0; i < GUESTS; i++) {
        (void)snprintf(name, sizeof(name), "guest%02zu", i);
        record_print_guest(t, (uint32_t)i, name, name, &house.guests[i]);
    }
    record_print_begin(t, GUESTS);
}

static void what_is_written_reads_the_same(void **state)
{
    static struct record_line line;
    struct err e = {0};

    (void)state;
    house_build(2);
    house_run(0, 120);
    for (size_t i = 0; i < GUESTS; i++) {
        struct wire_text t = {0};

        record_print_guest(&t, 7, "a \"name\"", "id", &house.guests[i]);
        assert_int_equal(record_line_parse(t.data, t.length - 1, &line, &e), 0);
        assert_int_equal(line.kind, RECORD_GUEST);
        assert_int_equal(line.guest, 7);
        assert_string_equal(line.name, "a \"name\"");
        assert_memory_equal(&line.state, &house.guests[i], sizeof(struct guest));
        record_line_done(&line);
        wire_text_done(&t);
    }
}

/* Feeds all lines; returns the code of the first that fails, or 0. */
static int replay_all(const struct wire_text *t, struct replay **ret, struct err *e)
{
    int code = replay_new(ret, e);

    for (const char *line = t->data, *end; code >= 0 && (end = strchr(line, '\n')); line = end + 1)
        code = replay_line(*ret, line, (size_t)(end - line), e);
    return code;
}

static void a_record_replays_and_a_changed_one_does_not(void **state)
{
    struct wire_text t = {0};
    struct replay *r = NULL;
    struct err e = {0};

    (void)state;
    house_build(3);
    house_run(0, 60);
    house.record = &t;
    state_print(&t);
    house_run(60, 120);
    record_print_vanished(&t, 11, START + 200 * SEC);
    record_print_config(&t, "11");
    record_print_end(&t, "asked", 120);
    assert_int_equal(replay_all(&t, &r, &e), 0);
    assert_int_equal(replay_report(r)->decisions, 120);
    assert_int_equal(replay_report(r)->differ, 0);
    assert_int_equal(replay_report(r)->guests, GUESTS);
    assert_true(replay_report(r)->ended);
    assert_string_equal(replay_report(r)->config_hash, "11");
    if (replay_report(r)->orders < 50)
        fail_msg("only %llu orders", (unsigned long long)replay_report(r)->orders);
    r = replay_free(r);

    char *at = strstr(t.data, "\"orders\":[["); /* the first order: another target */
    assert_non_null(at);
    at = strchr(at, ',') + 3;
    *at = *at == '9' ? '8' : '9';
    assert_int_equal(replay_all(&t, &r, &e), 0);
    assert_int_equal(replay_report(r)->differ, 1);
    assert_false(replay_report(r)->first.numbers_only);
    assert_true(replay_report(r)->first.guest[0] && replay_report(r)->first.inputs.length > 0);
    assert_int_not_equal(replay_report(r)->first.recorded.order_kib, replay_report(r)->first.replayed.order_kib);
    r = replay_free(r);
    wire_text_done(&t);
}

static const struct {
    const char *line, *says;
} bad_lines[] = {
    {"", "nothing"},
    {"{", "too early"},
    {"[]", "no line of a record"},
    {"{\"x\":1}", "no line of a record"},
    {"{\"record\":2}", "version 2"},
    {"{\"record\":1}", "policy_version"},
    {"{\"record\":-1}", "'record'"},
    {"{\"host\":1}", "'config' is missing"},
    {"{\"host\":1,\"config\":{\"memory_kib\":1}}", "'reserve_kib' is missing"},
    {"{\"guest\":16384,\"name\":\"a\"}", "the most is 16383"},
    {"{\"guest\":1,\"name\":2}", "'name' should be a text"},
    {"{\"begin\":99999999}", "the most is"},
    {"{\"input\":\"grows\",\"guest\":1,\"at\":1}", "there is no input 'grows'"},
    {"{\"input\":\"reset\",\"guest\":1}", "'at'"},
    {"{\"input\":\"held\",\"guest\":1,\"at\":1,\"data\":{\"hold\":77}}", "stands for nothing"},
    {"{\"input\":\"ordered\",\"guest\":1,\"at\":1,\"data\":{\"target_kib\":18446744073709551614}}", "too large"},
    {"{\"input\":\"host_view\",\"guest\":1,\"at\":1,\"data\":{\"time_usec\":1,\"resident_bytes\":1,\"swapped_bytes\":1,"
     "\"overhead_bytes\":9223372036854775807,\"disk_read_bytes\":1}}", "overhead_bytes"},
    {"{\"decide\":\"now\"}", "tick or event"},
    {"{\"decide\":\"tick\",\"at\":1,\"number\":1}", "'seen' is missing"},
    {"{\"decide\":\"tick\",\"at\":1,\"number\":1,\"seen\":{\"time_usec\":1,\"total_bytes\":1,\"available_bytes\":1,"
     "\"arc_bytes\":1,\"psi_some_usec\":null},\"orders\":[[1,2]],\"digests\":\"\",\"answer\":\"\"}", "4 numbers"},
    {"{\"decide\":\"tick\",\"at\":1,\"number\":1,\"seen\":{\"time_usec\":1,\"total_bytes\":1,\"available_bytes\":1,"
     "\"arc_bytes\":1,\"psi_some_usec\":null},\"orders\":[],\"digests\":\"123\",\"answer\":\"0123456789abcdef\"}",
     "8 digits"},
    {"{\"vanished\":\"web1\",\"at\":1}", "'vanished'"},
    {"{\"end\":3}", "'end' should be a text"},
};

static void bad_lines_are_refused_with_a_reason(void **state)
{
    static struct record_line line;

    (void)state;
    for (size_t i = 0; i < sizeof(bad_lines) / sizeof(bad_lines[0]); i++) {
        struct err e = {0};

        assert_int_equal(record_line_parse(bad_lines[i].line, strlen(bad_lines[i].line), &line, &e), -EBADMSG);
        if (!strstr(e.text, bad_lines[i].says))
            fail_msg("'%s' is refused as '%s'", bad_lines[i].line, e.text);
        record_line_done(&line);
    }
}

#define START_LINE                                                                                                     \
    "{\"record\":1,\"policy_version\":1,\"config_hash\":\"\",\"version\":\"\",\"host_name\":\"\",\"wall_sec\":0,\"now_usec\":0}\n"

static void lines_in_the_wrong_place_are_refused(void **state)
{
    static const char *const lines[] = {
        "{\"begin\":0}\n",
        (START_LINE START_LINE),
        "{\"end\":\"x\",\"decisions\":0}\n",
    };
    struct wire_text t = {0};
    struct replay *r = NULL;
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        wire_text_adds(&t, lines[i]);
        assert_int_equal(replay_all(&t, &r, &e), -EBADMSG);
        assert_non_null(strstr(e.text, "line "));
        t.length = 0;
        r = replay_free(r);
    }
    house_build(4);
    house.record = &t;
    state_print(&t);
    house_run(0, 1);
    record_print_vanished(&t, 500, START + 200 * SEC); /* nobody */
    assert_int_equal(replay_all(&t, &r, &e), -EBADMSG);
    assert_non_null(strstr(e.text, "no guest 500"));
    r = replay_free(r);
    wire_text_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_field_is_forgotten),
        cmocka_unit_test(changed_rules_have_a_new_version),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(a_record_replays_and_a_changed_one_does_not),
        cmocka_unit_test(bad_lines_are_refused_with_a_reason),
        cmocka_unit_test(lines_in_the_wrong_place_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
