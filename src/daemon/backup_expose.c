/* SPDX-License-Identifier: Apache-2.0 */
#include "backup_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api_body.h"
#include "text.h"
#include "wire_field.h"

/* Exposures: asked for, renewed, released. They are jobs as backups are (backup.c). */

#define LEASE_MIN_MS (WINDOW_LEASE_MIN_USEC / 1000)
#define LEASE_MAX_MS (WINDOW_LEASE_MAX_USEC / 1000)

struct expose_request {
    char guest[WIRE_NAME_SIZE];
    char freeze[16];
    char since[WIRE_NAME_SIZE * 2]; /* a checkpoint, or GUEST/TIME */
    char checkpoint[WIRE_NAME_SIZE];
    uint64_t lease_ms;
};

static const struct wire_field expose_fields[] = {
    WIRE_FIELD(expose_request, TEXT, guest),      WIRE_FIELD(expose_request, TEXT, freeze),
    WIRE_FIELD(expose_request, TEXT, since),      WIRE_FIELD(expose_request, TEXT, checkpoint),
    WIRE_FIELD(expose_request, U64, lease_ms),
};

/* False: ret says what is wrong. */
static bool read_lease(uint64_t lease_ms, uint64_t *ret_usec, struct api_reply *ret)
{
    *ret_usec = lease_ms == WIRE_UNKNOWN ? WINDOW_LEASE_DEFAULT_USEC : lease_ms * 1000;
    if (lease_ms == WIRE_UNKNOWN || (lease_ms >= LEASE_MIN_MS && lease_ms <= LEASE_MAX_MS))
        return true;
    api_reply_error(ret, 400, "give a second to a week; a longer exposure is renewed", "a lease of %" PRIu64 " ms is not possible",
                    lease_ms);
    return false;
}

static bool refuse_busy(struct backup *b, const char *guest, struct api_reply *ret)
{
    struct backup_job *job = backup_find_running(b, guest);

    if (job && backup_job_is_exposure(job))
        api_reply_error(ret, 409, "ballast backup release it first; ballast backup exposed shows it", "guest '%s' is exposed already",
                        guest);
    else if (job)
        api_reply_error(ret, 409, "expose it when that has ended, or ballast backup run's Ctrl-C gives it up",
                        "guest '%s' is being backed up", guest);
    return job != NULL;
}

static void request_expose(struct backup *b, const struct api_request *rq, struct api_reply *ret)
{
    struct window_config window = {.mode = WINDOW_EXPOSE};
    const struct engine_guest *g;
    struct expose_request x;
    struct backup_job *job;
    struct err e = {0};

    if (!api_body_read(rq, expose_fields, sizeof(expose_fields) / sizeof(expose_fields[0]), NULL, &x, ret) ||
        !read_lease(x.lease_ms, &window.lease_usec, ret))
        return;
    window.since = x.since[0] ? x.since : NULL;
    window.checkpoint = x.checkpoint[0] ? x.checkpoint : NULL;
    g = engine_find(backup_engine(b), x.guest);
    if (!g)
        api_reply_no_guest(rq->source, x.guest, ret);
    else if (x.freeze[0] && !backup_freeze_parse(x.freeze, &window.freeze))
        api_reply_error(ret, 400, "require, prefer or never", "'%s' is no way to freeze", text_show(x.freeze, strlen(x.freeze)).s);
    else if (window.checkpoint && !window_checkpoint_is_valid(window.checkpoint))
        api_reply_error(ret, 400, "take at most 40 letters, digits, '.', '_' and '-', beginning with a letter or digit",
                        "'%s' is no name for a checkpoint", text_show(x.checkpoint, strlen(x.checkpoint)).s);
    else if (window.checkpoint && window.since && strcmp(x.checkpoint, x.since) == 0)
        api_reply_error(ret, 400, "name the new one differently, and forget the old one with the release when its copy is whole",
                        "checkpoint '%s' can't begin anew while its changes are read", x.checkpoint);
    else if (refuse_busy(b, x.guest, ret))
        return;
    else if (backup_begin_exposure(b, g->vm, &window, x.freeze[0], &job, &e) < 0)
        api_reply_error(ret, 503, "see ballast show of that guest; try again when its monitor answers", "%s", e.text);
    else
        backup_job_print(job, &ret->body);
}

struct release_request {
    char exposure[WIRE_NAME_SIZE]; /* a guest, or a job's number */
    char forget[WIRE_NAME_SIZE];
};

static const struct wire_field release_fields[] = {
    WIRE_FIELD(release_request, TEXT, exposure),
    WIRE_FIELD(release_request, TEXT, forget),
};

static struct backup_job *find(struct backup *b, const char *word, struct api_reply *ret)
{
    struct backup_job *job = backup_find_exposure(b, word);

    if (!job)
        api_reply_error(ret, 404, "ballast backup exposed lists what is", "nothing of the name or number '%s' is exposed",
                        text_show(word, strlen(word)).s);
    return job;
}

static void request_release(struct backup *b, const struct api_request *rq, struct api_reply *ret)
{
    struct release_request release;
    struct backup_job *job;
    struct err e = {0};

    if (!api_body_read(rq, release_fields, sizeof(release_fields) / sizeof(release_fields[0]), NULL, &release, ret) ||
        !(job = find(b, release.exposure, ret)))
        return;
    if (backup_job_release(job, release.forget[0] ? release.forget : NULL, &e) < 0)
        api_reply_error(ret, 404, "it is not released; do so without --forget, or name the right one", "%s", e.text);
    else
        backup_job_print(job, &ret->body);
}

struct renew_request {
    char exposure[WIRE_NAME_SIZE];
    uint64_t lease_ms;
};

static const struct wire_field renew_fields[] = {
    WIRE_FIELD(renew_request, TEXT, exposure),
    WIRE_FIELD(renew_request, U64, lease_ms),
};

static void request_renew(struct backup *b, const struct api_request *rq, struct api_reply *ret)
{
    struct renew_request renew;
    struct backup_job *job;
    uint64_t lease_usec;

    if (!api_body_read(rq, renew_fields, sizeof(renew_fields) / sizeof(renew_fields[0]), NULL, &renew, ret) ||
        !read_lease(renew.lease_ms, &lease_usec, ret) || !(job = find(b, renew.exposure, ret)))
        return;
    backup_job_renew(job, lease_usec);
    backup_job_print(job, &ret->body);
}

void backup_expose_request(struct backup *b, enum api_operation what, const struct api_request *rq, struct api_reply *ret)
{
    if (what == API_OPERATION_EXPOSE)
        request_expose(b, rq, ret);
    else if (what == API_OPERATION_EXPOSE_RELEASE)
        request_release(b, rq, ret);
    else
        request_renew(b, rq, ret);
}
