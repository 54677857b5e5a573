/* SPDX-License-Identifier: Apache-2.0 */
#include "selfmanaging.h"

#include "policy_defaults.h"

/* docs/design.md 3.4: "over at least 4 grants of >= 10 % within 30 min assigned >= 1.5 x A0 and
 * used - u0 >= 0.8 x (assigned - A0) - 5 % of assigned, and 10 min passed since honesty was proven". */
#define SELFMANAGING_GRANTS 4
#define SELFMANAGING_GRANT_PERCENT 10
#define SELFMANAGING_WINDOW_USEC (30 * USEC_PER_MIN)
#define SELFMANAGING_HONEST_USEC (10 * USEC_PER_MIN)
#define SELFMANAGING_FALL_PERCENT 10 /* used fell so far below its peak: it gives back, start anew */

static void selfmanaging_start(struct selfmanaging *s, uint64_t assigned_kib, uint64_t used_kib, uint64_t now_usec)
{
    *s = (struct selfmanaging){
        .start_assigned_kib = assigned_kib,
        .start_used_kib = used_kib,
        .start_usec = now_usec,
        .honest_usec = s->honest_usec,
        .peak_used_kib = used_kib,
        .grant_base_kib = assigned_kib,
    };
}

static void selfmanaging_count_grant(struct selfmanaging *s, uint64_t assigned_kib, uint64_t now_usec)
{
    if (assigned_kib < s->grant_base_kib) {
        s->grant_base_kib = assigned_kib;
        return;
    }
    if ((assigned_kib - s->grant_base_kib) * 100 < s->grant_base_kib * SELFMANAGING_GRANT_PERCENT)
        return;
    s->grant_base_kib = assigned_kib;
    for (unsigned i = SELFMANAGING_GRANTS - 1; i; i--)
        s->grant_usec[i] = s->grant_usec[i - 1];
    s->grant_usec[0] = now_usec;
}

static bool selfmanaging_took_all(const struct selfmanaging *s, uint64_t assigned_kib, uint64_t used_kib,
                                  uint64_t now_usec)
{
    uint64_t oldest = s->grant_usec[SELFMANAGING_GRANTS - 1];

    if (!oldest || now_usec - oldest > SELFMANAGING_WINDOW_USEC)
        return false;
    if (assigned_kib * 2 < s->start_assigned_kib * 3 || used_kib < s->start_used_kib)
        return false;
    if (now_usec - s->honest_usec < SELFMANAGING_HONEST_USEC)
        return false;
    /* in hundredths: 100 (used - u0) + 5 assigned >= 80 (assigned - A0) */
    return 100 * (used_kib - s->start_used_kib) + 5 * assigned_kib >= 80 * (assigned_kib - s->start_assigned_kib);
}

void selfmanaging_see(struct selfmanaging *s, uint64_t assigned_kib, uint64_t used_kib, bool honest,
                      uint64_t now_usec)
{
    if (honest) {
        s->honest_usec = now_usec;
        selfmanaging_start(s, assigned_kib, used_kib, now_usec);
        return;
    }
    if (!s->start_usec) {
        s->honest_usec = now_usec;
        selfmanaging_start(s, assigned_kib, used_kib, now_usec);
        return;
    }
    if (used_kib > s->peak_used_kib)
        s->peak_used_kib = used_kib;
    if (used_kib * 100 < s->peak_used_kib * (100 - SELFMANAGING_FALL_PERCENT)) {
        uint64_t limit = s->limit_kib; /* giving back is a new start, but only honesty ends a limit */
        selfmanaging_start(s, assigned_kib, used_kib, now_usec);
        s->limit_kib = limit;
        return;
    }
    selfmanaging_count_grant(s, assigned_kib, now_usec);
    if (!s->limit_kib && selfmanaging_took_all(s, assigned_kib, used_kib, now_usec))
        s->limit_kib = assigned_kib;
}

uint64_t selfmanaging_limit_kib(const struct selfmanaging *s)
{
    return s->limit_kib;
}
