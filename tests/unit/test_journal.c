/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal.h"
#include "policy_defaults.h"

/* What was learned of a guest is there again after a restart, for the same incarnation only, whatever the file says. */

#define NOW (1000 * USEC_PER_SEC)

static char dir[64], path[96];

static int fake_sample(struct hv *hv, struct hv_vm *vm, uint32_t what, struct err *e)
{
    (void)hv;
    (void)vm;
    (void)what;
    (void)e;
    return 0;
}

static const struct hv_ops fake_ops = {.name = "fake", .sample = fake_sample};
static struct hv fake = {.ops = &fake_ops};

static void env_configure(void *user, const struct hv_vm *vm, struct guest_config *ret_config)
{
    (void)user;
    (void)vm;
    ret_config->priority = POLICY_PRIORITY_DEFAULT;
}

static bool env_remember(void *user, const struct hv_vm *vm, struct learned *ret_learned)
{
    (void)user;
    *ret_learned = (struct learned){
        .rise = {.value = 4096, .seen_usec = NOW - USEC_PER_SEC},
        .proof = {.value = 123456, .seen_usec = NOW},
        .mark_kib = 777,
        .mark_until_usec = NOW + USEC_PER_MIN,
    };
    return strcmp(vm->name, "blank") != 0;
}

static int env_read_host(void *user, struct obs_host *ret_seen, struct err *e)
{
    (void)user;
    (void)ret_seen;
    return err_set(e, EIO, "no host");
}

static int setup(void **state)
{
    (void)state;
    (void)strcpy(dir, "/tmp/ballast-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/" JOURNAL_FILE_NAME, dir);
    return 0;
}

static int teardown(void **state)
{
    char next[128];

    (void)state;
    (void)snprintf(next, sizeof(next), "%s.new", path);
    (void)unlink(path);
    (void)unlink(next);
    return rmdir(dir);
}

static struct journal *open_journal(void)
{
    struct journal *j = NULL;
    struct err e = {0};

    if (journal_open(dir, &j, &e) < 0)
        fail_msg("%s", e.text);
    return j;
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void kept_over_a_restart(void **state)
{
    const struct engine_env env = {.configure = env_configure, .remember = env_remember, .read_host = env_read_host};
    struct engine_config config = {0};
    struct hv_vm a = {.hv = &fake, .name = "a", .pid = 7, .start_ticks = 70}, b = {.hv = &fake, .name = "blank"};
    struct hv_vm c = {.hv = &fake, .name = "c", .uuid = "11111111-2222-3333-4444-555555555555", .pid = 8, .start_ticks = 80};
    struct engine *engine = NULL;
    struct learned l;
    struct err e = {0};
    struct journal *j = open_journal();

    (void)state;
    assert_false(journal_find(j, &a, &l)); /* the first start */
    assert_int_equal(engine_new(&config, &env, 4, &engine, &e), 0);
    const struct hv_listener *tell = engine_listener(engine);
    tell->appeared(tell->user, &a, NOW);
    tell->appeared(tell->user, &b, NOW); /* of no known process: can't be told from another one */
    tell->appeared(tell->user, &c, NOW);
    journal_save(j, engine, NOW, /* at_once= */ true);
    j = journal_free(j);
    engine = engine_free(engine);

    j = open_journal();
    assert_true(journal_find(j, &a, &l));
    assert_int_equal(l.rise.value, 4096);
    assert_int_equal(l.rise.seen_usec, NOW - USEC_PER_SEC);
    assert_int_equal(l.proof.value, 123456);
    assert_int_equal(l.mark_kib, 777);
    assert_true(journal_find(j, &c, &l));
    a.start_ticks = 71; /* the same name and process number, but another process */
    assert_false(journal_find(j, &a, &l));
    assert_false(journal_find(j, &b, &l));
    (void)strcpy(c.uuid, "11111111-2222-3333-4444-555555555556");
    assert_false(journal_find(j, &c, &l));
    j = journal_free(j);
}

static void nonsense_is_written_anew(void **state)
{
    static const char *const texts[] = {
        "", "{", "[]", "{\"version\":2}", "{\"version\":1,\"boot_id\":7,\"guests\":[]}",
        "{\"version\":1,\"boot_id\":\"x\",\"guests\":[{\"identity\":\"a\",\"pid\":7,\"start_ticks\":70}]}",
        "\x00\xff",
    };
    struct hv_vm a = {.hv = &fake, .name = "a", .pid = 7, .start_ticks = 70};
    struct learned l;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        write_file(texts[i]);
        struct journal *j = open_journal();
        assert_false(journal_find(j, &a, &l)); /* another boot of the host, or nothing at all */
        j = journal_free(j);
    }
}

static void directory_that_is_none(void **state)
{
    struct journal *j = NULL;
    struct err e = {0};

    (void)state;
    write_file("x");
    assert_int_equal(journal_open(path, &j, &e), -ENOTDIR);
    assert_non_null(strstr(e.text, path));
    assert_null(j);
}

static void lies_are_bounded(void **state)
{
    struct learned l;
    struct guest g;
    struct guest_config config = {0};

    (void)state;
    memset(&l, 0xff, sizeof(l));
    guest_init(&g, &config, NOW);
    learned_restore(&g, &l, NOW);
    assert_true(g.proof.value <= POLICY_KIB_MAX);
    assert_int_equal(g.rise.seen_usec, NOW);
    assert_int_equal(g.harm.mark_until_usec, NOW + POLICY_HARM_HOLD_MAX_USEC);
    assert_int_equal(g.selfmanaging.grant_usec[3], NOW);
    assert_true(g.selfmanaging.limit_kib <= POLICY_KIB_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kept_over_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_is_written_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(directory_that_is_none, setup, teardown),
        cmocka_unit_test(lies_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
