/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_operate.h"

#include <json-c/json.h>

#include "wire_field.h"

static const struct wire_field done_fields[] = {
    WIRE_FIELD(wire_done, BOOL, changed), WIRE_FIELD(wire_done, TEXT, moves),   WIRE_FIELD(wire_done, TEXT, text),
    WIRE_FIELD(wire_done, TEXT, warning), WIRE_FIELD(wire_done, U64, save),
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
