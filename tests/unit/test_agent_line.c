/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent_line.h"
#include "agent_stream.h"
#include "agent_view.h"

#define SEC 1000000ULL
#define MSEC 1000ULL

static const char sample_line[] =
    "sample seq=7 why=fall time=123456789 mem_total=245248 mem_free=10240 mem_available=81920 balloon=131072 "
    "kernel_free=9000 cache=70000 shmem=100 anon=30000 dirty=12 committed=50000 commit_limit=122624 swap_total=65536 "
    "swap_free=60000 swapped_in=8 swapped_out=5544 refaulted=4 psi_some=1000 psi_full=500 oom_kills=1";

static int parse(const char *line, struct agent_message *m, struct err *e)
{
    *e = (struct err){0};
    memset(m, 0x55, sizeof(*m));
    return agent_line_parse(line, strlen(line), m, e);
}

/* --- good lines --- */

static void reads_every_key_of_a_sample(void **state)
{
    struct agent_message m;
    struct err e;

    (void)state;
    assert_int_equal(parse(sample_line, &m, &e), 0);
    assert_int_equal(e.code, 0);
    assert_int_equal(m.verb, AGENT_VERB_SAMPLE);
    assert_int_equal(m.value[AGENT_KEY_SEQ], 7);
    assert_int_equal(m.value[AGENT_KEY_WHY], AGENT_WHY_FALL);
    assert_int_equal(m.value[AGENT_KEY_TIME], 123456789);
    assert_int_equal(m.value[AGENT_KEY_MEM_AVAILABLE], 81920);
    assert_int_equal(m.value[AGENT_KEY_BALLOON], 131072);
    assert_int_equal(m.value[AGENT_KEY_OOM_KILLS], 1);
    assert_int_equal(m.value[AGENT_KEY_VERSION], AGENT_UNSET);
    for (enum agent_key key = AGENT_KEY_SEQ; key < AGENT_KEY_SIZE; key++)
        if (key != AGENT_KEY_GUEST_TIME)
            assert_int_not_equal(m.value[key], AGENT_UNSET);
}

static void prints_what_it_reads(void **state)
{
    static const char *const lines[] = {
        sample_line,
        "hello version=1 text=ballast-agent 0.1.0",
        "hello version=1",
        "sample seq=1 time=2 mem_total=4 mem_free=3",
        "sample seq=1 time=18446744073709551614 mem_total=70368744177664 mem_free=0",
        "pong time=5 guest_time=9",
        "ping time=5",
        "ask",
        "watermark size=32768",
        "heartbeat interval=1000000",
        "status lent=131072 assigned=131072 maximum=262144 text=other guests need it; \xc3\xa4 = 1",
    };
    char out[AGENT_LINE_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        struct agent_message m;
        struct err e;
        assert_int_equal(parse(lines[i], &m, &e), 0);
        int len = agent_line_print(&m, out, sizeof(out));
        assert_int_equal(len, strlen(lines[i]) + 1);
        assert_memory_equal(out, lines[i], strlen(lines[i]));
        assert_int_equal(out[len - 1], '\n');
    }
}

static void skips_what_a_newer_peer_says(void **state)
{
    struct agent_message m;
    struct err e;

    (void)state;
    assert_int_equal(parse("sample seq=1 colour=blue time=2 mem_total=4 numa.0=-7 mem_free=3 colour=red why=boredom",
                           &m, &e), 0);
    assert_int_equal(m.value[AGENT_KEY_MEM_FREE], 3);
    assert_int_equal(m.value[AGENT_KEY_WHY], AGENT_UNSET);
    /* a key that belongs to another message is one this one does not know */
    assert_int_equal(parse("ping time=1 mem_free=2 text=-1", &m, &e), 0);
    assert_int_equal(m.value[AGENT_KEY_MEM_FREE], AGENT_UNSET);
    assert_string_equal(m.text, "");
    assert_int_equal(parse("ask  why=x ", &m, &e), 0);
    assert_int_equal(m.verb, AGENT_VERB_ASK);
}

