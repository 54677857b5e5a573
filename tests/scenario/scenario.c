/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <stdarg.h>
#include <stdio.h>

static unsigned failures;

bool scenario_check(bool ok, const char *format, ...)
{
    va_list args;

    if (ok)
        return true;
    failures++;
    (void)printf("FAILED: ");
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)printf("\n");
    return false;
}

void scenario_check_world(const struct world *w, const char *what)
{
    (void)scenario_check(!world_broken_any(w), "%s: %s", what, world_first_breach(w));
}

int scenario_end(void)
{
    (void)printf("%s\n", failures ? "FAILED" : "passed");
    return failures ? 1 : 0;
}

void scenario_rule(const char *what, const struct decide_switches *off,
                   bool (*holds)(const struct decide_switches *switches))
{
    struct decide_switches none = {0};

    (void)printf("%s, rule on:\n", what);
    (void)scenario_check(holds(&none), "%s: broken with the rule on", what);
    (void)printf("%s, rule off:\n", what);
    (void)scenario_check(!holds(off), "%s: not seen to break with the rule off", what);
}

struct model_config scenario_idle(uint64_t boot_kib, uint64_t has_kib)
{
    return (struct model_config){
        .boot_kib = boot_kib,
        .balloon_target_kib = has_kib,
        .agent = true,
        .overhead_kib = SETUP_OVERHEAD_KIB,
        .load = {.kind = LOAD_IDLE, .base_kib = 100 * MIB, .rate_kib_s = 100 * MIB, .file_kib = 4 * GIB,
                 .read_kib_s = 50 * MIB, .hot_kib = 30 * MIB, .hot_kib_s = 50 * MIB},
    };
}

struct model_config scenario_grower(uint64_t boot_kib, uint64_t has_kib, uint64_t base_kib, uint64_t wants_kib,
                                    uint64_t at_usec, uint64_t rate_kib_s)
{
    struct model_config m = scenario_idle(boot_kib, has_kib);

    m.load = (struct load_config){
        .kind = LOAD_SCRIPT, .base_kib = base_kib, .file_kib = 500 * MIB, .read_kib_s = 10 * MIB, .hot_kib = 30 * MIB,
        .hot_kib_s = 50 * MIB, .n_steps = 2,
        .steps = {{0, base_kib, 100 * MIB}, {at_usec, wants_kib, rate_kib_s}}};
    return m;
}
