/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "calendar.h"

/* Central Europe's rule, written out: needs no time zone files. */
#define ZONE "CET-1CEST,M3.5.0,M10.5.0/3"

static const char *shown(int64_t sec, char text[64])
{
    time_t t = (time_t)sec;
    struct tm at;

    (void)localtime_r(&t, &at);
    (void)strftime(text, 64, "%a %Y-%m-%d %H:%M:%S %Z", &at);
    return text;
}

static int64_t moment(const char *text)
{
    struct tm at = {.tm_isdst = -1};

    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &at));
    return mktime(&at);
}

static void the_next_moment(void **state)
{
    static const struct {
        const char *expression, *after, *next;
    } rows[] = {
        {"daily", "2026-11-24 15:00:00", "Wed 2026-11-25 00:00:00 CET"},
        {"Hourly", "2026-11-24 15:00:00", "Tue 2026-11-24 16:00:00 CET"},
        {"weekly", "2026-11-24 15:00:00", "Mon 2026-11-30 00:00:00 CET"},
        {"monthly", "2026-11-24 15:00:00", "Tue 2026-12-01 00:00:00 CET"},
        {"yearly", "2026-11-24 15:00:00", "Fri 2027-01-01 00:00:00 CET"},
        {"03:30", "2026-11-24 03:29:59", "Tue 2026-11-24 03:30:00 CET"},
        {"03:30", "2026-11-24 03:30:00", "Wed 2026-11-25 03:30:00 CET"}, /* after, not at */
        {"Mon..Fri 03:00", "2026-11-27 03:00:00", "Mon 2026-11-30 03:00:00 CET"},
        {"Sat..Mon 12:00", "2026-11-24 15:00:00", "Sat 2026-11-28 12:00:00 CET"},
        {"sat,Wednesday", "2026-11-24 15:00:00", "Wed 2026-11-25 00:00:00 CET"},
        {"*:0/15", "2026-11-24 15:07:00", "Tue 2026-11-24 15:15:00 CET"},
        {"8..18/2:00", "2026-11-24 18:00:00", "Wed 2026-11-25 08:00:00 CET"},
        {"8..18/2:05:30", "2026-11-24 10:05:29", "Tue 2026-11-24 10:05:30 CET"},
        {"*-*-1,15 06:00", "2026-11-24 15:00:00", "Tue 2026-12-01 06:00:00 CET"},
        {"12-31", "2026-11-24 15:00:00", "Thu 2026-12-31 00:00:00 CET"},
        {"Fri  *-*-13   13:13:13", "2026-11-24 15:00:00", "Fri 2027-08-13 13:13:13 CEST"},
        {"Tue 2-29 00:00", "2026-11-24 15:00:00", "Tue 2028-02-29 00:00:00 CET"},
        {"Mon 2-29", "2072-03-01 00:00:00", "Mon 2112-02-29 00:00:00 CET"}, /* 2100 is no leap year */
        {"02:30", "2026-03-28 12:00:00", "Sun 2026-03-29 03:00:00 CEST"},   /* the hour from 2 to 3 is skipped */
        {"*:0/30", "2026-03-29 01:30:00", "Sun 2026-03-29 03:00:00 CEST"},
        {"02:30", "2026-10-24 12:00:00", "Sun 2026-10-25 02:30:00 CEST"}, /* the first of two */
    };
    struct calendar c;
    struct err e = {0};
    char text[64];
    int64_t next;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (calendar_parse(rows[i].expression, strlen(rows[i].expression), &c, &e) < 0)
            fail_msg("%s: %s", rows[i].expression, e.text);
        assert_int_equal(calendar_next(&c, moment(rows[i].after), &next, &e), 0);
        if (strcmp(shown(next, text), rows[i].next) != 0)
            fail_msg("'%s' after %s: %s, expected %s", rows[i].expression, rows[i].after, text, rows[i].next);
    }
}

