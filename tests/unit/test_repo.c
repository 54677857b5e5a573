/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "random.h"
#include "repo.h"
#include "repo_keep.h"

/* A repository in a directory of the test's own, with the smallest chunks. */

#define CHUNK REPO_CHUNK_BYTES_MIN

static char directory[] = "/tmp/ballast-repo-XXXXXX";
static char path[64];

static int set_up(void **state)
{
    (void)snprintf(directory, sizeof(directory), "/tmp/ballast-repo-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/repo", directory);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command);
}

static struct err failure;

#define must(call)                                                                                                     \
    do {                                                                                                               \
        int r_ = (call);                                                                                               \
        if (r_ < 0)                                                                                                    \
            fail_msg("%s: %s", #call, failure.text);                                                                   \
    } while (0)

static struct repo *repo_made(void)
{
    struct repo *repo = NULL;

    must(repo_init(path, CHUNK, &failure));
    must(repo_open(path, &repo, &failure));
    return repo;
}

static void fill(uint8_t *data, size_t len, uint64_t seed)
{
    struct random random = {seed};

    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)random_bits(&random);
}

static void chunk_round_trip(void **state)
{
    AUTO(repo) struct repo *repo = repo_made();
    struct repo_point *point;
    static uint8_t data[CHUNK], back[CHUNK];
    struct repo_id id, again, zero;
    uint64_t stored;

    must(repo_point_begin(repo, "web1", "web1", "", NULL, 0, &point, &failure));
    fill(data, sizeof(data), 1);
    must(repo_chunk_put(point, data, sizeof(data), &id, &stored, &failure));
    assert_true(stored > CHUNK); /* noise does not compress */
    must(repo_chunk_put(point, data, sizeof(data), &again, &stored, &failure));
    assert_int_equal(stored, 0); /* there already */
    assert_true(repo_id_is_equal(&id, &again));
    must(repo_chunk_get(repo, &id, back, sizeof(back), &failure));
    assert_memory_equal(data, back, sizeof(data));
    memset(data, 0, sizeof(data));
    must(repo_chunk_put(point, data, 512, &zero, &stored, &failure));
    assert_true(repo_id_is_zero(&zero));
    must(repo_chunk_get(repo, &zero, back, 512, &failure));
    assert_true(repo_is_zero(back, 512));
    (void)repo_point_abort(point, NULL);
}

/* A disk of four chunks and a bit, the second of zeroes. */
static void point_round_trip(void **state)
{
    AUTO(repo) struct repo *repo = repo_made();
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    AUTO(repo_index) struct repo_index *index = NULL, *back = NULL;
    AUTO(repo_point_list) struct repo_point_list *list = NULL;
    struct repo_point *point;
    static uint8_t data[CHUNK];
    char name[REPO_POINT_NAME_SIZE];
    struct err e = {0};

    must(repo_point_begin(repo, "web1", "web-one", "20261124T150000Z", NULL, 0, &point, &failure));
    assert_string_equal(repo_point_name(point), "web1/20261124T150000Z");
    (void)snprintf(name, sizeof(name), "%s", repo_point_name(point));
    must(repo_index_new(repo, 4 * CHUNK + 512, &index, &failure));
    assert_int_equal(index->count, 5);
    for (size_t n = 0; n < index->count; n++) {
        fill(data, sizeof(data), n);
        if (n != 1)
            must(repo_chunk_put(point, data, repo_index_chunk_length(index, n), &index->ids[n], NULL, &failure));
    }
    must(repo_points_list(repo, NULL, &list, &failure));
    assert_int_equal(list->count, 0); /* not before the commit */
    list = repo_point_list_free(list);
    must(repo_point_add_disk(point, "vda", REPO_KIND_FULL, NULL, index, 4 * CHUNK, 1, &failure));
    must(repo_point_commit(point, "{\"consistency\": \"fs\", \"text\": \"a\\nb/\"}", &failure));
    must(repo_points_list(repo, NULL, &list, &failure));
    assert_int_equal(list->count, 1);
    must(repo_manifest_load(repo, list->items[0].identity, list->items[0].time, &m, &failure));
    assert_string_equal(m->guest, "web-one");
    assert_string_equal(m->facts, "{\"consistency\":\"fs\",\"text\":\"a\\nb/\"}");
    assert_int_equal(m->disk_count, 1);
    must(repo_index_load(repo, repo_manifest_disk(m, "vda"), &back, &failure));
    assert_int_equal(back->size_bytes, index->size_bytes);
    assert_memory_equal(back->ids, index->ids, index->count * sizeof(*index->ids));
    assert_int_equal(repo_point_begin(repo, "web1", "web1", "20261124T150000Z", NULL, 0, &point, &e), -EEXIST);
}

