/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture_golden.h"
#include "fixture_status.h"
#include "top_bars.h"
#include "top_model.h"

/* `ballast top` without a terminal: what stands on the screen after which keys. */

static const struct term ascii_term = {.is_terminal = true};
static const struct term utf8_term = {.is_terminal = true, .colour = true, .utf8 = true};

static struct wire_history *history_new_of_one(void)
{
    struct wire_history *h = calloc(1, sizeof(*h));

    assert_non_null(h);
    h->guests = calloc(1, sizeof(*h->guests));
    assert_non_null(h->guests);
    h->step_ms = 5000;
    h->guest_count = 1;
    fixture_history(&h->guests[0]);
    return h;
}

static int open_top(void **state)
{
    static struct top t;

    top_init(&t);
    top_see(&t, fixture_status(), history_new_of_one());
    *state = &t;
    return 0;
}

static int close_top(void **state)
{
    top_done(*state);
    return 0;
}

static void drawn(struct top *t, const struct term *term, unsigned rows, unsigned columns, struct wire_text *ret)
{
    AUTO(top_screen) struct top_screen *s = top_screen_new(term, rows, columns);

    assert_non_null(s);
    top_draw(t, "14:55:03", s);
    top_screen_text(s, ret);
    assert_false(ret->failed);
}

static void press(struct top *t, const char *keys)
{
    for (; *keys; keys++)
        assert_int_equal(top_press(t, *keys), TOP_GO_ON);
}

/* The guests on the screen, in order: "web1 liar". */
static const char *names_shown(struct top *t, char *to, size_t size)
{
    size_t used = 0;

    to[0] = '\0';
    for (size_t i = 0; i < t->list_count; i++)
        used += (size_t)snprintf(to + used, size - used, "%s%.8s", i > 0 ? " " : "", top_guest(t, i)->name);
    return to;
}

static void screens_look_as_they_did(void **state)
{
    static const struct {
        const char *name, *keys;
        const struct term *term;
        unsigned rows, columns;
    } cases[] = {
        {"top-80x24.txt", "", &ascii_term, 24, 80},
        {"top-80x24-utf8.txt", "", &utf8_term, 24, 80},
        {"top-160x50.txt", "n", &utf8_term, 50, 160},
        {"top-40x12.txt", "", &ascii_term, 12, 40},
        {"top-chosen.txt", "njjjj", &ascii_term, 24, 100},
        {"top-list-only.txt", "\n", &ascii_term, 24, 80},
        {"top-filter.txt", "\n\n/a", &ascii_term, 16, 80},
        {"top-help.txt", "?", &ascii_term, 24, 80},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_text text = {0};
        struct top t;

        top_init(&t);
        top_see(&t, fixture_status(), history_new_of_one());
        press(&t, cases[i].keys);
        drawn(&t, cases[i].term, cases[i].rows, cases[i].columns, &text);
        golden_check(cases[i].name, &text);
        wire_text_done(&text);
        top_done(&t);
    }
}

static void keys_sort(void **state)
{
    static const struct {
        const char *keys, *names;
    } cases[] = {
        {"n", "batch database liar new web1"},
        {"a", "database web1 batch liar new"},
        {"d", "database web1 batch liar new"},
        {"p", "database web1 batch liar new"},
        {"i", "database batch liar new web1"},
        {"nr", "web1 new liar database batch"},
        {"pr", "new liar batch web1 database"},
    };
    struct top *t = *state;
    char names[256];

    for (size_t i = 0; i < t->status->guest_count; i++)
        t->status->guests[i].moved_bytes = i; /* the last one moved most */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        t->reverse = false;
        press(t, cases[i].keys);
        assert_string_equal(names_shown(t, names, sizeof(names)), cases[i].names);
    }
    t->reverse = false;
    press(t, "m");
    assert_string_equal(names_shown(t, names, sizeof(names)), "new liar batch database web1");
    for (size_t i = 0; i < TOP_SORT_COUNT; i++)
        press(t, "s"); /* all around */
    assert_int_equal(t->sort, TOP_SORT_MOVED);
}

