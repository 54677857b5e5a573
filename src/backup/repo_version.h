/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "repo.h"
#include "wire_text.h"

/* "repository.json": what makes a directory a repository. Written last by init. */

#define REPO_VERSION_FILE "repository.json"
#define REPO_VERSION_BYTES_MAX 4096U /* ours has 150; a newer one may say more */

struct repo_version {
    uint32_t version, chunk_bytes;
    char name[REPO_NAME_SIZE];
};

void repo_version_print(struct wire_text *t, const struct repo_version *v);

/* -EPROTONOSUPPORT: newer than REPO_VERSION; -EBADMSG: no such document. */
int repo_version_parse(const char *text, size_t len, struct repo_version *ret, struct err *e);