static void refuses_names(void **state)
{
    AUTO(repo) struct repo *repo = repo_made();
    struct repo_point *point;
    static const char *const names[] = {"", ".", "..", "a/b", "../x", "a b", "\n", "a\"b"};
    static const char *const times[] = {"now", "20261124T150000", "20261324T150000Z", "20260230T000000Z",
                                        "20261124T150000Z/", "2026112!T150000Z"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct err e = {0};

        assert_int_equal(repo_point_begin(repo, names[i], "x", "", NULL, 0, &point, &e), -EINVAL);
    }
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct err e = {0};

        assert_int_equal(repo_point_begin(repo, "x", "x", times[i], NULL, 0, &point, &e), -EINVAL);
    }
}

#define WORKERS 4
#define ROUNDS 64

struct worker {
    struct repo_point *point;
    struct repo_index *index;
    unsigned number;
    int failed;
};

static void *work(void *user)
{
    struct worker *w = user;
    uint8_t *data = malloc(CHUNK);

    for (unsigned n = w->number % 2; data && n < ROUNDS; n += 2) { /* each chunk is put by two of them */
        struct err e = {0};
        struct repo_id id;

        memset(data, 1, CHUNK);
        memcpy(data, &n, sizeof(n));
        if (repo_chunk_put(w->point, data, CHUNK, &id, NULL, &e) < 0)
            w->failed = 1;
        else if (w->number < 2)
            w->index->ids[n] = id;
    }
    free(data);
    return NULL;
}

static void threads(void **state)
{
    AUTO(repo) struct repo *repo = repo_made();
    AUTO(repo_index) struct repo_index *index = NULL;
    static uint8_t back[CHUNK];
    struct repo_point *point;
    struct worker workers[WORKERS];
    pthread_t ids[WORKERS];

    must(repo_point_begin(repo, "web1", "web1", "", NULL, 0, &point, &failure));
    must(repo_index_new(repo, ROUNDS * (uint64_t)CHUNK, &index, &failure));
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.point = point, .index = index, .number = i};
        assert_int_equal(pthread_create(&ids[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(ids[i], NULL), 0);
        assert_false(workers[i].failed);
    }
    for (unsigned n = 0; n < ROUNDS; n++) {
        must(repo_chunk_get(repo, &index->ids[n], back, CHUNK, &failure));
        assert_memory_equal(back, &n, sizeof(n));
    }
    (void)repo_point_abort(point, NULL);
}

/* A stored chunk's file. */
static void chunk_file(const struct repo_id *id, char *ret, size_t size)
{
    char text[REPO_ID_TEXT_SIZE];

    (void)repo_id_text(id, text);
    (void)snprintf(ret, size, "%s/chunks/%.2s/%s", path, text, text + 2);
}

