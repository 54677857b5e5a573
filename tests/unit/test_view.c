/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixture_golden.h"
#include "fixture_status.h"
#include "own.h"
#include "term.h"
#include "view_guest.h"
#include "view_status.h"
#include "policy_defaults.h"
#include "view_replay.h"
#include "view_why.h"

OWN_DEFINE(wire_status);

static const struct term pipe_term = {.width = TERM_WIDTH_UNLIMITED};
static const struct term narrow_term = {.width = 80};
static const struct term wide_term = {.width = 140};
static const struct term colour_term = {.width = 150, .is_terminal = true, .colour = true};

static void status_looks_as_it_did(void **state)
{
    static const struct {
        const char *name;
        const struct term *term;
    } cases[] = {
        {"status-pipe.txt", &pipe_term},
        {"status-80.txt", &narrow_term},
        {"status-140.txt", &wide_term},
        {"status-colour.txt", &colour_term},
    };
    AUTO(wire_status) struct wire_status *s = fixture_status();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_text t = {0};

        view_status_print(cases[i].term, &t, s);
        golden_check(cases[i].name, &t);
        wire_text_done(&t);
    }
}

static void guests_look_as_they_did(void **state)
{
    AUTO(wire_status) struct wire_status *s = fixture_status();

    (void)state;
    for (size_t i = 0; i < s->guest_count; i++) {
        struct wire_text t = {0};
        char name[64];

        view_guest_print(&narrow_term, &t, &s->guests[i], &s->host);
        (void)snprintf(name, sizeof(name), "show-%.20s.txt", s->guests[i].name);
        golden_check(name, &t);
        wire_text_done(&t);
    }
}

static void reasons_look_as_they_did(void **state)
{
    static struct wire_why w;
    struct wire_text wide = {0}, narrow = {0}, nothing = {0};

    (void)state;
    fixture_why(&w);
    view_why_print(&pipe_term, &wide, &w);
    golden_check("why-pipe.txt", &wide);
    view_why_print(&narrow_term, &narrow, &w);
    golden_check("why-80.txt", &narrow);
    w.decision_count = 0;
    view_why_print(&colour_term, &nothing, &w);
    golden_check("why-nothing.txt", &nothing);
    wire_text_done(&wide);
    wire_text_done(&narrow);
    wire_text_done(&nothing);
}

static void replays_are_told_in_a_sentence(void **state)
{
    struct replay_report same = {.start = {.policy_version = POLICY_VERSION, .host_name = "node1", .version = "0.1.0"},
                                 .decisions = 57, .orders = 12, .guests = 3, .inputs = 900, .config_hash = "00aa",
                                 .ended = true, .end = "asked"};
    struct replay_report other = same;
    struct wire_text t = {0}, u = {0}, json = {0};

    (void)state;
    view_replay_print(&pipe_term, &t, &same, "00aa");
    assert_string_equal(t.data, "57 decisions, all the same: with 12 orders about 3 guests, from 900 inputs, recorded on 'node1'.\n");
    assert_false(view_replay_has_warnings(&same, ""));
    assert_true(view_replay_has_warnings(&same, "00bb"));

    other.start.policy_version = POLICY_VERSION + 1;
    t.length = 0;
    view_replay_print(&pipe_term, &t, &other, "");
    assert_non_null(strstr(t.data, "differences are to be expected"));
    other.start.policy_version = POLICY_VERSION;
    other.ended = false;
    other.differ = 3;
    other.first = (struct replay_difference){
        .line = 1234, .number = 77, .at_usec = 12300000, .guest = "web1", .capacity_kib = 1 << 20,
        .recorded = {0, GUEST_ORDER_GROW, 476 << 10, GUEST_REASON_NEED}, .verdict = {.demand_kib = 350 << 10}};
    wire_text_adds(&other.first.inputs, "{\"input\":\"view\"}\n{\"decide\":\"\033[2J\"}\n");
    view_replay_print(&narrow_term, &u, &other, "00bb");
    golden_check("replay-differs.txt", &u);
    assert_true(view_replay_has_warnings(&other, "00aa"));
    view_replay_json(&json, &other, "");
    assert_non_null(strstr(json.data, "\"first\":{\"number\":77,\"line\":1234,"));
    wire_text_done(&t);
    wire_text_done(&u);
    wire_text_done(&json);
    wire_text_done(&other.first.inputs);
}

