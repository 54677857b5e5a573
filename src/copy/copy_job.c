/* SPDX-License-Identifier: Apache-2.0 */
#include "copy_job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "wire_field.h"

/* A disk as it stands in the line; what is missing is unknown there, which is not what we call it. */
struct disk_line {
    char name[TEXT_NAME_MAX + 2];    /* one more than allowed, so that longer ones are seen */
    char socket[PATHS_SOCKET_SIZE + 1];
    char kind[16];
    char parent[COPY_TEXT_SIZE + 1];
    char raw[PATHS_SIZE + 1];
    uint64_t size_bytes, dirty_bytes;
};

static const struct wire_field disk_fields[] = {
    WIRE_FIELD(disk_line, TEXT, name),       WIRE_FIELD(disk_line, TEXT, socket), WIRE_FIELD(disk_line, TEXT, kind),
    WIRE_FIELD(disk_line, TEXT, parent),     WIRE_FIELD(disk_line, TEXT, raw),    WIRE_FIELD(disk_line, U64, size_bytes),
    WIRE_FIELD(disk_line, U64, dirty_bytes),
};

struct job_line {
    char repository[PATHS_SIZE + 1];
    char guest[COPY_TEXT_SIZE + 1];
    char name[COPY_TEXT_SIZE + 1];
    char time[COPY_TEXT_SIZE + 1];
    uint64_t bandwidth_bytes_per_second, stall_ms;
};

