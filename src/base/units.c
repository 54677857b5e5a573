/* SPDX-License-Identifier: Apache-2.0 */
#include "units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "text.h"

/* A number with more digits on either side of its point can't be exact in anything we measure. */
#define DIGITS_MAX 18

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}, {"TiB", 1ULL << 40},
    {"kB", 1000ULL}, {"MB", 1000000ULL}, {"GB", 1000000000ULL}, {"TB", 1000000000000ULL},
};

static const struct unit share_units[] = {{"%", 100}};

static const struct unit time_units[] = {
    {"us", 1ULL}, {"ms", 1000ULL}, {"s", 1000000ULL}, {"min", 60000000ULL}, {"h", 3600000000ULL}, {"d", 86400000000ULL},
};

/* What is parsed: the words of its sentences, and its units. */
struct quantity {
    const char *a;       /* "a size" */
    const char *example; /* "'4 GiB'" */
    const char *all;     /* every unit, for the list in a sentence */
    const char *whole;   /* what the result counts */
    const struct unit *units;
    size_t count;
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct quantity quantity_size = {"a size", "'4 GiB'", "KiB, MiB, GiB, TiB, kB, MB, GB or TB", "bytes",
                                              size_units, COUNT(size_units)};
static const struct quantity quantity_share = {"a share", "'20 %'", "%", "hundredths of a percent", share_units,
                                               COUNT(share_units)};
static const struct quantity quantity_time = {"a time", "'1 s'", "us, ms, s, min, h or d", "microseconds", time_units,
                                              COUNT(time_units)};

/* The digits of a number, split at its point. */
struct digits {
    uint64_t whole;
    uint64_t part;  /* digits after the point, as a number */
    uint64_t scale; /* 10^(how many of them) */
    size_t used;    /* bytes of the text */
};

enum digits_status {
    DIGITS_OK,
    DIGITS_NONE,  /* does not begin with a number */
    DIGITS_TOO_MANY
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum digits_status digits_read(const char *text, size_t len, struct digits *ret)
{
    struct digits d = {.scale = 1};
    size_t count = 0;

    while (d.used < len && is_digit(text[d.used])) {
        d.whole = d.whole * 10 + (uint64_t)(text[d.used++] - '0');
        count += d.whole != 0; /* leading zeros are no size */
        if (count > DIGITS_MAX)
            return DIGITS_TOO_MANY;
    }
    if (d.used == 0)
        return DIGITS_NONE;
    if (d.used + 1 < len && text[d.used] == '.' && is_digit(text[d.used + 1])) {
        d.used++;
        for (count = 0; d.used < len && is_digit(text[d.used]); count++) {
            if (count == DIGITS_MAX)
                return DIGITS_TOO_MANY;
            d.part = d.part * 10 + (uint64_t)(text[d.used++] - '0');
            d.scale *= 10;
        }
    }
    *ret = d;
    return DIGITS_OK;
}

/* (whole + part / scale) x factor, exact. */
static int digits_times(const struct digits *d, uint64_t factor, uint64_t *ret)
{
    unsigned __int128 part = (unsigned __int128)d->part * factor;
    uint64_t value;

    if (part % d->scale != 0)
        return -EINVAL;
    if (__builtin_mul_overflow(d->whole, factor, &value) ||
        __builtin_add_overflow(value, (uint64_t)(part / d->scale), &value))
        return -ERANGE;
    *ret = value;
    return 0;
}

/* Says what is wrong with a text that does not begin with a usable number. `a` "a size", `how` how to write one. */
static int refuse_number(const char *text, size_t len, enum digits_status status, const char *a, const char *how,
                         struct err *e)
{
    struct text_shown shown = text_show(text, len);

