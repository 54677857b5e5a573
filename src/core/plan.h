/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "decide.h"

/* Two-phase planning (docs/design.md 3.5): what to order from whom, now. Free first, give second. Reads each guest's
 * verdict (levels, given) and the host's grantable memory; writes order, order_kib and reason. Returns the orders. */
size_t plan_orders(struct host *h, struct guest *const *guests, size_t n, enum decide_why why, uint64_t now_usec,
                   uint32_t *order);
