/* SPDX-License-Identifier: Apache-2.0 */
#include "copy_link.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK_BYTES_MIN (64ULL << 10) /* of any repository: the chunk size is known only after the fork */
#define PAGE_BYTES      4096ULL

static uint64_t page_up(uint64_t n)
{
    return (n + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static uint64_t states_bytes(const struct copy_disk *d)
{
    return page_up((d->size_bytes + CHUNK_BYTES_MIN - 1) / CHUNK_BYTES_MIN);
}

int link_init(struct copy_link *l, const struct copy_job *job, struct err *e)
{
    uint64_t at = page_up(sizeof(struct copy_shared)), size = at + ASSEMBLY_BUFFERS_BYTES;
    int fds[2];
    void *memory;

    *l = (struct copy_link){.receiver_fd = -1, .worker_fd = -1};
    for (size_t i = 0; i < job->disks_n; i++)
        size += states_bytes(&job->disks[i]);
    /* NORESERVE: most of it is never touched, and an overcommit limit must not count it. */
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return err_set(e, errno, "no memory for the buffers of a backup: %s", strerror(errno));
    l->memory = memory;
    l->memory_size = size;
    l->shared = memory;
    for (size_t i = 0; i < job->disks_n; i++) {
        l->states[i] = l->memory + at;
        at += states_bytes(&job->disks[i]);
    }
    l->buffers = l->memory + at;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
        int code = errno;

        link_done(l);
        return err_set(e, code, "no socket between receiver and worker: %s", strerror(code));
    }
    l->receiver_fd = fds[0];
    l->worker_fd = fds[1];
    return 0;
}

void link_done(struct copy_link *l)
{
    if (l->memory)
        (void)munmap(l->memory, l->memory_size); /* our own mapping */
    if (l->receiver_fd >= 0)
        (void)close(l->receiver_fd);
    if (l->worker_fd >= 0)
        (void)close(l->worker_fd);
    *l = (struct copy_link){.receiver_fd = -1, .worker_fd = -1};
}

static int message_send(int fd, const void *data, size_t len, int flags)
{
    for (;;) {
        if (send(fd, data, len, MSG_NOSIGNAL | flags) >= 0)
            return 0;
        if (errno != EINTR)
            return -errno;
    }
}

int link_send_order(const struct copy_link *l, const struct link_order *o)
{
    return message_send(l->receiver_fd, o, sizeof(*o), MSG_DONTWAIT);
}

int link_send_note(const struct copy_link *l, const struct link_note *n)
{
    size_t texts = offsetof(struct link_note, text);

    return message_send(l->worker_fd, n, n->kind == LINK_NOTE_DONE ? texts : sizeof(*n), 0);
}

/* At least `least` bytes of one message; what it lacks is zero. */
static int message_receive(int fd, void *ret, size_t size, size_t least)
{
    ssize_t n;

    memset(ret, 0, size);
    do
        n = recv(fd, ret, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -EPIPE;
    return (size_t)n >= least ? 1 : -EPIPE;
}

int link_receive_order(const struct copy_link *l, struct link_order *ret)
{
    return message_receive(l->worker_fd, ret, sizeof(*ret), sizeof(*ret));
}

int link_receive_note(const struct copy_link *l, struct link_note *ret)
{
    return message_receive(l->receiver_fd, ret, sizeof(*ret), offsetof(struct link_note, text));
}
