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
        "discover:\n  - qmp-directory: /a/b\n  - {qmp-directory: /c, access: own}\n"
        "defaults: {mode: watch, owner: shop, buffer: 12.5 %}\n"
        "guests:\n"
        "  db1:\n"
        "    startup: 512 MiB\n    minimum: 256MiB\n    maximum: 64 GiB\n    buffer: 25 %\n    buffer-of: total\n"
        "    demand: committed\n    priority: 10000\n    mode: fixed\n    reclaim: lazy\n    band: history\n"
        "    self-managing: yes\n    idle-tax: 12.34 %\n    owner: acme\n    qmp: /run/db1.sock\n",
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
    assert_int_equal(c->socket_count, 1);
    assert_string_equal(c->sockets[0].name, "db1");
    assert_string_equal(c->sockets[0].path, "/run/db1.sock");
    config_guest(c, "other", &g);
    assert_int_equal(g.mode, GUEST_MODE_WATCH);
    assert_int_equal(g.buffer, 1250);
    assert_string_equal(config_guest_owner(c, "other"), "shop");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_optional),
        cmocka_unit_test(every_key_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
