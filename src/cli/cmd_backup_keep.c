/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backup_cli.h"
#include "repo_keep.h"
#include "repo_sweep.h"
#include "units.h"

struct pruning {
    const struct cli *cli;
    struct repo *repo;
    struct repo_sweeper *sweeper; /* NULL: a dry run */
    struct repo_keep keep;
    struct wire_text *t;
    size_t kept, removed, failed;
};

static void reason_print(struct wire_text *t, const struct repo_verdict *v, const struct repo_keep *keep)
{
    switch (v->fate) {
    case REPO_FATE_KEEP:
        wire_text_format(t, "%s, %u of %u", repo_keep_rule_text(v->rule), v->number, keep->counts[v->rule]);
        break;
    case REPO_FATE_KEEP_ALL:
        wire_text_adds(t, "no rules");
        break;
    case REPO_FATE_PROTECTED:
        wire_text_adds(t, "protected");
        break;
    case REPO_FATE_REMOVE:
    case REPO_FATE_COUNT:
        wire_text_adds(t, "no rule keeps it");
        break;
    }
}

static void verdict_print(struct pruning *p, const struct repo_point_entry *point, const struct repo_verdict *v,
                          const struct err *failure)
{
    const bool is_kept = v->fate != REPO_FATE_REMOVE;
    struct wire_text reason = {0};

    if (failure->code)
        wire_text_adds(&reason, failure->text);
    else
        reason_print(&reason, v, &p->keep);
    if (p->cli->options & CLI_OPTION_JSON) {
        wire_text_format(p->t, "%s{\"point\":\"%s/%s\",\"kept\":%s,\"failed\":%s,\"reason\":",
                         p->kept + p->removed + p->failed > 1 ? ",\n" : "\n", point->identity, point->time,
                         is_kept || failure->code ? "true" : "false", failure->code ? "true" : "false");
        wire_text_string(p->t, reason.data ? reason.data : "");
        wire_text_adds(p->t, "}");
    } else {
        wire_text_format(p->t, "%s  %s/%s  ", failure->code ? "stays " : is_kept ? "keep  " : "remove", point->identity,
                         point->time);
        (void)term_text(&p->cli->term, p->t, reason.data ? reason.data : "", 0);
        wire_text_adds(p->t, "\n");
    }
    p->t->failed |= reason.failed;
    wire_text_done(&reason);
}

/* The points of one guest, in ascending order. */
static void guest_prune(struct pruning *p, const struct repo_point_entry *points, size_t count)
{
    struct repo_verdict *verdicts = calloc(count, sizeof(*verdicts));

    if (!verdicts)
        abort(); /* so small a piece: nothing else would work either */
    for (size_t i = 0; i < count; i++) {
        const struct repo_point_entry *point = &points[count - 1 - i];

        (void)repo_time_parse(point->time, &verdicts[i].seconds); /* it is in the list, so it is a time */
        verdicts[i].is_protected = point->is_protected;
    }
    repo_keep_choose(&p->keep, verdicts, count);
    for (size_t i = 0; i < count; i++) {
        const struct repo_point_entry *point = &points[count - 1 - i];
        struct err failure = {0};

        if (verdicts[i].fate != REPO_FATE_REMOVE)
            p->kept++;
        else if (p->sweeper && repo_point_remove(p->sweeper, point->identity, point->time, &failure) < 0)
            p->failed++;
        else
            p->removed++;
        verdict_print(p, point, &verdicts[i], &failure);
    }
    free(verdicts);
}

static int keep_read(const struct cli *cli, struct repo_keep *ret)
{
    const char *text = cli_value(cli, CLI_OPTION_KEEP);
    struct cli_problem p;
    struct err e = {0};

    if (text && repo_keep_parse(text, ret, &e) == 0)
        return CLI_DONE;
    (void)cli_problem_set(&p, CLI_USAGE, "say how many to keep of each: --keep last=3,hourly=24,daily=7,weekly=4,monthly=12,yearly=2",
                          "%s", text ? e.text : "nothing says what to keep");
    return cli_complain(cli, &p);
}

static void prune_all(struct pruning *p, const struct repo_point_list *list)
{
    for (size_t from = 0, to; from < list->count; from = to) {
        for (to = from + 1; to < list->count && strcmp(list->items[to].identity, list->items[from].identity) == 0; to++)
            ;
        guest_prune(p, list->items + from, to - from);
    }
}

