/* SPDX-License-Identifier: Apache-2.0 */
#include "repo_keep.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text.h"

static const char *const rule_texts[REPO_KEEP_COUNT] = {"last", "hourly", "daily", "weekly", "monthly", "yearly"};

/* No rule has been applied to it. */
#define FATE_OPEN REPO_FATE_COUNT

const char *repo_keep_rule_text(enum repo_keep_rule rule)
{
    return rule_texts[rule];
}

static int count_parse(const char *text, size_t len, unsigned *ret)
{
    unsigned count = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || count > REPO_KEEP_MAX)
            return -EINVAL;
        count = count * 10 + (unsigned)(text[i] - '0');
    }
    if (len == 0 || count > REPO_KEEP_MAX)
        return -EINVAL;
    *ret = count;
    return 0;
}

static int rule_parse(const char *text, size_t len, struct repo_keep *keep)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals ? (size_t)(equals - text) : len;

    for (unsigned i = 0; equals && i < REPO_KEEP_COUNT; i++)
        if (strlen(rule_texts[i]) == name_len && memcmp(rule_texts[i], text, name_len) == 0)
            return count_parse(equals + 1, len - name_len - 1, &keep->counts[i]);
    return -EINVAL;
}

int repo_keep_parse(const char *text, struct repo_keep *ret, struct err *e)
{
    struct repo_keep keep = {0};
    unsigned sum = 0;

    for (const char *at = text;; at++) {
        size_t len = strcspn(at, ",");

        if (rule_parse(at, len, &keep) < 0)
            return err_set(e, EINVAL, "'%s' is no rule for what to keep", text_show(at, len).s);
        at += len;
        if (!*at)
            break;
    }
    for (unsigned i = 0; i < REPO_KEEP_COUNT; i++)
        sum += keep.counts[i] > 0;
    if (sum == 0)
        return err_set(e, EINVAL, "'%s' keeps nothing: at least one number must not be 0", text_show(text, strlen(text)).s);
    *ret = keep;
    return 0;
}

/* A number for the period that a time lies in; different ones for different periods. */
static int64_t period_of(enum repo_keep_rule rule, int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm = {0};
    char week[16];

    if (rule == REPO_KEEP_LAST || !localtime_r(&t, &tm))
        return seconds;
    switch (rule) {
    case REPO_KEEP_HOURLY:
        return (((int64_t)tm.tm_year * 12 + tm.tm_mon) * 31 + tm.tm_mday) * 24 + tm.tm_hour;
    case REPO_KEEP_DAILY:
        return (int64_t)tm.tm_year * 366 + tm.tm_yday;
    case REPO_KEEP_WEEKLY:
        return strftime(week, sizeof(week), "%G%V", &tm) > 0 ? strtoll(week, NULL, 10) : seconds;
    case REPO_KEEP_MONTHLY:
        return (int64_t)tm.tm_year * 12 + tm.tm_mon;
    default:
        return tm.tm_year;
    }
}

/* Times descend, so points of one period lie side by side. (But for the hour that is told twice in autumn: one more is
 * kept then.) */
static bool is_period_kept(const struct repo_verdict *points, size_t count, enum repo_keep_rule rule, size_t n)
{
    const int64_t period = period_of(rule, points[n].seconds);

    for (size_t i = n; i-- > 0 && period_of(rule, points[i].seconds) == period;)
        if (points[i].fate == REPO_FATE_KEEP && points[i].rule < rule)
            return true;
    for (size_t i = n + 1; i < count && period_of(rule, points[i].seconds) == period; i++)
        if (points[i].fate == REPO_FATE_KEEP && points[i].rule < rule)
            return true;
    return false;
}

static void rule_apply(struct repo_verdict *points, size_t count, enum repo_keep_rule rule, unsigned wanted)
{
    unsigned kept = 0;
    int64_t last = 0;

    for (size_t i = 0; i < count; i++) {
        int64_t period = period_of(rule, points[i].seconds);

        if (points[i].fate != FATE_OPEN || is_period_kept(points, count, rule, i))
            continue;
        if (kept > 0 && period == last) {
            points[i].fate = REPO_FATE_REMOVE;
            continue;
        }
        if (kept == wanted)
            return;
        kept++;
        last = period;
        points[i].fate = REPO_FATE_KEEP;
        points[i].rule = rule;
        points[i].number = kept;
    }
}

void repo_keep_choose(const struct repo_keep *keep, struct repo_verdict *points, size_t count)
{
    bool has_rules = false;

    for (size_t i = 0; i < count; i++)
        points[i].fate = points[i].is_protected ? REPO_FATE_PROTECTED : FATE_OPEN;
    for (unsigned rule = 0; rule < REPO_KEEP_COUNT; rule++) {
        has_rules |= keep->counts[rule] > 0;
        if (keep->counts[rule] > 0)
            rule_apply(points, count, (enum repo_keep_rule)rule, keep->counts[rule]);
    }
    for (size_t i = 0; i < count; i++)
        if (points[i].fate == FATE_OPEN)
            points[i].fate = has_rules ? REPO_FATE_REMOVE : REPO_FATE_KEEP_ALL;
}