static void knows_who_may_say_what(void **state)
{
    (void)state;
    for (enum agent_verb v = 0; v < AGENT_VERB_COUNT; v++)
        assert_true(agent_verb_is_guests(v) || agent_verb_is_hosts(v));
    assert_true(agent_verb_is_guests(AGENT_VERB_HELLO) && agent_verb_is_hosts(AGENT_VERB_HELLO));
    assert_false(agent_verb_is_guests(AGENT_VERB_WATERMARK) || agent_verb_is_hosts(AGENT_VERB_SAMPLE));
    assert_false(agent_verb_is_hosts(AGENT_VERB_COUNT));
    assert_null(agent_verb_name(AGENT_VERB_COUNT));
    assert_null(agent_key_name(AGENT_KEY_COUNT));
    assert_null(agent_why_name(AGENT_WHY_COUNT));
}

/* --- wrong lines --- */

static void refuses_with_one_sentence(void **state)
{
    static const struct {
        const char *line;
        int code;
        const char *text; /* how the sentence goes */
    } cases[] = {
        {"", EBADMSG, "an empty line"},
        {" sample seq=1", EBADMSG, "starts with a blank"},
        {"hullo version=1", EPROTO, "'hullo' is no message of this protocol"},
        {"{\"execute\": \"quit\"}", EPROTO, "'{\"execute\":' is no message"},
        {"hello", EBADMSG, "'hello' without 'version'"},
        {"hello version=2", EPROTONOSUPPORT, "protocol version 2, this side speaks version 1"},
        {"hello version=0", EPROTONOSUPPORT, "protocol version 0"},
        {"hello version=", EBADMSG, "'version' has no value"},
        {"sample seq=1 time=2 mem_total=4 mem_free=-3", ERANGE, "'mem_free=-3' is negative"},
        {"sample seq=1 time=2 mem_total=4 mem_free=+3", EBADMSG, "'mem_free=+3' is no whole number"},
        {"sample seq=1 time=2 mem_total=4 mem_free=3kB", EBADMSG, "'mem_free=3kB' is no whole number"},
        {"sample seq=1 time=2 mem_total=4 mem_free=0x3", EBADMSG, "no whole number"},
        {"sample seq=1 time=2 mem_total=4 mem_free=1.5", EBADMSG, "no whole number"},
        {"sample seq=1 time=2 mem_total=4 mem_free=5", ERANGE, "'mem_free=5' is impossible: more than 'mem_total=4'"},
        {"sample seq=1 time=2 mem_total=4 mem_free=1 mem_available=5", ERANGE, "'mem_available=5' is impossible"},
        {"sample seq=1 time=2 mem_total=4 mem_free=1 swap_total=1 swap_free=2", ERANGE, "'swap_free=2' is impossible"},
        {"sample seq=1 time=2 mem_total=70368744177665 mem_free=1", ERANGE, "is impossible: more than 70368744177664"},
        {"sample seq=1 time=2 mem_total=99999999999999999999999 mem_free=1", ERANGE, "impossible"},
        {"sample seq=1 time=18446744073709551615 mem_total=4 mem_free=1", ERANGE, "impossible"},
        {"sample seq=1 time=2 mem_total=4", EBADMSG, "'sample' without 'mem_free': half a line?"},
        {"sample seq=1 time=2 mem_to", EBADMSG, "'mem_to' is no key=value: half a line?"},
        {"sample seq=1 =5", EBADMSG, "'=5' is no key=value"},
        {"sample seq=1 seq=1 time=2 mem_total=4 mem_free=1", EBADMSG, "'seq' stands twice"},
        {"sample seq=1 why=x why=y time=2 mem_total=4 mem_free=1", EBADMSG, "'why' stands twice"},
        {"sample seq=1 time=2 mem_total=4 mem_free=1\r", EBADMSG, "byte 0x0d in a line of text"},
        {"sample seq=1\ttime=2", EBADMSG, "byte 0x09"},
        {"sample \x1b[2J", EBADMSG, "byte 0x1b in a line of text ('sample ?[2J')"},
        {"s\xc3\xa4mple", EBADMSG, "byte 0xc3"},
        {"hello version=1 text=a\x07", EBADMSG, "byte 0x07"},
        {"heartbeat interval=99999", ERANGE, "100000 to 60000000 microseconds"},
        {"heartbeat interval=60000001", ERANGE, "100000 to 60000000 microseconds"},
        {"watermark", EBADMSG, "'watermark' without 'size'"},
        {"pong time=1", EBADMSG, "'pong' without 'guest_time'"},
        {"status text=x", EBADMSG, "'status' without 'lent'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct agent_message m;
        struct err e;
        int r = parse(cases[i].line, &m, &e);
        if (r != -cases[i].code || !strstr(e.text, cases[i].text))
            fail_msg("'%s': %d '%s', not %d '...%s...'", cases[i].line, r, e.text, -cases[i].code, cases[i].text);
        assert_int_equal(m.verb, 0x55555555); /* nothing is taken from a wrong line */
    }
}

static void refuses_what_is_too_long(void **state)
{
    char line[AGENT_LINE_MAX + 1];
    struct agent_message m;
    struct err e = {0};

    (void)state;
    memset(line, 'x', sizeof(line));
    memcpy(line, "ask ", 4);
    memcpy(line + 4, "k=", 2);
    assert_int_equal(agent_line_parse(line, AGENT_LINE_MAX - 1, &m, &e), 0);
    assert_int_equal(agent_line_parse(line, AGENT_LINE_MAX, &m, &e), -EMSGSIZE);
    assert_non_null(strstr(e.text, "4095 are the most"));
    memcpy(line, "hello version=1 text=", 21);
    assert_int_equal(agent_line_parse(line, 21 + AGENT_TEXT_SIZE - 1, &m, &e), 0);
    assert_int_equal(strlen(m.text), AGENT_TEXT_SIZE - 1);
    assert_int_equal(agent_line_parse(line, 21 + AGENT_TEXT_SIZE, &m, &e), -EMSGSIZE);
    assert_int_equal(agent_line_parse("ask\0x", 5, &m, &e), -EBADMSG); /* binary */
}

static void prints_within_its_room(void **state)
{
    struct agent_message m;
    struct err e;
    char out[AGENT_LINE_MAX];

    (void)state;
    assert_int_equal(parse(sample_line, &m, &e), 0);
    assert_int_equal(agent_line_print(&m, out, strlen(sample_line)), -EMSGSIZE);
    assert_int_equal(agent_line_print(&m, out, strlen(sample_line) + 1), strlen(sample_line) + 1);
    m.value[AGENT_KEY_WHY] = 77; /* not sent rather than nonsense sent */
    assert_true(agent_line_print(&m, out, sizeof(out)) > 0);
    agent_message_init(&m, AGENT_VERB_COUNT);
    assert_int_equal(agent_line_print(&m, out, sizeof(out)), -EMSGSIZE);
    agent_message_init(&m, AGENT_VERB_STATUS);
    m.value[AGENT_KEY_LENT] = 1;
    memcpy(m.text, "a\nquit", 7); /* no line of its own */
    int len = agent_line_print(&m, out, sizeof(out));
    assert_memory_equal(out, "status lent=1 text=a?quit\n", (size_t)len);
    /* Every key at its largest still makes a line. */
    agent_message_init(&m, AGENT_VERB_SAMPLE);
    for (size_t i = 0; i < AGENT_KEY_COUNT; i++)
        m.value[i] = AGENT_UNSET - 1;
    assert_in_range(agent_line_print(&m, out, sizeof(out)), 500, 1024);
}

/* --- lines out of bytes --- */

static void finds_lines_in_pieces(void **state)
{
    static const char bytes[] = "ask\nping time=1\n\nas";
    struct agent_stream s;
    struct agent_piece piece;

    (void)state;
    for (size_t step = 1; step < sizeof(bytes); step++) {
        char lines[64] = "";
        agent_stream_init(&s);
        for (size_t at = 0; at < sizeof(bytes) - 1;) {
            size_t len = sizeof(bytes) - 1 - at < step ? sizeof(bytes) - 1 - at : step;
            at += agent_stream_take(&s, bytes + at, len, &piece);
            if (piece.line)
                (void)snprintf(lines + strlen(lines), sizeof(lines) - strlen(lines), "[%.*s]", (int)piece.len,
                               piece.line);
        }
        assert_string_equal(lines, "[ask][ping time=1][]");
        assert_int_equal(agent_stream_pending(&s), 2);
    }
    assert_int_equal(agent_stream_take(&s, "", 0, &piece), 0);
    assert_null(piece.line);
}

static void cuts_endless_lines(void **state)
{
    struct agent_stream s;
    struct agent_piece piece;
    char data[1500];
    unsigned told = 0;

    (void)state;
    memset(data, 'a', sizeof(data));
    agent_stream_init(&s);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(agent_stream_take(&s, data, sizeof(data), &piece), sizeof(data));
        told += piece.too_long ? 1 : 0;
        if (piece.line)
            assert_int_equal(piece.len, AGENT_LINE_MAX - 1);
    }
    assert_int_equal(told, 1);
    assert_int_equal(agent_stream_take(&s, "b\nask\n", 6, &piece), 2);
    assert_null(piece.line);
    assert_int_equal(agent_stream_take(&s, "ask\n", 4, &piece), 4);
    assert_non_null(piece.line);
    assert_int_equal(piece.len, 3);
    /* the longest that is allowed, in one go, and one more */
    char longest[AGENT_LINE_MAX + 1];
    memset(longest, 'b', sizeof(longest));
    longest[AGENT_LINE_MAX - 1] = '\n';
    assert_int_equal(agent_stream_take(&s, longest, sizeof(longest), &piece), AGENT_LINE_MAX);
    assert_false(piece.too_long);
    assert_int_equal(piece.len, AGENT_LINE_MAX - 1);
    longest[AGENT_LINE_MAX - 1] = 'b';
    longest[AGENT_LINE_MAX] = '\n';
    assert_int_equal(agent_stream_take(&s, longest, sizeof(longest), &piece), AGENT_LINE_MAX + 1);
    assert_true(piece.too_long);
    assert_int_equal(agent_stream_take(&s, "ask\n", 4, &piece), 4);
    assert_int_equal(piece.len, 3);
}

