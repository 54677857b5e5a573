/* SPDX-License-Identifier: Apache-2.0 */
#include "repo_version.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <json-c/json.h>

#include "wire_field.h"

#define FORMAT "ballast repository"

struct document {
    char format[32], id[REPO_NAME_SIZE];
    uint64_t version, chunk_bytes;
};

static const struct wire_field fields[] = {
    WIRE_FIELD(document, TEXT, format),
    WIRE_FIELD(document, U64, version),
    WIRE_FIELD(document, TEXT, id),
    WIRE_FIELD(document, U64, chunk_bytes),
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

void repo_version_print(struct wire_text *t, const struct repo_version *v)
{
    struct document d = {.format = FORMAT, .version = v->version, .chunk_bytes = v->chunk_bytes};

    memcpy(d.id, v->name, sizeof(d.id));
    wire_text_adds(t, "{");
    wire_fields_print(t, fields, FIELD_COUNT, &d);
    wire_text_adds(t, "}\n");
}

static int document_check(const struct document *d, struct err *e)
{
    uint8_t bytes[(REPO_NAME_SIZE - 1) / 2];

    if (strcmp(d->format, FORMAT) != 0 || d->version == WIRE_UNKNOWN || d->version == 0)
        return err_set(e, EBADMSG, "it is not ballast's");
    if (d->version > REPO_VERSION)
        return err_set(e, EPROTONOSUPPORT,
                       "the repository has version %" PRIu64 ", and this ballast knows up to %d: use a newer one",
                       d->version, REPO_VERSION);
    if (d->chunk_bytes < REPO_CHUNK_BYTES_MIN || d->chunk_bytes > REPO_CHUNK_BYTES_MAX ||
        (d->chunk_bytes & (d->chunk_bytes - 1)) != 0)
        return err_set(e, EBADMSG, "it has no proper size of chunks");
    if (strlen(d->id) != REPO_NAME_SIZE - 1 || !repo_hex_parse(d->id, sizeof(bytes), bytes))
        return err_set(e, EBADMSG, "it has no proper id");
    return 0;
}

int repo_version_parse(const char *text, size_t len, struct repo_version *ret, struct err *e)
{
    struct json_object *json;
    struct document d;
    int r;

    if (len > REPO_VERSION_BYTES_MAX)
        return err_set(e, EBADMSG, "it is larger than any of ours");
    r = wire_json_parse(text, len, &json, e);
    if (r < 0)
        return r;
    r = wire_fields_parse(json, fields, FIELD_COUNT, &d, e);
    (void)json_object_put(json);
    if (r == 0)
        r = document_check(&d, e);
    if (r < 0)
        return r;
    *ret = (struct repo_version){.version = (uint32_t)d.version, .chunk_bytes = (uint32_t)d.chunk_bytes};
    memcpy(ret->name, d.id, sizeof(ret->name));
    return 0;
}
