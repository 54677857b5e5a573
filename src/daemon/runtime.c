/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "own.h"

#define RUNTIME_LOCK_NAME "ballastd.lock"

/* Makes dir and its parents. */
static int runtime_make_dir(const char *dir, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;
    size_t len = strlen(dir);

    if (len == 0 || len >= sizeof(path))
        return err_set(e, ENAMETOOLONG, "the path of the directory is empty or too long");
    memcpy(path, dir, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        char kept = path[i];
        path[i] = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST) {
            int code = errno;
            return err_set(e, code, "cannot make the directory '%s': %s; make it, or name another with --runtime-dir",
                           path, strerror(code));
        }
        path[i] = kept;
    }
    if (stat(dir, &st) < 0)
        return err_set(e, errno, "cannot look at the directory '%s': %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ENOTDIR, "'%s' is not a directory; name one with --runtime-dir", dir);
    return 0;
}

static int runtime_busy(int fd, const char *dir, struct err *e)
{
    char text[16] = "";
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;

    if (pid > 0)
        return err_set(e, EBUSY, "another ballastd (process %ld) already runs in '%s'; stop it first, or give this one "
                       "a --runtime-dir of its own", pid, dir);
    return err_set(e, EBUSY, "another ballastd already runs in '%s'; stop it first, or give this one a --runtime-dir "
                   "of its own", dir);
}

int runtime_lock(const char *dir, struct err *e)
{
    AUTO_CLOSE int fd = -1;
    char path[PATH_MAX], pid[16];
    int r = runtime_make_dir(dir, e);

    if (r < 0)
        return r;
    r = snprintf(path, sizeof(path), "%s/%s", dir, RUNTIME_LOCK_NAME);
    if (r < 0 || (size_t)r >= sizeof(path))
        return err_set(e, ENAMETOOLONG, "the path of the directory '%.100s' is too long", dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        int code = errno;
        return err_set(e, code, "cannot write in the directory '%s': %s; ballastd keeps its sockets there, name another "
                       "with --runtime-dir", dir, strerror(code));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int code = errno;
        if (code == EWOULDBLOCK)
            return runtime_busy(fd, dir, e);
        return err_set(e, code, "cannot lock '%s': %s", path, strerror(code));
    }
    r = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    /* The number is for people; the lock is what counts, so a full disk is no reason to stop. */
    if (ftruncate(fd, 0) == 0)
        (void)!pwrite(fd, pid, (size_t)r, 0);
    r = fd;
    fd = -1;
    return r;
}
