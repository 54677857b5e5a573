/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "config_keys.h"
#include "policy_defaults.h"

#define MIB_KIB 1024ULL
#define GIB_KIB (1024 * MIB_KIB)
#define HOST_16 (16ULL << 30)

/* Parses text that must be right; warnings are the test's business. */
static struct config *parse(const char *text, uint64_t host)
{
    struct config_list problems;
    struct config *c = NULL;
    struct err e = {0};

    if (config_parse(text, strlen(text), "test.yaml", host, &c, &problems, &e) < 0)
        fail_msg("'%s': %s", text, e.text);
    assert_int_equal(problems.count, 0);
    return c;
}

static void everything_is_optional(void **state)
{
    static const char *const texts[] = {"", "# nothing\n", "---\n", "{}", "host:\nguests:\ndiscover:\ndefaults:\n", "~\n",
                                        "guests: {web1: , \"web*\": ~}"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        AUTO(config) struct config *c = parse(texts[i], HOST_16);
        struct guest_config g;

        config_guest(c, "web1", &g);
        assert_int_equal(g.startup_kib, 0);
        assert_int_equal(g.minimum_kib, 0);
        assert_int_equal(g.maximum_kib, 0);
        assert_int_equal(g.buffer, 2000);
        assert_int_equal(g.buffer_of, BUFFER_OF_DEMAND);
        assert_int_equal(g.demand, DEMAND_USED);
        assert_int_equal(g.priority, 5000);
        assert_int_equal(g.mode, GUEST_MODE_AUTO);
        assert_int_equal(g.reclaim, GUEST_RECLAIM_EAGER);
        assert_int_equal(g.self_managing, GUEST_CHOICE_AUTO);
        assert_int_equal(g.tax_ppm, 750000);
        assert_false(g.band);
        assert_int_equal(c->host.memory_kib, 0);
        assert_int_equal(c->host.reserve_kib, GIB_KIB);
        assert_int_equal(c->host.overcommit_permille, 1000);
        assert_int_equal(c->qmp_directory_count, 1);
        assert_int_equal(c->socket_count, 0);
        assert_int_equal(c->warnings.count, 0);
        assert_true(c->is_file);
        assert_string_equal(config_guest_owner(c, "web1"), "");
    }
}

static void every_key_is_read(void **state)
{
    AUTO(config) struct config *c = parse(
        "host:\n  memory: 8 GiB\n  reserve: 10 %\n  overcommit: 1.25\n  spread: yes\n"
        "discover:\n  - qmp-directory: /a/b\n  - {access: share, qmp-directory: /c}\n"
        "defaults: {mode: watch, owner: shop, buffer: 12.5 %}\n"
        "guests:\n"
        "  db1:\n"
        "    startup: 512 MiB\n    minimum: 256MiB\n    maximum: 64 GiB\n    buffer: 25 %\n    buffer-of: total\n"
        "    demand: committed\n    priority: 10000\n    mode: fixed\n    reclaim: lazy\n    band: history\n"
        "    self-managing: yes\n    idle-tax: 12.34 %\n    owner: acme\n    qmp: /run/db1.sock\n    access: own\n    agent: /run/db1.port\n"
        "  db2: {access: share}\n",
        HOST_16);
    struct guest_config g;

    (void)state;
    assert_int_equal(c->host.memory_kib, 8 * GIB_KIB);
    assert_int_equal(c->host.reserve_kib, 8 * GIB_KIB / 10);
    assert_int_equal(c->host.overcommit_permille, 1250);
    assert_true(c->host.spread);
    assert_int_equal(c->qmp_directory_count, 2);
    assert_string_equal(c->qmp_directories[0], "/a/b");
    assert_string_equal(c->qmp_directories[1], "/c");
    assert_true(!c->qmp_directories_shared[0] && c->qmp_directories_shared[1]);
    config_guest(c, "db1", &g);
    assert_int_equal(g.startup_kib, 512 * MIB_KIB);
    assert_int_equal(g.minimum_kib, 256 * MIB_KIB);
    assert_int_equal(g.maximum_kib, 64 * GIB_KIB);
    assert_int_equal(g.buffer, 2500);
    assert_int_equal(g.buffer_of, BUFFER_OF_TOTAL);
    assert_int_equal(g.demand, DEMAND_COMMITTED);
    assert_int_equal(g.priority, 10000);
    assert_int_equal(g.mode, GUEST_MODE_FIXED);
    assert_int_equal(g.reclaim, GUEST_RECLAIM_LAZY);
    assert_true(g.band);
    assert_int_equal(g.self_managing, GUEST_CHOICE_YES);
    assert_int_equal(g.tax_ppm, 123400);
    assert_string_equal(config_guest_owner(c, "db1"), "acme");
    assert_int_equal(c->socket_count, 2);
    assert_string_equal(c->sockets[0].name, "db1");
    assert_string_equal(c->sockets[0].path, "/run/db1.sock");
    assert_string_equal(c->sockets[0].agent, "/run/db1.port");
    assert_true(c->sockets[0].has_access && !c->sockets[0].is_shared);
    assert_string_equal(c->sockets[1].name, "db2");
    assert_true(!c->sockets[1].path && !c->sockets[1].agent && c->sockets[1].has_access && c->sockets[1].is_shared);
    config_guest(c, "other", &g);
    assert_int_equal(g.mode, GUEST_MODE_WATCH);
    assert_int_equal(g.buffer, 1250);
    assert_string_equal(config_guest_owner(c, "other"), "shop");
}

