/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "backup_cli.h"
#include "client.h"
#include "progress.h"
#include "text.h"
#include "units.h"
#include "wire_field.h"

/* `ballast backup run`: ballastd does it; this asks, watches and tells. Several guests are one group, which ballastd stops at
 * one instant; with --each they go one after the other. */

#define RUN_JOBS_MAX 16 /* a group has no more (WINDOW_GROUP_MAX) */

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
    bool warnings, abandoned;
    uint64_t pushed_bytes, wanted_bytes, data_bytes, stored_bytes; /* of all disks */
};

static const struct wire_field job_fields[] = {
    WIRE_FIELD(run_job, U64, job),         WIRE_FIELD(run_job, U64, freeze_ms), WIRE_FIELD(run_job, U64, stall_ms),
    WIRE_FIELD(run_job, TEXT, guest),      WIRE_FIELD(run_job, TEXT, state),    WIRE_FIELD(run_job, TEXT, phase),
    WIRE_FIELD(run_job, TEXT, consistency), WIRE_FIELD(run_job, TEXT, point),   WIRE_FIELD(run_job, TEXT, error),
    WIRE_FIELD(run_job, TEXT, hint),       WIRE_FIELD(run_job, TEXT, left),     WIRE_FIELD(run_job, BOOL, warnings),
    WIRE_FIELD(run_job, BOOL, abandoned),
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

/* What is backed up together: one guest, or a group. */
struct run_set {
    size_t n;
    struct run_job jobs[RUN_JOBS_MAX];
    struct json_object *documents[RUN_JOBS_MAX]; /* the jobs, as they came */
};

static void set_forget(struct run_set *s)
{
    for (size_t i = 0; i < s->n; i++) {
        json_object_put(s->documents[i]);
        s->documents[i] = NULL;
    }
}

/* Takes the documents of its jobs from a list; false: one is not there. */
static bool set_find(struct run_set *s, struct json_object *list)
{
    size_t found = 0;

    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; !s->documents[i] && k < json_object_array_length(list); k++) {
            struct json_object *json = json_object_array_get_idx(list, k);
            struct err ignored = {0};
            struct run_job j;

            if (job_read(json, &j, &ignored) < 0 || j.job != s->jobs[i].job)
                continue;
            s->jobs[i] = j;
            s->documents[i] = json_object_get(json);
            found++;
        }
    return found == s->n;
}

static int set_look(const struct cli *cli, struct run_set *s, struct cli_problem *p)
{
    struct json_object *json = NULL, *jobs;
    struct wire_text body = {0};
    struct err e = {0};
    bool is_there = false;
    int r = client_get(cli, "/v1/backup", NULL, &body, p);

    set_forget(s);
    if (r == CLI_DONE && wire_json_parse(body.data, body.length, &json, &e) < 0)
        r = not_ours(cli, &e, p);
    wire_text_done(&body);
    if (r != CLI_DONE)
        return r;
    if (json_object_object_get_ex(json, "jobs", &jobs) && json_object_is_type(jobs, json_type_array))
        is_there = set_find(s, jobs);
    json_object_put(json);
    return is_there ? CLI_DONE
                    : cli_problem_set(p, CLI_FAILED, "it may have been started anew: its log tells; ballast backup list shows "
                                      "what points there are", "ballastd knows nothing of this backup any more");
}

/* The answer to run: a job, or {"jobs":[...]}. */
static int set_read(struct json_object *json, struct run_set *ret, struct err *e)
{
    struct json_object *jobs;
    int r = 0;

    *ret = (struct run_set){0};
    if (!json_object_object_get_ex(json, "jobs", &jobs)) {
        ret->n = 1;
        return job_read(json, &ret->jobs[0], e);
    }
    if (!json_object_is_type(jobs, json_type_array) || json_object_array_length(jobs) == 0 ||
        json_object_array_length(jobs) > RUN_JOBS_MAX)
        return err_set(e, EBADMSG, "'jobs' is no list of backups");
    for (size_t i = 0; r == 0 && i < json_object_array_length(jobs); i++)
        r = job_read(json_object_array_get_idx(jobs, i), &ret->jobs[ret->n++], e);
    return r;
}

