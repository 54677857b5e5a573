/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_error.h"

#include <errno.h>

#include <json-c/json.h>

#include "wire_field.h"

static const struct wire_field error_fields[] = {
    WIRE_FIELD(wire_error, TEXT, error),
    WIRE_FIELD(wire_error, TEXT, hint),
};
#define ERROR_FIELD_COUNT (sizeof(error_fields) / sizeof(error_fields[0]))

void wire_error_print(struct wire_text *t, const struct wire_error *error)
{
    wire_text_adds(t, "{");
    wire_fields_print(t, error_fields, ERROR_FIELD_COUNT, error);
    wire_text_adds(t, "}\n");
}

int wire_error_parse(const char *buf, size_t length, struct wire_error *ret, struct err *e)
{
    struct json_object *json;
    struct wire_error got;
    int r;

    r = wire_json_parse(buf, length, &json, e);
    if (r < 0)
        return r;
    r = wire_fields_parse(json, error_fields, ERROR_FIELD_COUNT, &got, e);
    (void)json_object_put(json);
    if (r < 0)
        return r;
    if (!got.error[0])
        return err_set(e, EBADMSG, "an error without a sentence");
    *ret = got;
    return 0;
}
