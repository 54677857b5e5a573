/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture_status.h"
#include "own.h"
#include "wire_error.h"
#include "wire_status.h"

OWN_DEFINE(wire_status);

static struct wire_text printed(const struct wire_status *s)
{
    struct wire_text t = {0};

    wire_status_print(&t, s);
    assert_false(t.failed);
    return t;
}

static void status_comes_back_as_it_was(void **state)
{
    AUTO(wire_status) struct wire_status *s = fixture_status();
    AUTO(wire_status) struct wire_status *got = NULL;
    struct wire_text first = printed(s), second;
    struct err e = {0};

    (void)state;
    assert_int_equal(wire_status_parse(first.data, first.length, &got, &e), 0);
    assert_int_equal(got->guest_count, s->guest_count);
    assert_int_equal(got->guests[0].assigned_bytes, 320ULL << 20);
    assert_int_equal(got->guests[4].assigned_bytes, WIRE_UNKNOWN);
    assert_int_equal(got->guests[4].hidden_bytes, WIRE_UNKNOWN_SIGNED);
    assert_int_equal(got->guests[0].pressure_percent, 8000);
    assert_int_equal(got->host.grantable_bytes, -(12LL << 20));
    assert_int_equal(got->guests[3].flag_count, 2);
    assert_string_equal(got->guests[3].flags[1].name, "stuck");
    assert_string_equal(got->guests[3].flags[1].reason, s->guests[3].flags[1].reason);
    assert_int_equal(got->warnings[0].age_ms, 65000);
    second = printed(got);
    assert_string_equal(first.data, second.data);
    wire_text_done(&first);
    wire_text_done(&second);
}

static void guest_comes_back_with_its_host(void **state)
{
    AUTO(wire_status) struct wire_status *s = fixture_status();
    struct wire_text t = {0};
    struct wire_guest g;
    struct wire_host h;
    struct err e = {0};

    (void)state;
    wire_guest_print(&t, &s->guests[1], &s->host);
    assert_int_equal(wire_guest_parse(t.data, t.length, &g, &h, &e), 0);
    assert_string_equal(g.name, s->guests[1].name);
    assert_int_equal(g.pressure_percent, s->guests[1].pressure_percent); /* 109.37 %: two decimals survive */
    assert_int_equal(h.capacity_bytes, s->host.capacity_bytes);
    wire_text_done(&t);
}

static void unknown_is_null_and_never_zero(void **state)
{
    struct wire_text t = {0};
    struct wire_host h;
    struct wire_guest g;

    (void)state;
    wire_guest_clear(&g);
    wire_host_clear(&h);
    wire_guest_print(&t, &g, &h);
    assert_non_null(strstr(t.data, "\"assigned_bytes\":null"));
    assert_non_null(strstr(t.data, "\"hidden_bytes\":null"));
    assert_non_null(strstr(t.data, "\"pressure_percent\":null"));
    assert_non_null(strstr(t.data, "\"mode\":null"));
    assert_non_null(strstr(t.data, "\"flags\":[],\"reasons\":{}"));
    wire_text_done(&t);
}

static void percent_has_the_decimals_it_needs(void **state)
{
    static const struct {
        uint64_t value;
        const char *json;
    } cases[] = {{0, "0,"}, {2000, "20,"}, {1250, "12.5,"}, {75, "0.75,"}, {5, "0.05,"}, {10009, "100.09,"}};
    struct wire_guest g;
    struct wire_host h;

    (void)state;
    wire_host_clear(&h);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_text t = {0};
        const char *at;

        wire_guest_clear(&g);
        g.buffer_percent = cases[i].value;
        wire_guest_print(&t, &g, &h);
        at = strstr(t.data, "\"buffer_percent\":");
        assert_non_null(at);
        assert_memory_equal(at + strlen("\"buffer_percent\":"), cases[i].json, strlen(cases[i].json));
        wire_text_done(&t);
    }
}

static void strings_are_json_whatever_they_hold(void **state)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"a\"b\\c", "\"a\\\"b\\\\c\""},      {"line\nend\x1b[31m", "\"line\\u000aend\\u001b[31m\""},
        {"\x7f", "\"\\u007f\""},             {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""},
        {"\xff\xfe", "\"\\ufffd\\ufffd\""},  {"cut\xe2\x82", "\"cut\\ufffd\\ufffd\""},
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""}, /* a surrogate */
        {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},  {"\xc0\xaf", "\"\\ufffd\\ufffd\""}, /* overlong '/' */
        {"", "\"\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_text t = {0};

        wire_text_string(&t, cases[i].text);
        assert_string_equal(t.data, cases[i].json);
        wire_text_done(&t);
    }
}

