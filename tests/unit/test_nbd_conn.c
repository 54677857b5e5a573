/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "nbd_conn.h"

#define DISK_BYTES (1U << 20)

/* A disk in memory, and a client's words that are fed byte by byte or at once. */
struct bench {
    struct nbd_conn conn;
    struct nbd_sink sink;
    uint8_t disk[DISK_BYTES];
    uint32_t room;   /* bytes room() gives at most */
    int refuse;      /* what room() and zero() return; 0: they work */
    unsigned filled; /* bytes */

    uint8_t said[8192]; /* by the client */
    size_t said_len;
    uint8_t heard[8192];
    size_t heard_len;
};

static struct bench b;

static int sink_room(void *user, uint64_t offset, uint32_t length, uint8_t **ret, uint32_t *ret_length)
{
    (void)user;
    assert_true(offset + length <= DISK_BYTES);
    if (b.refuse)
        return b.refuse;
    *ret = b.disk + offset;
    *ret_length = length < b.room ? length : b.room;
    return 0;
}

static void sink_filled(void *user, uint64_t offset, uint32_t length)
{
    (void)user;
    (void)offset;
    b.filled += length;
}

static int sink_zero(void *user, uint64_t offset, uint32_t length, uint32_t *ret_length)
{
    uint8_t *to;
    int r = sink_room(user, offset, length, &to, ret_length);

    if (r == 0)
        memset(to, 0, *ret_length);
    return r;
}

static void say(const void *data, size_t len)
{
    memcpy(b.said + b.said_len, data, len);
    b.said_len += len;
}

static void say16(uint16_t v)
{
    v = htobe16(v);
    say(&v, sizeof(v));
}

static void say32(uint32_t v)
{
    v = htobe32(v);
    say(&v, sizeof(v));
}

static void say64(uint64_t v)
{
    v = htobe64(v);
    say(&v, sizeof(v));
}

static void say_option(uint32_t option, uint32_t length)
{
    say64(0x49484156454f5054ULL);
    say32(option);
    say32(length);
}

static void say_request(uint16_t flags, uint16_t command, uint64_t cookie, uint64_t offset, uint32_t length)
{
    say32(0x25609513);
    say16(flags);
    say16(command);
    say64(cookie);
    say64(offset);
    say32(length);
}

/* Feeds what was said, at most `step` bytes at once, until it is used up, or nothing goes on. */
static enum nbd_want feed(size_t step)
{
    size_t at = 0;

    for (;;) {
        uint8_t *to;
        size_t len;
        enum nbd_want want = nbd_conn_want(&b.conn, &to, &len);

        memcpy(b.heard + b.heard_len, b.conn.out, b.conn.out_len);
        b.heard_len += b.conn.out_len;
        nbd_conn_sent(&b.conn, b.conn.out_len);
        if (want == NBD_WANT_SEND)
            continue;
        if (want != NBD_WANT_READ || at == b.said_len) {
            memmove(b.said, b.said + at, b.said_len - at);
            b.said_len -= at;
            return want;
        }
        assert_true(len > 0);
        if (len > b.said_len - at)
            len = b.said_len - at;
        if (len > step)
            len = step;
        memcpy(to, b.said + at, len);
        nbd_conn_got(&b.conn, len);
        at += len;
    }
}

static uint32_t heard32(size_t at)
{
    uint32_t v;

    assert_true(at + 4 <= b.heard_len);
    memcpy(&v, b.heard + at, 4);
    return be32toh(v);
}

static uint64_t heard64(size_t at)
{
    return (uint64_t)heard32(at) << 32 | heard32(at + 4);
}

static void begin(void)
{
    memset(&b, 0, sizeof(b));
    b.room = DISK_BYTES;
    b.sink = (struct nbd_sink){.room = sink_room, .filled = sink_filled, .zero = sink_zero};
    memset(b.disk, 0xee, sizeof(b.disk));
    nbd_conn_init(&b.conn, DISK_BYTES, &b.sink);
}

