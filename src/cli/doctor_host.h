/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "doctor.h"
#include "wire_error.h"

/* The host, as far as anybody may see it: works without ballastd. */

/* Everything that is looked at. UINT64_MAX and empty texts: not known. */
struct doctor_host {
    uint64_t total_bytes, available_bytes;
    bool kvm_present, kvm_allowed; /* /dev/kvm, for whoever asks */
    bool cgroup2;                  /* with the memory controller */
    bool psi;
    bool ksm_present, ksm_running;
    bool zram_present, zswap_on;
    uint64_t swap_bytes;
    uint64_t huge_pages, huge_page_bytes; /* preallocated ones */
    uint64_t overcommit_memory;           /* vm.overcommit_memory: 0, 1, 2 */
    bool group_present;                   /* `ballast` */
    bool clock_synchronized;
    bool runs_as_root;                    /* whoever asks */

    /* ballastd */
    uint64_t pid;                         /* UINT64_MAX: it does not run, or does not answer */
    uint64_t locked_bytes;                /* of its memory */
    int64_t oom_score_adj;                /* INT64_MIN: not known */
    uint64_t state_free_bytes;            /* in its state directory */
    char state_dir[256];
    unsigned socket_mode;                 /* permissions; 0: no socket */
    bool socket_is_ours;                  /* its group is `ballast` */
};

/* root: "" but in tests: files are looked for below it. Needs no ballastd. */
void doctor_host_read(const char *root, struct doctor_host *ret);

/* What more can be seen where it runs: pid from its document. */
void doctor_host_read_daemon(const char *root, const char *socket_path, const struct wire_daemon *d, struct doctor_host *h);

/* s NULL: ballastd does not answer; problem then says why, with what to do. */
void doctor_judge_host(const struct doctor_host *h, const struct wire_status *s, const struct wire_error *problem,
                       struct doctor_list *ret);