static void an_empty_host_says_how_to_begin(void **state)
{
    AUTO(wire_status) struct wire_status *s = fixture_status();
    struct wire_text t = {0};

    (void)state;
    s->guest_count = s->warning_count = 0;
    view_status_print(&narrow_term, &t, s);
    assert_non_null(strstr(t.data, "path=/run/ballast/guests/NAME.qmp"));
    golden_check("status-empty.txt", &t);
    wire_text_done(&t);
}

/* Longest line in columns, without escapes. */
static unsigned longest_line(const char *text)
{
    unsigned longest = 0, columns = 0;

    for (; *text; text++) {
        if (*text == '\033')
            text = strchr(text, 'm');
        else if (*text == '\n')
            columns = 0;
        else if ((*text & 0xc0) != 0x80 && ++columns > longest)
            longest = columns;
    }
    return longest;
}

static void no_line_is_wider_than_the_terminal(void **state)
{
    AUTO(wire_status) struct wire_status *s = fixture_status();

    (void)state;
    for (unsigned width = 80; width <= 200; width++) {
        struct term term = {.width = width, .is_terminal = true, .colour = width % 2, .utf8 = width % 3};
        struct wire_text t = {0};

        view_status_print(&term, &t, s);
        assert_true(longest_line(t.data) <= width);
        wire_text_done(&t);
    }
}

static void nothing_foreign_reaches_the_terminal(void **state)
{
    static const char evil[] = "a\x1b[2J\x07\xc2\x9b\x37m\xff\ne\r";
    AUTO(wire_status) struct wire_status *s = fixture_status();
    const struct term terms[] = {pipe_term, narrow_term, {.width = 100, .utf8 = true}};

    (void)state;
    for (size_t i = 0; i < s->guest_count; i++) {
        struct wire_guest *g = &s->guests[i];

        (void)strcpy(g->name, evil);
        (void)strcpy(g->order_reason, evil);
        (void)strcpy(g->hidden_reason, evil);
        (void)strcpy(g->trouble, evil);
        (void)strcpy(g->mode, "\x1b[5m");
        (void)strcpy(g->memory_status, "\x1b[5m");
        (void)strcpy(g->state, "\x1b[5m");
        (void)strcpy(g->order, "\x1b[5m");
        (void)strcpy(g->demand_source, "\x1b[5m");
        (void)strcpy(g->owner, evil);
        (void)strcpy(g->hypervisor, "\x1b[5m");
        (void)strcpy(g->config_entry, evil);
        (void)strcpy(g->lent_reason, evil);
        (void)strcpy(g->incarnation, "\x1b[5m");
        (void)strcpy(g->identity, evil);
        (void)strcpy(g->driver, "\x1b[5m");
        g->flag_count = 0;
        wire_guest_flag(g, evil, evil);
    }
    (void)strcpy(s->host.name, evil);
    (void)strcpy(s->host.state, "\x1b[5m");
    (void)strcpy(s->host.share_text, evil);
    (void)strcpy(s->warnings[0].text, evil);
    (void)strcpy(s->daemon.config, evil);
    (void)strcpy(s->daemon.guests_dir, evil);
    for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++) {
        struct wire_text t = {0};

        view_status_print(&terms[i], &t, s);
        for (size_t k = 0; k < s->guest_count; k++)
            view_guest_print(&terms[i], &t, &s->guests[k], &s->host);
        for (const char *c = t.data; *c; c++)
            if (((unsigned char)*c < 0x20 && *c != '\n') || *c == 0x7f || (unsigned char)*c >= 0x80)
                fail_msg("byte %#x at ...%.40s", (unsigned char)*c, c > t.data + 20 ? c - 20 : t.data);
        wire_text_done(&t);
    }
}

/* The largest numbers and none at all. */
static void impossible_numbers_are_shown(void **state)
{
    AUTO(wire_status) struct wire_status *s = fixture_status();
    struct wire_guest *g = &s->guests[1];
    uint64_t *numbers[] = {&g->committed_bytes, &g->commit_limit_bytes, &g->anon_bytes, &g->shmem_bytes,
                           &g->dirty_bytes, &g->cache_bytes, &g->swap_total_bytes, &g->swap_used_bytes,
                           &g->swapped_in_bytes, &g->psi_some_usec, &g->psi_full_usec, &g->rate_ms,
                           &g->swap_in_rate_bytes, &g->psi_some_percent, &g->psi_full_percent, &g->levers_age_ms,
                           &g->oom_kills, &g->refault_rate_bytes};
    static const uint64_t values[] = {0, 1, UINT64_MAX - 1, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct wire_text t = {0};

        for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++)
            *numbers[k] = values[i];
        view_guest_print(&narrow_term, &t, g, &s->host);
        assert_false(t.failed);
        assert_true(longest_line(t.data) <= 80);
        wire_text_done(&t);
    }
}

