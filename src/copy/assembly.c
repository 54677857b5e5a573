/* SPDX-License-Identifier: Apache-2.0 */
#include "assembly.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void assembly_init(struct assembly *a, uint32_t chunk_bytes, uint8_t *buffers,
                   void (*hand)(void *user, const struct assembly_task *task), void *user)
{
    *a = (struct assembly){.chunk_bytes = chunk_bytes, .buffers = buffers, .hand = hand, .user = user};
    a->buffers_n = ASSEMBLY_BUFFERS_BYTES / chunk_bytes;
    if (a->buffers_n > ASSEMBLY_BUFFERS_MAX)
        a->buffers_n = ASSEMBLY_BUFFERS_MAX;
    a->budget = ASSEMBLY_BUDGET_BYTES / chunk_bytes;
    if (a->budget < ASSEMBLY_BUDGET_MIN)
        a->budget = ASSEMBLY_BUDGET_MIN;
    if (a->budget > ASSEMBLY_BUDGET_MAX)
        a->budget = ASSEMBLY_BUDGET_MAX;
}

void assembly_done(struct assembly *a)
{
    for (size_t i = 0; i < a->disks_n; i++)
        free(a->disks[i].open);
    a->disks_n = 0;
}

int assembly_add_disk(struct assembly *a, uint64_t size_bytes, uint8_t *state, struct err *e)
{
    struct assembly_disk *d = &a->disks[a->disks_n];

    *d = (struct assembly_disk){.size_bytes = size_bytes, .state = state};
    d->chunks = (size_bytes + a->chunk_bytes - 1) / a->chunk_bytes;
    d->open = calloc(ASSEMBLY_OPEN_MAX, sizeof(d->open[0]));
    if (!d->open)
        return err_set(e, ENOMEM, "no memory for the chunks of a disk");
    a->disks_n++;
    return 0;
}

/* Bytes of a chunk: the last one of a disk may be shorter. */
static uint32_t chunk_length(const struct assembly *a, const struct assembly_disk *d, uint64_t chunk)
{
    uint64_t left = d->size_bytes - chunk * a->chunk_bytes;

    return left < a->chunk_bytes ? (uint32_t)left : a->chunk_bytes;
}

/* Pieces [first, first + n) of a bitmap. */
static unsigned first_piece(uint32_t at)
{
    return at / ASSEMBLY_PIECE_BYTES;
}

static unsigned end_piece(uint32_t end)
{
    return (end + ASSEMBLY_PIECE_BYTES - 1) / ASSEMBLY_PIECE_BYTES;
}

/* The bits of word `word` that lie in [first, end). */
static uint64_t word_mask(unsigned word, unsigned first, unsigned end)
{
    unsigned low = first > word * 64 ? first - word * 64 : 0;
    unsigned high = end < (word + 1) * 64 ? end - word * 64 : 64;

    return (high == 64 ? UINT64_MAX : (1ULL << high) - 1) & ~((1ULL << low) - 1);
}

/* Sets them; returns how many were not set. */
static unsigned pieces_set(uint64_t *got, unsigned first, unsigned end)
{
    unsigned fresh = 0;

    for (unsigned w = first / 64; w * 64 < end; w++) {
        uint64_t mask = word_mask(w, first, end);

        fresh += (unsigned)__builtin_popcountll(mask & ~got[w]);
        got[w] |= mask;
    }
    return fresh;
}

static bool pieces_all(const uint64_t *got, unsigned end)
{
    for (unsigned w = 0; w * 64 < end; w++)
        if (word_mask(w, 0, end) & ~got[w])
            return false;
    return true;
}

static struct assembly_open *open_find(const struct assembly_disk *d, uint64_t chunk)
{
    unsigned seen = 0;

    for (unsigned i = 0; i < ASSEMBLY_OPEN_MAX && seen < d->open_n; i++) {
        seen += d->open[i].used;
        if (d->open[i].used && d->open[i].chunk == chunk)
            return &d->open[i];
    }
    return NULL;
}

