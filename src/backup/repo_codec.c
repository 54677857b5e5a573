/* SPDX-License-Identifier: Apache-2.0 */
#include "repo_codec.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <zstd.h>
#include <zstd_errors.h>

size_t repo_codec_frame_max(uint32_t chunk_bytes)
{
    return ZSTD_compressBound(chunk_bytes);
}

struct repo_codec *repo_codec_free(struct repo_codec *codec)
{
    if (!codec)
        return NULL;
    (void)ZSTD_freeCCtx(codec->compressor); /* cannot fail */
    (void)ZSTD_freeDCtx(codec->decompressor);
    EVP_MD_CTX_free(codec->digest);
    free(codec->frame);
    free(codec->plain);
    free(codec);
    return NULL;
}

int repo_codec_new(uint32_t chunk_bytes, struct repo_codec **ret, struct err *e)
{
    AUTO(repo_codec) struct repo_codec *codec = calloc(1, sizeof(*codec));

    if (!codec)
        return err_set(e, ENOMEM, "no memory to read or write chunks");
    codec->chunk_bytes = chunk_bytes;
    codec->room = repo_codec_frame_max(chunk_bytes);
    codec->compressor = ZSTD_createCCtx();
    codec->decompressor = ZSTD_createDCtx();
    codec->digest = EVP_MD_CTX_new();
    codec->frame = malloc(codec->room);
    codec->plain = malloc(chunk_bytes);
    if (!codec->compressor || !codec->decompressor || !codec->digest || !codec->frame || !codec->plain)
        return err_set(e, ENOMEM, "no memory to read or write chunks");
    *ret = TAKE(codec);
    return 0;
}

int repo_codec_hash(struct repo_codec *codec, const void *data, size_t len, struct repo_id *ret, struct err *e)
{
    unsigned size = 0;

    if (EVP_DigestInit_ex2(codec->digest, EVP_sha256(), NULL) != 1 || EVP_DigestUpdate(codec->digest, data, len) != 1 ||
        EVP_DigestFinal_ex(codec->digest, ret->bytes, &size) != 1 || size != REPO_ID_SIZE)
        return err_set(e, EIO, "libcrypto does not compute SHA-256");
    return 0;
}

int repo_codec_pack(struct repo_codec *codec, const void *plain, size_t len, size_t *ret_len, struct err *e)
{
    size_t n = ZSTD_compressCCtx(codec->compressor, codec->frame, codec->room, plain, len, REPO_CODEC_LEVEL);

    if (ZSTD_isError(n))
        return err_set(e, ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation ? ENOMEM : EIO, "zstd: %s",
                       ZSTD_getErrorName(n));
    *ret_len = n;
    return 0;
}

static int unpack(struct repo_codec *codec, const void *frame, size_t frame_len, void *plain, size_t room,
                  size_t *ret_len, struct err *e)
{
    size_t n = ZSTD_decompressDCtx(codec->decompressor, plain, room, frame, frame_len);

    if (!ZSTD_isError(n)) {
        *ret_len = n;
        return 0;
    }
    if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
        return err_set(e, ENOMEM, "no memory to read chunks");
    if (ZSTD_getErrorCode(n) == ZSTD_error_dstSize_tooSmall)
        return err_set(e, EBADMSG, "it holds more than a chunk");
    return err_set(e, EBADMSG, "no zstd frame: %s", ZSTD_getErrorName(n));
}

int repo_codec_unpack_any(struct repo_codec *codec, const void *frame, size_t frame_len, void *plain,
                          size_t *ret_plain_len, struct err *e)
{
    return unpack(codec, frame, frame_len, plain, codec->chunk_bytes, ret_plain_len, e);
}

int repo_codec_unpack(struct repo_codec *codec, const void *frame, size_t frame_len, void *plain, size_t plain_len,
                      struct err *e)
{
    size_t n = 0;
    int r = unpack(codec, frame, frame_len, plain, plain_len, &n, e);

    if (r == 0 && n != plain_len)
        return err_set(e, EBADMSG, "it holds %zu bytes instead of %zu", n, plain_len);
    return r;
}
