/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The rules that test vectors can be run through: a table of what each takes, by which key a case is known to belong to
 * it, and a function that calls the core. */

#define VECTOR_FIELDS_MAX 20 /* of the longest rule, with room */

enum vector_kind {
    VECTOR_SIZE,    /* 0 .. 2^64-1 */
    VECTOR_INTEGER, /* signed; beyond 64 bits it saturates, which no rule can tell from what it got */
    VECTOR_FLAG,    /* 0, 1 */
    VECTOR_BUFFER_OF,
    VECTOR_LIST,    /* of sizes */
    VECTOR_UNUSED,  /* given to show that it changes nothing; may be left out */
};

struct vector_field {
    const char *name;
    enum vector_kind kind;
};

/* Values of `in`, each at the index of its field. */
struct vector_input {
    uint64_t value[VECTOR_FIELDS_MAX];
    uint64_t *list[VECTOR_FIELDS_MAX];
    size_t length[VECTOR_FIELDS_MAX];
    bool refused; /* a value that its kind can't have: no size is negative */
};

struct vector_result {
    const char *name;
    uint64_t value;
    const uint64_t *list; /* borrowed from `given`; NULL: a plain value */
    size_t length;
};

struct vector_output {
    struct vector_result results[VECTOR_FIELDS_MAX];
    size_t n;
    uint64_t *given; /* owned */
};

struct vector_rule {
    const char *sign;                  /* the key in `in` that only this rule has */
    const struct vector_field *fields; /* ends with a NULL name */
    bool (*run)(const struct vector_input *in, struct vector_output *out); /* false: refused */
    bool says_valid;                                                       /* its `out` holds "valid" */
};

#define VECTOR_RULES_COUNT 5

extern const struct vector_rule vector_rules[VECTOR_RULES_COUNT];

/* A zeroed list of n entries (a valid pointer for n = 0, too); ends the program where there is no memory. */
void *vector_list_new(size_t n, size_t size);