static void a_filter_is_a_part_or_a_pattern(void **state)
{
    static const struct {
        const char *typed, *names;
    } cases[] = {{"WEB", "web1"}, {"*a*", "batch database liar"}, {"web?", "web1"}, {"[", ""}, {"no", ""},
                 {"", "batch database liar new web1"}};
    struct top *t = *state;
    char names[256];

    press(t, "n");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        press(t, "/");
        press(t, cases[i].typed);
        assert_string_equal(names_shown(t, names, sizeof(names)), cases[i].names);
        assert_int_equal(top_press(t, TOP_KEY_ENTER), TOP_GO_ON);
        assert_string_equal(t->filter, cases[i].typed);
        assert_int_equal(top_press(t, TOP_KEY_ESCAPE), TOP_GO_ON);
        assert_int_equal(t->list_count, 5);
    }
    press(t, "/webb");
    assert_int_equal(top_press(t, TOP_KEY_BACKSPACE), TOP_GO_ON);
    assert_int_equal(t->list_count, 1);
    for (int i = 0; i < 500; i++) /* longer than any name */
        press(t, "x");
    assert_int_equal(top_press(t, 'q'), TOP_GO_ON); /* a letter here */
    assert_int_equal(top_press(t, TOP_KEY_ESCAPE), TOP_GO_ON);
    assert_int_equal(top_press(t, 'q'), TOP_QUIT);
}

/* Whatever comes and goes, the chosen one stays chosen, and is on the screen. */
static void the_chosen_one_stays(void **state)
{
    struct top *t = *state;
    struct wire_status *fewer = fixture_status();
    struct wire_text text = {0};

    press(t, "njjj");
    assert_string_equal(t->selected, "new");
    assert_int_equal(top_press(t, TOP_KEY_UP), TOP_GO_ON);
    assert_string_equal(t->selected, "liar");
    top_see(t, fixture_status(), NULL); /* the history before stays */
    assert_non_null(t->history);
    assert_string_equal(top_guest(t, top_selected(t))->name, "liar");
    drawn(t, &ascii_term, 7, 80, &text); /* room for two */
    assert_non_null(strstr(text.data, "\nliar "));
    wire_text_done(&text);
    fewer->guest_count = 1;
    top_see(t, fewer, NULL);
    assert_string_equal(top_guest(t, top_selected(t))->name, "web1");
    assert_int_equal(top_press(t, TOP_KEY_END), TOP_GO_ON);
    assert_int_equal(top_press(t, TOP_KEY_PAGE_UP), TOP_GO_ON);
    assert_string_equal(t->selected, "web1");
}

static void a_silent_daemon_is_told_and_the_last_screen_stays(void **state)
{
    struct top *t = *state;
    struct wire_text text = {0};

    top_see_problem(t, "ballastd does not answer, trying again");
    drawn(t, &ascii_term, 24, 80, &text);
    assert_non_null(strstr(text.data, "ballastd does not answer, trying again"));
    assert_non_null(strstr(text.data, "web1"));
    wire_text_done(&text);
    top_see(t, fixture_status(), NULL);
    (void)strcpy(t->status->host.moves, "off");
    drawn(t, &ascii_term, 24, 80, &text);
    assert_null(strstr(text.data, "does not answer"));
    assert_non_null(strstr(text.data, "moves are off"));
    wire_text_done(&text);
}

