/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api_routes.h"
#include "record.h"
#include "record_api.h"
#include "recorder.h"
#include "wire_record.h"

/* Recordings as clients see them: one at a time, bounded, lost by those who do not fetch. The engine is made up. */

#define SEC 1000000ULL
#define NOW (1000 * SEC)

static struct host the_host;
static struct engine_guest guests[2];
static struct hv_vm vms[2] = {{.name = "web1"}, {.name = "web2", .uuid = "u-2"}};
static size_t guest_count;
static uint64_t config_hash;

const struct host *engine_host(const struct engine *engine)
{
    (void)engine;
    return &the_host;
}

size_t engine_count(const struct engine *engine)
{
    (void)engine;
    return guest_count;
}

const struct engine_guest *engine_guest_at(const struct engine *engine, size_t i)
{
    (void)engine;
    return &guests[i];
}

static int rig_setup(void **state)
{
    const struct recorder_env env = {.config_hash = &config_hash, .host_name = "node1", .guests_max = 2};
    const struct guest_config config = {.priority = 5000};
    struct recorder *r = NULL;
    struct err e = {0};

    config_hash = 0xabc;
    guest_count = 2;
    memset(&the_host, 0, sizeof(the_host));
    memset(guests, 0, sizeof(guests));
    for (size_t i = 0; i < 2; i++) {
        guests[i].vm = &vms[i];
        guests[i].id = (uint32_t)i;
        guest_init(&guests[i].core, &config, NOW);
    }
    assert_int_equal(recorder_new(&env, &r, &e), 0);
    *state = r;
    return 0;
}

static int rig_teardown(void **state)
{
    (void)recorder_free(*state);
    return 0;
}

static void see(struct recorder *r, uint64_t now_usec)
{
    const struct input in = {.kind = INPUT_RESET, .now_usec = now_usec};

    recorder_input(r, &guests[1], &in);
}

/* All there is, from the start; returns how many bytes. */
static size_t fetch(struct recorder *r, uint64_t id, uint64_t now_usec, struct wire_text *to, bool *ret_ended)
{
    struct err e = {0};
    size_t before;

    do {
        before = to->length;
        if (recorder_read(r, id, to->length, now_usec, to, ret_ended, &e) < 0)
            fail_msg("%s", e.text);
    } while (to->length > before);
    return to->length;
}

static void it_begins_with_the_state_and_ends_with_a_reason(void **state)
{
    struct recorder *r = *state;
    struct wire_text t = {0};
    struct err e = {0};
    bool ended = true;

    see(r, NOW); /* nobody records: nothing happens */
    recorder_decided(r, DECIDE_TICK, NOW);
    assert_int_equal(recorder_start(r, 7, NOW, 1, &e), 1);
    (void)fetch(r, 1, NOW, &t, &ended);
    assert_false(ended);
    assert_non_null(strstr(t.data, "{\"record\":1,"));
    assert_non_null(strstr(t.data, "\"config_hash\":\"0000000000000abc\""));
    assert_non_null(strstr(t.data, "{\"guest\":0,\"name\":\"web1\",\"identity\":\"web1\""));
    assert_non_null(strstr(t.data, "{\"guest\":1,\"name\":\"web2\",\"identity\":\"u-2\""));
    assert_non_null(strstr(t.data, "{\"begin\":2}\n"));

    see(r, NOW + 1);
    config_hash = 0xdef;
    the_host.config.memory_kib = 5;
    recorder_decided(r, DECIDE_EVENT, NOW + 2);
    recorder_decided(r, DECIDE_TICK, NOW + 3);
    recorder_vanished(r, &guests[0]);
    recorder_stop(r, "asked");
    see(r, NOW + 4); /* over */
    (void)fetch(r, 1, NOW, &t, &ended);
    assert_true(ended);
    const char *first = strstr(t.data, "{\"input\":\"reset\",\"guest\":1,\"at\":1000000001}\n{\"config_hash\":\"0000000000000def\"}\n"
                                       "{\"decide\":\"event\"");
    assert_non_null(first);
    assert_non_null(strstr(first, "\"config\":{\"memory_kib\":5,"));
    assert_null(strstr(strstr(first, "\"decide\":\"tick\""), "memory_kib")); /* the same as before */
    assert_non_null(strstr(t.data, "{\"vanished\":0,\"at\":1000000003}\n{\"end\":\"asked\",\"decisions\":2}\n"));
    wire_text_done(&t);
}

