/* SPDX-License-Identifier: Apache-2.0 */
#include "repo_id.h"

#include <string.h>

static const struct repo_id zero_id;

bool repo_id_is_zero(const struct repo_id *id)
{
    return repo_id_is_equal(id, &zero_id);
}

bool repo_id_is_equal(const struct repo_id *a, const struct repo_id *b)
{
    return memcmp(a->bytes, b->bytes, REPO_ID_SIZE) == 0;
}

int repo_id_compare(const void *a, const void *b)
{
    return memcmp(((const struct repo_id *)a)->bytes, ((const struct repo_id *)b)->bytes, REPO_ID_SIZE);
}

void repo_hex_print(const uint8_t *bytes, size_t count, char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * count] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool repo_hex_parse(const char *text, size_t count, uint8_t *ret_bytes)
{
    for (size_t i = 0; i < count; i++) {
        int high = hex_value(text[2 * i]);
        int low = high < 0 ? -1 : hex_value(text[2 * i + 1]); /* never beyond a text that ends early */

        if (high < 0 || low < 0)
            return false;
        ret_bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

const char *repo_id_text(const struct repo_id *id, char text[REPO_ID_TEXT_SIZE])
{
    repo_hex_print(id->bytes, REPO_ID_SIZE, text);
    return text;
}

bool repo_id_parse(const char *text, size_t len, struct repo_id *ret)
{
    struct repo_id got;

    if (len != 2 * (size_t)REPO_ID_SIZE || !repo_hex_parse(text, REPO_ID_SIZE, got.bytes))
        return false;
    *ret = got;
    return true;
}

bool repo_is_zero(const void *data, size_t len)
{
    const uint8_t *bytes = data;

    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}
