/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "backup_cli.h"
#include "client.h"
#include "text.h"
#include "units.h"
#include "wire_field.h"

/* `ballast backup expose`, `exposed`, `renew`, `release`: ballastd does it; this asks, waits and tells. */

#define POLL_MS 100
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A job of kind "expose" as GET /v1/backup has it, and its "exposure" (docs/api.md). */
struct exposure {
    uint64_t job, freeze_ms, stall_ms;
    char guest[WIRE_ERROR_TEXT_SIZE / 8], kind[16], state[16], consistency[16];
    char error[WIRE_ERROR_TEXT_SIZE], hint[WIRE_ERROR_TEXT_SIZE], left[WIRE_ERROR_TEXT_SIZE];
    bool exposed, from_repository;
    uint64_t age_ms, lease_left_ms, fleece_bytes, clients, sent_bytes;
};

static const struct wire_field job_fields[] = {
    WIRE_FIELD(exposure, U64, job),       WIRE_FIELD(exposure, U64, freeze_ms), WIRE_FIELD(exposure, U64, stall_ms),
    WIRE_FIELD(exposure, TEXT, guest),    WIRE_FIELD(exposure, TEXT, kind),     WIRE_FIELD(exposure, TEXT, state),
    WIRE_FIELD(exposure, TEXT, consistency), WIRE_FIELD(exposure, TEXT, error), WIRE_FIELD(exposure, TEXT, hint),
    WIRE_FIELD(exposure, TEXT, left),
};

static const struct wire_field exposure_fields[] = {
    WIRE_FIELD(exposure, BOOL, exposed),    WIRE_FIELD(exposure, BOOL, from_repository),
    WIRE_FIELD(exposure, U64, age_ms),      WIRE_FIELD(exposure, U64, lease_left_ms),
    WIRE_FIELD(exposure, U64, fleece_bytes), WIRE_FIELD(exposure, U64, clients),
    WIRE_FIELD(exposure, U64, sent_bytes),
};

static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    is_interrupted = 1;
}

/* False: it is none of an exposure. */
static bool job_read(struct json_object *json, struct exposure *ret)
{
    struct json_object *inner;
    struct err e = {0};

    *ret = (struct exposure){0};
    return json_object_object_get_ex(json, "exposure", &inner) &&
           wire_fields_parse(json, job_fields, COUNT(job_fields), ret, &e) == 0 && strcmp(ret->kind, "expose") == 0 &&
           wire_fields_parse(inner, exposure_fields, COUNT(exposure_fields), ret, &e) == 0;
}

static int not_ours(const struct cli *cli, struct cli_problem *p)
{
    return cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' is none of ballastd's", cli->socket_path);
}

/* All jobs there are: *ret_all is the caller's, *ret_jobs an array in it. */
static int jobs_get(const struct cli *cli, struct json_object **ret_all, struct json_object **ret_jobs, struct cli_problem *p)
{
    struct wire_text body = {0};
    struct err e = {0};
    int r = client_get(cli, "/v1/backup", NULL, &body, p);

    *ret_all = *ret_jobs = NULL;
    if (r == CLI_DONE && (wire_json_parse(body.data, body.length, ret_all, &e) < 0 ||
                          !json_object_object_get_ex(*ret_all, "jobs", ret_jobs) ||
                          !json_object_is_type(*ret_jobs, json_type_array)))
        r = not_ours(cli, p);
    wire_text_done(&body);
    return r;
}

/* Sends the request; the job that it answers with goes to *ret, and with ret_json its document, the caller's. */
static int ask(const struct cli *cli, const char *path, const struct wire_text *body, struct exposure *ret, struct cli_problem *p)
{
    struct client_request rq = {.path = path, .body = body->data};
    struct json_object *json = NULL;
    struct wire_text answer = {0};
    struct err e = {0};
    int r = client_ask(cli, &rq, &answer, p);

    if (r == CLI_DONE && (wire_json_parse(answer.data, answer.length, &json, &e) < 0 || !job_read(json, ret)))
        r = not_ours(cli, p);
    json_object_put(json);
    wire_text_done(&answer);
    return r;
}

static void print_member(struct wire_text *t, const char *key, const char *value)
{
    if (!value)
        return;
    wire_text_format(t, ",\"%s\":", key);
    wire_text_string(t, value);
}

/* --lease, where given; false: p says that it is no time. */
static bool print_lease(const struct cli *cli, struct wire_text *t, struct cli_problem *p)
{
    const char *text = cli_value(cli, CLI_OPTION_LEASE);
    struct err e = {0};
    uint64_t usec = 0;

    if (!text)
        return true;
    if (units_parse_time(text, strlen(text), &usec, &e) < 0) {
        (void)cli_problem_set(p, CLI_USAGE, "write it as 30min or \"2 h\"", "--lease: %s", e.text);
        return false;
    }
    wire_text_format(t, ",\"lease_ms\":%" PRIu64, usec / 1000);
    return true;
}

