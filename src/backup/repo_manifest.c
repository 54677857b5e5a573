/* SPDX-License-Identifier: Apache-2.0 */
#include "repo_manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>
#include <openssl/sha.h>

#include "repo_private.h"
#include "wire_field.h"

#define TAIL_BEFORE ",\"sha256\":\""
#define TAIL_AFTER "\"}\n"
#define TAIL_SIZE (sizeof(TAIL_BEFORE) - 1 + REPO_ID_TEXT_SIZE - 1 + sizeof(TAIL_AFTER) - 1)

struct head {
    uint64_t format, chunk_bytes;
    char ballast[32], identity[TEXT_NAME_MAX + 1], guest[TEXT_NAME_MAX + 1], time[REPO_TIME_SIZE];
};

static const struct wire_field head_fields[] = {
    WIRE_FIELD(head, U64, format),  WIRE_FIELD(head, TEXT, ballast), WIRE_FIELD(head, TEXT, identity),
    WIRE_FIELD(head, TEXT, guest),  WIRE_FIELD(head, TEXT, time),    WIRE_FIELD(head, U64, chunk_bytes),
};
#define HEAD_FIELD_COUNT (sizeof(head_fields) / sizeof(head_fields[0]))

struct disk_head {
    char name[TEXT_NAME_MAX + 1], kind[16], parent[REPO_TIME_SIZE];
    uint64_t size_bytes, read_bytes, stored_bytes;
};

static const struct wire_field disk_fields[] = {
    WIRE_FIELD(disk_head, TEXT, name),       WIRE_FIELD(disk_head, TEXT, kind),
    WIRE_FIELD(disk_head, TEXT, parent),     WIRE_FIELD(disk_head, U64, size_bytes),
    WIRE_FIELD(disk_head, U64, read_bytes),  WIRE_FIELD(disk_head, U64, stored_bytes),
};
#define DISK_FIELD_COUNT (sizeof(disk_fields) / sizeof(disk_fields[0]))

static const char *const kind_texts[REPO_KIND_COUNT] = {"full", "incremental"};

const char *repo_kind_text(enum repo_kind kind)
{
    return kind_texts[kind];
}

uint64_t repo_index_part_count(uint64_t size_bytes, uint32_t chunk_bytes)
{
    uint64_t chunks = size_bytes / chunk_bytes + (size_bytes % chunk_bytes != 0);
    uint64_t per_part = chunk_bytes / REPO_ID_SIZE;

    return chunks / per_part + (chunks % per_part != 0);
}

struct repo_manifest *repo_manifest_free(struct repo_manifest *m)
{
    if (!m)
        return NULL;
    for (size_t i = 0; i < m->disk_count; i++)
        free(m->disks[i].parts);
    free(m->facts);
    free(m);
    return NULL;
}

const struct repo_disk *repo_manifest_disk(const struct repo_manifest *m, const char *name)
{
    for (size_t i = 0; i < m->disk_count; i++)
        if (strcmp(m->disks[i].name, name) == 0)
            return &m->disks[i];
    return NULL;
}

static void disk_print(struct wire_text *t, const struct repo_disk *d)
{
    struct disk_head head = {.size_bytes = d->size_bytes, .read_bytes = d->read_bytes, .stored_bytes = d->stored_bytes};
    char id[REPO_ID_TEXT_SIZE];

    wire_text_copy(head.name, sizeof(head.name), d->name);
    wire_text_copy(head.kind, sizeof(head.kind), repo_kind_text(d->kind));
    wire_text_copy(head.parent, sizeof(head.parent), d->parent);
    wire_text_adds(t, "{");
    wire_fields_print(t, disk_fields, DISK_FIELD_COUNT, &head);
    wire_text_adds(t, ",\"index\":[\n");
    for (size_t i = 0; i < d->part_count; i++)
        wire_text_format(t, "\"%s\"%s\n", repo_id_text(&d->parts[i], id), i + 1 < d->part_count ? "," : "");
    wire_text_adds(t, "]}");
}

int repo_manifest_print(struct wire_text *t, const struct repo_manifest *m, struct err *e)
{
    struct head head = {.format = REPO_VERSION, .chunk_bytes = m->chunk_bytes};
    char id_text[REPO_ID_TEXT_SIZE];
    struct repo_id id;

    wire_text_copy(head.ballast, sizeof(head.ballast), m->ballast);
    wire_text_copy(head.identity, sizeof(head.identity), m->identity);
    wire_text_copy(head.guest, sizeof(head.guest), m->guest);
    wire_text_copy(head.time, sizeof(head.time), m->time);
    wire_text_adds(t, "{");
    wire_fields_print(t, head_fields, HEAD_FIELD_COUNT, &head);
    wire_text_adds(t, ",\"disks\":[\n");
    for (size_t i = 0; i < m->disk_count; i++) {
        disk_print(t, &m->disks[i]);
        wire_text_adds(t, i + 1 < m->disk_count ? ",\n" : "\n");
    }
    wire_text_adds(t, "],\"facts\":");
    wire_text_adds(t, m->facts ? m->facts : "{}");
    wire_text_adds(t, "\n");
    if (!t->failed)
        (void)SHA256((const unsigned char *)t->data, t->length, id.bytes); /* one-shot: cannot fail */
    wire_text_adds(t, TAIL_BEFORE);
    wire_text_adds(t, repo_id_text(&id, id_text));
    wire_text_adds(t, TAIL_AFTER);
    return t->failed ? err_set(e, ENOMEM, "no memory for a manifest") : 0;
}

