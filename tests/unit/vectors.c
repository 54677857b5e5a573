/* SPDX-License-Identifier: Apache-2.0 */

/* vectors [FILE.json ...]: runs files of test vectors through the core's arithmetic, bit for bit, and stops at the first
 * difference. A file is {"about": "...", "cases": [{"name": "...", "in": {...}, "out": {...}}]}; which rule a case
 * belongs to shows from its keys. Integers may be written as decimal strings. `out` must match whole: each key, each list
 * entry; {"valid": 0} means that the rule refuses its input.
 * Exit codes: 0 all agree; 1 a difference; 2 a file that can't be read or is not of this form. */

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demand.h"
#include "err.h"
#include "kib.h"
#include "own.h"
#include "vector_rules.h"

#define FILE_SIZE_MAX (64U << 20) /* a million cases; a larger file is a mistake */
#define TEXT_SIZE 64              /* an integer or "12 entries" */

static inline void own_json_release(struct json_object **p)
{
    (void)json_object_put(*p); /* 1: freed */
}

static inline void own_tokener_release(struct json_tokener **p)
{
    if (*p)
        json_tokener_free(*p);
}

/* ---- Reading ---- */

/* A decimal integer, in JSON as number or string. Beyond 2^126 it saturates: nothing here is as large. */
static int integer_read(struct json_object *o, kib_signed *ret, struct err *e)
{
    const kib_signed most = (kib_signed)1 << 126;
    const char *text, *digits;
    kib_signed value = 0;

    if (json_object_is_type(o, json_type_int)) {
        /* Above 2^63 json-c keeps it unsigned; the signed reading is then cut. */
        uint64_t large = json_object_get_uint64(o);

        *ret = large > INT64_MAX ? (kib_signed)large : json_object_get_int64(o);
        return 0;
    }
    if (!json_object_is_type(o, json_type_string))
        return err_set(e, EINVAL, "is no integer: %s", json_object_to_json_string(o));
    text = json_object_get_string(o);
    digits = text + (*text == '-');
    if (!*digits || digits[strspn(digits, "0123456789")])
        return err_set(e, EINVAL, "is no integer: \"%s\"", text);
    for (; *digits; digits++)
        value = value >= most / 10 ? most : value * 10 + (*digits - '0');
    *ret = *text == '-' ? -value : value;
    return 0;
}

/* A value of one kind, as 64 bits. A value that the kind can't have sets *refused. */
static int scalar_read(struct json_object *o, enum vector_kind kind, uint64_t *ret, bool *refused, struct err *e)
{
    kib_signed value;
    int r;

    if (kind == VECTOR_BUFFER_OF) {
        const char *text = json_object_get_string(o);

        if (!json_object_is_type(o, json_type_string))
            return err_set(e, EINVAL, "is neither \"demand\" nor \"total\"");
        *ret = strcmp(text, "demand") == 0  ? BUFFER_OF_DEMAND
               : strcmp(text, "total") == 0 ? BUFFER_OF_TOTAL
                                            : BUFFER_OF_COUNT;
        return 0;
    }
    r = integer_read(o, &value, e);
    if (r < 0)
        return r;
    if (kind == VECTOR_INTEGER) {
        value = value < INT64_MIN ? INT64_MIN : value > INT64_MAX ? INT64_MAX : value;
    } else if (value < 0 || value > (kind == VECTOR_FLAG ? 1 : UINT64_MAX)) {
        *refused = true;
        value = 0;
    }
    *ret = (uint64_t)value;
    return 0;
}

static int list_read(struct json_object *o, struct vector_input *in, size_t index, struct err *e)
{
    size_t n;

    if (!json_object_is_type(o, json_type_array))
        return err_set(e, EINVAL, "is no list");
    n = json_object_array_length(o);
    in->list[index] = vector_list_new(n, sizeof(uint64_t));
    in->length[index] = n;
    for (size_t i = 0; i < n; i++) {
        int r = scalar_read(json_object_array_get_idx(o, i), VECTOR_SIZE, &in->list[index][i], &in->refused, e);

        if (r < 0)
            return err_wrap(e, "entry %zu", i);
    }
    return 0;
}

static const struct vector_field *field_find(const struct vector_field *fields, const char *name)
{
    for (; fields->name; fields++)
        if (strcmp(fields->name, name) == 0)
            return fields;
    return NULL;
}

static int input_read(struct json_object *o, const struct vector_rule *rule, struct vector_input *in, struct err *e)
{
    json_object_object_foreach(o, name, unused) {
        (void)unused;
        if (!field_find(rule->fields, name))
            return err_set(e, EINVAL, "unknown key '%s' in \"in\"", name);
    }
    for (size_t i = 0; rule->fields[i].name; i++) {
        const struct vector_field *f = &rule->fields[i];
        struct json_object *value;
        int r;

        if (f->kind == VECTOR_UNUSED)
            continue;
        if (!json_object_object_get_ex(o, f->name, &value))
            return err_set(e, EINVAL, "key '%s' is missing in \"in\"", f->name);
        r = f->kind == VECTOR_LIST ? list_read(value, in, i, e)
                                  : scalar_read(value, f->kind, &in->value[i], &in->refused, e);
        if (r < 0)
            return err_wrap(e, "key '%s' in \"in\"", f->name);
    }
    return 0;
}