static void limits_the_rate(void **state)
{
    struct agent_rate rate = {0};
    uint64_t now = 1000 * SEC;
    unsigned allowed = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) /* all at once: what two seconds may bring */
        allowed += agent_rate_allow(&rate, now) ? 1 : 0;
    assert_int_equal(allowed, AGENT_RATE_BURST);
    allowed = 0;
    for (int i = 0; i < 10000; i++) /* a line each ms for 10 s */
        allowed += agent_rate_allow(&rate, now += MSEC) ? 1 : 0;
    assert_int_equal(allowed, 10 * AGENT_LINES_PER_SEC);
    now += 3600 * SEC;
    for (int i = 0; i < 500; i++) { /* what is allowed is never refused */
        assert_true(agent_rate_allow(&rate, now));
        now += 20 * MSEC;
    }
}

/* --- as the core sees it --- */

static void fills_the_view(void **state)
{
    struct obs_guest_view v;
    struct agent_message m;
    struct err e;

    (void)state;
    assert_int_equal(parse(sample_line, &m, &e), 0);
    agent_view_fill(&m, 5 * SEC, 6 * SEC, SEC, &v);
    assert_int_equal(v.source, OBS_SOURCE_AGENT);
    assert_int_equal(v.time_usec, 5 * SEC);
    assert_int_equal(v.heard_usec, 6 * SEC);
    assert_int_equal(v.spacing_usec, SEC);
    assert_int_equal(v.total_bytes, 245248ULL * 1024);
    assert_int_equal(v.free_bytes, 10240ULL * 1024);
    assert_int_equal(v.available_bytes, 81920ULL * 1024);
    assert_int_equal(v.cache_bytes, 70000ULL * 1024);
    assert_int_equal(v.shmem_bytes, 100ULL * 1024);
    assert_int_equal(v.committed_bytes, 50000ULL * 1024);
    assert_int_equal(v.swap_total_bytes, 65536ULL * 1024);
    assert_int_equal(v.swap_used_bytes, 5536ULL * 1024);
    assert_int_equal(v.swapped_in_bytes, 8ULL * 1024);
    assert_int_equal(v.refaulted_bytes, 4ULL * 1024);
    assert_int_equal(v.balloon_bytes, 131072ULL * 1024);
    assert_int_equal(v.oom_kills, 1);
    assert_int_equal(v.psi_some_usec, 1000);
    assert_int_equal(v.psi_full_usec, 500);

    assert_int_equal(parse("sample seq=1 time=2 mem_total=4 mem_free=3", &m, &e), 0);
    agent_view_fill(&m, 1, 2, 3, &v);
    assert_int_equal(v.total_bytes, 4096);
    assert_int_equal(v.available_bytes, OBS_UNSET);
    assert_int_equal(v.balloon_bytes, OBS_UNSET);
    assert_int_equal(v.swap_used_bytes, OBS_UNSET);
    assert_int_equal(v.psi_some_usec, OBS_UNSET);
    assert_int_equal(v.oom_kills, OBS_UNSET);
}

