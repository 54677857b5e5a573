/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <stdlib.h>
#include <string.h>

/* S6: every decision can be replayed to the same answer from its recorded inputs. decide() is wrapped (linker: --wrap):
 * before each call the host and all guests are copied; after it the copies, lying elsewhere in memory and in another
 * order, are decided again. Answers must be equal byte for byte. With the rule off, ties are broken by where a guest
 * lies in memory. */

#define GUESTS 12

size_t __real_decide(struct host *h, struct guest *const *guests, size_t n, enum decide_why why, uint64_t now_usec,
                     const struct decide_scratch *scratch);
size_t __wrap_decide(struct host *h, struct guest *const *guests, size_t n, enum decide_why why, uint64_t now_usec,
                     const struct decide_scratch *scratch);

static struct {
    struct guest guests[GUESTS];
    struct guest *list[GUESTS];
    struct levels levels[GUESTS];
    struct share_slot slots[GUESTS];
    uint64_t weight[GUESTS], given_kib[GUESTS];
    uint32_t order[GUESTS];
    unsigned long decisions, orders, differ;
} copy;

size_t __wrap_decide(struct host *h, struct guest *const *guests, size_t n, enum decide_why why, uint64_t now_usec,
                     const struct decide_scratch *scratch)
{
    struct decide_scratch other = {copy.levels, copy.slots, copy.weight, copy.given_kib, copy.order};
    struct host host;
    bool same;

    memcpy(&host, h, sizeof(host));
    for (size_t i = 0; i < n; i++) {
        copy.list[i] = &copy.guests[n - 1 - i];
        memcpy(copy.list[i], guests[i], sizeof(*guests[i]));
    }
    size_t orders = __real_decide(h, guests, n, why, now_usec, scratch);
    size_t again = __real_decide(&host, copy.list, n, why, now_usec, &other);
    same = orders == again && memcmp(&host, h, sizeof(host)) == 0;
    for (size_t i = 0; i < n; i++)
        same = same && memcmp(copy.list[i], guests[i], sizeof(*guests[i])) == 0;
    copy.decisions++;
    copy.orders += orders;
    copy.differ += !same;
    return orders;
}

static bool holds(const struct decide_switches *switches)
{
    struct world_config wc = setup_host(6 * GIB, GUESTS * SETUP_OVERHEAD_KIB, 1);
    char name[16];

    memset(&copy, 0, sizeof(copy));
    wc.policy.switches = *switches;
    struct world *w = world_new(&wc);
    for (size_t i = 0; i < GUESTS; i++) {
        struct guest_config config = setup_guest_config(128 * MIB, 2 * GIB);
        struct model_config m = scenario_grower(2 * GIB, 500 * MIB, 250 * MIB, 400 * MIB, (10 + i % 3) * SEC, 60 * MIB);
        m.agent = i % 4 != 0;
        m.kind = i == 5 ? MODEL_REBOOTING : i == 7 ? MODEL_LYING_NONSENSE : MODEL_IDEAL;
        m.happens_usec = MIN;
        (void)snprintf(name, sizeof(name), "guest%02zu", i);
        (void)world_add(w, name, &config, &m);
    }
    world_start(w);
    world_run(w, 3 * MIN);
    (void)printf("%lu decisions with %lu orders, %lu differ\n", copy.decisions, copy.orders, copy.differ);
    (void)scenario_check(copy.orders > 50, "next to nothing was decided");
    (void)world_free(w);
    return copy.differ == 0;
}

int main(void)
{
    struct decide_switches off = {.no_position = true};

    scenario_rule("S6", &off, holds);
    return scenario_end();
}
