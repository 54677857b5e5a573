/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "own.h"

struct thing {
    int *freed;
};

static struct thing *thing_free(struct thing *t)
{
    if (t)
        ++*t->freed;
    return NULL;
}
OWN_DEFINE(thing);

static void err_keeps_code_and_wraps_text(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(err_set(&e, ENODEV, "VM '%s' has no balloon device", "a"), -ENODEV);
    assert_int_equal(err_wrap(&e, "cannot manage host '%s'", "h"), -ENODEV);
    assert_string_equal(e.text, "cannot manage host 'h': VM 'a' has no balloon device");
}

static void err_of_zero_is_still_an_error(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(err_set(&e, 0, "x"), -EINVAL);
}

static void err_cuts_long_text(void **state)
{
    struct err e = {0};
    char longer[2 * ERR_TEXT_SIZE];

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    (void)err_set(&e, EIO, "%s", longer);
    assert_int_equal(strlen(e.text), ERR_TEXT_SIZE - 1);
    (void)err_wrap(&e, "%s", longer);
    assert_true(strlen(e.text) < ERR_TEXT_SIZE);
}

static void take_hands_over(void **state)
{
    int freed = 0;
    struct thing thing = {.freed = &freed};

    (void)state;
    {
        AUTO(thing) struct thing *a = &thing;
        struct thing *kept = TAKE(a);
        assert_ptr_equal(kept, &thing);
        assert_null(a);
    }
    assert_int_equal(freed, 0);
    {
        AUTO(thing) struct thing *b = &thing;
        assert_non_null(b);
    }
    assert_int_equal(freed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_keeps_code_and_wraps_text),
        cmocka_unit_test(err_of_zero_is_still_an_error),
        cmocka_unit_test(err_cuts_long_text),
        cmocka_unit_test(take_hands_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
