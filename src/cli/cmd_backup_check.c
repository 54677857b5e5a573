/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "backup_cli.h"
#include "repo_result.h"
#include "repo_verify.h"
#include "units.h"

#define USEC_PER_SEC 1000000ULL

/* For monitoring: how old the last point of each guest is, and how its last backup ended. */

enum state {
    STATE_FINE,
    STATE_WARNING, /* the last backup failed, but there is a point young enough */
    STATE_FAILED
};

struct checking {
    const struct cli *cli;
    struct repo *repo;
    struct wire_text *t;
    int64_t now, max_age; /* seconds; max_age -1: not asked */
    enum state worst;
    size_t guests;
};

static const char *const state_texts[] = {"ok", "warning", "failed"};

/* One guest: its last point (NULL: none) and its last result (NULL: not known). */
static enum state judge(const struct checking *c, int64_t age, const struct repo_point_entry *last,
                        const struct repo_result *result, char *reason, size_t size)
{
    const bool has_failed = result && !result->is_ok && (!last || strcmp(result->time, last->time) >= 0);

    if (!last) {
        (void)snprintf(reason, size, "no point at all%s%.400s", has_failed ? "; last backup: " : "",
                       has_failed ? result->error : "");
        return STATE_FAILED;
    }
    if (c->max_age >= 0 && age > c->max_age) {
        (void)snprintf(reason, size, "too old%s%.400s", has_failed ? "; last backup: " : "", has_failed ? result->error : "");
        return STATE_FAILED;
    }
    if (has_failed) {
        (void)snprintf(reason, size, "last backup failed: %.400s", result->error);
        return c->max_age >= 0 ? STATE_WARNING : STATE_FAILED;
    }
    (void)snprintf(reason, size, "fine");
    return STATE_FINE;
}

static void guest_check(struct checking *c, const char *identity, const struct repo_point_list *points)
{
    const struct repo_point_entry *last = points->count ? &points->items[points->count - 1] : NULL;
    char reason[ERR_TEXT_SIZE], shown[BACKUP_TIME_SIZE];
    struct repo_result result;
    struct err ignored = {0};
    const bool has_result = repo_result_load(c->repo, identity, &result, &ignored) == 0;
    int64_t seconds = 0, age;
    struct repo_boot boot;
    enum state state;

    if (last)
        (void)repo_time_parse(last->time, &seconds); /* it is in the list, so it is a time */
    age = c->now > seconds ? c->now - seconds : 0;
    state = judge(c, age, last, has_result ? &result : NULL, reason, sizeof(reason));
    if (repo_boot_load(c->repo, identity, &boot, &ignored) == 0 && !boot.is_ok && state == STATE_FINE) {
        state = STATE_WARNING; /* there is a point, but whether it is of use is doubtful */
        (void)snprintf(reason, sizeof(reason), "boot test of %s failed: %.400s", boot.point, boot.error);
    }
    c->worst = state > c->worst ? state : c->worst;
    if (c->cli->options & CLI_OPTION_JSON) {
        wire_text_format(c->t, "%s{\"identity\":", c->guests ? ",\n" : "\n");
        wire_text_string(c->t, identity);
        wire_text_adds(c->t, ",\"guest\":");
        wire_text_string(c->t, has_result ? result.guest : identity);
        wire_text_format(c->t, ",\"state\":\"%s\",\"points\":%zu,\"last\":", state_texts[state], points->count);
        if (last)
            backup_time_json(c->t, last->time);
        else
            wire_text_adds(c->t, "null");
        wire_text_format(c->t, last ? ",\"age_seconds\":%" PRId64 ",\"reason\":" : ",\"age_seconds\":null,\"reason\":", age);
        wire_text_string(c->t, reason);
        wire_text_adds(c->t, "}");
    } else {
        wire_text_format(c->t, "%-7s  ", state_texts[state]);
        (void)term_text(&c->cli->term, c->t, has_result ? result.guest : identity, 0);
        if (last)
            wire_text_format(c->t, "  %zu points, last %s UTC, %s ago", points->count, backup_time_text(last->time, shown),
                             units_show_time((uint64_t)age * USEC_PER_SEC).s);
        wire_text_adds(c->t, "  ");
        (void)term_text(&c->cli->term, c->t, reason, 0);
        wire_text_adds(c->t, "\n");
    }
    c->guests++;
}

