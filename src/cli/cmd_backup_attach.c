/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backup_cli.h"
#include "client.h"
#include "serve_run.h"
#include "text.h"
#include "units.h"
#include "wire_disk.h"
#include "wire_field.h"

/* backup attach: nbdkit serves the disk as our child, ballastd plugs it into the guest. The socket loses its name once QEMU is
 * connected: nobody else ever gets in, and nothing is left behind. */

#define ASK_MS 100
#define ASKS_MAX 300      /* QEMU has 2 s for each of some ten commands */
#define GREETING_SEC 60   /* the index of a large disk, from a slow repository */
#define NBDKIT_END_SEC 5
#define LOOK_MS 1000      /* whether the guest is still there */
#define LET_GO_SEC 30     /* a Linux guest takes 5 at most; one that has it mounted never lets go */

struct attachment {
    const struct cli *cli;
    const char *guest;
    sigset_t awaited;     /* blocked, so that what ends us is waited for */
    bool is_ended;        /* told to end */
    pid_t nbdkit;         /* 0: it does not run */
    char socket[PATHS_SOCKET_SIZE];
    struct wire_disk disk;
    struct cli_problem p;
};

/* ---- ballastd ---- */

static int ask(struct attachment *a, const char *suffix, const char *body)
{
    const struct client_request rq = {.path = "/v1/guests/", .name = a->guest, .suffix = suffix, .body = body};
    struct wire_text json = {0};
    struct err e = {0};
    int r = client_ask(a->cli, &rq, &json, &a->p);

    if (r == CLI_DONE && wire_disk_parse(json.data, json.length, &a->disk, &e) < 0)
        r = cli_problem_set(&a->p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' does not tell how it went: %s",
                            a->cli->socket_path, e.text);
    wire_text_done(&json);
    return r;
}

static bool is_state(const struct attachment *a, const char *state)
{
    return strcmp(a->disk.state, state) == 0;
}

/* A moment; a signal that ends us makes it shorter and is kept. */
static void pause_ms(struct attachment *a, long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    int number = sigtimedwait(&a->awaited, NULL, &time);

    a->is_ended = a->is_ended || (number > 0 && number != SIGCHLD);
}

/* One order, until it is over. */
static int order(struct attachment *a, const char *suffix, const char *body)
{
    int r = ask(a, suffix, body);

    for (int i = 0; r == CLI_DONE && is_state(a, WIRE_DISK_RUNNING); i++) {
        if (i == ASKS_MAX)
            return cli_problem_set(&a->p, CLI_FAILED, "try again when its QEMU answers: ballast show tells",
                                   "the QEMU of guest '%s' does not answer", a->guest);
        pause_ms(a, ASK_MS);
        r = ask(a, "/disk", NULL);
    }
    if (r == CLI_DONE && is_state(a, WIRE_DISK_FAILED))
        r = cli_problem_set(&a->p, CLI_FAILED, a->disk.hint[0] ? a->disk.hint : NULL, "%s", a->disk.text);
    return r;
}

/* Asks the guest for a disk (id "": any) until it has let go of it. */
static int take_back(struct attachment *a, const char *id)
{
    struct wire_text body = {0};
    int r = CLI_DONE;

    wire_text_adds(&body, "{");
    if (id[0]) {
        wire_text_adds(&body, "\"id\":");
        wire_text_string(&body, id);
    }
    wire_text_adds(&body, "}");
    for (int i = 0; r == CLI_DONE; i++) {
        r = order(a, "/disk/remove", body.data);
        if (r != CLI_DONE || !is_state(a, WIRE_DISK_LEFT))
            break;
        if (i == LET_GO_SEC * 1000 / ASK_MS)
            r = cli_problem_set(&a->p, CLI_FAILED, "unmount it there, then: ballast backup detach GUEST; or shut the guest down",
                                "guest '%s' does not let go of the disk '%s'", a->guest, a->disk.id);
        pause_ms(a, ASK_MS);
    }
    wire_text_done(&body);
    return r;
}

/* ---- nbdkit ---- */

static bool nbdkit_has_ended(struct attachment *a)
{
    if (a->nbdkit && waitpid(a->nbdkit, NULL, WNOHANG) == a->nbdkit)
        a->nbdkit = 0;
    return !a->nbdkit;
}

/* One that waits for a repository that does not answer is not waited for. */
static void nbdkit_end(struct attachment *a)
{
    if (!a->nbdkit)
        return;
    (void)kill(a->nbdkit, SIGTERM);
    for (int i = 0; i < NBDKIT_END_SEC * 1000 / ASK_MS && !nbdkit_has_ended(a); i++)
        pause_ms(a, ASK_MS);
    if (a->nbdkit)
        (void)kill(a->nbdkit, SIGKILL);
}

