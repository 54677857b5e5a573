/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "backup_cli.h"
#include "client.h"
#include "progress.h"
#include "repo_verify.h"
#include "units.h"
#include "wire_field.h"

#define SAMPLE_ALL 10000U
#define DAMAGED_SHOWN_MAX 20 /* what a person reads in one go */
#define RESULT_FILE_MAX 4096

struct verifying {
    struct progress progress;
    uint64_t chunk_bytes;
};

static void show(void *user, size_t done, size_t total)
{
    struct verifying *v = user;

    progress_update(&v->progress, (uint64_t)done * v->chunk_bytes, (uint64_t)total * v->chunk_bytes);
}

static int sample_read(const struct cli *cli, unsigned *ret)
{
    const char *text = cli_value(cli, CLI_OPTION_SAMPLE);
    uint64_t sample = SAMPLE_ALL;
    struct cli_problem p;
    struct err e = {0};

    if (text && (units_parse_share(text, strlen(text), &sample, &e) < 0 || sample == 0 || sample > SAMPLE_ALL)) {
        (void)cli_problem_set(&p, CLI_USAGE, "more than 0 % to 100 % is allowed: --sample '5 %'", "--sample: %s",
                              e.text[0] ? e.text : "nothing or more than all");
        return cli_complain(cli, &p);
    }
    *ret = (unsigned)sample;
    return CLI_DONE;
}

static void print_json(struct wire_text *t, const struct repo_verification *v)
{
    char id[REPO_ID_TEXT_SIZE];

    wire_text_format(t, "{\"ok\":%s,\"points\":%zu,\"chunks\":%zu,\"checked\":%zu,\"checked_bytes\":%" PRIu64 ",\"damaged\":[",
                     v->victim_count == 0 ? "true" : "false", v->point_count, v->chunk_count, v->checked_count,
                     v->checked_bytes);
    for (size_t i = 0; i < v->damaged_count; i++)
        wire_text_format(t, "%s{\"chunk\":\"%s\",\"what\":\"%s\"}", i ? ",\n" : "", repo_id_text(&v->damaged[i].id, id),
                         repo_damage_text(v->damaged[i].damage));
    wire_text_adds(t, "],\"points_damaged\":[");
    for (size_t i = 0; i < v->victim_count; i++) {
        const struct repo_victim *victim = &v->victims[i];

        wire_text_format(t, "%s{\"point\":\"%s/%s\",\"disk\":", i ? ",\n" : "", victim->identity, victim->time);
        if (victim->disk[0])
            wire_text_string(t, victim->disk);
        else
            wire_text_adds(t, "null");
        wire_text_format(t, ",\"chunks\":%zu,\"error\":", victim->chunk_count);
        wire_text_string(t, victim->why.text);
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "]}\n");
}

static void print_text(const struct term *term, struct wire_text *t, const struct repo_verification *v)
{
    char id[REPO_ID_TEXT_SIZE];

    wire_text_format(t, "%zu of %zu chunks of %zu points read again, %s: ", v->checked_count, v->chunk_count, v->point_count,
                     units_show_size(v->checked_bytes).s);
    if (v->victim_count == 0) {
        wire_text_adds(t, "all whole\n");
        return;
    }
    wire_text_format(t, "%zu damaged\n", v->damaged_count);
    for (size_t i = 0; i < v->damaged_count && i < DAMAGED_SHOWN_MAX; i++)
        wire_text_format(t, "  chunk %s: %s\n", repo_id_text(&v->damaged[i].id, id),
                         repo_damage_text(v->damaged[i].damage));
    if (v->damaged_count > DAMAGED_SHOWN_MAX)
        wire_text_format(t, "  and %zu more\n", v->damaged_count - DAMAGED_SHOWN_MAX);
    wire_text_adds(t, "These points need them:\n");
    for (size_t i = 0; i < v->victim_count; i++) {
        const struct repo_victim *victim = &v->victims[i];

        wire_text_format(t, "  %s/%s %s%s", victim->identity, victim->time, victim->disk, victim->disk[0] ? ": " : "");
        (void)term_text(term, t, victim->why.text, 0);
        wire_text_adds(t, "\n");
    }
    wire_text_adds(t, "All other points can be restored. Damaged chunks are put aside (.bad): a full backup of the guests above "
                      "stores them again where their disks still hold the same, and makes the points whole. Look after the "
                      "disk that the repository is on: smartctl, the kernel's log.\n");
}

/* What only boot tests know. */
static int usage_check(const struct cli *cli)
{
    struct cli_problem p;

    if (cli->arg_count == 0 && !(cli->options & (CLI_OPTION_WAIT | CLI_OPTION_EXPECT)))
        return CLI_DONE;
    (void)cli_problem_set(&p, CLI_USAGE, "with --boot a point is started; without, chunks of all points are read",
                          "a point, --expect and --wait are for ballast backup verify --boot");
    return cli_complain(cli, &p);
}

/* It reads the result itself, and has the notify command run; where it does not run nobody else is told. */
static void ballastd_tell(const struct cli *cli)
{
    struct wire_text answer = {0};
    struct cli_problem ignored;

    (void)client_ask(cli, &(struct client_request){.path = "/v1/backup/verified", .body = "{}"}, &answer, &ignored);
    wire_text_done(&answer);
}

int cmd_backup_verify(struct cli *cli)
{
    AUTO(repo) struct repo *repo = NULL;
    AUTO(repo_verification) struct repo_verification *v = NULL;
    struct verifying verifying;
    struct wire_text t = {0};
    struct err e = {0};
    struct timespec now = {0};
    unsigned sample = SAMPLE_ALL;
    int r;

    if (cli->options & CLI_OPTION_BOOT)
        return cmd_backup_boot(cli);
    r = usage_check(cli);
    if (r == CLI_DONE)
        r = sample_read(cli, &sample);

    if (r == CLI_DONE)
        r = backup_open(cli, &repo);
    if (r != CLI_DONE)
        return r;
    verifying.chunk_bytes = repo_chunk_bytes(repo);
    progress_start(&verifying.progress, cli, "verifying");
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail; another time, other chunks */
    r = repo_verify(repo, sample, (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20, show, &verifying, &v, &e);
    progress_end(&verifying.progress);
    if (r < 0)
        return backup_fail(cli, &e, NULL, "verify stopped");
    (void)repo_verification_save(repo, v, sample, &e); /* read-only media are verified, too; the exit code tells as well */
    ballastd_tell(cli);
    if (cli->options & CLI_OPTION_JSON)
        print_json(&t, v);
    else
        print_text(&cli->term, &t, v);
    r = backup_write(cli, &t);
    return r == CLI_DONE && v->victim_count > 0 ? CLI_FAILED : r;
}
