/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* The simulator's own random numbers: the same seed gives the same run on every machine (SplitMix64). */
struct chance {
    uint64_t state;
};

void chance_seed(struct chance *c, uint64_t seed);
uint64_t chance_next(struct chance *c);

/* Uniform in [low, high]; low where high < low. */
uint64_t chance_between(struct chance *c, uint64_t low, uint64_t high);
