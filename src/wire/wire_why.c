/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_why.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define W(kind, member) WIRE_FIELD(wire_why, kind, member)
#define E(kind, member) WIRE_FIELD(wire_decision, kind, member)

static const struct wire_field why_fields[] = {W(TEXT, name), W(TEXT, order), W(TEXT, reason), W(TEXT, now)};

static const struct wire_field decision_fields[] = {
    E(U64, age_ms), E(U64, lasted_ms), E(U64, count), E(TEXT, order), E(TEXT, reason), E(BOOL, would),
    E(U64, from_bytes), E(U64, to_bytes), E(U64, demand_bytes), E(U64, target_bytes), E(U64, given_bytes),
    E(U64, lower_bytes), E(U64, head_bytes), E(U64, share_step), E(TEXT, host_state), E(TEXT, other),
    E(U64, other_bytes), E(TEXT, text),
};

void wire_why_clear(struct wire_why *w)
{
    wire_fields_clear(why_fields, COUNT(why_fields), w);
    w->because_count = 0;
    w->decision_count = 0;
}

void wire_decision_clear(struct wire_decision *d)
{
    wire_fields_clear(decision_fields, COUNT(decision_fields), d);
}

void wire_why_because(struct wire_why *w, const char *format, ...)
{
    va_list ap;

    if (w->because_count >= WIRE_WHY_BECAUSE_MAX)
        return;
    va_start(ap, format);
    (void)vsnprintf(w->because[w->because_count++], WIRE_WHY_TEXT_SIZE, format, ap);
    va_end(ap);
}

void wire_why_print(struct wire_text *t, const struct wire_why *w)
{
    wire_text_format(t, "{\"api\":%d,", WIRE_API_VERSION);
    wire_fields_print(t, why_fields, COUNT(why_fields), w);
    wire_text_adds(t, ",\n\"because\":[");
    for (size_t i = 0; i < w->because_count; i++) {
        wire_text_adds(t, i > 0 ? ",\n" : "\n");
        wire_text_string(t, w->because[i]);
    }
    wire_text_adds(t, "],\n\"decisions\":[");
    for (size_t i = 0; i < w->decision_count; i++) {
        wire_text_adds(t, i > 0 ? ",\n{" : "\n{");
        wire_fields_print(t, decision_fields, COUNT(decision_fields), &w->decisions[i]);
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "]}\n");
}

static int because_parse(struct json_object *list, struct wire_why *ret, struct err *e)
{
    size_t n = json_object_array_length(list);

    for (size_t i = 0; i < n && ret->because_count < WIRE_WHY_BECAUSE_MAX; i++) {
        struct json_object *text = json_object_array_get_idx(list, i);

        if (!json_object_is_type(text, json_type_string))
            return err_set(e, EBADMSG, "sentence %zu of 'because' is no text", i);
        wire_text_take(ret->because[ret->because_count++], WIRE_WHY_TEXT_SIZE, json_object_get_string(text));
    }
    return 0;
}

static int decisions_parse(struct json_object *list, struct wire_why *ret, struct err *e)
{
    size_t n = json_object_array_length(list);

    for (size_t i = 0; i < n && ret->decision_count < WIRE_WHY_DECISIONS_MAX; i++) {
        int r = wire_fields_parse(json_object_array_get_idx(list, i), decision_fields, COUNT(decision_fields),
                                  &ret->decisions[ret->decision_count], e);

        if (r < 0)
            return err_wrap(e, "decision %zu", i);
        ret->decision_count++;
    }
    return 0;
}

static int why_take(struct json_object *json, struct wire_why *ret, struct err *e)
{
    struct json_object *list;
    int r = wire_fields_parse(json, why_fields, COUNT(why_fields), ret, e);

    if (r < 0)
        return r;
    if (!ret->name[0] || !ret->now[0])
        return err_set(e, EBADMSG, "it tells of no guest");
    if (json_object_object_get_ex(json, "because", &list) && json_object_is_type(list, json_type_array))
        r = because_parse(list, ret, e);
    if (r >= 0 && json_object_object_get_ex(json, "decisions", &list) && json_object_is_type(list, json_type_array))
        r = decisions_parse(list, ret, e);
    return r;
}

int wire_why_parse(const char *buf, size_t length, struct wire_why *ret, struct err *e)
{
    struct json_object *json;
    int r = wire_json_parse(buf, length, &json, e);

    if (r < 0)
        return r;
    ret->because_count = 0;
    ret->decision_count = 0;
    r = why_take(json, ret, e);
    (void)json_object_put(json);
    return r;
}
