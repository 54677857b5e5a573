/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "own.h"
#include "repo.h"
#include "repo_parallel.h"

/* Reads chunks again and proves each by its hash. What is damaged is put aside (".bad"), so that the next backup which
 * reads that block in full stores it again; nothing else is changed. */

enum repo_damage {
    REPO_DAMAGE_NONE,
    REPO_DAMAGE_MISSING,    /* no file */
    REPO_DAMAGE_CONTENT,    /* another content, cut, no frame */
    REPO_DAMAGE_UNREADABLE, /* the disk fails, or it is no file of ours */
    REPO_DAMAGE_COUNT
};
const char *repo_damage_text(enum repo_damage damage); /* "missing", "changed", "unreadable" */

struct repo_damaged {
    struct repo_id id;
    enum repo_damage damage;
};

/* A disk of a point that needs damaged chunks; disk "": the manifest or all of it. */
struct repo_victim {
    char identity[TEXT_NAME_MAX + 1], time[REPO_TIME_SIZE], disk[TEXT_NAME_MAX + 1];
    size_t chunk_count; /* of the disk, damaged; 0: its index or its manifest is */
    uint64_t first_byte; /* of the first of them */
    struct err why;
};

struct repo_verification {
    size_t point_count, chunk_count; /* in the repository */
    size_t checked_count;            /* chunks read */
    uint64_t checked_bytes;          /* of their files */
    struct repo_damaged *damaged;    /* named by a point, by id */
    size_t damaged_count;
    struct repo_victim *victims;
    size_t victim_count;
};

/* sample: hundredths of a percent of the chunks, 10000: all; which ones depends on seed. A point that can't be read is no
 * failure of the verification but a victim. */
int repo_verify(struct repo *repo, unsigned sample, uint64_t seed, repo_progress_fn *progress, void *user,
                struct repo_verification **ret, struct err *e);
struct repo_verification *repo_verification_free(struct repo_verification *v);
OWN_DEFINE(repo_verification);

/* Keeps the result in the repository: for `ballast backup check`, and for the next backups (repo_damage.h). */
int repo_verification_save(struct repo *repo, const struct repo_verification *v, unsigned sample, struct err *e);

/* The last one saved. -ENOENT: none. */
struct repo_verified {
    char time[REPO_TIME_SIZE];
    uint64_t sample, checked, damaged, victims;
};
int repo_verified_load(struct repo *repo, struct repo_verified *ret, struct err *e);
