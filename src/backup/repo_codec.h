/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "own.h"
#include "repo_id.h"

/* A chunk's way to its file and back: SHA-256 and one zstd frame. One codec serves one thread at a time. */

/* Level 1: backups are written far more often than read. 480 MiB of files of /usr in chunks of 1 MiB: level 3 takes 70 % more
 * processor for 11 % less space, level -1 15 % less for 12 % more. SHA-256 is a quarter of level 1's time (SHA-NI). */
#define REPO_CODEC_LEVEL 1

struct repo_codec {
    void *compressor, *decompressor, *digest;
    uint32_t chunk_bytes;
    size_t room;        /* of frame: any chunk fits, incompressible ones too */
    uint8_t *frame;     /* a chunk's file */
    uint8_t *plain;     /* chunk_bytes: its content, where the caller has no room for it */
    struct repo_codec *next; /* the owner's list */
};

int repo_codec_new(uint32_t chunk_bytes, struct repo_codec **ret, struct err *e);
struct repo_codec *repo_codec_free(struct repo_codec *codec);
OWN_DEFINE(repo_codec);

/* Largest file a chunk can have. */
size_t repo_codec_frame_max(uint32_t chunk_bytes);

int repo_codec_hash(struct repo_codec *codec, const void *data, size_t len, struct repo_id *ret, struct err *e);

/* Into codec->frame. */
int repo_codec_pack(struct repo_codec *codec, const void *plain, size_t len, size_t *ret_len, struct err *e);

/* Exactly plain_len bytes must come out; never writes more, whatever the frame claims. frame may be codec->frame, plain
 * may be codec->plain. -EBADMSG with what is wrong. */
int repo_codec_unpack(struct repo_codec *codec, const void *frame, size_t frame_len, void *plain, size_t plain_len,
                      struct err *e);

/* Any length up to chunk_bytes: for looking at a chunk whose place on the disk is not known. */
int repo_codec_unpack_any(struct repo_codec *codec, const void *frame, size_t frame_len, void *plain,
                          size_t *ret_plain_len, struct err *e);
