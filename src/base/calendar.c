/* SPDX-License-Identifier: Apache-2.0 */
#include "calendar.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "text.h"

#define DAYS_MAX (CALENDAR_YEARS_MAX * 366)
#define ALL(n) ((1ULL << (n)) - 1)
#define EVERY_DAY ALL(7)
#define EVERY_MONTH (ALL(12) << 1)
#define EVERY_DATE (ALL(31) << 1)

static const char *const weekday_names[7] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
static const char *const weekday_long[7] = {"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};

static const struct {
    const char *name;
    struct calendar value;
} shorthands[] = {
    {"hourly", {EVERY_DAY, EVERY_MONTH, EVERY_DATE, ALL(24), 1, 1}},
    {"daily", {EVERY_DAY, EVERY_MONTH, EVERY_DATE, 1, 1, 1}},
    {"weekly", {1 << 1, EVERY_MONTH, EVERY_DATE, 1, 1, 1}},
    {"monthly", {EVERY_DAY, EVERY_MONTH, 1 << 1, 1, 1, 1}},
    {"yearly", {EVERY_DAY, 1 << 1, 1 << 1, 1, 1, 1}},
};

/* A piece of the text, and the text's errors. */
struct piece {
    const char *at;
    size_t len;
};

static int wrong(const struct piece *p, const char *what, struct err *e)
{
    return err_set(e, EINVAL, "'%s' is not %s: write for example daily, Mon..Fri 03:00, Sat *-*-* 04:30 or *:0/15",
                   text_show(p->at, p->len).s, what);
}

/* Cuts the piece before the next `separator` off p; false: there is nothing left. An empty piece between two is a piece. */
static bool cut(struct piece *p, const char *separator, struct piece *ret)
{
    size_t n = strlen(separator);
    const char *found;

    if (!p->at)
        return false;
    found = memmem(p->at, p->len, separator, n);
    *ret = (struct piece){p->at, found ? (size_t)(found - p->at) : p->len};
    if (!found)
        *p = (struct piece){NULL, 0};
    else
        *p = (struct piece){found + n, p->len - ret->len - n};
    return true;
}

static bool number_read(const struct piece *p, unsigned least, unsigned most, unsigned *ret)
{
    unsigned value = 0;

    if (p->len < 1 || p->len > 2)
        return false;
    for (size_t i = 0; i < p->len; i++) {
        if (p->at[i] < '0' || p->at[i] > '9')
            return false;
        value = value * 10 + (unsigned)(p->at[i] - '0');
    }
    *ret = value;
    return value >= least && value <= most;
}

/* "5", "8..18", "0/15", "8..18/2", '*' */
static bool range_read(struct piece p, unsigned least, unsigned most, uint64_t *ret)
{
    struct piece whole, first;
    unsigned from = least, to = most, by = 1;
    bool repeats;

    (void)cut(&p, "/", &whole);
    repeats = p.at != NULL;
    if (repeats && !number_read(&p, 1, most, &by))
        return false;
    if (whole.len != 1 || whole.at[0] != '*') {
        (void)cut(&whole, "..", &first);
        if (!number_read(&first, least, most, &from))
            return false;
        if (whole.at) {
            if (!number_read(&whole, from, most, &to))
                return false;
        } else if (!repeats) {
            to = from;
        }
    }
    for (unsigned i = from; i <= to; i += by)
        *ret |= 1ULL << i;
    return true;
}

static bool list_read(struct piece p, unsigned least, unsigned most, uint64_t *ret)
{
    struct piece item;

    *ret = 0;
    while (cut(&p, ",", &item)) {
        if (item.len == 0 || !range_read(item, least, most, ret))
            return false;
    }
    return *ret != 0;
}

static bool weekday_read(const struct piece *p, unsigned *ret)
{
    for (unsigned i = 0; i < 7; i++) {
        if ((p->len == 3 && strncasecmp(p->at, weekday_names[i], 3) == 0) ||
            (p->len == strlen(weekday_long[i]) && strncasecmp(p->at, weekday_long[i], p->len) == 0)) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* "Mon..Fri", "Sat,Sun" */
static bool weekdays_read(struct piece p, uint8_t *ret)
{
    struct piece item, first;
    unsigned from, to;

    *ret = 0;
    while (cut(&p, ",", &item)) {
        (void)cut(&item, "..", &first);
        if (!weekday_read(&first, &from))
            return false;
        to = from;
        if (item.at && !weekday_read(&item, &to))
            return false;
        for (unsigned i = from;; i = (i + 1) % 7) { /* Sat..Mon goes over Sunday */
            *ret |= (uint8_t)(1U << i);
            if (i == to)
                break;
        }
    }
    return *ret != 0;
}

/* "MONTH-DAY", "*-MONTH-DAY" */
static bool date_read(struct piece p, struct calendar *c)
{
    struct piece part[3] = {{NULL, 0}};
    uint64_t months, days;
    size_t n = 0;

    while (n < 3 && cut(&p, "-", &part[n]))
        n++;
    if (p.at || n < 2 || (n == 3 && (part[0].len != 1 || part[0].at[0] != '*')))
        return false;
    if (!list_read(part[n - 2], 1, 12, &months) || !list_read(part[n - 1], 1, 31, &days))
        return false;
    c->months = (uint16_t)months;
    c->days = (uint32_t)days;
    return true;
}

/* "HH:MM", "HH:MM:SS" */
static bool time_read(struct piece p, struct calendar *c)
{
    struct piece part[3] = {{NULL, 0}};
    uint64_t hours;
    size_t n = 0;

    while (n < 3 && cut(&p, ":", &part[n]))
        n++;
    if (p.at || n < 2 || !list_read(part[0], 0, 23, &hours) || !list_read(part[1], 0, 59, &c->minutes))
        return false;
    c->hours = (uint32_t)hours;
    return n == 2 || list_read(part[2], 0, 59, &c->seconds);
}

/* 30 February, 31 April: no month named has that day. */
static bool comes_ever(const struct calendar *c)
{
    static const unsigned char longest[13] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    for (unsigned m = 1; m <= 12; m++) {
        if (c->months & (1U << m) && c->days & (uint32_t)((1ULL << (longest[m] + 1)) - 2))
            return true;
    }
    return false;
}

int calendar_parse(const char *text, size_t len, struct calendar *ret, struct err *e)
{
    struct calendar c = {EVERY_DAY, EVERY_MONTH, EVERY_DATE, 1, 1, 1};
    struct piece all = {text, len}, word;
    enum { NOTHING, WEEKDAYS, DATE, TIME } last = NOTHING;

    if (len > CALENDAR_INPUT_MAX)
        return err_set(e, EINVAL, "a calendar expression has at most %d characters", CALENDAR_INPUT_MAX);
    for (size_t i = 0; i < sizeof(shorthands) / sizeof(shorthands[0]); i++) {
        if (strlen(shorthands[i].name) == len && strncasecmp(text, shorthands[i].name, len) == 0) {
            *ret = shorthands[i].value;
            return 0;
        }
    }
    while (cut(&all, " ", &word)) {
        if (word.len == 0)
            continue; /* several blanks */
        if (last < TIME && memchr(word.at, ':', word.len) && time_read(word, &c))
            last = TIME;
        else if (last < DATE && memchr(word.at, '-', word.len) && date_read(word, &c))
            last = DATE;
        else if (last < WEEKDAYS && weekdays_read(word, &c.weekdays))
            last = WEEKDAYS;
        else
            return wrong(&word, "a weekday, date or time of a calendar expression, in this order", e);
    }
    if (last == NOTHING)
        return wrong(&(struct piece){text, len}, "a calendar expression", e);
    if (!comes_ever(&c))
        return wrong(&(struct piece){text, len}, "a day that ever comes", e);
    *ret = c;
    return 0;
}

/* The wall clock of a day at a time -> seconds; an hour that is skipped gives the moment the clocks go on. */
static bool moment_of(const struct tm *day, unsigned hour, unsigned minute, unsigned second, int64_t *ret)
{
    struct tm at = {.tm_year = day->tm_year, .tm_mon = day->tm_mon, .tm_mday = day->tm_mday, .tm_hour = (int)hour,
                    .tm_min = (int)minute, .tm_sec = (int)second, .tm_isdst = -1};
    struct tm got = at;
    time_t t = mktime(&got);

    if (t == (time_t)-1)
        return false;
    if (got.tm_hour != at.tm_hour || got.tm_min != at.tm_min) { /* skipped: back to the first moment after the gap */
        int64_t before = (int64_t)t - 3 * 3600, after = t;

        while (after - before > 1) { /* the offset changes once in these hours */
            time_t middle = (time_t)(before + (after - before) / 2);
            struct tm m;

            (void)localtime_r(&middle, &m);
            if (m.tm_gmtoff == got.tm_gmtoff)
                after = middle;
            else
                before = middle;
        }
        if (after > before)
            t = (time_t)after;
    } else { /* an hour that comes twice: the first one */
        time_t earlier = t - 3600;
        struct tm m;

        (void)localtime_r(&earlier, &m);
        if (m.tm_hour == at.tm_hour && m.tm_min == at.tm_min)
            t = earlier;
    }
    *ret = t;
    return true;
}

static bool day_matches(const struct calendar *c, const struct tm *day)
{
    return c->weekdays & (1U << day->tm_wday) && c->months & (1U << (day->tm_mon + 1)) && c->days & (1U << day->tm_mday);
}

/* The first matching moment of the day after after_sec. Within a day moments may stand still (a skipped hour) but never go
 * back, but for the hour that comes twice, whose second coming is not due again. */
static bool first_of_day(const struct calendar *c, const struct tm *day, int64_t after_sec, int64_t *ret)
{
    for (unsigned h = 0; h < 24; h++) {
        if (!(c->hours & (1U << h)))
            continue;
        int64_t last;
        if (moment_of(day, h, 59, 59, &last) && last <= after_sec)
            continue;
        for (unsigned m = 0; m < 60; m++) {
            if (!(c->minutes & (1ULL << m)))
                continue;
            for (unsigned s = 0; s < 60; s++) {
                int64_t at;

                if (c->seconds & (1ULL << s) && moment_of(day, h, m, s, &at) && at > after_sec) {
                    *ret = at;
                    return true;
                }
            }
        }
    }
    return false;
}

int calendar_next(const struct calendar *c, int64_t after_sec, int64_t *ret_sec, struct err *e)
{
    time_t start = (time_t)after_sec;
    struct tm day;

    if (!localtime_r(&start, &day))
        return err_set(e, ERANGE, "the clock shows no time this program can count with");
    for (unsigned i = 0; i < DAYS_MAX; i++) {
        if (day_matches(c, &day) && first_of_day(c, &day, after_sec, ret_sec))
            return 0;
        day = (struct tm){.tm_year = day.tm_year, .tm_mon = day.tm_mon, .tm_mday = day.tm_mday + 1, .tm_hour = 12,
                          .tm_isdst = -1};
        if (mktime(&day) == (time_t)-1)
            break;
    }
    return err_set(e, ERANGE, "this calendar expression does not come within %d years", CALENDAR_YEARS_MAX);
}

bool calendar_in_hours(int64_t now_sec, unsigned from_min, unsigned to_min)
{
    time_t now = (time_t)now_sec;
    struct tm at;
    unsigned minute;

    if (!localtime_r(&now, &at))
        return false;
    minute = (unsigned)(at.tm_hour * 60 + at.tm_min);
    if (from_min <= to_min)
        return minute >= from_min && minute < to_min;
    return minute >= from_min || minute < to_min;
}

static bool clock_read(struct piece p, unsigned *ret_min)
{
    struct piece hour, minute;
    unsigned h, m;

    if (!cut(&p, ":", &hour) || !cut(&p, ":", &minute) || p.at)
        return false;
    if (!number_read(&hour, 0, 24, &h) || !number_read(&minute, 0, 59, &m) || h * 60 + m > 24 * 60)
        return false;
    *ret_min = h * 60 + m;
    return true;
}

int calendar_parse_hours(const char *text, size_t len, unsigned *ret_from_min, unsigned *ret_to_min, struct err *e)
{
    struct piece all = {text, len}, from, to;
    unsigned a, b;

    if (!cut(&all, "-", &from) || !cut(&all, "-", &to) || all.at || !clock_read(from, &a) || !clock_read(to, &b))
        return err_set(e, EINVAL, "'%s' is not a time of the day from one clock to another: write for example 22:00-06:30",
                       text_show(text, len).s);
    *ret_from_min = a;
    *ret_to_min = b;
    return 0;
}
