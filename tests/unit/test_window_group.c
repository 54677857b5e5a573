/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fixture_window.h"
#include "window_group.h"

/* Three played guests that meet at one instant, with every failure at every step of one of them: all three come to their end,
 * run and thawed; nobody was frozen or stopped for longer than its own limits; and either all have a point of a common
 * instant, or nobody has one, but for a failure after that instant, which is one guest's own. */

#define GUESTS 3
#define HARD_USEC 15000000ULL       /* WINDOW_TIMES */
#define CHECKPOINT_USEC 2000000ULL
#define SLACK_USEC 4000000ULL       /* cont and thaw have 2 s each before the guardian takes over */

#define SLOWER_USEC 20000 /* each than the one before, a command */

struct troupe {
    struct stage stages[GUESTS];
    struct window_group *group;
    uint64_t stopped_since[GUESTS], stopped_longest, frozen_since[GUESTS], frozen_longest;
    size_t copying, copying_most;
    unsigned turns;
};
static struct troupe *troupe; /* of the callback */

static size_t place_of(const struct stage *s)
{
    return (size_t)(s - troupe->stages);
}

static void on_failed(void *s, const char *text)
{
    window_group_fail(troupe->group, place_of(s), text);
}

/* ---- the books of one turn ---- */

static void keep_longest(bool is_so, uint64_t now_usec, uint64_t *since, uint64_t *longest)
{
    if (is_so && !*since)
        *since = now_usec;
    if (!is_so && *since && now_usec - *since > *longest)
        *longest = now_usec - *since;
    if (!is_so)
        *since = 0;
}

static void keep_books(struct troupe *t, size_t i)
{
    struct stage *s = &t->stages[i];

    keep_longest(s->stopped, s->now_usec, &t->stopped_since[i], &t->stopped_longest);
    keep_longest(s->frozen, s->now_usec, &t->frozen_since[i], &t->frozen_longest);
    t->copying = 0;
    for (size_t k = 0; k < GUESTS; k++)
        t->copying += t->stages[k].copier;
    t->copying_most = t->copying > t->copying_most ? t->copying : t->copying_most;
}

/* ---- what happens next, in the order of time ---- */

static bool waits_for_group(const struct stage *s)
{
    return s->last.is_due && s->last.c.peer == WINDOW_GROUP;
}

static void meet(struct troupe *t, size_t i)
{
    enum window_meeting meeting;

    if (window_meeting_parse(t->stages[i].last.c.command, &meeting))
        window_group_meet(t->group, i, meeting);
    else
        window_group_turn(t->group, i);
}

static void carry_words(struct troupe *t, uint64_t now_usec)
{
    struct window_group_word word;

    while (window_group_next(t->group, &word)) {
        struct stage *s = &t->stages[word.place];
        bool waited = waits_for_group(s);
        struct err e = {0};

        if (s->finished)
            continue;
        s->now_usec = waited && now_usec > s->now_usec ? now_usec : s->now_usec;
        (void)err_set(&e, ECANCELED, "%s", word.text);
        if (!word.is_go)
            window_abandon(s->window, word.text, s->now_usec);
        if (waited && waits_for_group(s))
            stage_tell(s, word.is_go ? NULL : &e);
        if (waited && waits_for_group(s))
            meet(t, word.place);
    }
}

/* The one whose time comes first; a guest that waits comes when its patience is over. */
static struct stage *next_of(struct troupe *t)
{
    struct stage *next = NULL;
    uint64_t at = UINT64_MAX;

    for (size_t i = 0; i < GUESTS; i++) {
        struct stage *s = &t->stages[i];
        uint64_t its = waits_for_group(s) ? s->group_due_usec : s->now_usec;

        if (s->finished || !s->last.is_due || its >= at)
            continue;
        next = s;
        at = its;
    }
    return next;
}

static void take_turn(struct troupe *t, struct stage *s)
{
    struct err late = {0};
    size_t i = place_of(s);

    if (waits_for_group(s)) {
        s->now_usec = s->group_due_usec;
        (void)err_set(&late, ETIMEDOUT, "the others are late");
        stage_tell(s, &late);
    } else {
        stage_turn(s);
        s->now_usec += i * SLOWER_USEC;
    }
    keep_books(t, i);
    if (s->finished)
        window_group_leave(t->group, i);
    else if (waits_for_group(s))
        meet(t, i);
    carry_words(t, s->now_usec);
}