/* The rule a case belongs to; NULL with e set where none fits. */
static const struct vector_rule *rule_find(struct json_object *in, struct err *e)
{
    for (size_t i = 0; i < VECTOR_RULES_COUNT; i++)
        if (json_object_object_get_ex(in, vector_rules[i].sign, NULL))
            return &vector_rules[i];
    if (json_object_object_get_ex(in, "tariffs", NULL))
        (void)err_set(e, ENOTSUP, "is a case of charging, which this version does not have; leave the file out");
    else
        (void)err_set(e, EINVAL, "its keys fit no rule: boot_kib (demand), buffer_of (target), proof_kib (levels), "
                                 "tax_ppm (weight) or capacity_kib (share) must be in \"in\"");
    return NULL;
}

/* ---- Comparing ---- */

struct difference {
    char field[TEXT_SIZE];
    char expected[TEXT_SIZE], got[TEXT_SIZE];
};

static bool differ(struct difference *d, const char *field, const char *expected, const char *got)
{
    snprintf(d->field, sizeof(d->field), "%s", field);
    snprintf(d->expected, sizeof(d->expected), "%s", expected);
    snprintf(d->got, sizeof(d->got), "%s", got);
    return false;
}

static bool value_agrees(const char *field, struct json_object *expected, uint64_t got, struct difference *d)
{
    char text[TEXT_SIZE];
    kib_signed value;
    struct err e = {0};

    if (integer_read(expected, &value, &e) == 0 && value == (kib_signed)got)
        return true;
    snprintf(text, sizeof(text), "%" PRIu64, got);
    return differ(d, field, json_object_to_json_string_ext(expected, JSON_C_TO_STRING_PLAIN), text);
}

static bool list_agrees(const struct vector_result *r, struct json_object *expected, struct difference *d)
{
    char text[TEXT_SIZE], field[TEXT_SIZE];
    size_t n = json_object_is_type(expected, json_type_array) ? json_object_array_length(expected) : 0;

    if (!json_object_is_type(expected, json_type_array) || n != r->length) {
        char wanted[TEXT_SIZE];

        snprintf(text, sizeof(text), "a list of %zu", r->length);
        snprintf(wanted, sizeof(wanted), "a list of %zu", n);
        return differ(d, r->name, json_object_is_type(expected, json_type_array) ? wanted : "no list", text);
    }
    for (size_t i = 0; i < n; i++) {
        snprintf(field, sizeof(field), "%s[%zu]", r->name, i);
        if (!value_agrees(field, json_object_array_get_idx(expected, i), r->list[i], d))
            return false;
    }
    return true;
}

/* The whole `out` against what the rule made of `in`. */
static bool output_agrees(struct json_object *expected, const struct vector_output *out, bool says_valid, bool accepted,
                          struct difference *d)
{
    struct json_object *value;

    if (json_object_object_get_ex(expected, "valid", &value)) {
        if (!value_agrees("valid", value, accepted, d))
            return false;
    } else if (says_valid || !accepted) {
        return differ(d, "valid", "nothing", accepted ? "1" : "0 (refused)");
    }
    for (size_t i = 0; i < out->n; i++) {
        const struct vector_result *r = &out->results[i];

        if (!json_object_object_get_ex(expected, r->name, &value)) {
            char text[TEXT_SIZE];

            snprintf(text, sizeof(text), r->list ? "a list of %" PRIu64 : "%" PRIu64, r->list ? r->length : r->value);
            return differ(d, r->name, "nothing: the key is missing", text);
        }
        if (!(r->list ? list_agrees(r, value, d) : value_agrees(r->name, value, r->value, d)))
            return false;
    }
    json_object_object_foreach(expected, name, extra) {
        bool known = strcmp(name, "valid") == 0;

        for (size_t i = 0; i < out->n; i++)
            known = known || strcmp(name, out->results[i].name) == 0;
        if (!known)
            return differ(d, name, json_object_to_json_string_ext(extra, JSON_C_TO_STRING_PLAIN),
                          "nothing: the rule has no such field");
    }
    return true;
}

/* ---- Files ---- */

/* 1: agrees; 0: a difference; negative: not of this form. */
static int case_run(struct json_object *in_object, struct json_object *out_object, struct difference *d, struct err *e)
{
    struct vector_input in = {0};
    struct vector_output out = {0};
    const struct vector_rule *rule = rule_find(in_object, e);
    bool accepted;
    int r;

    if (!rule)
        return -e->code;
    r = input_read(in_object, rule, &in, e);
    if (r == 0) {
        accepted = !in.refused && rule->run(&in, &out);
        r = output_agrees(out_object, &out, rule->says_valid, accepted, d);
    }
    for (size_t i = 0; i < VECTOR_FIELDS_MAX; i++)
        free(in.list[i]);
    free(out.given);
    return r;
}

