/* SPDX-License-Identifier: Apache-2.0 */
#include "rx_disk.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TURN_BYTES (4U << 20) /* read from one disk before the next has its turn */

void rx_disk_init(struct rx_disk *d)
{
    *d = (struct rx_disk){.listen_fd = -1, .fd = -1};
}

/* Removes what an earlier job left; only ever a socket. */
static int path_clear(const char *path, struct err *e)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_set(e, errno, "cannot look at '%s': %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, EEXIST, "'%s' is there and is no socket", path);
    return unlink(path) == 0 ? 0 : err_set(e, errno, "cannot remove the old socket '%s': %s", path, strerror(errno));
}

int rx_disk_listen(struct rx_disk *d, struct err *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask;
    int r = path_clear(d->path, e);

    if (r < 0)
        return r;
    memcpy(address.sun_path, d->path, strlen(d->path)); /* PATHS_SOCKET_SIZE is sun_path's size */
    d->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->listen_fd < 0)
        return err_set(e, errno, "cannot make a socket: %s", strerror(errno));
    mask = umask(0177); /* 0600 from its first moment */
    r = bind(d->listen_fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
    (void)umask(mask);
    if (r == 0 && listen(d->listen_fd, 1) < 0)
        r = errno;
    return r ? err_set(e, r, "cannot listen on '%s': %s", d->path, strerror(r)) : 0;
}

static void conn_close(struct rx_disk *d)
{
    if (d->fd >= 0)
        (void)close(d->fd); /* QEMU is told just by this */
    d->fd = -1;
    d->starved = d->held = false;
}

void rx_disk_close(struct rx_disk *d)
{
    conn_close(d);
    if (d->listen_fd < 0)
        return;
    (void)close(d->listen_fd);
    (void)unlink(d->path); /* ours, and nobody listens there any more */
    d->listen_fd = -1;
}

static int sink_room(void *user, uint64_t offset, uint32_t length, uint8_t **ret, uint32_t *ret_length)
{
    struct rx_disk *d = user;

    return *d->failed ? -*d->failed : assembly_room(d->assembly, d->number, offset, length, ret, ret_length);
}

static void sink_filled(void *user, uint64_t offset, uint32_t length)
{
    struct rx_disk *d = user;

    assembly_filled(d->assembly, d->number, offset, length);
}

static int sink_zero(void *user, uint64_t offset, uint32_t length, uint32_t *ret_length)
{
    struct rx_disk *d = user;

    return *d->failed ? -*d->failed : assembly_zero(d->assembly, d->number, offset, length, ret_length);
}

static void conn_accept(struct rx_disk *d)
{
    int fd = accept4(d->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return; /* it went away again */
    if (d->fd >= 0) {
        (void)close(fd); /* one at a time */
        return;
    }
    d->fd = fd;
    d->sink = (struct nbd_sink){.room = sink_room, .filled = sink_filled, .zero = sink_zero, .user = d};
    nbd_conn_init(&d->conn, d->size_bytes, &d->sink);
}

void rx_disk_poll(const struct rx_disk *d, struct pollfd ret[2])
{
    bool reads = d->fd >= 0 && !d->starved && !d->held;

    ret[0] = (struct pollfd){.fd = d->listen_fd, .events = POLLIN};
    ret[1] = (struct pollfd){.fd = d->fd, .events = reads ? POLLIN : 0};
    if (d->fd >= 0 && d->conn.out_len > 0)
        ret[1].events |= POLLOUT;
}

/* False: the connection is over. */
static bool out_send(struct rx_disk *d)
{
    while (d->conn.out_len > 0) {
        ssize_t n = send(d->fd, d->conn.out, d->conn.out_len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        nbd_conn_sent(&d->conn, (size_t)n);
    }
    return true;
}

/* 1: something was read; 0: nothing is there now; -1: the connection is over. */
static int in_read(struct rx_disk *d, uint8_t *to, size_t len, uint64_t now_usec, size_t *turn)
{
    bool data = d->conn.phase == NBD_PHASE_DATA;
    uint64_t allowed = data ? bucket_allows(d->bucket, now_usec) : UINT64_MAX;
    ssize_t n;

    d->held = allowed == 0;
    if (d->held)
        return 0;
    n = recv(d->fd, to, len < allowed ? len : (size_t)allowed, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (n == 0)
        return -1;
    nbd_conn_got(&d->conn, (size_t)n);
    if (data)
        bucket_take(d->bucket, (uint64_t)n);
    *turn += (size_t)n;
    return 1;
}

/* Goes on until nothing is there, nothing can be taken, or others are due. False: the connection is over. */
static bool conn_serve(struct rx_disk *d, uint64_t now_usec)
{
    for (size_t turn = 0; turn < TURN_BYTES;) {
        uint8_t *to;
        size_t len;
        enum nbd_want want = nbd_conn_want(&d->conn, &to, &len);
        int r;

        d->starved = want == NBD_WANT_ROOM;
        if (!out_send(d))
            return false;
        switch (want) {
        case NBD_WANT_END:
            return false;
        case NBD_WANT_SEND:
            if (d->conn.out_len > 0)
                return true;
            continue;
        case NBD_WANT_ROOM:
            return true;
        case NBD_WANT_READ:
            r = in_read(d, to, len, now_usec, &turn);
            if (r <= 0)
                return r == 0;
            continue;
        case NBD_WANT_COUNT:
            return false;
        }
    }
    return true;
}

void rx_disk_serve(struct rx_disk *d, const struct pollfd polled[2], uint64_t now_usec)
{
    if (polled[0].revents & POLLIN && d->listen_fd >= 0)
        conn_accept(d);
    if (d->fd < 0)
        return;
    /* A client that left while it was kept waiting is not read to its end. */
    if ((d->starved || d->held) && polled[1].fd == d->fd && polled[1].revents & (POLLHUP | POLLERR)) {
        conn_close(d);
        return;
    }
    if (!conn_serve(d, now_usec))
        conn_close(d);
}
