/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "assembly.h"
#include "nbd_conn.h"

/* What may come over an NBD socket: any bytes at all. Into a real assembly, so that its counting is tried as well. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHUNK      (64U << 10)
#define DISK_BYTES (5 * CHUNK + 512)
#define BUFFERS    8

struct place {
    struct assembly assembly;
    struct assembly_task tasks[BUFFERS];
    size_t tasks_n;
    uint8_t states[6];
};

static void must(int condition)
{
    if (!condition)
        abort();
}

static void hand(void *user, const struct assembly_task *task)
{
    struct place *p = user;

    must(p->tasks_n < BUFFERS && task->buffer < BUFFERS && task->len > 0);
    must(task->chunk * CHUNK + task->at + task->len <= DISK_BYTES && task->at + task->len <= CHUNK);
    p->tasks[p->tasks_n++] = *task;
}

static int sink_room(void *user, uint64_t offset, uint32_t length, uint8_t **ret, uint32_t *ret_length)
{
    struct place *p = user;

    must(offset + length <= DISK_BYTES && length > 0);
    return assembly_room(&p->assembly, 0, offset, length, ret, ret_length);
}

static void sink_filled(void *user, uint64_t offset, uint32_t length)
{
    struct place *p = user;

    assembly_filled(&p->assembly, 0, offset, length);
}

static int sink_zero(void *user, uint64_t offset, uint32_t length, uint32_t *ret_length)
{
    struct place *p = user;

    must(offset + length <= DISK_BYTES && length > 0);
    return assembly_zero(&p->assembly, 0, offset, length, ret_length);
}

static void feed(struct nbd_conn *c, struct place *p, const uint8_t *data, size_t size, size_t step)
{
    for (size_t at = 0;;) {
        uint8_t *to = NULL;
        size_t len = 0;
        enum nbd_want want = nbd_conn_want(c, &to, &len);

        must(c->out_len <= NBD_OUT_MAX);
        if (want == NBD_WANT_END || (want == NBD_WANT_READ && at == size))
            return;
        if (want == NBD_WANT_SEND) {
            must(c->out_len > 0);
            nbd_conn_sent(c, c->out_len);
        } else if (want == NBD_WANT_ROOM) {
            must(p->tasks_n > 0); /* else it would wait for ever */
            (void)assembly_take_back(&p->assembly, p->tasks[--p->tasks_n].buffer);
        } else {
            must(len > 0);
            len = len > size - at ? size - at : len;
            len = len > step ? step : len;
            memcpy(to, data + at, len);
            nbd_conn_got(c, len);
            at += len;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t buffers[BUFFERS * CHUNK];
    static struct nbd_conn conn;
    struct place p = {0};
    const struct nbd_sink sink = {.room = sink_room, .filled = sink_filled, .zero = sink_zero, .user = &p};
    const struct copy_disk job = {.name = "vda", .size_bytes = DISK_BYTES};
    struct err e = {0};

    if (size == 0)
        return 0;
    assembly_init(&p.assembly, CHUNK, buffers, hand, &p);
    p.assembly.buffers_n = BUFFERS;
    p.assembly.budget = 2;
    must(assembly_add_disk(&p.assembly, DISK_BYTES, p.states, &e) == 0);
    nbd_conn_init(&conn, DISK_BYTES, &sink);
    feed(&conn, &p, data + 1, size - 1, (size_t)data[0] + 1); /* where reads end must not matter */
    must(p.assembly.disks[0].received_bytes <= DISK_BYTES);
    if (assembly_check(&p.assembly, 0, &job, &e) == 0)
        must(p.assembly.disks[0].received_bytes == DISK_BYTES && p.assembly.in_use == p.tasks_n);
    assembly_done(&p.assembly);
    return 0;
}
