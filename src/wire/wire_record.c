/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_record.h"

#include <errno.h>
#include <string.h>

#include <json-c/json.h>

#include "wire_field.h"

static const struct wire_field piece_fields[] = {
    WIRE_FIELD(wire_record_piece, U64, recording),
    WIRE_FIELD(wire_record_piece, U64, next),
    WIRE_FIELD(wire_record_piece, BOOL, ended),
};
#define PIECE_FIELDS (sizeof(piece_fields) / sizeof(piece_fields[0]))

void wire_record_piece_print(struct wire_text *t, const struct wire_record_piece *piece)
{
    wire_text_adds(t, "{");
    wire_fields_print(t, piece_fields, PIECE_FIELDS, piece);
    wire_text_adds(t, "}\n");
}

int wire_record_piece_parse(const char *buf, size_t length, struct wire_record_piece *ret, size_t *ret_length,
                            struct err *e)
{
    const char *end = length ? memchr(buf, '\n', length) : NULL;
    struct json_object *json;
    int r;

    if (!end)
        return err_set(e, EBADMSG, "its first line has no end");
    r = wire_json_parse(buf, (size_t)(end - buf), &json, e);
    if (r < 0)
        return r;
    r = wire_fields_parse(json, piece_fields, PIECE_FIELDS, ret, e);
    (void)json_object_put(json);
    if (r >= 0 && (ret->recording == WIRE_UNKNOWN || ret->next == WIRE_UNKNOWN))
        return err_set(e, EBADMSG, "it names no recording");
    *ret_length = (size_t)(end - buf) + 1;
    return r;
}