/* The last line proves the lines before it. */
static int tail_check(const char *text, size_t len, struct err *e)
{
    struct repo_id wanted, got;
    const char *tail = text + (len < TAIL_SIZE ? 0 : len - TAIL_SIZE);

    if (len < TAIL_SIZE || memcmp(tail, TAIL_BEFORE, sizeof(TAIL_BEFORE) - 1) != 0 ||
        memcmp(text + len - (sizeof(TAIL_AFTER) - 1), TAIL_AFTER, sizeof(TAIL_AFTER) - 1) != 0 ||
        !repo_id_parse(tail + sizeof(TAIL_BEFORE) - 1, REPO_ID_TEXT_SIZE - 1, &wanted))
        return err_set(e, EBADMSG, "it does not end in its own SHA-256");
    (void)SHA256((const unsigned char *)text, len - TAIL_SIZE, got.bytes); /* one-shot: cannot fail */
    if (!repo_id_is_equal(&got, &wanted))
        return err_set(e, EBADMSG, "its SHA-256 is another one: it was changed or damaged");
    return 0;
}

static int kind_parse(const char *text, enum repo_kind *ret)
{
    for (unsigned i = 0; i < REPO_KIND_COUNT; i++)
        if (strcmp(text, kind_texts[i]) == 0) {
            *ret = (enum repo_kind)i;
            return 0;
        }
    return -EINVAL;
}

static int parts_parse(struct json_object *json, uint32_t chunk_bytes, struct repo_disk *d, struct err *e)
{
    struct json_object *index, *part;
    uint64_t count = repo_index_part_count(d->size_bytes, chunk_bytes);

    if (!json_object_object_get_ex(json, "index", &index) || !json_object_is_type(index, json_type_array) ||
        count > REPO_INDEX_PARTS_MAX || json_object_array_length(index) != count)
        return err_set(e, EBADMSG, "the index of disk '%s' does not fit its size", d->name);
    d->parts = calloc(count ? count : 1, sizeof(*d->parts));
    if (!d->parts)
        return err_set(e, ENOMEM, "no memory for a manifest");
    for (size_t i = 0; i < count; i++) {
        part = json_object_array_get_idx(index, i);
        if (!json_object_is_type(part, json_type_string) ||
            !repo_id_parse(json_object_get_string(part), (size_t)json_object_get_string_len(part), &d->parts[i]))
            return err_set(e, EBADMSG, "the index of disk '%s' holds what is no id", d->name);
    }
    d->part_count = count;
    return 0;
}

static int disk_parse(struct json_object *json, struct repo_manifest *m, struct err *e)
{
    struct repo_disk *d = &m->disks[m->disk_count];
    struct disk_head head;
    int r = wire_fields_parse(json, disk_fields, DISK_FIELD_COUNT, &head, e);

    if (r < 0)
        return r;
    if (!text_is_name(head.name, strlen(head.name)) || repo_manifest_disk(m, head.name))
        return err_set(e, EBADMSG, "disk '%s' has no proper name of its own", text_show(head.name, strlen(head.name)).s);
    if (head.size_bytes == WIRE_UNKNOWN || kind_parse(head.kind, &d->kind) < 0 ||
        (head.parent[0] && !repo_time_is_valid(head.parent)))
        return err_set(e, EBADMSG, "disk '%s' lacks its size, kind or parent", head.name);
    memcpy(d->name, head.name, sizeof(d->name));
    memcpy(d->parent, head.parent, sizeof(d->parent));
    d->size_bytes = head.size_bytes;
    d->read_bytes = head.read_bytes == WIRE_UNKNOWN ? 0 : head.read_bytes;
    d->stored_bytes = head.stored_bytes == WIRE_UNKNOWN ? 0 : head.stored_bytes;
    m->disk_count++; /* from here on its parts are freed with the manifest */
    return parts_parse(json, m->chunk_bytes, d, e);
}

static int head_parse(struct json_object *json, struct repo_manifest *m, struct err *e)
{
    struct head head;
    int r = wire_fields_parse(json, head_fields, HEAD_FIELD_COUNT, &head, e);

    if (r < 0)
        return r;
    if (head.format != WIRE_UNKNOWN && head.format > REPO_VERSION)
        return err_set(e, EPROTONOSUPPORT, "its format %" PRIu64 " is newer than this ballast knows", head.format);
    if (head.format != REPO_VERSION || !text_is_name(head.identity, strlen(head.identity)) ||
        !text_is_name(head.guest, strlen(head.guest)) || !repo_time_is_valid(head.time))
        return err_set(e, EBADMSG, "it lacks its format, guest or time");
    if (head.chunk_bytes < REPO_CHUNK_BYTES_MIN || head.chunk_bytes > REPO_CHUNK_BYTES_MAX ||
        (head.chunk_bytes & (head.chunk_bytes - 1)) != 0)
        return err_set(e, EBADMSG, "it has no proper size of chunks");
    memcpy(m->ballast, head.ballast, sizeof(m->ballast));
    memcpy(m->identity, head.identity, sizeof(m->identity));
    memcpy(m->guest, head.guest, sizeof(m->guest));
    memcpy(m->time, head.time, sizeof(m->time));
    m->chunk_bytes = (uint32_t)head.chunk_bytes;
    return 0;
}

