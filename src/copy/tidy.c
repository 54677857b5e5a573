/* SPDX-License-Identifier: Apache-2.0 */
#include "prepare.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "repo.h"
#include "repo_keep.h"
#include "repo_sweep.h"

/* Newest first, as repo_keep_choose() wants them; the list is in ascending order. */
static void judge(const struct repo_keep *keep, const struct repo_point_list *list, struct repo_verdict *verdicts)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct repo_point_entry *point = &list->items[list->count - 1 - i];

        (void)repo_time_parse(point->time, &verdicts[i].seconds); /* it is in the list, so it is a time */
        verdicts[i].is_protected = point->is_protected;
    }
    repo_keep_choose(keep, verdicts, list->count);
}

int prepare_tidy(const char *repository, const char *identity, const char *keep, bool sweep, struct wire_text *t, struct err *e)
{
    AUTO(repo) struct repo *repo = NULL;
    AUTO(repo_sweeper) struct repo_sweeper *sweeper = NULL;
    AUTO(repo_point_list) struct repo_point_list *list = NULL;
    AUTO_FREE struct repo_verdict *verdicts = NULL;
    struct repo_swept swept = {0};
    struct repo_keep rules;
    size_t removed = 0, busy = 0;
    int r = repo_keep_parse(keep, &rules, e);

    if (r >= 0)
        r = repo_open(repository, &repo, e);
    if (r >= 0)
        r = repo_sweeper_new(repo, &sweeper, e);
    if (r >= 0)
        r = repo_points_list(repo, identity, &list, e);
    if (r < 0)
        return r;
    verdicts = calloc(list->count + 1, sizeof(*verdicts));
    if (!verdicts)
        return err_set(e, ENOMEM, "no memory for %zu points", list->count);
    judge(&rules, list, verdicts);
    for (size_t i = 0; i < list->count; i++) {
        const struct repo_point_entry *point = &list->items[list->count - 1 - i];
        struct err why = {0};

        if (verdicts[i].fate != REPO_FATE_REMOVE)
            continue;
        r = repo_point_remove(sweeper, point->identity, point->time, &why);
        if (r < 0 && r != -EBUSY) {
            *e = why;
            return err_wrap(e, "point '%s/%s' stays", point->identity, point->time);
        }
        removed += r >= 0;
        busy += r < 0; /* goes with the next backup's */
    }
    if (sweep && (r = repo_sweep(sweeper, /* is_dry= */ false, &swept, e)) < 0)
        return r;
    wire_text_format(t, ",\"removed\":%zu,\"busy\":%zu,\"swept_bytes\":%" PRIu64, removed, busy, swept.removed_bytes);
    return 0;
}
