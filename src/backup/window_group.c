/* SPDX-License-Identifier: Apache-2.0 */
#include "window_group.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "window_private.h"

enum place_state {
    PLACE_WORKS,
    PLACE_WAITS, /* at the meeting, or for its turn */
    PLACE_COPIES,
    PLACE_OUT    /* failed, told so, or at its end */
};

struct place {
    char guest[TEXT_NAME_MAX + 1], identity[TEXT_NAME_MAX + 1];
    enum place_state state;
    bool is_due; /* a word for it */
};

struct window_group {
    char id[WINDOW_GROUP_ID_SIZE];
    size_t n, copies_max;
    unsigned met; /* meetings that are over */
    bool failed;
    char why[WINDOW_TEXT_SIZE];
    struct place places[WINDOW_GROUP_MAX];
};

static const char *const commands[WINDOW_MEETING_COUNT] = {"meet-prepared", "meet-ready", "meet-frozen",
                                                             "meet-checkpoint"};

bool window_meeting_parse(const char *command, enum window_meeting *ret)
{
    for (int i = 0; i < WINDOW_MEETING_COUNT; i++)
        if (strcmp(commands[i], command) == 0) {
            *ret = (enum window_meeting)i;
            return true;
        }
    return false;
}

int window_group_new(const char *id, size_t n, size_t copies_max, struct window_group **ret, struct err *e)
{
    struct window_group *g = calloc(1, sizeof(*g));

    if (!g)
        return err_set(e, ENOMEM, "no memory for a group of guests");
    (void)snprintf(g->id, sizeof(g->id), "%s", id);
    g->n = n;
    g->copies_max = copies_max;
    *ret = g;
    return 0;
}

struct window_group *window_group_free(struct window_group *g)
{
    free(g);
    return NULL;
}

void window_group_name(struct window_group *g, size_t place, const char *guest, const char *identity)
{
    (void)snprintf(g->places[place].guest, sizeof(g->places[place].guest), "%s", guest);
    (void)snprintf(g->places[place].identity, sizeof(g->places[place].identity), "%s", identity);
}

bool window_group_is_past(const struct window_group *g)
{
    return g->met == WINDOW_MEETING_COUNT;
}

const char *window_group_id(const struct window_group *g)
{
    return g->id;
}

static size_t count(const struct window_group *g, enum place_state state)
{
    size_t n = 0;

    for (size_t i = 0; i < g->n; i++)
        n += g->places[i].state == state;
    return n;
}

void window_group_meet(struct window_group *g, size_t place, enum window_meeting meeting)
{
    if (g->places[place].state != PLACE_WORKS || meeting != (enum window_meeting)g->met)
        return; /* it is told already that all is over */
    g->places[place].state = PLACE_WAITS;
    if (g->failed || count(g, PLACE_WAITS) < g->n)
        return;
    g->met++;
    for (size_t i = 0; i < g->n; i++) {
        g->places[i].state = PLACE_WORKS;
        g->places[i].is_due = true;
    }
}

/* In the order of their places: the first guest that was named copies first. */
static void give_turns(struct window_group *g)
{
    for (size_t i = 0; i < g->n && count(g, PLACE_COPIES) < g->copies_max; i++) {
        if (g->places[i].state != PLACE_WAITS)
            continue;
        g->places[i].state = PLACE_COPIES;
        g->places[i].is_due = true;
    }
}

void window_group_turn(struct window_group *g, size_t place)
{
    if (g->places[place].state == PLACE_OUT)
        return;
    g->places[place].state = PLACE_WAITS;
    give_turns(g);
}

void window_group_leave(struct window_group *g, size_t place)
{
    g->places[place].state = PLACE_OUT;
    g->places[place].is_due = false;
    if (window_group_is_past(g))
        give_turns(g);
}

