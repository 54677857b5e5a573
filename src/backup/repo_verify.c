/* SPDX-License-Identifier: Apache-2.0 */
#include "repo_verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "repo_damage.h"
#include "repo_marks.h"
#include "repo_private.h"
#include "wire_field.h"
#include "wire_text.h"

#define VERIFY_DIRECTORY "state"
#define VERIFY_FILE "state/verify.json"
#define VERIFY_FILE_MAX 4096

static const char *const damage_texts[REPO_DAMAGE_COUNT] = {"whole", "missing", "changed", "unreadable"};

const char *repo_damage_text(enum repo_damage damage)
{
    return damage_texts[damage];
}

struct repo_verification *repo_verification_free(struct repo_verification *v)
{
    if (v) {
        free(v->damaged);
        free(v->victims);
    }
    free(v);
    return NULL;
}

struct check {
    struct repo *repo;
    const struct repo_id *ids;
    atomic_uchar *results; /* enum repo_damage of each */
    atomic_uint_fast64_t bytes;
};

/* Out of the way, so that it is stored again. A file that can't even be renamed stays, and is found next time, too. */
static void put_aside(struct repo *repo, const struct repo_id *id)
{
    char from[REPO_PATH_SIZE], to[REPO_PATH_SIZE];
    struct err ignored = {0};

    (void)repo->fs->ops->rename(repo->fs, repo_chunk_path(id, "", from), repo_chunk_path(id, REPO_ENDING_BAD, to), &ignored);
}

static int chunk_look(struct check *c, struct repo_codec *codec, const struct repo_id *id, enum repo_damage *ret,
                      struct err *e)
{
    struct err why = {0};
    struct repo_id got;
    size_t frame_len = 0, plain_len = 0;
    int r = repo_chunk_read(c->repo, codec, id, &frame_len, &why);

    *ret = REPO_DAMAGE_NONE;
    if (r == -ENOENT) {
        *ret = REPO_DAMAGE_MISSING;
        return 0;
    }
    if (r < 0 && r != -EFBIG) {
        *ret = REPO_DAMAGE_UNREADABLE;
        return r == -ENOMEM ? err_set(e, ENOMEM, "%s", why.text) : 0;
    }
    (void)atomic_fetch_add(&c->bytes, frame_len);
    if (r == 0)
        r = repo_codec_unpack_any(codec, codec->frame, frame_len, codec->plain, &plain_len, &why);
    if (r == -ENOMEM)
        return err_set(e, ENOMEM, "%s", why.text);
    if (r == 0)
        r = repo_codec_hash(codec, codec->plain, plain_len, &got, e);
    if (r == -EIO)
        return r; /* libcrypto's, not the chunk's */
    if (r < 0 || !repo_id_is_equal(&got, id))
        *ret = REPO_DAMAGE_CONTENT;
    return 0;
}

static int chunk_check(void *user, size_t n, struct err *e)
{
    struct check *c = user;
    enum repo_damage damage;
    struct repo_codec *codec;
    int r = repo_codec_take(c->repo, &codec, e);

    if (r < 0)
        return r;
    r = chunk_look(c, codec, &c->ids[n], &damage, e);
    repo_codec_give(c->repo, codec);
    if (r < 0)
        return r;
    if (damage == REPO_DAMAGE_CONTENT || damage == REPO_DAMAGE_UNREADABLE)
        put_aside(c->repo, &c->ids[n]);
    atomic_store(&c->results[n], (unsigned char)damage);
    return 0;
}

static int victim_add(struct repo_verification *v, const struct repo_victim *victim, struct err *e)
{
    struct repo_victim *victims = realloc(v->victims, (v->victim_count + 1) * sizeof(*victims));

    if (!victims)
        return err_set(e, ENOMEM, "no memory for the result");
    v->victims = victims;
    v->victims[v->victim_count++] = *victim;
    return 0;
}

static struct repo_victim victim_of(const struct repo_point_entry *p, const char *disk)
{
    struct repo_victim victim = {0};

    memcpy(victim.identity, p->identity, sizeof(victim.identity));
    memcpy(victim.time, p->time, sizeof(victim.time));
    (void)snprintf(victim.disk, sizeof(victim.disk), "%s", disk);
    return victim;
}