/* Through the handshake, with GO; what is heard begins anew. */
static void begin_ready(void)
{
    begin();
    say32(3);
    say_option(7, 4 + 1 + 2);
    say32(1);
    say("x", 1);
    say16(0);
    assert_int_equal(feed(1), NBD_WANT_READ);
    assert_true(nbd_conn_ready(&b.conn));
    b.heard_len = 0;
}

static void check_reply(size_t at, uint32_t error, uint64_t cookie)
{
    assert_int_equal(heard32(at), 0x67446698);
    assert_int_equal(heard32(at + 4), error);
    assert_true(heard64(at + 8) == cookie);
}

static void greets_and_goes(void **state)
{
    (void)state;
    begin();
    say32(3);
    say_option(8, 0); /* structured replies: not known */
    say_option(6, 6); /* INFO */
    say32(0);
    say16(0);
    say_option(3, 0); /* LIST */
    say_option(7, 4); /* GO, too short */
    say32(0);
    say_option(7, 8); /* GO, asks for the block size */
    say32(0);
    say16(1);
    say16(3);
    assert_int_equal(feed(SIZE_MAX), NBD_WANT_READ);
    assert_true(heard64(0) == 0x4e42444d41474943ULL);
    assert_true(heard64(8) == 0x49484156454f5054ULL);
    size_t at = 18;
    assert_true(heard64(at) == 0x0003e889045565a9ULL);
    assert_int_equal(heard32(at + 8), 8);
    assert_int_equal(heard32(at + 12), 0x80000001);
    at += 20;
    assert_int_equal(heard32(at + 8), 6);
    assert_true(heard64(at + 22) == DISK_BYTES);
    at += 32 + 34 + 20;
    assert_int_equal(heard32(at + 12), 2); /* LIST: one server without a name, then ACK */
    at += 24 + 20;
    assert_int_equal(heard32(at + 12), 0x80000003);
    at += 20;
    assert_int_equal(heard32(at + 12), 3);
    assert_int_equal(b.heard[at + 30] << 8 | b.heard[at + 31], 1 | 1 << 6); /* HAS_FLAGS, WRITE_ZEROES: no FLUSH, FUA, TRIM */
    at += 32;
    assert_int_equal(heard32(at + 22), 1);
    assert_int_equal(heard32(at + 26), 65536);
    assert_int_equal(heard32(at + 30), 32 << 20);
    at += 34;
    assert_int_equal(heard32(at + 12), 1);
    assert_int_equal(b.heard_len, at + 20);
    assert_true(nbd_conn_ready(&b.conn));
}

static void old_clients_are_served(void **state)
{
    (void)state;
    begin();
    say32(1);
    say_option(1, 0);
    assert_int_equal(feed(SIZE_MAX), NBD_WANT_READ);
    assert_int_equal(b.heard_len, 18 + 8 + 2 + 124);
    assert_true(nbd_conn_ready(&b.conn));
}

static void takes_writes_and_zeroes(void **state)
{
    static const size_t steps[] = {1, 3, 100, SIZE_MAX};
    uint8_t data[2048];

    (void)state;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        begin_ready();
        b.room = 700;
        memset(data, 7, sizeof(data));
        /* the disk's end, where lengths need not be aligned, is at a multiple here: shrink it by 512 */
        b.conn.size_bytes = DISK_BYTES - 2048;
        say_request(0, 1, 11, DISK_BYTES - 4096, 2048);
        say(data, 2048);
        say_request(2, 6, 12, 8192, 65536); /* NO_HOLE */
        say_request(0, 6, 13, 0, 4096);
        assert_int_equal(feed(steps[i]), NBD_WANT_READ);
        assert_int_equal(b.heard_len, 3 * 16);
        check_reply(0, 0, 11);
        check_reply(16, 0, 12);
        check_reply(32, 0, 13);
        assert_int_equal(b.filled, 2048);
        assert_int_equal(b.disk[DISK_BYTES - 4097], 0xee);
        assert_memory_equal(b.disk + DISK_BYTES - 4096, data, 2048);
        assert_int_equal(b.disk[DISK_BYTES - 2048], 0xee);
        assert_int_equal(b.disk[8191], 0xee);
        assert_int_equal(b.disk[8192 + 65535], 0);
        assert_int_equal(b.disk[8192 + 65536], 0xee);
    }
}

