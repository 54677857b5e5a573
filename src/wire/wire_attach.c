/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_attach.h"

#include <json-c/json.h>

#include "wire_field.h"

static const struct wire_field fields[] = {
    WIRE_FIELD(wire_attach, TEXT, state), WIRE_FIELD(wire_attach, BOOL, changed), WIRE_FIELD(wire_attach, TEXT, text),
    WIRE_FIELD(wire_attach, TEXT, hint),  WIRE_FIELD(wire_attach, TEXT, path),    WIRE_FIELD(wire_attach, TEXT, options),
};
#define COUNT (sizeof(fields) / sizeof(fields[0]))

void wire_attach_print(struct wire_text *t, const struct wire_attach *a)
{
    wire_text_adds(t, "{");
    wire_fields_print(t, fields, COUNT, a);
    wire_text_adds(t, "}\n");
}

int wire_attach_parse(const char *buf, size_t length, struct wire_attach *ret, struct err *e)
{
    struct json_object *json;
    int r = wire_json_parse(buf, length, &json, e);

    if (r < 0)
        return r;
    r = wire_fields_parse(json, fields, COUNT, ret, e);
    (void)json_object_put(json);
    return r;
}
