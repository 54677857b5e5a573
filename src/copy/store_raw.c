/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store.h"

/* A raw image file a disk. What is zero stays a hole. */

#define RAW_CHUNK_BYTES (1U << 20)

struct store {
    const struct copy_job *job;
    int fds[COPY_DISKS_MAX];
};

static void raw_close(struct store *s, bool remove)
{
    for (size_t i = 0; i < s->job->disks_n; i++) {
        if (s->fds[i] < 0)
            continue;
        (void)close(s->fds[i]); /* fsync told of errors, or the file goes away */
        if (remove)
            (void)unlink(s->job->disks[i].raw); /* what is left of it is no image */
    }
    free(s);
}

static int raw_open(const struct copy_job *job, struct store **ret, struct err *e)
{
    struct store *s = malloc(sizeof(*s));

    if (!s)
        return err_set(e, ENOMEM, "no memory to open raw files");
    s->job = job;
    for (size_t i = 0; i < job->disks_n; i++)
        s->fds[i] = -1;
    for (size_t i = 0; i < job->disks_n; i++) {
        const struct copy_disk *d = &job->disks[i];
        int code;

        s->fds[i] = open(d->raw, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (s->fds[i] >= 0 && ftruncate(s->fds[i], (off_t)d->size_bytes) == 0)
            continue;
        code = errno;
        raw_close(s, /* remove= */ true);
        return err_set(e, code, "cannot create '%s' for disk '%s': %s", d->raw, d->name, strerror(code));
    }
    *ret = s;
    return 0;
}

static uint32_t raw_chunk_bytes(const struct store *s)
{
    (void)s;
    return RAW_CHUNK_BYTES;
}

static int raw_put(struct store *s, const struct assembly_task *task, const uint8_t *chunk, uint64_t *ret_stored_bytes,
                   struct err *e)
{
    for (uint32_t done = 0; done < task->len;) {
        uint64_t offset = task->chunk * RAW_CHUNK_BYTES + task->at + done;
        ssize_t n = pwrite(s->fds[task->disk], chunk + task->at + done, task->len - done, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(e, n < 0 ? errno : EIO, "cannot write '%s': %s", s->job->disks[task->disk].raw,
                           strerror(n < 0 ? errno : EIO));
        done += (uint32_t)n;
    }
    *ret_stored_bytes = task->len;
    return 0;
}

static int raw_commit(struct store *s, uint8_t *const *states, const struct link_figures *figures, const char *facts,
                      char ret_point[COPY_TEXT_SIZE], struct err *e)
{
    (void)states; /* what never was handed over is a hole */
    (void)figures;
    (void)facts;
    for (size_t i = 0; i < s->job->disks_n; i++) {
        const char *path = s->job->disks[i].raw;
        int code = fsync(s->fds[i]) < 0 ? errno : 0;

        if (code == 0)
            continue;
        raw_close(s, /* remove= */ true);
        return err_set(e, code, "cannot make '%s' durable: %s", path, strerror(code));
    }
    wire_text_copy(ret_point, COPY_TEXT_SIZE, s->job->disks[0].raw);
    raw_close(s, /* remove= */ false);
    return 0;
}

static void raw_abort(struct store *s, const char *reason)
{
    (void)reason;
    raw_close(s, /* remove= */ true);
}

const struct store_ops store_raw = {
    .open = raw_open, .chunk_bytes = raw_chunk_bytes, .put = raw_put, .commit = raw_commit, .abort = raw_abort,
};
