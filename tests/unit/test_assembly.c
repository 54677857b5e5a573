/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "assembly.h"
#include "random.h"
#include "task_queue.h"

#define CHUNK (64U << 10)
#define CHUNKS 40
#define PIECE ASSEMBLY_PIECE_BYTES
/* A disk that ends within a piece. */
#define DISK_BYTES (CHUNKS * CHUNK + 2 * PIECE + 512)

/* A disk, what was written to it, and a store that does tasks late. */
struct bench {
    struct assembly a;
    struct task_queue queue;
    uint8_t *buffers;
    uint8_t state[CHUNKS + 1];
    uint8_t want[DISK_BYTES]; /* what was written */
    uint8_t have[DISK_BYTES]; /* what the store has */
};

static void hand(void *user, const struct assembly_task *task)
{
    struct bench *b = user;

    task_queue_add(&b->queue, task);
}

static void bench_init(struct bench *b)
{
    struct err e = {0};

    memset(b, 0, sizeof(*b));
    b->buffers = malloc(ASSEMBLY_BUFFERS_BYTES);
    assert_non_null(b->buffers);
    memset(b->have, 0xee, sizeof(b->have));
    assembly_init(&b->a, CHUNK, b->buffers, hand, b);
    assert_int_equal(assembly_add_disk(&b->a, DISK_BYTES, b->state, &e), 0);
}

static void bench_done(struct bench *b)
{
    assembly_done(&b->a);
    free(b->buffers);
}

/* Does one task; false: there is none. */
static bool store_one(struct bench *b)
{
    struct assembly_task t;

    if (!task_queue_begin(&b->queue, &t))
        return false;
    memcpy(b->have + t.chunk * CHUNK + t.at, b->buffers + (size_t)t.buffer * CHUNK + t.at, t.len);
    task_queue_end(&b->queue, &t);
    (void)assembly_take_back(&b->a, t.buffer);
    return true;
}

static void store_all(struct bench *b)
{
    while (store_one(b))
        ;
    for (size_t i = 0; i <= CHUNKS; i++)
        if (b->state[i] == ASSEMBLY_ZERO)
            memset(b->have + i * CHUNK, 0, i < CHUNKS ? CHUNK : DISK_BYTES % CHUNK);
}

static void write_data(struct bench *b, uint64_t offset, uint32_t length, uint8_t fill)
{
    memset(b->want + offset, fill, length);
    while (length > 0) {
        uint8_t *to;
        uint32_t n;
        int r = assembly_room(&b->a, 0, offset, length, &to, &n);

        if (r == -EAGAIN) {
            assert_true(store_one(b)); /* else nothing would ever move again */
            continue;
        }
        assert_int_equal(r, 0);
        assert_in_range(n, 1, length);
        memset(to, fill, n);
        assembly_filled(&b->a, 0, offset, n);
        offset += n;
        length -= n;
    }
}

static void write_zero(struct bench *b, uint64_t offset, uint32_t length)
{
    memset(b->want + offset, 0, length);
    while (length > 0) {
        uint32_t n;
        int r = assembly_zero(&b->a, 0, offset, length, &n);

        if (r == -EAGAIN) {
            assert_true(store_one(b));
            continue;
        }
        assert_int_equal(r, 0);
        offset += n;
        length -= n;
    }
}

static int check(const struct bench *b, enum copy_kind kind, uint64_t dirty_bytes, struct err *e)
{
    const struct copy_disk job = {.name = "vda", .size_bytes = DISK_BYTES, .kind = kind, .dirty_bytes = dirty_bytes};

    *e = (struct err){0};
    return assembly_check(&b->a, 0, &job, e);
}