/* What somebody else may have put where a chunk was: refused with a sentence, without hanging and without going there. */
static void hostile_chunks(void **state)
{
    static const char *const tricks[] = {
        "rm $F; ln -s /etc/passwd $F",
        "rm $F; mkfifo $F",
        "rm $F; mkdir $F",
        "rm $F; : >$F",
        "rm $F; head -c 67108864 /dev/zero | zstd -1cq >$F", /* a bomb: its content is the right one, a thousand times */
        "rm $F; truncate -s 1T $F",
        "rm $F; head -c 1000 /dev/urandom >$F",
    };
    AUTO(repo) struct repo *repo = repo_made();
    struct repo_point *point;
    static uint8_t data[CHUNK];
    struct repo_id id;

    must(repo_point_begin(repo, "web1", "web1", "", NULL, 0, &point, &failure));
    for (size_t i = 0; i < sizeof(tricks) / sizeof(tricks[0]); i++) {
        char file[256], command[1024];
        struct err e = {0};

        fill(data, sizeof(data), 100 + i);
        must(repo_chunk_put(point, data, sizeof(data), &id, NULL, &failure));
        chunk_file(&id, file, sizeof(file));
        (void)snprintf(command, sizeof(command), "F=%s; %s", file, tricks[i]);
        assert_int_equal(system(command), 0);
        assert_true(repo_chunk_get(repo, &id, data, sizeof(data), &e) < 0);
        assert_true(e.text[0] != '\0');
    }
    (void)repo_point_abort(point, NULL);
}

/* A chunk that is whole, but another one: it is never taken for the one that its name says. */
static void swapped_chunk(void **state)
{
    AUTO(repo) struct repo *repo = repo_made();
    struct repo_point *point;
    static uint8_t data[CHUNK];
    struct repo_id ids[2];
    char files[2][256], command[1024];
    struct err e = {0};

    must(repo_point_begin(repo, "web1", "web1", "", NULL, 0, &point, &failure));
    for (unsigned i = 0; i < 2; i++) {
        fill(data, sizeof(data), 500 + i);
        must(repo_chunk_put(point, data, sizeof(data), &ids[i], NULL, &failure));
        chunk_file(&ids[i], files[i], sizeof(files[i]));
    }
    (void)snprintf(command, sizeof(command), "cp %s %s", files[1], files[0]);
    assert_int_equal(system(command), 0);
    assert_int_equal(repo_chunk_get(repo, &ids[0], data, sizeof(data), &e), -EBADMSG);
    must(repo_chunk_get(repo, &ids[1], data, sizeof(data), &failure));
    (void)repo_point_abort(point, NULL);
}

/* A day whose point `last` keeps does not count as one of `daily`. */
static void kept_periods_do_not_count(void **state)
{
    static const int64_t noon = 1767268800, day = 86400; /* 2026-01-01T12:00:00Z: no zone's date changes with the hour after it */
    struct repo_verdict points[] = {{.seconds = noon + 3 * day + 3600}, {.seconds = noon + 3 * day}, {.seconds = noon + 2 * day},
                                    {.seconds = noon + day}, {.seconds = noon}};
    struct repo_keep keep;

    must(repo_keep_parse("last=1,daily=2", &keep, &failure));
    repo_keep_choose(&keep, points, 5);
    assert_int_equal(points[0].fate, REPO_FATE_KEEP);
    assert_int_equal(points[1].fate, REPO_FATE_REMOVE);
    assert_int_equal(points[2].fate, REPO_FATE_KEEP);
    assert_int_equal(points[2].rule, REPO_KEEP_DAILY);
    assert_int_equal(points[3].number, 2);
    assert_int_equal(points[4].fate, REPO_FATE_REMOVE);
}

/* Links in place of directories lead nowhere either. */
static void hostile_directories(void **state)
{
    AUTO(repo) struct repo *repo = repo_made();
    AUTO(repo_point_list) struct repo_point_list *list = NULL;
    struct repo_point *point;
    char command[512];
    struct err e = {0};

    (void)snprintf(command, sizeof(command), "mkdir %s/out && rmdir %s/vm && ln -s %s/out %s/vm", directory, path, directory, path);
    assert_int_equal(system(command), 0);
    assert_true(repo_point_begin(repo, "web1", "web1", "", NULL, 0, &point, &e) < 0);
    assert_true(repo_points_list(repo, NULL, &list, &e) < 0);
    (void)snprintf(command, sizeof(command), "rmdir %s/out", directory); /* empty: nothing went there */
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(chunk_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(point_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostile_chunks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(swapped_chunk, set_up, tear_down),
        cmocka_unit_test(kept_periods_do_not_count),
        cmocka_unit_test_setup_teardown(hostile_directories, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
