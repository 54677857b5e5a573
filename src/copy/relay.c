/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct relay_block {
    struct relay_block *next;
    uint32_t from, to;
    char data[RELAY_BLOCK_BYTES];
};

void relay_init(struct relay *relay, const char *qemu_path, int listen_fd)
{
    memset(relay, 0, sizeof(*relay));
    relay->qemu_path = qemu_path;
    relay->listen_fd = listen_fd;
    for (size_t i = 0; i < RELAY_CLIENTS_MAX; i++)
        relay->links[i].client_fd = relay->links[i].qemu_fd = -1;
}

static void drop_first(struct relay_link *l)
{
    struct relay_block *first = l->first;

    l->first = first->next;
    if (!l->first)
        l->last = NULL;
    free(first);
}

static void link_close(struct relay *relay, struct relay_link *l)
{
    if (l->client_fd >= 0)
        (void)close(l->client_fd);
    if (l->qemu_fd >= 0)
        (void)close(l->qemu_fd);
    while (l->first)
        drop_first(l);
    relay->buffered_bytes -= l->buffered;
    *l = (struct relay_link){.client_fd = -1, .qemu_fd = -1};
}

void relay_done(struct relay *relay)
{
    for (size_t i = 0; i < RELAY_CLIENTS_MAX; i++)
        link_close(relay, &relay->links[i]);
    if (relay->listen_fd >= 0)
        (void)close(relay->listen_fd);
    relay->listen_fd = -1;
}

unsigned relay_clients(const struct relay *relay)
{
    unsigned n = 0;

    for (size_t i = 0; i < RELAY_CLIENTS_MAX; i++)
        n += relay->links[i].client_fd >= 0;
    return n;
}

static struct relay_link *find_free(struct relay *relay)
{
    for (size_t i = 0; i < RELAY_CLIENTS_MAX; i++)
        if (relay->links[i].client_fd < 0)
            return &relay->links[i];
    return NULL;
}

/* -1: QEMU does not listen any more, or can't take more now. */
static int connect_qemu(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && strlen(path) < sizeof(address.sun_path)) {
        memcpy(address.sun_path, path, strlen(path));
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
            return fd;
    }
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static void accept_client(struct relay *relay)
{
    int fd = accept4(relay->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct relay_link *l = find_free(relay);

    if (fd < 0)
        return;
    if (!l || (l->qemu_fd = connect_qemu(relay->qemu_path)) < 0)
        (void)close(fd);
    else
        l->client_fd = fd;
}

/* ---- QEMU to client ---- */

static bool is_trouble(ssize_t n)
{
    return n < 0 && errno != EAGAIN && errno != EINTR;
}

/* As much as the client takes. False: the link is closed. */
static bool flush_client(struct relay *relay, struct relay_link *l)
{
    while (l->first) {
        struct relay_block *b = l->first;
        ssize_t n = b->to > b->from ? send(l->client_fd, b->data + b->from, b->to - b->from, MSG_NOSIGNAL) : 0;

        if (is_trouble(n)) {
            link_close(relay, l);
            return false;
        }
        if (n < 0)
            return true;
        b->from += (uint32_t)n;
        l->buffered -= (size_t)n;
        relay->buffered_bytes -= (uint64_t)n;
        relay->sent_bytes += (uint64_t)n;
        if (b->from < b->to)
            return true;
        drop_first(l);
    }
    if (l->qemu_ended)
        link_close(relay, l);
    return l->client_fd >= 0;
}

/* One with room at its end; NULL: no memory. */
static struct relay_block *block_with_room(struct relay_link *l)
{
    struct relay_block *b = l->last;

    if (b && b->to < RELAY_BLOCK_BYTES)
        return b;
    b = malloc(sizeof(*b));
    if (!b)
        return NULL;
    b->next = NULL;
    b->from = b->to = 0;
    if (l->last)
        l->last->next = b;
    else
        l->first = b;
    l->last = b;
    return b;
}

/* All that is there is read, whatever the client does. */
static void read_qemu(struct relay *relay, struct relay_link *l)
{
    struct relay_block *b = block_with_room(l);
    ssize_t n = b ? recv(l->qemu_fd, b->data + b->to, RELAY_BLOCK_BYTES - b->to, 0) : -1;

    if (!b || is_trouble(n)) {
        link_close(relay, l);
        return;
    }
    if (n == 0)
        l->qemu_ended = true;
    if (n > 0) {
        b->to += (uint32_t)n;
        l->buffered += (size_t)n;
        relay->buffered_bytes += (uint64_t)n;
    }
    if (!flush_client(relay, l))
        return;
    if (l->buffered > RELAY_BUFFER_MAX || relay->buffered_bytes > RELAY_BUDGET_BYTES) {
        relay->dropped++;
        link_close(relay, l);
    }
}

/* ---- client to QEMU ---- */

static void write_qemu(struct relay *relay, struct relay_link *l)
{
    ssize_t n = send(l->qemu_fd, l->up + l->up_from, l->up_to - l->up_from, MSG_NOSIGNAL);

    if (is_trouble(n)) {
        l->up_from = l->up_to = 0; /* what it has said before still goes to the client */
        return;
    }
    if (n > 0)
        l->up_from += (size_t)n;
    (void)relay;
}

static void read_client(struct relay *relay, struct relay_link *l)
{
    ssize_t n = recv(l->client_fd, l->up, sizeof(l->up), 0);

    if (n == 0 || is_trouble(n)) {
        link_close(relay, l);
        return;
    }
    if (n < 0)
        return;
    l->up_from = 0;
    l->up_to = (size_t)n;
    write_qemu(relay, l);
}

/* ---- the turn ---- */

void relay_poll(const struct relay *relay, struct pollfd ret[RELAY_POLLS])
{
    ret[0] = (struct pollfd){.fd = relay_clients(relay) < RELAY_CLIENTS_MAX ? relay->listen_fd : -1, .events = POLLIN};
    for (size_t i = 0; i < RELAY_CLIENTS_MAX; i++) {
        const struct relay_link *l = &relay->links[i];
        bool has_up = l->up_from < l->up_to;
        int client = (!has_up && l->buffered <= RELAY_HOLD_BYTES ? POLLIN : 0) | (l->buffered ? POLLOUT : 0);

        ret[1 + 2 * i] = (struct pollfd){.fd = l->client_fd, .events = (short)client};
        ret[2 + 2 * i] = (struct pollfd){.fd = l->qemu_ended ? -1 : l->qemu_fd, .events = (short)(POLLIN | (has_up ? POLLOUT : 0))};
    }
}

void relay_serve(struct relay *relay, const struct pollfd polled[RELAY_POLLS])
{
    for (size_t i = 0; i < RELAY_CLIENTS_MAX; i++) {
        struct relay_link *l = &relay->links[i];
        short client = polled[1 + 2 * i].revents, qemu = polled[2 + 2 * i].revents;

        if (qemu & (POLLIN | POLLHUP | POLLERR))
            read_qemu(relay, l);
        if (l->client_fd >= 0 && (qemu & POLLOUT) && l->up_from < l->up_to)
            write_qemu(relay, l);
        if (l->client_fd >= 0 && (client & (POLLHUP | POLLERR)))
            link_close(relay, l);
        if (l->client_fd >= 0 && (client & POLLIN))
            read_client(relay, l);
        if (l->client_fd >= 0 && (client & POLLOUT))
            (void)flush_client(relay, l);
    }
    if (polled[0].revents & POLLIN)
        accept_client(relay);
}
