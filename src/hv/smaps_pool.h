/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "procmem.h"
#include "smaps.h"

/* A few threads that read /proc/PID/smaps, because that takes the process's mmap lock and can hang with it. A reading
 * past its deadline is given up: another thread takes its place, so that one hung guest delays no other (S4). At most
 * SMAPS_POOL_LATE_MAX readings may hang; with all of them, nothing is read until one returns. */

struct sd_event;
struct smaps_pool;

#define SMAPS_POOL_DEADLINE_USEC 2000000ULL
#define SMAPS_POOL_LATE_MAX      8U
#define SMAPS_POOL_STACK_BYTES   (256U << 10) /* S14 */

/* A process whose counters (procmem.h) moved by less than this since its last whole reading holds what it held then: an
 * idle guest costs two small files a second. Below what anybody decides by, above what the counters are off. */
#define SMAPS_POOL_SAME_BYTES (1ULL << 20)
/* ... but is read whole this often: guest RAM may have grown by what the rest of the process shrank. */
#define SMAPS_POOL_WHOLE_USEC 30000000ULL

/* One guest's reading; made once per guest. Whoever submits it does not touch it until done(). */
struct smaps_job {
    pid_t pid;
    uint64_t start_ticks;
    uint64_t regions[SMAPS_REGIONS_MAX];
    size_t regions_n;
    void *user;

    /* outcome */
    int result; /* 0, or -errno with error */
    struct smaps smaps;
    struct err error;

    /* the pool's */
    struct procmem whole;         /* counters at the last whole reading */
    uint64_t whole_start_ticks;   /* of the process it was */
    uint64_t whole_usec;          /* when that was; 0: none yet that was good */
    struct smaps_job *next;
    uint64_t started_usec;
    bool running, late, forgotten;
};

/* done: from the loop. proc: "/proc" but in tests; at most 63 bytes. deadline_usec: 0 but in tests. */
int smaps_pool_new(struct sd_event *loop, const char *proc, uint64_t deadline_usec, void (*done)(struct smaps_job *job),
                   struct smaps_pool **ret, struct err *e);

/* Waits for readings that are not late (milliseconds). No done() comes any more. Jobs under way are freed. */
struct smaps_pool *smaps_pool_free(struct smaps_pool *pool);

struct smaps_job *smaps_job_new(void);                   /* NULL: no memory */
struct smaps_job *smaps_job_free(struct smaps_job *job); /* only one that is not submitted */

/* Hands the job to the pool. */
void smaps_pool_submit(struct smaps_pool *pool, struct smaps_job *job);

/* The guest of a submitted job is gone: the pool frees the job when it can, without done(). */
void smaps_pool_forget(struct smaps_pool *pool, struct smaps_job *job);

/* Readings that hang now. */
unsigned smaps_pool_late(struct smaps_pool *pool);
