/* SPDX-License-Identifier: Apache-2.0 */
#include "nbd_conn.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* Numbers of the NBD protocol. */
#define MAGIC_GREETING   0x4e42444d41474943ULL /* "NBDMAGIC" */
#define MAGIC_OPTION     0x49484156454f5054ULL /* "IHAVEOPT" */
#define MAGIC_OPTREPLY   0x0003e889045565a9ULL
#define MAGIC_REQUEST    0x25609513U
#define MAGIC_REPLY      0x67446698U

#define HANDSHAKE_FIXED     (1U << 0)
#define HANDSHAKE_NO_ZEROES (1U << 1)

#define EXPORT_HAS_FLAGS    (1U << 0)
#define EXPORT_WRITE_ZEROES (1U << 6)
#define EXPORT_FLAGS        (EXPORT_HAS_FLAGS | EXPORT_WRITE_ZEROES)

#define OPTION_EXPORT_NAME 1U
#define OPTION_ABORT       2U
#define OPTION_LIST        3U
#define OPTION_INFO        6U
#define OPTION_GO          7U

#define REPLY_ACK         1U
#define REPLY_SERVER      2U
#define REPLY_INFO        3U
#define REPLY_ERR_UNKNOWN ((1U << 31) + 1)
#define REPLY_ERR_INVALID ((1U << 31) + 3)

#define INFO_EXPORT     0U
#define INFO_BLOCK_SIZE 3U

#define COMMAND_WRITE        1U
#define COMMAND_DISC         2U
#define COMMAND_WRITE_ZEROES 6U
#define COMMAND_FLAG_NO_HOLE (1U << 1) /* zero is zero: nothing is preallocated here */

#define OPTION_HEAD  16U
#define REQUEST_HEAD 28U
#define REPLY_SIZE   16U
#define OLD_PADDING  124U

/* Data of requests that failed; nobody reads it, so that all connections can share it. */
static uint8_t scratch[NBD_SCRATCH_SIZE];

static void put16(struct nbd_conn *c, uint16_t v)
{
    v = htobe16(v);
    memcpy(c->out + c->out_len, &v, sizeof(v));
    c->out_len += sizeof(v);
}

static void put32(struct nbd_conn *c, uint32_t v)
{
    v = htobe32(v);
    memcpy(c->out + c->out_len, &v, sizeof(v));
    c->out_len += sizeof(v);
}

static void put64(struct nbd_conn *c, uint64_t v)
{
    v = htobe64(v);
    memcpy(c->out + c->out_len, &v, sizeof(v));
    c->out_len += sizeof(v);
}

static uint16_t get16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return be16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return be32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return be64toh(v);
}

static void expect(struct nbd_conn *c, enum nbd_phase phase, size_t bytes)
{
    c->phase = phase;
    c->head_len = 0;
    c->head_want = bytes;
}

void nbd_conn_init(struct nbd_conn *c, uint64_t size_bytes, const struct nbd_sink *sink)
{
    *c = (struct nbd_conn){.size_bytes = size_bytes, .sink = sink};
    put64(c, MAGIC_GREETING);
    put64(c, MAGIC_OPTION);
    put16(c, HANDSHAKE_FIXED | HANDSHAKE_NO_ZEROES);
    expect(c, NBD_PHASE_FLAGS, 4);
}

bool nbd_conn_ready(const struct nbd_conn *c)
{
    return c->phase >= NBD_PHASE_REQUEST && c->phase < NBD_PHASE_END;
}

static void take_flags(struct nbd_conn *c)
{
    uint32_t flags = get32(c->head);

    c->no_zeroes = flags & HANDSHAKE_NO_ZEROES;
    if (!(flags & HANDSHAKE_FIXED) || (flags & ~(HANDSHAKE_FIXED | HANDSHAKE_NO_ZEROES)))
        c->phase = NBD_PHASE_END; /* the protocol: a client with unknown flags is left */
    else
        expect(c, NBD_PHASE_OPTION, OPTION_HEAD);
}

static void option_reply(struct nbd_conn *c, uint32_t type, uint32_t length)
{
    put64(c, MAGIC_OPTREPLY);
    put32(c, c->option);
    put32(c, type);
    put32(c, length);
}

