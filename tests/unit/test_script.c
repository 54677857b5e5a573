/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "script.h"

/* A script runs one command with exactly the arguments it was made of, whatever they hold. */

static const char *const hostile[] = {"printf", "%s\n", "-x", "", "a b", "it's", "''", "$(touch /x)", "`id`", "\\", "new\nline", "-y;ls", "\"", "\xff"};
#define COUNT (sizeof(hostile) / sizeof(hostile[0]))

static void every_argument_arrives(void **state)
{
    char path[] = "/tmp/ballast-script-XXXXXX", command[64], got[512] = "", expected[512] = "";
    struct err e = {0};
    FILE *out;
    size_t n;

    (void)state;
    assert_true(mkstemp(path) >= 0);
    assert_int_equal(script_write(path, "", hostile, COUNT, &e), -EEXIST); /* never over another file */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(script_write(path, "a comment\ntouch /x\rexit 3\n", hostile, COUNT, &e), 0);
    (void)snprintf(command, sizeof(command), "exec %s", path);
    out = popen(command, "r");
    assert_non_null(out);
    n = fread(got, 1, sizeof(got) - 1, out);
    got[n] = '\0';
    assert_int_equal(pclose(out), 0);
    for (size_t i = 2; i < COUNT; i++)
        (void)snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "%s\n", hostile[i]);
    assert_string_equal(got, expected);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_argument_arrives)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
