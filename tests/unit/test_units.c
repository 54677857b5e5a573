/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "units.h"

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define TIB (1ULL << 40)

struct parse_case {
    const char *text;
    int result;         /* 0 or -errno */
    uint64_t value;     /* where 0 */
    const char *reason; /* a piece of the sentence, where not */
};

typedef int parse_fn(const char *text, size_t len, uint64_t *ret, struct err *e);

static void check_parse(parse_fn *parse, const struct parse_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct parse_case *c = &cases[i];
        struct err e = {0};
        uint64_t value = 4711;
        size_t len = strlen(c->text);
        char *copy = malloc(len + 1); /* no end: a sanitizer sees a read past it */

        assert_non_null(copy);
        memcpy(copy, c->text, len);
        copy = realloc(copy, len ? len : 1);
        int r = parse(copy, len, &value, &e);
        free(copy);
        if (r != c->result || (r == 0 && value != c->value) || (r < 0 && !strstr(e.text, c->reason)))
            fail_msg("'%s': result %d, value %llu, sentence \"%s\"", c->text, r, (unsigned long long)value, e.text);
        if (r < 0) {
            assert_int_equal(r, -e.code);
            assert_int_equal(value, 4711); /* written on success only */
        } else {
            assert_int_equal(e.code, 0);
        }
    }
}

static void sizes_are_read(void **state)
{
    static const struct parse_case cases[] = {
        {"4 GiB", 0, 4 * GIB, NULL},
        {"4GiB", 0, 4 * GIB, NULL},
        {"4   GiB", 0, 4 * GIB, NULL},
        {"1 KiB", 0, KIB, NULL},
        {"512 MiB", 0, 512 * MIB, NULL},
        {"2 TiB", 0, 2 * TIB, NULL},
        {"1 kB", 0, 1000, NULL},
        {"16 MB", 0, 16000000, NULL},
        {"16 GB", 0, 16000000000, NULL},
        {"3 TB", 0, 3000000000000, NULL},
        {"1.5 GiB", 0, GIB + 512 * MIB, NULL},
        {"0.5 KiB", 0, 512, NULL},
        {"1.0000000 MiB", 0, MIB, NULL},
        {"0001 MiB", 0, MIB, NULL},
        {"0 MiB", 0, 0, NULL},
        {"16777215 TiB", 0, 16777215 * TIB, NULL},
        {"16777215.9999990463256835 TiB", -EINVAL, 0, "whole number of bytes"},
        {"16777216 TiB", -ERANGE, 0, "larger than any size"},
        {"18446744073709551616 KiB", -ERANGE, 0, "more digits"},
        {"99999999999999999999999999999999999999999 KiB", -ERANGE, 0, "more digits"},
        {"0.1 GiB", -EINVAL, 0, "'0.1 GiB' is not a whole number of bytes"},
        {"0.0000000000000000001 GiB", -ERANGE, 0, "more digits"},
        {"4", -EINVAL, 0, "'4' has no unit: write a size with KiB, MiB"},
        {"4096 ", -EINVAL, 0, "has no unit"},
        {"-5", -EINVAL, 0, "'-5' is negative"},
        {"-5 GiB", -EINVAL, 0, "negative"},
        {"+5 GiB", -EINVAL, 0, "is not a size"},
        {"0x10", -EINVAL, 0, "not a decimal number"},
        {"0x10 MiB", -EINVAL, 0, "not a decimal number"},
        {"1,5 GiB", -EINVAL, 0, "comma"},
        {".5 GiB", -EINVAL, 0, "write '0.5 GiB'"},
        {"5. GiB", -EINVAL, 0, "unknown unit '. GiB'"},
        {"1.5.2 GiB", -EINVAL, 0, "unknown unit '.2 GiB'"},
        {"1e3 MiB", -EINVAL, 0, "unknown unit"},
        {"4 gib", -EINVAL, 0, "the unit is written 'GiB'"},
        {"4 KB", -EINVAL, 0, "the unit is written 'kB'"},
        {"4 G", -EINVAL, 0, "write 'GiB' (powers of 1024) or 'GB' (powers of 1000)"},
        {"4k", -EINVAL, 0, "write 'KiB'"},
        {"4 PiB", -EINVAL, 0, "unknown unit 'PiB'"},
        {"4 GiB 2", -EINVAL, 0, "unknown unit"},
        {"4\tGiB", -EINVAL, 0, "unknown unit '?GiB'"},
        {"GiB", -EINVAL, 0, "'GiB' is not a size"},
        {"20 %", -EINVAL, 0, "unknown unit '%'"},
        {"", -EINVAL, 0, "nothing is written"},
        {" 4 GiB", -EINVAL, 0, "is not a size"},
        {"\033[31m4 GiB", -EINVAL, 0, "'?[31m4 GiB' is not a size"},
        {"1                                                                GiB", -EINVAL, 0, "too long"},
    };

    (void)state;
    check_parse(units_parse_size, cases, sizeof(cases) / sizeof(cases[0]));
}

