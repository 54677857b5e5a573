/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_notify.h"

#include <errno.h>

#include <json-c/json.h>

#include "wire_field.h"

#define N(kind, member) WIRE_FIELD(wire_notify, kind, member)
#define R(kind, member) WIRE_FIELD(wire_notify_run, kind, member)
#define COUNT(fields) (sizeof(fields) / sizeof((fields)[0]))

static const struct wire_field fields[] = {
    N(TEXT, command), N(U64, timeout_ms), N(U64, sent), N(U64, failed), N(U64, dropped), N(U64, waiting), N(U64, running),
};

static const struct wire_field run_fields[] = {
    R(U64, id), R(TEXT, event), R(TEXT, guest), R(U64, time_sec), R(TEXT, result), R(TEXT, output),
};

static void run_print(struct wire_text *t, const char *name, const struct wire_notify_run *run)
{
    wire_text_format(t, ",\"%s\":", name);
    if (!run->id) {
        wire_text_adds(t, "null");
        return;
    }
    wire_text_adds(t, "{");
    wire_fields_print(t, run_fields, COUNT(run_fields), run);
    wire_text_adds(t, "}");
}

void wire_notify_print(struct wire_text *t, const struct wire_notify *n)
{
    wire_text_format(t, "{\"api\":%d,", WIRE_NOTIFY_API_VERSION);
    wire_fields_print(t, fields, COUNT(fields), n);
    run_print(t, "last", &n->last);
    run_print(t, "last_test", &n->last_test);
    wire_text_adds(t, "}\n");
}

static int run_parse(const struct json_object *json, const char *name, struct wire_notify_run *ret, struct err *e)
{
    struct json_object *member;

    wire_fields_clear(run_fields, COUNT(run_fields), ret);
    ret->id = 0;
    if (!json_object_object_get_ex(json, name, &member) || !member)
        return 0;
    if (!json_object_is_type(member, json_type_object))
        return err_set(e, EBADMSG, "'%s' is no object", name);
    return wire_fields_parse(member, run_fields, COUNT(run_fields), ret, e);
}

int wire_notify_parse(const char *buf, size_t length, struct wire_notify *ret, struct err *e)
{
    struct json_object *json;
    struct wire_notify n = {0};
    int r = wire_json_parse(buf, length, &json, e);

    if (r < 0)
        return r;
    if (!json_object_is_type(json, json_type_object))
        r = err_set(e, EBADMSG, "it is no object");
    else if ((r = wire_fields_parse(json, fields, COUNT(fields), &n, e)) == 0 &&
             (r = run_parse(json, "last", &n.last, e)) == 0)
        r = run_parse(json, "last_test", &n.last_test, e);
    (void)json_object_put(json);
    if (r == 0)
        *ret = n;
    return r;
}
