/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model.h"

/* When ballast-agent inside a model guest speaks (docs/design.md 3.1, 10): heartbeat, watermark, each further fall, PSI,
 * and again and again while the guest starves. What it says is model_view(). */

struct sim_agent {
    uint64_t told_usec;      /* last line; 0: none */
    uint64_t told_kib;       /* MemAvailable in it */
    uint64_t looked_usec;    /* last look at MemAvailable */
    uint64_t watermark_kib;
    uint64_t window_usec;    /* start of the PSI trigger's window */
    uint64_t window_some_usec; /* PSI some at its start */
    uint64_t psi_some_usec;  /* PSI some in the last line */
    bool tripped;            /* the trigger fired in this window */
};

/* True: it sends a line now. Call once per step. */
bool sim_agent_speaks(struct sim_agent *a, const struct model *m, uint64_t now_usec);
