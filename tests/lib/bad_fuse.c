/* SPDX-License-Identifier: Apache-2.0 */
#define FUSE_USE_VERSION 31
#include <fuse3/fuse.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* bad_fuse DIRECTORY FAULT MOUNTPOINT: shows DIRECTORY, through FUSE and in the foreground, with one thing wrong, as a network
 * file system may be: FAULT is lock (locks exclude nobody), no-lock, rename (leaves the old name), replace (can't replace),
 * fsync (fails), times (forgets them), exclusive (creates what is there once more), or none. */

static const char *directory, *fault;

static bool has(const char *what)
{
    return strcmp(fault, what) == 0;
}

struct path {
    char s[4096];
};

static struct path at(const char *path)
{
    struct path p;

    (void)snprintf(p.s, sizeof(p.s), "%.2000s%.2000s", directory, path);
    return p;
}

static int result(int r)
{
    return r < 0 ? -errno : 0;
}

static int bad_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    return result(fi ? fstat((int)fi->fh, st) : lstat(at(path).s, st));
}

static int bad_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *fi,
                       enum fuse_readdir_flags flags)
{
    DIR *d = opendir(at(path).s);
    struct dirent *entry;

    if (!d)
        return -errno;
    while ((entry = readdir(d)))
        (void)fill(buf, entry->d_name, NULL, 0, 0);
    (void)closedir(d);
    return 0;
}

static int keep(int fd, struct fuse_file_info *fi)
{
    if (fd < 0)
        return -errno;
    fi->fh = (uint64_t)fd;
    return 0;
}

static int bad_open(const char *path, struct fuse_file_info *fi)
{
    return keep(open(at(path).s, fi->flags & ~O_NOFOLLOW, 0), fi);
}

static int bad_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    return keep(open(at(path).s, fi->flags & ~(has("exclusive") ? O_EXCL : 0), mode), fi);
}

static int bad_release(const char *path, struct fuse_file_info *fi)
{
    return result(close((int)fi->fh));
}

static int bad_read(const char *path, char *buf, size_t size, off_t offset, struct fuse_file_info *fi)
{
    ssize_t n = pread((int)fi->fh, buf, size, offset);

    return n < 0 ? -errno : (int)n;
}

static int bad_write(const char *path, const char *buf, size_t size, off_t offset, struct fuse_file_info *fi)
{
    ssize_t n = pwrite((int)fi->fh, buf, size, offset);

    return n < 0 ? -errno : (int)n;
}

static int bad_statfs(const char *path, struct statvfs *fs)
{
    return result(statvfs(at(path).s, fs));
}

static int bad_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    return result(fi ? fchmod((int)fi->fh, mode) : chmod(at(path).s, mode));
}

static int bad_mkdir(const char *path, mode_t mode)
{
    return result(mkdir(at(path).s, mode));
}

static int bad_unlink(const char *path)
{
    return result(unlink(at(path).s));
}

static int bad_rmdir(const char *path)
{
    return result(rmdir(at(path).s));
}

static int bad_rename(const char *from, const char *to, unsigned flags)
{
    const struct path a = at(from), b = at(to);

    if (has("replace") && !(flags & RENAME_NOREPLACE) && access(b.s, F_OK) == 0)
        return -EEXIST;
    if (has("rename") && !(flags & RENAME_NOREPLACE) && unlink(b.s) == 0)
        return result(link(a.s, b.s));
    return result(renameat2(AT_FDCWD, a.s, AT_FDCWD, b.s, flags));
}

static int bad_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *fi)
{
    return has("times") ? 0 : result(utimensat(AT_FDCWD, at(path).s, times, AT_SYMLINK_NOFOLLOW));
}

static int bad_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
    return result(truncate(at(path).s, size));
}

static int bad_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
    return has("fsync") ? -EIO : 0;
}

static int bad_flock(const char *path, struct fuse_file_info *fi, int op)
{
    return has("lock") ? 0 : has("no-lock") ? -ENOLCK : result(flock((int)fi->fh, op));
}

static const struct fuse_operations operations = {
    .getattr = bad_getattr,
    .readdir = bad_readdir,
    .open = bad_open,
    .create = bad_create,
    .release = bad_release,
    .read = bad_read,
    .write = bad_write,
    .statfs = bad_statfs,
    .chmod = bad_chmod,
    .mkdir = bad_mkdir,
    .unlink = bad_unlink,
    .rmdir = bad_rmdir,
    .rename = bad_rename,
    .utimens = bad_utimens,
    .truncate = bad_truncate,
    .fsync = bad_fsync,
    .fsyncdir = bad_fsync,
    .flock = bad_flock,
};

int main(int argc, char **argv)
{
    char foreground[] = "-f", single[] = "-s", cache[] = "-oattr_timeout=0,entry_timeout=0,negative_timeout=0";
    char *options[] = {argv[0], foreground, single, cache, argc > 3 ? argv[3] : NULL};

    if (argc != 4)
        return 2;
    directory = argv[1];
    fault = argv[2];
    return fuse_main(5, options, &operations, NULL);
}
