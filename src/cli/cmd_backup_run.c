/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "backup_cli.h"
#include "client.h"
#include "progress.h"
#include "text.h"
#include "units.h"
#include "wire_field.h"

/* `ballast backup run`: ballastd does it; this asks, watches and tells. Guests go one after the other: their copies would
 * only share the same repository's disk. */

/* Looked at again after an eighth of the time it took so far: nobody waits much longer than the backup lasted, and a long
 * one costs ballastd four answers a second. */
#define POLL_MS_MIN 10
#define POLL_MS_MAX 250
#define POLL_SHARE 8

/* A job as GET /v1/backup has it (docs/api.md). */
struct run_job {
    uint64_t job, freeze_ms, stall_ms;
    char guest[WIRE_ERROR_TEXT_SIZE / 8], state[16], phase[16], consistency[16], point[160];
    char error[WIRE_ERROR_TEXT_SIZE], hint[WIRE_ERROR_TEXT_SIZE], left[WIRE_ERROR_TEXT_SIZE];
    bool warnings;
    uint64_t pushed_bytes, wanted_bytes, data_bytes, stored_bytes; /* of all disks */
};

static const struct wire_field job_fields[] = {
    WIRE_FIELD(run_job, U64, job),         WIRE_FIELD(run_job, U64, freeze_ms), WIRE_FIELD(run_job, U64, stall_ms),
    WIRE_FIELD(run_job, TEXT, guest),      WIRE_FIELD(run_job, TEXT, state),    WIRE_FIELD(run_job, TEXT, phase),
    WIRE_FIELD(run_job, TEXT, consistency), WIRE_FIELD(run_job, TEXT, point),   WIRE_FIELD(run_job, TEXT, error),
    WIRE_FIELD(run_job, TEXT, hint),       WIRE_FIELD(run_job, TEXT, left),     WIRE_FIELD(run_job, BOOL, warnings),
};

struct run_disk {
    uint64_t size_bytes, dirty_bytes, pushed_bytes, data_bytes, stored_bytes;
    char read[16];
};

static const struct wire_field disk_fields[] = {
    WIRE_FIELD(run_disk, U64, size_bytes), WIRE_FIELD(run_disk, U64, dirty_bytes), WIRE_FIELD(run_disk, U64, pushed_bytes),
    WIRE_FIELD(run_disk, U64, data_bytes), WIRE_FIELD(run_disk, U64, stored_bytes), WIRE_FIELD(run_disk, TEXT, read),
};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    is_interrupted = 1;
}

/* ---- answers ---- */

static int job_read(const struct json_object *json, struct run_job *ret, struct err *e)
{
    struct json_object *disks;
    struct run_disk d;
    int r = wire_fields_parse(json, job_fields, COUNT(job_fields), ret, e);

    if (r < 0)
        return r;
    ret->pushed_bytes = ret->wanted_bytes = ret->data_bytes = ret->stored_bytes = 0;
    if (!json_object_object_get_ex(json, "disks", &disks) || !json_object_is_type(disks, json_type_array))
        return 0;
    for (size_t i = 0; i < json_object_array_length(disks); i++) {
        r = wire_fields_parse(json_object_array_get_idx(disks, i), disk_fields, COUNT(disk_fields), &d, e);
        if (r < 0)
            return r;
        ret->pushed_bytes += d.pushed_bytes;
        ret->wanted_bytes += strcmp(d.read, "full") == 0 ? d.size_bytes : d.dirty_bytes;
        ret->data_bytes += d.data_bytes;
        ret->stored_bytes += d.stored_bytes;
    }
    return 0;
}

static int not_ours(const struct cli *cli, const struct err *e, struct cli_problem *p)
{
    return cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' is none of ballastd's: %s",
                           cli->socket_path, e->text);
}

