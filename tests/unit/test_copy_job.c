/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "copy_job.h"

#define DISK "{\"name\":\"vda\",\"size_bytes\":1048576,\"socket\":\"/run/vda.sock\",\"kind\":\"full\"}"
#define JOB(members, disks)                                                                                            \
    "{\"job\":{\"guest\":\"g\",\"name\":\"web1\",\"time\":\"t\"," members "\"disks\":[" disks "]}}"
#define REPOSITORY "\"repository\":\"/srv/b\","

static int parse(const char *line, struct copy_order *o, struct err *e)
{
    *e = (struct err){0};
    return copy_order_parse(line, strlen(line), o, e);
}

static void takes_a_full(void **state)
{
    struct copy_order o;
    struct err e;

    (void)state;
    assert_int_equal(parse(JOB(REPOSITORY, DISK), &o, &e), 0);
    assert_int_equal(o.verb, COPY_VERB_JOB);
    assert_string_equal(o.job->repository, "/srv/b");
    assert_string_equal(o.job->name, "web1");
    assert_int_equal(o.job->disks_n, 1);
    assert_string_equal(o.job->disks[0].name, "vda");
    assert_int_equal(o.job->disks[0].size_bytes, 1048576);
    assert_int_equal(o.job->disks[0].kind, COPY_KIND_FULL);
    /* what is missing has its default, not a number that means "unknown" */
    assert_int_equal(o.job->stall_msec, COPY_STALL_MSEC);
    assert_int_equal(o.job->bandwidth_bytes_per_second, 0);
    assert_int_equal(o.job->disks[0].dirty_bytes, 0);
    copy_order_done(&o);
}

static void takes_an_incremental(void **state)
{
    struct copy_order o;
    struct err e;

    (void)state;
    assert_int_equal(parse(JOB(REPOSITORY "\"stall_ms\":2000,\"bandwidth_bytes_per_second\":5,", DISK
                               ",{\"name\":\"vdb\",\"size_bytes\":512,\"socket\":\"/run/vdb.sock\",\"kind\":\"incremental\","
                               "\"parent\":\"p\",\"dirty_bytes\":0}"),
                           &o, &e), 0);
    assert_int_equal(o.job->disks_n, 2);
    assert_int_equal(o.job->disks[1].kind, COPY_KIND_INCREMENTAL);
    assert_string_equal(o.job->disks[1].parent, "p");
    assert_int_equal(o.job->disks[1].dirty_bytes, 0);
    assert_int_equal(o.job->stall_msec, 2000);
    assert_int_equal(o.job->bandwidth_bytes_per_second, 5);
    copy_order_done(&o);
}

static void takes_finish_and_cancel(void **state)
{
    struct copy_order o;
    struct err e;

    (void)state;
    assert_int_equal(parse("{\"finish\":{\"manifest\":{\"consistency\":\"fs\"}}}", &o, &e), 0);
    assert_int_equal(o.verb, COPY_VERB_FINISH);
    assert_string_equal(json_object_to_json_string_ext(o.manifest, JSON_C_TO_STRING_PLAIN), "{\"consistency\":\"fs\"}");
    copy_order_done(&o);
    assert_null(o.manifest);
    assert_int_equal(parse(" {\"cancel\":true} ", &o, &e), 0);
    assert_int_equal(o.verb, COPY_VERB_CANCEL);
    copy_order_done(&o);
}

static void refuses_with_a_sentence(void **state)
{
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"", "nothing"},
        {"[]", "none of job, finish, cancel"},
        {"{\"finish\":{}}", "manifest"},
        {"{\"job\":5}", "object"},
        {JOB(REPOSITORY, ""), "0 disks"},
        {JOB("", DISK), "no repository"},
        {JOB("\"repository\":\"srv\",", DISK), "absolute"},
        {JOB(REPOSITORY "\"stall_ms\":999,", DISK), "stall_ms"},
        {JOB(REPOSITORY, DISK "," DISK), "share"},
        {JOB(REPOSITORY, "{\"name\":\"a/b\"}"), "no name"},
        {JOB(REPOSITORY, "{\"name\":\"a\",\"size_bytes\":513}"), "size"},
        {JOB(REPOSITORY, "{\"name\":\"a\",\"size_bytes\":-512}"), "size_bytes"},
        {JOB(REPOSITORY, "{\"name\":\"a\",\"size_bytes\":512}"), "socket"},
        {JOB(REPOSITORY, "{\"name\":\"a\",\"size_bytes\":512,\"socket\":\"/s\",\"kind\":\"other\"}"), "full and incremental"},
        {JOB(REPOSITORY, "{\"name\":\"a\",\"size_bytes\":512,\"socket\":\"/s\",\"kind\":\"incremental\"}"), "no parent"},
        {JOB(REPOSITORY, "{\"name\":\"a\",\"size_bytes\":512,\"socket\":\"/s\",\"kind\":\"incremental\",\"parent\":\"p\"}"),
         "dirty_bytes"},
        {JOB(REPOSITORY, "{\"name\":\"a\",\"size_bytes\":512,\"socket\":\"/s\",\"kind\":\"full\",\"raw\":\"/r\"}"),
         "one or the other"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct copy_order o;
        struct err e;
        int r = parse(cases[i].line, &o, &e);

        assert_int_equal(r, -EBADMSG);
        if (!strstr(e.text, cases[i].says))
            fail_msg("'%s' does not say '%s', of: %s", e.text, cases[i].says, cases[i].line);
    }
}

/* A path or a name that is cut would be another one. */
static void refuses_what_does_not_fit(void **state)
{
    static const char *const places[] = {"\"repository\":\"/%s\",\"guest\":\"g\"", "\"repository\":\"/r\",\"guest\":\"%s\""};
    char filler[400], line[2048], member[600];
    struct copy_order o;
    struct err e;

    (void)state;
    memset(filler, 'x', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    for (size_t i = 0; i < 2; i++) {
        const char *at = strstr(places[i], "%s");

        (void)snprintf(member, sizeof(member), "%.*s%s%s", (int)(at - places[i]), places[i], filler, at + 2);
        (void)snprintf(line, sizeof(line), "{\"job\":{%s,\"time\":\"t\",\"disks\":[" DISK "]}}", member);
        assert_int_equal(parse(line, &o, &e), -EBADMSG);
        assert_non_null(strstr(e.text, "too long"));
    }
}

static void prints_one_line_each(void **state)
{
    struct wire_text t = {0};
    const struct copy_progress p = {"vda", 10, 5, 4, 3, 2, true};

    (void)state;
    copy_print_ready(&t, 1048576);
    copy_print_progress(&t, &p);
    copy_print_committed(&t, "2026");
    copy_print_failed(&t, "a \"b\"", "");
    copy_print_failed(&t, "a", "do");
    assert_string_equal(t.data, "{\"ready\":true,\"chunk_bytes\":1048576}\n"
                                "{\"progress\":{\"disk\":\"vda\",\"size_bytes\":10,\"received_bytes\":5,\"data_bytes\":4,"
                                "\"stored_bytes\":3,\"new_chunks\":2,\"connected\":true}}\n"
                                "{\"committed\":\"2026\"}\n"
                                "{\"failed\":\"a \\\"b\\\"\",\"hint\":null}\n"
                                "{\"failed\":\"a\",\"hint\":\"do\"}\n");
    wire_text_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_full),
        cmocka_unit_test(takes_an_incremental),
        cmocka_unit_test(takes_finish_and_cancel),
        cmocka_unit_test(refuses_with_a_sentence),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(prints_one_line_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