/* Told later, with the victims. */
static void index_failed(void *user, const char *disk, const struct err *e)
{
    (void)user;
    (void)disk;
    (void)e;
}

/* All chunks that can be found by way of points that can be read. */
static int marks_collect(struct repo *repo, struct repo_marks *marks, size_t *ret_points, struct err *e)
{
    AUTO(repo_point_list) struct repo_point_list *list = NULL;
    int r = repo_points_list(repo, NULL, &list, e);

    for (size_t i = 0; r == 0 && i < list->count; i++) {
        AUTO(repo_manifest) struct repo_manifest *m = NULL;
        struct err why = {0};

        r = repo_manifest_load(repo, list->items[i].identity, list->items[i].time, &m, &why);
        if (r == -ENOMEM)
            return err_set(e, ENOMEM, "%s", why.text);
        r = r < 0 ? 0 : repo_marks_add_point(marks, repo, m, index_failed, NULL, e);
    }
    if (r == 0) {
        repo_marks_sort(marks);
        *ret_points = list->count;
    }
    return r;
}

/* Keeps a share of the ids: by a hash of each and the seed, so that another seed takes others. */
static size_t sample_take(struct repo_id *ids, size_t count, unsigned sample, uint64_t seed)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t z;

        memcpy(&z, ids[i].bytes, sizeof(z));
        z = (z ^ seed) * 0x9e3779b97f4a7c15ULL;
        if ((z >> 32) % 10000 < sample)
            ids[kept++] = ids[i];
    }
    return kept;
}