/* *ret_json: the job's document, as it came; the caller's. */
static int job_look(const struct cli *cli, uint64_t number, struct json_object **ret_json, struct run_job *ret,
                    struct cli_problem *p)
{
    struct json_object *json = NULL, *jobs;
    struct wire_text body = {0};
    struct err e = {0};
    int r = client_get(cli, "/v1/backup", NULL, &body, p);

    *ret_json = NULL;
    if (r == CLI_DONE && wire_json_parse(body.data, body.length, &json, &e) < 0)
        r = not_ours(cli, &e, p);
    wire_text_done(&body);
    if (r != CLI_DONE)
        return r;
    if (!json_object_object_get_ex(json, "jobs", &jobs) || !json_object_is_type(jobs, json_type_array))
        jobs = NULL;
    for (size_t i = 0; jobs && !*ret_json && i < json_object_array_length(jobs); i++) {
        struct json_object *job = json_object_array_get_idx(jobs, i);

        if (job_read(job, ret, &e) == 0 && ret->job == number)
            *ret_json = json_object_get(job);
    }
    json_object_put(json);
    if (!*ret_json)
        return cli_problem_set(p, CLI_FAILED, "it may have been started anew: its log tells; ballast backup list shows what "
                               "points there are", "ballastd knows nothing of this backup any more");
    return CLI_DONE;
}

static int job_begin(const struct cli *cli, const char *guest, const char *freeze, struct run_job *ret,
                     struct cli_problem *p)
{
    struct wire_text body = {0}, answer = {0};
    struct client_request rq = {.path = "/v1/backup/run"};
    struct json_object *json = NULL;
    struct err e = {0};
    int r;

    wire_text_adds(&body, "{\"guest\":");
    wire_text_string(&body, guest);
    if (freeze) {
        wire_text_adds(&body, ",\"freeze\":");
        wire_text_string(&body, freeze);
    }
    wire_text_adds(&body, "}");
    rq.body = body.data;
    r = client_ask(cli, &rq, &answer, p);
    if (r == CLI_DONE &&
        (wire_json_parse(answer.data, answer.length, &json, &e) < 0 || job_read(json, ret, &e) < 0))
        r = not_ours(cli, &e, p);
    json_object_put(json);
    wire_text_done(&body);
    wire_text_done(&answer);
    return r;
}

static void job_cancel(const struct cli *cli, uint64_t number)
{
    struct client_request rq = {.path = "/v1/backup/cancel"};
    struct wire_text body = {0}, answer = {0};
    struct cli_problem p;

    wire_text_format(&body, "{\"job\":%" PRIu64 "}", number);
    rq.body = body.data;
    (void)client_ask(cli, &rq, &answer, &p); /* it shows in what becomes of the job */
    wire_text_done(&body);
    wire_text_done(&answer);
}

/* ---- what is shown ---- */

/* One line for each phase, with percent and rate where bytes are known. */
static void show_phase(const struct cli *cli, const struct run_job *j, struct progress *p, char phase[16])
{
    bool is_copy = strcmp(j->phase, "copy") == 0;
    char what[48];

    if (strcmp(phase, j->phase) != 0) {
        progress_end(p);
        (void)snprintf(what, sizeof(what), "%.24s: %s", j->guest, is_copy ? "copying" : j->phase);
        progress_start(p, cli, what);
        wire_text_copy(phase, 16, j->phase);
    }
    progress_update(p, is_copy ? j->pushed_bytes : 0, is_copy ? j->wanted_bytes : 0);
}

static const char *consistency_says(const struct run_job *j)
{
    return strcmp(j->consistency, "fs") == 0       ? "file systems frozen"
           : strcmp(j->consistency, "paused") == 0 ? "guest paused"
                                                   : "as after a power failure";
}

