/* SPDX-License-Identifier: Apache-2.0 */
#include "backup_verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "child.h"
#include "log.h"
#include "paths.h"
#include "qmp_message.h"
#include "wire_field.h"

struct backup_verify {
    struct backup_verify_env env;
    const struct config *config;
    char repository[PATHS_SIZE]; /* that is spoken of below; "": none */
    struct child *child;
    bool is_verifying;  /* the child does; else it reads the last result */
    bool has_answered;
    bool must_read;     /* the last result is to be read (again) */
    bool is_known;      /* it was, or can't be: the schedule may go by it */
    bool was_told;      /* of damage */
    int64_t now_sec;    /* of the last look */
    int64_t last_sec;   /* last verification; 0: none known */
    int64_t told_sec;   /* the one that was told of last */
    int64_t next_sec;   /* 0: never */
    uint64_t damaged, victims;
};

static void plan(struct backup_verify *v)
{
    struct err e = {0};

    v->next_sec = 0;
    if (v->config->backup.verifies &&
        calendar_next(&v->config->backup.verify_at, v->last_sec ? v->last_sec : v->now_sec, &v->next_sec, &e) < 0)
        v->next_sec = 0;
}

static void tell_bad(struct backup_verify *v, const char *text)
{
    v->was_told = true;
    v->told_sec = v->last_sec;
    v->env.tell(v->env.user, true, text);
}

/* The same result, read again, is told once. */
static void judge(struct backup_verify *v)
{
    char text[ERR_TEXT_SIZE];

    if (v->victims > 0 && v->told_sec != v->last_sec) {
        (void)snprintf(text, sizeof(text), "%" PRIu64 " chunks of the backups in '%s' are damaged, and %" PRIu64 " disks of points need "
                       "them: 'ballast backup verify' names them; the next backups of these guests read in full and heal what they can",
                       v->damaged, v->repository, v->victims);
        tell_bad(v, text);
    } else if (v->victims == 0 && v->was_told) {
        v->was_told = false;
        (void)snprintf(text, sizeof(text), "no damage is found any more in the backups in '%s'", v->repository);
        v->env.tell(v->env.user, false, text);
    }
}

static void failed(struct backup_verify *v, const char *why)
{
    char text[ERR_TEXT_SIZE];

    if (!v->is_verifying) {
        log_debug("what the last verification of '%s' found is not known: %s", v->repository, why);
        return; /* backups tell of a repository that is gone */
    }
    v->last_sec = v->now_sec;
    (void)snprintf(text, sizeof(text), "the backups in '%s' can't be verified: %.200s", v->repository, why);
    tell_bad(v, text);
}

static void on_line(void *user, const char *line, size_t len)
{
    struct json_object *answer = NULL, *verified;
    struct backup_verify *v = user;
    const char *error = "";
    struct err e = {0};
    uint64_t sec = 0;

    v->has_answered = true;
    if (wire_json_parse(line, len, &answer, &e) < 0) {
        failed(v, e.text);
    } else if (qmp_get_string(answer, "error", &error)) {
        failed(v, error);
    } else if (qmp_get_object(answer, "verified", &verified) && qmp_get_u64(verified, "time_sec", &sec) &&
               qmp_get_u64(verified, "damaged", &v->damaged) && qmp_get_u64(verified, "victims", &v->victims)) {
        v->last_sec = (int64_t)sec < v->now_sec || v->is_verifying ? (int64_t)sec : v->now_sec; /* none is in the future */
        if (v->is_verifying)
            log_info("the backups in '%s' were verified: %" PRIu64 " damaged chunks", v->repository, v->damaged);
        judge(v);
    }
    json_object_put(answer);
}

static void on_ended(void *user, int status)
{
    struct backup_verify *v = user;
    char why[64];

    v->child = child_free(v->child);
    (void)snprintf(why, sizeof(why), "ballast-prepare ended with status %d", status);
    if (!v->has_answered)
        failed(v, why);
    v->is_known = true;
    plan(v);
}

static void begin(struct backup_verify *v, bool is_verifying)
{
    const struct child_config child = {.loop = v->env.loop, .program = "ballast-prepare", .input_fd = -1, .line = on_line,
                                       .ended = on_ended, .user = v};
    struct wire_text order = {0};
    struct err e = {0};
    int r;

    v->is_verifying = is_verifying;
    v->has_answered = v->must_read = false;
    wire_text_adds(&order, is_verifying ? "{\"verify\":" : "{\"verified\":");
    wire_text_string(&order, v->repository);
    wire_text_format(&order, ",\"sample\":%u}\n", v->config->backup.verify_sample);
    r = order.failed ? err_set(&e, ENOMEM, "no memory") : child_start(&child, &v->child, &e);
    if (r >= 0 && (r = child_write(v->child, order.data, order.length, &e)) < 0)
        v->child = child_free(v->child);
    if (r >= 0)
        child_end_input(v->child);
    wire_text_done(&order);
    if (r >= 0)
        return;
    failed(v, e.text);
    v->is_known = true;
    plan(v);
}

void backup_verify_look(struct backup_verify *v, int64_t now_sec)
{
    const struct config_backup *b = &v->config->backup;

    v->now_sec = now_sec;
    if (!v->repository[0] || v->child)
        return;
    if (v->must_read)
        begin(v, /* is_verifying= */ false);
    else if (v->is_known && v->next_sec && v->next_sec <= now_sec && !calendar_in_hours(now_sec, b->quiet_from_min, b->quiet_to_min))
        begin(v, /* is_verifying= */ true);
}

void backup_verify_again(struct backup_verify *v)
{
    v->must_read = true;
}

void backup_verify_configure(struct backup_verify *v, const struct config *config)
{
    const char *repository = config->backup_repository ? config->backup_repository : "";

    v->config = config;
    if (strcmp(repository, v->repository) != 0) {
        v->child = child_free(v->child);
        wire_text_copy(v->repository, sizeof(v->repository), repository);
        v->must_read = true;
        v->is_known = v->was_told = false;
        v->last_sec = v->told_sec = 0;
        v->damaged = v->victims = 0;
    }
    plan(v);
}

int backup_verify_new(const struct backup_verify_env *env, struct backup_verify **ret, struct err *e)
{
    struct backup_verify *v = calloc(1, sizeof(*v));

    if (!v)
        return err_set(e, ENOMEM, "no memory for verifications");
    v->env = *env;
    *ret = v;
    return 0;
}

struct backup_verify *backup_verify_free(struct backup_verify *v)
{
    if (!v)
        return NULL;
    v->child = child_free(v->child);
    free(v);
    return NULL;
}

static void print_time(struct wire_text *t, const char *name, int64_t sec)
{
    if (sec)
        wire_text_format(t, "\"%s\":%" PRId64 ",", name, sec);
    else
        wire_text_format(t, "\"%s\":null,", name);
}

void backup_verify_print(const struct backup_verify *v, struct wire_text *t)
{
    wire_text_adds(t, "\"verify\":{");
    print_time(t, "last_sec", v->last_sec);
    print_time(t, "next_sec", v->next_sec);
    wire_text_format(t, "\"running\":%s,\"damaged_chunks\":%" PRIu64 ",\"damaged_disks\":%" PRIu64 "}",
                     v->child && v->is_verifying ? "true" : "false", v->damaged, v->victims);
}