    if (len == 0)
        return err_set(e, EINVAL, "nothing is written here, but %s is needed: write %s", a, how);
    if (status == DIGITS_TOO_MANY)
        return err_set(e, ERANGE, "'%s' has more digits than %s can have: write %s", shown.s, a, how);
    if (text[0] == '-')
        return err_set(e, EINVAL, "'%s' is negative, which %s can't be: write %s", shown.s, a, how);
    if (text[0] == '.' && len > 1 && is_digit(text[1]))
        return err_set(e, EINVAL, "'%s' begins with a point: write '0%s'", shown.s, shown.s);
    return err_set(e, EINVAL, "'%s' is not %s: write %s", shown.s, a, how);
}

static int refuse_unit(const char *text, size_t len, size_t at, const struct quantity *q, struct err *e)
{
    struct text_shown shown = text_show(text, len);
    char unit[UNITS_INPUT_MAX + 1];

    if (at == len)
        return err_set(e, EINVAL, "'%s' has no unit: write %s with %s, such as %s", shown.s, q->a, q->all, q->example);
    memcpy(unit, text + at, len - at);
    unit[len - at] = '\0';
    if (unit[0] == 'x' || unit[0] == 'X')
        return err_set(e, EINVAL, "'%s' is not a decimal number: write %s such as %s", shown.s, q->a, q->example);
    if (unit[0] == ',')
        return err_set(e, EINVAL, "'%s' has a comma: write decimals with a point, such as '1.5 %s'", shown.s,
                       q->units[q->count > 1 ? 2 : 0].name);
    for (size_t i = 0; i < q->count; i++) {
        size_t n = strlen(q->units[i].name);

        /* "mib" and "M" both mean a unit we know, but M may be 2^20 or 10^6: ask rather than guess */
        if (strcasecmp(unit, q->units[i].name) == 0)
            return err_set(e, EINVAL, "'%s': the unit is written '%s'", shown.s, q->units[i].name);
        if (n == 3 && q == &quantity_size && strlen(unit) == 1 && strncasecmp(unit, q->units[i].name, 1) == 0)
            return err_set(e, EINVAL, "'%s': the unit '%s' could mean two things: write '%s' (powers of 1024) or '%s' "
                           "(powers of 1000)", shown.s, unit, q->units[i].name, q->units[i + 4].name);
    }
    return err_set(e, EINVAL, "'%s' has an unknown unit '%s': write %s with %s, such as %s", shown.s,
                   text_show(unit, strlen(unit)).s, q->a, q->all, q->example);
}

static int parse_quantity(const char *text, size_t len, const struct quantity *q, uint64_t *ret, struct err *e)
{
    struct digits d;
    char how[96];
    enum digits_status status;
    size_t at;
    int r;

    (void)snprintf(how, sizeof(how), "a number and a unit, such as %s", q->example);
    if (len > UNITS_INPUT_MAX)
        return err_set(e, EINVAL, "'%s' is too long to be %s: write %s", text_show(text, len).s, q->a, how);
    status = digits_read(text, len, &d);
    if (status != DIGITS_OK)
        return refuse_number(text, len, status, q->a, how, e);
    for (at = d.used; at < len && text[at] == ' ';)
        at++;
    for (size_t i = 0; i < q->count; i++) {
        if (strlen(q->units[i].name) != len - at || memcmp(q->units[i].name, text + at, len - at) != 0)
            continue;
        r = digits_times(&d, q->units[i].factor, ret);
        if (r == -EINVAL)
            return err_set(e, EINVAL, "'%s' is not a whole number of %s: write fewer decimals", text_show(text, len).s,
                           q->whole);
        if (r < 0)
            return err_set(e, ERANGE, "'%s' is larger than any %s ballast can count", text_show(text, len).s, q->a + 2);
        return 0;
    }
    return refuse_unit(text, len, at, q, e);
}

int units_parse_size(const char *text, size_t len, uint64_t *ret_bytes, struct err *e)
{
    return parse_quantity(text, len, &quantity_size, ret_bytes, e);
}

int units_parse_share(const char *text, size_t len, uint64_t *ret_hundredths, struct err *e)
{
    return parse_quantity(text, len, &quantity_share, ret_hundredths, e);
}

int units_parse_time(const char *text, size_t len, uint64_t *ret_usec, struct err *e)
{
    return parse_quantity(text, len, &quantity_time, ret_usec, e);
}

int units_parse_number(const char *text, size_t len, unsigned decimals, uint64_t *ret_scaled, struct err *e)
{
    static const char *const hows[] = {"digits only, such as '5000'", "digits, with a decimal point if needed, such as "
                                                                      "'1.5'"};
    const char *how = hows[decimals > 0];
    struct digits d;
    uint64_t factor = 1;
    enum digits_status status;
    int r;

    for (unsigned i = 0; i < decimals; i++)
        factor *= 10;
    if (len > UNITS_INPUT_MAX)
        return err_set(e, EINVAL, "'%s' is too long to be a number: write %s", text_show(text, len).s, how);
    status = digits_read(text, len, &d);
    if (status != DIGITS_OK)
        return refuse_number(text, len, status, "a number", how, e);
    if (d.used != len)
        return err_set(e, EINVAL, "'%s' is not a plain decimal number: write %s", text_show(text, len).s, how);
    r = digits_times(&d, factor, ret_scaled);
    if (r == -EINVAL)
        return err_set(e, EINVAL, "'%s' has more decimals than are counted here (%u): write fewer",
                       text_show(text, len).s, decimals);
    if (r < 0)
        return err_set(e, ERANGE, "'%s' is larger than any number ballast can count", text_show(text, len).s);
    return 0;
}

/* Value x 10^decimals / unit, half up; false where the result would need more than 64 bits (it can't: value / unit < 2^54). */
static uint64_t divided_half_up(uint64_t value, uint64_t unit, uint64_t scale)
{
    return (uint64_t)(((unsigned __int128)value * scale * 2 + unit) / ((unsigned __int128)unit * 2));
}

struct units_text units_show_size(uint64_t bytes)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    struct units_text t;
    unsigned i = 0;