static void copies_are_cut_between_characters(void **state)
{
    char to[6];

    (void)state;
    wire_text_copy(to, sizeof(to), "abcd\xc3\xbc");
    assert_string_equal(to, "abcd");
    wire_text_copy(to, sizeof(to), "abc\xc3\xbc");
    assert_string_equal(to, "abc\xc3\xbc");
    wire_text_copy(to, sizeof(to), "\xf0\x9f\x98\x80\xf0\x9f\x98\x80");
    assert_string_equal(to, "\xf0\x9f\x98\x80");
}

#define STATUS(guests) "{\"daemon\":{},\"host\":{},\"guests\":" guests "}"

static void hostile_documents_are_refused_with_a_place(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "nothing"},
        {" ", "ends too early"},
        {"null", "ends too early"},
        {"null ", "null"},
        {"HTTP/1.1 200 OK", "no JSON at byte"},
        {"[]", "'daemon' should be object and is missing"},
        {"{\"daemon\":{},\"host\":7,\"guests\":[]}", "'host' should be object"},
        {"{\"daemon\":{},\"host\":{},\"guests\":{}}", "'guests' should be array"},
        {"{\"daemon\":{},\"host\":{}}", "'guests' should be array and is missing"},
        {STATUS("[]") " x", "more follows"},
        {STATUS("[[]]"), "guest 1 of 1: an object was expected"},
        {STATUS("[{}]"), "guest 1 of 1: it has no name"},
        {STATUS("[{\"name\":\"a\"},{\"name\":7}]"), "guest 2 of 2: field 'name' should be a text"},
        {STATUS("[{\"name\":\"a\",\"assigned_bytes\":-1}]"), "guest 'a': field 'assigned_bytes'"},
        {STATUS("[{\"name\":\"a\",\"assigned_bytes\":1.5}]"), "field 'assigned_bytes'"},
        {STATUS("[{\"name\":\"a\",\"assigned_bytes\":\"1\"}]"), "field 'assigned_bytes'"},
        {STATUS("[{\"name\":\"a\",\"pressure_percent\":-0.5}]"), "a share in percent"},
        {STATUS("[{\"name\":\"a\",\"pressure_percent\":1e300}]"), "a share in percent"},
        {STATUS("[{\"name\":\"a\",\"pressure_percent\":NaN}]"), "a share in percent"},
        {STATUS("[{\"name\":\"a\",\"band\":1}]"), "true or false"},
        {STATUS("[{\"name\":\"a\",\"flags\":7}]"), "'flags' should be an array"},
        {STATUS("[{\"name\":\"a\",\"flags\":[7]}]"), "a flag should be a text"},
        {"{\"daemon\":{},\"host\":{\"free_bytes\":\"x\"},\"guests\":[]}", "host: field 'free_bytes'"},
        {"{\"daemon\":{},\"host\":{},\"warnings\":7,\"guests\":[]}", "'warnings' should be an array"},
        {"{\"daemon\":{},\"host\":{},\"warnings\":[7],\"guests\":[]}", "warning 1: an object"},
        {STATUS("[{\"name\":\"\xff\"}]"), "no JSON at byte"},
        {STATUS("[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]"), "no JSON at byte"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_status *got = NULL;
        struct err e = {0};

        assert_int_equal(wire_status_parse(cases[i].text, strlen(cases[i].text), &got, &e), -EBADMSG);
        if (!strstr(e.text, cases[i].says))
            fail_msg("'%s' says '%s', not '%s'", cases[i].text, e.text, cases[i].says);
        assert_null(got);
    }
}

