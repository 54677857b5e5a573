/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What can be seen of a guest and of the host: the inputs of every decision (docs/design.md, "Sample").
 *
 * Times are microseconds of CLOCK_MONOTONIC. A field that the source did not send is OBS_UNSET; a missing value is never
 * taken for zero. All of it may be a lie: the core bounds what a lie can move (S5). */

#define OBS_UNSET UINT64_MAX /* as QEMU reports a statistic that the guest never sent */

/* Where a guest's own numbers come from. */
enum obs_source {
    OBS_SOURCE_NONE,       /* nothing heard yet */
    OBS_SOURCE_STATISTICS, /* virtio-balloon statistics: whole seconds, no stall signal, no refaults */
    OBS_SOURCE_AGENT,      /* ballast-agent: pushed, with pressure stall information and refaults */
    OBS_SOURCE_COUNT
};

/* The levers, as the hypervisor reports them. `balloon_actual` is written by the guest: not a proof. */
struct obs_levers {
    uint64_t time_usec;
    uint64_t boot_bytes;           /* boot RAM of this incarnation; 0: unknown, nothing else here counts */
    uint64_t balloon_actual_bytes; /* boot RAM less the balloon; equals boot_bytes where there is no balloon */
    uint64_t plugged_bytes;        /* virtio-mem: plugged now, as QEMU says */
    uint64_t requested_bytes;      /* virtio-mem: what was asked for last */
    uint64_t pluggable_bytes;      /* virtio-mem: the most it could ever plug; 0: no such device */
    uint64_t block_bytes;          /* virtio-mem: granularity; 0: no such device */
    uint64_t online_bytes;         /* hot-added memory that is online in the guest, at most plugged_bytes; the driver
                                      derives it from the rise of the guest's total memory since the plug */
    bool has_balloon;
    bool deflate_on_oom; /* MemTotal then still counts ballooned memory */
    bool plug_blocked;   /* the guest left plugged memory offline: for now the driver plugs no more */
};

/* One look from the host at the process behind the guest: the only proof of what a guest holds. */
struct obs_host_view {
    uint64_t time_usec;
    uint64_t resident_bytes;  /* guest RAM regions only, by /proc/PID/smaps */
    uint64_t swapped_bytes;   /* guest RAM on the host's swap (zram, zswap included) */
    uint64_t overhead_bytes;  /* the process's RSS beyond guest RAM */
    uint64_t disk_read_bytes; /* read from the guest's disks since its start; OBS_UNSET: not known */
};

/* What the guest says of itself. Counters count from the guest's boot. */
struct obs_guest_view {
    enum obs_source source;
    uint64_t time_usec;          /* when the guest took the sample, as well as the source tells it */
    uint64_t heard_usec;         /* when it reached us */
    uint64_t spacing_usec;       /* usual distance of two samples of this source: 1 s for statistics */
    uint64_t total_bytes;        /* MemTotal */
    uint64_t free_bytes;         /* MemFree */
    uint64_t available_bytes;    /* MemAvailable */
    uint64_t cache_bytes;        /* file cache (disk caches) */
    uint64_t shmem_bytes;        /* part of cache_bytes that is no disk cache */
    uint64_t committed_bytes;    /* Committed_AS; agent only */
    uint64_t swap_total_bytes;   /* agent only */
    uint64_t swap_used_bytes;    /* agent only */
    uint64_t swapped_in_bytes;   /* counter */
    uint64_t refaulted_bytes;    /* counter: workingset_activate_file; agent only */
    uint64_t balloon_bytes;      /* balloon_inflate - balloon_deflate in the same line; agent only */
    uint64_t oom_kills;          /* counter */
    uint64_t psi_some_usec;      /* counter: time stalled, /proc/pressure/memory; agent only */
    uint64_t psi_full_usec;      /* counter; agent only */
    uint64_t kernel_free_bytes;  /* free in zones the kernel allocates from: MemFree less Movable; agent only */
    uint64_t anon_bytes;         /* agent only, as what follows: for people */
    uint64_t dirty_bytes;
    uint64_t commit_limit_bytes;
    uint64_t swapped_out_bytes;  /* counter */
};

/* The host, read just before a decision. */
struct obs_host {
    uint64_t time_usec;
    uint64_t total_bytes;     /* MemTotal of the host */
    uint64_t available_bytes; /* MemAvailable of the host */
    uint64_t arc_bytes;       /* ZFS ARC that would shrink on demand; 0 where there is none */
    uint64_t psi_some_usec;   /* counter; OBS_UNSET where the host has no /proc/pressure/memory */
};
