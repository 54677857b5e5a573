/* SPDX-License-Identifier: Apache-2.0 */
#include "api_body.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "text.h"

struct json_object *api_body_parse(const char *data, size_t length, struct api_reply *ret)
{
    struct json_object *json = NULL;
    struct err e = {0};

    if (wire_json_parse(length ? data : "{}", length ? length : 2, &json, &e) < 0) {
        api_reply_error(ret, e.code == ENOMEM ? 503 : 400, "send one JSON object, such as {\"save\":true}",
                        "the body can't be read: %.200s", e.text);
        return NULL;
    }
    if (json_object_is_type(json, json_type_object))
        return json;
    (void)json_object_put(json);
    api_reply_error(ret, 400, "send one JSON object, such as {\"save\":true}", "the body is no JSON object");
    return NULL;
}

/* "known are 'size', 'for'" */
static void known_list(const struct wire_field *fields, size_t n, const char *more, char *to, size_t size)
{
    size_t used = (size_t)snprintf(to, size, n || more ? "known here:" : "send no members here");

    for (size_t i = 0; i < n && used < size; i++)
        used += (size_t)snprintf(to + used, size - used, " %s", fields[i].name);
    if (more && used < size)
        (void)snprintf(to + used, size - used, " %s", more);
}

bool api_body_read(const struct api_request *rq, const struct wire_field *fields, size_t n, const char *more, void *object,
                   struct api_reply *ret)
{
    char known[WIRE_ERROR_TEXT_SIZE];
    struct err e = {0};

    known_list(fields, n, more, known, sizeof(known));
    json_object_object_foreach(rq->body, name, value) {
        bool is_known = more && strcmp(name, more) == 0;

        (void)value;
        for (size_t i = 0; i < n; i++)
            is_known = is_known || strcmp(name, fields[i].name) == 0;
        if (!is_known) {
            api_reply_error(ret, 400, known, "there is no member '%s' in this request", text_show(name, strlen(name)).s);
            return false;
        }
    }
    if (wire_fields_parse(rq->body, fields, n, object, &e) == 0)
        return true;
    api_reply_error(ret, 400, known, "%s", e.text);
    return false;
}
