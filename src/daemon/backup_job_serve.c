/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>

#include <json-c/json.h>

#include "backup_job_private.h"
#include "log.h"
#include "qmp_message.h"
#include "wire_field.h"

/* An exposure's own: ballast-expose, which stands between it and its clients, and what is told of it. */

static void on_server_line(void *user, const char *line, size_t len)
{
    struct json_object *answer = NULL;
    struct backup_job *job = user;
    const char *text = "";
    struct err e = {0};

    if (job->awaited != WINDOW_SERVER)
        return;
    if (wire_json_parse(line, len, &answer, &e) == 0 && qmp_get_string(answer, "failed", &text))
        (void)err_set(&e, EIO, "%s", text);
    if (e.code) {
        text = "see ballastd's log";
        (void)qmp_get_string(answer, "hint", &text);
        window_hint(job->window, text);
    }
    backup_job_answer(job, WINDOW_SERVER, e.code ? NULL : answer, e.code ? &e : NULL);
    json_object_put(answer);
}

static void on_server_end(void *user, int status)
{
    struct backup_job *job = user;
    bool is_awaited = strcmp(job->awaited_command, "end") == 0;
    struct err e = {0};

    job->server = child_free(job->server);
    if (WIFSIGNALED(status))
        (void)err_set(&e, EIO, "ballast-expose was killed by signal %d", WTERMSIG(status));
    else
        (void)err_set(&e, EIO, "ballast-expose ended with exit code %d", WEXITSTATUS(status));
    backup_job_answer(job, WINDOW_SERVER, NULL, is_awaited ? NULL : &e); /* else the next question finds out */
}

static int start_server(struct backup_job *job, struct err *e)
{
    const struct child_config config = {.loop = job->config.loop, .program = "ballast-expose", .input_fd = -1,
                                        .line = on_server_line, .ended = on_server_end, .user = job};

    job->server = child_free(job->server);
    return child_start(&config, &job->server, e);
}

/* Its connections to QEMU are closed when it has ended, and only then: that is waited for. Where it serves a point it is
 * let go by itself first, as it has sockets to remove. */
static int end_server(struct backup_job *job)
{
    struct window_view v;

    window_look(job->window, &v);
    if (v.from_repository)
        child_end_input(job->server);
    else
        child_kill(job->server);
    return 0;
}

int backup_job_ask_server(struct backup_job *job, const struct window_command *c, struct err *e)
{
    struct wire_text t = {0};
    int r = 0;

    if (strcmp(c->command, "status") != 0 && strcmp(c->command, "end") != 0)
        r = start_server(job, e);
    if (r < 0)
        return r;
    if (!job->server)
        return err_set(e, EPIPE, "ballast-expose has ended");
    if (strcmp(c->command, "end") == 0)
        return end_server(job);
    wire_text_format(&t, "{\"%s\":%s}\n", c->command, c->arguments ? c->arguments : "true");
    r = t.failed ? err_set(e, ENOMEM, "no memory for ballast-expose's order") : child_write(job->server, t.data, t.length, e);
    wire_text_done(&t);
    return r;
}

/* ---- requests ---- */

bool backup_job_is_exposure(const struct backup_job *job)
{
    return job->config.window.mode == WINDOW_EXPOSE;
}

int backup_job_release(struct backup_job *job, const char *forget, struct err *e)
{
    return job->done ? 0 : window_release(job->window, forget, backup_job_now(job), e);
}

void backup_job_renew(struct backup_job *job, uint64_t lease_usec)
{
    if (!job->done)
        window_renew(job->window, lease_usec, backup_job_now(job));
}

/* ---- looking at it ---- */

/* Of one part of a URI: what has no meaning of its own in it. */
static void print_escaped(struct wire_text *t, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";

    for (const char *p = text; *p; p++) {
        if (strchr(plain, *p))
            wire_text_format(t, "%c", *p);
        else
            wire_text_format(t, "%%%02X", (unsigned)(unsigned char)*p);
    }
}

static void print_exports(const struct backup_job *job, const struct window_view *v, struct wire_text *t)
{
    char path[WINDOW_SOCKET_SIZE];

    wire_text_adds(t, ",\"exports\":[");
    for (size_t i = 0; v->is_exposed && i < v->disks_n; i++) {
        struct window_disk_view d;

        window_look_disk(job->window, i, &d);
        window_server_path(job->window, i, path);
        wire_text_adds(t, i ? ",{\"disk\":" : "{\"disk\":");
        wire_text_string(t, d.name);
        wire_text_adds(t, ",\"uri\":\"nbd+unix:///");
        print_escaped(t, d.name);
        wire_text_adds(t, "?socket=");
        print_escaped(t, path);
        wire_text_format(t, "\",\"size_bytes\":%" PRIu64 ",\"changes\":%s}", d.size_bytes,
                         d.tells_changes ? "\"qemu:dirty-bitmap:" WINDOW_SINCE_BITMAP "\"" : "null");
    }
    wire_text_adds(t, "]");
}

static uint64_t since_ms(uint64_t from, uint64_t until)
{
    return from && until > from ? (until - from) / 1000 : 0;
}

void backup_job_print_exposure(const struct backup_job *job, const struct window_view *v, struct wire_text *t)
{
    uint64_t now = backup_job_now(job);

    wire_text_format(t, ",\"exposure\":{\"exposed\":%s,\"from_repository\":%s", v->is_exposed ? "true" : "false",
                     v->from_repository ? "true" : "false");
    wire_text_format(t, ",\"age_ms\":%" PRIu64 ",\"lease_left_ms\":%" PRIu64,
                     since_ms(v->exposed_usec, v->is_exposed ? now : v->unexposed_usec),
                     v->is_exposed ? since_ms(now, v->lease_until_usec) : 0);
    wire_text_format(t, ",\"fleece_bytes\":%" PRIu64 ",\"clients\":%" PRIu64 ",\"sent_bytes\":%" PRIu64, v->fleece_bytes,
                     v->clients, v->sent_bytes);
    backup_job_print_text(t, "since", v->since);
    backup_job_print_text(t, "checkpoint", v->checkpoint);
    backup_job_print_text(t, "end_reason", v->end_reason);
    print_exports(job, v, t);
    wire_text_adds(t, "}");
}
