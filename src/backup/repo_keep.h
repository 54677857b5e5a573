/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Which points to keep, with the meaning Proxmox Backup Server gives to the words: pure, newest first.
 *
 * Rules are applied in the order last, hourly, ... yearly. Each keeps the newest point of a period (local time) until it has
 * kept so many; a period in which an earlier rule kept a point is passed over and does not count. */

enum repo_keep_rule {
    REPO_KEEP_LAST,
    REPO_KEEP_HOURLY,
    REPO_KEEP_DAILY,
    REPO_KEEP_WEEKLY, /* ISO 8601 weeks */
    REPO_KEEP_MONTHLY,
    REPO_KEEP_YEARLY,
    REPO_KEEP_COUNT
};
const char *repo_keep_rule_text(enum repo_keep_rule rule);

struct repo_keep {
    unsigned counts[REPO_KEEP_COUNT]; /* 0: no such rule; all 0: everything is kept */
};

#define REPO_KEEP_MAX 100000U /* of one rule; more is a mistake */

/* "last=3,daily=7,weekly=4". -EINVAL with what is allowed. */
int repo_keep_parse(const char *text, struct repo_keep *ret, struct err *e);

enum repo_fate {
    REPO_FATE_KEEP,      /* by a rule */
    REPO_FATE_KEEP_ALL,  /* there are no rules */
    REPO_FATE_PROTECTED,
    REPO_FATE_REMOVE,
    REPO_FATE_COUNT
};

struct repo_verdict {
    int64_t seconds;      /* in: the point's time */
    int is_protected;     /* in */
    enum repo_fate fate;
    enum repo_keep_rule rule; /* that keeps it */
    unsigned number;          /* of that rule's, from 1 */
};

/* Fills fate, rule and number. Points in descending order of time. */
void repo_keep_choose(const struct repo_keep *keep, struct repo_verdict *points, size_t count);
