/* SPDX-License-Identifier: Apache-2.0 */
#include "bucket.h"

#define MICRO 1000000ULL

void bucket_init(struct bucket *b, uint64_t rate_bytes_per_second, uint64_t now_usec)
{
    *b = (struct bucket){.rate = rate_bytes_per_second > BUCKET_RATE_MAX ? BUCKET_RATE_MAX : rate_bytes_per_second,
                         .usec = now_usec};
    b->burst = b->rate / 1000 * BUCKET_BURST_MSEC;
    if (b->burst < BUCKET_BURST_MIN)
        b->burst = BUCKET_BURST_MIN;
    b->credit = b->burst * MICRO;
}

uint64_t bucket_allows(struct bucket *b, uint64_t now_usec)
{
    uint64_t elapsed;

    if (b->rate == 0)
        return UINT64_MAX;
    elapsed = now_usec > b->usec ? now_usec - b->usec : 0;
    b->usec = now_usec;
    b->credit += b->rate * (elapsed > BUCKET_ELAPSED_MAX ? BUCKET_ELAPSED_MAX : elapsed);
    if (b->credit > b->burst * MICRO)
        b->credit = b->burst * MICRO;
    return b->credit / MICRO;
}

void bucket_take(struct bucket *b, uint64_t bytes)
{
    uint64_t have = b->credit / MICRO;

    if (b->rate > 0)
        b->credit = bytes >= have ? 0 : b->credit - bytes * MICRO;
}

uint64_t bucket_wait_usec(const struct bucket *b, uint64_t bytes)
{
    uint64_t need = (bytes > b->burst ? b->burst : bytes) * MICRO;

    if (b->rate == 0 || b->credit >= need)
        return 0;
    return (need - b->credit + b->rate - 1) / b->rate;
}
