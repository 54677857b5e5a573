/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backup_cli.h"
#include "fresh.h"
#include "progress.h"
#include "script.h"
#include "serve_run.h"
#include "start_run.h"
#include "text.h"
#include "units.h"

/* backup start: a guest runs from the repository at once, as another one: its name, UUID and MAC are new, and it has no network but
 * what is asked for, since the guest it was may still run. */

#define LONGEST_ENDING ".console"

struct starting {
    const struct cli *cli;
    const char *name, *into;
    const struct repo_point_entry *point;
    struct start_wish wish;
    char directory[PATH_MAX], uuid[FRESH_UUID_SIZE], mac[FRESH_MAC_SIZE];
    uint64_t begun_ms;
    struct progress progress;
};

static uint64_t now_ms(void)
{
    struct timespec ts = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static const char *hint_of(int code)
{
    switch (code) {
    case ENOPKG:
        return SERVE_HINT;
    case EEXIST:
        return "name another directory";
    case EINTR:
        return "nothing is left of it";
    default:
        return "ballast backup show POINT tells how the guest was started; ballast backup restore POINT DIRECTORY copies its disks";
    }
}

/* What would end us is waited for instead. */
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

/* ---- before it starts ---- */

/* --into, made where it isn't there; else a new one that goes away at the end. */
static int directory_make(struct starting *s, struct err *e)
{
    const char *slash = strrchr(s->cli->socket_path, '/');
    char wanted[PATH_MAX];
    struct stat st;
    int length = slash ? (int)(slash - s->cli->socket_path) : 0;

    if (s->into) {
        if (strlen(s->into) >= sizeof(wanted))
            return err_set(e, ENAMETOOLONG, "the path '%.60s...' is too long", s->into);
        if (mkdir(s->into, 0700) < 0 && errno != EEXIST)
            return err_set(e, errno, "cannot create '%s': %s", s->into, strerror(errno));
        (void)snprintf(wanted, sizeof(wanted), "%s", s->into);
    } else {
        if (length == 0 || length > PATHS_SOCKET_SIZE)
            length = 0;
        (void)snprintf(wanted, sizeof(wanted), "%.*s/start-XXXXXX", length, s->cli->socket_path);
        if (length == 0 || !mkdtemp(wanted)) { /* ballastd never ran here */
            (void)snprintf(wanted, sizeof(wanted), "/tmp/ballast-XXXXXX");
            if (!mkdtemp(wanted))
                return err_set(e, errno, "cannot create a directory in '/tmp': %s", strerror(errno));
        }
    }
    if (!realpath(wanted, s->directory) || stat(s->directory, &st) < 0)
        return err_set(e, errno, "cannot use '%s': %s", wanted, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ENOTDIR, "'%s' is no directory", s->directory);
    if (strlen(s->directory) + strlen(s->name) + sizeof("/" LONGEST_ENDING) > PATHS_SOCKET_SIZE || strchr(s->directory, ','))
        return err_set(e, EINVAL, "the path '%.80s' is too long for the guest's sockets, or has a comma", s->directory);
    return 0;
}

static void directory_clean(const struct starting *s)
{
    static const char *const endings[] = {"qmp", "qga", "console", "log", "vnc", "errors"};
    char path[PATH_MAX + 64];

    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s.%s", s->directory, s->name, endings[i]);
        (void)unlink(path); /* what is not there is fine */
    }
    if (!s->into)
        (void)rmdir(s->directory);
}