static void shares_are_read(void **state)
{
    static const struct parse_case cases[] = {
        {"20 %", 0, 2000, NULL},
        {"20%", 0, 2000, NULL},
        {"0 %", 0, 0, NULL},
        {"12.5 %", 0, 1250, NULL},
        {"33.33 %", 0, 3333, NULL},
        {"200 %", 0, 20000, NULL},
        {"33.333 %", -EINVAL, 0, "hundredths of a percent"},
        {"20", -EINVAL, 0, "'20' has no unit"},
        {"0.2", -EINVAL, 0, "has no unit"},
        {"20 percent", -EINVAL, 0, "unknown unit 'percent'"},
        {"-1 %", -EINVAL, 0, "negative"},
        {"999999999999999999 %", -ERANGE, 0, "larger than any share"},
    };

    (void)state;
    check_parse(units_parse_share, cases, sizeof(cases) / sizeof(cases[0]));
}

static void times_are_read(void **state)
{
    static const struct parse_case cases[] = {
        {"1 s", 0, 1000000, NULL},
        {"250 ms", 0, 250000, NULL},
        {"250ms", 0, 250000, NULL},
        {"5 min", 0, 300000000, NULL},
        {"2 h", 0, 7200000000, NULL},
        {"1 d", 0, 86400000000, NULL},
        {"1.5 s", 0, 1500000, NULL},
        {"7 us", 0, 7, NULL},
        {"0.5 us", -EINVAL, 0, "whole number of microseconds"},
        {"5 m", -EINVAL, 0, "unknown unit 'm'"},
        {"5 S", -EINVAL, 0, "the unit is written 's'"},
        {"5", -EINVAL, 0, "has no unit"},
        {"999999999999999999 d", -ERANGE, 0, "larger than any time"},
    };

    (void)state;
    check_parse(units_parse_time, cases, sizeof(cases) / sizeof(cases[0]));
}

static int parse_thousandths(const char *text, size_t len, uint64_t *ret, struct err *e)
{
    return units_parse_number(text, len, 3, ret, e);
}

static int parse_integer(const char *text, size_t len, uint64_t *ret, struct err *e)
{
    return units_parse_number(text, len, 0, ret, e);
}

static void numbers_are_read(void **state)
{
    static const struct parse_case thousandths[] = {
        {"1", 0, 1000, NULL},
        {"1.0", 0, 1000, NULL},
        {"1.25", 0, 1250, NULL},
        {"1.0005", -EINVAL, 0, "more decimals"},
        {"1.5x", -EINVAL, 0, "plain decimal number"},
        {"-1.5", -EINVAL, 0, "negative"},
        {"999999999999999999", -ERANGE, 0, "larger than any number"},
    };
    static const struct parse_case integers[] = {
        {"5000", 0, 5000, NULL},
        {"0", 0, 0, NULL},
        {"007", 0, 7, NULL},
        {"1.5", -EINVAL, 0, "more decimals"},
        {"1.0", 0, 1, NULL},
        {"0x10", -EINVAL, 0, "plain decimal number"},
        {"5000 MiB", -EINVAL, 0, "plain decimal number"},
        {"high", -EINVAL, 0, "'high' is not a number"},
    };

    (void)state;
    check_parse(parse_thousandths, thousandths, sizeof(thousandths) / sizeof(thousandths[0]));
    check_parse(parse_integer, integers, sizeof(integers) / sizeof(integers[0]));
}