static const struct wire_field job_fields[] = {
    WIRE_FIELD(job_line, TEXT, repository), WIRE_FIELD(job_line, TEXT, guest),
    WIRE_FIELD(job_line, TEXT, name),       WIRE_FIELD(job_line, TEXT, time),
    WIRE_FIELD(job_line, U64, bandwidth_bytes_per_second), WIRE_FIELD(job_line, U64, stall_ms),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

void copy_order_done(struct copy_order *o)
{
    free(o->job);
    (void)json_object_put(o->manifest); /* tells whether it was the last reference */
    *o = (struct copy_order){0};
}

/* Copies a text that must fit; a cut path or name would be another one. */
static int text_take(char *to, size_t size, const char *from, const char *what, struct err *e)
{
    size_t len = strlen(from);

    if (len >= size)
        return err_set(e, EBADMSG, "%s '%s' is too long: %zu bytes are the most", what, text_show(from, len).s, size - 1);
    memcpy(to, from, len + 1);
    return 0;
}

static int disk_take_kind(const struct disk_line *l, struct copy_disk *d, struct err *e)
{
    if (strcmp(l->kind, "full") == 0)
        d->kind = COPY_KIND_FULL;
    else if (strcmp(l->kind, "incremental") == 0)
        d->kind = COPY_KIND_INCREMENTAL;
    else
        return err_set(e, EBADMSG, "disk '%s' is of kind '%s'; known are full and incremental", d->name, l->kind);
    if (d->kind == COPY_KIND_FULL)
        return 0;
    if (d->raw[0])
        return err_set(e, EBADMSG, "disk '%s' goes into a raw file and is incremental; only a full can", d->name);
    if (!d->parent[0])
        return err_set(e, EBADMSG, "disk '%s' is incremental and has no parent", d->name);
    if (l->dirty_bytes == WIRE_UNKNOWN)
        return err_set(e, EBADMSG, "disk '%s' is incremental and lacks dirty_bytes", d->name);
    d->dirty_bytes = l->dirty_bytes;
    return 0;
}

static int disk_take(const struct json_object *json, struct copy_disk *d, struct err *e)
{
    struct disk_line l;
    int r = wire_fields_parse(json, disk_fields, COUNT(disk_fields), &l, e);

    if (r < 0)
        return r;
    if (!text_is_name(l.name, strlen(l.name)))
        return err_set(e, EBADMSG, "'%s' is no name for a disk", text_show(l.name, strlen(l.name)).s);
    memcpy(d->name, l.name, strlen(l.name) + 1);
    if (l.size_bytes == 0 || l.size_bytes > COPY_DISK_BYTES_MAX || l.size_bytes % COPY_SECTOR_BYTES)
        return err_set(e, EBADMSG, "disk '%s' has an impossible size; %d to %llu bytes, in sectors of %d, are possible",
                       d->name, COPY_SECTOR_BYTES, COPY_DISK_BYTES_MAX, COPY_SECTOR_BYTES);
    d->size_bytes = l.size_bytes;
    if (l.socket[0] != '/')
        return err_set(e, EBADMSG, "disk '%s' has no socket with an absolute path", d->name);
    r = text_take(d->socket, sizeof(d->socket), l.socket, "the socket", e);
    if (r == 0)
        r = text_take(d->parent, sizeof(d->parent), l.parent, "the parent", e);
    if (r == 0)
        r = text_take(d->raw, sizeof(d->raw), l.raw, "the raw file", e);
    return r < 0 ? r : disk_take_kind(&l, d, e);
}

static int disks_take(const struct json_object *json, struct copy_job *job, struct err *e)
{
    struct json_object *list;
    size_t n;

    if (!json_object_object_get_ex(json, "disks", &list) || !json_object_is_type(list, json_type_array))
        return err_set(e, EBADMSG, "the job has no list of disks");
    n = json_object_array_length(list);
    if (n == 0 || n > COPY_DISKS_MAX)
        return err_set(e, EBADMSG, "the job has %zu disks; 1 to %d are possible", n, COPY_DISKS_MAX);
    for (size_t i = 0; i < n; i++) {
        struct copy_disk *d = &job->disks[i];
        int r = disk_take(json_object_array_get_idx(list, i), d, e);

        if (r < 0)
            return r;
        for (size_t j = 0; j < i; j++)
            if (strcmp(job->disks[j].name, d->name) == 0 || strcmp(job->disks[j].socket, d->socket) == 0)
                return err_set(e, EBADMSG, "disk '%s' and disk '%s' share a name or a socket", job->disks[j].name, d->name);
        if (!d->raw[0] && !job->repository[0])
            return err_set(e, EBADMSG, "the job has no repository for disk '%s'", d->name);
        if (d->raw[0] && job->repository[0])
            return err_set(e, EBADMSG, "disk '%s' goes into a raw file, the job into a repository; it is one or the other",
                           d->name);
        job->disks_n++;
    }
    return 0;
}

static int job_take(const struct json_object *json, struct copy_job *job, struct err *e)
{
    struct job_line l;
    int r = wire_fields_parse(json, job_fields, COUNT(job_fields), &l, e);

    if (r < 0)
        return r;
    if (l.repository[0] && l.repository[0] != '/')
        return err_set(e, EBADMSG, "the repository '%s' is no absolute path", text_show(l.repository, strlen(l.repository)).s);
    r = text_take(job->repository, sizeof(job->repository), l.repository, "the repository", e);
    if (r == 0)
        r = text_take(job->guest, sizeof(job->guest), l.guest, "the guest", e);
    if (r == 0)
        r = text_take(job->name, sizeof(job->name), l.name, "the guest's name", e);
    if (r == 0)
        r = text_take(job->time, sizeof(job->time), l.time, "the time", e);
    if (r < 0)
        return r;
    if (job->repository[0] && (!text_is_name(job->guest, strlen(job->guest)) ||
                               (job->time[0] && !text_is_name(job->time, strlen(job->time)))))
        return err_set(e, EBADMSG, "guest '%s' and time '%s' make no point: each must be a name without blanks and slashes",
                       text_show(job->guest, strlen(job->guest)).s, text_show(job->time, strlen(job->time)).s);
    job->bandwidth_bytes_per_second = l.bandwidth_bytes_per_second == WIRE_UNKNOWN ? 0 : l.bandwidth_bytes_per_second;
    job->stall_msec = l.stall_ms == WIRE_UNKNOWN ? COPY_STALL_MSEC : l.stall_ms;
    if (job->stall_msec < COPY_STALL_MSEC_MIN || job->stall_msec > COPY_STALL_MSEC_MAX)
        return err_set(e, EBADMSG, "stall_ms is %" PRIu64 "; %llu to %llu are possible", job->stall_msec,
                       COPY_STALL_MSEC_MIN, COPY_STALL_MSEC_MAX);
    return disks_take(json, job, e);
}

static int order_take_job(const struct json_object *json, struct copy_order *o, struct err *e)
{
    int r;

    o->job = calloc(1, sizeof(*o->job));
    if (!o->job)
        return err_set(e, ENOMEM, "no memory for a job");
    o->verb = COPY_VERB_JOB;
    r = job_take(json, o->job, e);
    return r < 0 ? err_wrap(e, "cannot take the job") : 0;
}

static int order_take_finish(const struct json_object *json, struct copy_order *o, struct err *e)
{
    struct json_object *manifest;

    o->verb = COPY_VERB_FINISH;
    if (!json_object_is_type(json, json_type_object) || !json_object_object_get_ex(json, "manifest", &manifest) ||
        !json_object_is_type(manifest, json_type_object))
        return err_set(e, EBADMSG, "cannot finish: no object 'manifest' came with it");
    o->manifest = json_object_get(manifest);
    return 0;
}

int copy_order_parse(const char *line, size_t len, struct copy_order *ret, struct err *e)
{
    struct copy_order o = {0};
    struct json_object *json, *member;
    int r = wire_json_parse(line, len, &json, e);

    if (r < 0)
        return err_wrap(e, "cannot read a line on stdin");
    if (json_object_object_get_ex(json, "job", &member))
        r = order_take_job(member, &o, e);
    else if (json_object_object_get_ex(json, "finish", &member))
        r = order_take_finish(member, &o, e);
    else if (json_object_object_get_ex(json, "cancel", &member))
        o.verb = COPY_VERB_CANCEL;
    else
        r = err_set(e, EBADMSG, "cannot read a line on stdin: it is none of job, finish, cancel");
    (void)json_object_put(json); /* what is kept has its own reference */
    if (r < 0) {
        copy_order_done(&o);
        return r;
    }
    *ret = o;
    return 0;
}

void copy_print_ready(struct wire_text *t, uint64_t chunk_bytes)
{
    wire_text_format(t, "{\"ready\":true,\"chunk_bytes\":%" PRIu64 "}\n", chunk_bytes);
}

void copy_print_progress(struct wire_text *t, const struct copy_progress *p)
{
    wire_text_adds(t, "{\"progress\":{\"disk\":");
    wire_text_string(t, p->disk);
    wire_text_format(t, ",\"size_bytes\":%" PRIu64 ",\"received_bytes\":%" PRIu64 ",\"data_bytes\":%" PRIu64
                     ",\"stored_bytes\":%" PRIu64 ",\"new_chunks\":%" PRIu64 ",\"connected\":%s}}\n",
                     p->size_bytes, p->received_bytes, p->data_bytes, p->stored_bytes, p->new_chunks,
                     p->connected ? "true" : "false");
}

void copy_print_committed(struct wire_text *t, const char *point)
{
    wire_text_adds(t, "{\"committed\":");
    wire_text_string(t, point);
    wire_text_adds(t, "}\n");
}

void copy_print_failed(struct wire_text *t, const char *text, const char *hint)
{
    wire_text_adds(t, "{\"failed\":");
    wire_text_string(t, text);
    wire_text_adds(t, ",\"hint\":");
    if (hint[0])
        wire_text_string(t, hint);
    else
        wire_text_adds(t, "null");
    wire_text_adds(t, "}\n");
}
