/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp_message.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <json-c/json.h>

bool qmp_to_u64(struct json_object *value, uint64_t *ret)
{
    if (!json_object_is_type(value, json_type_int))
        return false;
    if (json_object_get_int64(value) < 0)
        return false;
    *ret = json_object_get_uint64(value);
    return true;
}

bool qmp_to_bool(struct json_object *value, bool *ret)
{
    if (!json_object_is_type(value, json_type_boolean))
        return false;
    *ret = json_object_get_boolean(value);
    return true;
}

static bool get_typed(struct json_object *object, const char *key, enum json_type type, struct json_object **ret)
{
    struct json_object *value;

    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, key, &value) ||
        !json_object_is_type(value, type))
        return false;
    *ret = value;
    return true;
}

bool qmp_get_u64(struct json_object *object, const char *key, uint64_t *ret)
{
    struct json_object *value;

    return get_typed(object, key, json_type_int, &value) && qmp_to_u64(value, ret);
}

bool qmp_get_bool(struct json_object *object, const char *key, bool *ret)
{
    struct json_object *value;

    if (!get_typed(object, key, json_type_boolean, &value))
        return false;
    *ret = json_object_get_boolean(value);
    return true;
}

bool qmp_get_string(struct json_object *object, const char *key, const char **ret)
{
    struct json_object *value;

    if (!get_typed(object, key, json_type_string, &value))
        return false;
    *ret = json_object_get_string(value);
    return true;
}

bool qmp_get_object(struct json_object *object, const char *key, struct json_object **ret)
{
    return get_typed(object, key, json_type_object, ret);
}

bool qmp_get_array(struct json_object *object, const char *key, struct json_object **ret)
{
    return get_typed(object, key, json_type_array, ret);
}

void qmp_copy_printable(char *buf, size_t size, const char *text)
{
    size_t i;

    for (i = 0; i + 1 < size && text[i]; i++)
        buf[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    buf[i] = '\0';
}

/* Values a parser would make of the line, at most; cheap, and needs no memory. */
static size_t count_values(const char *buf, size_t len)
{
    size_t n = 1;
    bool in_string = false;

    for (size_t i = 0; i < len; i++) {
        char c = buf[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == ',' || c == ':' || c == '[' || c == '{') {
            n++;
        }
    }
    return n;
}

static int parse_root(const char *buf, size_t len, struct json_object **ret, struct err *e)
{
    struct json_tokener *tokener;
    struct json_object *root;
    enum json_tokener_error error;

    if (len > QMP_LINE_MAX)
        return err_set(e, EMSGSIZE, "a line of more than %u MiB", QMP_LINE_MAX >> 20);
    if (count_values(buf, len) > QMP_VALUES_MAX)
        return err_set(e, EMSGSIZE, "an answer of more than %u values", QMP_VALUES_MAX);
    tokener = json_tokener_new_ex(QMP_DEPTH_MAX);
    if (!tokener)
        return err_set(e, ENOMEM, "no memory to read an answer of %zu bytes", len);
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    root = json_tokener_parse_ex(tokener, buf, (int)len); /* len <= QMP_LINE_MAX */
    error = json_tokener_get_error(tokener);
    if (error == json_tokener_continue) /* half a value: the line ended before the JSON did */
        error = json_tokener_error_parse_eof;
    json_tokener_free(tokener);
    if (error != json_tokener_success) {
        char start[32];
        size_t n = len < sizeof(start) - 1 ? len : sizeof(start) - 1;
        char raw[sizeof(start)];

        json_object_put(root);
        memcpy(raw, buf, n);
        raw[n] = '\0';
        qmp_copy_printable(start, sizeof(start), raw);
        return err_set(e, EPROTO, "no JSON (%s): '%s%s'", json_tokener_error_desc(error), start, len > n ? "..." : "");
    }
    *ret = root;
    return 0;
}

int qmp_message_parse(const char *buf, size_t len, struct qmp_message *ret, struct err *e)
{
    struct qmp_message m = {0};
    struct json_object *value;
    const char *text;
    int r;

    while (len > 0 && (buf[len - 1] == '\r' || buf[len - 1] == '\n' || buf[len - 1] == ' '))
        len--;
    r = parse_root(buf, len, &m.root, e);
    if (r < 0)
        return r;
    m.has_id = qmp_get_u64(m.root, "id", &m.id);
    if (qmp_get_object(m.root, "QMP", &m.body)) {
        m.kind = QMP_GREETING;
    } else if (qmp_get_string(m.root, "event", &text)) {
        m.kind = QMP_EVENT;
        qmp_copy_printable(m.name, sizeof(m.name), text);
        if (!qmp_get_object(m.root, "data", &m.body))
            m.body = NULL;
    } else if (qmp_get_object(m.root, "error", &value)) {
        m.kind = QMP_ERROR;
        if (qmp_get_string(value, "class", &text))
            qmp_copy_printable(m.name, sizeof(m.name), text);
        if (qmp_get_string(value, "desc", &text))
            qmp_copy_printable(m.text, sizeof(m.text), text);
    } else if (json_object_is_type(m.root, json_type_object) && json_object_object_get_ex(m.root, "return", &m.body)) {
        m.kind = QMP_RETURN;
    } else {
        json_object_put(m.root);
        return err_set(e, EPROTO, "JSON that is no QMP message");
    }
    *ret = m;
    return 0;
}

int qmp_error_code(const char *class)
{
    static const struct {
        const char *class;
        int code;
    } table[] = {
        {"CommandNotFound", ENOSYS},
        {"DeviceNotFound", ENODEV},
        {"DeviceNotActive", ENODEV},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(class, table[i].class) == 0)
            return table[i].code;
    return EREMOTEIO;
}

void qmp_message_done(struct qmp_message *m)
{
    json_object_put(m->root);
    m->root = m->body = NULL;
}
