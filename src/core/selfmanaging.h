/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Self-managing guests (docs/design.md 3.4): a database or JVM that takes whatever is there. Its grants are no proof of
 * need, so head and top are limited to what it had when that became clear. */

struct selfmanaging {
    uint64_t limit_kib;       /* 0: not self-managing */
    uint64_t start_assigned_kib, start_used_kib; /* (A0, u0) */
    uint64_t start_usec;      /* 0: not started */
    uint64_t honest_usec;     /* last proof of honesty */
    uint64_t peak_used_kib;
    uint64_t grant_base_kib;  /* assigned after the last counted grant */
    uint64_t grant_usec[4];   /* last four grants of >= 10 %, newest first; 0: none */
};

/* One fresh sample with its assigned; honest: a stall, swap-in or almost no memory available was seen. */
void selfmanaging_see(struct selfmanaging *s, uint64_t assigned_kib, uint64_t used_kib, bool honest,
                      uint64_t now_usec);

/* limit_i; 0: none. */
uint64_t selfmanaging_limit_kib(const struct selfmanaging *s);
