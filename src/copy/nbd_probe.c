/* SPDX-License-Identifier: Apache-2.0 */
#include "nbd_probe.h"

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "own.h"

/* Names and numbers of the NBD protocol (doc/proto.md of NetworkBlockDevice/nbd). */
#define NBD_MAGIC 0x4e42444d41474943ULL       /* "NBDMAGIC" */
#define NBD_OPTION_MAGIC 0x49484156454f5054ULL /* "IHAVEOPT" */
#define NBD_FLAG_FIXED_NEWSTYLE 1U
#define NBD_FLAG_NO_ZEROES 2U
#define NBD_OPT_EXPORT_NAME 1U
#define NBD_REQUEST_MAGIC 0x25609513U
#define NBD_REPLY_MAGIC 0x67446698U
#define NBD_CMD_READ 0U
#define NBD_CMD_DISC 2U
#define NBD_ZEROES 124 /* behind size and flags, where the server does not know NO_ZEROES */

#define READ_BYTES 512U /* the smallest block there is */

struct request {
    uint32_t magic;
    uint16_t flags, command;
    uint64_t handle, offset;
    uint32_t length;
} __attribute__((packed));

static int send_all(int fd, const void *data, size_t len, struct err *e)
{
    const char *from = data;

    while (len > 0) {
        ssize_t n = send(fd, from, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(e, errno == EAGAIN ? ETIMEDOUT : errno, "the NBD server takes nothing: %s", strerror(errno));
        from += n;
        len -= (size_t)n;
    }
    return 0;
}

static int receive_all(int fd, void *data, size_t len, struct err *e)
{
    char *to = data;

    while (len > 0) {
        ssize_t n = recv(fd, to, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(e, errno == EAGAIN ? ETIMEDOUT : errno, "the NBD server says nothing: %s", strerror(errno));
        if (n == 0)
            return err_set(e, EPIPE, "the NBD server has closed the connection");
        to += n;
        len -= (size_t)n;
    }
    return 0;
}

static int negotiate(int fd, const char *export_name, struct err *e)
{
    struct {
        uint64_t magic, option_magic;
        uint16_t flags;
    } __attribute__((packed)) hello;
    struct {
        uint32_t flags;
        uint64_t magic;
        uint32_t option, length;
    } __attribute__((packed)) answer;
    char told[10 + NBD_ZEROES];
    uint16_t flags;
    int r = receive_all(fd, &hello, sizeof(hello), e);

    if (r < 0)
        return r;
    if (be64toh(hello.magic) != NBD_MAGIC || be64toh(hello.option_magic) != NBD_OPTION_MAGIC)
        return err_set(e, EPROTO, "what answers is no NBD server");
    flags = be16toh(hello.flags);
    answer.flags = htobe32(flags & (NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES));
    answer.magic = htobe64(NBD_OPTION_MAGIC);
    answer.option = htobe32(NBD_OPT_EXPORT_NAME);
    answer.length = htobe32((uint32_t)strlen(export_name));
    r = send_all(fd, &answer, sizeof(answer), e);
    if (r == 0)
        r = send_all(fd, export_name, strlen(export_name), e);
    return r < 0 ? r : receive_all(fd, told, flags & NBD_FLAG_NO_ZEROES ? 10 : sizeof(told), e);
}

static int read_first(int fd, struct err *e)
{
    struct request rq = {.magic = htobe32(NBD_REQUEST_MAGIC), .command = htobe16(NBD_CMD_READ), .length = htobe32(READ_BYTES)};
    struct {
        uint32_t magic, error;
        uint64_t handle;
    } __attribute__((packed)) reply;
    char data[READ_BYTES];
    struct err ignored = {0};
    int r = send_all(fd, &rq, sizeof(rq), e);

    if (r == 0)
        r = receive_all(fd, &reply, sizeof(reply), e);
    if (r == 0 && be32toh(reply.magic) != NBD_REPLY_MAGIC)
        return err_set(e, EPROTO, "what answers is no NBD server");
    if (r == 0 && reply.error)
        return err_set(e, EIO, "the NBD server can't read its export: error %u", be32toh(reply.error));
    if (r == 0)
        r = receive_all(fd, data, sizeof(data), e);
    rq.command = htobe16(NBD_CMD_DISC);
    if (r == 0)
        (void)send_all(fd, &rq, sizeof(rq), &ignored); /* it was read: how that server takes a goodbye is its own affair */
    return r;
}

int nbd_probe(const char *path, const char *export_name, struct err *e)
{
    const struct timeval limit = {.tv_sec = NBD_PROBE_SEC};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r;

    if (fd < 0)
        return err_set(e, errno, "no socket: %s", strerror(errno));
    if (strlen(path) >= sizeof(address.sun_path))
        return err_set(e, ENAMETOOLONG, "'%s' is too long for a socket", path);
    memcpy(address.sun_path, path, strlen(path));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return err_set(e, errno, "cannot connect to '%s': %s", path, strerror(errno));
    r = negotiate(fd, export_name, e);
    return r < 0 ? r : read_first(fd, e);
}