/* Names before patterns; more literal characters before fewer; fewer stars before more; first before later. */
static void the_most_specific_entry_wins(void **state)
{
    static const char text[] = "guests:\n"
                               "  \"*\": {priority: 1}\n"
                               "  \"web*\": {priority: 2}\n"
                               "  \"web-??\": {priority: 3}\n"
                               "  \"w*e*b*-*\": {priority: 4}\n"
                               "  web-01: {priority: 5}\n"
                               "  \"[dD]b*\": {priority: 6}\n"
                               "  \"?b*\": {priority: 7}\n"
                               "  \"*-prod\": {priority: 8}\n"
                               "  \"[]x]y\": {priority: 9}\n"
                               "  \"a?\": {priority: 10}\n"
                               "  \"?c\": {priority: 11}\n";
    static const struct {
        const char *name;
        uint32_t priority;
        const char *entry;
    } cases[] = {
        {"x", 1, "*"},           {"web", 2, "web*"},       {"web-2", 4, "w*e*b*-*"}, {"web-02", 3, "web-??"},
        {"web-01", 5, "web-01"}, {"db1", 6, "[dD]b*"},     {"Db1", 6, "[dD]b*"},     {"xb1", 7, "?b*"},
        {"xprod", 1, "*"},       {"x-prod", 8, "*-prod"},  {"web-prod", 8, "*-prod"}, {"]y", 9, "[]x]y"},
        {"ac", 10, "a?"},        {"bc", 11, "?c"},         {"WEB-01", 1, "*"},       {"", 1, "*"},
    };
    AUTO(config) struct config *c = parse(text, HOST_16);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct guest_config g;

        config_guest(c, cases[i].name, &g);
        if (g.priority != cases[i].priority)
            fail_msg("'%s' has priority %u", cases[i].name, g.priority);
        assert_string_equal(config_guest_entry(c, cases[i].name), cases[i].entry);
    }
    AUTO(config) struct config *none = parse("guests: {a: }", HOST_16);
    assert_null(config_guest_entry(none, "b"));
    assert_string_equal(config_guest_entry(none, "a"), "a");
}

static void only_one_entry_holds(void **state)
{
    AUTO(config) struct config *c = parse("guests: {\"web*\": {priority: 2, mode: watch}, web1: {mode: fixed}}", HOST_16);
    struct guest_config g;

    (void)state;
    config_guest(c, "web1", &g);
    assert_int_equal(g.mode, GUEST_MODE_FIXED);
    assert_int_equal(g.priority, 5000); /* entries do not add up */
}

