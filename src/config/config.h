/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calendar.h"
#include "decide.h"
#include "err.h"
#include "guest.h"
#include "own.h"

/* The configuration: ballast.yaml and the files of guests.d beside it (docs/man/ballast.yaml.5). The daemon reads it to work
 * by, `ballast check-config` to find what is wrong with it. Keys, types, ranges and defaults: config_keys.h, one table. */

/* Limits. Each is far above what a host needs and far below what hurts one. */
#define CONFIG_FILE_SIZE_MAX (4U << 20) /* 16384 guests with every key take 3 MiB */
#define CONFIG_FILES_MAX 4096           /* files in guests.d */
#define CONFIG_GUESTS_MAX 16384         /* entries, patterns included; as many as one daemon drives */
#define CONFIG_PATTERNS_MAX 1024        /* each new guest is compared with every pattern */
#define CONFIG_DIRECTORIES_MAX 64       /* monitor directories: each is watched */
#define CONFIG_SCHEDULES_MAX 256       /* each is compared with each guest once a minute */
#define CONFIG_NESTING_MAX 16           /* the format itself nests 5 deep */
#define CONFIG_ANCHORS_MAX 256          /* libyaml searches them one by one */
#define CONFIG_ALIASES_MAX 4096
#define CONFIG_PROBLEMS_MAX 20          /* what a person reads in one go; more are counted */
#define CONFIG_WARNINGS_MAX 20

/* Groups of the host that may look, and operate, where nothing is said. */
#define CONFIG_VIEW_GROUP "ballast"
#define CONFIG_OPERATE_GROUP "ballast-operate"

/* Sizes in the configuration are at most this: 2^46 bytes, the physical address space of x86-64 processors. */
#define CONFIG_SIZE_MAX (1ULL << 46)

/* What is said of one guest's sockets by its name: guests.NAME.qmp, .access and .agent. */
struct config_socket {
    const char *name;  /* the guest's */
    const char *path;  /* of its monitor: absolute, shorter than PATHS_SOCKET_SIZE; NULL: not said */
    const char *agent; /* the same of its agent's port */
    bool has_access, is_shared;
};

/* Who is told of what needs a person's eye, and how often. */
struct config_notify {
    const char *command; /* absolute; NULL: nobody is told */
    uint64_t timeout_usec, interval_usec, stuck_after_usec;
};

/* Which points of a guest are kept, by what they are the last of (ballast backup prune). */
enum config_keep_key {
    CONFIG_KEEP_LAST,
    CONFIG_KEEP_HOURLY,
    CONFIG_KEEP_DAILY,
    CONFIG_KEEP_WEEKLY,
    CONFIG_KEEP_MONTHLY,
    CONFIG_KEEP_YEARLY,
    CONFIG_KEEP_KEYS
};

/* Backups made by themselves. */
struct config_schedule {
    char *guests;  /* a name or shell pattern */
    char *at_text; /* as written */
    struct calendar at;
    unsigned keep[CONFIG_KEEP_KEYS];
    bool keeps;            /* one of them is not 0: what is beyond them is pruned after each backup */
    uint64_t max_age_usec; /* a last point older than this is told of; 0: twice the time between two of the schedule */
};

/* How guests are backed up, and when. */
struct config_backup {
    const struct config_schedule *schedules;
    size_t schedule_count;
    unsigned quiet_from_min, quiet_to_min; /* minutes since midnight on the wall; the same: no quiet hours */
    unsigned concurrency;                  /* scheduled ones at once */
    unsigned freeze; /* enum config_freeze */
    uint64_t freeze_usec, checkpoint_usec, limit_usec, fleece_usec, stall_usec;
    uint64_t bandwidth_kib; /* a second; 0: no limit */
    const char *before_freeze, *after_thaw; /* commands of the host: absolute; NULL: none */
    uint64_t before_freeze_usec, after_thaw_usec;
    bool hook_warns;        /* one that fails before the freeze is only told of */
    bool verifies;          /* at verify_at */
    struct calendar verify_at;
    unsigned verify_sample; /* hundredths of a percent */
};

/* Sentences about a configuration, in the order found. */
struct config_list {
    size_t count;
    size_t more; /* found beyond the room here */
    struct err items[CONFIG_PROBLEMS_MAX];
};

/* A loaded configuration. Read only; owned by the caller, freed with config_free(); everything it points to lives as long. */
struct config {
    const char *path;  /* the main file, as looked for */
    bool is_file;      /* false: there is none; then guests are watched only, unless an entry of guests.d says else */
    struct host_config host;   /* reserve resolved; memory_kib 0 where the configuration names none */
    const char *const *qmp_directories; /* at least the default one where nothing is said */
    const bool *qmp_directories_shared; /* for each of them: others use its monitors, too */
    size_t qmp_directory_count;
    bool is_discovery_default; /* nothing is said: with a --runtime-dir of its own, ballastd looks below that instead */
    const struct config_socket *sockets;
    size_t socket_count;
    struct config_notify notify;
    const char *view_group, *operate_group; /* who may ask; never NULL */
    bool groups_are_named;     /* at least one of them is written, so it is meant to exist */
    const char *backup_repository; /* absolute; NULL: none is named */
    struct config_backup backup;
    struct config_list warnings; /* nothing that stops the daemon; to be logged once each */
    uint64_t hash;     /* of what it says, not of how it is written: same hash, same decisions (S6) */
    struct config_store *store;
};

/* Reads and checks everything. path: the main file, which must exist; NULL: the default one of this user (paths.h), which
 * may be absent. host_memory_bytes: MemTotal of the host; 0: not known, then nothing is checked against it.
 * Returns 0, or -errno with the first problem in one sentence: "FILE:LINE:COLUMN: key 'host.reserve': ..."; -ENOENT where
 * path is absent, -EINVAL where it is wrong. All of them mean exit code 2. */
int config_load(const char *path, uint64_t host_memory_bytes, struct config **ret, struct err *e);

/* The same, and all problems (up to CONFIG_PROBLEMS_MAX) in ret_problems, which is written in any case. */
int config_load_all(const char *path, uint64_t host_memory_bytes, struct config **ret, struct config_list *ret_problems,
                    struct err *e);

/* The same for one text in memory, named `name` in sentences; guests.d is not looked at. For tests and fuzzing. */
int config_parse(const char *text, size_t len, const char *name, uint64_t host_memory_bytes, struct config **ret,
                 struct config_list *ret_problems, struct err *e);

struct config *config_free(struct config *config);
OWN_DEFINE(config);

/* What holds for a guest: built-in values < `defaults` < the one entry that fits it best. An entry that is exactly its
 * name wins; else the pattern (fnmatch(3)) with the most literal characters; else the one with the fewest '*'; else the
 * one written first. */
void config_guest(const struct config *config, const char *name, struct guest_config *ret);

/* The entry that holds for a guest as it is written ("web*"); NULL: none, defaults only. */
const char *config_guest_entry(const struct config *config, const char *name);

/* Whose guest it is (for page sharing among guests of one owner, bills); "" where not said. */
const char *config_guest_owner(const struct config *config, const char *name);