struct show_case {
    uint64_t value;
    const char *text;
};

static void check_show(struct units_text (*show)(uint64_t), const struct show_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_string_equal(show(cases[i].value).s, cases[i].text);
}

static void sizes_are_shown(void **state)
{
    static const struct show_case cases[] = {
        {0, "0 B"},
        {1, "1 B"},
        {1023, "1023 B"},
        {KIB, "1 KiB"},
        {512 * MIB, "512 MiB"},
        {GIB + GIB / 2, "1.50 GiB"},
        {2 * GIB, "2 GiB"},
        {2 * GIB + 1, "2.00 GiB"},
        {23 * GIB + GIB / 2, "23.5 GiB"},
        {686 * MIB + 700 * KIB, "687 MiB"},
        {686 * MIB + 512 * KIB, "687 MiB"},
        {686 * MIB + 512 * KIB - 1, "686 MiB"},
        {9 * MIB + 1019 * KIB, "10.0 MiB"},
        {9 * MIB + 1018 * KIB, "9.99 MiB"},
        {99 * MIB + 1020 * KIB, "100 MiB"},
        {GIB - 1, "1.00 GiB"},
        {GIB - 512 * KIB, "1.00 GiB"},
        {GIB - 512 * KIB - 1, "1023 MiB"},
        {1023 * MIB, "1023 MiB"},
        {1025 * TIB, "1025 TiB"},
        {UINT64_MAX, "16777216 TiB"},
    };
    static const struct show_case kib[] = {
        {0, "0 B"},
        {1, "1 KiB"},
        {534780, "522 MiB"},
        {UINT64_MAX, "16777216 TiB"},
    };

    (void)state;
    check_show(units_show_size, cases, sizeof(cases) / sizeof(cases[0]));
    check_show(units_show_kib, kib, sizeof(kib) / sizeof(kib[0]));
    assert_string_equal(units_show_signed_kib(-16 * 1024).s, "-16 MiB");
    assert_string_equal(units_show_signed_kib(16 * 1024).s, "16 MiB");
    assert_string_equal(units_show_signed_kib(INT64_MIN).s, "-16777216 TiB");
}

/* A few thousand sizes of every magnitude: what is shown is never off by more than half of its last digit. */
static void shown_sizes_are_close(void **state)
{
    uint64_t x = 88172645463325252ULL;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t bytes = x >> (x & 63);
        struct units_text t = units_show_size(bytes);
        char unit[8];
        long double shown, factor = 1, step;
        assert_int_equal(sscanf(t.s, "%Lf %7s", &shown, unit), 2);
        for (const char *const *u = (const char *const[]){"B", "KiB", "MiB", "GiB", "TiB", NULL}; *u; u++) {
            if (strcmp(*u, unit) == 0)
                break;
            factor *= 1024;
        }
        const char *point = strchr(t.s, '.');
        size_t decimals = point ? strcspn(point + 1, " ") : 0;
        step = decimals == 2 ? 0.01L : decimals == 1 ? 0.1L : 1;
        long double off = (shown * factor - (long double)bytes) / factor;
        if (off > step * 0.5001L || off < -step * 0.5001L)
            fail_msg("%llu bytes are shown as '%s'", (unsigned long long)bytes, t.s);
    }
}

static void exact_sizes_read_back(void **state)
{
    static const struct show_case cases[] = {
        {0, "0 MiB"},
        {KIB, "1 KiB"},
        {4 * GIB, "4 GiB"},
        {GIB + GIB / 2, "1536 MiB"},
        {1000, "1000 B"},
        {TIB, "1 TiB"},
    };
    uint64_t x = 2463534242ULL;

    (void)state;
    check_show(units_show_size_exact, cases, sizeof(cases) / sizeof(cases[0]));
    for (int i = 0; i < 5000; i++) {
        struct err e = {0};
        uint64_t back = 0;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t bytes = (x >> (10 + (x & 50))) << 10;
        struct units_text t = units_show_size_exact(bytes);
        assert_int_equal(units_parse_size(t.s, strlen(t.s), &back, &e), 0);
        assert_int_equal(back, bytes);
    }
}

