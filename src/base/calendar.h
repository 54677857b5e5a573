/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Calendar expressions, written as administrators know them from systemd.time(7): when something is due again and again.
 *
 *     hourly daily weekly monthly yearly                at the start of each (weekly: Monday; monthly: the 1st)
 *     [WEEKDAYS] [MONTH-DAY | *-MONTH-DAY] [HH:MM[:SS]] "Mon..Fri 03:00", "Sat,Sun *-*-* 04:30", "*-1 00:00", "*:0/15"
 *
 * Each number may be a list "1,15", a range "8..18", a repetition "0/15" (from 0, every 15) or '*'. What is left out: every
 * day; 00:00:00. Times are those of a clock on the wall: of an hour that daylight saving skips, the first moment after it; of
 * one that comes twice, the first. Years are not named: what is due once is no schedule. */

#define CALENDAR_INPUT_MAX 128 /* no sensible expression is longer */

/* Sets of what matches: bit n stands for the number n. */
struct calendar {
    uint8_t weekdays;  /* 0: Sunday .. 6: Saturday */
    uint16_t months;   /* 1..12 */
    uint32_t days;     /* 1..31 */
    uint32_t hours;    /* 0..23 */
    uint64_t minutes;  /* 0..59 */
    uint64_t seconds;  /* 0..59 */
};

/* Reads text[0..len). -EINVAL with a sentence that quotes the part that is wrong and gives an example; also for what never
 * comes (30 February). */
int calendar_parse(const char *text, size_t len, struct calendar *ret, struct err *e);

/* The first moment after after_sec (seconds since 1970, UTC) in the time zone of the process. -ERANGE where none comes within
 * CALENDAR_YEARS_MAX years: "02-29" on a Monday takes 28 at most, and 40 around a year like 2100. */
#define CALENDAR_YEARS_MAX 41
int calendar_next(const struct calendar *c, int64_t after_sec, int64_t *ret_sec, struct err *e);

/* Whether the moment lies in a time of the day from..to (minutes since midnight on the wall; to is no part of it; from > to
 * goes over midnight; from = to is no time at all). For quiet hours. */
bool calendar_in_hours(int64_t now_sec, unsigned from_min, unsigned to_min);

/* "22:00-06:30" -> minutes since midnight. -EINVAL with a sentence. */
int calendar_parse_hours(const char *text, size_t len, unsigned *ret_from_min, unsigned *ret_to_min, struct err *e);
