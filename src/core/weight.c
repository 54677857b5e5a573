/* SPDX-License-Identifier: Apache-2.0 */
#include "weight.h"

#include "kib.h"

bool weight_compute(int64_t priority, int64_t active_ppm, int64_t tax_ppm, uint64_t *ret_weight)
{
    uint64_t left, active, whole = WEIGHT_PPM, divisor, weight;

    if (priority < 1 || priority > WEIGHT_PRIORITY_MAX || active_ppm < 0 || active_ppm > WEIGHT_PPM || tax_ppm < 0 ||
        tax_ppm >= WEIGHT_PPM)
        return false;
    active = (uint64_t)active_ppm;
    left = whole - (uint64_t)tax_ppm;
    if (active == whole) { /* the formula, shortened: all is active, or nobody knows */
        *ret_weight = (uint64_t)priority * whole;
        return true;
    }
    divisor = active * left + whole * (whole - active);
    weight = (uint64_t)((kib_wide)priority * whole * whole * left / divisor);
    *ret_weight = kib_max(weight, 1);
    return true;
}
