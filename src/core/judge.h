/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "decide.h"

/* One guest's part of a decision, in the order decide() calls them. Each fills its fields of guest->verdict. */

/* What it holds, what it counts as, whether it is silent, stuck or in breach (docs/design.md 2, S1b). */
void judge_books(struct guest *g, const struct decide_switches *switches, uint64_t now_usec);

/* Demand, target, levels and weight (docs/design.md 3.2-3.4). Needs h's state, capacity and waits_priority. */
void judge_levels(struct guest *g, const struct host *h, uint64_t now_usec);

/* What sharing gave it: penalty, shortfall, Memory Status. */
void judge_given(struct guest *g, uint64_t given_kib);

/* Sharing may move this guest at all. */
bool judge_is_managed(const struct guest *g);
