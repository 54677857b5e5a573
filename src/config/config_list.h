/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config_store.h"
#include "err.h"

/* Sentences about a configuration, each with its place. */

/* Adds "FILE:LINE:COLUMN: <sentence>" (line 0: the file alone) with an errno code; beyond the room they are counted. */
void config_list_add(struct config_list *list, const struct config_store *store, struct config_place place, int code,
                     const char *format, ...) __attribute__((format(printf, 5, 6)));

/* A sentence that names its file already. */
void config_list_add_plain(struct config_list *list, const struct err *e);
