/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_operate.h"

#include <errno.h>
#include <stdlib.h>

#include <json-c/json.h>

#include "wire_field.h"

static const struct wire_field done_fields[] = {
    WIRE_FIELD(wire_done, BOOL, changed), WIRE_FIELD(wire_done, TEXT, moves),   WIRE_FIELD(wire_done, TEXT, text),
    WIRE_FIELD(wire_done, TEXT, warning), WIRE_FIELD(wire_done, U64, save),
};
static const struct wire_field moves_fields[] = {
    WIRE_FIELD(wire_moves, TEXT, moves),
    WIRE_FIELD(wire_moves, TEXT, moves_text),
    WIRE_FIELD(wire_moves, U64, saved),
    WIRE_FIELD(wire_moves, TEXT, save_trouble),
};
static const struct wire_field release_fields[] = {
    WIRE_FIELD(wire_release, TEXT, moves),
    WIRE_FIELD(wire_release, U64, guest_count),
    WIRE_FIELD(wire_release, U64, done),
};
static const struct wire_field left_fields[] = {
    WIRE_FIELD(wire_release_left, TEXT, guest),
    WIRE_FIELD(wire_release_left, U64, lacks_bytes),
    WIRE_FIELD(wire_release_left, BOOL, final),
    WIRE_FIELD(wire_release_left, TEXT, why),
};
static const struct wire_field reservation_fields[] = {
    WIRE_FIELD(wire_reservation, U64, id),
    WIRE_FIELD(wire_reservation, TEXT, state),
    WIRE_FIELD(wire_reservation, U64, size_bytes),
    WIRE_FIELD(wire_reservation, U64, asked_bytes),
    WIRE_FIELD(wire_reservation, U64, missing_bytes),
    WIRE_FIELD(wire_reservation, TEXT, guest),
    WIRE_FIELD(wire_reservation, TEXT, claimed_by),
    WIRE_FIELD(wire_reservation, U64, left_ms),
    WIRE_FIELD(wire_reservation, TEXT, text),
};
#define COUNT(fields) (sizeof(fields) / sizeof((fields)[0]))

/* One object of fields alone, as a document. */
static int document_parse(const char *buf, size_t length, const struct wire_field *fields, size_t n, void *ret,
                          struct err *e)
{
    struct json_object *json;
    int r = wire_json_parse(buf, length, &json, e);

    if (r < 0)
        return r;
    r = wire_fields_parse(json, fields, n, ret, e);
    (void)json_object_put(json);
    return r;
}

void wire_done_print(struct wire_text *t, const struct wire_done *d)
{
    wire_text_adds(t, "{");
    wire_fields_print(t, done_fields, COUNT(done_fields), d);
    wire_text_adds(t, "}\n");
}

int wire_done_parse(const char *buf, size_t length, struct wire_done *ret, struct err *e)
{
    return document_parse(buf, length, done_fields, COUNT(done_fields), ret, e);
}

void wire_moves_begin(struct wire_text *t, const struct wire_moves *m)
{
    wire_text_adds(t, "{");
    wire_fields_print(t, moves_fields, COUNT(moves_fields), m);
    wire_text_adds(t, ",\"paused\":[");
}

void wire_moves_paused(struct wire_text *t, const char *guest, bool first)
{
    wire_text_adds(t, first ? "" : ",");
    wire_text_string(t, guest);
}

void wire_moves_end(struct wire_text *t)
{
    wire_text_adds(t, "]}\n");
}

int wire_moves_parse(const char *buf, size_t length, struct wire_moves *ret, struct err *e)
{
    return document_parse(buf, length, moves_fields, COUNT(moves_fields), ret, e);
}

void wire_release_begin(struct wire_text *t, const struct wire_release *r)
{
    wire_text_adds(t, "{");
    wire_fields_print(t, release_fields, COUNT(release_fields), r);
    wire_text_adds(t, ",\"left\":[");
}

void wire_release_left(struct wire_text *t, const struct wire_release_left *left, bool first)
{
    wire_text_adds(t, first ? "\n{" : ",\n{");
    wire_fields_print(t, left_fields, COUNT(left_fields), left);
    wire_text_adds(t, "}");
}

void wire_release_end(struct wire_text *t)
{
    wire_text_adds(t, "]}\n");
}

void wire_release_done(struct wire_release *r)
{
    free(r->left);
    r->left = NULL;
    r->left_count = 0;
}

/* The array `name` of a document; its length is at most `most`. */
static int array_get(const struct json_object *json, const char *name, size_t most, struct json_object **ret, struct err *e)
{
    if (!json_object_object_get_ex(json, name, ret) || !json_object_is_type(*ret, json_type_array))
        return err_set(e, EBADMSG, "'%s' should be an array", name);
    if (json_object_array_length(*ret) > most)
        return err_set(e, EBADMSG, "'%s' is longer than any of ballastd's", name);
    return 0;
}

static int left_parse(const struct json_object *json, struct wire_release *ret, struct err *e)
{
    struct json_object *left = NULL;
    int r = array_get(json, "left", WIRE_GUESTS_MAX, &left, e);
    size_t n = r < 0 ? 0 : json_object_array_length(left);

    ret->left = calloc(n + 1, sizeof(*ret->left));
    if (r >= 0 && !ret->left)
        r = err_set(e, ENOMEM, "no memory for the answer");
    for (size_t i = 0; r >= 0 && i < n; i++) {
        r = wire_fields_parse(json_object_array_get_idx(left, i), left_fields, COUNT(left_fields), &ret->left[i], e);
        ret->left_count = i + 1;
    }
    return r;
}

int wire_release_parse(const char *buf, size_t length, struct wire_release *ret, struct err *e)
{
    struct wire_release got = {0};
    struct json_object *json;
    int r = wire_json_parse(buf, length, &json, e);

    if (r < 0)
        return r;
    r = wire_fields_parse(json, release_fields, COUNT(release_fields), &got, e);
    if (r >= 0)
        r = left_parse(json, &got, e);
    (void)json_object_put(json);
    if (r < 0)
        wire_release_done(&got);
    else
        *ret = got;
    return r;
}

void wire_reservation_print(struct wire_text *t, const struct wire_reservation *r)
{
    wire_text_adds(t, "{");
    wire_fields_print(t, reservation_fields, COUNT(reservation_fields), r);
    wire_text_adds(t, "}");
}

int wire_reservation_parse(const char *buf, size_t length, struct wire_reservation *ret, struct err *e)
{
    return document_parse(buf, length, reservation_fields, COUNT(reservation_fields), ret, e);
}

int wire_reservations_parse(const char *buf, size_t length, struct wire_reservation *ret, size_t cap, struct err *e)
{
    struct json_object *json, *list = NULL;
    int r = wire_json_parse(buf, length, &json, e);
    size_t n = 0;

    if (r < 0)
        return r;
    r = array_get(json, "reservations", WIRE_RESERVATIONS_MAX, &list, e);
    for (; r >= 0 && n < cap && n < json_object_array_length(list); n++)
        r = wire_fields_parse(json_object_array_get_idx(list, n), reservation_fields, COUNT(reservation_fields), &ret[n], e);
    (void)json_object_put(json);
    return r < 0 ? r : (int)n;
}
