/* SPDX-License-Identifier: Apache-2.0 */
#include "repo_fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define FILE_MODE 0600
#define DIRECTORY_MODE 0700

/* linux/magic.h lacks them. */
#define MAGIC_CIFS 0xff534d42
#define MAGIC_FUSE 0x65735546

struct posix_fs {
    struct repo_fs base;
    int root;
};

static int root_of(const struct repo_fs *fs)
{
    return ((const struct posix_fs *)fs)->root;
}

static int fail(struct err *e, const char *what, const char *path)
{
    int code = errno;

    return err_set(e, code, "cannot %s '%s': %s", what, path, strerror(code));
}

/* The directory that a path's last name is in, opened name by name so that no link leads out; *ret_name is that name. */
static int parent_open(const struct repo_fs *fs, const char *path, const char **ret_name, struct err *e)
{
    char name[REPO_PATH_SIZE];
    int at = fcntl(root_of(fs), F_DUPFD_CLOEXEC, 0);
    const char *slash;

    while (at >= 0 && (slash = strchr(path, '/'))) {
        size_t len = (size_t)(slash - path);
        int next;

        if (len >= sizeof(name)) {
            (void)close(at);
            return err_set(e, ENAMETOOLONG, "the path '%.60s...' is too long", path);
        }
        memcpy(name, path, len);
        name[len] = '\0';
        next = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            (void)fail(e, "open", name);
        (void)close(at); /* nothing was written through it */
        if (next < 0)
            return -e->code;
        at = next;
        path = slash + 1;
    }
    if (at < 0)
        return fail(e, "open", path);
    *ret_name = path;
    return at;
}

static void posix_close(struct repo_fs *fs)
{
    (void)close(root_of(fs)); /* what was written was synced, or is not promised */
    free(fs);
}

static int64_t posix_now(struct repo_fs *fs)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
    return now.tv_sec;
}

static int read_all(int fd, const char *path, void *buf, size_t room, size_t *ret_len, struct err *e)
{
    size_t len = 0;

    for (;;) {
        char more;
        ssize_t n = len < room ? read(fd, (char *)buf + len, room - len) : read(fd, &more, 1);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(e, "read", path);
        if (n == 0)
            break;
        if (len == room)
            return err_set(e, EFBIG, "'%s' is larger than the %zu bytes it may have", path, room);
        len += (size_t)n;
    }
    *ret_len = len;
    return 0;
}

static int posix_read(struct repo_fs *fs, const char *path, void *buf, size_t room, size_t *ret_len, struct err *e)
{
    const char *name;
    AUTO_CLOSE int at = parent_open(fs, path, &name, e);
    AUTO_CLOSE int fd = -1;
    struct stat st;

    if (at < 0)
        return at;
    fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); /* a FIFO must not hold us */
    if (fd < 0 || fstat(fd, &st) < 0)
        return fail(e, "open", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, EBADMSG, "'%s' is no regular file", path);
    return read_all(fd, path, buf, room, ret_len, e);
}

static int write_all(int fd, const void *data, size_t len)
{
    const char *from = data;

    while (len > 0) {
        ssize_t n = write(fd, from, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n < 0 ? errno : ENOSPC; /* a write of nothing: as full as it gets */
            return -1;
        }
        from += n;
        len -= (size_t)n;
    }
    return 0;
}

static int stamp(int fd, int64_t mtime_sec)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = mtime_sec}};

    return mtime_sec ? futimens(fd, times) : 0;
}

static int posix_write(struct repo_fs *fs, const char *path, const void *data, size_t len, int64_t mtime_sec,
                       enum repo_write how, struct err *e)
{
    const char *name;
    AUTO_CLOSE int at = parent_open(fs, path, &name, e);
    int fd, r = 0;

    if (at < 0)
        return at;
    fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return fail(e, "create", path);
    if (write_all(fd, data, len) < 0 || stamp(fd, mtime_sec) < 0)
        r = fail(e, "write", path);
    else if (how == REPO_WRITE_SYNC && fsync(fd) < 0)
        r = fail(e, "sync", path);
    if (close(fd) < 0 && r == 0)
        r = fail(e, "write", path); /* NFS and quotas tell here */
    if (r < 0)
        (void)unlinkat(at, name, 0); /* what stays has a name that sweep removes */
    return r;
}

static int rename_flags(struct repo_fs *fs, const char *from, const char *to, unsigned flags, struct err *e)
{
    const char *from_name, *to_name;
    AUTO_CLOSE int from_at = parent_open(fs, from, &from_name, e);
    AUTO_CLOSE int to_at = -1;

    if (from_at < 0)
        return from_at;
    to_at = parent_open(fs, to, &to_name, e);
    if (to_at < 0)
        return to_at;
    if (renameat2(from_at, from_name, to_at, to_name, flags) < 0) {
        int code = errno == ENOSYS || errno == EOPNOTSUPP ? EINVAL : errno; /* all say: not here */

        return err_set(e, code, "cannot rename '%s' to '%s': %s", from, to, strerror(code));
    }
    return 0;
}

static int posix_rename(struct repo_fs *fs, const char *from, const char *to, struct err *e)
{
    return rename_flags(fs, from, to, 0, e);
}

static int posix_rename_new(struct repo_fs *fs, const char *from, const char *to, struct err *e)
{
    return rename_flags(fs, from, to, RENAME_NOREPLACE, e);
}

static int posix_remove(struct repo_fs *fs, const char *path, struct err *e)
{
    const char *name;
    AUTO_CLOSE int at = parent_open(fs, path, &name, e);

    if (at < 0)
        return at;
    return unlinkat(at, name, 0) < 0 ? fail(e, "remove", path) : 0;
}

