/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* One line of the QMP protocol, taken apart. The peer may be anything: sizes, nesting and the number of values are
 * limited before memory is spent on them. */

struct json_object;

/* Longest line taken (docs/design.md 10). The largest answer QEMU gives at all is its schema with 207 KB. */
#define QMP_LINE_MAX (4U << 20)

/* json-c spends some 100 bytes on a value of two characters: 4 MiB of them would cost 200 MB. QEMU's schema has fewer.
 */
#define QMP_VALUES_MAX 65536U

/* query-blockstats nests one level for each image of a backing chain; QEMU itself refuses more than 1024. */
#define QMP_DEPTH_MAX 256

/* Longest event or error class kept, with its end. QEMU's longest has 30. */
#define QMP_NAME_SIZE 64

/* Longest error description kept, with its end. */
#define QMP_TEXT_SIZE 256

enum qmp_kind {
    QMP_GREETING, /* {"QMP": {...}} */
    QMP_RETURN,   /* {"return": body, "id": ...} */
    QMP_ERROR,    /* {"error": {"class": name, "desc": text}, "id": ...} */
    QMP_EVENT,    /* {"event": name, "data": body} */
    QMP_KIND_COUNT
};

struct qmp_message {
    enum qmp_kind kind;
    bool has_id; /* false also where the id is none of ours (no whole number >= 0) */
    uint64_t id;
    struct json_object *root; /* owned: qmp_message_done() */
    struct json_object *body; /* borrowed from root; may be NULL (JSON null, event without data) */
    char name[QMP_NAME_SIZE]; /* event name or error class; printable */
    char text[QMP_TEXT_SIZE]; /* error description; printable */
};

/* Takes one line (without or with its line end) apart. Returns 0 and fills *ret, or -EPROTO / -EMSGSIZE / -ENOMEM. */
int qmp_message_parse(const char *buf, size_t len, struct qmp_message *ret, struct err *e);
void qmp_message_done(struct qmp_message *m);

/* The errno value for an error class, as qmp_reply_fn documents them. */
int qmp_error_code(const char *class);

/* Members of an answer, by type; false (nothing written) where object is NULL or no object, the member is missing or of
 * another type. Whole numbers: negative ones do not count as found, 18446744073709551615 does. */
bool qmp_get_u64(struct json_object *object, const char *key, uint64_t *ret);
bool qmp_get_bool(struct json_object *object, const char *key, bool *ret);
bool qmp_get_string(struct json_object *object, const char *key, const char **ret); /* borrowed from object */
bool qmp_get_object(struct json_object *object, const char *key, struct json_object **ret);
bool qmp_get_array(struct json_object *object, const char *key, struct json_object **ret);

/* A value by itself, as {"return": 5} carries it. */
bool qmp_to_u64(struct json_object *value, uint64_t *ret);
bool qmp_to_bool(struct json_object *value, bool *ret);

/* Copies text to buf, cut to size, with every byte that is no printable ASCII as '?': fit for a log line. */
void qmp_copy_printable(char *buf, size_t size, const char *text);
