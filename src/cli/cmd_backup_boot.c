/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backup_cli.h"
#include "boot_run.h"
#include "operate_client.h"
#include "repo_result.h"
#include "units.h"
#include "wire_operate.h"

#define WITHIN_MS_DEFAULT 300000           /* a slow guest without KVM takes minutes */
#define EXPECT_MAX 256                     /* far shorter than what is kept of the console */
#define QEMU_BYTES (128ULL << 20)          /* beside the guest's memory: QEMU, its translated code, nbdkit */
#define GATHER_MS 60000
#define RESERVE_SPARE_MS 30000             /* kept so much longer than the test may last, should we be killed */
#define RESERVED_FOR "ballast-boot-test"   /* no guest's name here, so that no other one claims it */

/* Looked at before anything is started: what it refuses, and how much memory it needs. */
static int memory_find(const struct boot_wish *wish, uint64_t *ret_bytes, struct err *e)
{
    AUTO(boot_line) struct boot_line *line = NULL;
    const int none[REPO_DISKS_MAX] = {0};
    int r = boot_line_new(wish->manifest, &wish->host, none, 0, &line, e);

    if (r == 0)
        *ret_bytes = line->memory_bytes + QEMU_BYTES;
    return r;
}

static void give_back(const struct cli *cli, uint64_t id)
{
    struct wire_text body = {0};
    struct cli_problem ignored;
    char number[24];

    (void)snprintf(number, sizeof(number), "%" PRIu64, id);
    (void)client_ask(cli, &(struct client_request){.path = "/v1/reservations/", .name = number, .suffix = "/cancel", .body = "{}"},
                     &body, &ignored); /* it expires by itself */
    wire_text_done(&body);
}

/* *ret_id 0: ballastd does not run, and nothing is reserved. */
static int reserve(const struct cli *cli, uint64_t bytes, uint64_t within_ms, uint64_t *ret_id, struct cli_problem *p)
{
    struct wire_reservation row = {0};
    struct wire_text ask = {0}, body = {0};
    int r;

    *ret_id = 0;
    wire_text_format(&ask, "{\"gather_ms\":%d,\"max\":false,\"size_bytes\":%" PRIu64 ",\"expires_ms\":%" PRIu64
                           ",\"guest\":\"" RESERVED_FOR "\"}", GATHER_MS, bytes, within_ms + RESERVE_SPARE_MS);
    r = operate_reserve(cli, ask.failed ? "{}" : ask.data, GATHER_MS, /* is_shown= */ false, &body, &row, p);
    wire_text_done(&ask);
    wire_text_done(&body);
    *ret_id = row.id;
    if (r == CLI_UNREACHABLE && !row.id)
        return CLI_DONE;
    if (r == CLI_WARNINGS || (r == CLI_DONE && strcmp(row.state, "held") != 0))
        r = cli_problem_set(p, CLI_FAILED, "stop a guest, or test when there is more memory", "no memory for the test: %s", row.text);
    return r;
}

/* As JSON to `all`, where several are to make one document. */
static int tell(const struct cli *cli, const struct repo_point_entry *point, const struct repo_boot *boot, struct wire_text *all)
{
    struct wire_text t = {0};

    if (cli->options & CLI_OPTION_JSON) {
        wire_text_format(&t, "{\"point\":\"%s/%s\",\"ok\":%s,\"milliseconds\":%" PRIu64 ",\"by\":", point->identity, point->time,
                         boot->is_ok ? "true" : "false", boot->ms);
        wire_text_string(&t, boot->by);
        wire_text_adds(&t, ",\"error\":");
        wire_text_string(&t, boot->error);
        wire_text_adds(&t, all ? "}" : "}\n");
        if (all) {
            wire_text_adds(all, all->length ? ",\n" : "");
            wire_text_add(all, t.data, t.length);
            wire_text_done(&t);
            return CLI_DONE;
        }
    } else if (boot->is_ok) {
        wire_text_format(&t, "%s/%s boots: up after %s (by its %s)\n", point->identity, point->time,
                         units_show_time(boot->ms * 1000).s, boot->by);
    }
    return backup_write(cli, &t);
}

static const char *hint_of(int code)
{
    switch (code) {
    case ENOPKG:
        return "install the package nbdkit and ballast with its plugin (built where nbdkit-plugin-dev is there)";
    case ETIMEDOUT:
        return "give it longer: --wait '10 min'; name a text of its serial console: --expect TEXT; or look yourself: ballast backup serve";
    case EINTR:
        return "nothing is left of it";
    default:
        return "ballast backup show POINT tells how it was started; ballast backup serve offers its disks";
    }
}

/* Runs it and keeps the result; what was given up is none. */
static int test(const struct cli *cli, struct repo *repo, const struct repo_point_entry *point, struct boot_wish *wish,
                struct wire_text *all)
{
    struct repo_boot boot = {0};
    const char *by = "";
    struct err e = {0}, unsaved = {0};
    int r, told;

