/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash_fs.h"
#include "random.h"
#include "repo.h"
#include "repo_sweep.h"
#include "repo_verify.h"

/* Killed at any step, whatever was not synced lost or reordered: there is the old point or the new one, whole, never anything
 * between; and what comes after works. */

#define CHUNK REPO_CHUNK_BYTES_MIN
#define DISK_CHUNKS 4
#define SEEDS RANDOM_TRIES(4) /* crashes tried for each step */
#define DAY 86400

#define FIRST "20260101T000000Z"
#define SECOND "20260102T000000Z"
#define OLD "20250101T000000Z"
#define AFTER "20260103T000000Z"

static struct err failure;

#define must(call)                                                                                                     \
    do {                                                                                                               \
        failure = (struct err){0};                                                                                     \
        int r_ = (call);                                                                                               \
        if (r_ < 0)                                                                                                    \
            fail_msg("%s: %s", #call, failure.text);                                                                   \
    } while (0)

/* Content that compresses to little, different for each number. */
static void content(uint8_t *data, unsigned number)
{
    memset(data, (int)(number % 251) + 1, CHUNK);
    memcpy(data, &number, sizeof(number));
}

/* A full backup of a disk whose chunks have these numbers; 0: zeroes. */
static int backup(struct repo *repo, const char *time, const char *parent, const unsigned *numbers, struct err *e)
{
    AUTO(repo_index) struct repo_index *index = NULL;
    static uint8_t data[CHUNK];
    struct repo_point *point;
    int r = repo_point_begin(repo, "g", "g", time, &parent, parent ? 1 : 0, &point, e);

    if (r < 0)
        return r;
    r = repo_index_new(repo, (uint64_t)DISK_CHUNKS * CHUNK, &index, e);
    for (unsigned n = 0; n < DISK_CHUNKS && r == 0; n++) {
        content(data, numbers[n]);
        if (numbers[n])
            r = repo_chunk_put(point, data, CHUNK, &index->ids[n], NULL, e);
    }
    if (r == 0)
        r = repo_point_add_disk(point, "vda", REPO_KIND_FULL, NULL, index, 0, 0, e);
    if (r == 0)
        return repo_point_commit(point, NULL, e);
    (void)repo_point_abort(point, e->text);
    return r;
}

static const unsigned first[DISK_CHUNKS] = {1, 2, 0, 3}, second[DISK_CHUNKS] = {1, 7, 8, 0}, old[DISK_CHUNKS] = {4, 5, 6, 1};

static struct repo *opened(struct crash_fs *fs)
{
    struct repo *repo = NULL;

    must(repo_open_on(crash_fs_fs(fs), &repo, &failure));
    return repo;
}

static bool has_point(struct repo *repo, const char *time)
{
    AUTO(repo_point_list) struct repo_point_list *list = NULL;

    must(repo_points_list(repo, "g", &list, &failure));
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].time, time) == 0)
            return true;
    return false;
}

/* Every point there is can be read, to the last chunk; and holds what it held. */
static void check_point(struct repo *repo, const char *time, const unsigned *numbers)
{
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    AUTO(repo_index) struct repo_index *index = NULL;
    static uint8_t data[CHUNK], wanted[CHUNK];

    must(repo_manifest_load(repo, "g", time, &m, &failure));
    must(repo_index_load(repo, repo_manifest_disk(m, "vda"), &index, &failure));
    for (unsigned n = 0; n < DISK_CHUNKS; n++) {
        must(repo_chunk_get(repo, &index->ids[n], data, CHUNK, &failure));
        content(wanted, numbers[n]);
        if (numbers[n])
            assert_memory_equal(data, wanted, CHUNK);
        else
            assert_true(repo_id_is_zero(&index->ids[n]));
    }
}

static void check_whole(struct repo *repo)
{
    AUTO(repo_verification) struct repo_verification *v = NULL;

    must(repo_verify(repo, 10000, 0, NULL, NULL, &v, &failure));
    if (v->victim_count)
        fail_msg("%s: %s", v->victims[0].time, v->victims[0].why.text);
}

/* A repository with two points, all durable; the older one is to be pruned. */
static struct crash_fs *prepared(void)
{
    struct crash_fs *fs = crash_fs_new();
    AUTO(repo) struct repo *repo = NULL;
    struct err e = {0};

