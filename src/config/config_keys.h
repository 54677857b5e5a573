/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "err.h"

/* Every key of the configuration in one const table: parsing, `ballast check-config`, `ballastd --help-config` and the man
 * page are made from it, so they cannot disagree. */

enum config_section {
    CONFIG_SECTION_HOST,
    CONFIG_SECTION_DISCOVER, /* keys of one entry of the list */
    CONFIG_SECTION_GUEST,    /* `defaults` and each entry of `guests` */
    CONFIG_SECTION_NOTIFY,
    CONFIG_SECTION_BACKUP,
    CONFIG_SECTION_SCHEDULE, /* keys of one entry of backup.schedules */
    CONFIG_SECTION_KEEP,     /* of its `keep` */
    CONFIG_SECTION_API,
    CONFIG_SECTION_COUNT
};

enum config_type {
    CONFIG_SIZE,          /* value in KiB, rounded down to whole ones; range in bytes */
    CONFIG_SIZE_OR_SHARE, /* a size as above, or a share in 1/100 %; share_max is its range */
    CONFIG_SHARE,         /* 1/100 % */
    CONFIG_FACTOR,        /* thousandths */
    CONFIG_INTEGER,
    CONFIG_TIME,          /* microseconds */
    CONFIG_CHOICE,        /* value: that of the choice */
    CONFIG_PATH,          /* absolute */
    CONFIG_TEXT,          /* one line of printable text */
    CONFIG_TYPE_COUNT
};

/* One word of a CONFIG_CHOICE; the first is the main spelling of its value, later ones with the same value are synonyms
 * (help NULL). A list ends with name NULL. */
struct config_choice {
    const char *name;
    uint64_t value;
    const char *help;
};

struct config_key {
    enum config_section section;
    unsigned id;         /* enum config_host_key, config_discover_key, config_guest_key ... */
    const char *name;
    enum config_type type;
    uint64_t min, max;   /* allowed, both included; text: longest, in bytes */
    uint64_t share_min, share_max;          /* CONFIG_SIZE_OR_SHARE */
    const struct config_choice *choices;
    uint64_t fallback;   /* default value, in the unit of the type, where fallback_text is NULL */
    const char *fallback_text; /* default in words */
    bool entry_only;     /* not in `defaults`: belongs to one guest */
    const char *help;    /* whole sentences for the man page; no full stop inside the first */
};

enum config_host_key {
    CONFIG_HOST_MEMORY,
    CONFIG_HOST_RESERVE,
    CONFIG_HOST_OVERCOMMIT,
    CONFIG_HOST_SPREAD,
    CONFIG_HOST_KEYS
};

enum config_discover_key {
    CONFIG_DISCOVER_QMP_DIRECTORY,
    CONFIG_DISCOVER_ACCESS,
    CONFIG_DISCOVER_LIBVIRT,
    CONFIG_DISCOVER_XEN,
    CONFIG_DISCOVER_KEYS
};

enum config_guest_key {
    CONFIG_GUEST_STARTUP,
    CONFIG_GUEST_MINIMUM,
    CONFIG_GUEST_MAXIMUM,
    CONFIG_GUEST_BUFFER,
    CONFIG_GUEST_BUFFER_OF,
    CONFIG_GUEST_DEMAND,
    CONFIG_GUEST_PRIORITY,
    CONFIG_GUEST_MODE,
    CONFIG_GUEST_RECLAIM,
    CONFIG_GUEST_BAND,
    CONFIG_GUEST_SELF_MANAGING,
    CONFIG_GUEST_IDLE_TAX,
    CONFIG_GUEST_OWNER,
    CONFIG_GUEST_QMP,
    CONFIG_GUEST_ACCESS,
    CONFIG_GUEST_AGENT,
    CONFIG_GUEST_KEYS
};

enum config_notify_key {
    CONFIG_NOTIFY_COMMAND,
    CONFIG_NOTIFY_TIMEOUT,
    CONFIG_NOTIFY_INTERVAL,
    CONFIG_NOTIFY_STUCK_AFTER,
    CONFIG_NOTIFY_KEYS
};

enum config_api_key {
    CONFIG_API_VIEW_GROUP,
    CONFIG_API_OPERATE_GROUP,
    CONFIG_API_KEYS
};

enum config_backup_key {
    CONFIG_BACKUP_REPOSITORY,
    CONFIG_BACKUP_FREEZE,
    CONFIG_BACKUP_FREEZE_TIMEOUT,
    CONFIG_BACKUP_CHECKPOINT_TIMEOUT,
    CONFIG_BACKUP_FREEZE_LIMIT,
    CONFIG_BACKUP_FLEECE_TIMEOUT,
    CONFIG_BACKUP_STALL_TIMEOUT,
    CONFIG_BACKUP_BANDWIDTH,
    CONFIG_BACKUP_CONCURRENCY,
    CONFIG_BACKUP_QUIET_HOURS,
    CONFIG_BACKUP_BEFORE_FREEZE,
    CONFIG_BACKUP_BEFORE_FREEZE_TIMEOUT,
    CONFIG_BACKUP_AFTER_THAW,
    CONFIG_BACKUP_AFTER_THAW_TIMEOUT,
    CONFIG_BACKUP_HOOK_FAILURE,
    CONFIG_BACKUP_VERIFY_AT,
    CONFIG_BACKUP_VERIFY_SAMPLE,
    CONFIG_BACKUP_KEYS
};

enum config_schedule_key {
    CONFIG_SCHEDULE_GUESTS,
    CONFIG_SCHEDULE_AT,
    CONFIG_SCHEDULE_MAX_AGE,
    CONFIG_SCHEDULE_KEYS
};

/* `backup.freeze`. */
enum config_freeze {
    CONFIG_FREEZE_PREFER,
    CONFIG_FREEZE_REQUIRE,
    CONFIG_FREEZE_NEVER
};

/* `access` of an entry of discover or of guests. */
enum config_access {
    CONFIG_ACCESS_OWN,
    CONFIG_ACCESS_SHARE
};

/* Top-level keys. A section that belongs to a later feature is known and warned about. */
struct config_top {
    const char *name;
    bool is_active;
    const char *help;
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;
extern const struct config_top config_tops[];
extern const size_t config_top_count;

/* The key of that section and name; NULL: none. */
const struct config_key *config_key_find(enum config_section section, const char *name, size_t len);

/* The key with that id; never NULL. */
const struct config_key *config_key_get(enum config_section section, unsigned id);

/* One value as written. Writes its number; for CONFIG_SIZE_OR_SHARE *ret_is_share tells which it is. Paths and texts are
 * checked only (*ret_value 0). On failure -EINVAL or -ERANGE and a sentence with what is allowed. */
int config_value_parse(const struct config_key *key, const char *text, size_t len, uint64_t *ret_value,
                       bool *ret_is_share, struct err *e);

/* Room for the longest text of the two functions below. */
#define CONFIG_KEY_TEXT_SIZE 160

/* "1 MiB to 64 TiB", "auto, watch, fixed or off": what a value may be. */
const char *config_allowed_text(const struct config_key *key, char text[CONFIG_KEY_TEXT_SIZE]);

/* "20 %", "the guest's boot memory": what holds where nothing is written. */
const char *config_fallback_text(const struct config_key *key, char text[CONFIG_KEY_TEXT_SIZE]);

/* All keys with type, range, default and help, for a terminal (`ballastd --help-config`). */
void config_help_print(FILE *out);

/* The part of ballast.yaml(5) made from the table, as roff. */
void config_manual_print(FILE *out);
