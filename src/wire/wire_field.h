/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "wire_text.h"

/* One const table describes a message's members; printing, parsing and the manual all come from it, so that no field
 * can be in one and not in the other. */

struct json_object;

/* A value nobody knows is null in JSON and one of these in a struct: it is never 0. */
#define WIRE_UNKNOWN UINT64_MAX
#define WIRE_UNKNOWN_SIGNED INT64_MIN

enum wire_kind {
    WIRE_KIND_U64,     /* uint64_t, a JSON integer; WIRE_UNKNOWN: null */
    WIRE_KIND_I64,     /* int64_t, a JSON integer; WIRE_UNKNOWN_SIGNED: null */
    WIRE_KIND_BOOL,    /* bool */
    WIRE_KIND_TEXT,    /* char[size], a JSON string; empty: null */
    WIRE_KIND_PERCENT, /* uint64_t in 1/100 %, a JSON number in percent ("66.9"); WIRE_UNKNOWN: null */
    WIRE_KIND_U32,     /* uint32_t or an enum, a JSON integer; never unknown: missing is 0 */
    WIRE_KIND_COUNT
};

struct wire_field {
    const char *name;
    enum wire_kind kind;
    size_t offset, size; /* of the member */
};

/* Member `member` of struct `type`, under its own name. */
#define WIRE_FIELD(type, kind_, member)                                                                                \
    {                                                                                                                  \
        .name = #member, .kind = WIRE_KIND_##kind_, .offset = offsetof(struct type, member),                           \
        .size = sizeof(((struct type *)0)->member)                                                                     \
    }

/* Appends "name":value pairs, separated by commas, without braces: the caller adds members of its own. */
void wire_fields_print(struct wire_text *t, const struct wire_field *fields, size_t n, const void *object);

/* Every field unknown. */
void wire_fields_clear(const struct wire_field *fields, size_t n, void *object);

/* Reads the fields that are there; missing and null ones become unknown, members not in the table are ignored (a newer
 * daemon knows more), texts too long for their room are cut between characters. A value of another type, or a number
 * out of range, is EBADMSG with a sentence naming the field. */
int wire_fields_parse(const struct json_object *json, const struct wire_field *fields, size_t n, void *object,
                      struct err *e);

/* Whole text -> json object, or EBADMSG: not JSON, nested deeper than any of our messages, or something follows.
 * The caller frees it with json_object_put(). */
int wire_json_parse(const char *buf, size_t length, struct json_object **ret, struct err *e);
