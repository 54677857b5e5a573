/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "err.h"
#include "repo.h"
#include "wire_text.h"

/* The manifest's text (docs/repository-format.md): JSON in lines that restore.sh can read with sed, and a last line with
 * the SHA-256 of all lines before it. */

/* Chunks that an index over so many bytes of disk is stored in. */
uint64_t repo_index_part_count(uint64_t size_bytes, uint32_t chunk_bytes);

/* The whole text. -ENOMEM. */
int repo_manifest_print(struct wire_text *t, const struct repo_manifest *m, struct err *e);

/* Whatever the text is: a manifest within its limits, or -EBADMSG, -EPROTONOSUPPORT (a newer one), -ENOMEM. */
int repo_manifest_parse(const char *text, size_t len, struct repo_manifest **ret, struct err *e);

/* "fs" from {"consistency":"fs"} in the facts, cut to size; "" where there is none. */
void repo_manifest_fact(const struct repo_manifest *m, const char *name, char *ret, size_t size);

/* A JSON object's text on one line, malloc'ed; NULL gives "{}". -EINVAL where it is none or too large. */
int repo_facts_normalise(const char *facts, char **ret, struct err *e);
