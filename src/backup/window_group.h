/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "own.h"
#include "window.h"
#include "wire_text.h"

/* Several guests at one instant (docs/design.md 6.1): where their windows wait for each other. Four meetings, at each of
 * which nobody goes on before all are there:
 *
 *     PREPARED    all that is slow is done; no hook has run yet
 *     READY       hooks have run; nobody is frozen yet
 *     FROZEN      all are frozen; nobody is stopped yet
 *     CHECKPOINT  all are stopped and have their checkpoint; nobody goes on yet: the instant is common
 *
 * All or nothing up to the last one: where one fails before, the others are told at once. A guest waits no longer than its
 * own limits allow: being late is a failure like another. Afterwards each is on its own, but that only so many copy at a
 * time. Pure: no clock, no windows; the caller carries words to them. */

#define WINDOW_GROUP_MAX 16 /* guests; all of them stand still for as long as the checkpoints of the slowest take */
#define WINDOW_GROUP_ID_SIZE 24

enum window_meeting {
    WINDOW_MEET_PREPARED,
    WINDOW_MEET_READY,
    WINDOW_MEET_FROZEN,
    WINDOW_MEET_CHECKPOINT,
    WINDOW_MEETING_COUNT
};

/* What WINDOW_GROUP is asked for: "meet-prepared", "meet-ready", "meet-frozen", "meet-checkpoint"; false: another command ("turn"). */
bool window_meeting_parse(const char *command, enum window_meeting *ret);

struct window_group;

/* n: 1..WINDOW_GROUP_MAX. copies_max: how many may copy at a time, at least 1. id is copied. 0 or -ENOMEM. */
int window_group_new(const char *id, size_t n, size_t copies_max, struct window_group **ret, struct err *e);
struct window_group *window_group_free(struct window_group *g);
OWN_DEFINE(window_group);

/* Names the guest of a place; both are copied. */
void window_group_name(struct window_group *g, size_t place, const char *guest, const char *identity);

/* One is there, and waits. */
void window_group_meet(struct window_group *g, size_t place, enum window_meeting meeting);

/* One wants to copy, and waits; or is at its end, whatever it was. */
void window_group_turn(struct window_group *g, size_t place);
void window_group_leave(struct window_group *g, size_t place);

/* One has failed by itself (text: its sentence), or is given up. Before the common instant this is the end for all. */
void window_group_fail(struct window_group *g, size_t place, const char *text);

/* The next word for one of them; false: there is none. To be asked for after each of the calls above, but not inside of what
 * one of the windows sends. */
struct window_group_word {
    size_t place;
    bool is_go;                   /* false: it is over */
    char text[WINDOW_TEXT_SIZE];  /* why */
};
bool window_group_next(struct window_group *g, struct window_group_word *ret);

/* Nobody can fail for the others any more. */
bool window_group_is_past(const struct window_group *g);
const char *window_group_id(const struct window_group *g);

/* A sentence about who has not come to the meeting in time. */
void window_group_print_late(const struct window_group *g, enum window_meeting meeting, char *to, size_t size);

/* The manifest's "group": its id, whether the instant was common, by the times themselves, and each guest's point. As many
 * `each` as guests. */
void window_group_print(const struct window_group *g, const struct window_instant *each, struct wire_text *t);