/* A schedule goes through both changes of the clock without a moment twice and with each day served once. */
static void a_daily_schedule_through_a_year(void **state)
{
    struct calendar c;
    struct err e = {0};
    int64_t now = moment("2026-01-01 02:30:00"), next;

    (void)state;
    assert_int_equal(calendar_parse("02:30", 5, &c, &e), 0);
    for (int day = 0; day < 365; day++) {
        assert_int_equal(calendar_next(&c, now, &next, &e), 0);
        assert_in_range(next - now, 22 * 3600, 26 * 3600);
        now = next;
    }
    assert_int_equal(now, moment("2027-01-01 02:30:00"));
}

static void an_hourly_schedule_through_the_hour_that_comes_twice(void **state)
{
    struct calendar c;
    struct err e = {0};
    int64_t now = moment("2026-10-25 00:30:00"), end = moment("2026-10-25 06:00:00"), next;
    int times = 0;

    (void)state;
    assert_int_equal(calendar_parse("*:30", 4, &c, &e), 0);
    for (; now < end; times++) {
        assert_int_equal(calendar_next(&c, now, &next, &e), 0);
        assert_true(next > now);
        now = next;
    }
    assert_int_equal(times, 6); /* 1:30 2:30 3:30 4:30 5:30 6:30 */
}

static void wrong_ones_are_refused_in_one_sentence(void **state)
{
    static const char *const rows[] = {
        "", " ", "dayly", "25:00", "12:60", "12", "12:00:61", "Mon 12:00 Tue", "12:00 Mon", "Mon..", "..Fri", "Mon,,Tue",
        "2026-01-01", "13-01", "0-1", "2-30", "4,6,9,11-31", "1-32", "*-*-*-*", "1:2:3:4", "18..8:00", "*/0:00", "*/:00",
        "0/15/2:00", "-1:00", "a:b", "12:00 12:00", "1-1 1-1", "012:00", "Mon-Fri 3:00",
    };
    char longer[CALENDAR_INPUT_MAX + 2];
    struct calendar c, before;

    (void)state;
    memset(&c, 0x5a, sizeof(c));
    before = c;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err e = {0};

        if (calendar_parse(rows[i], strlen(rows[i]), &c, &e) != -EINVAL)
            fail_msg("'%s' was taken", rows[i]);
        assert_non_null(strstr(e.text, "write for example"));
        assert_memory_equal(&c, &before, sizeof(c));
    }
    memset(longer, ' ', sizeof(longer));
    struct err e = {0};
    assert_int_equal(calendar_parse(longer, sizeof(longer), &c, &e), -EINVAL);
}

static void hours_of_the_day(void **state)
{
    static const struct {
        const char *hours, *now;
        bool in;
    } rows[] = {
        {"22:00-06:30", "2026-11-24 21:59:59", false}, {"22:00-06:30", "2026-11-24 22:00:00", true},
        {"22:00-06:30", "2026-11-24 06:29:59", true},  {"22:00-06:30", "2026-11-24 06:30:00", false},
        {"8:00-17:00", "2026-11-24 12:00:00", true},   {"8:00-17:00", "2026-11-24 17:00:00", false},
        {"8:00-8:00", "2026-11-24 08:00:00", false},   {"0:00-24:00", "2026-11-24 23:59:59", true},
    };
    static const char *const bad[] = {"", "8-17", "8:00", "8:00-", "-8:00", "8:00-25:00", "8:00-24:01", "8:60-9:00",
                                      "8:00-9:00-10:00", "8:00:00-9:00"};
    unsigned from = 1, to = 2;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err e = {0};

        assert_int_equal(calendar_parse_hours(rows[i].hours, strlen(rows[i].hours), &from, &to, &e), 0);
        if (calendar_in_hours(moment(rows[i].now), from, to) != rows[i].in)
            fail_msg("%s at %s", rows[i].hours, rows[i].now);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {0};

        if (calendar_parse_hours(bad[i], strlen(bad[i]), &from, &to, &e) != -EINVAL)
            fail_msg("'%s' was taken", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_moment),
        cmocka_unit_test(a_daily_schedule_through_a_year),
        cmocka_unit_test(an_hourly_schedule_through_the_hour_that_comes_twice),
        cmocka_unit_test(wrong_ones_are_refused_in_one_sentence),
        cmocka_unit_test(hours_of_the_day),
    };
    (void)setenv("TZ", ZONE, 1);
    tzset();
    return cmocka_run_group_tests_name("calendar", tests, NULL, NULL);
}
