/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian_message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "text.h"

#define FDS_MAX 2

static int send_packet(int fd, const void *data, size_t len, const int *fds, size_t fds_n, struct err *e)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = (void *)data, .iov_len = len};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    struct cmsghdr *c;
    ssize_t n;

    if (fds_n > 0) {
        m.msg_control = control.room;
        m.msg_controllen = CMSG_SPACE(fds_n * sizeof(int));
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds_n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, fds_n * sizeof(int));
    }
    do
        n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? err_set(e, errno, "cannot reach the guardian process: %s", strerror(errno)) : 0;
}

/* All descriptors that came, at most FDS_MAX by the room they have. */
static size_t take_fds(struct msghdr *m, int fds[FDS_MAX])
{
    size_t n = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(c), n * sizeof(int));
    }
    return n;
}

/* 1, 0 at the end, or -errno. */
static int receive_packet(int fd, void *data, size_t len, int fds[FDS_MAX], size_t *ret_fds_n, struct err *e)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = data, .iov_len = len};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room,
                       .msg_controllen = sizeof(control.room)};
    ssize_t n;

    do
        n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    *ret_fds_n = n > 0 ? take_fds(&m, fds) : 0;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return err_set(e, EAGAIN, "nothing there");
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return 0;
    if (n < 0)
        return err_set(e, errno, "cannot read from the other process: %s", strerror(errno));
    if ((size_t)n == len && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return 1;
    for (size_t i = 0; i < *ret_fds_n; i++)
        (void)close(fds[i]); /* not ours to keep */
    *ret_fds_n = 0;
    return err_set(e, EPROTO, "a message of another size");
}

int guardian_send_order(int fd, const struct guardian_order *order, int monitor_fd, int agent_fd, struct err *e)
{
    struct guardian_order o = *order;
    int fds[FDS_MAX];
    size_t n = 0;

    o.version = GUARDIAN_VERSION;
    o.has_monitor = monitor_fd >= 0;
    o.has_agent = agent_fd >= 0;
    if (o.has_monitor)
        fds[n++] = monitor_fd;
    if (o.has_agent)
        fds[n++] = agent_fd;
    return send_packet(fd, &o, sizeof(o), fds, n, e);
}

int guardian_receive_order(int fd, struct guardian_order *ret, int *ret_monitor_fd, int *ret_agent_fd, struct err *e)
{
    struct guardian_order o;
    int fds[FDS_MAX], r;
    size_t n = 0, wanted;

    r = receive_packet(fd, &o, sizeof(o), fds, &n, e);
    if (r <= 0)
        return r;
    o.guest[sizeof(o.guest) - 1] = o.monitor[sizeof(o.monitor) - 1] = o.agent[sizeof(o.agent) - 1] = '\0';
    wanted = (size_t)o.has_monitor + (size_t)o.has_agent;
    if (o.version != GUARDIAN_VERSION || o.verb >= GUARDIAN_VERB_COUNT || !text_is_name(o.guest, strlen(o.guest)) ||
        n != wanted) {
        for (size_t i = 0; i < n; i++)
            (void)close(fds[i]); /* not ours to keep */
        return err_set(e, EPROTO, "an order that is none");
    }
    *ret = o;
    *ret_monitor_fd = o.has_monitor ? fds[0] : -1;
    *ret_agent_fd = o.has_agent ? fds[n - 1] : -1;
    return 1;
}

int guardian_send_word(int fd, const struct guardian_word *word, struct err *e)
{
    struct guardian_word w = *word;

    w.version = GUARDIAN_VERSION;
    return send_packet(fd, &w, sizeof(w), NULL, 0, e);
}

int guardian_receive_word(int fd, struct guardian_word *ret, struct err *e)
{
    struct guardian_word w;
    int fds[FDS_MAX], r;
    size_t n = 0;

    r = receive_packet(fd, &w, sizeof(w), fds, &n, e);
    if (r <= 0)
        return r;
    for (size_t i = 0; i < n; i++)
        (void)close(fds[i]); /* none are expected */
    w.guest[sizeof(w.guest) - 1] = w.text[sizeof(w.text) - 1] = '\0';
    if (w.version != GUARDIAN_VERSION || w.answer >= GUARDIAN_ANSWER_COUNT)
        return err_set(e, EPROTO, "a word that is none");
    *ret = w;
    return 1;
}
