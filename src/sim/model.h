/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "chance.h"
#include "load.h"
#include "observe.h"

/* A model guest: a Linux machine as its hypervisor, its host and its programs see it, in steps of virtual time.
 *
 * What it has: boot + online hot-added memory - balloon. What is in it, all in KiB:
 *
 *     hidden (firmware, kernel image, page tables of boot memory; not in MemTotal) | kernel | anonymous | file cache | free
 *
 * - File cache fills what is free, up to the size of the file set; hot files read again after they were squeezed out
 *   count as refaults and stall whoever waits for them.
 * - Allocation takes free memory down to the min watermark, then reclaims cold cache, hot cache and (with swap) inactive
 *   anonymous memory at the kernel's speed, stalling meanwhile (PSI). Without progress for MODEL_DEFLATE_USEC a balloon
 *   with deflate-on-oom lets go (not with free swap); after MODEL_OOM_USEC the largest program is killed.
 * - Balloon and virtio-mem move at device speed; the balloon takes from free and clean memory, and never kills.
 * - Resident, as the host sees it: pages are there once touched, ballooned and unplugged ones go.
 * - After a reset the guest owns all its boot memory; the balloon's register keeps its old value until the driver is up
 *   again, which then inflates to the old target; hot-added memory comes back as requested.
 *
 * Integers and its own random numbers only: the same seed gives the same run. */

/* Longest step: an agent looks at its watermark every 5 ms, and what it sends is heard in the next step. */
#define MODEL_STEP_USEC 10000ULL

#define MODEL_DEFLATE_USEC 250000ULL /* seen: 200-310 ms of pressure until deflate-on-oom acts */
#define MODEL_OOM_USEC 1000000ULL

enum model_kind {
    MODEL_IDEAL,
    MODEL_SLOW,            /* its devices move at 1/64 of their speed */
    MODEL_STUCK,           /* its devices never move */
    MODEL_SOMETIMES_STUCK, /* in phases of seconds */
    MODEL_LIMITED_BELOW,   /* the balloon gets no further than limit_kib */
    MODEL_LYING_USE,       /* says it uses all that it is given (agent: and stalls), touches little */
    MODEL_LYING_NONSENSE,  /* anything that fits into 64 bits */
    MODEL_VANISHING,       /* gone at happens_usec */
    MODEL_REBOOTING,       /* resets at happens_usec, and again after each again_usec where that is not 0 */
    MODEL_MUTE,            /* from happens_usec on its monitor answers nothing, its devices do nothing */
    MODEL_KIND_COUNT
};

/* Speeds in KiB per second. */
struct model_speed {
    uint64_t inflate_kib_s, deflate_kib_s;
    uint64_t plug_kib_s, unplug_kib_s;
    uint64_t online_usec;    /* from plugged to online */
    uint64_t reclaim_kib_s;  /* clean cache, by kswapd and by who waits */
    uint64_t disk_kib_s;
    uint64_t swap_kib_s;
};

extern const struct model_speed model_speed_hardware;  /* docs/design.md 9 */
extern const struct model_speed model_speed_emulation; /* measured under -accel tcg */

struct model_config {
    enum model_kind kind;
    uint64_t boot_kib;
    uint64_t pluggable_kib, block_kib; /* virtio-mem; 0: none */
    uint64_t balloon_target_kib;       /* boot memory less balloon at the start; 0: no memory in the balloon */
    uint64_t swap_kib;
    uint64_t kernel_kib;   /* kernel and services beyond programs; 0: MODEL_KERNEL_KIB */
    uint64_t overhead_kib; /* of the process, beside guest memory */
    uint64_t limit_kib;    /* MODEL_LIMITED_BELOW */
    uint64_t boot_usec;    /* until the driver is up; 0: MODEL_BOOT_USEC */
    uint64_t happens_usec, again_usec;
    uint32_t buffer;       /* 1/100 %: the agent's watermark is half of it */
    uint32_t busy_permille; /* time in which other tasks run, whatever waits for memory */
    bool no_balloon, deflate_on_oom;
    bool agent;            /* else balloon statistics */
    bool stays_offline;    /* plugged memory is not onlined */
    struct model_speed speed; /* all 0: emulation */
    struct load_config load;
};

#define MODEL_KERNEL_KIB (24 * 1024ULL)
#define MODEL_BOOT_USEC 5300000ULL /* measured from reset to the driver's report */

struct model {
    struct model_config config;
    struct load load;
    struct chance chance;
    uint64_t now_usec;

    /* devices */
    uint64_t balloon_kib, balloon_target_kib; /* in the balloon; boot - balloon as commanded */
    uint64_t actual_kib;                      /* the register: boot - balloon as last written by the driver */
    bool balloon_idle;                        /* nothing to do until the next command (after deflate-on-oom) */
    uint64_t plugged_kib, requested_kib, online_kib;
    uint64_t online_usec;                     /* when what is plugged comes online */
    uint64_t puff_usec;                       /* out of puff: next try */
    uint64_t phase_usec;                      /* next change of a sometimes stuck guest */
    bool phase_stuck;

    /* memory */
    uint64_t hidden_kib, kernel_kib;
    uint64_t anon_kib, swapped_kib; /* resident and swapped out */
    uint64_t cold_kib, hot_kib;     /* in the cache */
    uint64_t hot_seen_kib;          /* of the hot files: read at least once */
    uint64_t touched_kib;           /* what the host sees */

    /* state */
    bool gone, driver_up;
    uint64_t booted_usec;    /* while booting: when the driver is up */
    uint64_t hungry_usec;    /* without progress */
    uint32_t resets;

    /* counters of this boot, as Linux has them */
    uint64_t swapped_in_kib, refaulted_kib, oom_kills;
    uint64_t psi_some_usec, psi_full_usec;
    uint64_t disk_read_kib;  /* of the process: since start */

    /* for the report, since start */
    uint64_t stalled_usec, stalled_full_usec, killed;
    uint64_t waited_kib;     /* wanted now, not there, at the moment */

    /* one step's budgets */
    uint64_t reclaim_left_kib, disk_left_kib, swap_left_kib;
    uint32_t stall_alloc, stall_refault, stall_swap; /* permille of the step */
};

void model_init(struct model *m, const struct model_config *config, uint64_t seed, uint64_t now_usec);

/* One step; at most MODEL_STEP_USEC after the last. */
void model_run(struct model *m, uint64_t now_usec);

/* Commands, as the hypervisor takes them. block_kib granularity is the caller's. */
void model_set_balloon(struct model *m, uint64_t target_kib);
void model_set_requested(struct model *m, uint64_t requested_kib);

/* The machine resets now. */
void model_reset(struct model *m, uint64_t now_usec);

/* What it truly has now (a booting guest: all its boot memory), and what of it is free or can be had. */
uint64_t model_assigned_kib(const struct model *m);
uint64_t model_free_kib(const struct model *m);
uint64_t model_available_kib(const struct model *m); /* MemAvailable */
uint64_t model_total_kib(const struct model *m);     /* MemTotal */

/* What its programs need now: assigned less available, plus what they wait for. The report's measure of need. */
uint64_t model_need_kib(const struct model *m);

/* Observations, truth or lie by kind. A view is false where there is none (no driver, booting). */
void model_levers(struct model *m, struct obs_levers *ret);
void model_host_view(const struct model *m, struct obs_host_view *ret);
bool model_view(struct model *m, struct obs_guest_view *ret);
