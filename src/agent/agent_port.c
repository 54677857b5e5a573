/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

void agent_port_init(struct agent_port *p)
{
    p->fd = -1;
    p->connected = p->full = false;
    p->rest_len = p->rest_sent = 0;
}

void agent_port_close(struct agent_port *p)
{
    if (p->fd >= 0)
        (void)close(p->fd); /* nothing is buffered in it */
    agent_port_init(p);
}

int agent_port_open(struct agent_port *p, const char *path, struct err *e)
{
    agent_port_init(p);
    p->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (p->fd >= 0)
        return 0;
    if (errno == EBUSY)
        return err_set(e, EBUSY, "'%s' is in use by another program: is there another ballast-agent?", path);
    if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
        return err_set(e, ENOENT,
                       "'%s' is not there: this guest has no port for the agent (yet). The host gives it one with "
                       "-device virtserialport,name=org.ballast.agent.0, and the guest needs the module virtio_console",
                       path);
    return err_set(e, errno, "cannot open '%s': %s", path, strerror(errno));
}

/* Without its host a port says "hung up"; writes would wait and reads end at once. */
int agent_port_check(struct agent_port *p)
{
    struct pollfd look = {.fd = p->fd, .events = POLLIN | POLLOUT};
    bool was = p->connected;

    if (p->fd < 0)
        return -ENODEV;
    if (poll(&look, 1, 0) < 0)
        return 0;
    if (look.revents & POLLNVAL)
        return -ENODEV;
    p->connected = !(look.revents & (POLLHUP | POLLERR));
    if (!p->connected || !was) {
        p->full = false;
        p->rest_len = p->rest_sent = 0; /* half a line is nothing to whoever connects next */
    }
    return 0;
}

/* Bytes taken; 0 where the port is full or the host has left. */
static size_t port_put(struct agent_port *p, const char *data, size_t len)
{
    ssize_t n = 0;

    do
        n = write(p->fd, data, len);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return (size_t)n;
    if (errno == EAGAIN)
        p->full = true;
    else
        p->connected = false; /* the next check tells whether it is gone for good */
    return 0;
}

void agent_port_flush(struct agent_port *p)
{
    p->full = false;
    if (p->rest_len == p->rest_sent)
        return;
    p->rest_sent += port_put(p, p->rest + p->rest_sent, p->rest_len - p->rest_sent);
    if (p->rest_sent < p->rest_len)
        p->full = true;
    else
        p->rest_len = p->rest_sent = 0;
}

bool agent_port_write(struct agent_port *p, const char *line, size_t len)
{
    if (p->fd < 0 || !p->connected || p->full || p->rest_len > p->rest_sent || len > sizeof(p->rest))
        return false;
    size_t taken = port_put(p, line, len);
    if (taken == 0)
        return false;
    if (taken < len) {
        memcpy(p->rest, line + taken, len - taken);
        p->rest_len = len - taken;
        p->rest_sent = 0;
        p->full = true;
    }
    return true;
}

int agent_port_read(struct agent_port *p, char *buf, size_t size)
{
    ssize_t n = read(p->fd, buf, size);

    if (n > 0)
        return (int)n;
    if (n == 0 || errno == EIO || errno == EPIPE) {
        p->connected = false;
        return 0;
    }
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    return -ENODEV;
}
