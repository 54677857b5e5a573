/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "wire_field.h"

/* What a record (docs/record-format.md) tells of the structs of the core, one table each. A field of the core that is not in
 * its table is found by tests/unit/test_record.c. */

struct record_table {
    const struct wire_field *fields;
    size_t count;
};

extern const struct record_table record_config;      /* struct guest_config */
extern const struct record_table record_learned;     /* struct learned */
extern const struct record_table record_levers;      /* struct obs_levers */
extern const struct record_table record_host_view;   /* struct obs_host_view */
extern const struct record_table record_view;        /* struct obs_guest_view */
extern const struct record_table record_seen;        /* struct obs_host */
extern const struct record_table record_host_config; /* struct host_config */
extern const struct record_table record_host;        /* struct host, but for the two above */
extern const struct record_table record_verdict;     /* struct guest_verdict */
extern const struct record_table record_kept;        /* struct guest, but for what the others and its arrays hold */

/* Appends ,"name":{...}. */
void record_object_print(struct wire_text *t, const char *name, const struct record_table *table, const void *object);

/* Reads the table's fields out of `json`; unlike messages of the API, one that is missing is an error: a replay that goes by
 * half of what was known would show differences that are none. */
int record_object_parse(const struct json_object *json, const struct record_table *table, void *object, struct err *e);

/* The same of the member `name` of `json`, an object. */
int record_member_parse(const struct json_object *json, const char *name, const struct record_table *table,
                        void *object, struct err *e);

/* A sum over the values of all fields of an object, going on from `start`: FNV-1a (64 bits) over whole numbers instead of
 * bytes, folded after each. Equal answers have equal sums; it is no protection against forgery. */
#define RECORD_DIGEST_START 14695981039346656037ULL
uint64_t record_digest(uint64_t start, const struct record_table *table, const void *object);
uint64_t record_digest_number(uint64_t start, uint64_t value);
