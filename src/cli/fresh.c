/* SPDX-License-Identifier: Apache-2.0 */
#include "fresh.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static void random_fill(uint8_t *bytes, size_t count)
{
    if (getrandom(bytes, count, 0) != (ssize_t)count)
        abort(); /* a kernel without random numbers: nothing else would work either */
}

void fresh_uuid(char ret[FRESH_UUID_SIZE])
{
    uint8_t b[16];

    random_fill(b, sizeof(b));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    (void)snprintf(ret, FRESH_UUID_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
                   b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

void fresh_mac(char ret[FRESH_MAC_SIZE])
{
    uint8_t b[3];

    random_fill(b, sizeof(b));
    (void)snprintf(ret, FRESH_MAC_SIZE, "52:54:00:%02x:%02x:%02x", b[0], b[1], b[2]);
}
