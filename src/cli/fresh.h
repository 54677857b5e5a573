/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What makes a restored guest another one than it was. */

#define FRESH_UUID_SIZE 37
#define FRESH_MAC_SIZE 18

/* Random, version 4 of RFC 9562. */
void fresh_uuid(char ret[FRESH_UUID_SIZE]);

/* Of QEMU's own range 52:54:00, which is locally administered. */
void fresh_mac(char ret[FRESH_MAC_SIZE]);