static void who_does_not_fetch_loses_the_rest(void **state)
{
    struct recorder *r = *state;
    struct wire_text t = {0};
    struct err e = {0};
    bool ended = false;
    uint64_t now = NOW;

    assert_int_equal(recorder_start(r, 7, NOW, 1, &e), 1);
    for (size_t i = 0; i < RECORDER_ROOM / 40; i++) /* each line is longer than that */
        see(r, now++);
    (void)fetch(r, 1, now, &t, &ended);
    assert_true(ended);
    assert_true(t.length > RECORDER_ROOM - 256 && t.length < 2 * RECORDER_ROOM);
    assert_non_null(strstr(t.data + t.length - 100, "{\"end\":\"lost: its reader was too slow\",\"decisions\":0}\n"));
    for (char *line = t.data, *end; (end = strchr(line, '\n')); line = end + 1) /* whole lines, up to the end */
        assert_int_equal(*line, '{');

    /* He who fetches in time may go on for ever. */
    t.length = 0;
    assert_int_equal(recorder_start(r, 7, now + 20 * SEC, 1, &e), 2);
    for (size_t i = 0; i < 3 * RECORDER_ROOM / 40; i++) {
        see(r, now++);
        if (i % 10000 == 0)
            (void)fetch(r, 2, now, &t, &ended);
    }
    (void)fetch(r, 2, now, &t, &ended);
    assert_false(ended);
    assert_true(t.length > 3 * RECORDER_ROOM);
    wire_text_done(&t);
}

static void there_is_one_at_a_time(void **state)
{
    struct recorder *r = *state;
    struct wire_text t = {0};
    struct err e = {0};
    bool ended;

    assert_int_equal(recorder_start(r, 1000, NOW, 1, &e), 1);
    assert_int_equal(recorder_start(r, 7, NOW + 5 * SEC, 1, &e), -EBUSY);
    assert_non_null(strstr(e.text, "uid 1000 runs already, for 5 s"));
    assert_int_equal(recorder_start(r, 7, NOW + 11 * SEC, 1, &e), 2); /* its reader never came */
    assert_int_equal(recorder_read(r, 1, 0, NOW + 11 * SEC, &t, &ended, &e), -ESRCH);
    assert_int_equal(recorder_read(r, 2, 1, NOW + 11 * SEC, &t, &ended, &e), 0);
    assert_int_equal(recorder_read(r, 2, 0, NOW + 11 * SEC, &t, &ended, &e), -ERANGE); /* forgotten */
    assert_int_equal(recorder_read(r, 2, UINT64_MAX, NOW + 11 * SEC, &t, &ended, &e), -ERANGE);
    recorder_decided(r, DECIDE_TICK, NOW + 30 * SEC); /* gone for longer than we wait */
    assert_false(recorder_has(r, 2));
    wire_text_done(&t);
}

static void requests_are_answered_in_words(void **state)
{
    static const struct {
        enum api_operation what;
        const char *name;
        unsigned status;
        const char *says;
    } cases[] = {
        {API_OPERATION_RECORD_READ, "1-0", 404, "there is no recording 1"},
        {API_OPERATION_RECORD, NULL, 200, "{\"recording\":1,\"next\":0,\"ended\":false}"},
        {API_OPERATION_RECORD, NULL, 409, "runs already"},
        {API_OPERATION_RECORD_READ, "1-0", 200, "{\"begin\":2}"},
        {API_OPERATION_RECORD_READ, "1-99999999", 416, "not 99999999"},
        {API_OPERATION_RECORD_READ, "1", 400, "no piece of a recording"},
        {API_OPERATION_RECORD_READ, "1--1", 400, "no piece of a recording"},
        {API_OPERATION_RECORD_READ, "-1-0", 400, "no piece of a recording"},
        {API_OPERATION_RECORD_READ, "99999999999999999999-1", 400, "no piece of a recording"},
        {API_OPERATION_RECORD_READ, "1-0x", 400, "no piece of a recording"},
        {API_OPERATION_RECORD_STOP, "web1", 404, "no such recording"},
        {API_OPERATION_RECORD_STOP, "2", 404, "no such recording"},
        {API_OPERATION_RECORD_STOP, "1", 200, "\"recording\":1"},
    };
    struct json_object *nothing = json_object_new_object();
    struct recorder *r = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct api_request rq = {.name = cases[i].name, .body = nothing};
        struct api_reply reply = {.status = 200};

        record_request(r, cases[i].what, NOW, &rq, &reply);
        if (reply.status != cases[i].status || !strstr(reply.body.data, cases[i].says))
            fail_msg("case %zu: %u, %s", i, reply.status, reply.body.data);
        wire_text_done(&reply.body);
    }
    (void)json_object_put(nothing);
}

static void pieces_that_are_none_are_refused(void **state)
{
    static const char *const texts[] = {"", "{}", "{}\n", "{\"recording\":1}\n", "{\"recording\":-1,\"next\":0}\n", "x\n"};
    struct wire_record_piece piece;
    size_t length;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct err e = {0};

        assert_int_equal(wire_record_piece_parse(texts[i], strlen(texts[i]), &piece, &length, &e), -EBADMSG);
        assert_true(e.text[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_begins_with_the_state_and_ends_with_a_reason, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(who_does_not_fetch_loses_the_rest, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(there_is_one_at_a_time, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(requests_are_answered_in_words, rig_setup, rig_teardown),
        cmocka_unit_test(pieces_that_are_none_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