static void shares_and_times_are_shown(void **state)
{
    static const struct show_case shares[] = {
        {0, "0 %"}, {2000, "20 %"}, {1250, "12.5 %"}, {75, "0.75 %"}, {5, "0.05 %"}, {20000, "200 %"},
    };
    static const struct show_case times[] = {
        {0, "0 ms"}, {1, "1 us"}, {999, "999 us"}, {1000, "1 ms"}, {250400, "250 ms"}, {999499, "999 ms"},
        {999500, "1 s"}, {1000000, "1 s"}, {1500000, "1.5 s"}, {1049999, "1 s"}, {9949999, "9.9 s"}, {9950000, "10 s"},
        {42400000, "42 s"}, {59499999, "59 s"}, {59500000, "1 min"}, {200000000, "3 min 20 s"}, {3599500000, "1 h"},
        {7500000000, "2 h 5 min"}, {86399999999, "1 d"}, {273600000000, "3 d 4 h"}, {86400000000, "1 d"},
        {UINT64_MAX, "213503982 d 8 h"},
    };
    static const struct show_case exact[] = {
        {0, "0 s"}, {1, "1 us"}, {250000, "250 ms"}, {1500000, "1500 ms"}, {300000000, "5 min"}, {86400000000, "1 d"},
    };

    (void)state;
    check_show(units_show_share, shares, sizeof(shares) / sizeof(shares[0]));
    check_show(units_show_time, times, sizeof(times) / sizeof(times[0]));
    check_show(units_show_time_exact, exact, sizeof(exact) / sizeof(exact[0]));
}

static void foreign_text_is_tamed(void **state)
{
    char longer[200];
    struct text_shown t;

    (void)state;
    assert_string_equal(text_show("web1", 4).s, "web1");
    assert_string_equal(text_show("web1", 0).s, "");
    assert_string_equal(text_show("a\nb\033[2Jc\x7f", 8).s, "a?b?[2Jc");
    assert_string_equal(text_show("gr\xc3\xbc\xc2\x9b!", 7).s, "gr\xc3\xbc?!");
    memset(longer, 'x', sizeof(longer));
    t = text_show(longer, sizeof(longer));
    assert_int_equal(strlen(t.s), TEXT_SHOWN_SIZE - 1);
    assert_string_equal(t.s + 60, "...");
    t = text_show(longer, TEXT_SHOWN_SIZE - 1); /* fits as it is */
    assert_int_equal(strlen(t.s), TEXT_SHOWN_SIZE - 1);
    assert_string_equal(t.s + 60, "xxx");
    for (size_t i = 0; i < sizeof(longer) - 1; i += 2)
        memcpy(longer + i, "\xc3\xbc", 2);
    t = text_show(longer + 1, sizeof(longer) - 2); /* begins in the middle of one, so 60 bytes end in the middle of one */
    assert_string_equal(t.s + strlen(t.s) - 5, "\xc3\xbc...");
}

static void words_are_compared(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned distance;
    } cases[] = {
        {"", "", 0}, {"", "abc", 3}, {"minimum", "minimum", 0}, {"Minimum", "minimum", 0}, {"minimun", "minimum", 1},
        {"minmum", "minimum", 1}, {"miniumm", "minimum", 1}, {"reserve", "reverse", 2}, {"buffer", "buffer-of", 3},
        {"kitten", "sitting", 3}, {"an-overlong-word-that-no-key-of-ours-has", "minimum", TEXT_DISTANCE_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(text_distance(cases[i].a, cases[i].b), cases[i].distance);
        assert_int_equal(text_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(shares_are_read),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(numbers_are_read),
        cmocka_unit_test(sizes_are_shown),
        cmocka_unit_test(shown_sizes_are_close),
        cmocka_unit_test(exact_sizes_read_back),
        cmocka_unit_test(shares_and_times_are_shown),
        cmocka_unit_test(foreign_text_is_tamed),
        cmocka_unit_test(words_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
