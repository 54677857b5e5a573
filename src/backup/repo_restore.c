/* SPDX-License-Identifier: Apache-2.0 */
#include "repo_restore.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#include "repo_private.h"

#define PARTIAL ".partial"
#define TARGET_SIZE 4096 /* PATH_MAX */

struct job {
    struct repo *repo;
    const struct repo_index *index;
    int fd;
    bool is_device; /* what is there before is not zero */
};

static int fail(struct err *e, const char *what, const char *path)
{
    int code = errno;

    return err_set(e, code, "cannot %s '%s': %s", what, path, strerror(code));
}

static int write_all(int fd, const uint8_t *data, size_t len, uint64_t offset, struct err *e)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(e, n < 0 ? errno : ENOSPC, "cannot write at byte %" PRIu64 ": %s", offset,
                           strerror(n < 0 ? errno : ENOSPC));
        data += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

static int chunk_restore(void *user, size_t n, struct err *e)
{
    const struct job *job = user;
    const struct repo_id *id = &job->index->ids[n];
    const size_t len = repo_index_chunk_length(job->index, n);
    struct repo_codec *codec;
    int r;

    if (repo_id_is_zero(id) && !job->is_device)
        return 0;
    r = repo_codec_take(job->repo, &codec, e);
    if (r < 0)
        return r;
    /* Another codec reads: this one only lends its room. */
    r = repo_chunk_get(job->repo, id, codec->plain, len, e);
    if (r == 0)
        r = write_all(job->fd, codec->plain, len, (uint64_t)n * job->index->chunk_bytes, e);
    repo_codec_give(job->repo, codec);
    return r;
}

static int fill(struct repo *repo, const struct repo_index *index, int fd, bool is_device,
                const struct repo_restore *how, const char *path, struct err *e)
{
    struct job job = {.repo = repo, .index = index, .fd = fd, .is_device = is_device};
    int r;

    if (!is_device && ftruncate(fd, (off_t)index->size_bytes) < 0)
        return fail(e, "make room in", path);
    r = repo_parallel(index->count, chunk_restore, &job, how->progress, how->user, e);
    if (r == 0 && fsync(fd) < 0)
        r = fail(e, "sync", path);
    return r;
}

static int device_restore(struct repo *repo, const struct repo_index *index, const struct repo_restore *how, struct err *e)
{
    AUTO_CLOSE int fd = open(how->target, O_WRONLY | O_EXCL | O_CLOEXEC); /* EXCL: not while it is mounted */
    uint64_t size_bytes = 0;

    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size_bytes) < 0)
        return fail(e, "open", how->target);
    if (size_bytes < index->size_bytes)
        return err_set(e, ENOSPC, "the disk has %" PRIu64 " bytes, and '%s' only %" PRIu64, index->size_bytes, how->target,
                       size_bytes);
    return fill(repo, index, fd, /* is_device= */ true, how, how->target, e);
}

static int directory_sync(const char *path, struct err *e)
{
    AUTO_FREE char *copy = strdup(path);
    char *slash = copy ? strrchr(copy, '/') : NULL;
    AUTO_CLOSE int fd = -1;

    if (!copy)
        return err_set(e, ENOMEM, "no memory to restore");
    if (slash)
        slash[slash == copy] = '\0'; /* "/name": the root */
    fd = open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? fail(e, "sync the directory of", path) : 0;
}

int repo_restore_name(const char *partial, const char *target, bool is_forced, struct err *e)
{
    int r = 0;

    if (renameat2(AT_FDCWD, partial, AT_FDCWD, target, is_forced ? 0 : RENAME_NOREPLACE) < 0) {
        if (errno == EINVAL && access(target, F_OK) < 0)
            r = rename(partial, target) < 0 ? fail(e, "name", target) : 0; /* a file system without NOREPLACE */
        else
            r = fail(e, "name", target);
    }
    return r < 0 ? r : directory_sync(target, e);
}

static int file_restore(struct repo *repo, const struct repo_index *index, const struct repo_restore *how, struct err *e)
{
    char partial[TARGET_SIZE];
    AUTO_CLOSE int fd = -1;
    int r;

    if ((size_t)snprintf(partial, sizeof(partial), "%s" PARTIAL, how->target) >= sizeof(partial))
        return err_set(e, ENAMETOOLONG, "the path '%.60s...' is too long", how->target);
    fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(e, "create", partial);
    r = fill(repo, index, fd, /* is_device= */ false, how, partial, e);
    if (r == 0)
        r = repo_restore_name(partial, how->target, how->is_forced, e);
    if (r < 0)
        (void)unlink(partial); /* the failure above is what counts; named already: not there */
    return r;
}

int repo_restore_disk(struct repo *repo, const struct repo_disk *disk, const struct repo_restore *how, struct err *e)
{
    AUTO(repo_index) struct repo_index *index = NULL;
    bool is_there;
    struct stat st;
    int r;

    is_there = stat(how->target, &st) == 0;
    if (is_there && !how->is_forced)
        return err_set(e, EEXIST, "'%s' is there already", how->target);
    if (is_there && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return err_set(e, EINVAL, "'%s' is neither a file nor a block device", how->target);
    r = repo_index_load(repo, disk, &index, e);
    if (r < 0)
        return r;
    return is_there && S_ISBLK(st.st_mode) ? device_restore(repo, index, how, e) : file_restore(repo, index, how, e);
}
