/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_field.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <json-c/json.h>

/* Our messages nest four deep; more is somebody else's, or an attack on the parser's stack. */
#define JSON_DEPTH_MAX 16

/* 10^10 %: far beyond any pressure, and far from overflow in 1/100 %. */
#define PERCENT_MAX 1e10

static void percent_print(struct wire_text *t, uint64_t value)
{
    wire_text_u64(t, value / 100);
    if (value % 100 == 0)
        return;
    if (value % 10 == 0)
        wire_text_format(t, ".%" PRIu64, value % 100 / 10);
    else
        wire_text_format(t, ".%02" PRIu64, value % 100);
}

static void value_print(struct wire_text *t, const struct wire_field *f, const void *member)
{
    uint64_t u;
    uint32_t small;
    int64_t i;

    switch (f->kind) {
    case WIRE_KIND_U32:
        memcpy(&small, member, sizeof(small));
        wire_text_u64(t, small);
        return;
    case WIRE_KIND_U64:
    case WIRE_KIND_PERCENT:
        memcpy(&u, member, sizeof(u));
        if (u == WIRE_UNKNOWN)
            wire_text_adds(t, "null");
        else if (f->kind == WIRE_KIND_U64)
            wire_text_u64(t, u);
        else
            percent_print(t, u);
        return;
    case WIRE_KIND_I64:
        memcpy(&i, member, sizeof(i));
        if (i == WIRE_UNKNOWN_SIGNED)
            wire_text_adds(t, "null");
        else
            wire_text_format(t, "%" PRId64, i);
        return;
    case WIRE_KIND_BOOL:
        wire_text_adds(t, *(const bool *)member ? "true" : "false");
        return;
    case WIRE_KIND_TEXT:
        if (*(const char *)member)
            wire_text_string(t, member);
        else
            wire_text_adds(t, "null");
        return;
    case WIRE_KIND_COUNT:
        break;
    }
    wire_text_adds(t, "null");
}

void wire_fields_print(struct wire_text *t, const struct wire_field *fields, size_t n, const void *object)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            wire_text_add(t, ",", 1);
        wire_text_add(t, "\"", 1);
        wire_text_adds(t, fields[i].name);
        wire_text_add(t, "\":", 2);
        value_print(t, &fields[i], (const char *)object + fields[i].offset);
    }
}

void wire_fields_clear(const struct wire_field *fields, size_t n, void *object)
{
    const uint64_t unknown = WIRE_UNKNOWN;
    const int64_t unknown_signed = WIRE_UNKNOWN_SIGNED;

    for (size_t i = 0; i < n; i++) {
        void *member = (char *)object + fields[i].offset;

        if (fields[i].kind == WIRE_KIND_U64 || fields[i].kind == WIRE_KIND_PERCENT)
            memcpy(member, &unknown, sizeof(unknown));
        else if (fields[i].kind == WIRE_KIND_I64)
            memcpy(member, &unknown_signed, sizeof(unknown_signed));
        else
            memset(member, 0, fields[i].size);
    }
}

static int type_error(const struct wire_field *f, const char *wanted, const struct json_object *value, struct err *e)
{
    return err_set(e, EBADMSG, "field '%s' should be %s and is %.40s", f->name, wanted,
                   json_object_to_json_string((struct json_object *)value));
}

static int value_parse(const struct json_object *value, const struct wire_field *f, void *member, struct err *e)
{
    enum json_type type = json_object_get_type(value);
    uint64_t u;
    uint32_t small;
    int64_t i;
    double d;

    switch (f->kind) {
    case WIRE_KIND_U32:
        if (type != json_type_int || json_object_get_int64(value) < 0 || json_object_get_int64(value) > UINT32_MAX)
            return type_error(f, "a whole number below 2^32", value, e);
        small = (uint32_t)json_object_get_int64(value);
        memcpy(member, &small, sizeof(small));
        return 0;
    case WIRE_KIND_U64:
        if (type != json_type_int || json_object_get_int64(value) < 0)
            return type_error(f, "a whole number that is not negative", value, e);
        u = json_object_get_uint64(value);
        memcpy(member, &u, sizeof(u));
        return 0;
    case WIRE_KIND_I64:
        if (type != json_type_int)
            return type_error(f, "a whole number", value, e);
        i = json_object_get_int64(value);
        memcpy(member, &i, sizeof(i));
        return 0;
    case WIRE_KIND_BOOL:
        if (type != json_type_boolean)
            return type_error(f, "true or false", value, e);
        *(bool *)member = json_object_get_boolean(value);
        return 0;
    case WIRE_KIND_TEXT:
        if (type != json_type_string)
            return type_error(f, "a text", value, e);
        wire_text_take(member, f->size, json_object_get_string((struct json_object *)value));
        return 0;
    case WIRE_KIND_PERCENT:
        d = json_object_get_double(value);
        if ((type != json_type_int && type != json_type_double) || !(d >= 0 && d <= PERCENT_MAX))
            return type_error(f, "a share in percent", value, e);
        u = (uint64_t)(d * 100 + 0.5);
        memcpy(member, &u, sizeof(u));
        return 0;
    case WIRE_KIND_COUNT:
        break;
    }
    return 0;
}

int wire_fields_parse(const struct json_object *json, const struct wire_field *fields, size_t n, void *object,
                      struct err *e)
{
    wire_fields_clear(fields, n, object);
    if (!json_object_is_type(json, json_type_object))
        return err_set(e, EBADMSG, "an object was expected");
    for (size_t i = 0; i < n; i++) {
        struct json_object *value;
        int r;

        if (!json_object_object_get_ex(json, fields[i].name, &value) || !value)
            continue;
        r = value_parse(value, &fields[i], (char *)object + fields[i].offset, e);
        if (r < 0)
            return r;
    }
    return 0;
}

int wire_json_parse(const char *buf, size_t length, struct json_object **ret, struct err *e)
{
    struct json_tokener *tokener;
    struct json_object *json;
    enum json_tokener_error status;
    size_t end;

    if (length == 0 || length > INT_MAX)
        return err_set(e, EBADMSG, "a JSON document was expected, and %s came", length ? "gigabytes" : "nothing");
    tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
    if (!tokener)
        return err_set(e, ENOMEM, "no memory to read a JSON document");
    json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
    json = json_tokener_parse_ex(tokener, buf, (int)length);
    status = json_tokener_get_error(tokener);
    end = json_tokener_get_parse_end(tokener);
    json_tokener_free(tokener);
    if (status == json_tokener_success)
        while (end < length && strchr(" \t\r\n", buf[end]) && buf[end])
            end++;
    if (status == json_tokener_success && json && end == length) {
        *ret = json;
        return 0;
    }
    (void)json_object_put(json);
    if (status == json_tokener_continue)
        return err_set(e, EBADMSG, "the JSON document ends too early, after %zu bytes", length);
    if (status != json_tokener_success)
        return err_set(e, EBADMSG, "no JSON at byte %zu: %s", end, json_tokener_error_desc(status));
    return err_set(e, EBADMSG, "a JSON document was expected, and %s", json ? "more follows it" : "null came");
}
