/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A guest's weight in sharing: its priority with the idle tax (docs/design.md 3.4; Waldspurger, OSDI 2002). */

#define WEIGHT_PRIORITY_MAX 10000
#define WEIGHT_PPM 1000000 /* the whole, in parts per million */

/* w = max(1, floor(priority x 10^12 (10^6 - tau) / (f (10^6 - tau) + 10^6 (10^6 - f)))).
 * priority 1..10000, active_ppm 0..10^6 (10^6 where unknown), tax_ppm 0..999,999.
 * Returns false (nothing written) for anything else. */
bool weight_compute(int64_t priority, int64_t active_ppm, int64_t tax_ppm, uint64_t *ret_weight);