/* The chunk's record, made where there is none. NULL: too many are open. */
static struct assembly_open *open_get(const struct assembly *a, struct assembly_disk *d, uint64_t chunk)
{
    struct assembly_open *o = open_find(d, chunk);

    if (o)
        return o;
    for (unsigned i = 0; i < ASSEMBLY_OPEN_MAX; i++) {
        if (d->open[i].used)
            continue;
        o = &d->open[i];
        *o = (struct assembly_open){.chunk = chunk, .buffer = -1, .used = true, .again = d->state[chunk] == ASSEMBLY_DATA};
        if (d->state[chunk] == ASSEMBLY_ZERO) { /* all of it is there; it only has to become data */
            (void)pieces_set(o->got, 0, end_piece(chunk_length(a, d, chunk)));
            d->state[chunk] = ASSEMBLY_NONE;
            d->complete--;
        }
        d->open_n++;
        return o;
    }
    return NULL;
}

static void open_drop(struct assembly_disk *d, struct assembly_open *o)
{
    o->used = false;
    d->open_n--;
}

/* -EAGAIN, -ENOBUFS: none. */
static int buffer_get(struct assembly *a)
{
    if (a->in_use >= a->buffers_n)
        return a->handed > 0 ? -EAGAIN : -ENOBUFS;
    if (a->in_use >= a->budget && a->handed > 0)
        return -EAGAIN;
    for (size_t i = 0; i < a->buffers_n; i++) {
        if (a->busy[i])
            continue;
        a->busy[i] = true;
        a->in_use++;
        return (int)i;
    }
    return -ENOBUFS;
}

/* Gives the chunk its buffer, in which the zeroes that came before are zero. */
static int open_buffer(struct assembly *a, struct assembly_open *o)
{
    int buffer = o->buffer >= 0 ? o->buffer : buffer_get(a);
    uint8_t *data;

    if (buffer < 0 || o->buffer >= 0)
        return buffer < 0 ? buffer : 0;
    o->buffer = buffer;
    data = a->buffers + (size_t)buffer * a->chunk_bytes;
    for (unsigned piece = 0; piece < a->chunk_bytes / ASSEMBLY_PIECE_BYTES; piece++)
        if (o->got[piece / 64] >> (piece % 64) & 1)
            memset(data + (size_t)piece * ASSEMBLY_PIECE_BYTES, 0, ASSEMBLY_PIECE_BYTES);
    return 0;
}

static void open_hand(struct assembly *a, struct assembly_disk *d, struct assembly_open *o, uint32_t at, uint32_t len)
{
    const struct assembly_task task = {.disk = (uint32_t)(d - a->disks), .buffer = (uint32_t)o->buffer, .chunk = o->chunk,
                                       .at = at, .len = len};

    open_drop(d, o);
    a->handed++;
    a->hand(a->user, &task);
}

/* Bytes [at, at + len) of the chunk are there. */
static void open_received(struct assembly *a, struct assembly_disk *d, struct assembly_open *o, uint32_t at, uint32_t len)
{
    uint32_t length = chunk_length(a, d, o->chunk);
    unsigned last = end_piece(length) - 1;
    bool had_last = o->got[last / 64] >> (last % 64) & 1;

    if (o->again) {
        open_hand(a, d, o, at, len);
        return;
    }
    d->received_bytes += (uint64_t)pieces_set(o->got, first_piece(at), end_piece(at + len)) * ASSEMBLY_PIECE_BYTES;
    if (!had_last && at + len == length) /* the disk's last piece may be shorter */
        d->received_bytes -= (uint64_t)(last + 1) * ASSEMBLY_PIECE_BYTES - length;
    if (!pieces_all(o->got, end_piece(length)))
        return;
    d->complete++;
    if (o->buffer >= 0) {
        d->state[o->chunk] = ASSEMBLY_DATA;
        open_hand(a, d, o, 0, length);
    } else {
        d->state[o->chunk] = ASSEMBLY_ZERO;
        open_drop(d, o);
    }
}

