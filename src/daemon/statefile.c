/* SPDX-License-Identifier: Apache-2.0 */
#include "statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "own.h"
#include "paths.h"

int statefile_make_dir(const char *dir, struct err *e)
{
    char path[PATHS_SIZE];
    size_t len = strlen(dir);
    struct stat st;

    if (len >= sizeof(path))
        return err_set(e, ENAMETOOLONG, "the path '%.100s...' is too long", dir);
    memcpy(path, dir, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        char kept = path[i];
        path[i] = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return err_set(e, errno, "cannot make the directory '%s': %s", path, strerror(errno));
        path[i] = kept;
    }
    if (stat(dir, &st) == 0 && !S_ISDIR(st.st_mode))
        return err_set(e, ENOTDIR, "'%s' is not a directory", dir);
    if (access(dir, W_OK | X_OK) < 0)
        return err_set(e, errno, "cannot write in the directory '%s': %s", dir, strerror(errno));
    return 0;
}

static int write_all(int fd, const char *data, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = write(fd, data + done, length - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        done += (size_t)n;
    }
    return 0;
}

/* The rename itself is durable only with its directory. */
static int sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char dir[PATHS_SIZE];

    (void)snprintf(dir, sizeof(dir), "%.*s", slash && slash > path ? (int)(slash - path) : 1, slash ? path : ".");
    AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : fsync(fd);
}

int statefile_replace(const char *path, const char *data, size_t length, mode_t mode, struct err *e)
{
    char next[PATHS_SIZE + 8];

    (void)snprintf(next, sizeof(next), "%s.new", path);
    AUTO_CLOSE int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0 || write_all(fd, data, length) < 0 || fsync(fd) < 0 || rename(next, path) < 0 || sync_directory(path) < 0)
        return err_set(e, errno, "cannot write '%s': %s", path, strerror(errno));
    return 0;
}
