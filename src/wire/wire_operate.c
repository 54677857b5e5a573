/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_operate.h"

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