    boot.is_ok = boot_run(wish, &by, &boot.ms, &e) == 0;
    wire_text_copy(boot.point, sizeof(boot.point), point->time);
    wire_text_copy(boot.by, sizeof(boot.by), by);
    wire_text_copy(boot.error, sizeof(boot.error), e.text);
    wish->is_given_up = e.code == EINTR;
    if (wish->is_given_up)
        return backup_fail(cli, &e, hint_of(e.code), "boot test");
    r = repo_boot_save(repo, point->identity, &boot, &unsaved);
    told = tell(cli, point, &boot, all);
    if (!boot.is_ok)
        return backup_fail(cli, &e, hint_of(e.code), "the point does not boot");
    if (r < 0) {
        (void)backup_fail(cli, &unsaved, NULL, "the result can't be kept");
        return told == CLI_DONE ? CLI_WARNINGS : told;
    }
    return told;
}

static int wish_read(const struct cli *cli, struct boot_wish *wish)
{
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct cli_problem p;

    *wish = (struct boot_wish){.within_ms = WITHIN_MS_DEFAULT, .expect = cli_value(cli, CLI_OPTION_EXPECT),
                               .host = {.has_kvm = access("/dev/kvm", R_OK | W_OK) == 0, .cpus = cpus > 0 ? (unsigned)cpus : 1,
                                        .is_file = boot_file_may_be_read}};
    if (!operate_wait_ms(cli, &wish->within_ms, &p))
        return cli_complain(cli, &p);
    if (wish->expect && (!wish->expect[0] || strlen(wish->expect) > EXPECT_MAX)) {
        (void)cli_problem_set(&p, CLI_USAGE, "name a word that the guest writes when it is up", "--expect: 1 to %d bytes are allowed",
                              EXPECT_MAX);
        return cli_complain(cli, &p);
    }
    return CLI_DONE;
}

/* What would end us is waited for instead, from before the memory is reserved. */
static int signals_take(void)
{
    sigset_t awaited;

    (void)sigemptyset(&awaited);
    (void)sigaddset(&awaited, SIGINT);
    (void)sigaddset(&awaited, SIGTERM);
    (void)sigaddset(&awaited, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &awaited, NULL);
    return signalfd(-1, &awaited, SFD_CLOEXEC);
}

/* One point, from its manifest to its result. */
static int point_test(struct cli *cli, struct repo *repo, const char *word, struct boot_wish *wish, struct wire_text *all)
{
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    struct repo_point_entry point;
    struct cli_problem p;
    struct err e = {0};
    uint64_t bytes = 0, id = 0;
    int r = backup_point(cli, repo, word, &point, &m);

    if (r != CLI_DONE)
        return r;
    wish->manifest = m;
    if (memory_find(wish, &bytes, &e) < 0)
        return backup_fail(cli, &e, hint_of(0), "cannot start the guest");
    r = reserve(cli, bytes, wish->within_ms, &id, &p);
    r = r == CLI_DONE ? test(cli, repo, &point, wish, all) : cli_complain(cli, &p);
    if (id)
        give_back(cli, id);
    return r;
}

/* The newest point of each guest, one after the other; the worst of their exit codes. */
static int all_test(struct cli *cli, struct repo *repo, struct boot_wish *wish)
{
    AUTO(repo_point_list) struct repo_point_list *list = NULL;
    struct wire_text all = {0}, t = {0};
    struct cli_problem p;
    struct err e = {0};
    int worst = CLI_DONE, r;

    if (repo_points_list(repo, NULL, &list, &e) < 0)
        return backup_fail(cli, &e, NULL, "cannot list the points");
    if (list->count == 0) {
        (void)cli_problem_set(&p, CLI_FAILED, "ballast backup run GUEST makes the first point", "there is no point to boot");
        return cli_complain(cli, &p);
    }
    for (size_t i = 0; i < list->count && !wish->is_given_up; i++) {
        char name[REPO_POINT_NAME_SIZE];

        if (i + 1 < list->count && strcmp(list->items[i].identity, list->items[i + 1].identity) == 0)
            continue; /* the list is in order: a later one follows */
        (void)snprintf(name, sizeof(name), "%s/%s", list->items[i].identity, list->items[i].time);
        r = point_test(cli, repo, name, wish, &all);
        if (worst == CLI_DONE || (worst == CLI_WARNINGS && r != CLI_DONE))
            worst = r;
    }
    if (!(cli->options & CLI_OPTION_JSON))
        return worst;
    wire_text_format(&t, "{\"points\":[%s]}\n", all.length ? all.data : "");
    wire_text_done(&all);
    r = backup_write(cli, &t);
    return worst == CLI_DONE ? r : worst;
}

int cmd_backup_boot(struct cli *cli)
{
    AUTO(repo) struct repo *repo = NULL;
    char repository[PATHS_SIZE];
    struct boot_wish wish;
    int r = wish_read(cli, &wish);

    if (r == CLI_DONE)
        r = backup_path(cli, repository);
    if (r == CLI_DONE)
        r = backup_open(cli, &repo);
    if (r != CLI_DONE)
        return r;
    wish.repository = repository;
    wish.signal_fd = signals_take();
    r = cli->arg_count > 0 ? point_test(cli, repo, cli->args[0], &wish, NULL) : all_test(cli, repo, &wish);
    (void)close(wish.signal_fd);
    return r;
}