/* GO and INFO: u32 length of the name, the name (any will do), u16 count, so many u16. */
static void option_go(struct nbd_conn *c)
{
    size_t len = c->head_len;
    uint32_t name = len >= 6 ? get32(c->head) : UINT32_MAX;

    if (len < 6 || name > len - 6 || len - 6 - name != 2 * (size_t)get16(c->head + 4 + name)) {
        option_reply(c, REPLY_ERR_INVALID, 0);
        expect(c, NBD_PHASE_OPTION, OPTION_HEAD);
        return;
    }
    option_reply(c, REPLY_INFO, 12);
    put16(c, INFO_EXPORT);
    put64(c, c->size_bytes);
    put16(c, EXPORT_FLAGS);
    option_reply(c, REPLY_INFO, 14);
    put16(c, INFO_BLOCK_SIZE);
    put32(c, 1);
    put32(c, NBD_BLOCK_WANTED);
    put32(c, NBD_REQUEST_MAX);
    option_reply(c, REPLY_ACK, 0);
    if (c->option == OPTION_GO)
        expect(c, NBD_PHASE_REQUEST, REQUEST_HEAD);
    else
        expect(c, NBD_PHASE_OPTION, OPTION_HEAD);
}

static void take_option_data(struct nbd_conn *c)
{
    switch (c->option) {
    case OPTION_EXPORT_NAME:
        put64(c, c->size_bytes);
        put16(c, EXPORT_FLAGS);
        if (!c->no_zeroes) {
            memset(c->out + c->out_len, 0, OLD_PADDING);
            c->out_len += OLD_PADDING;
        }
        expect(c, NBD_PHASE_REQUEST, REQUEST_HEAD);
        return;
    case OPTION_ABORT:
        option_reply(c, REPLY_ACK, 0);
        c->phase = NBD_PHASE_END;
        return;
    case OPTION_INFO:
    case OPTION_GO:
        option_go(c);
        return;
    case OPTION_LIST:
        if (c->head_len == 0) {
            option_reply(c, REPLY_SERVER, 4);
            put32(c, 0); /* the one export, without a name */
        }
        option_reply(c, c->head_len == 0 ? REPLY_ACK : REPLY_ERR_INVALID, 0);
        break;
    default:
        option_reply(c, REPLY_ERR_UNKNOWN, 0);
    }
    expect(c, NBD_PHASE_OPTION, OPTION_HEAD);
}

static void take_option(struct nbd_conn *c)
{
    uint32_t length = get32(c->head + 12);

    c->option = get32(c->head + 8);
    if (get64(c->head) != MAGIC_OPTION || length > NBD_OPTION_MAX) {
        c->phase = NBD_PHASE_END;
        return;
    }
    expect(c, NBD_PHASE_OPTION_DATA, length);
}

static uint32_t error_number(int code)
{
    switch (code) {
    case 0:
        return 0;
    case EPERM:
    case EROFS:
        return 1;
    case ENOMEM:
        return 12;
    case EINVAL:
        return 22;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return 28;
    default:
        return 5; /* EIO */
    }
}

static void request_end(struct nbd_conn *c)
{
    put32(c, MAGIC_REPLY);
    put32(c, error_number(c->error));
    put64(c, c->cookie);
    expect(c, NBD_PHASE_REQUEST, REQUEST_HEAD);
}

/* The error a request is refused with; 0: none. */
static int request_check(const struct nbd_conn *c, uint16_t flags, uint16_t allowed)
{
    uint64_t end;

    if (c->left == 0 || (flags & ~(unsigned)allowed))
        return EINVAL;
    if (__builtin_add_overflow(c->offset, c->left, &end) || end > c->size_bytes)
        return ENOSPC;
    if (c->offset % NBD_ALIGN || (end % NBD_ALIGN && end != c->size_bytes))
        return EINVAL;
    return 0;
}