static int posix_mkdir(struct repo_fs *fs, const char *path, struct err *e)
{
    const char *name;
    AUTO_CLOSE int at = parent_open(fs, path, &name, e);

    if (at < 0)
        return at;
    return mkdirat(at, name, DIRECTORY_MODE) < 0 ? fail(e, "create", path) : 0;
}

static int posix_rmdir(struct repo_fs *fs, const char *path, struct err *e)
{
    const char *name;
    AUTO_CLOSE int at = parent_open(fs, path, &name, e);

    if (at < 0)
        return at;
    return unlinkat(at, name, AT_REMOVEDIR) < 0 ? fail(e, "remove", path) : 0;
}

static int posix_stat(struct repo_fs *fs, const char *path, struct repo_stat *ret, struct err *e)
{
    const char *name;
    AUTO_CLOSE int at = parent_open(fs, path, &name, e);
    struct stat st;

    if (at < 0)
        return at;
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return fail(e, "look at", path);
    *ret = (struct repo_stat){.size_bytes = st.st_size > 0 ? (uint64_t)st.st_size : 0,
                              .mtime_sec = st.st_mtim.tv_sec,
                              .is_file = S_ISREG(st.st_mode),
                              .is_directory = S_ISDIR(st.st_mode)};
    return 0;
}

static int posix_touch(struct repo_fs *fs, const char *path, int64_t mtime_sec, struct err *e)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = mtime_sec}};
    const char *name;
    AUTO_CLOSE int at = parent_open(fs, path, &name, e);

    if (at < 0)
        return at;
    return utimensat(at, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? fail(e, "set the time of", path) : 0;
}

static int directory_open(struct repo_fs *fs, const char *path, struct err *e)
{
    const char *name;
    AUTO_CLOSE int at = parent_open(fs, path, &name, e);
    int fd;

    if (at < 0)
        return at;
    fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? fail(e, "open", path) : fd;
}

static int posix_list(struct repo_fs *fs, const char *path, repo_list_fn *each, void *user, struct err *e)
{
    int fd = directory_open(fs, path, e), r = 0;
    struct dirent *entry;
    DIR *directory;

    if (fd < 0)
        return fd;
    directory = fdopendir(fd);
    if (!directory) {
        r = fail(e, "read", path);
        (void)close(fd);
        return r;
    }
    while (r >= 0 && (errno = 0, entry = readdir(directory)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = each(user, entry->d_name, e);
    if (r >= 0 && errno != 0)
        r = fail(e, "read", path);
    (void)closedir(directory); /* only read */
    return r < 0 ? r : 0;
}

static int posix_sync_directory(struct repo_fs *fs, const char *path, struct err *e)
{
    AUTO_CLOSE int fd = directory_open(fs, path, e);

    if (fd < 0)
        return fd;
    return fsync(fd) < 0 ? fail(e, "sync", path) : 0;
}

static int posix_sync_all(struct repo_fs *fs, struct err *e)
{
    if (syncfs(root_of(fs)) < 0)
        return err_set(e, errno, "cannot sync the repository's file system: %s", strerror(errno));
    return 0;
}

static int posix_lock(struct repo_fs *fs, const char *path, enum repo_lock how, int *ret_lock, struct err *e)
{
    const char *name;
    AUTO_CLOSE int at = parent_open(fs, path, &name, e);
    int fd;

    if (at < 0)
        return at;
    /* NFS wants a file that can be written for an exclusive lock, and read for a shared one. */
    fd = openat(at, name, (how == REPO_LOCK_SHARED ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return fail(e, "open", path);
    while (flock(fd, (how == REPO_LOCK_SHARED ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0) {
        int code = errno;

        if (code == EINTR)
            continue;
        (void)close(fd);
        return err_set(e, code, "cannot lock '%s': %s", path, strerror(code));
    }
    *ret_lock = fd;
    return 0;
}

static void posix_unlock(struct repo_fs *fs, int lock)
{
    (void)close(lock); /* the lock goes with it */
}

/* Network file systems and FUSE answer syncfs() without asking the other side, some of them. */
static bool posix_is_sync_all_trusted(struct repo_fs *fs)
{
    struct statfs st;

    if (fstatfs(root_of(fs), &st) < 0)
        return false;
    switch ((unsigned long)st.f_type & 0xffffffff) {
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
    case MAGIC_CIFS:
    case MAGIC_FUSE:
    case V9FS_MAGIC:
    case AFS_SUPER_MAGIC:
    case CEPH_SUPER_MAGIC:
    case MSDOS_SUPER_MAGIC:
        return false;
    default:
        return true;
    }
}

static const struct repo_fs_ops posix_ops = {
    .close = posix_close,
    .now = posix_now,
    .read = posix_read,
    .write = posix_write,
    .rename = posix_rename,
    .rename_new = posix_rename_new,
    .remove = posix_remove,
    .mkdir = posix_mkdir,
    .rmdir = posix_rmdir,
    .stat = posix_stat,
    .touch = posix_touch,
    .list = posix_list,
    .sync_directory = posix_sync_directory,
    .sync_all = posix_sync_all,
    .lock = posix_lock,
    .unlock = posix_unlock,
    .is_sync_all_trusted = posix_is_sync_all_trusted,
};

int repo_fs_open(const char *directory, struct repo_fs **ret, struct err *e)
{
    AUTO_FREE struct posix_fs *fs = calloc(1, sizeof(*fs));

    if (!fs)
        return err_set(e, ENOMEM, "no memory to open '%s'", directory);
    fs->base.ops = &posix_ops;
    fs->root = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fs->root < 0)
        return fail(e, "open", directory);
    *ret = &TAKE(fs)->base;
    return 0;
}

struct repo_fs *repo_fs_free(struct repo_fs *fs)
{
    if (fs)
        fs->ops->close(fs);
    return NULL;
}