static void troupe_init(struct troupe *t, size_t copies_max)
{
    static const char *const names[GUESTS] = {"web1", "db1", "db2"};
    struct err e = {0};

    *t = (struct troupe){0};
    troupe = t;
    assert_int_equal(window_group_new("00000000000000aa", GUESTS, copies_max, &t->group, &e), 0);
    for (size_t i = 0; i < GUESTS; i++) {
        stage_init(&t->stages[i]);
        t->stages[i].guest = names[i];
        t->stages[i].on_failed = on_failed;
        t->stages[i].now_usec += i * 700000; /* one after the other */
        window_group_name(t->group, i, names[i], names[i]);
    }
}

static void troupe_play(struct troupe *t)
{
    struct stage *s;

    for (size_t i = 0; i < GUESTS; i++)
        stage_begin(&t->stages[i]);
    while ((s = next_of(t)) && t->turns++ < GUESTS * STAGE_SENDS_MAX)
        take_turn(t, s);
}

static void troupe_done(struct troupe *t)
{
    for (size_t i = 0; i < GUESTS; i++)
        stage_done(&t->stages[i]);
    t->group = window_group_free(t->group);
}

static struct window_view view_of(const struct troupe *t, size_t i)
{
    struct window_view v;

    window_look(t->stages[i].window, &v);
    return v;
}

/* The manifests' group, as the daemon prints it. */
static bool is_common(const struct troupe *t)
{
    struct window_instant each[GUESTS];
    struct wire_text text = {0};
    bool common;

    for (size_t i = 0; i < GUESTS; i++)
        window_look_instant(t->stages[i].window, &each[i]);
    window_group_print(t->group, each, &text);
    common = strstr(text.data, "\"common\":true") != NULL;
    wire_text_done(&text);
    return common;
}

/* ---- tests ---- */

static void all_at_one_instant(void **state)
{
    struct window_instant each[GUESTS];
    struct wire_text text = {0};
    struct troupe t;

    (void)state;
    troupe_init(&t, GUESTS);
    troupe_play(&t);
    for (size_t i = 0; i < GUESTS; i++) {
        assert_true(t.stages[i].finished && t.stages[i].committed);
        assert_null(stage_left(&t.stages[i]));
        assert_int_equal(view_of(&t, i).consistency, WINDOW_FS);
        window_look_instant(t.stages[i].window, &each[i]);
        assert_string_equal(each[i].time, "20261124T152410Z");
        for (size_t k = 0; k <= i; k++) {
            assert_true(each[i].stopped_usec <= each[k].continued_usec);
            assert_true(each[k].stopped_usec <= each[i].continued_usec);
        }
    }
    assert_true(is_common(&t));
    assert_int_equal(t.copying_most, GUESTS);
    each[1].stopped_usec = each[0].continued_usec + 1; /* what is not so is not said */
    window_group_print(t.group, each, &text);
    assert_non_null(strstr(text.data, "{\"id\":\"00000000000000aa\",\"common\":false,\"guests\":[{\"guest\":\"web1\",\"identity\":"
                           "\"web1\",\"time\":\"20261124T152410Z\",\"paused\":false,\"stopped_usec\":"));
    wire_text_done(&text);
    troupe_done(&t);
}

static void copies_wait_for_their_turn(void **state)
{
    struct troupe t;

    (void)state;
    troupe_init(&t, 1);
    troupe_play(&t);
    for (size_t i = 0; i < GUESTS; i++)
        assert_true(t.stages[i].finished && t.stages[i].committed && !stage_left(&t.stages[i]));
    assert_int_equal(t.copying_most, 1);
    troupe_done(&t);
}

static void a_paused_guest_stands_still_with_them(void **state)
{
    struct troupe t;

    (void)state;
    troupe_init(&t, GUESTS);
    t.stages[1].status = "paused";
    troupe_play(&t);
    for (size_t i = 0; i < GUESTS; i++)
        if (!t.stages[i].committed)
            fail_msg("guest %zu: %s", i, view_of(&t, i).error);
    assert_int_equal(view_of(&t, 1).consistency, WINDOW_PAUSED);
    assert_int_equal(view_of(&t, 2).consistency, WINDOW_FS);
    assert_true(is_common(&t));
    troupe_done(&t);
}

static const char *const fault_names[STAGE_FAULT_COUNT] = {"none", "error", "timeout", "late", "lost", "gone",
                                                           "reset", "paused", "cancel", "overtaken"};