/* The NBD server's first words, all at once; then farewell, as its protocol has it: without, nbdkit complains. */
static bool greeting_read(int fd)
{
    static const char farewell[] = "\0\0\0\1IHAVEOPT\0\0\0\2\0\0\0"; /* fixed newstyle; NBD_OPT_ABORT, no data */
    char words[18];

    if (read(fd, words, sizeof(words)) != (ssize_t)sizeof(words) || memcmp(words, "NBDMAGIC", 8) != 0)
        return false;
    if (write(fd, farewell, sizeof(farewell)) == (ssize_t)sizeof(farewell))
        while (read(fd, words, sizeof(words)) > 0)
            ; /* its answer, and its end */
    return true;
}

/* QEMU, and its guest with it, stands still while it connects: not before the server is heard. */
static int greeting_await(struct attachment *a)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", a->socket);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return cli_problem_set(&a->p, CLI_FAILED, NULL, "cannot connect to '%s': %s", a->socket, strerror(errno));
    for (int i = 0; i < GREETING_SEC * 1000 / ASK_MS && !a->is_ended; i++) {
        if (nbdkit_has_ended(a))
            return cli_problem_set(&a->p, CLI_FAILED, "what it said stands above; ballast backup verify tells more",
                                   "nbdkit does not serve the disk");
        if (poll(&ready, 1, 0) > 0 && greeting_read(fd))
            return CLI_DONE;
        pause_ms(a, ASK_MS);
    }
    return cli_problem_set(&a->p, CLI_FAILED, a->is_ended ? NULL : "is the repository's file system slow, or its server away?",
                           a->is_ended ? "given up" : "nbdkit does not answer");
}

/* For QEMU's user, who must connect, and for nobody else. */
static int socket_give(struct attachment *a)
{
    if (a->disk.uid == WIRE_UNKNOWN || a->disk.uid == geteuid() || chown(a->socket, (uid_t)a->disk.uid, (gid_t)-1) == 0)
        return CLI_DONE;
    return cli_problem_set(&a->p, CLI_FAILED, "run this as root",
                           "the user of the guest's QEMU (uid %" PRIu64 ") can't be given the socket: %s", a->disk.uid,
                           strerror(errno));
}

/* ---- attach ---- */

static int plug(struct attachment *a, const char *disk)
{
    struct wire_text body = {0};
    int r;

    wire_text_adds(&body, "{\"socket\":");
    wire_text_string(&body, a->socket);
    wire_text_adds(&body, ",\"name\":");
    wire_text_string(&body, disk);
    wire_text_format(&body, ",\"writable\":%s}", a->cli->options & CLI_OPTION_WRITABLE ? "true" : "false");
    r = order(a, "/disk", body.data);
    wire_text_done(&body);
    return r;
}

static int announce(const struct attachment *a, const struct repo_point_entry *point, const struct repo_disk *disk)
{
    const struct cli *cli = a->cli;
    bool writable = cli->options & CLI_OPTION_WRITABLE;
    struct wire_text t = {0};

    if (cli->options & CLI_OPTION_JSON) {
        wire_text_format(&t, "{\"point\":\"%s/%s\",\"disk\":", point->identity, point->time);
        wire_text_string(&t, disk->name);
        wire_text_adds(&t, ",\"guest\":");
        wire_text_string(&t, a->guest);
        wire_text_format(&t, ",\"size_bytes\":%" PRIu64 ",\"writable\":%s,\"id\":", disk->size_bytes, writable ? "true" : "false");
        wire_text_string(&t, a->disk.id);
        wire_text_adds(&t, ",\"serial\":");
        wire_text_string(&t, a->disk.serial);
        wire_text_adds(&t, "}\n");
    } else {
        wire_text_format(&t, "%s/%s, disk ", point->identity, point->time);
        (void)term_text(&cli->term, &t, disk->name, 0);
        wire_text_format(&t, " (%s): guest ", units_show_size(disk->size_bytes).s);
        (void)term_text(&cli->term, &t, a->guest, 0);
        wire_text_adds(&t, " has it until Ctrl-C, Linux at /dev/disk/by-id/virtio-");
        (void)term_text(&cli->term, &t, a->disk.serial, 0);
        wire_text_adds(&t, writable ? "\nWhat is written is thrown away at the end. " : "\nRead-only. ");
        wire_text_adds(&t, "Unmount it in the guest before.\n");
    }
    if (backup_write(cli, &t) != CLI_DONE || fflush(cli->out) != 0)
        return CLI_FAILED;
    return CLI_DONE;
}

/* A ballastd that is away may come back. */
static bool guest_is_gone(struct attachment *a)
{
    const uint64_t uid = a->disk.uid;

    return ask(a, "/disk", NULL) == CLI_FAILED || (uid != WIRE_UNKNOWN && a->disk.uid == WIRE_UNKNOWN);
}

/* Until we are told to end, or nbdkit or the guest ends; then the guest is asked for it back. */
static int hold(struct attachment *a)
{
    char id[sizeof(a->disk.id)];
    bool is_lost;
    int r;

    memcpy(id, a->disk.id, sizeof(id));
    while (!a->is_ended && !nbdkit_has_ended(a)) {
        pause_ms(a, LOOK_MS);
        if (!a->is_ended && guest_is_gone(a))
            return cli_problem_set(&a->p, CLI_FAILED, NULL, "guest '%s' has ended", a->guest);
    }
    is_lost = !a->nbdkit;
    r = take_back(a, id);
    if (r == CLI_DONE && is_lost)
        r = cli_problem_set(&a->p, CLI_FAILED, "what it said stands above; the guest was given I/O errors from then on, and the "
                            "disk is taken from it", "nbdkit, which served the disk, has ended");
    return r;
}

