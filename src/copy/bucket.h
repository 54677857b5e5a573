/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* A token bucket: how much may be read now, so that on average no more than `rate` comes in. Pure; time is a parameter. */

#define BUCKET_BURST_MSEC  100ULL        /* what is saved up while nothing comes: too short to be felt by the disk */
#define BUCKET_BURST_MIN   (64ULL << 10) /* one request of QEMU's at least, whatever the rate */
#define BUCKET_RATE_MAX    (1ULL << 40)  /* faster than any host; keeps the arithmetic in 64 bits */
#define BUCKET_ELAPSED_MAX 1000000ULL    /* us looked back: the bucket is full long before */

struct bucket {
    uint64_t rate;   /* bytes a second; 0: no limit */
    uint64_t burst;  /* bytes */
    uint64_t credit; /* bytes x 10^6, so that no microsecond is lost to rounding */
    uint64_t usec;   /* of the last look */
};

/* Starts full. */
void bucket_init(struct bucket *b, uint64_t rate_bytes_per_second, uint64_t now_usec);

/* Bytes that may be read now; UINT64_MAX without a limit. A clock that goes back gives nothing and takes nothing. */
uint64_t bucket_allows(struct bucket *b, uint64_t now_usec);

/* So many were read; more than was allowed empties the bucket. */
void bucket_take(struct bucket *b, uint64_t bytes);

/* Microseconds until `bytes` (at most the burst is waited for) may be read; 0: now. */
uint64_t bucket_wait_usec(const struct bucket *b, uint64_t bytes);
