/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#include "err.h"
#include "wire_field.h"
#include "wire_text.h"

/* The status document: {"api":1, "daemon":{...}, "host":{...}, "warnings":[...], "guests":[...]} of GET /v1/status, and
 * one guest with its host, {<the guest's fields>, "host":{...}}, of GET /v1/guests/NAME. Member names are the field
 * names of the JSON. Sizes are bytes, times milliseconds, shares 1/100 % here and percent in JSON.
 * What is not known is WIRE_UNKNOWN, WIRE_UNKNOWN_SIGNED or "". */

#define WIRE_API_VERSION 1 /* fields are added under it; it rises when one changes its meaning */

/* Limits for readers: 16384 guests (the engine's most) at 4 KiB. */
#define WIRE_GUESTS_MAX 16384
#define WIRE_STATUS_SIZE_MAX (64U << 20)

#define WIRE_NAME_SIZE 64
#define WIRE_REASON_SIZE 256
#define WIRE_FLAGS_MAX 16
#define WIRE_WARNINGS_MAX 32

struct wire_daemon {
    char version[32];
    uint64_t pid;
    uint64_t uptime_ms;
    uint64_t policy_version;
    char config[256];   /* configuration file; empty: none, guests are only watched */
    char config_hash[20]; /* of what it says, 16 hexadecimal digits: the same as `ballast check-config --json` says */
    char guests_dir[256]; /* where guests' monitors (NAME.qmp) are looked for first; empty: by name only */
    char state_dir[256];  /* where it keeps what it learns */
    bool dry_run;       /* decides and tells, moves nothing */
};

struct wire_host {
    char name[WIRE_NAME_SIZE];
    char state[8];                 /* high, soft, hard, low */
    char moves[12];                /* on, off: whether guests are moved at all */
    char moves_text[WIRE_REASON_SIZE]; /* off: by whom, since when, and how to get back */
    uint64_t total_bytes;          /* the kernel's MemTotal */
    uint64_t available_bytes;      /* the kernel's MemAvailable */
    uint64_t memory_bytes;         /* what ballast manages: host.memory, or the kernel's */
    uint64_t reserve_bytes;        /* guests never get it */
    uint64_t reservations_bytes;   /* set aside for guests to come */
    int64_t capacity_bytes;        /* what guests may hold in all; below 0: the reserve is eaten into */
    uint64_t pool_bytes;           /* kept free for bursts */
    uint64_t assigned_bytes;       /* sum over guests, as the following */
    uint64_t held_bytes;
    uint64_t overhead_bytes;
    uint64_t exposure_bytes;
    uint64_t startup_bytes;
    uint64_t minimum_bytes;
    uint64_t maximum_bytes;
    uint64_t demand_bytes;
    uint64_t target_bytes;
    uint64_t penalty_bytes;
    uint64_t shortfall_bytes;
    int64_t free_bytes;            /* min(memory - overheads - held, the kernel's MemAvailable) */
    int64_t grantable_bytes;       /* what a grant may use this moment: books and measurement agree on it */
    uint64_t overcommit_percent;   /* promised : real that the operator allows */
    uint64_t share_step;           /* 1..6 */
    char share_text[WIRE_REASON_SIZE]; /* what that step means */
    uint64_t over_bytes;           /* step 6: what is missing even for the least that guests can live with */
    uint64_t stall_usec;           /* counter: time that host processes waited for memory (PSI some) */
    bool squeezed;                 /* a stalled guest waits; guests of lower priority are under the rules of hard */
    uint64_t waits_priority;       /* priority of that guest */
    uint64_t decisions;
    uint64_t orders, turns, moved_bytes; /* sums over the guests there are */
    uint64_t guest_count;
    uint64_t watched;              /* guests in watch mode */
    int64_t saving_bytes;          /* what their advice would free (below 0: take) in all */
};

struct wire_flag {
    char name[20];                 /* stuck, breach, silent, ... */
    char reason[WIRE_REASON_SIZE];
};