static int attach(struct attachment *a, const struct serve_wish *wish, const struct repo_point_entry *point,
                  const struct repo_disk *disk)
{
    struct err e = {0};
    int fd = serve_listen(a->socket, &e), r = CLI_DONE;

    if (fd < 0)
        return backup_fail(a->cli, &e, NULL, "cannot serve the disk");
    if (serve_start(wish, fd, &a->nbdkit, &e) < 0) {
        (void)unlink(a->socket);
        return backup_fail(a->cli, &e, SERVE_HINT, "cannot serve the disk");
    }
    (void)close(fd);
    r = greeting_await(a);
    if (r == CLI_DONE)
        r = socket_give(a);
    if (r == CLI_DONE)
        r = plug(a, disk->name);
    (void)unlink(a->socket);
    if (r == CLI_DONE) {
        a->is_ended = announce(a, point, disk) != CLI_DONE || a->is_ended;
        r = hold(a);
    }
    nbdkit_end(a);
    return r == CLI_DONE ? r : cli_complain(a->cli, &a->p);
}

static void signals_take(struct attachment *a)
{
    (void)sigemptyset(&a->awaited);
    (void)sigaddset(&a->awaited, SIGINT);
    (void)sigaddset(&a->awaited, SIGTERM);
    (void)sigaddset(&a->awaited, SIGHUP);
    (void)sigaddset(&a->awaited, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &a->awaited, NULL);
}

/* Beside ballastd's own socket: its QEMU can get there. */
static int socket_name(struct attachment *a)
{
    const char *slash = strrchr(a->cli->socket_path, '/');
    const int length = slash ? (int)(slash - a->cli->socket_path) : 0;
    char directory[PATHS_SIZE], *real;
    int n;

    (void)snprintf(directory, sizeof(directory), "%.*s", length ? length : 1, slash ? a->cli->socket_path : ".");
    real = realpath(directory, NULL);
    n = snprintf(a->socket, sizeof(a->socket), "%s/restore-%ld.nbd", real ? real : "", (long)getpid());
    free(real);
    return n < (int)sizeof(a->socket) ? CLI_DONE :
           cli_problem_set(&a->p, CLI_FAILED, "give ballastd a shorter --runtime-dir", "the path of the socket is too long: '%s'",
                           a->socket);
}

int cmd_backup_attach(struct cli *cli)
{
    AUTO(repo) struct repo *repo = NULL;
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    struct attachment a = {.cli = cli, .guest = cli->args[2]};
    const struct repo_disk *disk;
    struct repo_point_entry point;
    char repository[PATHS_SIZE];
    struct serve_wish wish;
    int r = backup_path(cli, repository);

    if (r == CLI_DONE)
        r = backup_open(cli, &repo);
    if (r == CLI_DONE)
        r = backup_point(cli, repo, cli->args[0], &point, &m);
    if (r != CLI_DONE)
        return r;
    disk = repo_manifest_disk(m, cli->args[1]);
    if (!disk)
        r = cli_problem_set(&a.p, CLI_FAILED, "ballast backup show POINT lists its disks", "the point has no disk '%s'",
                            text_show(cli->args[1], strlen(cli->args[1])).s);
    if (r == CLI_DONE)
        r = ask(&a, "/disk", NULL);
    if (r == CLI_DONE)
        r = socket_name(&a);
    if (r != CLI_DONE)
        return cli_complain(cli, &a.p);
    wish = (struct serve_wish){.repository = repository, .identity = point.identity, .time = point.time, .disk = disk->name,
                               .is_writable = cli->options & CLI_OPTION_WRITABLE};
    signals_take(&a);
    return attach(&a, &wish, &point, disk);
}

int cmd_backup_detach(struct cli *cli)
{
    struct attachment a = {.cli = cli, .guest = cli->args[0]};
    struct wire_text t = {0};
    unsigned count = 0;
    int r;

    signals_take(&a);
    if (cli->options & CLI_OPTION_JSON)
        wire_text_adds(&t, "{\"removed\":[");
    while ((r = take_back(&a, "")) == CLI_DONE && is_state(&a, WIRE_DISK_DONE)) {
        if (cli->options & CLI_OPTION_JSON) {
            wire_text_adds(&t, count ? "," : "");
            wire_text_string(&t, a.disk.id);
        } else {
            wire_text_format(&t, "%s is taken from the guest\n", a.disk.id);
        }
        count++;
    }
    if (cli->options & CLI_OPTION_JSON)
        wire_text_adds(&t, "]}\n");
    else if (count == 0 && r == CLI_DONE)
        wire_text_adds(&t, "The guest has no disk of a point.\n");
    if (r != CLI_DONE)
        (void)cli_complain(cli, &a.p);
    return backup_write(cli, &t) == CLI_DONE ? r : CLI_FAILED;
}