void window_group_fail(struct window_group *g, size_t place, const char *text)
{
    bool waited = g->places[place].state == PLACE_WAITS;

    if (g->places[place].state == PLACE_OUT)
        return;
    if (window_group_is_past(g) && !waited)
        return; /* its own affair; its turn ends with it */
    g->places[place].state = PLACE_OUT;
    g->places[place].is_due = waited;
    if (window_group_is_past(g) || g->failed)
        return;
    g->failed = true;
    (void)snprintf(g->why, sizeof(g->why), "guest '%s', which was to be backed up at the same instant, failed: %.400s",
                   g->places[place].guest, text);
    for (size_t i = 0; i < g->n; i++)
        if (g->places[i].state != PLACE_OUT) {
            g->places[i].state = PLACE_OUT;
            g->places[i].is_due = true;
        }
}

bool window_group_next(struct window_group *g, struct window_group_word *ret)
{
    for (size_t i = 0; i < g->n; i++) {
        struct place *p = &g->places[i];

        if (!p->is_due)
            continue;
        p->is_due = false;
        *ret = (struct window_group_word){.place = i, .is_go = p->state != PLACE_OUT};
        if (!ret->is_go)
            (void)snprintf(ret->text, sizeof(ret->text), "%s", g->failed ? g->why : "it was given up");
        return true;
    }
    return false;
}

void window_group_print_late(const struct window_group *g, enum window_meeting meeting, char *to, size_t size)
{
    static const char *const missed[WINDOW_MEETING_COUNT] = {"prepared", "ready", "frozen", "at its checkpoint"};

    (void)snprintf(to, size, "another guest of its group was late");
    for (size_t i = 0; i < g->n; i++)
        if (g->places[i].state == PLACE_WORKS) {
            (void)snprintf(to, size, "guest '%s', which was to be backed up at the same instant, was not %s in time",
                           g->places[i].guest, missed[meeting]);
            return;
        }
}

/* Everyone stood still before the first one went on. One that its user had paused did all the time. */
static bool is_common(const struct window_group *g, const struct window_instant *each, uint64_t *ret_first)
{
    uint64_t last_stop = 0, first_cont = UINT64_MAX, first = UINT64_MAX;
    bool is_known = window_group_is_past(g);

    for (size_t i = 0; i < g->n; i++) {
        if (each[i].is_paused)
            continue;
        is_known = is_known && each[i].stopped_usec && each[i].continued_usec;
        last_stop = each[i].stopped_usec > last_stop ? each[i].stopped_usec : last_stop;
        first = each[i].stopped_usec < first ? each[i].stopped_usec : first;
        first_cont = each[i].continued_usec < first_cont ? each[i].continued_usec : first_cont;
    }
    *ret_first = first;
    return is_known && last_stop <= first_cont;
}

static void print_since(struct wire_text *t, const char *key, uint64_t usec, uint64_t first)
{
    if (usec >= first)
        wire_text_format(t, ",\"%s\":%" PRIu64, key, usec - first);
    else
        wire_text_format(t, ",\"%s\":null", key);
}

void window_group_print(const struct window_group *g, const struct window_instant *each, struct wire_text *t)
{
    uint64_t first;
    bool common = is_common(g, each, &first);

    wire_text_format(t, "{\"id\":\"%s\",\"common\":%s,\"guests\":[", g->id, common ? "true" : "false");
    for (size_t i = 0; i < g->n; i++) {
        wire_text_adds(t, i ? ",{" : "{");
        window_print_text(t, "guest", g->places[i].guest);
        wire_text_adds(t, ",");
        window_print_text(t, "identity", g->places[i].identity);
        wire_text_adds(t, ",");
        window_print_text(t, "time", each[i].time);
        wire_text_format(t, ",\"paused\":%s", each[i].is_paused ? "true" : "false");
        print_since(t, "stopped_usec", each[i].stopped_usec, first);
        print_since(t, "continued_usec", each[i].continued_usec, first);
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "]}");
}
