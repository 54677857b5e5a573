/* SPDX-License-Identifier: Apache-2.0 */
#include "notify_rule.h"

void notify_cause_see(struct notify_cause *c, unsigned level, uint64_t now_usec)
{
    if (level == c->level)
        return;
    if (c->level == 0 && (c->bad_usec == 0 || now_usec - c->since_usec >= NOTIFY_BACK_USEC))
        c->bad_usec = now_usec; /* a new trouble, and not the old one after a breath */
    c->level = (uint8_t)level;
    c->since_usec = now_usec;
    c->changes++;
}

static bool is_within(const struct notify_cause *c, unsigned level, const struct notify_times *times, uint64_t now_usec)
{
    return c->was_told[level] && now_usec - c->told_usec[level] < times->interval_usec;
}

bool notify_cause_is_due(const struct notify_cause *c, const struct notify_times *times, uint64_t now_usec)
{
    if (c->level == c->told || is_within(c, c->level, times, now_usec))
        return false;
    if (c->level < c->told)
        return now_usec - c->since_usec >= NOTIFY_BACK_USEC;
    return now_usec - c->bad_usec >= times->after_usec;
}

void notify_cause_tell(struct notify_cause *c, uint64_t now_usec)
{
    c->told = c->level;
    c->was_told[c->level] = true;
    c->told_usec[c->level] = now_usec;
    c->changes = 0;
}

bool notify_cause_is_over(const struct notify_cause *c, const struct notify_times *times, uint64_t now_usec)
{
    if (c->level != 0 || c->told != 0 || now_usec - c->since_usec < NOTIFY_BACK_USEC)
        return false;
    for (unsigned level = 0; level < NOTIFY_LEVELS; level++)
        if (is_within(c, level, times, now_usec))
            return false;
    return true;
}
