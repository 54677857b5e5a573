/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "own.h"
#include "top_screen.h"
#include "wire_history.h"
#include "wire_status.h"

/* `ballast top` without its terminal: what is known, what the user chose, and the screen that comes of it. The shell
 * around it (top_curses.h) brings documents and keys, and shows the cells. */

enum top_sort {
    TOP_SORT_NAME,
    TOP_SORT_ASSIGNED,
    TOP_SORT_DEMAND,
    TOP_SORT_PRESSURE,
    TOP_SORT_MOVED,
    TOP_SORT_PRIORITY,
    TOP_SORT_COUNT
};

/* Keys beside the characters themselves. */
enum top_key {
    TOP_KEY_ENTER = '\n',
    TOP_KEY_ESCAPE = 27,
    TOP_KEY_UP = 0x10000, /* beyond Unicode's first plane: no character that anybody types here */
    TOP_KEY_DOWN,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_BACKSPACE
};

enum top_answer {
    TOP_GO_ON,
    TOP_REFRESH, /* ask ballastd now */
    TOP_QUIT
};

#define TOP_FILTER_SIZE WIRE_NAME_SIZE

struct top {
    struct wire_status *status;   /* owned; NULL: nothing came yet */
    struct wire_history *history; /* owned; NULL: none, also of an older ballastd */
    char problem[256];            /* why there is nothing new; empty: there is */
    enum top_sort sort;
    bool reverse, help, detail, typing;
    char filter[TOP_FILTER_SIZE]; /* holds; empty: none */
    char typed[TOP_FILTER_SIZE];  /* while typing */
    char selected[WIRE_NAME_SIZE];
    size_t first;                 /* first guest shown of the list */
    size_t page;                  /* guests that fitted last */
    size_t *list;                 /* owned: indices of the guests that pass the filter, sorted */
    size_t list_count;
};

/* Sorted by pressure at first: who suffers stands on top. */
void top_init(struct top *t);
void top_done(struct top *t);

/* Takes the documents over; history NULL: the last one stays. No memory: the list stays empty. */
void top_see(struct top *t, struct wire_status *status, struct wire_history *history);

/* ballastd does not answer; what came last stays on the screen. */
void top_see_problem(struct top *t, const char *problem);

/* A character (ASCII) or enum top_key. */
enum top_answer top_press(struct top *t, int key);

/* Draws everything; clock: the time of day for the corner, "" for none. */
void top_draw(struct top *t, const char *clock, struct top_screen *s);

/* For top_draw() and its parts. */
const char *top_sort_name(enum top_sort sort);
const struct wire_guest *top_guest(const struct top *t, size_t i); /* of the list */
size_t top_selected(const struct top *t);                          /* its place in the list; 0 where it is gone */