static void take_request(struct nbd_conn *c)
{
    uint16_t flags = get16(c->head + 4), command = get16(c->head + 6);

    c->cookie = get64(c->head + 8);
    c->offset = get64(c->head + 16);
    c->left = get32(c->head + 24);
    c->error = 0;
    c->piece = NULL;
    if (get32(c->head) != MAGIC_REQUEST || command == COMMAND_DISC || (command == COMMAND_WRITE && c->left > NBD_REQUEST_MAX)) {
        c->phase = NBD_PHASE_END;
        return;
    }
    if (command == COMMAND_WRITE) {
        c->error = request_check(c, flags, 0);
        c->phase = NBD_PHASE_DATA;
    } else if (command == COMMAND_WRITE_ZEROES) {
        c->error = request_check(c, flags, COMMAND_FLAG_NO_HOLE);
        c->phase = NBD_PHASE_ZERO;
    } else {
        c->error = EINVAL;
        request_end(c);
    }
}

/* Zeroes on; false: there is no room now. */
static bool zero_on(struct nbd_conn *c)
{
    while (c->left > 0 && c->error == 0) {
        uint32_t n = 0;
        int r = c->sink->zero(c->sink->user, c->offset, c->left, &n);

        if (r == -EAGAIN)
            return false;
        if (r < 0) {
            c->error = -r;
            break;
        }
        c->offset += n;
        c->left -= n;
    }
    request_end(c);
    return true;
}

/* Where the next data goes; false: there is no room now. */
static bool data_on(struct nbd_conn *c, uint8_t **ret, size_t *ret_len)
{
    if (c->error == 0 && !c->piece) {
        int r = c->sink->room(c->sink->user, c->offset, c->left, &c->piece, &c->piece_len);

        if (r == -EAGAIN)
            return false;
        if (r < 0) {
            c->error = -r;
            c->piece = NULL;
        }
        c->piece_offset = c->offset;
        c->piece_got = 0;
    }
    if (c->error) {
        *ret = scratch;
        *ret_len = c->left < sizeof(scratch) ? c->left : sizeof(scratch);
    } else {
        *ret = c->piece + c->piece_got;
        *ret_len = c->piece_len - c->piece_got;
    }
    return true;
}

static void data_got(struct nbd_conn *c, uint32_t n)
{
    c->offset += n;
    c->left -= n;
    if (c->error == 0) {
        c->piece_got += n;
        if (c->piece_got == c->piece_len) {
            c->piece = NULL;
            c->sink->filled(c->sink->user, c->piece_offset, c->piece_len);
        }
    }
}

static void head_take(struct nbd_conn *c)
{
    switch (c->phase) {
    case NBD_PHASE_FLAGS:
        take_flags(c);
        return;
    case NBD_PHASE_OPTION:
        take_option(c);
        return;
    case NBD_PHASE_OPTION_DATA:
        take_option_data(c);
        return;
    case NBD_PHASE_REQUEST:
        take_request(c);
        return;
    case NBD_PHASE_DATA:
    case NBD_PHASE_ZERO:
    case NBD_PHASE_END:
    case NBD_PHASE_COUNT:
        return;
    }
}

enum nbd_want nbd_conn_want(struct nbd_conn *c, uint8_t **ret, size_t *ret_len)
{
    for (;;) {
        if (c->phase == NBD_PHASE_END)
            return NBD_WANT_END;
        /* Replies of the handshake are long and come one at a time; those to requests fit until `out` is nearly full. */
        if (nbd_conn_ready(c) ? c->out_len + REPLY_SIZE > NBD_OUT_MAX : c->out_len > 0)
            return NBD_WANT_SEND;
        if (c->phase == NBD_PHASE_ZERO) {
            if (!zero_on(c))
                return NBD_WANT_ROOM;
        } else if (c->phase == NBD_PHASE_DATA) {
            if (c->left > 0)
                return data_on(c, ret, ret_len) ? NBD_WANT_READ : NBD_WANT_ROOM;
            request_end(c);
        } else if (c->head_len < c->head_want) {
            *ret = c->head + c->head_len;
            *ret_len = c->head_want - c->head_len;
            return NBD_WANT_READ;
        } else {
            head_take(c);
        }
    }
}

void nbd_conn_got(struct nbd_conn *c, size_t n)
{
    if (c->phase == NBD_PHASE_DATA)
        data_got(c, (uint32_t)n);
    else
        c->head_len += n;
}

void nbd_conn_sent(struct nbd_conn *c, size_t n)
{
    c->out_len -= n;
    memmove(c->out, c->out + n, c->out_len);
}
