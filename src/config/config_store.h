/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "config_keys.h"
#include "err.h"

/* What was read, before and after it is merged: the inside of struct config. */

/* Where something stands in the files; line 0: nowhere. Counted from 1. */
struct config_place {
    uint32_t file; /* index into store->files */
    uint32_t line, column;
};

/* Values of `defaults` or of one entry of `guests`. */
struct config_values {
    uint32_t set; /* bit: enum config_guest_key */
    uint64_t number[CONFIG_GUEST_KEYS];
    struct config_place place[CONFIG_GUEST_KEYS];
    char *owner, *qmp, *agent; /* owned; NULL: not set */
};

struct config_entry {
    char *name; /* owned */
    struct config_place place;
    struct config_values values;
    bool is_pattern;
    unsigned literals, stars; /* of a pattern: how specific it is */
    size_t order;             /* as written */
};

struct config_host_values {
    uint32_t set; /* bit: enum config_host_key */
    uint64_t number[CONFIG_HOST_KEYS];
    bool reserve_is_share;
    struct config_place place[CONFIG_HOST_KEYS];
};

struct config_notify_values {
    uint32_t set; /* bit: enum config_notify_key */
    uint64_t number[CONFIG_NOTIFY_KEYS];
    char *command; /* owned; NULL: not set */
    struct config_place place[CONFIG_NOTIFY_KEYS];
};

struct config_store {
    char **files; /* names for sentences; files[0] is the main one */
    size_t file_count;
    struct config_host_values host;
    struct config_notify_values notify;
    char *api_groups[CONFIG_API_KEYS]; /* owned; NULL: not set */
    struct config_values defaults;
    struct config_entry *entries; /* after config_store_sort(): names by name, then patterns, most specific first */
    size_t entry_count, entry_room;
    size_t name_count;            /* entries that are no patterns */
    struct config_entry *saved;   /* of CONFIG_SET_FILE (config_set.h), by name; above all entries */
    size_t saved_count;
    uint64_t host_memory_kib;     /* MemTotal; 0: not known */
    char **directories;
    bool directories_shared[CONFIG_DIRECTORIES_MAX];
    size_t directory_count;
    bool has_discover;
    struct config_socket *sockets;
    uint32_t backup_set;    /* bit: enum config_backup_key */
    uint64_t backup[CONFIG_BACKUP_KEYS];
    char *repository;       /* backup.repository, owned; NULL: not set */
    char *before_freeze, *after_thaw; /* owned; NULL: not set */
    struct calendar verify_at;
    unsigned quiet_from_min, quiet_to_min;
    struct config_schedule *schedules; /* texts owned */
    size_t schedule_count;
    uint64_t mode_fallback; /* enum guest_mode where nothing is said */
};

struct config_store *config_store_new(void);
struct config_store *config_store_free(struct config_store *s);

/* Remembers a file's name; -ENOMEM. Its index is file_count - 1 afterwards. */
int config_store_add_file(struct config_store *s, const char *name, struct err *e);

/* A new, empty entry (name copied); -ENOMEM, -E2BIG beyond CONFIG_GUESTS_MAX. Valid until the next call. */
int config_store_add_entry(struct config_store *s, const char *name, size_t len, struct config_place place,
                           struct config_entry **ret, struct err *e);

/* A monitor directory (copied); -ENOMEM, -E2BIG. */
int config_store_add_directory(struct config_store *s, const char *path, size_t len, struct err *e);

/* A new, empty schedule; -ENOMEM, -E2BIG beyond CONFIG_SCHEDULES_MAX. Valid until the next call. */
int config_store_add_schedule(struct config_store *s, struct config_schedule **ret, struct err *e);

/* Puts the entries in the order that config_store_match() searches. */
void config_store_sort(struct config_store *s);

/* The entry that holds for a guest; NULL: none. Needs the order. */
const struct config_entry *config_store_match(const struct config_store *s, const char *name);

/* Takes the entries from the first-th on out of the list: they are what an operator saved. -ENOMEM. */
int config_store_take_saved(struct config_store *s, size_t first, struct err *e);

/* What an operator saved for a guest; NULL: nothing. Needs the order. */
const struct config_entry *config_store_find_saved(const struct config_store *s, const char *name);

/* Sets those of a guest's values whose bit (enum config_guest_key) is set. */
void config_store_apply(uint32_t set, const uint64_t *number, struct guest_config *g);

/* The number of a key as a guest's configuration has it; 0 for texts. */
uint64_t config_store_value(unsigned guest_key, const struct guest_config *g);

/* Built-in values < defaults < entry (may be NULL). */
void config_store_merge(const struct config_store *s, const struct config_entry *entry, struct guest_config *ret);

/* A hash (FNV-1a, 64 bits) of everything that bears on a decision. Needs the order. */
uint64_t config_store_hash(const struct config_store *s, const struct host_config *host);
