/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "config_keys.h"
#include "own.h"

#define HOST_16 (16ULL << 30)

/* A wrong configuration gives one sentence: this one, whole where it begins with the file's name, else a piece of it. */
struct bad_case {
    const char *text;
    const char *sentence;
    size_t problems; /* in all */
};

static const struct bad_case bad_cases[] = {
    /* sizes */
    {"host: {reserve: 4}",
     "t.yaml:1:17: key 'host.reserve': '4' has no unit: write a size with KiB, MiB, GiB, TiB, kB, MB, GB or TB, such as "
     "'4 GiB' (allowed is 0 MiB to 64 TiB, or 0 % to 90 %)", 1},
    {"host:\n  memory: -5\n",
     "t.yaml:2:11: key 'host.memory': '-5' is negative, which a size can't be: write a number and a unit, such as "
     "'4 GiB' (allowed is 64 MiB to 64 TiB)", 1},
    {"host: {memory: 0x10}", "'0x10' is not a decimal number", 1},
    {"host: {memory: 1 MiB}", "'1 MiB' is too small: allowed is 64 MiB to 64 TiB", 1},
    {"host: {memory: 65 TiB}", "'65 TiB' is too large: allowed is 64 MiB to 64 TiB", 1},
    {"host: {memory: 10 %}", "unknown unit '%'", 1},
    {"host: {memory: }", "nothing is written here", 1},
    {"host: {memory: [4 GiB]}", "key 'host.memory' has a list, but takes one value: 64 MiB to 64 TiB", 1},
    {"host: {memory: {a: b}}", "has a group of keys, but takes one value", 1},
    {"host: {reserve: 95 %}", "'95 %' is too large: allowed is 0 MiB to 64 TiB, or 0 % to 90 %", 1},
    {"guests: {a: {minimum: 0 MiB}}", "key 'guests.a.minimum': '0 MiB' is too small: allowed is 1 MiB to 64 TiB", 1},
    {"guests: {a: {minimum: 4 G}}", "write 'GiB' (powers of 1024) or 'GB' (powers of 1000)", 1},
    {"guests: {a: {minimum: 18446744073709551615 TiB}}", "more digits", 1},
    /* other values */
    {"host: {overcommit: 0.5}", "'0.5' is too small: allowed is 1.0 to 10.0", 1},
    {"host: {overcommit: 11}", "too large: allowed is 1.0 to 10.0", 1},
    {"host: {overcommit: 1.0001}", "more decimals than are counted here (3): write fewer (allowed is 1.0 to 10.0)", 1},
    {"host: {spread: perhaps}", "'perhaps' is not one of its values: allowed is no or yes", 1},
    {"defaults: {mode: automatic}", "'automatic' is not one of its values: allowed is auto, watch, fixed or off", 1},
    {"defaults: {priority: 0}", "'0' is too small: allowed is 1 to 10000", 1},
    {"defaults: {priority: 10001}", "'10001' is too large: allowed is 1 to 10000", 1},
    {"defaults: {priority: high}", "'high' is not a number: write digits only, such as '5000' (allowed is 1 to 10000)", 1},
    {"defaults: {buffer: 0.2}", "'0.2' has no unit: write a share with %, such as '20 %' (allowed is 0 % to 200 %)", 1},
    {"defaults: {buffer: 201 %}", "'201 %' is too large: allowed is 0 % to 200 %", 1},
    {"defaults: {idle-tax: 100 %}", "allowed is 0 % to 99.99 %", 1},
    {"defaults: {owner: \"\"}", "nothing is written here: allowed is one line of at most 63 bytes", 1},
    {"defaults: {owner: \"a\\nb\"}", "'a?b' is not one line of printable text", 1},
    {"guests: {a: {qmp: run/a.sock}}", "'run/a.sock' is not an absolute path: begin it with '/'", 1},
    {"guests: {a: {qmp: /0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456"
     "7890123456}}", "too long: allowed is an absolute path of at most 107 bytes", 1},
    /* keys */
    {"host: {reserv: 2 GiB}", "t.yaml:1:8: unknown key 'host.reserv': did you mean 'reserve'?", 1},
    {"host: {ballon: 2 GiB}", "unknown key 'host.ballon': known here are memory reserve overcommit spread", 1},
    {"guests: {a: {Minimum: 2 GiB}}", "unknown key 'guests.a.Minimum': did you mean 'minimum'?", 1},
    {"guests: {a: {buffer_of: total}}", "did you mean 'buffer-of'?", 1},
    {"guests: {a: {maxxxxmum: 1}}", "unknown key 'guests.a.maxxxxmum': known here are startup", 1}, /* too far off */
    {"guest: {}", "t.yaml:1:1: unknown key 'guest': did you mean 'guests'?", 1},
    {"backup: {schedules: {}}", "'backup.schedules' has a group of keys, but needs a list: begin each entry with '- '", 1},
    {"backup: {schedules: [daily]}", "'backup.schedules' has one value, but needs in each entry keys such as", 1},
    {"backup: {schedules: [{at: daily}]}", "t.yaml:1:22: an entry of 'backup.schedules' lacks 'guests'", 1},
    {"backup: {schedules: [{guests: a}]}", "lacks 'at': write for example {guests: \"web*\", at: daily}", 1},
    {"backup: {schedules: [{guests: a, at: dayly}]}", "key 'backup.schedules.at': 'dayly' is not a weekday", 1},
    {"backup: {schedules: [{guest: a, at: daily}]}", "unknown key 'backup.schedules.guest': did you mean 'guests'?", 1},
    {"backup: {schedules: [{guests: a, at: daily, keep: 3}]}", "'backup.schedules.keep' has one value, but needs counts", 1},
    {"backup: {schedules: [{guests: a, at: daily, keep: {dayly: 3}}]}", "did you mean 'daily'?", 1},
    {"backup: {schedules: [{guests: a, at: daily, keep: {daily: -3}}]}", "key 'backup.schedules.keep.daily': '-3'", 1},
    {"backup: {quiet-hours: 8-17}", "key 'backup.quiet-hours': '8-17' is not a time of the day", 1},
    {"backup: {concurrency: 0}", "key 'backup.concurrency': '0' is too small", 1},
    {"x: {}", "unknown key 'x': known here are host, discover, defaults, guests, backup, notify and api", 1},
    {"\"a\\e[2J\": {}", "unknown key 'a?[2J'", 1},
    {"host: {reserve: 2 GiB, reserve: 3 GiB}", "t.yaml:1:24: key 'host.reserve' is written twice, first in line 1", 1},
    {"guests:\n  a: {priority: 1}\n  b:\n  a: {}\n", "t.yaml:4:3: key 'guests.a' is written twice, first in line 2: keep one",
     1},
    {"host:\nhost:\n", "key 'host' is written twice", 1},
    {"guests: {a: {priority: 1, priority: 1, priority: 1}}", "key 'guests.a.priority' is written twice", 2},
    {"? [a]\n: b\n", "a list stands where a key's name is needed", 1},
    {"? {a: b}\n: b\n", "a group of keys stands where a key's name is needed", 1},
    {"\"\": b", "nothing stands where a key's name is needed", 1},
    {"defaults: {qmp: /a}", "key 'defaults.qmp' belongs to one guest", 1},
    {"guests: {\"a*\": {qmp: /a}}", "key 'guests.a*.qmp' belongs to one guest", 1},
    /* shapes */
    {"20 %", "the file is one value", 1},
    {"- a", "the file is a list", 1},
    {"host: 4 GiB", "'host' has one value, but needs keys such as", 1},
    {"notify: x", "'notify' has one value, but needs keys such as 'command: /etc/ballast/notify'", 1},
    {"notify: {comand: /x}", "t.yaml:1:10: unknown key 'notify.comand': did you mean 'command'?", 1},
    {"notify: {command: notify}", "'notify' is not an absolute path: begin it with '/'", 1},
    {"notify: {timeout: 5}", "(allowed is 1 s to 10 min)", 1},
    {"notify: {timeout: 11 min}", "'11 min' is too large: allowed is 1 s to 10 min", 1},
    {"notify: {stuck-after: 10 ms}", "'10 ms' is too small: allowed is 1 s to 7 d", 1},
    {"host: []", "'host' has a list, but needs keys such as", 1},
    {"guests: [a]", "'guests' has a list, but needs an entry for each guest", 1},
    {"guests: {a: 4 GiB}", "'guests.a' has one value, but needs keys such as 'minimum: 512 MiB'", 1},
    {"discover: /a", "'discover' has one value, but needs a list: begin each entry with '- '", 1},
    {"discover: [/a]", "an entry of 'discover' is one value, but must say what it is", 1},
    {"discover: [{qmp-directory: /a, xen: true}]", "has 2 sources, but needs exactly one", 1},
    {"discover: [{access: own}]", "has 0 sources", 1},
    {"discover: [{}]", "has 0 sources", 1},
    {"discover: [{qmp-directory: a}]", "'a' is not an absolute path", 1},
    {"discover: [{qmp-directory: /a}, {qmp-directory: /a}]", "'/a' is listed twice", 1},
    {"discover: [{qmp-directory: /a, access: both}]", "'both' is not one of its values: allowed is own or share", 1},
    {"discover: [{xen: true, access: share}]", "t.yaml:1:24: key 'discover.access' belongs to a qmp-directory", 1},
    {"guests: {\"a*\": {access: share}}", "key 'guests.a*.access' belongs to one guest", 1},
    {"defaults: {agent: /a}", "key 'defaults.agent' belongs to one guest", 1},
    {"guests: {a: {agent: b}}", "'b' is not an absolute path", 1},
    {"discover: [{x: y}]", "unknown key 'discover.x': known here are qmp-directory access libvirt xen", 1},
    /* names */
    {"guests: {a/b: }", "'a/b' can't be the name of a guest", 1},
    {"guests: {.a: }", "'.a' can't be the name of a guest", 1},
    {"guests: {\"a b\": }", "'a b' can't be the name of a guest", 1},
    {"guests: {\"a\\0b\": }", "'a?b' can't be the name of a guest", 1},
    {"guests: {0123456789012345678901234567890123456789012345678901234567890123: }", "can't be the name of a guest", 1},
    {"guests: {\"*a*a*a*a*a*a*a*a*\": }", "has more than 8 '*'", 1},
    /* values against each other and against the host */
    {"guests: {a: {minimum: 2 GiB, maximum: 1 GiB}}",
     "t.yaml:1:23: guest 'a': minimum 2 GiB is larger than maximum 1 GiB: raise the one or lower the other", 1},
    {"defaults: {maximum: 1 GiB}\nguests: {a: {minimum: 2 GiB}}",
     "t.yaml:2:23: guest 'a': minimum 2 GiB is larger than maximum 1 GiB of 'defaults'", 1},
    {"defaults: {minimum: 2 GiB}\nguests: {a: {maximum: 1 GiB}}",
     "t.yaml:2:23: guest 'a': minimum 2 GiB of 'defaults' is larger than maximum 1 GiB", 1},
    {"defaults: {minimum: 2 GiB, maximum: 1 GiB}\nguests: {a: {priority: 1}}",
     "'defaults': minimum 2 GiB is larger than maximum 1 GiB", 1},
    {"guests: {a: {startup: 1 GiB, minimum: 2 GiB}}", "minimum 2 GiB is larger than startup 1 GiB", 1},
    {"guests: {a: {startup: 3 GiB, maximum: 2 GiB}}", "startup 3 GiB is larger than maximum 2 GiB", 1},
    {"guests: {a: {buffer: 91 %, buffer-of: total}}",
     "guest 'a': buffer 91 % is too large where buffer-of is total: allowed is 0 % to 90 %", 1},
    {"defaults: {buffer: 150 %}\nguests: {a: {buffer-of: total}}", "buffer 150 % of 'defaults' is too large", 1},
    {"guests: {a: {qmp: /s}, b: {qmp: /s}}", "guests 'a' and 'b' have the same monitor socket", 1},
    {"host: {reserve: 16 GiB}",
     "key 'host.reserve': 16 GiB leaves nothing for guests: less than the managed memory (16 GiB) is allowed", 1},
    {"host: {memory: 1 GiB, reserve: 1 GiB}", "leaves nothing for guests", 1},
    {"guests: {a: {minimum: 12 GiB}, b: {minimum: 4 GiB}}",
     "t.yaml:1:23: the host is smaller than the minimums: 2 named guests need 16 GiB together, but only 15 GiB is there for "
     "guests (16 GiB managed, 1 GiB reserve): lower some, beginning with 'a' here", 1},
    {"host: {memory: 2 GiB, reserve: 1 GiB}\nguests: {a: {minimum: 1025 MiB}}", "host is smaller than the minimums", 1},
    /* not YAML, or more than we take */
    {"host:\n\treserve: 2 GiB\n", "t.yaml:2:1: a tab stands here: indent with blanks only", 1},
    {"a: b\n\x01: c\n", "t.yaml:2:1: this is not text", 1},
    {"a: \xff\xfe\n", "t.yaml:1:4: this is not text", 1},
    {"{", "this is not YAML", 1},
    {"host: {", "this is not YAML", 1},
    {"a: \"b", "this is not YAML", 1},
    {"a: *b", "this is not YAML: found undefined alias", 1},
    {"a: &x [*x]", "unknown key 'a'", 1},
    {"--- {}\n--- {}\n", "t.yaml:2:1: a second YAML document begins here", 1},
    {"%TAG ! tag:x,2000:\n--- {}\n", "a line begins with '%'", 1},
    {"a: [[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]", "more than 16 levels of nesting", 1},
};