static void texts_are_cut_and_counted_in_columns(void **state)
{
    static const struct {
        const char *text;
        unsigned room;
        bool utf8;
        const char *want;
    } cases[] = {
        {"database", 0, false, "database"},   {"database", 8, false, "database"}, {"database", 7, false, "datab.."},
        {"gr\xc3\xbcn", 0, false, "gr?n"},    {"gr\xc3\xbcn", 0, true, "gr\xc3\xbcn"},
        {"gr\xc3\xbcner", 5, true, "gr\xc3\xbc.."}, {"\xe4\xbd\xa0\xe5\xa5\xbd\xe5\x90\x97", 5, true, "\xe4\xbd\xa0.."},
        {"a\xe2\x80\x8b" "b", 0, true, "a?b"}, /* zero width */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct term term = {.utf8 = cases[i].utf8};
        struct wire_text t = {0};
        unsigned columns = term_text(&term, &t, cases[i].text, cases[i].room);

        assert_string_equal(t.data, cases[i].want);
        assert_int_equal(columns, term_columns(&term, cases[i].want));
        wire_text_done(&t);
    }
}

static void paragraphs_keep_numbers_and_units_together(void **state)
{
    struct term term = {.width = 20};
    struct wire_text t = {0};

    (void)state;
    term_wrap(&term, &t, "assigned some 712 MiB, more averylongwordthatfitsnowhere 5 sheep", 0, 2);
    assert_string_equal(t.data, "assigned some\n  712 MiB, more\n  averylongwordthatfitsnowhere\n  5 sheep\n");
    wire_text_done(&t);
}

/* A pipe is no terminal; COLUMNS counts, NO_COLOR does. */
static void terminals_are_asked(void **state)
{
    int fds[2];
    FILE *f;

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    f = fdopen(fds[1], "w");
    (void)unsetenv("COLUMNS");
    assert_int_equal(term_of(f).width, TERM_WIDTH_UNLIMITED);
    assert_false(term_of(f).colour);
    (void)setenv("COLUMNS", "120", 1);
    assert_int_equal(term_of(f).width, 120);
    (void)setenv("COLUMNS", "-3", 1);
    assert_int_equal(term_of(f).width, TERM_WIDTH_UNLIMITED);
    (void)setenv("COLUMNS", "99999999999999999999", 1);
    assert_int_equal(term_of(f).width, TERM_WIDTH_UNLIMITED);
    (void)setenv("COLUMNS", "1", 1);
    assert_int_equal(term_of(f).width, TERM_WIDTH_MIN);
    (void)fclose(f);
    (void)close(fds[0]);
}

static void colours_need_a_willing_terminal(void **state)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    FILE *f;

    (void)state;
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        skip();
    f = fopen(ptsname(master), "we");
    assert_non_null(f);
    (void)unsetenv("NO_COLOR");
    (void)setenv("TERM", "xterm", 1);
    assert_true(term_of(f).colour);
    (void)setenv("NO_COLOR", "1", 1);
    assert_false(term_of(f).colour);
    (void)unsetenv("NO_COLOR");
    (void)setenv("TERM", "dumb", 1);
    assert_false(term_of(f).colour);
    assert_true(term_of(f).is_terminal);
    (void)fclose(f);
    (void)close(master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_looks_as_it_did),
        cmocka_unit_test(guests_look_as_they_did),
        cmocka_unit_test(reasons_look_as_they_did),
        cmocka_unit_test(replays_are_told_in_a_sentence),
        cmocka_unit_test(an_empty_host_says_how_to_begin),
        cmocka_unit_test(no_line_is_wider_than_the_terminal),
        cmocka_unit_test(nothing_foreign_reaches_the_terminal),
        cmocka_unit_test(impossible_numbers_are_shown),
        cmocka_unit_test(texts_are_cut_and_counted_in_columns),
        cmocka_unit_test(paragraphs_keep_numbers_and_units_together),
        cmocka_unit_test(terminals_are_asked),
        cmocka_unit_test(colours_need_a_willing_terminal),
    };

    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* wcwidth() knows more than ASCII then */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
