/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include "bucket.h"

#define SEC 1000000ULL
#define MIB (1ULL << 20)

static void no_limit_allows_all(void **state)
{
    struct bucket b;

    (void)state;
    bucket_init(&b, 0, 5);
    bucket_take(&b, UINT64_MAX);
    assert_true(bucket_allows(&b, 0) == UINT64_MAX);
    assert_int_equal(bucket_wait_usec(&b, UINT64_MAX), 0);
}

/* A reader that takes what it may, waiting as it is told, gets the rate and the first burst: no more, and hardly less. */
static void keeps_the_rate(void **state)
{
    static const uint64_t rates[] = {1, 999, 4096, 10 * MIB, 123456789, 3ULL << 30, BUCKET_RATE_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct bucket b;
        uint64_t now = 77 * SEC, end = now + 100 * SEC, got = 0;

        bucket_init(&b, rates[i], now);
        while (now < end) {
            uint64_t n = bucket_allows(&b, now), wait;

            if (n > MIB)
                n = MIB;
            bucket_take(&b, n);
            got += n;
            wait = bucket_wait_usec(&b, 65536);
            now += wait > 0 ? wait : 1;
        }
        assert_true(got <= 100 * rates[i] + b.burst + rates[i] / 1000);
        if (rates[i] >= 4096 && rates[i] < MIB * MIB / 2) /* a reader of 1 MiB a us gets no more than that */
            assert_true(got + MIB >= 99 * rates[i]);
    }
}

static void saves_up_no_more_than_a_burst(void **state)
{
    struct bucket b;

    (void)state;
    bucket_init(&b, 10 * MIB, 0);
    assert_int_equal(b.burst, 10 * MIB / 1000 * BUCKET_BURST_MSEC);
    (void)bucket_allows(&b, 1000 * SEC);
    assert_int_equal(bucket_allows(&b, 2000 * SEC), b.burst);
    bucket_take(&b, b.burst + 5); /* more than allowed: empty, not in debt */
    assert_int_equal(bucket_allows(&b, 2000 * SEC), 0);
    assert_int_equal(bucket_wait_usec(&b, 1 << 20), 99993); /* at most the burst is waited for */
    assert_int_equal(bucket_allows(&b, 1999 * SEC), 0); /* a clock that goes back */
    assert_int_equal(bucket_allows(&b, 1999 * SEC + 100), 1048);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_limit_allows_all),
        cmocka_unit_test(keeps_the_rate),
        cmocka_unit_test(saves_up_no_more_than_a_burst),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