static void each_wrong_text_gets_its_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
        const struct bad_case *b = &bad_cases[i];
        struct config_list problems;
        struct config *c = NULL;
        struct err e = {0};
        size_t len = strlen(b->text);
        AUTO_FREE char *copy = malloc(len + 1); /* no end: a sanitizer sees a read past it */
        bool is_whole = strncmp(b->sentence, "t.yaml:", 7) == 0;

        assert_non_null(copy);
        memcpy(copy, b->text, len);
        int r = config_parse(copy, len, "t.yaml", HOST_16, &c, &problems, &e);
        if (r == 0)
            fail_msg("this was taken: %s", b->text);
        assert_int_equal(r, -e.code);
        assert_null(c);
        if (is_whole ? strncmp(e.text, b->sentence, strlen(b->sentence)) != 0 : !strstr(e.text, b->sentence))
            fail_msg("'%s': the sentence is: %s", b->text, e.text);
        if (problems.count != b->problems)
            fail_msg("'%s': %zu problems, the last is: %s", b->text, problems.count,
                     problems.items[problems.count - 1].text);
        assert_string_equal(problems.items[0].text, e.text);
    }
}

static void all_problems_are_found(void **state)
{
    static const char text[] = "host: {reserve: 4, memroy: 2 GiB}\n"
                               "defaults: {mode: on}\n"
                               "guests:\n  a: {minimum: x, maximum: 2 GiB}\n  b/c: {}\n"
                               "zzzz: 1\n";
    static const unsigned lines[] = {1, 1, 2, 4, 5, 6};
    struct config_list problems;
    struct config *c = NULL;
    struct err e = {0};
    char begin[32];

    (void)state;
    assert_true(config_parse(text, strlen(text), "t.yaml", HOST_16, &c, &problems, &e) < 0);
    assert_int_equal(problems.count, sizeof(lines) / sizeof(lines[0]));
    for (size_t i = 0; i < problems.count; i++) {
        (void)snprintf(begin, sizeof(begin), "t.yaml:%u:", lines[i]);
        assert_memory_equal(problems.items[i].text, begin, strlen(begin));
    }
}

