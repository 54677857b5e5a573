/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Name of a chunk: the SHA-256 of its plain content. A chunk of zeroes only has the id of 32 zero bytes and no file. */

#define REPO_ID_SIZE 32
#define REPO_ID_TEXT_SIZE (2 * REPO_ID_SIZE + 1)

struct repo_id {
    uint8_t bytes[REPO_ID_SIZE];
};

bool repo_id_is_zero(const struct repo_id *id);
bool repo_id_is_equal(const struct repo_id *a, const struct repo_id *b);

/* For qsort(3) and bsearch(3). */
int repo_id_compare(const void *a, const void *b);

/* 64 lower-case hexadecimal digits and the end. Returns text. */
const char *repo_id_text(const struct repo_id *id, char text[REPO_ID_TEXT_SIZE]);

/* False where text is not exactly 64 lower-case hexadecimal digits. `text` needs no end. */
bool repo_id_parse(const char *text, size_t len, struct repo_id *ret);

/* The same for any bytes: 2 * count digits and the end into text; exactly 2 * count digits from text. */
void repo_hex_print(const uint8_t *bytes, size_t count, char *text);
bool repo_hex_parse(const char *text, size_t count, uint8_t *ret_bytes);

/* Whether all bytes are zero. */
bool repo_is_zero(const void *data, size_t len);