int assembly_room(struct assembly *a, size_t disk, uint64_t offset, uint32_t length, uint8_t **ret, uint32_t *ret_length)
{
    struct assembly_disk *d = &a->disks[disk];
    uint64_t chunk = offset / a->chunk_bytes;
    uint32_t at = (uint32_t)(offset % a->chunk_bytes), here = chunk_length(a, d, chunk) - at;
    struct assembly_open *o = open_get(a, d, chunk);
    int r;

    if (!o)
        return -ENOBUFS;
    r = open_buffer(a, o);
    if (r < 0)
        return r;
    *ret = a->buffers + (size_t)o->buffer * a->chunk_bytes + at;
    *ret_length = length < here ? length : here;
    return 0;
}

void assembly_filled(struct assembly *a, size_t disk, uint64_t offset, uint32_t length)
{
    struct assembly_disk *d = &a->disks[disk];
    struct assembly_open *o = open_find(d, offset / a->chunk_bytes);

    d->data_bytes += length;
    if (o) /* always: room() made it, and only being complete ends it */
        open_received(a, d, o, (uint32_t)(offset % a->chunk_bytes), length);
}

/* The piece of zeroes within one chunk. */
static int zero_piece(struct assembly *a, struct assembly_disk *d, uint64_t chunk, uint32_t at, uint32_t len)
{
    struct assembly_open *o;
    int r;

    if (d->state[chunk] == ASSEMBLY_ZERO)
        return 0;
    if (d->state[chunk] == ASSEMBLY_NONE && len == chunk_length(a, d, chunk) && !open_find(d, chunk)) {
        d->state[chunk] = ASSEMBLY_ZERO; /* most of a sparse disk comes so */
        d->complete++;
        d->received_bytes += len;
        return 0;
    }
    o = open_get(a, d, chunk);
    if (!o)
        return -ENOBUFS;
    if (o->again || o->buffer >= 0) {
        r = open_buffer(a, o);
        if (r < 0)
            return r;
        memset(a->buffers + (size_t)o->buffer * a->chunk_bytes + at, 0, len);
    }
    open_received(a, d, o, at, len);
    return 0;
}

int assembly_zero(struct assembly *a, size_t disk, uint64_t offset, uint32_t length, uint32_t *ret_length)
{
    struct assembly_disk *d = &a->disks[disk];
    uint64_t chunk = offset / a->chunk_bytes;
    uint32_t at = (uint32_t)(offset % a->chunk_bytes), here = chunk_length(a, d, chunk) - at;
    int r;

    if (here > length)
        here = length;
    r = zero_piece(a, d, chunk, at, here);
    if (r == 0)
        *ret_length = here;
    return r;
}

bool assembly_take_back(struct assembly *a, uint32_t buffer)
{
    a->busy[buffer] = false;
    a->in_use--;
    a->handed--;
    return buffer >= a->budget;
}

int assembly_check(const struct assembly *a, size_t disk, const struct copy_disk *job, struct err *e)
{
    const struct assembly_disk *d = &a->disks[disk];
    uint64_t dirty = job->dirty_bytes / a->chunk_bytes + (job->dirty_bytes % a->chunk_bytes > 0);

    if (d->open_n > 0)
        return err_set(e, ENODATA, "disk '%s': %u chunks came only in part", job->name, d->open_n);
    if (job->kind == COPY_KIND_FULL && d->complete != d->chunks)
        return err_set(e, ENODATA, "disk '%s': %" PRIu64 " of %" PRIu64 " chunks came", job->name, d->complete, d->chunks);
    if (job->kind == COPY_KIND_INCREMENTAL && d->complete != dirty)
        return err_set(e, ENODATA, "disk '%s': %" PRIu64 " chunks came, and %" PRIu64 " are dirty", job->name, d->complete,
                       dirty);
    return 0;
}