static void problems_beyond_the_room_are_counted(void **state)
{
    char text[64 * 32] = "";
    struct config_list problems;
    struct config *c = NULL;
    struct err e = {0};

    (void)state;
    for (int i = 0; i < 50; i++) {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof(text) - len, "unknown%d: 1\n", i);
    }
    assert_true(config_parse(text, strlen(text), "t.yaml", HOST_16, &c, &problems, &e) < 0);
    assert_int_equal(problems.count, CONFIG_PROBLEMS_MAX);
    assert_int_equal(problems.more, 50 - CONFIG_PROBLEMS_MAX);
}

static void warnings_stop_nothing(void **state)
{
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"meter: {store: sqlite, interval: 1 s}", "t.yaml:1:1: key 'meter' is not active in this version"},
        {"tariffs: [{per: GiB-hour, price: 0.0042 EUR, from: 2026-01-01}]", "key 'tariffs' is not active"},
        {"backup: {schedules: [{guests: a, at: daily}]}", "t.yaml:1:9: 'backup' has schedules, but no key 'repository'"},
        {"notify: {timeout: 5 s}", "t.yaml:1:19: 'notify' has no key 'command': nobody is told anything"},
        {"notify: {command: /nowhere/notify}",
         "key 'notify.command': '/nowhere/notify' can't be run now: No such file or directory"},
        {"notify: {command: /proc}", "key 'notify.command': '/proc' is not a program"},
        {"discover: [{libvirt: \"qemu:///system\"}]",
         "t.yaml:1:13: key 'discover.libvirt': this build has no libvirt driver, so none of its guests are found here"},
        {"discover: [{xen: true}]", "key 'discover.xen': this build has no xen driver"},
        {"host: {spread: yes}", "t.yaml:1:16: key 'host.spread' is not active in this version"},
        {"host: {memory: 32 GiB}", "key 'host.memory': 32 GiB is more than this host has (16 GiB): that is managed instead"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config_list problems;
        AUTO(config) struct config *c = NULL;
        struct err e = {0};

        assert_int_equal(config_parse(cases[i].text, strlen(cases[i].text), "t.yaml", HOST_16, &c, &problems, &e), 0);
        assert_int_equal(c->warnings.count, 1);
        if (!strstr(c->warnings.items[0].text, cases[i].sentence))
            fail_msg("'%s': the warning is: %s", cases[i].text, c->warnings.items[0].text);
    }
}

