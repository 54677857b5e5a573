/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <string.h>

#include "agent_status.h"

#define SEC 1000000ULL

static struct agent_status example(uint64_t lent_kib, const char *why)
{
    struct agent_status s = {.pid = 123, .connected = true, .heard_usec = 100 * SEC};

    agent_message_init(&s.said, AGENT_VERB_STATUS);
    s.said.value[AGENT_KEY_LENT] = lent_kib;
    s.said.value[AGENT_KEY_ASSIGNED] = 192 * 1024;
    s.said.value[AGENT_KEY_MAXIMUM] = 1024 * 1024;
    memcpy(s.said.text, why, strlen(why) + 1);
    return s;
}

static void keeps_what_the_host_said(void **state)
{
    struct agent_status s = example(64 * 1024, "other guests wait for it");
    struct agent_status again;
    struct err e = {0};
    char buf[AGENT_STATUS_SIZE];

    (void)state;
    agent_status_print(&s, buf);
    assert_int_equal(agent_status_parse(buf, sizeof(buf), &again, &e), 0);
    assert_int_equal(again.pid, 123);
    assert_true(again.connected);
    assert_int_equal(again.heard_usec, 100 * SEC);
    assert_string_equal(again.said.text, "other guests wait for it");
    assert_memory_equal(again.said.value, s.said.value, sizeof(s.said.value));
    s.heard_usec = 0;
    agent_status_print(&s, buf);
    assert_int_equal(agent_status_parse(buf, sizeof(buf), &again, &e), 0);
    assert_int_equal(again.heard_usec, 0);
    assert_int_equal(again.said.value[AGENT_KEY_LENT], AGENT_UNSET);
}

static void refuses_other_files(void **state)
{
    static const char *const files[] = {
        "", "\n", "hello\n", "agent pid=x\n", "agent pid=1 connected=1 heard=5\n",
        "agent pid=1 connected=1 heard=5\nhello version=1\n", "agent pid=1 connected=1 heard=5\nstatus lent=-1\n", "agent pid=1 connected=1 heard=5\nstatus lent=1",
    };
    char longest[AGENT_STATUS_SIZE];
    struct agent_status s = {.pid = 77};

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        struct err e = {0};
        if (agent_status_parse(files[i], strlen(files[i]), &s, &e) >= 0)
            fail_msg("taken: '%s'", files[i]);
        assert_true(e.text[0] != '\0');
        assert_int_equal(s.pid, 77);
    }
    struct err e = {0};
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(agent_status_parse(longest, sizeof(longest), &s, &e), -EBADMSG);
}

static void tells_people(void **state)
{
    struct agent_status s = example(64 * 1024, "other guests wait for it");
    char text[2048];

    (void)state;
    (void)agent_status_tell(&s, true, 103 * SEC, text, sizeof(text));
    assert_string_equal(text, "lent to the host: 64 MiB of 256 MiB\nwhy: other guests wait for it\n"
                              "it can have up to: 1 GiB\nsaid by the host: 3 s ago\nagent: connected to the host\n");
    s = example(0, "it has what it should have");
    (void)agent_status_tell(&s, true, 103 * SEC, text, sizeof(text));
    assert_non_null(strstr(text, "lent to the host: nothing, this guest has all its 192 MiB\n"));
    s.said.value[AGENT_KEY_ASSIGNED] = AGENT_UNSET;
    s.said.value[AGENT_KEY_MAXIMUM] = AGENT_UNSET;
    s.said.text[0] = '\0';
    s.connected = false;
    (void)agent_status_tell(&s, true, 50 * SEC, text, sizeof(text));
    assert_string_equal(text, "lent to the host: 0 B\nwhy: the host did not say\nsaid by the host: 0 ms ago\n"
                              "agent: running, but nobody on the host listens: ballastd does not run, or does not "
                              "know this guest\n");
    s.heard_usec = 0;
    (void)agent_status_tell(&s, false, 50 * SEC, text, sizeof(text));
    assert_non_null(strstr(text, "not known"));
    assert_non_null(strstr(text, "agent: not running: start it"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_the_host_said),
        cmocka_unit_test(refuses_other_files),
        cmocka_unit_test(tells_people),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
