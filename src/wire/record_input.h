/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "input.h"
#include "record_fields.h"

/* How inputs are written: their names, and what belongs to each. Between record_print.c and record_parse.c. */

struct record_input {
    const char *name;
    const struct record_table *table; /* of record_input_data(); NULL: nothing beside the time */
};

/* Never NULL for a kind there is. */
const struct record_input *record_input_of(enum input_kind kind);

/* The kind of that name; INPUT_KIND_COUNT: there is none. */
enum input_kind record_input_find(const char *name);

/* Where its table's struct lies. */
static inline void *record_input_data(struct input *in)
{
    return &in->config; /* a union: all begin here */
}