/* Every piece once, in random order, data and zeroes mixed, requests across chunks: complete and right. */
static void any_order(void **state)
{
    struct random random = {7};

    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        static struct bench b;
        struct err e;
        unsigned pieces = DISK_BYTES / PIECE + 1, order[DISK_BYTES / PIECE + 1];

        bench_init(&b);
        for (unsigned i = 0; i < pieces; i++)
            order[i] = i;
        for (unsigned i = 0; i < pieces; i++) { /* shuffled only nearby: a handful of chunks is open at once */
            unsigned j = i + (unsigned)random_below(&random, 60);
            unsigned t = order[i];
            if (j >= pieces)
                continue;
            order[i] = order[j];
            order[j] = t;
        }
        for (unsigned i = 0; i < pieces; i++) {
            uint64_t at = (uint64_t)order[i] * PIECE;
            uint32_t len = at + PIECE > DISK_BYTES ? (uint32_t)(DISK_BYTES - at) : PIECE;

            assert_int_equal(check(&b, COPY_KIND_FULL, 0, &e), -ENODATA);
            if (random_below(&random, 3) == 0)
                write_zero(&b, at, len);
            else
                write_data(&b, at, len, (uint8_t)random_below(&random, 256));
            if (random_below(&random, 4) == 0)
                (void)store_one(&b);
        }
        store_all(&b);
        assert_int_equal(check(&b, COPY_KIND_FULL, 0, &e), 0);
        assert_int_equal(b.a.disks[0].received_bytes, DISK_BYTES);
        assert_int_equal(b.a.in_use, 0);
        assert_memory_equal(b.want, b.have, DISK_BYTES);
        bench_done(&b);
    }
}

/* Whatever comes, again and again, stored late: the last one counts. */
static void again_and_again(void **state)
{
    struct random random = {11};

    (void)state;
    for (unsigned round = 0; round < 30; round++) {
        static struct bench b;
        struct err e;

        bench_init(&b);
        write_zero(&b, 0, 7 * CHUNK);
        write_data(&b, 7 * CHUNK, DISK_BYTES - 7 * CHUNK, 1);
        for (unsigned i = 0; i < 400; i++) {
            uint64_t at = random_below(&random, DISK_BYTES / PIECE + 1) * PIECE;
            uint64_t len = (1 + random_below(&random, 40)) * PIECE;

            if (at + len > DISK_BYTES)
                len = DISK_BYTES - at;
            if (random_below(&random, 3) == 0)
                write_zero(&b, at, (uint32_t)len);
            else
                write_data(&b, at, (uint32_t)len, (uint8_t)random_below(&random, 256));
            if (random_below(&random, 2) == 0)
                (void)store_one(&b);
        }
        assert_int_equal(check(&b, COPY_KIND_FULL, 0, &e), 0);
        assert_int_equal(b.a.disks[0].received_bytes, DISK_BYTES);
        store_all(&b);
        assert_memory_equal(b.want, b.have, DISK_BYTES);
        assert_int_equal(b.a.in_use, 0);
        bench_done(&b);
    }
}

static void zeroes_need_no_buffer(void **state)
{
    static struct bench b;
    struct err e;

    (void)state;
    bench_init(&b);
    write_zero(&b, PIECE, DISK_BYTES - PIECE);
    assert_int_equal(b.a.disks[0].open_n, 1);
    write_zero(&b, 0, PIECE);
    assert_int_equal(b.a.in_use, 0);
    assert_int_equal(b.queue.waiting_n, 0);
    for (size_t i = 0; i <= CHUNKS; i++)
        assert_int_equal(b.state[i], ASSEMBLY_ZERO);
    assert_int_equal(check(&b, COPY_KIND_FULL, 0, &e), 0);
    bench_done(&b);
}

static void counts_what_is_dirty(void **state)
{
    static struct bench b;
    struct err e;

    (void)state;
    bench_init(&b);
    assert_int_equal(check(&b, COPY_KIND_INCREMENTAL, 0, &e), 0);
    write_data(&b, 3 * CHUNK, CHUNK, 1);
    write_data(&b, CHUNKS * CHUNK, DISK_BYTES % CHUNK, 1); /* the last one is short: counted whole, or as it is */
    assert_int_equal(check(&b, COPY_KIND_INCREMENTAL, 2 * CHUNK, &e), 0);
    assert_int_equal(check(&b, COPY_KIND_INCREMENTAL, CHUNK + DISK_BYTES % CHUNK, &e), 0);
    assert_int_equal(check(&b, COPY_KIND_INCREMENTAL, CHUNK, &e), -ENODATA);
    assert_int_equal(check(&b, COPY_KIND_INCREMENTAL, 3 * CHUNK, &e), -ENODATA);
    assert_non_null(strstr(e.text, "2 chunks came, and 3 are dirty"));
    write_data(&b, 3 * CHUNK, CHUNK, 2); /* again: counted once */
    assert_int_equal(check(&b, COPY_KIND_INCREMENTAL, 2 * CHUNK, &e), 0);
    write_zero(&b, 9 * CHUNK, PIECE);
    assert_int_equal(check(&b, COPY_KIND_INCREMENTAL, 2 * CHUNK, &e), -ENODATA);
    assert_non_null(strstr(e.text, "1 chunks came only in part"));
    store_all(&b);
    bench_done(&b);
}