    must(repo_init_on(crash_fs_fs(fs), CHUNK, &e));
    repo = opened(fs);
    must(backup(repo, OLD, NULL, old, &failure));
    must(backup(repo, FIRST, NULL, first, &failure));
    must(crash_fs_fs(fs)->ops->sync_all(crash_fs_fs(fs), &e));
    crash_fs_set_now(fs, 1000000000 + 2 * DAY);
    return fs;
}

struct progress {
    bool is_committed, is_pruned, is_swept;
};

/* What is killed: a backup, a prune, a sweep. */
static void work(struct crash_fs *fs, struct progress *ret)
{
    AUTO(repo) struct repo *repo = NULL;
    AUTO(repo_sweeper) struct repo_sweeper *sweeper = NULL;
    struct repo_swept swept;
    struct err e = {0};

    *ret = (struct progress){0};
    if (repo_open_on(crash_fs_fs(fs), &repo, &e) < 0)
        return;
    ret->is_committed = backup(repo, SECOND, NULL, second, &e) == 0;
    crash_fs_set_now(fs, fs ? 1000000000 + 3 * DAY : 0);
    if (repo_sweeper_new(repo, &sweeper, &e) < 0)
        return;
    ret->is_pruned = repo_point_remove(sweeper, "g", OLD, &e) == 0;
    ret->is_swept = repo_sweep(sweeper, false, &swept, &e) == 0;
}

/* The state after a crash, and that all goes on well from there, through one more crash. */
static void check_after(struct crash_fs *fs, const struct progress *done, uint64_t seed)
{
    AUTO(repo) struct repo *repo = opened(fs);
    AUTO(repo_sweeper) struct repo_sweeper *sweeper = NULL;
    struct repo_swept swept;

    crash_fs_set_now(fs, 1000000000 + 4 * DAY);
    check_whole(repo);
    check_point(repo, FIRST, first);
    if (done->is_committed || has_point(repo, SECOND))
        check_point(repo, SECOND, second);
    if (!done->is_pruned && has_point(repo, OLD))
        check_point(repo, OLD, old);
    must(backup(repo, AFTER, NULL, second, &failure));
    repo = repo_free(repo);
    crash_fs_crash(fs, seed);
    repo = opened(fs);
    check_point(repo, AFTER, second);
    check_whole(repo);
    crash_fs_set_now(fs, 1000000000 + 5 * DAY);
    must(repo_sweeper_new(repo, &sweeper, &failure));
    must(repo_sweep(sweeper, false, &swept, &failure));
    must(repo_sweep(sweeper, false, &swept, &failure)); /* what a first one may leave: names of a killed sweep */
    check_whole(repo);
    check_point(repo, FIRST, first);
    check_point(repo, AFTER, second);
    assert_int_equal(swept.young_count, 0);
    assert_int_equal(crash_fs_count(fs, "locks", ".backup"), 0);
    assert_int_equal(crash_fs_count(fs, "chunks", ".gone"), 0);
    /* 1 2 3 7 8 and an index of each point; those of the old one where it is there still */
    assert_int_equal(crash_fs_count(fs, "chunks", ""), has_point(repo, OLD) ? 11 : 7);
}

static void killed_at_any_step(void **state)
{
    struct crash_fs *before = prepared();
    unsigned steps;
    struct progress done;

    for (unsigned n = 1;; n++) {
        for (unsigned seed = 0; seed < (unsigned)SEEDS + 3; seed++) {
            struct crash_fs *fs = crash_fs_clone(before);

            crash_fs_fail_at(fs, n, /* code= */ 0, false);
            work(fs, &done);
            steps = crash_fs_calls(fs);
            if (seed == 0)
                crash_fs_kill(fs); /* the machine lives on */
            else
                crash_fs_crash(fs, seed - 1 + (seed > 2 ? 100ULL * n : 0));
            check_after(fs, &done, seed);
            fs = crash_fs_free(fs);
        }
        if (n > steps)
            break;
    }
    assert_true(done.is_committed && done.is_pruned && done.is_swept && steps > 30);
    before = crash_fs_free(before);
}