static void show_done(const struct cli *cli, const struct run_job *j, struct json_object *json, struct wire_text *t)
{
    struct json_object *notes;

    (void)term_text(&cli->term, t, j->point, 0);
    wire_text_format(t, "  %s; frozen for %" PRIu64 " ms, stopped for %" PRIu64 " ms; %s read, %s new in the repository\n",
                     consistency_says(j), j->freeze_ms, j->stall_ms, units_show_size(j->pushed_bytes).s,
                     units_show_size(j->stored_bytes).s);
    if (!json_object_object_get_ex(json, "notes", &notes) || !json_object_is_type(notes, json_type_array))
        return;
    for (size_t i = 0; i < json_object_array_length(notes); i++) {
        wire_text_adds(t, "  ");
        (void)term_text(&cli->term, t, json_object_get_string(json_object_array_get_idx(notes, i)), 0);
        wire_text_adds(t, "\n");
    }
}

static uint64_t now_ms(void)
{
    struct timespec t = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* can't fail for this clock */
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void pause_since(uint64_t begun_ms)
{
    uint64_t ms = (now_ms() - begun_ms) / POLL_SHARE;

    ms = ms < POLL_MS_MIN ? POLL_MS_MIN : ms > POLL_MS_MAX ? POLL_MS_MAX : ms;
    (void)nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL); /* a signal only makes it look earlier */
}

/* Waits until it has ended; Ctrl-C gives it up. Adds its document, or its lines, to out. */
static int job_watch(const struct cli *cli, struct run_job *j, struct wire_text *out, struct cli_problem *p)
{
    const uint64_t begun_ms = now_ms();
    struct json_object *json = NULL;
    bool is_cancelled = false;
    struct progress progress;
    char phase[16] = "";
    int r;

    progress_start(&progress, cli, j->guest);
    while ((r = job_look(cli, j->job, &json, j, p)) == CLI_DONE && strcmp(j->state, "running") == 0) {
        json_object_put(json);
        show_phase(cli, j, &progress, phase);
        if (is_interrupted && !is_cancelled) {
            is_cancelled = true;
            job_cancel(cli, j->job);
        }
        pause_since(begun_ms);
    }
    progress_end(&progress);
    if (r != CLI_DONE)
        return r;
    if (cli->options & CLI_OPTION_JSON)
        wire_text_adds(out, json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN));
    else if (strcmp(j->state, "done") == 0)
        show_done(cli, j, json, out);
    json_object_put(json);
    if (strcmp(j->state, "done") != 0)
        return cli_problem_set(p, CLI_FAILED, j->hint, "%s", j->error[0] ? j->error : "the backup failed");
    if (j->left[0])
        return cli_problem_set(p, CLI_WARNINGS, "the next backup of it tries again", "%s", j->left);
    return j->warnings ? CLI_WARNINGS : CLI_DONE;
}

static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND}; /* a second one ends us */

    is_interrupted = 0;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

int cmd_backup_run(struct cli *cli)
{
    const char *freeze = cli_value(cli, CLI_OPTION_FREEZE);
    struct wire_text out = {0};
    bool is_first = true;
    int worst = CLI_DONE, r;

    watch_signals();
    if (cli->options & CLI_OPTION_JSON)
        wire_text_adds(&out, "{\"jobs\":[");
    for (int i = 0; i < cli->arg_count && !is_interrupted; i++) {
        struct cli_problem p = {0};
        struct run_job j;
        size_t before = out.length;

        r = job_begin(cli, cli->args[i], freeze, &j, &p);
        if (r == CLI_DONE) {
            wire_text_adds(&out, cli->options & CLI_OPTION_JSON && !is_first ? "," : "");
            before = out.length;
            r = job_watch(cli, &j, &out, &p);
        }
        is_first = is_first && out.length == before;
        if (r != CLI_DONE && p.text.error[0])
            (void)cli_complain(cli, &p);
        if (r == CLI_UNREACHABLE || worst == CLI_DONE || (worst == CLI_WARNINGS && r != CLI_DONE))
            worst = r;
    }
    if (cli->options & CLI_OPTION_JSON)
        wire_text_adds(&out, "]}\n");
    r = out.length > 0 ? cli_write(cli, &out) : CLI_DONE;
    wire_text_done(&out);
    return worst != CLI_DONE ? worst : r;
}
