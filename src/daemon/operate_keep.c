/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "operate_private.h"
#include "paths.h"
#include "readfile.h"
#include "wire_field.h"

/* What is kept over a restart: whether guests are moved at all, and which are paused. */

#define KEEP_VERSION 1

static const struct wire_field who_fields[] = {
    WIRE_FIELD(operate_who, U64, uid),
    WIRE_FIELD(operate_who, U64, pid),
    WIRE_FIELD(operate_who, U64, time_sec),
    WIRE_FIELD(operate_who, TEXT, program),
};
#define WHO_FIELDS (sizeof(who_fields) / sizeof(who_fields[0]))

struct kept_head {
    uint64_t version;
    char moves[12];
};
static const struct wire_field head_fields[] = {
    WIRE_FIELD(kept_head, U64, version),
    WIRE_FIELD(kept_head, TEXT, moves),
};

/* ---- writing ---- */

static void keep_print(const struct operate *o, struct wire_text *t)
{
    struct kept_head head = {.version = KEEP_VERSION};

    wire_text_copy(head.moves, sizeof(head.moves), operate_moves(o, (char[2]){0}, 2));
    wire_text_adds(t, "{");
    wire_fields_print(t, head_fields, sizeof(head_fields) / sizeof(head_fields[0]), &head);
    wire_text_adds(t, ",");
    wire_fields_print(t, who_fields, WHO_FIELDS, &o->moves_who);
    wire_text_adds(t, ",\"paused\":[");
    for (size_t i = 0; i < o->paused_count; i++) {
        wire_text_adds(t, i > 0 ? ",\n{\"guest\":" : "\n{\"guest\":");
        wire_text_string(t, o->paused[i].guest);
        wire_text_adds(t, ",");
        wire_fields_print(t, who_fields, WHO_FIELDS, &o->paused[i].who);
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "]}\n");
}

void operate_keep_file(struct operate *o, const char *path, struct wire_text *text, struct wire_done *d)
{
    uint64_t sequence = o->env.keeper ? keeper_replace(o->env.keeper, path, 0644, text) : 0;

    d->save = WIRE_UNKNOWN;
    if (sequence) {
        d->save = o->kept = sequence;
        return;
    }
    wire_text_done(text);
    (void)snprintf(d->warning, sizeof(d->warning), "it holds, but is not kept over a restart of ballastd: %.300s",
                   o->env.keeper ? "no memory to write it down" : o->env.unkept);
}

void operate_keep(struct operate *o, struct wire_done *d)
{
    struct wire_text t = {0};
    char path[PATHS_SIZE];
    struct err e = {0};

    if (paths_join(o->env.state_dir, OPERATE_FILE_NAME, path, &e) < 0)
        return; /* the keeper has opened a longer path below it */
    keep_print(o, &t);
    operate_keep_file(o, path, &t, d);
}

/* ---- reading ---- */

/* What is missing counts as 0. */
static int who_parse(const struct json_object *json, struct operate_who *ret, struct err *e)
{
    int r = wire_fields_parse(json, who_fields, WHO_FIELDS, ret, e);

    if (ret->uid == WIRE_UNKNOWN)
        ret->uid = 0;
    if (ret->pid == WIRE_UNKNOWN)
        ret->pid = 0;
    if (ret->time_sec == WIRE_UNKNOWN)
        ret->time_sec = 0;
    return r;
}

static int compare_paused(const void *a, const void *b)
{
    return strcmp(((const struct operate_paused *)a)->guest, ((const struct operate_paused *)b)->guest);
}

static int paused_parse(struct operate *o, const struct json_object *document, struct err *e)
{
    static const struct wire_field guest_field[] = {WIRE_FIELD(operate_paused, TEXT, guest)};
    struct json_object *list = NULL;
    size_t n;

    if (!json_object_object_get_ex(document, "paused", &list) || !json_object_is_type(list, json_type_array))
        return err_set(e, EBADMSG, "it has no list 'paused'");
    n = json_object_array_length(list);
    if (n > OPERATE_GUESTS_MAX)
        return err_set(e, EBADMSG, "it lists more guests than there can be");
    o->paused = calloc(n + 1, sizeof(*o->paused));
    if (!o->paused)
        return err_set(e, ENOMEM, "no memory for it");
    for (size_t i = 0; i < n; i++) {
        const struct json_object *row = json_object_array_get_idx(list, i);
        struct operate_paused *p = &o->paused[o->paused_count];
        int r = wire_fields_parse(row, guest_field, 1, p, e);

        if (r >= 0)
            r = who_parse(row, &p->who, e);
        if (r < 0)
            return r;
        o->paused_count += p->guest[0] != '\0';
    }
    if (o->paused_count)
        qsort(o->paused, o->paused_count, sizeof(*o->paused), compare_paused);
    return 0;
}

static int document_take(struct operate *o, const struct json_object *document, struct err *e)
{
    enum operate_moves_kind moves = OPERATE_MOVES_OFF;
    struct kept_head head;
    int r = wire_fields_parse(document, head_fields, sizeof(head_fields) / sizeof(head_fields[0]), &head, e);

    if (r >= 0 && head.version != KEEP_VERSION)
        r = err_set(e, EBADMSG, "it is of another version");
    if (r >= 0 && !operate_moves_parse(head.moves, &moves))
        r = err_set(e, EBADMSG, "it does not say whether guests are moved");
    if (r >= 0)
        r = who_parse(document, &o->moves_who, e);
    if (r >= 0)
        r = paused_parse(o, document, e);
    if (r >= 0)
        o->moves = moves;
    return r;
}

void operate_restore(struct operate *o)
{
    AUTO_FREE char *buf = malloc(OPERATE_FILE_MAX);
    struct json_object *document = NULL;
    char path[PATHS_SIZE];
    struct err e = {0};
    size_t len = 0;
    int r = buf ? paths_join(o->env.state_dir, OPERATE_FILE_NAME, path, &e) : err_set(&e, ENOMEM, "no memory to read it");

    if (r >= 0)
        r = readfile_into(path, buf, OPERATE_FILE_MAX, &len, &e);
    if (r == -ENOENT || r == -ENOTDIR)
        return; /* nobody asked for anything yet */
    if (r >= 0)
        r = wire_json_parse(buf, len, &document, &e);
    if (r >= 0)
        r = document_take(o, document, &e);
    (void)json_object_put(document);
    if (r >= 0)
        return;
    o->moves = OPERATE_MOVES_OFF;
    (void)snprintf(o->damaged, sizeof(o->damaged), "what operators asked for can't be read ('%.200s': %.200s)", path,
                   e.text);
    log_warning("%s; nothing is moved until 'ballast on'", o->damaged);
}