static void judge(struct troupe *t, unsigned step, enum stage_fault fault, size_t who)
{
    size_t committed = 0, failed = 0;
    bool is_past = window_group_is_past(t->group);
    const char *left;

    for (size_t i = 0; i < GUESTS; i++) {
        const struct stage *s = &t->stages[i];

        committed += s->committed;
        failed += view_of(t, i).failed;
        if (!s->finished)
            fail_msg("step %u (%s), fault %s of guest %zu: guest %zu comes to no end", step, window_step_name(step),
                     fault_names[fault], who, i);
        left = i == who && step > stage_number("copier-end") ? NULL : stage_left(s); /* its own: test_window.c */
        if (left)
            fail_msg("step %u (%s), fault %s of guest %zu: guest %zu: %s", step, window_step_name(step), fault_names[fault], who,
                     i, left);
    }
    if (!is_past && (committed > 0 || failed < GUESTS))
        fail_msg("step %u (%s), fault %s: %zu points without a common instant", step, window_step_name(step),
                 fault_names[fault], committed);
    if (is_past && committed + 1 < GUESTS)
        fail_msg("step %u (%s), fault %s: others have no point for one's failure after the instant", step,
                 window_step_name(step), fault_names[fault]);
    if (committed == GUESTS && !is_common(t))
        fail_msg("step %u (%s), fault %s: the instant was not common", step, window_step_name(step), fault_names[fault]);
    if (t->stopped_longest > CHECKPOINT_USEC + SLACK_USEC || t->frozen_longest > HARD_USEC + SLACK_USEC)
        fail_msg("step %u (%s), fault %s: stopped for %d ms, frozen for %d ms", step, window_step_name(step), fault_names[fault],
                 (int)(t->stopped_longest / 1000), (int)(t->frozen_longest / 1000));
}

static void nobody_waits_for_one_that_fails(void **state)
{
    (void)state;
    for (unsigned step = 1; window_step_name(step); step++)
        for (int fault = STAGE_ERROR; fault < STAGE_FAULT_COUNT; fault++)
            for (size_t who = 0; who < GUESTS; who += GUESTS - 1) {
                bool in_window = step > stage_number("arm") && step <= stage_number("disarm");
                struct troupe t;

                if ((fault == STAGE_RESET || fault == STAGE_OVERTAKEN) && !in_window)
                    continue;
                troupe_init(&t, GUESTS);
                t.stages[who].fault_step = step;
                t.stages[who].fault = (enum stage_fault)fault;
                troupe_play(&t);
                judge(&t, step, (enum stage_fault)fault, who);
                troupe_done(&t);
            }
}

/* The others thaw as soon as their own limit says so, not when the slow one does; and say whom they waited for. */
static void a_slow_freeze_is_not_waited_for(void **state)
{
    struct troupe t;
    char text[WINDOW_TEXT_SIZE];

    (void)state;
    troupe_init(&t, GUESTS);
    t.stages[1].fault_step = stage_number("freeze");
    t.stages[1].fault = STAGE_LATE;
    troupe_play(&t);
    judge(&t, t.stages[1].fault_step, STAGE_LATE, 1);
    assert_in_range(t.frozen_longest, 9000000, 15000000);
    troupe_done(&t);

    troupe_init(&t, GUESTS);
    window_group_meet(t.group, 0, WINDOW_MEET_PREPARED);
    window_group_meet(t.group, 2, WINDOW_MEET_PREPARED);
    window_group_print_late(t.group, WINDOW_MEET_PREPARED, text, sizeof(text));
    assert_string_equal(text, "guest 'db1', which was to be backed up at the same instant, was not prepared in time");
    window_group_fail(t.group, 1, "no disk");
    for (int i = 0; i < 2; i++) {
        struct window_group_word word;

        assert_true(window_group_next(t.group, &word) && !word.is_go && word.place == (i ? 2U : 0U));
        assert_string_equal(word.text, "guest 'db1', which was to be backed up at the same instant, failed: no disk");
    }
    t.group = window_group_free(t.group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_at_one_instant),
        cmocka_unit_test(copies_wait_for_their_turn),
        cmocka_unit_test(a_paused_guest_stands_still_with_them),
        cmocka_unit_test(nobody_waits_for_one_that_fails),
        cmocka_unit_test(a_slow_freeze_is_not_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
