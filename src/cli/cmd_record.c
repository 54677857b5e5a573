/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "units.h"
#include "wire_record.h"

/* ballast record [FILE] [--for TIME]: fetches piece by piece what ballastd records, and writes it. */

#define RECORD_PAUSE_USEC 200000 /* ballastd keeps minutes of it: no hurry */
#define RECORD_TAIL_SIZE 256     /* of the record: its last line says how it ended */

struct recording {
    struct cli *cli;
    FILE *out;
    const char *path;        /* NULL: stdout */
    uint64_t id, bytes, for_usec; /* for_usec 0: until Ctrl-C */
    bool ended;
    char tail[RECORD_TAIL_SIZE + 1];
    struct cli_problem p;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* Ctrl-C ends the recording, and not the program before the last piece is there. */
static void signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    interrupted = 0;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

static uint64_t now_usec(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail for this clock */
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int out_open(struct recording *r)
{
    int fd;

    if (!r->path && r->cli->term.is_terminal)
        return cli_problem_set(&r->p, CLI_USAGE, "ballast record FILE, or a pipe behind it",
                               "a record is not for reading on a terminal");
    if (!r->path) {
        r->out = r->cli->out;
        return CLI_DONE;
    }
    fd = open(r->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        r->out = fdopen(fd, "w");
    if (r->out)
        return CLI_DONE;
    if (fd >= 0)
        (void)close(fd); /* nothing was written yet */
    return cli_problem_set(&r->p, CLI_FAILED, errno == EEXIST ? "name another file, or remove this one"
                                                              : "name a file in a directory that you may write to",
                           "cannot make '%s': %s", r->path, strerror(errno));
}

static void tail_keep(struct recording *r, const char *data, size_t length)
{
    size_t have = strlen(r->tail), keep;

    if (length > RECORD_TAIL_SIZE) {
        data += length - RECORD_TAIL_SIZE;
        length = RECORD_TAIL_SIZE;
    }
    keep = have + length > RECORD_TAIL_SIZE ? RECORD_TAIL_SIZE - length : have;
    memmove(r->tail, r->tail + have - keep, keep);
    memcpy(r->tail + keep, data, length);
    r->tail[keep + length] = '\0';
}

/* A piece; *ret_any: something came. */
static int piece_fetch(struct recording *r, bool *ret_any)
{
    struct wire_record_piece piece;
    struct wire_text body = {0};
    struct err e = {0};
    char name[48];
    size_t head = 0, length;
    int code;

    (void)snprintf(name, sizeof(name), "%" PRIu64 "-%" PRIu64, r->id, r->bytes);
    code = client_get(r->cli, "/v1/record/", name, &body, &r->p);
    if (code == CLI_DONE && (wire_record_piece_parse(body.data, body.length, &piece, &head, &e) < 0 ||
                             piece.next != r->bytes + body.length - head))
        code = cli_problem_set(&r->p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' is no piece of a recording",
                               r->cli->socket_path);
    length = body.length - head;
    if (code == CLI_DONE && fwrite(body.data + head, 1, length, r->out) != length)
        code = cli_problem_set(&r->p, CLI_FAILED, "is the disk full?", "cannot write the record: %s", strerror(errno));
    if (code == CLI_DONE) {
        tail_keep(r, body.data + head, length);
        r->bytes += length;
        r->ended = piece.ended;
        *ret_any = length > 0;
    }
    wire_text_done(&body);
    return code;
}

/* POST; *ret_id where not NULL. */
static int request_send(struct recording *r, const char *name, const char *suffix, uint64_t *ret_id)
{
    const struct client_request rq = {.path = name ? "/v1/record/" : "/v1/record", .name = name, .suffix = suffix,
                                      .body = "{}"};
    struct wire_record_piece piece;
    struct wire_text body = {0};
    struct err e = {0};
    size_t head;
    int code = client_ask(r->cli, &rq, &body, &r->p);

    if (code == CLI_DONE && wire_record_piece_parse(body.data, body.length, &piece, &head, &e) < 0)
        code = cli_problem_set(&r->p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' is no recording: %s",
                               r->cli->socket_path, e.text);
    if (code == CLI_DONE && ret_id)
        *ret_id = piece.recording;
    wire_text_done(&body);
    return code;
}

static int recording_run(struct recording *r)
{
    const struct timespec pause = {.tv_nsec = RECORD_PAUSE_USEC * 1000L};
    uint64_t started = now_usec();
    bool stopped = false, any = false;
    char name[24];
    int code;

    (void)snprintf(name, sizeof(name), "%" PRIu64, r->id);
    do {
        bool over = interrupted || (r->for_usec && now_usec() - started >= r->for_usec);

        if (over && !stopped) {
            code = request_send(r, name, "/stop", NULL);
            if (code != CLI_DONE)
                return code;
            stopped = true;
        }
        code = piece_fetch(r, &any);
        if (code == CLI_DONE && !any && !r->ended)
            (void)nanosleep(&pause, NULL); /* cut short by a signal: all the better */
    } while (code == CLI_DONE && !r->ended);
    return code;
}

/* {"end":"lost: ...","decisions":7} */
static int recording_tell(struct recording *r)
{
    const char *last = r->bytes ? strstr(r->tail, "{\"end\":\"") : NULL;
    const char *reason = last ? last + strlen("{\"end\":\"") : "";
    struct wire_text t = {0};
    int code = CLI_DONE;

    if (strncmp(reason, "lost", 4) == 0)
        return cli_problem_set(&r->p, CLI_FAILED, "what was written until then can be replayed; write to a faster disk, or for "
                               "a shorter time", "the recording broke off: %.*s", (int)strcspn(reason, "\""), reason);
    if (!r->path)
        return CLI_DONE;
    if (r->cli->options & CLI_OPTION_JSON) {
        wire_text_adds(&t, "{\"file\":");
        wire_text_string(&t, r->path);
        wire_text_format(&t, ",\"bytes\":%" PRIu64 "}\n", r->bytes);
    } else {
        wire_text_format(&t, "%s of decisions and what they went by are in ", units_show_size(r->bytes).s);
        (void)term_text(&r->cli->term, &t, r->path, 0);
        wire_text_adds(&t, "; see: ballast replay ");
        (void)term_text(&r->cli->term, &t, r->path, 0);
        wire_text_adds(&t, "\n");
    }
    code = cli_write(r->cli, &t);
    r->p.text.error[0] = '\0'; /* a failed write has complained already */
    wire_text_done(&t);
    return code;
}

/* How long, by --for; an error for people otherwise. */
static int time_read(struct recording *r)
{
    const char *text = cli_value(r->cli, CLI_OPTION_FOR);
    struct err e = {0};

    if (!text)
        return CLI_DONE;
    if (units_parse_time(text, strlen(text), &r->for_usec, &e) < 0 || r->for_usec == 0)
        return cli_problem_set(&r->p, CLI_USAGE, "write it as --for \"30 s\" or --for 5min", "--for: %s",
                               e.text[0] ? e.text : "no time at all can't be recorded");
    return CLI_DONE;
}

int cmd_record(struct cli *cli)
{
    struct recording r = {.cli = cli, .path = cli->arg_count > 0 ? cli->args[0] : NULL};
    int code = time_read(&r);

    if (code == CLI_DONE)
        code = out_open(&r);
    if (code == CLI_DONE) {
        code = request_send(&r, NULL, NULL, &r.id);
        if (code != CLI_DONE && r.path)
            (void)unlink(r.path); /* where nobody records, no empty file is left behind */
    }
    if (code == CLI_DONE) {
        signals_catch();
        code = recording_run(&r);
    }
    if (r.path && r.out && fclose(r.out) != 0 && code == CLI_DONE)
        code = cli_problem_set(&r.p, CLI_FAILED, "is the disk full?", "cannot write '%s': %s", r.path, strerror(errno));
    else if (!r.path && r.out && fflush(r.out) != 0 && code == CLI_DONE)
        code = cli_problem_set(&r.p, CLI_FAILED, "is the disk full?", "cannot write the record: %s", strerror(errno));
    if (code == CLI_DONE)
        code = recording_tell(&r);
    return code != CLI_DONE && r.p.text.error[0] ? cli_complain(cli, &r.p) : code;
}