/* Any size, any term, any key, any name: nothing outside of the grid, nothing but what a terminal may get. */
static void every_size_and_evil_text(void **state)
{
    static const char evil[] = "a\x1b[2J\x07\xc2\x9b\x37m\xff\ne\r\xe4\xbd\xa0\xe5\xa5\xbd";
    static const char *const keys[] = {"", "\n", "?", "/x"};
    struct top *t = *state;

    for (size_t i = 0; i < t->status->guest_count; i++) {
        struct wire_guest *g = &t->status->guests[i];

        (void)snprintf(g->name, sizeof(g->name), "%s%zu", evil, i);
        (void)strcpy(g->order_reason, evil);
        (void)strcpy(g->trouble, evil);
        (void)strcpy(g->owner, evil);
        (void)strcpy(g->memory_status, "\x1b[5m");
        g->assigned_bytes = i % 2 ? UINT64_MAX - 1 : 0;
        g->demand_bytes = i % 3 ? UINT64_MAX - 1 : 1;
        g->maximum_bytes = i == 0 ? 0 : UINT64_MAX;
        wire_guest_flag(g, evil, evil);
    }
    (void)strcpy(t->status->host.name, evil);
    (void)strcpy(t->status->host.share_text, evil);
    (void)strcpy(t->history->guests[0].name, t->status->guests[0].name);
    (void)strcpy(t->history->guests[0].moves[0].reason, evil);
    t->history->guests[0].demand_bytes[3] = UINT64_MAX - 1;
    t->status->host.free_bytes = INT64_MIN + 1;
    top_see_problem(t, evil);
    for (unsigned size = 0; size < 200; size += size < 30 ? 1 : 17)
        for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
            const struct term *term = size % 2 ? &ascii_term : &utf8_term;
            AUTO(top_screen) struct top_screen *s = top_screen_new(term, size / 2, size);

            press(t, keys[k]);
            top_draw(t, "", s);
            for (size_t i = 0; i < (size_t)s->rows * s->columns; i++) {
                const char *c = s->cells[i].text;

                assert_true((unsigned char)*c >= ' ' || !*c);
                assert_true(*c != 0x7f && (term->utf8 || (unsigned char)*c < 0x80));
                assert_true(!*c || wire_utf8_length(c) == strlen(c));
            }
            (void)top_press(t, TOP_KEY_ESCAPE);
        }
}

static void wide_characters_stay_whole(void **state)
{
    AUTO(top_screen) struct top_screen *s = top_screen_new(&utf8_term, 2, 6);
    struct wire_text text = {0};

    (void)state;
    assert_int_equal(top_screen_put(s, 0, 0, 6, TERM_PLAIN, "\xe4\xbd\xa0\xe5\xa5\xbd!"), 5);
    assert_int_equal(top_screen_put(s, 1, 5, 6, TERM_PLAIN, "\xe4\xbd\xa0"), 0); /* half of it would fit */
    assert_int_equal(top_screen_put(s, 2, 0, 6, TERM_PLAIN, "beyond"), 0);
    assert_int_equal(top_screen_put(s, 0, 6, 6, TERM_PLAIN, "beyond"), 0);
    top_screen_text(s, &text);
    assert_string_equal(text.data, "\xe4\xbd\xa0\xe5\xa5\xbd!\n\n");
    wire_text_done(&text);
}

static void bars_add_up(void **state)
{
    static const struct {
        uint64_t assigned, demand, maximum;
        const char *want;
    } cases[] = {
        {512, 256, 1024, "[##==....]\n"},  {512, 768, 1024, "[####!!..]\n"}, {1024, 1024, 1024, "[########]\n"},
        {0, 0, 1024, "[........]\n"},      {2048, 512, 1024, "[##======]\n"}, {512, 9999, 1024, "[####!!!!]\n"},
        {WIRE_UNKNOWN, WIRE_UNKNOWN, WIRE_UNKNOWN, "[........]\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(top_screen) struct top_screen *s = top_screen_new(&ascii_term, 1, 10);
        struct wire_text text = {0};
        struct wire_guest g;

        wire_guest_clear(&g);
        g.assigned_bytes = cases[i].assigned;
        g.demand_bytes = cases[i].demand;
        g.maximum_bytes = cases[i].maximum;
        top_bar_guest(s, 0, 0, 10, &g);
        top_screen_text(s, &text);
        assert_string_equal(text.data, cases[i].want);
        wire_text_done(&text);
    }
}

#define TOP(test) cmocka_unit_test_setup_teardown(test, open_top, close_top)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(screens_look_as_they_did),
        TOP(keys_sort),
        TOP(a_filter_is_a_part_or_a_pattern),
        TOP(the_chosen_one_stays),
        TOP(a_silent_daemon_is_told_and_the_last_screen_stays),
        TOP(every_size_and_evil_text),
        cmocka_unit_test(wide_characters_stay_whole),
        cmocka_unit_test(bars_add_up),
    };

    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* wcwidth() knows more than ASCII then */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