/* The job of that number: its document is the caller's. */
static int job_look(const struct cli *cli, uint64_t number, struct json_object **ret_json, struct exposure *ret, struct cli_problem *p)
{
    struct json_object *all, *jobs;
    int r = jobs_get(cli, &all, &jobs, p);

    *ret_json = NULL;
    for (size_t i = 0; r == CLI_DONE && !*ret_json && i < json_object_array_length(jobs); i++) {
        struct json_object *job = json_object_array_get_idx(jobs, i);

        if (job_read(job, ret) && ret->job == number)
            *ret_json = json_object_get(job);
    }
    json_object_put(all);
    if (r == CLI_DONE && !*ret_json)
        r = cli_problem_set(p, CLI_FAILED, "it may have been started anew: its log tells", "ballastd knows nothing of this exposure "
                            "any more");
    return r;
}

static void release_quietly(const struct cli *cli, uint64_t number)
{
    struct wire_text body = {0};
    struct exposure ignored;
    struct cli_problem p;

    wire_text_format(&body, "{\"exposure\":\"%" PRIu64 "\"}", number);
    (void)ask(cli, "/v1/backup/release", &body, &ignored, &p); /* it shows in what becomes of the job */
    wire_text_done(&body);
}

/* Until it is exposed, or has ended; Ctrl-C takes it back. */
static int wait_for(const struct cli *cli, struct exposure *x, bool until_exposed, struct json_object **ret_json, struct cli_problem *p)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    bool is_released = false;
    int r;

    while ((r = job_look(cli, x->job, ret_json, x, p)) == CLI_DONE) {
        if (strcmp(x->state, "running") != 0 || (until_exposed && x->exposed))
            return CLI_DONE;
        json_object_put(*ret_json);
        *ret_json = NULL;
        if (until_exposed && is_interrupted && !is_released) {
            is_released = true;
            release_quietly(cli, x->job);
        }
        (void)nanosleep(&pause, NULL); /* a signal only makes it look earlier */
    }
    return r;
}

/* ---- what is shown ---- */

static const char *text_in(struct json_object *json, const char *key)
{
    struct json_object *value;

    return json_object_object_get_ex(json, key, &value) && json_object_is_type(value, json_type_string)
               ? json_object_get_string(value) : NULL;
}

static void show_list(const struct cli *cli, struct json_object *json, const char *key, struct wire_text *t)
{
    struct json_object *list;

    if (!json_object_object_get_ex(json, key, &list) || !json_object_is_type(list, json_type_array))
        return;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *uri = json_object_is_type(item, json_type_string) ? json_object_get_string(item) : text_in(item, "uri");
        const char *changes = text_in(item, "changes");

        wire_text_adds(t, "  ");
        (void)term_text(&cli->term, t, uri ? uri : "", 0);
        if (changes)
            wire_text_adds(t, "  changes: ");
        if (changes)
            (void)term_text(&cli->term, t, changes, 0);
        wire_text_adds(t, "\n");
    }
}

static void show(const struct cli *cli, const struct exposure *x, struct json_object *json, struct wire_text *t)
{
    const char *consistency = strcmp(x->consistency, "fs") == 0       ? "file systems frozen"
                              : strcmp(x->consistency, "paused") == 0 ? "guest paused"
                                                                      : "as after a power failure";
    struct json_object *inner;

    (void)term_text(&cli->term, t, x->guest, 0);
    wire_text_format(t, " (%" PRIu64 "): exposed for %s, %s left of its lease%s; %s, stopped for %" PRIu64 " ms; ", x->job,
                     units_show_time(x->age_ms * 1000).s, units_show_time(x->lease_left_ms * 1000).s,
                     x->from_repository ? ", from the repository" : "", consistency, x->stall_ms);
    wire_text_format(t, "%s of old data kept, %" PRIu64 " clients\n", units_show_size(x->fleece_bytes).s, x->clients);
    if (json_object_object_get_ex(json, "exposure", &inner))
        show_list(cli, inner, "exports", t);
    show_list(cli, json, "notes", t);
}

static int show_one(const struct cli *cli, const struct exposure *x, struct json_object *json)
{
    struct wire_text t = {0};

    if (cli->options & CLI_OPTION_JSON)
        wire_text_format(&t, "%s\n", json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN));
    else
        show(cli, x, json, &t);
    return backup_write(cli, &t);
}

/* ---- the commands ---- */