static void the_reserve_has_a_default(void **state)
{
    static const struct {
        const char *text;
        uint64_t host_bytes, memory_kib, reserve_kib;
    } cases[] = {
        {"", 16ULL << 30, 0, GIB_KIB},                                           /* real: at least 1 GiB */
        {"", 100ULL << 30, 0, 5 * GIB_KIB},                                      /* real: 5 % */
        {"", 1ULL << 30, 0, GIB_KIB / 2},                                        /* real, tiny: half */
        {"host: {memory: 2 GiB}", 16ULL << 30, 2 * GIB_KIB, 2 * GIB_KIB / 20},   /* pretended: 5 % */
        {"host: {memory: 16 GiB}", 16ULL << 30, 16 * GIB_KIB, GIB_KIB},          /* all of it: not pretended */
        {"host: {memory: 32 GiB}", 16ULL << 30, 0, GIB_KIB},                     /* more than there is: what there is */
        {"host: {reserve: 10 %}", 10ULL << 30, 0, GIB_KIB},
        {"host: {reserve: 33.33 %}", 10000ULL << 10, 0, 3333},
        {"host: {reserve: 10 %, memory: 1 GiB}", 16ULL << 30, GIB_KIB, GIB_KIB / 10},
        {"host: {reserve: 3 GiB}", 16ULL << 30, 0, 3 * GIB_KIB},
        {"host: {reserve: 2 MB}", 16ULL << 30, 0, 1953},                         /* whole KiB, rounded down */
        {"host: {reserve: 0 MiB, memory: 1 GiB}", 16ULL << 30, GIB_KIB, 0},
        {"host: {reserve: 0 %}", 16ULL << 30, 0, 0},
        {"host: {reserve: 3 GiB}", 0, 0, 3 * GIB_KIB},                           /* host not known */
        {"host: {memory: 64 TiB}", 64ULL << 40, 64 * 1024 * GIB_KIB, 64 * 1024 * GIB_KIB / 20},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(config) struct config *c = parse(cases[i].text, cases[i].host_bytes);

        assert_int_equal(c->host.memory_kib, cases[i].memory_kib);
        assert_int_equal(c->host.reserve_kib, cases[i].reserve_kib);
    }
}

static void what_fits_is_taken(void **state)
{
    static const char *const texts[] = {
        "guests: {a: {minimum: 15 GiB}}", /* to the last KiB beside the reserve of 1 GiB */
        "guests: {a: {maximum: 64 TiB, minimum: 1 GiB}}",
        "guests: {\"a*\": {minimum: 12 GiB}, \"b*\": {minimum: 12 GiB}}", /* how many guests fit a pattern is not known */
        "host: {overcommit: 2.0}\nguests: {a: {minimum: 15 GiB}, b: {minimum: 15 GiB}}",
        "guests: {a: {minimum: 1 GiB, startup: 1 GiB, maximum: 1 GiB}}",
        "guests: {a: {buffer: 90 %, buffer-of: total}, b: {buffer: 200 %}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        (void)config_free(parse(texts[i], HOST_16));
    AUTO(config) struct config *c = parse("guests: {a: &one {priority: 3}, b: *one}", HOST_16);
    struct guest_config g;
    config_guest(c, "b", &g);
    assert_int_equal(g.priority, 3);
}

/* Same decisions, same hash: however written. Anything that bears on a decision changes it. */
static void the_hash_follows_the_meaning(void **state)
{
    static const char base[] = "host: {memory: 8 GiB}\nguests: {a: {minimum: 1 GiB}, b: {priority: 1}, \"c*\": {mode: watch}}\n";
    static const char *const same[] = {
        "guests:\n  b:\n    priority: 1\n  \"c*\": {mode: watch}\n  a: {minimum: 1024MiB} # comment\nhost:\n  memory: 8192 MiB\n",
        "meter: {}\nhost: {memory: 8 GiB, overcommit: 1}\nguests: {a: {minimum: 1 GiB}, b: {priority: 1}, 'c*': {mode: watch}}\n",
    };
    static const char *const others[] = {
        "host: {memory: 8 GiB}\nguests: {a: {minimum: 1 GiB}, b: {priority: 1}, \"c*\": {mode: auto}}\n",
        "host: {memory: 8 GiB}\nguests: {a: {minimum: 2 GiB}, b: {priority: 1}, \"c*\": {mode: watch}}\n",
        "host: {memory: 8 GiB}\nguests: {a: {maximum: 1 GiB}, b: {priority: 1}, \"c*\": {mode: watch}}\n",
        "host: {memory: 8 GiB}\nguests: {aa: {minimum: 1 GiB}, b: {priority: 1}, \"c*\": {mode: watch}}\n",
        "host: {memory: 8 GiB, spread: yes}\nguests: {a: {minimum: 1 GiB}, b: {priority: 1}, \"c*\": {mode: watch}}\n",
        "host: {memory: 9 GiB}\nguests: {a: {minimum: 1 GiB}, b: {priority: 1}, \"c*\": {mode: watch}}\n",
        "host: {memory: 8 GiB}\ndefaults: {owner: x}\nguests: {a: {minimum: 1 GiB}, b: {priority: 1}, \"c*\": {mode: watch}}\n",
        "host: {memory: 8 GiB, reserve: 1 GiB}\nguests: {a: {minimum: 1 GiB}, b: {priority: 1}, \"c*\": {mode: watch}}\n",
        "host: {memory: 8 GiB}\nguests: {a: {minimum: 1 GiB, qmp: /x}, b: {priority: 1}, \"c*\": {mode: watch}}\n",
    };
    AUTO(config) struct config *c = parse(base, HOST_16);

    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        AUTO(config) struct config *d = parse(same[i], HOST_16);
        assert_int_equal(c->hash, d->hash);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        AUTO(config) struct config *d = parse(others[i], HOST_16);
        assert_int_not_equal(c->hash, d->hash);
    }
}

