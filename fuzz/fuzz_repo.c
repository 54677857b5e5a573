/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "repo_codec.h"
#include "repo_manifest.h"
#include "repo_version.h"

/* What a repository may hold that somebody else wrote: refused with a sentence, or read to something within its limits. The
 * first byte says what the rest is: 'v' repository.json, 'm' a manifest, 's' one whose last line (its SHA-256) is put right
 * first, else a chunk's file. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

static void check_refusal(int r, const struct err *e)
{
    must(r == -e->code && e->text[0] != '\0');
}

static void check_version(const char *text, size_t size)
{
    struct wire_text t = {0};
    struct repo_version v, again;
    struct err e = {0};
    int r = repo_version_parse(text, size, &v, &e);

    if (r < 0) {
        check_refusal(r, &e);
        return;
    }
    must(v.chunk_bytes >= REPO_CHUNK_BYTES_MIN && v.chunk_bytes <= REPO_CHUNK_BYTES_MAX && v.version == REPO_VERSION);
    repo_version_print(&t, &v);
    must(repo_version_parse(t.data, t.length, &again, &e) == 0);
    must(v.version == again.version && v.chunk_bytes == again.chunk_bytes && strcmp(v.name, again.name) == 0);
    wire_text_done(&t);
}

/* What is read prints to a manifest that reads to the same. */
static void check_manifest(const char *text, size_t size)
{
    AUTO(repo_manifest) struct repo_manifest *m = NULL, *again = NULL;
    struct wire_text first = {0}, second = {0};
    struct err e = {0};
    int r = repo_manifest_parse(text, size, &m, &e);

    if (r < 0) {
        check_refusal(r, &e);
        must(!m);
        return;
    }
    must(m->disk_count <= REPO_DISKS_MAX && text_is_name(m->identity, strlen(m->identity)) && repo_time_is_valid(m->time));
    for (size_t i = 0; i < m->disk_count; i++) {
        must(m->disks[i].part_count == repo_index_part_count(m->disks[i].size_bytes, m->chunk_bytes));
        must(m->disks[i].part_count <= REPO_INDEX_PARTS_MAX && text_is_name(m->disks[i].name, strlen(m->disks[i].name)));
    }
    must(repo_manifest_print(&first, m, &e) == 0);
    must(repo_manifest_parse(first.data, first.length, &again, &e) == 0);
    must(repo_manifest_print(&second, again, &e) == 0);
    must(first.length == second.length && memcmp(first.data, second.data, first.length) == 0);
    wire_text_done(&first);
    wire_text_done(&second);
}

static void check_sealed(const char *text, size_t size)
{
    char id[REPO_ID_TEXT_SIZE];
    struct wire_text t = {0};
    struct repo_id hash;

    wire_text_add(&t, text, size);
    wire_text_adds(&t, "\n");
    (void)SHA256((const unsigned char *)t.data, t.length, hash.bytes);
    wire_text_format(&t, ",\"sha256\":\"%s\"}\n", repo_id_text(&hash, id));
    check_manifest(t.data, t.length);
    wire_text_done(&t);
}

static void check_frame(const uint8_t *data, size_t size)
{
    AUTO(repo_codec) struct repo_codec *codec = NULL;
    struct err e = {0};
    size_t len = 0;
    int r;

    must(repo_codec_new(REPO_CHUNK_BYTES_MIN, &codec, &e) == 0);
    r = repo_codec_unpack_any(codec, data, size, codec->plain, &len, &e);
    if (r < 0)
        check_refusal(r, &e);
    else
        must(len <= REPO_CHUNK_BYTES_MIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0]) {
    case 'v':
        check_version((const char *)data + 1, size - 1);
        break;
    case 'm':
        check_manifest((const char *)data + 1, size - 1);
        break;
    case 's':
        check_sealed((const char *)data + 1, size - 1);
        break;
    default:
        check_frame(data + 1, size - 1);
        break;
    }
    return 0;
}