static int file_read(const char *path, char **ret_text, size_t *ret_len, struct err *e)
{
    AUTO_FREE char *text = NULL;
    size_t len;
    FILE *f = fopen(path, "re");

    if (!f)
        return err_set(e, errno, "cannot open it: %s", strerror(errno));
    text = malloc(FILE_SIZE_MAX + 1);
    errno = 0;
    len = text ? fread(text, 1, FILE_SIZE_MAX + 1, f) : 0;
    if (!text || ferror(f)) {
        int code = text ? errno : ENOMEM;

        (void)fclose(f); /* only read from */
        return err_set(e, code, "cannot read it: %s", strerror(code));
    }
    (void)fclose(f); /* only read from */
    if (len > FILE_SIZE_MAX)
        return err_set(e, EFBIG, "it is larger than %u MiB", FILE_SIZE_MAX >> 20);
    *ret_text = TAKE(text);
    *ret_len = len;
    return 0;
}

static int json_read(const char *path, struct json_object **ret, struct err *e)
{
    AUTO_FREE char *text = NULL;
    AUTO(tokener) struct json_tokener *tokener = json_tokener_new();
    AUTO(json) struct json_object *o = NULL;
    enum json_tokener_error trouble;
    size_t len = 0, end;
    int r;

    r = file_read(path, &text, &len, e);
    if (r < 0)
        return r;
    if (!tokener)
        return err_set(e, ENOMEM, "no memory to parse it");
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    o = json_tokener_parse_ex(tokener, text, (int)len);
    trouble = json_tokener_get_error(tokener);
    end = json_tokener_get_parse_end(tokener);
    if (trouble != json_tokener_success)
        return err_set(e, EINVAL, "it is no JSON (byte %zu): %s", end,
                       trouble == json_tokener_continue ? "it ends too early" : json_tokener_error_desc(trouble));
    end += strspn(text + end, " \t\r\n");
    if (end < len)
        return err_set(e, EINVAL, "it is no JSON: more text after its end (byte %zu)", end);
    *ret = TAKE(o);
    return 0;
}

/* 1: all cases agree; 0: a difference, told; negative: not of this form. */
static int file_run(const char *path, struct err *e)
{
    AUTO(json) struct json_object *root = NULL;
    struct json_object *cases;
    size_t n;
    int r;

    r = json_read(path, &root, e);
    if (r < 0)
        return r;
    if (!json_object_is_type(root, json_type_object) || !json_object_object_get_ex(root, "cases", &cases) ||
        !json_object_is_type(cases, json_type_array))
        return err_set(e, EINVAL, "it has no list \"cases\"");
    n = json_object_array_length(cases);
    if (n == 0)
        return err_set(e, EINVAL, "its list \"cases\" is empty");
    for (size_t i = 0; i < n; i++) {
        struct json_object *c = json_object_array_get_idx(cases, i), *name, *in, *out;
        struct difference d;

        if (!json_object_is_type(c, json_type_object) || !json_object_object_get_ex(c, "name", &name) ||
            !json_object_is_type(name, json_type_string) || !json_object_object_get_ex(c, "in", &in) ||
            !json_object_is_type(in, json_type_object) || !json_object_object_get_ex(c, "out", &out) ||
            !json_object_is_type(out, json_type_object))
            return err_set(e, EINVAL, "entry %zu of \"cases\" lacks a text \"name\" or an object \"in\" or \"out\"", i);
        r = case_run(in, out, &d, e);
        if (r < 0)
            return err_wrap(e, "case '%s'", json_object_get_string(name));
        if (r == 0) {
            printf("file:     %s\ncase:     %s\nfield:    %s\nexpected: %s\ngot:      %s\n", path,
                   json_object_get_string(name), d.field, d.expected, d.got);
            return 0;
        }
    }
    printf("%s: %zu cases agree\n", path, n);
    return 1;
}

int main(int argc, char **argv)
{
    static const char *const defaults[] = {VECTORS_DIR "/demand.json", VECTORS_DIR "/target.json",
                                           VECTORS_DIR "/levels.json", VECTORS_DIR "/weight.json",
                                           VECTORS_DIR "/share.json"};
    const size_t n = argc > 1 ? (size_t)argc - 1 : sizeof(defaults) / sizeof(defaults[0]);

    for (size_t i = 0; i < n; i++) {
        const char *path = argc > 1 ? argv[i + 1] : defaults[i];
        struct err e = {0};
        int r = file_run(path, &e);

        if (r < 0) {
            fprintf(stderr, "vectors: '%s': %s\n", path, e.text);
            return 2;
        }
        if (r == 0)
            return 1;
    }
    return 0;
}
