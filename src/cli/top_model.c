/* SPDX-License-Identifier: Apache-2.0 */
#include "top_model.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PRINTABLE ' '
#define LAST_PRINTABLE '~'

const char *top_sort_name(enum top_sort sort)
{
    static const char *const names[TOP_SORT_COUNT] = {"name", "assigned", "demand", "pressure", "moved", "priority"};

    return sort < TOP_SORT_COUNT ? names[sort] : "";
}

void top_init(struct top *t)
{
    *t = (struct top){.sort = TOP_SORT_PRESSURE, .detail = true, .page = 1};
}

void top_done(struct top *t)
{
    t->status = wire_status_free(t->status);
    t->history = wire_history_free(t->history);
    free(t->list);
    t->list = NULL;
    t->list_count = 0;
}

const struct wire_guest *top_guest(const struct top *t, size_t i)
{
    return &t->status->guests[t->list[i]];
}

size_t top_selected(const struct top *t)
{
    for (size_t i = 0; i < t->list_count; i++)
        if (strcmp(top_guest(t, i)->name, t->selected) == 0)
            return i;
    return 0;
}

/* ---- the list ---- */

/* A pattern where it looks like one, else a part of the name. */
static bool passes(const struct top *t, const char *name)
{
    if (!t->filter[0])
        return true;
    if (strpbrk(t->filter, "*?["))
        return fnmatch(t->filter, name, FNM_CASEFOLD) == 0;
    return strcasestr(name, t->filter) != NULL;
}

/* What the guest is sorted by, larger first; not known counts as nothing. */
static uint64_t value_of(const struct wire_guest *g, enum top_sort sort)
{
    uint64_t value = 0;

    switch (sort) {
    case TOP_SORT_ASSIGNED:
        value = g->assigned_bytes;
        break;
    case TOP_SORT_DEMAND:
        value = g->demand_bytes;
        break;
    case TOP_SORT_PRESSURE:
        value = g->pressure_percent;
        break;
    case TOP_SORT_MOVED:
        value = g->moved_bytes;
        break;
    case TOP_SORT_PRIORITY:
        value = g->priority;
        break;
    case TOP_SORT_NAME:
    case TOP_SORT_COUNT:
        break;
    }
    return value == WIRE_UNKNOWN ? 0 : value;
}

static int compare(const void *a, const void *b, void *user)
{
    const struct top *t = user;
    const struct wire_guest *x = &t->status->guests[*(const size_t *)a], *y = &t->status->guests[*(const size_t *)b];
    uint64_t v = value_of(x, t->sort), w = value_of(y, t->sort);
    int order = v == w ? strcmp(x->name, y->name) : v > w ? -1 : 1;

    return t->reverse ? -order : order;
}

static void list_make(struct top *t)
{
    t->list_count = 0;
    for (size_t i = 0; t->list && t->status && i < t->status->guest_count; i++)
        if (passes(t, t->status->guests[i].name))
            t->list[t->list_count++] = i;
    if (t->list_count > 0)
        qsort_r(t->list, t->list_count, sizeof(*t->list), compare, t);
}

void top_see(struct top *t, struct wire_status *status, struct wire_history *history)
{
    size_t *list = calloc(status->guest_count + 1, sizeof(*list));

    t->status = wire_status_free(t->status);
    t->status = status;
    if (history) {
        t->history = wire_history_free(t->history);
        t->history = history;
    }
    free(t->list);
    t->list = list;
    t->problem[0] = '\0';
    list_make(t);
}

void top_see_problem(struct top *t, const char *problem)
{
    wire_text_copy(t->problem, sizeof(t->problem), problem);
}

/* ---- keys ---- */

static void select_at(struct top *t, size_t i)
{
    if (t->list_count == 0)
        return;
    if (i >= t->list_count)
        i = t->list_count - 1;
    wire_text_copy(t->selected, sizeof(t->selected), top_guest(t, i)->name);
}