/* Several guests meet at one instant. */
static int set_begin(const struct cli *cli, char *const *guests, size_t n, struct run_set *ret, struct cli_problem *p)
{
    const char *freeze = cli_value(cli, CLI_OPTION_FREEZE);
    struct wire_text body = {0}, answer = {0};
    struct client_request rq = {.path = "/v1/backup/run"};
    struct json_object *json = NULL;
    struct err e = {0};
    int r;

    wire_text_adds(&body, n > 1 ? "{\"guests\":[" : "{\"guest\":");
    for (size_t i = 0; i < n; i++) {
        wire_text_adds(&body, i ? "," : "");
        wire_text_string(&body, guests[i]);
    }
    wire_text_adds(&body, n > 1 ? "]" : "");
    if (freeze) {
        wire_text_adds(&body, ",\"freeze\":");
        wire_text_string(&body, freeze);
    }
    wire_text_adds(&body, "}");
    rq.body = body.data;
    r = client_ask(cli, &rq, &answer, p);
    if (r == CLI_DONE && (wire_json_parse(answer.data, answer.length, &json, &e) < 0 || set_read(json, ret, &e) < 0))
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

/* How far a job is, by its phase. */
static size_t rank_of(const struct run_job *j)
{
    static const char *const phases[] = {"prepare", "freeze", "thaw", "copy", "teardown", "commit"};
    size_t rank = 0;

    if (strcmp(j->state, "running") != 0)
        return COUNT(phases);
    while (rank + 1 < COUNT(phases) && strcmp(phases[rank], j->phase) != 0)
        rank++;
    return rank;
}

/* One line for each phase, that of the one that is least far, with percent and rate of all where bytes are known. */
static void show_phase(const struct cli *cli, const struct run_set *s, struct progress *p, char phase[16])
{
    const struct run_job *last = &s->jobs[0];
    uint64_t pushed = 0, wanted = 0;
    char what[64], more[32] = "";
    bool is_copy;

    for (size_t i = 0; i < s->n; i++) {
        last = rank_of(&s->jobs[i]) < rank_of(last) ? &s->jobs[i] : last;
        pushed += s->jobs[i].pushed_bytes;
        wanted += s->jobs[i].wanted_bytes;
    }
    is_copy = strcmp(last->phase, "copy") == 0;
    if (s->n > 1)
        (void)snprintf(more, sizeof(more), " + %zu", s->n - 1);
    if (strcmp(phase, last->phase) != 0) {
        progress_end(p);
        (void)snprintf(what, sizeof(what), "%.20s%s: %s", s->jobs[0].guest, more, is_copy ? "copying" : last->phase);
        progress_start(p, cli, what);
        wire_text_copy(phase, 16, last->phase);
    }
    progress_update(p, is_copy ? pushed : 0, is_copy ? wanted : 0);
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

static bool is_running(const struct run_set *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->jobs[i].state, "running") == 0)
            return true;
    return false;
}

/* Waits until all have ended; Ctrl-C gives all of them up. */
static int set_watch(const struct cli *cli, struct run_set *s, struct cli_problem *p)
{
    const uint64_t begun_ms = now_ms();
    bool is_cancelled = false;
    struct progress progress;
    char phase[16] = "";
    int r;

    progress_start(&progress, cli, s->jobs[0].guest);
    while ((r = set_look(cli, s, p)) == CLI_DONE && is_running(s)) {
        show_phase(cli, s, &progress, phase);
        for (size_t i = 0; is_interrupted && !is_cancelled && i < s->n; i++)
            job_cancel(cli, s->jobs[i].job);
        is_cancelled = is_interrupted;
        pause_since(begun_ms);
    }
    progress_end(&progress);
    return r;
}

/* What became of one: its document, or its lines, to out. */
static int job_tell(const struct cli *cli, const struct run_job *j, struct json_object *json, struct wire_text *out,
                    struct cli_problem *p)
{
    if (cli->options & CLI_OPTION_JSON)
        wire_text_adds(out, json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN));
    else if (strcmp(j->state, "done") == 0)
        show_done(cli, j, json, out);
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

static int worse(int a, int b)
{
    return b == CLI_UNREACHABLE || a == CLI_DONE || (a == CLI_WARNINGS && b != CLI_DONE) ? b : a;
}

/* Begins, watches and tells; *first: no document is in out yet. */
static int run_set(struct cli *cli, char *const *guests, size_t n, struct wire_text *out, bool *first)
{
    struct run_set *s = calloc(1, sizeof(*s));
    struct cli_problem p = {0};
    int worst, r;

    if (!s)
        return cli_complain(cli, (cli_problem_set(&p, CLI_FAILED, NULL, "no memory"), &p));
    worst = set_begin(cli, guests, n, s, &p);
    if (worst == CLI_DONE)
        worst = set_watch(cli, s, &p);
    if (worst != CLI_DONE)
        (void)cli_complain(cli, &p);
    for (size_t i = 0; worst != CLI_UNREACHABLE && i < s->n && s->documents[i]; i++) {
        p = (struct cli_problem){0};
        wire_text_adds(out, cli->options & CLI_OPTION_JSON && !*first ? "," : "");
        *first = false;
        r = job_tell(cli, &s->jobs[i], s->documents[i], out, &p);
        if (p.text.error[0] && !s->jobs[i].abandoned) /* who failed says so, not those who waited for it */
            (void)cli_complain(cli, &p);
        worst = worse(worst, r);
    }
    set_forget(s);
    free(s);
    return worst;
}

int cmd_backup_run(struct cli *cli)
{
    size_t n = (size_t)cli->arg_count, at_once = cli->options & CLI_OPTION_EACH ? 1 : n;
    struct wire_text out = {0};
    struct cli_problem p;
    bool is_first = true;
    int worst = CLI_DONE, r;

    if (cli->options & CLI_OPTION_OFF && n == 1)
        return backup_off_run(cli);
    if (cli->options & (CLI_OPTION_OFF | CLI_OPTION_DISK | CLI_OPTION_REPOSITORY))
        return cli_complain(cli, (cli_problem_set(&p, CLI_USAGE, "ballast backup run --off GUEST --disk NAME=FILE",
                                                  "--off takes one guest; --disk and --repository go with it"), &p));
    watch_signals();
    if (cli->options & CLI_OPTION_JSON)
        wire_text_adds(&out, "{\"jobs\":[");
    for (size_t i = 0; i < n && !is_interrupted; i += at_once)
        worst = worse(worst, run_set(cli, cli->args + i, at_once, &out, &is_first));
    if (cli->options & CLI_OPTION_JSON)
        wire_text_adds(&out, "]}\n");
    r = out.length > 0 ? cli_write(cli, &out) : CLI_DONE;
    wire_text_done(&out);
    return worst != CLI_DONE ? worst : r;
}
