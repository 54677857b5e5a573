/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "smaps_pool.h"

/* Readings against a /proc of our own. A process whose mmap lock nobody lets go of is played by a FIFO that nobody
 * writes: opening it hangs, as long as the test likes. */

#define DEADLINE_USEC 20000

struct world {
    char proc[32];
    sd_event *loop;
    struct smaps_pool *pool;
    unsigned done;
    struct smaps_job *last;
};

static struct world *world; /* done() has no pointer of its own but the job's */

static void on_done(struct smaps_job *job)
{
    world->done++;
    world->last = job;
}

static void path_of(char *buf, size_t size, int pid, const char *file)
{
    (void)snprintf(buf, size, "%s/%d%s%s", world->proc, pid, file ? "/" : "", file ? file : "");
}

static void write_file(int pid, const char *file, const char *text)
{
    char path[96];
    int fd;

    path_of(path, sizeof(path), pid, file);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

static void make_process(int pid, bool hangs)
{
    char path[96], stat[160];

    path_of(path, sizeof(path), pid, NULL);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(stat, sizeof(stat), "%d (x) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 77 1000 250 0\n", pid);
    write_file(pid, "stat", stat);
    path_of(path, sizeof(path), pid, "smaps");
    if (hangs)
        assert_int_equal(mkfifo(path, 0600), 0);
    else
        write_file(pid, "smaps", "100000-200000 rw-p 00000000 00:00 0 \nRss: 512 kB\nSwap: 4 kB\n");
}

static void remove_process(int pid)
{
    char path[96];

    path_of(path, sizeof(path), pid, "stat");
    (void)unlink(path);
    path_of(path, sizeof(path), pid, "smaps");
    (void)unlink(path);
    path_of(path, sizeof(path), pid, "status");
    (void)unlink(path);
    path_of(path, sizeof(path), pid, NULL);
    (void)rmdir(path);
}

/* Lets a hung reading go on. */
static void release_process(int pid)
{
    char path[96];
    int fd;

    path_of(path, sizeof(path), pid, "smaps");
    do { /* fails while no reader is there yet */
        fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    } while (fd < 0 && errno == ENXIO);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
}

static int setup(void **state)
{
    struct err e = {0};

    world = calloc(1, sizeof(*world));
    assert_non_null(world);
    strcpy(world->proc, "/tmp/ballast-test-XXXXXX");
    assert_non_null(mkdtemp(world->proc));
    assert_true(sd_event_new(&world->loop) >= 0);
    assert_int_equal(smaps_pool_new(world->loop, world->proc, DEADLINE_USEC, on_done, &world->pool, &e), 0);
    (void)state;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world->pool = smaps_pool_free(world->pool);
    world->loop = sd_event_unref(world->loop);
    for (int pid = 1; pid < 40; pid++)
        remove_process(pid);
    assert_int_equal(rmdir(world->proc), 0);
    free(world);
    return 0;
}

static struct smaps_job *submit(int pid)
{
    struct smaps_job *job = smaps_job_new();

    assert_non_null(job);
    job->pid = pid;
    job->start_ticks = 77;
    job->regions[0] = 1 << 20;
    job->regions_n = 1;
    smaps_pool_submit(world->pool, job);
    return job;
}

static void run_until(unsigned n)
{
    while (world->done < n)
        assert_true(sd_event_run(world->loop, UINT64_MAX) >= 0);
}

static void reads(void **state)
{
    struct smaps_job *job;

    (void)state;
    make_process(1, false);
    job = submit(1);
    run_until(1);
    assert_ptr_equal(world->last, job);
    assert_int_equal(job->result, 0);
    assert_true(job->smaps.all_found && job->smaps.resident_bytes == 512 << 10 && job->smaps.swapped_bytes == 4 << 10);
    job->start_ticks = 78; /* the number belongs to another process by now */
    smaps_pool_submit(world->pool, job);
    run_until(2);
    assert_int_equal(job->result, -ESRCH);
    job->pid = 39;
    smaps_pool_submit(world->pool, job);
    run_until(3);
    assert_int_equal(job->result, -ENOENT);
    (void)smaps_job_free(job);
}

static void a_hung_reading_delays_nobody(void **state)
{
    (void)state;
    make_process(1, true);
    make_process(2, false);
    make_process(3, true);
    (void)submit(1);
    (void)submit(3);
    (void)submit(2);
    run_until(1); /* the third is read by a thread that takes over */
    assert_int_equal(world->last->pid, 2);
    assert_int_equal(world->last->result, 0);
    assert_int_equal(smaps_pool_late(world->pool), 2);
    (void)smaps_job_free(world->last);
    release_process(1);
    run_until(2);
    assert_int_equal(world->last->pid, 1);
    assert_int_equal(smaps_pool_late(world->pool), 1);
    (void)smaps_job_free(world->last);
    release_process(3);
    run_until(3);
    assert_int_equal(smaps_pool_late(world->pool), 0);
    (void)smaps_job_free(world->last);
}

static void hung_readings_are_limited(void **state)
{
    (void)state;
    for (int pid = 1; pid <= (int)SMAPS_POOL_LATE_MAX + 3; pid++) {
        make_process(pid, true);
        (void)submit(pid);
    }
    while (smaps_pool_late(world->pool) < SMAPS_POOL_LATE_MAX)
        assert_true(sd_event_run(world->loop, UINT64_MAX) >= 0);
    for (int pid = 1; pid <= (int)SMAPS_POOL_LATE_MAX + 3; pid++) {
        release_process(pid);
        run_until((unsigned)pid);
        (void)smaps_job_free(world->last);
    }
    assert_int_equal(smaps_pool_late(world->pool), 0);
}

static void a_guest_may_go_while_it_is_read(void **state)
{
    struct smaps_job *job;

    (void)state;
    make_process(1, true);
    make_process(2, false);
    job = submit(1);
    smaps_pool_forget(world->pool, job); /* freed by the pool: no done() */
    release_process(1);
    (void)submit(2);
    run_until(1);
    assert_int_equal(world->last->pid, 2);
    (void)smaps_job_free(world->last);
}

/* Closing does not wait for a hung reading; its thread frees what is left when it comes back. */
static void closes_while_a_reading_hangs(void **state)
{
    (void)state;
    make_process(1, true);
    (void)submit(1);
    while (smaps_pool_late(world->pool) < 1)
        assert_true(sd_event_run(world->loop, UINT64_MAX) >= 0);
    world->pool = smaps_pool_free(world->pool);
    release_process(1);
    assert_int_equal(world->done, 0);
}

/* Counters that did not move stand for a whole reading; moved ones, and another process, do not. */
static void what_did_not_change_is_not_read_again(void **state)
{
    static const char status[] = "Name:\tqemu\nVmPeak:\t 9 kB\nVmRSS:\t  9000 kB\nVmSwap:\t     %u kB\n";
    struct smaps_job *job;
    char text[128];

    (void)state;
    make_process(7, /* hangs= */ false);
    (void)snprintf(text, sizeof(text), status, 100);
    write_file(7, "status", text);
    job = submit(7);
    run_until(1);
    assert_int_equal(job->smaps.resident_bytes, 512 << 10);
    write_file(7, "smaps", "100000-200000 rw-p 00000000 00:00 0 \nRss: 9512 kB\nSwap: 4 kB\n");
    smaps_pool_submit(world->pool, job);
    run_until(2);
    assert_int_equal(job->result, 0);
    assert_int_equal(job->smaps.resident_bytes, 512 << 10); /* the counters say that nothing changed */
    (void)snprintf(text, sizeof(text), status, 100 + (unsigned)(SMAPS_POOL_SAME_BYTES >> 10));
    write_file(7, "status", text);
    smaps_pool_submit(world->pool, job);
    run_until(3);
    assert_int_equal(job->smaps.resident_bytes, 9512 << 10);
    job->start_ticks = 78; /* another process of that number: nothing known of the one before holds */
    smaps_pool_submit(world->pool, job);
    run_until(4);
    assert_int_equal(job->result, -ESRCH);
    (void)smaps_job_free(job);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(reads),
        TEST(what_did_not_change_is_not_read_again),
        TEST(a_hung_reading_delays_nobody),
        TEST(hung_readings_are_limited),
        TEST(a_guest_may_go_while_it_is_read),
        TEST(closes_while_a_reading_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
