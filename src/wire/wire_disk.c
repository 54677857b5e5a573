/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_disk.h"

#include <json-c/json.h>

#include "wire_field.h"

static const struct wire_field fields[] = {
    WIRE_FIELD(wire_disk, TEXT, state), WIRE_FIELD(wire_disk, TEXT, text),   WIRE_FIELD(wire_disk, TEXT, hint),
    WIRE_FIELD(wire_disk, TEXT, id),    WIRE_FIELD(wire_disk, TEXT, serial), WIRE_FIELD(wire_disk, U64, uid),
};
#define COUNT (sizeof(fields) / sizeof(fields[0]))

void wire_disk_print(struct wire_text *t, const struct wire_disk *d)
{
    wire_text_adds(t, "{");
    wire_fields_print(t, fields, COUNT, d);
    wire_text_adds(t, "}\n");
}

int wire_disk_parse(const char *buf, size_t length, struct wire_disk *ret, struct err *e)
{
    struct json_object *json;
    int r = wire_json_parse(buf, length, &json, e);

    if (r < 0)
        return r;
    r = wire_fields_parse(json, fields, COUNT, ret, e);
    (void)json_object_put(json);
    return r;
}