    while (i + 1 < COUNT(names) && bytes >> (10 * (i + 1)) != 0)
        i++;
    uint64_t unit = 1ULL << (10 * i);
    if (bytes % unit == 0) {
        (void)snprintf(t.s, sizeof(t.s), "%" PRIu64 " %s", bytes / unit, names[i]);
        return t;
    }
    if (divided_half_up(bytes, unit, 1) == 1024 && i + 1 < COUNT(names)) {
        unit <<= 10;
        i++;
    }
    uint64_t hundredths = divided_half_up(bytes, unit, 100);
    uint64_t tenths = divided_half_up(bytes, unit, 10);
    if (hundredths < 1000)
        (void)snprintf(t.s, sizeof(t.s), "%" PRIu64 ".%02" PRIu64 " %s", hundredths / 100, hundredths % 100, names[i]);
    else if (tenths < 1000)
        (void)snprintf(t.s, sizeof(t.s), "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10, names[i]);
    else
        (void)snprintf(t.s, sizeof(t.s), "%" PRIu64 " %s", divided_half_up(bytes, unit, 1), names[i]);
    return t;
}

struct units_text units_show_kib(uint64_t kib)
{
    return units_show_size(kib > UINT64_MAX >> 10 ? UINT64_MAX : kib << 10);
}

struct units_text units_show_signed_kib(int64_t kib)
{
    struct units_text size = units_show_kib(kib < 0 ? -(uint64_t)kib : (uint64_t)kib);
    struct units_text t;

    (void)snprintf(t.s, sizeof(t.s), "%s%.*s", kib < 0 ? "-" : "", (int)sizeof(t.s) - 2, size.s);
    return t;
}

static struct units_text show_exact(uint64_t value, const struct unit *units, size_t count, const char *smallest)
{
    struct units_text t;
    const char *name = smallest;
    uint64_t factor = 1;

    for (size_t i = 0; i < count && value != 0; i++) {
        if (value % units[i].factor == 0) {
            name = units[i].name;
            factor = units[i].factor;
        }
    }
    (void)snprintf(t.s, sizeof(t.s), "%" PRIu64 " %s", value / factor, name);
    return t;
}

struct units_text units_show_size_exact(uint64_t bytes)
{
    /* the first four are the binary ones, ascending; nothing at all is written in the unit of most sizes */
    return show_exact(bytes, size_units, 4, bytes == 0 ? "MiB" : "B");
}

struct units_text units_show_share(uint64_t hundredths)
{
    struct units_text t;
    uint64_t part = hundredths % 100;

    if (part == 0)
        (void)snprintf(t.s, sizeof(t.s), "%" PRIu64 " %%", hundredths / 100);
    else if (part % 10 == 0)
        (void)snprintf(t.s, sizeof(t.s), "%" PRIu64 ".%" PRIu64 " %%", hundredths / 100, part / 10);
    else
        (void)snprintf(t.s, sizeof(t.s), "%" PRIu64 ".%02" PRIu64 " %%", hundredths / 100, part);
    return t;
}

/* "3 min 20 s", "2 h"; the smaller unit is left out where it is zero. */
static struct units_text show_pair(uint64_t value, uint64_t per, const char *large, const char *small)
{
    struct units_text t;

    if (value % per == 0)
        (void)snprintf(t.s, sizeof(t.s), "%" PRIu64 " %s", value / per, large);
    else
        (void)snprintf(t.s, sizeof(t.s), "%" PRIu64 " %s %" PRIu64 " %s", value / per, large, value % per, small);
    return t;
}

struct units_text units_show_time(uint64_t usec)
{
    struct units_text t;
    uint64_t msec = divided_half_up(usec, 1000, 1);
    uint64_t tenths = divided_half_up(usec, 100000, 1);
    uint64_t sec = divided_half_up(usec, 1000000, 1);
    uint64_t min = divided_half_up(usec, 60000000, 1);

    /* each step asks the rounded value, so that 999.7 ms reads "1 s", not "1000 ms" */
    if (usec == 0 || (usec >= 1000 && msec < 1000))
        (void)snprintf(t.s, sizeof(t.s), "%" PRIu64 " ms", msec);
    else if (usec < 1000)
        (void)snprintf(t.s, sizeof(t.s), "%" PRIu64 " us", usec);
    else if (tenths < 100 && tenths % 10 != 0)
        (void)snprintf(t.s, sizeof(t.s), "%" PRIu64 ".%" PRIu64 " s", tenths / 10, tenths % 10);
    else if (sec < 60)
        (void)snprintf(t.s, sizeof(t.s), "%" PRIu64 " s", tenths < 100 ? tenths / 10 : sec);
    else if (sec < 3600)
        return show_pair(sec, 60, "min", "s");
    else if (min < 1440)
        return show_pair(min, 60, "h", "min");
    else
        return show_pair(divided_half_up(usec, 3600000000ULL, 1), 24, "d", "h");
    return t;
}

struct units_text units_show_time_exact(uint64_t usec)
{
    return show_exact(usec, time_units, COUNT(time_units), usec == 0 ? "s" : "us");
}
