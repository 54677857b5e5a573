/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config.h"
#include "config_keys.h"
#include "err.h"

/* Values of one guest that an operator set (`ballast set`), above everything that is written for it. They are validated by
 * the table of keys (config_keys.h) and the rules of the configuration. Those that are saved stand in a file of their own
 * in guests.d, which nobody else writes; the administrator's own files are never touched. */

#define CONFIG_SET_FILE "ballast-set.yaml"
#define CONFIG_SET_MAX 16384 /* guests with values set; as many as one daemon drives */

struct config_set {
    uint32_t set; /* bit: enum config_guest_key */
    uint64_t number[CONFIG_GUEST_KEYS];
};

/* One key and its value, as on the command line; an empty value takes back what was set before. *ret_key is its number.
 * -EINVAL or -ERANGE with a sentence: no such key, not a value of it, or one that only a file can say (paths and texts). */
int config_set_parse(struct config_set *set, const char *key, const char *value, unsigned *ret_key, struct err *e);

/* What holds for a guest with `saved` instead of what was read from CONFIG_SET_FILE, and `set` above it; each may be NULL. */
void config_guest_with(const struct config *config, const char *name, const struct config_set *saved,
                       const struct config_set *set, struct guest_config *ret);

/* -EINVAL with a sentence where what would hold for the guest contradicts itself or its minimum does not fit the host. */
int config_guest_check(const struct config *config, const char *name, const struct guest_config *g, struct err *e);

/* Room for the text of a value. */
#define CONFIG_VALUE_TEXT_SIZE 48

/* The value of a key as the configuration writes it: "512 MiB", "20 %", "auto". */
void config_value_text(unsigned guest_key, uint64_t value, char to[CONFIG_VALUE_TEXT_SIZE]);

/* The same of what holds; "as found" where nothing says: boot memory, say. */
void config_guest_value_text(unsigned guest_key, const struct guest_config *g, char to[CONFIG_VALUE_TEXT_SIZE]);

/* What was read from CONFIG_SET_FILE: the i-th guest, by name; NULL beyond the last. */
const char *config_saved_at(const struct config *config, size_t i, struct config_set *ret);

/* Where that file is. */
int config_set_path(const struct config *config, char *ret, struct err *e);

/* "key 'minimum' of guest 'web1' is 256 MiB in FILE:LINE", where the administrator's own entry for the guest says something
 * else than `set`; "" where none does. */
void config_set_contradiction(const struct config *config, const char *name, const struct config_set *set, char *to,
                              size_t size);
