/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "setup.h"

/* Scenario programs: hosts on virtual time. Each says what it saw; the exit code is 0 if all of it was as it should be. */

#define MIB WORLD_MIB
#define GIB WORLD_GIB
#define SEC WORLD_SEC
#define MIN WORLD_MIN

/* Notes a failure, with the sentence, unless ok. Returns ok. */
bool scenario_check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Every invariant of the world held so far. */
void scenario_check_world(const struct world *w, const char *what);

/* 0 or 1, for main. */
int scenario_end(void);

/* A safety rule: `holds` runs the scenario with these switches and tells whether the rule held. It must hold with all
 * rules on, and must not with this one off: a scenario that can't fail proves nothing. */
void scenario_rule(const char *what, const struct decide_switches *off,
                   bool (*holds)(const struct decide_switches *switches));

/* A guest that needs little and has files enough to fill what it is given. */
struct model_config scenario_idle(uint64_t boot_kib, uint64_t has_kib);

/* A guest that holds base_kib and wants wants_kib from at_usec on, at rate_kib_s. */
struct model_config scenario_grower(uint64_t boot_kib, uint64_t has_kib, uint64_t base_kib, uint64_t wants_kib,
                                    uint64_t at_usec, uint64_t rate_kib_s);