/* The table itself: each id once, ranges and defaults that its own parser takes. */
static void the_table_is_sound(void **state)
{
    static const unsigned counts[CONFIG_SECTION_COUNT] = {CONFIG_HOST_KEYS, CONFIG_DISCOVER_KEYS, CONFIG_GUEST_KEYS,
                                                          CONFIG_NOTIFY_KEYS, CONFIG_BACKUP_KEYS, CONFIG_SCHEDULE_KEYS,
                                                          CONFIG_KEEP_KEYS, CONFIG_API_KEYS};
    size_t total = 0;
    char text[CONFIG_KEY_TEXT_SIZE];

    (void)state;
    for (unsigned section = 0; section < CONFIG_SECTION_COUNT; section++) {
        total += counts[section];
        for (unsigned id = 0; id < counts[section]; id++)
            assert_int_equal(config_key_get((enum config_section)section, id)->id, id);
    }
    assert_int_equal(config_key_count, total);
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *k = &config_keys[i];
        struct err e = {0};
        uint64_t value;
        bool is_share;

        assert_ptr_equal(config_key_find(k->section, k->name, strlen(k->name)), k);
        assert_true(strlen(config_allowed_text(k, text)) > 0);
        assert_true(strlen(text) < CONFIG_KEY_TEXT_SIZE - 1);
        assert_true(k->help[strlen(k->help) - 1] == '.');
        assert_true(k->min <= k->max && k->share_min <= k->share_max);
        assert_true(strlen(config_fallback_text(k, text)) > 0);
        if (!k->fallback_text) {
            assert_int_equal(config_value_parse(k, text, strlen(text), &value, &is_share, &e), 0);
            assert_int_equal(value, k->fallback);
        }
        for (const struct config_choice *o = k->choices; o && o->name; o++) {
            assert_int_equal(config_value_parse(k, o->name, strlen(o->name), &value, &is_share, &e), 0);
            assert_int_equal(value, o->value);
        }
    }
}

static void schedules_are_read(void **state)
{
    static const char text[] = "backup:\n  repository: /srv/b\n  quiet-hours: 08:00-18:00\n  concurrency: 3\n  schedules:\n"
                               "  - {guests: \"web*\", at: daily, keep: {last: 3, daily: 7, weekly: 4}}\n"
                               "  - guests: db\n    at: Mon..Fri *:0/15\n    max-age: 1 h\n";
    struct config_list problems;
    AUTO(config) struct config *c = NULL;
    struct err e = {0};

    (void)state;
    assert_int_equal(config_parse(text, sizeof(text) - 1, "t.yaml", 16ULL << 30, &c, &problems, &e), 0);
    assert_int_equal(c->warnings.count, 0);
    assert_int_equal(c->backup.quiet_from_min, 8 * 60);
    assert_int_equal(c->backup.quiet_to_min, 18 * 60);
    assert_int_equal(c->backup.concurrency, 3);
    assert_int_equal(c->backup.schedule_count, 2);
    const struct config_schedule *s = c->backup.schedules;
    assert_string_equal(s[0].guests, "web*");
    assert_string_equal(s[0].at_text, "daily");
    assert_true(s[0].keeps);
    assert_int_equal(s[0].keep[CONFIG_KEEP_LAST], 3);
    assert_int_equal(s[0].keep[CONFIG_KEEP_HOURLY], 0);
    assert_int_equal(s[0].keep[CONFIG_KEEP_WEEKLY], 4);
    assert_int_equal(s[0].max_age_usec, 0);
    assert_int_equal(s[1].at.weekdays, 0x3e);
    assert_int_equal(s[1].at.minutes, 1 | 1ULL << 15 | 1ULL << 30 | 1ULL << 45);
    assert_false(s[1].keeps);
    assert_int_equal(s[1].max_age_usec, 3600000000ULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_are_read),
        cmocka_unit_test(everything_is_optional),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(the_most_specific_entry_wins),
        cmocka_unit_test(only_one_entry_holds),
        cmocka_unit_test(the_reserve_has_a_default),
        cmocka_unit_test(what_fits_is_taken),
        cmocka_unit_test(the_hash_follows_the_meaning),
        cmocka_unit_test(the_table_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