static void odd_but_harmless_documents_are_read(void **state)
{
    static const char text[] =
        "{\"future\":[1],\"daemon\":{\"new\":{}},\"host\":{\"memory_bytes\":18446744073709551615},"
        "\"guests\":[{\"name\":\"a\",\"assigned_bytes\":null,\"more\":1,\"flags\":[\"later\"]}]}\r\n";
    AUTO(wire_status) struct wire_status *s = NULL;
    struct err e = {0};

    (void)state;
    assert_int_equal(wire_status_parse(text, strlen(text), &s, &e), 0);
    assert_int_equal(s->host.memory_bytes, WIRE_UNKNOWN);
    assert_int_equal(s->guests[0].assigned_bytes, WIRE_UNKNOWN);
    assert_string_equal(s->guests[0].flags[0].name, "later");
    assert_string_equal(s->guests[0].flags[0].reason, "");
}

static void every_torn_document_is_refused(void **state)
{
    AUTO(wire_status) struct wire_status *s = fixture_status();
    struct wire_text t = printed(s);
    struct err e = {0};

    (void)state;
    for (size_t length = 0; length + 2 < t.length; length += 61) { /* "}\n" may be missing the "\n" only */
        struct wire_status *got = NULL;

        assert_int_equal(wire_status_parse(t.data, length, &got, &e), -EBADMSG);
        assert_null(got);
    }
    wire_text_done(&t);
}

static void long_texts_and_lists_are_cut(void **state)
{
    struct wire_text t = {0};
    AUTO(wire_status) struct wire_status *s = NULL;
    struct err e = {0};

    (void)state;
    wire_text_adds(&t, "{\"daemon\":{},\"host\":{},\"warnings\":[");
    for (int i = 0; i < 100; i++)
        wire_text_adds(&t, i ? ",{\"text\":\"w\"}" : "{\"text\":\"w\"}");
    wire_text_adds(&t, "],\"guests\":[{\"name\":\"");
    for (int i = 0; i < 5000; i++)
        wire_text_adds(&t, "n");
    wire_text_adds(&t, "\",\"flags\":[\"f\"");
    for (int i = 0; i < 1000; i++)
        wire_text_adds(&t, ",\"f\"");
    wire_text_adds(&t, "]}]}");
    assert_int_equal(wire_status_parse(t.data, t.length, &s, &e), 0);
    assert_int_equal(s->warning_count, WIRE_WARNINGS_MAX);
    assert_int_equal(strlen(s->guests[0].name), WIRE_NAME_SIZE - 1);
    assert_int_equal(s->guests[0].flag_count, WIRE_FLAGS_MAX);
    wire_text_done(&t);
}

static void too_many_guests_are_refused(void **state)
{
    struct wire_text t = {0};
    struct wire_status *s = NULL;
    struct err e = {0};

    (void)state;
    wire_text_adds(&t, "{\"daemon\":{},\"host\":{},\"guests\":[1");
    for (int i = 0; i < WIRE_GUESTS_MAX; i++)
        wire_text_adds(&t, ",1");
    wire_text_adds(&t, "]}");
    assert_int_equal(wire_status_parse(t.data, t.length, &s, &e), -EBADMSG);
    assert_non_null(strstr(e.text, "16385 guests"));
    wire_text_done(&t);
}

static void errors_come_back(void **state)
{
    struct wire_error error = {.error = "there is no guest 'x'", .hint = "known guests: a"}, got;
    struct wire_text t = {0};
    struct err e = {0};

    (void)state;
    wire_error_print(&t, &error);
    assert_int_equal(wire_error_parse(t.data, t.length, &got, &e), 0);
    assert_string_equal(got.error, error.error);
    assert_string_equal(got.hint, error.hint);
    wire_text_done(&t);
    assert_int_equal(wire_error_parse("{}", 2, &got, &e), -EBADMSG);
    assert_int_equal(wire_error_parse("<html>", 6, &got, &e), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_comes_back_as_it_was),
        cmocka_unit_test(guest_comes_back_with_its_host),
        cmocka_unit_test(unknown_is_null_and_never_zero),
        cmocka_unit_test(percent_has_the_decimals_it_needs),
        cmocka_unit_test(strings_are_json_whatever_they_hold),
        cmocka_unit_test(copies_are_cut_between_characters),
        cmocka_unit_test(hostile_documents_are_refused_with_a_place),
        cmocka_unit_test(odd_but_harmless_documents_are_read),
        cmocka_unit_test(every_torn_document_is_refused),
        cmocka_unit_test(long_texts_and_lists_are_cut),
        cmocka_unit_test(too_many_guests_are_refused),
        cmocka_unit_test(errors_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
