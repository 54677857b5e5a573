/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define M(kind, member) WIRE_FIELD(wire_history_move, kind, member)

static const struct wire_field move_fields[] = {
    M(U64, age_ms), M(U64, lasted_ms), M(U64, orders), M(TEXT, order), M(U64, from_bytes), M(U64, to_bytes),
    M(TEXT, reason),
};

static const struct wire_field guest_fields[] = {WIRE_FIELD(wire_history_guest, TEXT, name)};
static const struct wire_field head_fields[] = {WIRE_FIELD(wire_history, U64, step_ms)};

void wire_history_begin(struct wire_text *t, uint64_t step_ms)
{
    wire_text_format(t, "{\"api\":%d,\"step_ms\":", WIRE_API_VERSION);
    wire_text_u64(t, step_ms);
    wire_text_adds(t, ",\"guests\":[");
}

static void points_print(struct wire_text *t, const char *name, const uint64_t *points, size_t n)
{
    wire_text_format(t, ",\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            wire_text_add(t, ",", 1);
        if (points[i] == WIRE_UNKNOWN)
            wire_text_add(t, "null", 4);
        else
            wire_text_u64(t, points[i]);
    }
    wire_text_adds(t, "]");
}

void wire_history_guest(struct wire_text *t, const struct wire_history_guest *g, bool first)
{
    wire_text_adds(t, first ? "\n{" : ",\n{");
    wire_fields_print(t, guest_fields, COUNT(guest_fields), g);
    points_print(t, "assigned_bytes", g->assigned_bytes, g->point_count);
    points_print(t, "demand_bytes", g->demand_bytes, g->point_count);
    wire_text_adds(t, ",\"moves\":[");
    for (size_t i = 0; i < g->move_count; i++) {
        wire_text_adds(t, i > 0 ? ",{" : "{");
        wire_fields_print(t, move_fields, COUNT(move_fields), &g->moves[i]);
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "]}");
}

void wire_history_end(struct wire_text *t)
{
    wire_text_adds(t, "]}\n");
}

/* An array member; missing and null ones are empty: NULL, and no error. */
static int array_get(const struct json_object *json, const char *name, struct json_object **ret, struct err *e)
{
    struct json_object *value = NULL;

    if (json_object_object_get_ex(json, name, &value) && value && !json_object_is_type(value, json_type_array))
        return err_set(e, EBADMSG, "'%s' should be an array", name);
    *ret = value;
    return 0;
}

/* Counts from the newest, so that both lists end at the same moment. */
static int points_parse(const struct json_object *json, const char *name, uint64_t *points, struct err *e)
{
    struct json_object *array;
    size_t n;
    int r = array_get(json, name, &array, e);

    if (r < 0)
        return r;
    n = array ? json_object_array_length(array) : 0;
    for (size_t i = 0; i < WIRE_HISTORY_POINTS; i++) {
        struct json_object *value = i < n ? json_object_array_get_idx(array, n - 1 - i) : NULL;
        uint64_t *point = &points[WIRE_HISTORY_POINTS - 1 - i];

        *point = WIRE_UNKNOWN;
        if (value && (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0))
            return err_set(e, EBADMSG, "'%s' should hold sizes", name);
        if (value)
            *point = json_object_get_uint64(value);
    }
    return 0;
}

static int moves_parse(const struct json_object *json, struct wire_history_guest *g, struct err *e)
{
    struct json_object *array;
    size_t n;
    int r = array_get(json, "moves", &array, e);

    if (r < 0)
        return r;
    n = array ? json_object_array_length(array) : 0;
    for (size_t i = 0; i < n && i < WIRE_HISTORY_MOVES; i++) {
        if (wire_fields_parse(json_object_array_get_idx(array, i), move_fields, COUNT(move_fields), &g->moves[i], e) < 0)
            return err_wrap(e, "move %zu", i + 1);
        g->move_count++;
    }
    return 0;
}

static int guest_parse(const struct json_object *json, struct wire_history_guest *g, struct err *e)
{
    int r = wire_fields_parse(json, guest_fields, COUNT(guest_fields), g, e);

    if (r == 0 && !g->name[0])
        r = err_set(e, EBADMSG, "it has no name");
    g->point_count = WIRE_HISTORY_POINTS;
    if (r == 0)
        r = points_parse(json, "assigned_bytes", g->assigned_bytes, e);
    if (r == 0)
        r = points_parse(json, "demand_bytes", g->demand_bytes, e);
    return r == 0 ? moves_parse(json, g, e) : r;
}

static int history_parse(const struct json_object *json, struct wire_history *h, struct err *e)
{
    struct json_object *guests;
    size_t n;
    int r = wire_fields_parse(json, head_fields, COUNT(head_fields), h, e);

    if (r == 0)
        r = array_get(json, "guests", &guests, e);
    if (r < 0)
        return r;
    if (!guests)
        return err_set(e, EBADMSG, "'guests' is missing");
    n = json_object_array_length(guests);
    if (n > WIRE_GUESTS_MAX)
        return err_set(e, EBADMSG, "%zu guests are more than the %d that one daemon drives", n, WIRE_GUESTS_MAX);
    h->guests = calloc(n > 0 ? n : 1, sizeof(*h->guests));
    if (!h->guests)
        return err_set(e, ENOMEM, "no memory for %zu guests", n);
    for (size_t i = 0; i < n; i++) {
        if (guest_parse(json_object_array_get_idx(guests, i), &h->guests[i], e) < 0)
            return err_wrap(e, "guest %zu of %zu", i + 1, n);
        h->guest_count++;
    }
    return 0;
}

int wire_history_parse(const char *buf, size_t length, struct wire_history **ret, struct err *e)
{
    AUTO(wire_history) struct wire_history *h = NULL;
    struct json_object *json;
    int r;

    if (length > WIRE_STATUS_SIZE_MAX)
        return err_set(e, EBADMSG, "a history of %zu bytes is longer than any can be", length);
    r = wire_json_parse(buf, length, &json, e);
    if (r < 0)
        return r;
    h = calloc(1, sizeof(*h));
    r = h ? history_parse(json, h, e) : err_set(e, ENOMEM, "no memory for a history");
    (void)json_object_put(json);
    if (r == 0)
        *ret = TAKE(h);
    return r;
}

struct wire_history *wire_history_free(struct wire_history *h)
{
    if (h)
        free(h->guests);
    free(h);
    return NULL;
}

const struct wire_history_guest *wire_history_find(const struct wire_history *h, const char *name)
{
    for (size_t i = 0; h && i < h->guest_count; i++)
        if (strcmp(h->guests[i].name, name) == 0)
            return &h->guests[i];
    return NULL;
}