static int names_check(const struct starting *s)
{
    const char *nic = s->wish.stage.nic;
    struct cli_problem p;

    if (!text_is_name(s->name, strlen(s->name)) || strchr(s->name, ',')) {
        (void)cli_problem_set(&p, CLI_USAGE, "1 to 63 bytes, without blanks, commas, slashes and quotes",
                              "'%s' can't be the name of a guest", text_show(s->name, strlen(s->name)).s);
        return cli_complain(s->cli, &p);
    }
    if (nic && (strstr(nic, "mac=") || strcmp(nic, "none") == 0)) {
        (void)cli_problem_set(&p, CLI_USAGE, "as QEMU's -nic has it, without a MAC: --nic user, --nic bridge,br=br0; none without",
                              "--nic '%s' is not taken", text_show(nic, strlen(nic)).s);
        return cli_complain(s->cli, &p);
    }
    for (size_t i = 0; i < s->wish.manifest->disk_count; i++)
        if (strchr(s->wish.manifest->disks[i].name, ',')) {
            (void)cli_problem_set(&p, CLI_FAILED, "restore it instead: ballast backup restore", "the point has a disk whose name "
                                  "has a comma");
            return cli_complain(s->cli, &p);
        }
    return CLI_DONE;
}

/* How to start it again when its disks are here. */
static int script_make(const struct starting *s, struct err *e)
{
    AUTO(boot_line) struct boot_line *line = NULL;
    const int none[REPO_DISKS_MAX] = {0};
    struct boot_stage stage = s->wish.stage;
    char path[PATH_MAX + 16], comment[PATH_MAX + 1024];
    int r;

    stage.is_alone = true;
    r = boot_line_stage(s->wish.manifest, &s->wish.host, none, &stage, &line, e);
    if (r < 0)
        return r;
    (void)snprintf(path, sizeof(path), "%s/start.sh", s->directory);
    (void)snprintf(comment, sizeof(comment),
                   "Starts guest '%s' again, which ballast backup start made from %s/%s.\n"
                   "While a disk is not copied whole (qemu-img info shows a backing file), it needs the point:\n"
                   "  ballast backup serve %s/%s DISK %s/DISK.nbd\n",
                   s->name, s->point->identity, s->point->time, s->point->identity, s->point->time, s->directory);
    return script_write(path, comment, (const char *const *)line->argv, line->count, e);
}

/* ---- what is told ---- */

static void print_json(const struct starting *s, const struct start *run, struct wire_text *t)
{
    static const char *const sockets[][2] = {{"monitor", "qmp"}, {"agent", "qga"}, {"console", "console"}, {"screen", "vnc"}};
    char path[PATH_MAX + 80];

    wire_text_format(t, "{\"point\":\"%s/%s\",\"name\":", s->point->identity, s->point->time);
    wire_text_string(t, s->name);
    wire_text_format(t, ",\"uuid\":\"%s\",\"pid\":%ld,\"milliseconds\":%" PRIu64 ",\"kept\":%s,\"network\":%s,\"directory\":", s->uuid,
                     (long)start_pid(run), now_ms() - s->begun_ms, s->into ? "true" : "false", s->wish.stage.nic ? "true" : "false");
    wire_text_string(t, s->directory);
    for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
        wire_text_format(t, ",\"%s\":", sockets[i][0]);
        (void)snprintf(path, sizeof(path), "%s/%s.%s", s->directory, s->name, sockets[i][1]);
        if (access(path, F_OK) == 0)
            wire_text_string(t, path);
        else
            wire_text_adds(t, "null");
    }
    wire_text_adds(t, "}\n");
}

static int announce(const struct starting *s, const struct start *run)
{
    const struct cli *cli = s->cli;
    struct wire_text t = {0};

    if (cli->options & CLI_OPTION_JSON) {
        print_json(s, run, &t);
    } else {
        wire_text_format(&t, "%s runs from %s/%s (process %ld, started in %s), ", s->name, s->point->identity, s->point->time,
                         (long)start_pid(run), units_show_time((now_ms() - s->begun_ms) * 1000).s);
        wire_text_format(&t, s->wish.stage.nic ? "MAC %s\n" : "without network\n", s->mac);
        wire_text_format(&t, "  monitor  %s/%s.qmp\n", s->directory, s->name);
        wire_text_format(&t, "  console  socat -,raw,echo=0,escape=0x1d UNIX-CONNECT:%s/%s.console   (Ctrl-] leaves it)\n", s->directory,
                         s->name);
        wire_text_format(&t, "  screen   VNC on the unix socket %s/%s.vnc\n", s->directory, s->name);
        if (s->into)
            wire_text_format(&t, "Its disks are copied to %s while it runs; kill %ld ends it.\n", s->directory, (long)start_pid(run));
        else
            wire_text_adds(&t, "Ctrl-C ends it, and what it wrote is thrown away.\n");
    }
    return backup_write(cli, &t) == CLI_DONE && fflush(cli->out) == 0 ? CLI_DONE : CLI_FAILED;
}