struct wire_guest {
    char name[WIRE_NAME_SIZE];
    char identity[WIRE_NAME_SIZE];
    char uuid[40];                 /* the manager's */
    char driver[16];
    uint64_t pid;
    char incarnation[48];          /* "PID.TICKS": process and its start, in clock ticks since the host's boot */
    char owner[WIRE_NAME_SIZE];
    char set_text[WIRE_REASON_SIZE]; /* what an operator set last, who and when; empty: nothing since ballastd runs */
    char config_entry[WIRE_NAME_SIZE]; /* of the configuration: what holds for it, as written ("web*") */
    uint64_t running_ms;           /* since its process started */
    uint64_t known_ms;             /* since ballast watches this boot of it */
    char state[12];                /* running, paused, booting */
    char mode[8];                  /* auto, watch, fixed, off */
    bool balanced;                 /* it is moved: auto, heard of, and nothing against it */
    char memory_status[8];         /* ok, low, warning */
    uint64_t startup_bytes;
    uint64_t minimum_bytes;
    uint64_t maximum_bytes;
    uint64_t assigned_bytes;
    uint64_t boot_bytes;
    uint64_t balloon_bytes;        /* part of boot_bytes that the balloon holds */
    uint64_t plugged_bytes;        /* hot-added */
    uint64_t online_bytes;         /* part of plugged_bytes that the guest uses */
    uint64_t pluggable_bytes;      /* the most that can be hot-added */
    uint64_t visible_bytes;        /* its own MemTotal */
    int64_t hidden_bytes;          /* what MemTotal leaves out */
    char hidden_reason[WIRE_REASON_SIZE];
    uint64_t held_bytes;           /* max(assigned, resident + swapped) */
    uint64_t resident_bytes;
    uint64_t swapped_bytes;
    uint64_t overhead_bytes;
    uint64_t exposure_bytes;       /* what it can take back unasked: what it lent to the host */
    char lent_reason[WIRE_REASON_SIZE]; /* why it has the size it has: what its agent shows in the guest */
    uint64_t counted_bytes;        /* what it counts as against grants (after a reset: all its boot memory) */
    uint64_t demand_bytes;
    char demand_source[12];        /* none, statistics, agent */
    char demand_rule[12];          /* used, committed */
    uint64_t sample_age_ms;
    uint64_t used_bytes;
    uint64_t available_bytes;
    uint64_t unused_bytes;         /* MemFree */
    uint64_t cache_bytes;
    uint64_t committed_bytes;
    uint64_t commit_limit_bytes;   /* CommitLimit; agent only, as the following */
    uint64_t anon_bytes;           /* AnonPages */
    uint64_t shmem_bytes;          /* part of cache_bytes that is no disk cache */
    uint64_t dirty_bytes;
    uint64_t kernel_free_bytes;    /* free where the guest's kernel can use it itself */
    uint64_t swap_total_bytes;
    uint64_t swap_used_bytes;
    uint64_t swapped_in_bytes;     /* counters since the guest's boot, to psi_full_usec */
    uint64_t swapped_out_bytes;
    uint64_t refaulted_bytes;
    uint64_t oom_kills;
    uint64_t psi_some_usec;
    uint64_t psi_full_usec;
    uint64_t rate_ms;              /* how long the rates below were measured */
    uint64_t swap_in_rate_bytes;   /* per second */
    uint64_t swap_out_rate_bytes;
    uint64_t refault_rate_bytes;
    uint64_t psi_some_percent;     /* share of that time in which programs waited for memory */
    uint64_t psi_full_percent;
    char hypervisor[32];           /* and its version: "QEMU 7.2.15" */
    bool balloon;                  /* it has a balloon device, also where that is of no use */
    char deflate_on_oom[4];        /* of the balloon: yes, no */
    char page_reporting[4];        /* the same */
    char fixed_reason[WIRE_REASON_SIZE]; /* why nothing can change its size, though it has the devices */
    char agent_port[12];           /* none, open (no agent speaks), heard */
    bool shared_monitor;           /* other clients use its monitor, too */
    bool kernel_short;             /* hot-added memory is plenty, its kernel's own is not */
    uint64_t machine_maximum_bytes; /* that the machine can ever have (maxmem) */
    uint64_t memory_slots;
    uint64_t levers_age_ms;        /* of what the hypervisor says of its size */
    uint64_t host_age_ms;          /* of what the host sees it hold */
    uint64_t pressure_percent;
    uint64_t pressure_low_percent;
    uint64_t pressure_high_percent;
    bool band;                     /* acts by the two marks above */
    uint64_t buffer_percent;
    char buffer_of[8];             /* demand, total */
    uint64_t target_bytes;
    uint64_t given_bytes;          /* what sharing gives it now */
    uint64_t penalty_bytes;
    uint64_t shortfall_bytes;
    uint64_t priority;
    char reclaim[8];               /* eager, lazy */
    uint64_t safe_bytes;           /* the levels of sharing */
    uint64_t bound_bytes;
    uint64_t lower_bytes;
    uint64_t floor_bytes;
    uint64_t head_bytes;
    uint64_t top_bytes;
    uint64_t keep_bytes;
    uint64_t proof_bytes;          /* largest memory the host saw it touch */
    uint64_t rise_bytes;           /* largest rise of used within 3 s */
    uint64_t mark_bytes;           /* kept, as taking did harm */
    uint64_t mark_left_ms;
    uint64_t limit_bytes;          /* self-managing: what it had when that became clear */
    uint64_t stall_percent;        /* not 0: starving, wants so much more */
    uint64_t advice_bytes;         /* the size ballast would aim at (watch) */
    char order[12];                /* grow, shrink, withdraw, none: the last decision */
    uint64_t order_bytes;          /* its absolute target */
    char order_reason[WIRE_REASON_SIZE]; /* why this order, or why none */
    uint64_t in_flight_bytes;      /* target of a command under way */
    uint64_t orders, turns, moved_bytes, breaches; /* counted since it is known */
    char trouble[WIRE_REASON_SIZE]; /* its driver's last complaint */