/* With all buffers partly filled more are opened; with tasks under way it is waited for them; the end is an error, not a
 * standstill. */
static void never_stands_still(void **state)
{
    struct bench *b = malloc(sizeof(*b));
    uint8_t *to;
    uint32_t n;

    (void)state;
    assert_non_null(b);
    bench_init(b);
    b->a.budget = 4;
    b->a.buffers_n = 6;
    for (uint64_t i = 0; i < 6; i++)
        write_data(b, i * CHUNK, PIECE, 1);
    assert_int_equal(assembly_room(&b->a, 0, 6 * CHUNK, PIECE, &to, &n), -ENOBUFS);
    write_data(b, PIECE, CHUNK - PIECE, 2);
    assert_int_equal(assembly_room(&b->a, 0, 7 * CHUNK, PIECE, &to, &n), -EAGAIN);
    assert_true(store_one(b));
    assert_int_equal(assembly_room(&b->a, 0, 7 * CHUNK, PIECE, &to, &n), 0);
    bench_done(b);
    free(b);
}

static void too_many_open_is_an_error(void **state)
{
    static struct bench b;
    uint8_t *states = calloc(1, 1000);
    struct err e = {0};
    uint32_t n;
    int r = 0;

    (void)state;
    bench_init(&b);
    assert_non_null(states);
    assert_int_equal(assembly_add_disk(&b.a, 1000 * (uint64_t)CHUNK, states, &e), 0);
    for (unsigned i = 0; i < 1000 && r == 0; i++)
        r = assembly_zero(&b.a, 1, i * (uint64_t)CHUNK, PIECE, &n);
    assert_int_equal(r, -ENOBUFS);
    assert_int_equal(b.a.disks[1].open_n, ASSEMBLY_OPEN_MAX);
    bench_done(&b);
    free(states);
}

/* Two tasks of one chunk: one after the other, in order, others pass. */
static void queue_keeps_chunks_apart(void **state)
{
    static struct task_queue q;
    const struct assembly_task tasks[] = {{.chunk = 1, .buffer = 0}, {.chunk = 1, .buffer = 1}, {.chunk = 1, .buffer = 2},
                                          {.chunk = 2, .buffer = 3}, {.disk = 1, .chunk = 1, .buffer = 4}};
    struct assembly_task t;

    (void)state;
    for (size_t i = 0; i < 5; i++)
        task_queue_add(&q, &tasks[i]);
    static const unsigned first[] = {0, 3, 4};
    for (size_t i = 0; i < 3; i++) {
        assert_true(task_queue_begin(&q, &t));
        assert_int_equal(t.buffer, first[i]);
    }
    assert_false(task_queue_begin(&q, &t));
    task_queue_end(&q, &tasks[3]);
    assert_false(task_queue_begin(&q, &t));
    task_queue_end(&q, &tasks[0]);
    assert_true(task_queue_begin(&q, &t));
    assert_int_equal(t.buffer, 1);
    assert_false(task_queue_begin(&q, &t));
    task_queue_end(&q, &tasks[1]);
    assert_true(task_queue_begin(&q, &t));
    assert_int_equal(t.buffer, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order),
        cmocka_unit_test(again_and_again),
        cmocka_unit_test(zeroes_need_no_buffer),
        cmocka_unit_test(counts_what_is_dirty),
        cmocka_unit_test(never_stands_still),
        cmocka_unit_test(too_many_open_is_an_error),
        cmocka_unit_test(queue_keeps_chunks_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