/* What the last verify found; none yet is no failure. */
static void verified_check(struct checking *c)
{
    struct repo_verified v;
    struct err ignored = {0};
    char shown[BACKUP_TIME_SIZE];
    const bool is_json = c->cli->options & CLI_OPTION_JSON;

    if (repo_verified_load(c->repo, &v, &ignored) < 0) {
        wire_text_adds(c->t, is_json ? "],\"verified\":null" : "never verified\n");
        return;
    }
    if (v.victims > 0)
        c->worst = STATE_FAILED;
    if (is_json) {
        wire_text_adds(c->t, "],\"verified\":{\"time\":");
        backup_time_json(c->t, v.time);
        wire_text_format(c->t, ",\"damaged_chunks\":%" PRIu64 ",\"damaged_disks\":%" PRIu64 "}", v.damaged, v.victims);
    } else {
        wire_text_format(c->t, "%-7s  verified %s UTC: %" PRIu64 " chunks damaged\n",
                         state_texts[v.victims > 0 ? STATE_FAILED : STATE_FINE], backup_time_text(v.time, shown), v.damaged);
    }
}

static int max_age_read(const struct cli *cli, int64_t *ret)
{
    const char *text = cli_value(cli, CLI_OPTION_MAX_AGE);
    struct cli_problem p;
    struct err e = {0};
    uint64_t usec;

    *ret = -1;
    if (!text)
        return CLI_DONE;
    if (units_parse_time(text, strlen(text), &usec, &e) == 0) {
        *ret = (int64_t)(usec / USEC_PER_SEC);
        return CLI_DONE;
    }
    (void)cli_problem_set(&p, CLI_USAGE, "a number and a unit: --max-age '26 h'", "--max-age: %s", e.text);
    return cli_complain(cli, &p);
}

static int guests_check(struct checking *c, const char *only, struct err *e)
{
    struct repo_guest_list guests;
    int r = repo_guests_list(c->repo, &guests, e);

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < guests.count; i++) {
        AUTO(repo_point_list) struct repo_point_list *points = NULL;

        if (only && strcmp(only, guests.identities[i]) != 0)
            continue;
        r = repo_points_list(c->repo, guests.identities[i], &points, e);
        if (r == 0)
            guest_check(c, guests.identities[i], points);
    }
    repo_guest_list_done(&guests);
    return r;
}

int cmd_backup_check(struct cli *cli)
{
    const bool is_json = cli->options & CLI_OPTION_JSON;
    AUTO(repo) struct repo *repo = NULL;
    struct repo_point_entry entry;
    struct wire_text t = {0};
    struct timespec now = {0};
    struct checking c = {.cli = cli, .t = &t};
    struct cli_problem p;
    struct err e = {0};
    int r = max_age_read(cli, &c.max_age);

    if (r == CLI_DONE)
        r = backup_open(cli, &repo);
    if (r == CLI_DONE && cli->arg_count > 0)
        r = backup_point(cli, repo, cli->args[0], &entry, NULL); /* for its guest's identity; none at all: failed */
    if (r != CLI_DONE)
        return r;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
    c.repo = repo;
    c.now = now.tv_sec;
    wire_text_adds(&t, is_json ? "{\"guests\":[" : "");
    if (guests_check(&c, cli->arg_count > 0 ? entry.identity : NULL, &e) < 0) {
        wire_text_done(&t);
        return backup_fail(cli, &e, NULL, "cannot check the repository");
    }
    if (c.guests == 0)
        c.worst = STATE_FAILED; /* a repository that nothing goes to is what monitoring is for */
    verified_check(&c);
    if (is_json)
        wire_text_format(&t, ",\"state\":\"%s\"}\n", state_texts[c.worst]);
    r = backup_write(cli, &t);
    if (r == CLI_DONE && c.guests == 0) {
        (void)cli_problem_set(&p, CLI_FAILED, "ballast backup run GUEST makes the first point", "nothing was ever backed up here");
        return cli_complain(cli, &p);
    }
    return r != CLI_DONE ? r : c.worst == STATE_FAILED ? CLI_FAILED : c.worst == STATE_WARNING ? CLI_WARNINGS : CLI_DONE;
}