/* Texts made to be slow or large to read. What matters is that each ends, soon, with a sentence or a configuration. */
static void floods_end(void **state)
{
    static const struct {
        const char *begin, *again, *end;
        size_t times;
    } cases[] = {
        {"a: ", "[", "", 1000000},
        {"a: ", "{a: ", "", 500000},
        {"a: [", "&a b, ", "]", 200000},
        {"a: &a b\nc: [", "*a, ", "]", 200000},
        {"", "- ", "", 500000},
        {"", "? ", "", 500000},
        {"", "a: 1\n", "", 200000},
        {"guests:\n", "  \"*\": {}\n", "", 100000},
        {"a: \"", "\\x41", "\"", 400000},
        {"", "#\n", "", 1000000},
        {"a: |\n", " x\n", "", 500000},
        {"a: ", "!a!b ", "", 200000},
        {"", "!<tag:yaml.org,2002:str> ", "a: b", 1000},
        {"", "\xef\xbb\xbf", "", 100000},
        {"a:", " ", "1", 1000000},
        {"a: {", "a, ", "}", 300000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t nb = strlen(cases[i].begin), na = strlen(cases[i].again), ne = strlen(cases[i].end), len = nb;
        AUTO_FREE char *text = malloc(nb + na * cases[i].times + ne + 1);
        struct config_list problems;
        struct config *c = NULL;
        struct err e = {0};

        assert_non_null(text);
        memcpy(text, cases[i].begin, nb);
        for (size_t k = 0; k < cases[i].times; k++, len += na)
            memcpy(text + len, cases[i].again, na);
        memcpy(text + len, cases[i].end, ne + 1);
        if (config_parse(text, len + ne, "t.yaml", HOST_16, &c, &problems, &e) < 0) {
            assert_true(e.text[0] != '\0');
            assert_null(c);
        }
        (void)config_free(c);
    }
}

static void limits_are_said(void **state)
{
    AUTO_FREE char *text = malloc(CONFIG_FILE_SIZE_MAX + 1);
    struct config_list problems;
    struct config *c = NULL;
    struct err e = {0};
    size_t len = 0;

    (void)state;
    assert_non_null(text);
    memset(text, '#', CONFIG_FILE_SIZE_MAX + 1);
    assert_int_equal(config_parse(text, CONFIG_FILE_SIZE_MAX + 1, "t.yaml", HOST_16, &c, &problems, &e), -EFBIG);

    len = (size_t)sprintf(text, "guests:\n");
    for (int i = 0; i <= CONFIG_GUESTS_MAX; i++)
        len += (size_t)sprintf(text + len, " g%d: {}\n", i);
    assert_true(config_parse(text, len, "t.yaml", HOST_16, &c, &problems, &e) < 0);
    assert_string_equal(e.text, "t.yaml:16386:2: more than 16384 entries of guests: use patterns");

    len = (size_t)sprintf(text, "guests:\n");
    for (int i = 0; i <= CONFIG_PATTERNS_MAX; i++)
        len += (size_t)sprintf(text + len, " g%d*: {}\n", i);
    assert_true(config_parse(text, len, "t.yaml", HOST_16, &c, &problems, &e) < 0);
    assert_non_null(strstr(e.text, "1025 patterns in 'guests', more than the 1024 there may be"));

    len = (size_t)sprintf(text, "discover:\n");
    for (int i = 0; i <= CONFIG_DIRECTORIES_MAX; i++)
        len += (size_t)sprintf(text + len, " - qmp-directory: /d%d\n", i);
    assert_true(config_parse(text, len, "t.yaml", HOST_16, &c, &problems, &e) < 0);
    assert_non_null(strstr(e.text, "more than 64 monitor directories"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wrong_text_gets_its_sentence),
        cmocka_unit_test(all_problems_are_found),
        cmocka_unit_test(problems_beyond_the_room_are_counted),
        cmocka_unit_test(warnings_stop_nothing),
        cmocka_unit_test(floods_end),
        cmocka_unit_test(limits_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