static int expose(const struct cli *cli, struct cli_problem *p)
{
    struct json_object *json = NULL;
    struct wire_text body = {0};
    struct exposure x = {0};
    int r;

    wire_text_adds(&body, "{\"guest\":");
    wire_text_string(&body, cli->args[0]);
    print_member(&body, "freeze", cli_value(cli, CLI_OPTION_FREEZE));
    print_member(&body, "since", cli_value(cli, CLI_OPTION_SINCE));
    print_member(&body, "checkpoint", cli_value(cli, CLI_OPTION_CHECKPOINT));
    r = print_lease(cli, &body, p) ? CLI_DONE : CLI_USAGE;
    wire_text_adds(&body, "}");
    if (r == CLI_DONE)
        r = ask(cli, "/v1/backup/expose", &body, &x, p);
    wire_text_done(&body);
    if (r == CLI_DONE)
        r = wait_for(cli, &x, /* until_exposed= */ true, &json, p);
    if (r == CLI_DONE && !x.exposed)
        r = cli_problem_set(p, CLI_FAILED, x.hint, "%s", x.error[0] ? x.error : "the exposure has ended already");
    else if (r == CLI_DONE)
        r = show_one(cli, &x, json);
    if (r == CLI_DONE && strcmp(x.consistency, "fs") != 0) {
        const char *freeze = cli_value(cli, CLI_OPTION_FREEZE);

        r = freeze && strcmp(freeze, "never") == 0 ? CLI_DONE : CLI_WARNINGS; /* as ballast backup run */
    }
    json_object_put(json);
    return r;
}

int cmd_backup_expose(struct cli *cli)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND}; /* a second one ends us */
    struct cli_problem p = {0};
    int r;

    is_interrupted = 0;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    r = expose(cli, &p);
    return p.text.error[0] ? cli_complain(cli, &p) : r;
}

int cmd_backup_renew(struct cli *cli)
{
    struct wire_text body = {0}, t = {0};
    struct cli_problem p = {0};
    struct exposure x;
    int r;

    wire_text_adds(&body, "{\"exposure\":");
    wire_text_string(&body, cli->args[0]);
    r = print_lease(cli, &body, &p) ? CLI_DONE : CLI_USAGE;
    wire_text_adds(&body, "}");
    if (r == CLI_DONE)
        r = ask(cli, "/v1/backup/renew", &body, &x, &p);
    wire_text_done(&body);
    if (r != CLI_DONE)
        return cli_complain(cli, &p);
    if (cli->options & CLI_OPTION_JSON)
        wire_text_format(&t, "{\"job\":%" PRIu64 ",\"lease_left_ms\":%" PRIu64 "}\n", x.job, x.lease_left_ms);
    else
        wire_text_format(&t, "its lease ends in %s\n", units_show_time(x.lease_left_ms * 1000).s);
    return backup_write(cli, &t);
}

/* Waits until nothing of it is left. */
int cmd_backup_release(struct cli *cli)
{
    struct json_object *json = NULL;
    struct wire_text body = {0}, t = {0};
    struct cli_problem p = {0};
    struct exposure x;
    int r;

    wire_text_adds(&body, "{\"exposure\":");
    wire_text_string(&body, cli->args[0]);
    print_member(&body, "forget", cli_value(cli, CLI_OPTION_FORGET));
    wire_text_adds(&body, "}");
    r = ask(cli, "/v1/backup/release", &body, &x, &p);
    wire_text_done(&body);
    if (r == CLI_DONE)
        r = wait_for(cli, &x, /* until_exposed= */ false, &json, &p);
    if (r == CLI_DONE && x.left[0])
        r = cli_problem_set(&p, CLI_WARNINGS, "the next backup of the guest tries again", "%s", x.left);
    if (r == CLI_DONE && strcmp(x.state, "failed") == 0 && x.age_ms > 0)
        r = cli_problem_set(&p, CLI_FAILED, x.hint, "it had ended before: %s", x.error);
    if (r == CLI_DONE && (cli->options & CLI_OPTION_JSON)) {
        wire_text_format(&t, "%s\n", json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN));
        r = backup_write(cli, &t);
    }
    json_object_put(json);
    return p.text.error[0] ? cli_complain(cli, &p) : r;
}

int cmd_backup_exposed(struct cli *cli)
{
    struct json_object *all = NULL, *jobs = NULL;
    struct cli_problem p = {0};
    struct wire_text t = {0};
    size_t shown = 0;
    int r = jobs_get(cli, &all, &jobs, &p);

    if (r == CLI_DONE && (cli->options & CLI_OPTION_JSON))
        wire_text_adds(&t, "{\"exposures\":[");
    for (size_t i = 0; r == CLI_DONE && i < json_object_array_length(jobs); i++) {
        struct json_object *json = json_object_array_get_idx(jobs, i);
        struct exposure x;

        if (!job_read(json, &x) || !x.exposed)
            continue;
        if (cli->options & CLI_OPTION_JSON)
            wire_text_format(&t, "%s%s", shown ? "," : "", json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN));
        else
            show(cli, &x, json, &t);
        shown++;
    }
    json_object_put(all);
    if (r != CLI_DONE) {
        wire_text_done(&t);
        return cli_complain(cli, &p);
    }
    if (cli->options & CLI_OPTION_JSON)
        wire_text_adds(&t, "]}\n");
    else if (shown == 0)
        wire_text_adds(&t, "nothing is exposed\n");
    return backup_write(cli, &t);
}
