/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "world.h"

/* Hosts full of guests that scenarios and ballast-sim share. All sizes in KiB; nothing is started yet. */

/* Defaults as a configuration file without entries has them. */
struct guest_config setup_guest_config(uint64_t minimum_kib, uint64_t maximum_kib);

/* A host on which guests may hold capacity_kib together: memory, a reserve of 5 % (at least 1 GiB) and guests'
 * overheads come on top. */
struct world_config setup_host(uint64_t capacity_kib, uint64_t overheads_kib, uint64_t seed);

/* Each guest's process costs this beside guest memory (QEMU under emulation). */
#define SETUP_OVERHEAD_KIB (30 * WORLD_MIB)

#define SETUP_MIX_GUESTS 20

/* 20 mixed guests: idle, web, file servers, greedy databases, sawtooth, batch, leak; 12 with agent; every third with
 * swap; half can plug. sum(maximum) = capacity x overcommit. */
struct world *setup_mix(uint64_t overcommit_permille, uint64_t seed);

/* A file server with 1.5 GiB of hot files, alone on an idle host. */
struct world *setup_file_server(bool agent, uint64_t seed);

/* A guest that takes 400 MiB more after 5 minutes, beside plenty of memory. */
#define SETUP_STEP_USEC (5 * WORLD_MIN)
#define SETUP_STEP_KIB (400 * WORLD_MIB)
struct world *setup_step(bool agent, bool plug, bool deflate_on_oom, uint64_t seed);

/* Guest 0 takes 500 MiB at 300 MiB/s after 5 minutes; the memory is at guest 1, lazy, on a host with nothing else free. */
#define SETUP_BURST_USEC (5 * WORLD_MIN)
#define SETUP_BURST_KIB (500 * WORLD_MIB)
struct world *setup_burst(uint64_t seed);

/* The named ones above, for ballast-sim: "mix-1.5", "mix-2.5", "files", "files-statistics", "step", "burst".
 * NULL where there is none of that name. */
struct world *setup_named(const char *name, uint64_t seed);