    size_t flag_count;
    struct wire_flag flags[WIRE_FLAGS_MAX];
};

struct wire_warning {
    char text[ERR_TEXT_SIZE];
    uint64_t age_ms; /* 0: holds now */
};

/* What a reader gets; wire_status_free() owns it all. */
struct wire_status {
    struct wire_daemon daemon;
    struct wire_host host;
    size_t warning_count;
    struct wire_warning warnings[WIRE_WARNINGS_MAX];
    size_t guest_count;
    struct wire_guest *guests;
};

/* Everything unknown, no flags. */
void wire_daemon_clear(struct wire_daemon *d);
void wire_host_clear(struct wire_host *h);
void wire_guest_clear(struct wire_guest *g);

/* Adds a flag with its reason; more than WIRE_FLAGS_MAX are dropped. */
void wire_guest_flag(struct wire_guest *g, const char *name, const char *reason);

/* The status document in three calls: begin, then each guest (first: true for the first), then end. One struct
 * wire_guest is enough for any number of guests. */
void wire_status_begin(struct wire_text *t, const struct wire_daemon *d, const struct wire_host *h,
                       const struct wire_warning *warnings, size_t warning_count);
void wire_status_guest(struct wire_text *t, const struct wire_guest *g, bool first);
void wire_status_end(struct wire_text *t);

/* The same of a struct wire_status. */
void wire_status_print(struct wire_text *t, const struct wire_status *s);

/* {guest..., "host":{...}} */
void wire_guest_print(struct wire_text *t, const struct wire_guest *g, const struct wire_host *h);

/* {"api":1,"version":...,...}: the daemon's own fields. */
void wire_daemon_print(struct wire_text *t, const struct wire_daemon *d);

/* Readers. Errors are EBADMSG (or ENOMEM), with a sentence that says where; *ret is then untouched. Unknown members are
 * ignored; limits: WIRE_STATUS_SIZE_MAX, WIRE_GUESTS_MAX, flags and warnings beyond their limit are dropped. */
int wire_status_parse(const char *buf, size_t length, struct wire_status **ret, struct err *e);
struct wire_status *wire_status_free(struct wire_status *s);
int wire_guest_parse(const char *buf, size_t length, struct wire_guest *ret, struct wire_host *ret_host,
                     struct err *e);
int wire_daemon_parse(const char *buf, size_t length, struct wire_daemon *ret, struct err *e);