int cmd_backup_prune(struct cli *cli)
{
    const bool is_dry = cli->options & CLI_OPTION_DRY_RUN, is_json = cli->options & CLI_OPTION_JSON;
    AUTO(repo) struct repo *repo = NULL;
    AUTO(repo_sweeper) struct repo_sweeper *sweeper = NULL;
    AUTO(repo_point_list) struct repo_point_list *list = NULL;
    struct repo_point_entry entry;
    struct wire_text t = {0};
    struct pruning p = {.cli = cli, .t = &t};
    struct err e = {0};
    int r = keep_read(cli, &p.keep);

    if (r == CLI_DONE)
        r = backup_open(cli, &repo);
    if (r == CLI_DONE && cli->arg_count > 0)
        r = backup_point(cli, repo, cli->args[0], &entry, NULL); /* for its guest's identity */
    if (r != CLI_DONE)
        return r;
    if ((!is_dry && repo_sweeper_new(repo, &sweeper, &e) < 0) ||
        repo_points_list(repo, cli->arg_count > 0 ? entry.identity : NULL, &list, &e) < 0)
        return backup_fail(cli, &e, NULL, "nothing was pruned");
    p.repo = repo;
    p.sweeper = sweeper;
    if (is_json)
        wire_text_format(&t, "{\"dry_run\":%s,\"points\":[", is_dry ? "true" : "false");
    prune_all(&p, list);
    if (is_json)
        wire_text_format(&t, "],\"kept\":%zu,\"removed\":%zu,\"failed\":%zu}\n", p.kept, p.removed, p.failed);
    else
        wire_text_format(&t, "%zu kept, %zu %s%s\n", p.kept + p.failed, p.removed, is_dry ? "would be removed" : "removed",
                         p.removed && !is_dry ? "; ballast backup sweep gives their space back" : "");
    r = backup_write(cli, &t);
    return r == CLI_DONE && p.failed ? CLI_WARNINGS : r;
}

int cmd_backup_sweep(struct cli *cli)
{
    const bool is_dry = cli->options & CLI_OPTION_DRY_RUN;
    AUTO(repo) struct repo *repo = NULL;
    AUTO(repo_sweeper) struct repo_sweeper *sweeper = NULL;
    struct repo_swept swept;
    struct wire_text t = {0};
    struct err e = {0};
    int r = backup_open(cli, &repo);

    if (r != CLI_DONE)
        return r;
    if (repo_sweeper_new(repo, &sweeper, &e) < 0 || repo_sweep(sweeper, is_dry, &swept, &e) < 0)
        return backup_fail(cli, &e, e.code == EBADMSG ? "ballast backup verify tells what is damaged; a point that can't be "
                                                        "saved is removed with rm -r, by its directory in vm/" : NULL,
                           "the sweep stopped");
    if (cli->options & CLI_OPTION_JSON)
        wire_text_format(&t, "{\"dry_run\":%s,\"chunks\":%zu,\"removed\":%zu,\"removed_bytes\":%" PRIu64
                             ",\"young\":%zu,\"litter\":%zu}\n", is_dry ? "true" : "false", swept.chunk_count,
                         swept.removed_count, swept.removed_bytes, swept.young_count, swept.litter_count);
    else
        wire_text_format(&t, "%zu of %zu chunks %s, %s; %zu unused ones stay, as a backup that runs may want them\n",
                         swept.removed_count, swept.chunk_count, is_dry ? "would be removed" : "removed",
                         units_show_size(swept.removed_bytes).s, swept.young_count);
    return backup_write(cli, &t);
}

static int protect(struct cli *cli, bool is_protected)
{
    AUTO(repo) struct repo *repo = NULL;
    struct repo_point_entry p;
    struct wire_text t = {0};
    struct err e = {0};
    int r = backup_open(cli, &repo);

    if (r == CLI_DONE)
        r = backup_point(cli, repo, cli->args[0], &p, NULL);
    if (r != CLI_DONE)
        return r;
    if (repo_point_protect(repo, p.identity, p.time, is_protected, &e) < 0)
        return backup_fail(cli, &e, NULL, is_protected ? "not protected" : "still protected");
    if (cli->options & CLI_OPTION_JSON)
        wire_text_format(&t, "{\"point\":\"%s/%s\",\"protected\":%s}\n", p.identity, p.time, is_protected ? "true" : "false");
    else
        wire_text_format(&t, "%s/%s is %s\n", p.identity, p.time,
                         is_protected ? "protected: prune keeps it" : "no longer protected");
    return backup_write(cli, &t);
}

int cmd_backup_protect(struct cli *cli)
{
    return protect(cli, true);
}

int cmd_backup_unprotect(struct cli *cli)
{
    return protect(cli, false);
}
