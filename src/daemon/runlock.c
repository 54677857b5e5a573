/* SPDX-License-Identifier: Apache-2.0 */
#include "runlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "own.h"

/* The pid the holder wrote, "?" where it did not come to it. Only for the sentence. */
static void holder_read(int fd, char *pid, size_t size)
{
    ssize_t n = pread(fd, pid, size - 1, 0);

    if (n < 0)
        n = 0;
    pid[n] = '\0';
    pid[strspn(pid, "0123456789")] = '\0';
    if (!pid[0])
        (void)snprintf(pid, size, "?");
}

int runlock_take(const char *runtime_dir, int *ret_fd, struct err *e)
{
    AUTO_CLOSE int fd = -1;
    char path[PATH_MAX], pid[16];
    int length;

    if (mkdir(runtime_dir, 0755) < 0 && errno != EEXIST)
        return err_set(e, errno, "cannot make the runtime directory '%s': %s", runtime_dir, strerror(errno));
    length = snprintf(path, sizeof(path), "%s/ballastd.lock", runtime_dir);
    if (length < 0 || (size_t)length >= sizeof(path))
        return err_set(e, ENAMETOOLONG, "the path of the runtime directory is too long: '%s'", runtime_dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return err_set(e, errno, "cannot open the lock '%s': %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return err_set(e, errno, "cannot lock '%s': %s", path, strerror(errno));
        holder_read(fd, pid, sizeof(pid));
        return err_set(e, EEXIST, "another ballastd (pid %s) runs in '%s'; only one may move the guests' memory: stop "
                                  "it, or give this one another --runtime-dir and other guests", pid, runtime_dir);
    }
    length = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)length, 0) != length)
        return err_set(e, errno, "cannot write the lock '%s': %s", path, strerror(errno));
    *ret_fd = fd;
    fd = -1;
    return 0;
}