/* A refused write's data is read and thrown away: the next request is understood. */
static void refuses_and_goes_on(void **state)
{
    static const struct {
        uint16_t flags, command;
        uint64_t offset;
        uint32_t length;
        uint32_t error;
    } cases[] = {
        {0, 0, 0, 4096, 22},                        /* READ */
        {0, 3, 0, 0, 22},                           /* FLUSH */
        {0, 4, 0, 4096, 22},                        /* TRIM */
        {0, 99, 0, 0, 22},
        {1, 1, 0, 512, 22},                         /* FUA */
        {0, 1, 0, 512, 22},                         /* not aligned */
        {0, 1, 512, 512, 22},
        {0, 1, 0, 0, 22},
        {0, 1, DISK_BYTES, 512, 28},
        {0, 6, DISK_BYTES - 4096, 8192, 28},
        {0, 6, UINT64_MAX - 4095, UINT32_MAX, 28},
        {1 << 4, 6, 0, 4096, 22},                   /* FAST_ZERO */
    };
    static const uint8_t data[512];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin_ready();
        say_request(cases[i].flags, cases[i].command, 5, cases[i].offset, cases[i].length);
        if (cases[i].command == 1)
            say(data, cases[i].length);
        say_request(0, 6, 6, 0, 4096);
        assert_int_equal(feed(7), NBD_WANT_READ);
        assert_int_equal(b.heard_len, 32);
        check_reply(0, cases[i].error, 5);
        check_reply(16, 0, 6);
    }
}

static void waits_for_room(void **state)
{
    static const uint8_t data[4096];

    (void)state;
    begin_ready();
    b.refuse = -EAGAIN;
    say_request(0, 1, 1, 0, 4096);
    say(data, 4096);
    say_request(0, 6, 2, 4096, 4096);
    assert_int_equal(feed(SIZE_MAX), NBD_WANT_ROOM);
    assert_int_equal(b.said_len, 4096 + 28); /* not a byte of the data was taken */
    b.refuse = 0;
    b.room = 1000;
    assert_int_equal(feed(1000), NBD_WANT_READ);
    assert_int_equal(b.heard_len, 32);
    /* the store fails while a request waits: it is answered with that */
    b.refuse = -EAGAIN;
    b.heard_len = 0;
    say_request(0, 1, 3, 0, 4096);
    say(data, 4096);
    say_request(0, 6, 4, 0, 4096);
    assert_int_equal(feed(SIZE_MAX), NBD_WANT_ROOM);
    b.refuse = -ENOSPC;
    assert_int_equal(feed(SIZE_MAX), NBD_WANT_READ);
    check_reply(0, 28, 3);
    check_reply(16, 28, 4);
}

static void ends(void **state)
{
    (void)state;
    begin_ready();
    say_request(0, 2, 1, 0, 0); /* DISC: no reply */
    assert_int_equal(feed(SIZE_MAX), NBD_WANT_END);
    assert_int_equal(b.heard_len, 0);
    begin_ready();
    say_request(0, 1, 1, 0, (32 << 20) + 4096);
    assert_int_equal(feed(SIZE_MAX), NBD_WANT_END);
    begin_ready();
    say64(0);
    say64(0);
    say64(0);
    say64(0);
    assert_int_equal(feed(SIZE_MAX), NBD_WANT_END); /* no magic */
    begin();
    say32(0x100);
    assert_int_equal(feed(SIZE_MAX), NBD_WANT_END);
    begin();
    say32(3);
    say_option(7, NBD_OPTION_MAX + 1);
    assert_int_equal(feed(SIZE_MAX), NBD_WANT_END);
    begin();
    say32(3);
    say_option(2, 0); /* ABORT */
    assert_int_equal(feed(SIZE_MAX), NBD_WANT_END);
    assert_int_equal(b.heard_len, 18 + 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greets_and_goes),
        cmocka_unit_test(old_clients_are_served),
        cmocka_unit_test(takes_writes_and_zeroes),
        cmocka_unit_test(refuses_and_goes_on),
        cmocka_unit_test(waits_for_room),
        cmocka_unit_test(ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
