/* SPDX-License-Identifier: Apache-2.0 */
#include "readfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "own.h"

int readfile_from(int fd, const char *name, char *buf, size_t size, size_t *ret_len, struct err *e)
{
    size_t len = 0;

    for (;;) {
        char rest;
        ssize_t n = len < size ? read(fd, buf + len, size - len) : read(fd, &rest, 1);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(e, errno, "cannot read '%s': %s", name, strerror(errno));
        if (n == 0)
            break;
        if (len == size)
            return err_set(e, EFBIG, "'%s' is longer than %zu bytes", name, size);
        len += (size_t)n;
    }
    *ret_len = len;
    return 0;
}

int readfile_into(const char *path, char *buf, size_t size, size_t *ret_len, struct err *e)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return err_set(e, errno, "cannot open '%s': %s", path, strerror(errno));
    return readfile_from(fd, path, buf, size, ret_len, e);
}
