/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent_line.h"
#include "err.h"

/* The files of /proc, opened once and kept open: when it matters there is no memory to open them with. */

struct proc_files {
    int meminfo, vmstat, zoneinfo;
    int pressure;         /* -1: this kernel has no PSI */
    bool trigger;         /* `pressure` signals POLLPRI when memory stalls */
    uint64_t page_kib;
    uint64_t zones_usec;  /* last look at zoneinfo, and what it showed */
    uint64_t kernel_free_kib;
    uint64_t reclaim_kib; /* with more than this free, the kernel reclaims nothing; AGENT_UNSET: not known */
    uint64_t read_usec;   /* last look at meminfo, and what it showed; 0: never */
    uint64_t total_kib, free_kib, available_kib;
};

/* /proc/zoneinfo grows with processors: it is read this often, other samples repeat what it said. */
#define PROC_ZONES_USEC 1000000ULL

/* The kernel's trigger: 20 ms of stall within 500 ms. */
#define PROC_TRIGGER "some 20000 500000"

/* Free memory that moved by less than this, and is more than the kernel's marks, tells that nothing happened: a system
 * call that costs a tenth of reading /proc/meminfo. */
#define PROC_SAME_KIB 512

/* Only /proc/meminfo must be there. Without the right to a trigger (root, CAP_SYS_RESOURCE) pressure is only read. */
int proc_files_open(struct proc_files *f, struct err *e);
void proc_files_done(struct proc_files *f);

/* MemTotal and what is available; fast. /proc/meminfo itself is read when it was not for fresh_usec. False:
 * unreadable. */
bool proc_files_look(struct proc_files *f, uint64_t now_usec, uint64_t fresh_usec, uint64_t *ret_total_kib,
                     uint64_t *ret_available_kib);

/* psi_some, or AGENT_UNSET. */
uint64_t proc_files_pressure_usec(const struct proc_files *f);

/* Everything a sample has but seq, why and time. */
void proc_files_sample(struct proc_files *f, uint64_t now_usec, struct agent_message *ret);