static int body_parse(struct json_object *json, struct repo_manifest *m, struct err *e)
{
    struct json_object *disks, *facts;
    int r = head_parse(json, m, e);

    if (r < 0)
        return r;
    if (!json_object_object_get_ex(json, "disks", &disks) || !json_object_is_type(disks, json_type_array) ||
        json_object_array_length(disks) > REPO_DISKS_MAX)
        return err_set(e, EBADMSG, "it has no list of disks, or one too long");
    for (size_t i = 0; i < json_object_array_length(disks) && r == 0; i++)
        r = disk_parse(json_object_array_get_idx(disks, i), m, e);
    if (r < 0)
        return r;
    if (!json_object_object_get_ex(json, "facts", &facts) || !json_object_is_type(facts, json_type_object))
        return err_set(e, EBADMSG, "it has no facts");
    return repo_facts_normalise(json_object_to_json_string_ext(facts, JSON_C_TO_STRING_PLAIN), &m->facts, e);
}

int repo_manifest_parse(const char *text, size_t len, struct repo_manifest **ret, struct err *e)
{
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    struct json_object *json;
    int r = tail_check(text, len, e);

    if (r < 0)
        return r;
    m = calloc(1, sizeof(*m));
    if (!m)
        return err_set(e, ENOMEM, "no memory for a manifest");
    r = wire_json_parse(text, len, &json, e);
    if (r < 0)
        return r;
    r = body_parse(json, m, e);
    (void)json_object_put(json);
    if (r < 0)
        return r;
    *ret = TAKE(m);
    return 0;
}

int repo_facts_normalise(const char *facts, char **ret, struct err *e)
{
    struct json_object *json;
    int r;

    if (!facts)
        facts = "{}";
    r = wire_json_parse(facts, strlen(facts), &json, e);
    if (r < 0)
        return err_wrap(e, "the facts of a point");
    if (!json_object_is_type(json, json_type_object)) {
        r = err_set(e, EINVAL, "the facts of a point are no JSON object");
    } else {
        const char *line = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

        if (!line)
            r = err_set(e, ENOMEM, "no memory for the facts of a point");
        else if (strlen(line) > REPO_FACTS_BYTES_MAX)
            r = err_set(e, EINVAL, "the facts of a point are larger than %u bytes", REPO_FACTS_BYTES_MAX);
        else if (!(*ret = strdup(line)))
            r = err_set(e, ENOMEM, "no memory for the facts of a point");
    }
    (void)json_object_put(json);
    return r;
}

void repo_manifest_fact(const struct repo_manifest *m, const char *name, char *ret, size_t size)
{
    struct json_object *json, *fact;
    struct err ignored = {0};

    ret[0] = '\0';
    if (!m->facts || wire_json_parse(m->facts, strlen(m->facts), &json, &ignored) < 0)
        return;
    if (json_object_object_get_ex(json, name, &fact) && fact)
        wire_text_copy(ret, size, json_object_get_string(fact));
    (void)json_object_put(json);
}

int repo_manifest_load(struct repo *repo, const char *identity, const char *time, struct repo_manifest **ret,
                       struct err *e)
{
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    AUTO_FREE char *text = NULL;
    char path[REPO_PATH_SIZE];
    size_t len;
    int r;

    if (!text_is_name(identity, strlen(identity)) || !repo_time_is_valid(time))
        return err_set(e, EINVAL, "'%s/%s' is no name of a point", text_show(identity, strlen(identity)).s,
                       text_show(time, strlen(time)).s);
    r = repo_file_read(repo, repo_point_path(identity, time, REPO_MANIFEST, path), REPO_MANIFEST_BYTES_MAX, &text, &len,
                       e);
    if (r == -ENOENT)
        return err_set(e, ENOENT, "there is no point '%s/%s'", identity, time);
    if (r == 0)
        r = repo_manifest_parse(text, len, &m, e);
    if (r == 0 && (strcmp(m->identity, identity) != 0 || strcmp(m->time, time) != 0))
        r = err_set(e, EBADMSG, "it is the manifest of another one, '%s/%s'", m->identity, m->time);
    if (r == 0 && m->chunk_bytes != repo->chunk_bytes)
        r = err_set(e, EBADMSG, "its chunks are not of this repository's size");
    if (r < 0)
        return err_wrap(e, "the manifest of point '%s/%s' cannot be read", identity, time);
    *ret = TAKE(m);
    return 0;
}