static void move(struct top *t, int key)
{
    size_t at = top_selected(t), page = t->page ? t->page : 1;

    switch (key) {
    case TOP_KEY_UP:
        select_at(t, at > 0 ? at - 1 : 0);
        break;
    case TOP_KEY_DOWN:
        select_at(t, at + 1);
        break;
    case TOP_KEY_PAGE_UP:
        select_at(t, at > page ? at - page : 0);
        break;
    case TOP_KEY_PAGE_DOWN:
        select_at(t, at + page);
        break;
    case TOP_KEY_HOME:
        select_at(t, 0);
        break;
    default:
        select_at(t, SIZE_MAX);
        break;
    }
}

static void sort_by(struct top *t, enum top_sort sort)
{
    t->sort = sort;
    list_make(t);
    select_at(t, 0); /* whoever sorts wants to see the first */
}

/* The filter while it is typed: it holds at once, so that its effect is seen. */
static void type(struct top *t, int key)
{
    size_t length = strlen(t->typed);

    if (key == TOP_KEY_ENTER) {
        t->typing = false;
    } else if (key == TOP_KEY_ESCAPE) {
        t->typing = false;
        t->typed[0] = '\0';
    } else if (key == TOP_KEY_BACKSPACE) {
        t->typed[length > 0 ? length - 1 : 0] = '\0';
    } else if (key >= FIRST_PRINTABLE && key <= LAST_PRINTABLE && length + 1 < sizeof(t->typed)) {
        t->typed[length] = (char)key;
        t->typed[length + 1] = '\0';
    }
    memcpy(t->filter, t->typed, sizeof(t->filter));
    list_make(t);
}

static void filter_clear(struct top *t)
{
    t->filter[0] = t->typed[0] = '\0';
    list_make(t);
}

static enum top_answer command(struct top *t, int key)
{
    static const struct {
        char key;
        enum top_sort sort;
    } sorts[] = {{'n', TOP_SORT_NAME},     {'a', TOP_SORT_ASSIGNED}, {'d', TOP_SORT_DEMAND},
                 {'p', TOP_SORT_PRESSURE}, {'m', TOP_SORT_MOVED},    {'i', TOP_SORT_PRIORITY}};

    for (size_t i = 0; i < sizeof(sorts) / sizeof(sorts[0]); i++)
        if (sorts[i].key == key)
            sort_by(t, sorts[i].sort);
    switch (key) {
    case 'q':
    case 'Q':
        return TOP_QUIT;
    case ' ':
        return TOP_REFRESH;
    case '?':
    case 'h':
        t->help = true;
        break;
    case '/':
        t->typing = true;
        memcpy(t->typed, t->filter, sizeof(t->typed));
        break;
    case TOP_KEY_ESCAPE:
        filter_clear(t);
        break;
    case TOP_KEY_ENTER:
        t->detail = !t->detail;
        break;
    case 's':
        sort_by(t, (enum top_sort)((t->sort + 1) % TOP_SORT_COUNT));
        break;
    case 'r':
        t->reverse = !t->reverse;
        sort_by(t, t->sort);
        break;
    case 'k':
        move(t, TOP_KEY_UP);
        break;
    case 'j':
        move(t, TOP_KEY_DOWN);
        break;
    default:
        break;
    }
    return TOP_GO_ON;
}

enum top_answer top_press(struct top *t, int key)
{
    if (key == '\r')
        key = TOP_KEY_ENTER;
    if (key == 8 || key == 127)
        key = TOP_KEY_BACKSPACE;
    if (t->typing) {
        type(t, key);
        return TOP_GO_ON;
    }
    if (t->help) {
        t->help = false;
        return key == 'q' || key == 'Q' ? TOP_QUIT : TOP_GO_ON;
    }
    if (key >= TOP_KEY_UP && key <= TOP_KEY_END) {
        move(t, key);
        return TOP_GO_ON;
    }
    return command(t, key);
}
