/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config_store.h"
#include "err.h"

struct yaml_parser_s;

/* One YAML text into the store. Everything wrong with it goes to `problems`, and reading goes on: check-config shows all. */

struct config_reader {
    struct config_store *store;
    struct config_list *problems, *warnings;
    uint32_t file; /* index into store->files: what is read now */
    bool is_main;  /* guests.d files hold `guests` only */
};

/* Returns 0 where the text was read, with or without problems; -ENOMEM where it could not be. */
int config_read(struct config_reader *r, const char *text, size_t len, struct err *e);

/* config_yaml.c: refuses what libyaml would read too slowly or what no configuration of ours is: broken YAML, more than one
 * document, deep nesting, floods of anchors. False: a problem was added. */
bool config_yaml_survey(struct config_reader *r, const char *text, size_t len);

/* Adds the problem that a parser of libyaml stopped at (an undefined alias shows only while loading). */
void config_yaml_refuse(struct config_reader *r, const struct yaml_parser_s *parser, const char *text, size_t len);