static void corrects_the_clock(void **state)
{
    struct agent_clock c = {0};

    (void)state;
    assert_int_equal(agent_clock_ours(&c, 42, 100 * SEC), 100 * SEC); /* nothing known: as it arrives */
    /* The guest booted 90 s after us; a ping of 4 ms. */
    agent_clock_see(&c, 100 * SEC, 10 * SEC + 2 * MSEC, 100 * SEC + 4 * MSEC);
    assert_int_equal(agent_clock_ours(&c, 20 * SEC, 110 * SEC + 1), 110 * SEC);
    assert_int_equal(agent_clock_ours(&c, 20 * SEC, 110 * SEC - 1), 110 * SEC - 1);       /* not from the future */
    assert_int_equal(agent_clock_ours(&c, 20 * SEC, 120 * SEC), 115 * SEC);               /* not older than 5 s */
    assert_int_equal(agent_clock_ours(&c, 0, 120 * SEC), 115 * SEC);
    assert_int_equal(agent_clock_ours(&c, UINT64_MAX - 1, 120 * SEC), 120 * SEC);
    /* A slower ping says less: it counts only once the better one is old. */
    agent_clock_see(&c, 111 * SEC, 99 * SEC, 111 * SEC + 500 * MSEC);
    assert_int_equal(agent_clock_ours(&c, 20 * SEC, 110 * SEC + 1), 110 * SEC);
    agent_clock_see(&c, 200 * SEC, 100 * SEC + 250 * MSEC, 200 * SEC + 500 * MSEC);
    assert_int_equal(agent_clock_ours(&c, 101 * SEC, 201 * SEC + 1), 201 * SEC);
    /* nonsense changes nothing */
    agent_clock_see(&c, 300 * SEC, 5, 299 * SEC);
    agent_clock_see(&c, 300 * SEC, UINT64_MAX - 1, 300 * SEC);
    assert_int_equal(agent_clock_ours(&c, 101 * SEC, 201 * SEC + 1), 201 * SEC);
    /* a guest whose clock went back a long way */
    c = (struct agent_clock){.known = true, .ahead_usec = INT64_MIN + 1};
    assert_int_equal(agent_clock_ours(&c, 5, 100 * SEC), 95 * SEC);
    c = (struct agent_clock){.known = true, .ahead_usec = INT64_MAX};
    assert_int_equal(agent_clock_ours(&c, 5, 100 * SEC), 95 * SEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_key_of_a_sample), cmocka_unit_test(prints_what_it_reads),
        cmocka_unit_test(skips_what_a_newer_peer_says), cmocka_unit_test(knows_who_may_say_what),
        cmocka_unit_test(refuses_with_one_sentence), cmocka_unit_test(refuses_what_is_too_long),
        cmocka_unit_test(prints_within_its_room), cmocka_unit_test(finds_lines_in_pieces),
        cmocka_unit_test(cuts_endless_lines), cmocka_unit_test(limits_the_rate),
        cmocka_unit_test(fills_the_view), cmocka_unit_test(corrects_the_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
