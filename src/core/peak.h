/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* A decaying maximum: the largest value seen, halving every half-life (linear between the halvings, integers only). */
struct peak {
    uint64_t value;
    uint64_t seen_usec;
};

/* The decayed value now. */
uint64_t peak_value(const struct peak *p, uint64_t now_usec, uint64_t half_life_usec);

/* Takes a new value where it is at least the decayed one. */
void peak_see(struct peak *p, uint64_t value, uint64_t now_usec, uint64_t half_life_usec);
