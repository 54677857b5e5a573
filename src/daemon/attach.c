/* SPDX-License-Identifier: Apache-2.0 */
#include "attach.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_body.h"
#include "api_routes.h"
#include "log.h"
#include "wire_attach.h"

struct attach_job {
    struct attach *owner;
    uint64_t number; /* 0: free; the lowest is the oldest */
    char guest[WIRE_NAME_SIZE];
    struct wire_attach told;
};

struct attach {
    const struct engine *engine;
    uint64_t numbers;
    struct attach_job jobs[ATTACH_KEPT_MAX];
};

int attach_new(const struct engine *engine, struct attach **ret, struct err *e)
{
    struct attach *a = calloc(1, sizeof(*a));

    if (!a)
        return err_set(e, ENOMEM, "no memory to give guests the agent's port");
    a->engine = engine;
    for (size_t i = 0; i < ATTACH_KEPT_MAX; i++)
        a->jobs[i].owner = a;
    *ret = a;
    return 0;
}

struct attach *attach_free(struct attach *a)
{
    free(a);
    return NULL;
}

static bool is_running(const struct attach_job *job)
{
    return job->number && strcmp(job->told.state, WIRE_ATTACH_RUNNING) == 0;
}

static struct attach_job *job_find(struct attach *a, const char *guest)
{
    for (size_t i = 0; i < ATTACH_KEPT_MAX; i++)
        if (a->jobs[i].number && strcmp(a->jobs[i].guest, guest) == 0)
            return &a->jobs[i];
    return NULL;
}

/* A free one, else the oldest that is over; NULL: all are under way. */
static struct attach_job *job_take(struct attach *a)
{
    struct attach_job *best = NULL;

    for (size_t i = 0; i < ATTACH_KEPT_MAX; i++)
        if (!is_running(&a->jobs[i]) && (!best || a->jobs[i].number < best->number))
            best = &a->jobs[i];
    return best;
}

/* ---- the driver's answer ---- */

static void job_fail(struct attach_job *job, const char *options, const struct err *e)
{
    struct wire_attach *t = &job->told;

    wire_text_copy(t->state, sizeof(t->state), WIRE_ATTACH_FAILED);
    wire_text_copy(t->text, sizeof(t->text), e->text);
    if (options[0])
        (void)snprintf(t->hint, sizeof(t->hint), "the port can also be there from the guest's start: add to its QEMU's "
                       "command line %s", options);
    log_warning("guest '%s' is not given the agent's port: %s", job->guest, e->text);
}

static void on_attached(void *user, const struct hv_attached *told, const struct err *e)
{
    struct attach_job *job = user;
    struct wire_attach *t = &job->told;

    wire_text_copy(t->path, sizeof(t->path), told->path);
    wire_text_copy(t->options, sizeof(t->options), told->options);
    if (e) {
        job_fail(job, e->code == EPERM ? "" : told->options, e);
        return;
    }
    wire_text_copy(t->state, sizeof(t->state), WIRE_ATTACH_DONE);
    t->changed = !told->was_there;
    if (told->was_there)
        (void)snprintf(t->text, sizeof(t->text), "guest '%s' has the agent's port already, at %s; start ballast-agent in it",
                       job->guest, told->path);
    else
        (void)snprintf(t->text, sizeof(t->text),
                       "guest '%s' has the agent's port now, at %s; start ballast-agent in it. The port stays over reboots of "
                       "the guest and goes with its QEMU: repeat this then, or add to its command line %s",
                       job->guest, told->path, told->options);
    log_info("guest '%s' %s the agent's port at '%s'", job->guest, told->was_there ? "has" : "was given", told->path);
}

/* ---- requests ---- */

static void start(struct attach *a, const struct engine_guest *g, const struct api_request *rq, struct api_reply *ret)
{
    struct attach_job *job = job_find(a, rq->name);
    struct err e = {0};

    if (!job)
        job = job_take(a);
    if (!job) {
        api_reply_error(ret, 503, "try again in a moment", "%d guests are being given the agent's port", ATTACH_KEPT_MAX);
        return;
    }
    if (!is_running(job)) {
        job->number = ++a->numbers;
        job->told = (struct wire_attach){.state = WIRE_ATTACH_RUNNING};
        wire_text_copy(job->guest, sizeof(job->guest), rq->name);
        log_info("the agent's port for guest '%s' is asked for by uid %lu", job->guest, (unsigned long)rq->peer.uid);
        if (hv_attach(g->vm, on_attached, job, &e) < 0)
            job_fail(job, "", &e);
    }
    wire_attach_print(&ret->body, &job->told);
}

void attach_request(struct attach *a, enum api_operation what, const struct api_request *rq, struct api_reply *ret)
{
    const struct engine_guest *g = engine_find(a->engine, rq->name);
    const struct attach_job *job = job_find(a, rq->name);
    const struct wire_attach none = {.state = WIRE_ATTACH_NONE};

    if (!g && !job) {
        api_reply_no_guest(rq->source, rq->name, ret);
        return;
    }
    if (what == API_OPERATION_ATTACH_STATE) {
        wire_attach_print(&ret->body, job ? &job->told : &none);
        return;
    }
    if (!api_body_read(rq, NULL, 0, NULL, NULL, ret))
        return;
    if (g)
        start(a, g, rq, ret);
    else
        api_reply_no_guest(rq->source, rq->name, ret);
}
