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
#define GATHER_POLL_MS 100
#define RESERVE_SPARE_MS 30000             /* kept so much longer than the test may last, should we be killed */
#define RESERVED_FOR "ballast-boot-test"   /* no guest's name here, so that no other one claims it */

static bool is_file(const char *path)
{
    struct stat st;

    return path[0] == '/' && strlen(path) < PATHS_SIZE && stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, R_OK) == 0;
}

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

static int answer_parse(const struct cli *cli, const struct wire_text *body, struct wire_reservation *ret, struct cli_problem *p)
{
    struct err e = {0};

    return wire_reservation_parse(body->data, body->length, ret, &e) == 0 ? CLI_DONE :
           cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' is none of ballastd's: %s", cli->socket_path, e.text);
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
    const struct timespec pause = {.tv_nsec = GATHER_POLL_MS * 1000000L};
    struct wire_reservation row = {0};
    struct wire_text ask = {0}, body = {0};
    char number[24];
    int r;

    *ret_id = 0;
    wire_text_format(&ask, "{\"gather_ms\":%d,\"max\":false,\"size_bytes\":%" PRIu64 ",\"expires_ms\":%" PRIu64
                           ",\"guest\":\"" RESERVED_FOR "\"}", GATHER_MS, bytes, within_ms + RESERVE_SPARE_MS);
    r = client_ask(cli, &(struct client_request){.path = "/v1/reservations", .body = ask.failed ? "{}" : ask.data}, &body, p);
    wire_text_done(&ask);
    if (r == CLI_UNREACHABLE) {
        wire_text_done(&body);
        return CLI_DONE;
    }
    if (r == CLI_DONE)
        r = answer_parse(cli, &body, &row, p);
    if (r == CLI_DONE)
        *ret_id = row.id;
    (void)snprintf(number, sizeof(number), "%" PRIu64, row.id);
    for (unsigned i = 0; r == CLI_DONE && strcmp(row.state, "gathering") == 0 && i < 2 * GATHER_MS / GATHER_POLL_MS; i++) {
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
        wire_text_done(&body);
        r = client_get(cli, "/v1/reservations/", number, &body, p);
        if (r == CLI_DONE)
            r = answer_parse(cli, &body, &row, p);
    }
    wire_text_done(&body);
    if (r == CLI_DONE && strcmp(row.state, "held") != 0)
        r = cli_problem_set(p, CLI_FAILED, "stop a guest, or test when there is more memory", "no memory for the test: %s", row.text);
    return r;
}

static int tell(const struct cli *cli, const struct repo_point_entry *point, const struct repo_boot *boot)
{
    struct wire_text t = {0};

    if (cli->options & CLI_OPTION_JSON) {
        wire_text_format(&t, "{\"point\":\"%s/%s\",\"ok\":%s,\"milliseconds\":%" PRIu64 ",\"by\":", point->identity, point->time,
                         boot->is_ok ? "true" : "false", boot->ms);
        wire_text_string(&t, boot->by);
        wire_text_adds(&t, ",\"error\":");
        wire_text_string(&t, boot->error);
        wire_text_adds(&t, "}\n");
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
static int test(const struct cli *cli, struct repo *repo, const struct repo_point_entry *point, const struct boot_wish *wish)
{
    struct repo_boot boot = {0};
    const char *by = "";
    struct err e = {0}, unsaved = {0};
    int r, told;

    boot.is_ok = boot_run(wish, &by, &boot.ms, &e) == 0;
    wire_text_copy(boot.point, sizeof(boot.point), point->time);
    wire_text_copy(boot.by, sizeof(boot.by), by);
    wire_text_copy(boot.error, sizeof(boot.error), e.text);
    if (e.code == EINTR)
        return backup_fail(cli, &e, hint_of(e.code), "boot test");
    r = repo_boot_save(repo, point->identity, &boot, &unsaved);
    told = tell(cli, point, &boot);
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
                                        .is_file = is_file}};
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

int cmd_backup_boot(struct cli *cli)
{
    AUTO(repo) struct repo *repo = NULL;
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    struct repo_point_entry point;
    char repository[PATHS_SIZE];
    struct boot_wish wish;
    struct cli_problem p;
    struct err e = {0};
    uint64_t bytes = 0, id = 0;
    int r = wish_read(cli, &wish);

    if (r == CLI_DONE)
        r = backup_path(cli, repository);
    if (r == CLI_DONE)
        r = backup_open(cli, &repo);
    if (r == CLI_DONE)
        r = backup_point(cli, repo, cli->args[0], &point, &m);
    if (r != CLI_DONE)
        return r;
    wish.repository = repository;
    wish.manifest = m;
    if (memory_find(&wish, &bytes, &e) < 0)
        return backup_fail(cli, &e, hint_of(0), "cannot start the guest");
    wish.signal_fd = signals_take();
    r = reserve(cli, bytes, wish.within_ms, &id, &p);
    r = r == CLI_DONE ? test(cli, repo, &point, &wish) : cli_complain(cli, &p);
    if (id)
        give_back(cli, id);
    (void)close(wish.signal_fd);
    return r;
}