/* Each call that fails, once or for good: it is said, nothing is lost, and the next backup is right. */
static void fails_at_any_step(void **state)
{
    static const int codes[] = {ENOSPC, EIO, EROFS};
    struct crash_fs *before = prepared();
    unsigned steps;
    struct progress done;

    for (unsigned n = 1;; n++) {
        for (unsigned i = 0; i < 2 * sizeof(codes) / sizeof(codes[0]); i++) {
            struct crash_fs *fs = crash_fs_clone(before);

            crash_fs_fail_at(fs, n, codes[i / 2], i % 2 == 0);
            work(fs, &done);
            steps = crash_fs_calls(fs);
            crash_fs_fail_at(fs, 0, 0, false);
            if (i % 2)
                crash_fs_crash(fs, n);
            check_after(fs, &done, n + i);
            fs = crash_fs_free(fs);
        }
        if (n > steps)
            break;
    }
    assert_true(done.is_committed && done.is_pruned && done.is_swept);
    before = crash_fs_free(before);
}

static void init_killed_at_any_step(void **state)
{
    bool is_done = false;

    for (unsigned n = 1; !is_done; n += n < 20 ? 1 : 13) { /* 256 of its steps are the same */
        for (unsigned seed = 0; seed < 3; seed++) {
            struct crash_fs *fs = crash_fs_new();
            struct repo *repo = NULL;
            struct err e = {0};

            crash_fs_fail_at(fs, n, 0, false);
            is_done = repo_init_on(crash_fs_fs(fs), CHUNK, &e) == 0;
            if (seed == 0)
                crash_fs_kill(fs);
            else
                crash_fs_crash(fs, seed == 1 ? 1 : 100ULL * n);
            if (repo_open_on(crash_fs_fs(fs), &repo, &e) < 0) {
                assert_false(is_done);
                must(repo_init_on(crash_fs_fs(fs), CHUNK, &failure));
                repo = opened(fs);
            }
            must(backup(repo, FIRST, NULL, first, &failure));
            check_point(repo, FIRST, first);
            repo = repo_free(repo);
            fs = crash_fs_free(fs);
        }
    }
}

/* ---- What was cut off, a sweep after it, and a crash once more: what a crash may have torn is never believed. */

static void sweep_all(struct repo *repo)
{
    AUTO(repo_sweeper) struct repo_sweeper *sweeper = NULL;
    struct repo_swept swept;

    must(repo_sweeper_new(repo, &sweeper, &failure));
    must(repo_sweep(sweeper, false, &swept, &failure));
}

/* The next backup finds the names of all that was cut off, and is whole all the same. */
static void check_next(struct crash_fs *fs)
{
    AUTO(repo) struct repo *repo = opened(fs);

    must(backup(repo, AFTER, NULL, second, &failure));
    check_point(repo, AFTER, second);
    check_point(repo, FIRST, first);
    check_whole(repo);
}

/* later: when the sweep comes: at once, when all is as young as itself, or when it may remove what is left. */
static void cut_off_at(const struct crash_fs *before, unsigned n, uint64_t seed, int64_t later, uint64_t again)
{
    struct crash_fs *fs = crash_fs_clone(before);
    struct repo *repo = opened(fs);
    struct err e = {0};

    crash_fs_fail_at(fs, n, /* code= */ 0, false);
    (void)backup(repo, SECOND, NULL, second, &e);
    repo = repo_free(repo);
    crash_fs_crash(fs, seed);
    crash_fs_set_now(fs, 1000000000 + 2 * DAY + later);
    repo = opened(fs);
    sweep_all(repo);
    repo = repo_free(repo);
    crash_fs_crash(fs, again);
    crash_fs_set_now(fs, 1000000000 + 4 * DAY);
    check_next(fs);
    fs = crash_fs_free(fs);
}

static void cut_off_swept_and_crashed(void **state)
{
    static const int64_t later[] = {0, DAY};
    struct crash_fs *before = prepared();

    for (unsigned n = 1; n <= 24; n++)
        for (uint64_t seed = 1; seed <= 3; seed++)
            for (unsigned i = 0; i < 2; i++)
                for (uint64_t again = 0; again < 2 + (uint64_t)SEEDS; again++)
                    cut_off_at(before, n, seed, later[i], again > 1 ? again + 100ULL * n : again);
    before = crash_fs_free(before);
}

/* A prune is killed at its step n (0: not), the sweep that goes on from there at its step m, and the machine crashes. Returns
 * whether both came to their end. */