static const struct repo_damaged *damaged_find(const struct repo_verification *v, const struct repo_id *id)
{
    size_t low = 0, high = v->damaged_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int r = repo_id_compare(id, &v->damaged[middle].id);

        if (r == 0)
            return &v->damaged[middle];
        if (r < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static int disk_judge(struct repo *repo, struct repo_verification *v, const struct repo_point_entry *p,
                      const struct repo_disk *d, struct err *e)
{
    AUTO(repo_index) struct repo_index *index = NULL;
    struct repo_victim victim = victim_of(p, d->name);
    int r = repo_index_load(repo, d, &index, &victim.why);

    if (r == -ENOMEM)
        return err_set(e, ENOMEM, "%s", victim.why.text);
    for (size_t i = 0; r == 0 && v->damaged_count > 0 && i < index->count; i++) {
        if (!damaged_find(v, &index->ids[i]))
            continue;
        if (victim.chunk_count++ == 0)
            victim.first_byte = (uint64_t)i * index->chunk_bytes;
    }
    if (r == 0 && victim.chunk_count == 0)
        return 0;
    if (r == 0)
        (void)err_set(&victim.why, EBADMSG, "%zu of its %zu chunks are damaged, the first at byte %" PRIu64,
                      victim.chunk_count, index->count, victim.first_byte);
    return victim_add(v, &victim, e);
}

/* Points are listed anew: one that was pruned meanwhile is nobody's victim. */
static int victims_find(struct repo *repo, struct repo_verification *v, struct err *e)
{
    AUTO(repo_point_list) struct repo_point_list *list = NULL;
    int r = repo_points_list(repo, NULL, &list, e);

    for (size_t i = 0; r == 0 && i < list->count; i++) {
        const struct repo_point_entry *p = &list->items[i];
        AUTO(repo_manifest) struct repo_manifest *m = NULL;
        struct repo_victim victim = victim_of(p, "");

        r = repo_manifest_load(repo, p->identity, p->time, &m, &victim.why);
        if (r == -ENOMEM)
            return err_set(e, ENOMEM, "%s", victim.why.text);
        r = r == -ENOENT ? 0 : r < 0 ? victim_add(v, &victim, e) : 0;
        for (size_t j = 0; m && r == 0 && j < m->disk_count; j++)
            r = disk_judge(repo, v, p, &m->disks[j], e);
    }
    return r;
}

static int damaged_collect(struct repo_verification *v, const struct check *c, size_t count, struct err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += atomic_load(&c->results[i]) != REPO_DAMAGE_NONE;
    v->damaged = calloc(n ? n : 1, sizeof(*v->damaged));
    if (!v->damaged)
        return err_set(e, ENOMEM, "no memory for the result");
    for (size_t i = 0; i < count; i++)
        if (atomic_load(&c->results[i]) != REPO_DAMAGE_NONE)
            v->damaged[v->damaged_count++] = (struct repo_damaged){c->ids[i],
                                                                   (enum repo_damage)atomic_load(&c->results[i])};
    return 0;
}

/* What no point names any more was pruned or swept meanwhile: its chunks are missing rightly. */
static void damaged_forget(struct repo_verification *v)
{
    if (v->victim_count == 0)
        v->damaged_count = 0;
}

int repo_verify(struct repo *repo, unsigned sample, uint64_t seed, repo_progress_fn *progress, void *user,
                struct repo_verification **ret, struct err *e)
{
    AUTO(repo_verification) struct repo_verification *v = calloc(1, sizeof(*v));
    struct repo_marks marks = {0};
    struct check c = {.repo = repo};
    size_t count = 0;
    int r = v ? 0 : err_set(e, ENOMEM, "no memory to verify");

    if (r == 0)
        r = marks_collect(repo, &marks, &v->point_count, e);
    if (r == 0) {
        v->chunk_count = marks.count;
        count = sample >= 10000 ? marks.count : sample_take(marks.ids, marks.count, sample, seed);
        c.ids = marks.ids;
        c.results = calloc(count ? count : 1, sizeof(*c.results));
        r = c.results ? repo_parallel(count, chunk_check, &c, progress, user, e)
                      : err_set(e, ENOMEM, "no memory to verify");
    }
    if (r == 0)
        r = damaged_collect(v, &c, count, e);
    if (r == 0)
        r = victims_find(repo, v, e);
    free(c.results);
    repo_marks_done(&marks);
    if (r < 0)
        return r;
    damaged_forget(v);
    v->checked_count = count;
    v->checked_bytes = atomic_load(&c.bytes);
    *ret = TAKE(v);
    return 0;
}

static const struct wire_field verified_fields[] = {
    WIRE_FIELD(repo_verified, TEXT, time),
    WIRE_FIELD(repo_verified, U64, sample),
    WIRE_FIELD(repo_verified, U64, checked),
    WIRE_FIELD(repo_verified, U64, damaged),
    WIRE_FIELD(repo_verified, U64, victims),
};
#define VERIFIED_FIELD_COUNT (sizeof(verified_fields) / sizeof(verified_fields[0]))

int repo_verification_save(struct repo *repo, const struct repo_verification *v, unsigned sample, struct err *e)
{
    struct repo_verified saved = {.sample = sample, .checked = v->checked_count, .damaged = v->damaged_count,
                                  .victims = v->victim_count};
    struct wire_text t = {0};
    struct err why = {0};
    int r = repo->fs->ops->mkdir(repo->fs, VERIFY_DIRECTORY, &why);

    if (r < 0 && r != -EEXIST)
        return err_set(e, why.code, "%s", why.text);
    repo_time_print(repo->fs->ops->now(repo->fs), saved.time);
    wire_text_adds(&t, "{");
    wire_fields_print(&t, verified_fields, VERIFIED_FIELD_COUNT, &saved);
    wire_text_adds(&t, "}\n");
    r = t.failed ? err_set(e, ENOMEM, "no memory for the result") : repo_file_replace(repo, VERIFY_FILE, t.data, t.length, e);
    wire_text_done(&t);
    return r < 0 ? r : repo_damage_update(repo, v, e);
}

int repo_verified_load(struct repo *repo, struct repo_verified *ret, struct err *e)
{
    AUTO_FREE char *text = NULL;
    struct json_object *json;
    size_t len;
    int r = repo_file_read(repo, VERIFY_FILE, VERIFY_FILE_MAX, &text, &len, e);

    if (r == 0)
        r = wire_json_parse(text, len, &json, e);
    if (r < 0)
        return r;
    r = wire_fields_parse(json, verified_fields, VERIFIED_FIELD_COUNT, ret, e);
    (void)json_object_put(json);
    if (r == 0 && (!repo_time_is_valid(ret->time) || ret->damaged == WIRE_UNKNOWN || ret->victims == WIRE_UNKNOWN))
        r = err_set(e, EBADMSG, "'" VERIFY_FILE "' is none of ours");
    return r;
}