static void show(void *user, size_t done, size_t total)
{
    struct starting *s = user;

    progress_update(&s->progress, done, total);
}

static int copied(const struct starting *s)
{
    struct wire_text t = {0};

    if (s->cli->options & CLI_OPTION_JSON)
        return CLI_DONE; /* one document */
    wire_text_format(&t, "All of it is copied: the guest needs the repository no more. %s/start.sh starts it again.\n", s->directory);
    return backup_write(s->cli, &t);
}

/* ---- while it runs ---- */

static int copy(struct starting *s, struct start *run)
{
    struct cli_problem p;
    struct err e = {0};
    int r;

    progress_start(&s->progress, s->cli, "copying");
    r = start_copy(run, show, s, &e);
    progress_end(&s->progress);
    if (r == 0)
        return copied(s);
    if (r == -EINTR)
        (void)cli_problem_set(&p, CLI_WARNINGS, "leave the repository where it is until qemu-img info -U shows no backing file",
                              "the guest runs on, and so does the copy of its disks");
    else if (r == -ECHILD)
        (void)cli_problem_set(&p, CLI_FAILED, "start.sh in its directory tells how to go on", "%s, and its disks are not copied whole",
                              e.text);
    else
        (void)cli_problem_set(&p, CLI_FAILED, "the guest runs on, from the repository; block-stream in its monitor tries again",
                              "%s", e.text);
    return cli_complain(s->cli, &p);
}

static int run_it(struct starting *s)
{
    AUTO(start) struct start *run = NULL;
    struct err e = {0};
    int r = 0;

    if (s->into)
        r = script_make(s, &e);
    if (r == 0 && s->into)
        r = start_overlays(&s->wish, &e);
    if (r == 0)
        r = start_new(&s->wish, &run, &e);
    if (r < 0)
        return backup_fail(s->cli, &e, hint_of(e.code), "cannot start the guest");
    r = announce(s, run);
    if (s->into)
        return r == CLI_DONE ? copy(s, run) : r;
    (void)start_await_end(run, &e);
    return r;
}

int cmd_backup_start(struct cli *cli)
{
    AUTO(repo) struct repo *repo = NULL;
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct starting s = {.cli = cli, .name = cli->args[1], .into = cli_value(cli, CLI_OPTION_INTO), .begun_ms = now_ms()};
    char repository[PATHS_SIZE];
    struct repo_point_entry point;
    struct err e = {0};
    int r = backup_path(cli, repository);

    if (r == CLI_DONE)
        r = backup_open(cli, &repo);
    if (r == CLI_DONE)
        r = backup_point(cli, repo, cli->args[0], &point, &m);
    if (r != CLI_DONE)
        return r;
    s.point = &point;
    s.wish = (struct start_wish){.repository = repository, .manifest = m,
                                 .host = {.has_kvm = access("/dev/kvm", R_OK | W_OK) == 0, .cpus = cpus > 0 ? (unsigned)cpus : 1,
                                          .is_file = boot_file_may_be_read},
                                 .stage = {.name = s.name, .uuid = s.uuid, .mac = s.mac, .nic = cli_value(cli, CLI_OPTION_NIC),
                                           .directory = s.directory, .has_overlays = s.into != NULL}};
    fresh_uuid(s.uuid);
    fresh_mac(s.mac);
    r = names_check(&s);
    if (r != CLI_DONE)
        return r;
    if (directory_make(&s, &e) < 0)
        return backup_fail(cli, &e, NULL, "cannot start the guest");
    s.wish.signal_fd = signals_take();
    r = run_it(&s);
    if (!s.into)
        directory_clean(&s);
    (void)close(s.wish.signal_fd);
    return r;
}