static bool prune_and_sweep(const struct crash_fs *before, unsigned n, unsigned m, uint64_t seed, bool *ret_is_pruned)
{
    struct crash_fs *fs = crash_fs_clone(before);
    struct repo *repo = opened(fs);
    struct repo_sweeper *sweeper = NULL;
    struct repo_swept swept;
    struct err e = {0};
    bool is_swept;

    crash_fs_fail_at(fs, n, /* code= */ 0, false);
    *ret_is_pruned = repo_sweeper_new(repo, &sweeper, &e) == 0 && repo_point_remove(sweeper, "g", OLD, &e) == 0;
    sweeper = repo_sweeper_free(sweeper);
    crash_fs_kill(fs);
    crash_fs_fail_at(fs, m, /* code= */ 0, false);
    is_swept = repo_sweeper_new(repo, &sweeper, &e) == 0 && repo_sweep(sweeper, false, &swept, &e) == 0;
    sweeper = repo_sweeper_free(sweeper);
    repo = repo_free(repo);
    crash_fs_crash(fs, seed);
    repo = opened(fs);
    check_whole(repo);
    if (has_point(repo, OLD))
        check_point(repo, OLD, old);
    repo = repo_free(repo);
    fs = crash_fs_free(fs);
    return is_swept;
}

/* A point that comes back has its chunks. */
static void prune_killed_sweep_crashed(void **state)
{
    struct crash_fs *before = prepared();
    bool is_pruned = false, is_swept;

    for (unsigned n = 1; !is_pruned; n++) {
        is_swept = false;
        for (unsigned m = 1; !is_swept; m++)
            for (uint64_t seed = 0; seed < 2 + (uint64_t)SEEDS; seed++)
                is_swept = prune_and_sweep(before, n, m, seed > 1 ? seed + 100ULL * n + 10000ULL * m : seed, &is_pruned);
    }
    before = crash_fs_free(before);
}

/* What an aborted backup stored stays, under its names: durable, or under suspicion. The sync may be what fails. */
static void abort_and_crash(void **state)
{
    struct crash_fs *before = prepared();
    unsigned calls = 1;

    for (unsigned n = 0; n <= calls; n++) {
        for (uint64_t seed = 0; seed < 3 + (uint64_t)SEEDS; seed++) {
            struct crash_fs *fs = crash_fs_clone(before);
            struct repo *repo = opened(fs);
            struct repo_point *point;
            static uint8_t data[CHUNK];
            struct repo_id id;

            must(repo_point_begin(repo, "g", "g", SECOND, NULL, 0, &point, &failure));
            for (unsigned i = 0; i < DISK_CHUNKS; i++) {
                content(data, second[i]);
                if (second[i])
                    must(repo_chunk_put(point, data, CHUNK, &id, NULL, &failure));
            }
            crash_fs_fail_at(fs, n, EIO, /* is_once= */ true);
            (void)repo_point_abort(point, "it was called off");
            calls = crash_fs_calls(fs);
            repo = repo_free(repo);
            crash_fs_crash(fs, seed);
            crash_fs_set_now(fs, 1000000000 + 4 * DAY);
            check_next(fs);
            fs = crash_fs_free(fs);
        }
    }
    before = crash_fs_free(before);
}

/* ---- A sweep beside a backup, in every order of their steps. */
struct beside {
    struct crash_fs *fs;
    unsigned at;
    bool is_sweep; /* the sweep comes in between; else a part of a backup does */
    struct repo_point *point;
    struct repo *repo;
    struct repo_index *index;
};

static void put_old(struct beside *b)
{
    static uint8_t data[CHUNK];

    must(repo_point_begin(b->repo, "g", "g", AFTER, NULL, 0, &b->point, &failure));
    must(repo_index_new(b->repo, (uint64_t)DISK_CHUNKS * CHUNK, &b->index, &failure));
    for (unsigned n = 0; n < DISK_CHUNKS; n++) {
        content(data, old[n]);
        must(repo_chunk_put(b->point, data, CHUNK, &b->index->ids[n], NULL, &failure));
    }
}

static void come_between(void *user, unsigned n)
{
    struct beside *b = user;

    if (n != b->at)
        return;
    crash_fs_set_now(b->fs, crash_fs_fs(b->fs)->ops->now(crash_fs_fs(b->fs)) + DAY); /* a backup may take as long */
    if (b->is_sweep)
        sweep_all(b->repo);
    else
        put_old(b);
}

/* The old point is pruned already: its chunks are there and nobody's, when a backup finds them again. */
static struct crash_fs *with_orphans(void)
{
    struct crash_fs *fs = prepared();
    AUTO(repo) struct repo *repo = opened(fs);
    AUTO(repo_sweeper) struct repo_sweeper *sweeper = NULL;

    must(repo_sweeper_new(repo, &sweeper, &failure));
    must(repo_point_remove(sweeper, "g", OLD, &failure));
    return fs;
}

/* is_back: the clock was set back by ten days before. */
static bool beside_at(const struct crash_fs *before, unsigned at, bool is_sweep, bool is_back)
{
    struct crash_fs *fs = crash_fs_clone(before);
    AUTO(repo) struct repo *repo = opened(fs);
    struct beside b = {.fs = fs, .at = at, .is_sweep = is_sweep, .repo = repo};
    unsigned calls;

    crash_fs_set_now(fs, 1000000000 + (is_back ? -8 : 3) * DAY);
    crash_fs_hook(fs, come_between, &b);
    if (is_sweep) {
        must(backup(repo, AFTER, NULL, old, &failure));
    } else {
        sweep_all(repo);
    }
    calls = crash_fs_calls(fs);
    crash_fs_hook(fs, NULL, NULL);
    if (b.point) {
        must(repo_point_add_disk(b.point, "vda", REPO_KIND_FULL, NULL, b.index, 0, 0, &failure));
        must(repo_point_commit(b.point, NULL, &failure));
    }
    (void)repo_index_free(b.index);
    if (is_sweep || b.point)
        check_point(repo, AFTER, old);
    check_whole(repo);
    repo = repo_free(repo);
    fs = crash_fs_free(fs);
    return at <= calls;
}

static void sweep_beside_a_backup(void **state)
{
    struct crash_fs *before = with_orphans();

    for (unsigned way = 0; way < 4; way++) {
        unsigned at = 1;

        while (beside_at(before, at, way % 2, way / 2))
            at++;
        assert_true(at > 10);
    }
    before = crash_fs_free(before);
}

/* A point that a backup builds upon is not removed, at whatever step of the prune the backup comes. */
struct parent {
    struct repo *repo;
    unsigned at;
    struct repo_point *point;
    int result;
};

static void begin_upon(void *user, unsigned n)
{
    struct parent *p = user;
    const char *parents[] = {OLD};
    struct err e = {0};

    if (n == p->at)
        p->result = repo_point_begin(p->repo, "g", "g", AFTER, parents, 1, &p->point, &e);
}

static void prune_beside_a_backup(void **state)
{
    struct crash_fs *before = prepared();
    unsigned calls = 1;

    for (unsigned at = 1; at <= calls; at++) {
        struct crash_fs *fs = crash_fs_clone(before);
        AUTO(repo) struct repo *repo = opened(fs);
        AUTO(repo_sweeper) struct repo_sweeper *sweeper = NULL;
        struct parent p = {.repo = repo, .at = at, .result = 1};
        struct err e = {0};
        int r;

        crash_fs_hook(fs, begin_upon, &p);
        must(repo_sweeper_new(repo, &sweeper, &failure));
        r = repo_point_remove(sweeper, "g", OLD, &e);
        calls = crash_fs_calls(fs);
        crash_fs_hook(fs, NULL, NULL);
        if (p.result == 0) { /* it has its parent, so the parent is there, or about to be */
            assert_int_equal(r, -EBUSY);
            check_point(repo, OLD, old);
        } else {
            assert_true(p.result == 1 || p.result == -ENOENT);
            assert_int_equal(r, 0);
            assert_false(has_point(repo, OLD));
        }
        p.point = repo_point_abort(p.point, NULL);
        sweeper = repo_sweeper_free(sweeper);
        repo = repo_free(repo);
        fs = crash_fs_free(fs);
    }
    before = crash_fs_free(before);
}

static int done(void **state)
{
    crash_fs_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(killed_at_any_step, done),
        cmocka_unit_test_teardown(fails_at_any_step, done),
        cmocka_unit_test_teardown(init_killed_at_any_step, done),
        cmocka_unit_test_teardown(cut_off_swept_and_crashed, done),
        cmocka_unit_test_teardown(prune_killed_sweep_crashed, done),
        cmocka_unit_test_teardown(abort_and_crash, done),
        cmocka_unit_test_teardown(sweep_beside_a_backup, done),
        cmocka_unit_test_teardown(prune_beside_a_backup, done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
