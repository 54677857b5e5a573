/* SPDX-License-Identifier: Apache-2.0 */
#include "api_routes.h"

#include <stdio.h>
#include <string.h>

#include "text.h"
#include "wire_error.h"

/* Names listed in "no such guest": enough to see the typing error, short enough for a terminal. */
#define NAMES_LISTED 12

static void reply_error(struct api_reply *ret, unsigned status, const struct wire_error *error)
{
    ret->status = status;
    wire_error_print(&ret->body, error);
}

static void route_index(const struct api_request *rq, struct api_reply *ret)
{
    (void)rq;
    wire_text_format(&ret->body, "{\"api\":%d,\"routes\":[", WIRE_API_VERSION);
    for (size_t i = 0; i < API_ROUTE_COUNT; i++) {
        wire_text_adds(&ret->body, i > 0 ? ",\n{\"method\":" : "\n{\"method\":");
        wire_text_string(&ret->body, api_routes[i].method);
        wire_text_adds(&ret->body, ",\"path\":");
        wire_text_string(&ret->body, api_routes[i].pattern);
        wire_text_adds(&ret->body, ",\"help\":");
        wire_text_string(&ret->body, api_routes[i].help);
        wire_text_adds(&ret->body, "}");
    }
    wire_text_adds(&ret->body, "]}\n");
}

static void route_version(const struct api_request *rq, struct api_reply *ret)
{
    struct wire_daemon d;

    wire_daemon_clear(&d);
    rq->source->daemon(rq->source->user, &d);
    wire_daemon_print(&ret->body, &d);
}

static void route_status(const struct api_request *rq, struct api_reply *ret)
{
    const struct api_source *source = rq->source;
    struct wire_warning warnings[WIRE_WARNINGS_MAX];
    struct wire_daemon d;
    struct wire_host h;
    struct wire_guest g;
    size_t n;

    wire_daemon_clear(&d);
    wire_host_clear(&h);
    source->daemon(source->user, &d);
    source->host(source->user, &h);
    n = source->warnings(source->user, warnings, WIRE_WARNINGS_MAX);
    wire_status_begin(&ret->body, &d, &h, warnings, n);
    n = source->count(source->user);
    for (size_t i = 0; i < n; i++) {
        wire_guest_clear(&g);
        source->guest(source->user, i, &g);
        wire_status_guest(&ret->body, &g, i == 0);
    }
    wire_status_end(&ret->body);
}

/* "known guests: a, b and 12 more" */
static void names_list(const struct api_source *source, char *to, size_t size)
{
    struct wire_guest g;
    size_t n = source->count(source->user), used;

    if (n == 0) {
        (void)snprintf(to, size, "ballastd knows no guest yet; 'ballast status' tells how to give it one");
        return;
    }
    used = (size_t)snprintf(to, size, "known guests: ");
    for (size_t i = 0; i < n && i < NAMES_LISTED; i++) {
        wire_guest_clear(&g);
        source->guest(source->user, i, &g);
        used += (size_t)snprintf(to + used, size - used, "%s%s", i > 0 ? ", " : "", g.name);
    }
    if (n > NAMES_LISTED)
        (void)snprintf(to + used, size - used, " and %zu more", n - NAMES_LISTED);
}
_Static_assert(NAMES_LISTED * (WIRE_NAME_SIZE + 2) + 64 < WIRE_ERROR_TEXT_SIZE, "names_list() must fit its room");

static void route_guest(const struct api_request *rq, struct api_reply *ret)
{
    struct wire_error error = {0};
    struct wire_guest g;
    struct wire_host h;

    wire_guest_clear(&g);
    if (!rq->source->find(rq->source->user, rq->name, &g)) {
        (void)snprintf(error.error, sizeof(error.error), "there is no guest '%s'",
                       text_show(rq->name, strlen(rq->name)).s);
        names_list(rq->source, error.hint, sizeof(error.hint));
        reply_error(ret, 404, &error);
        return;
    }
    wire_host_clear(&h);
    rq->source->host(rq->source->user, &h);
    wire_guest_print(&ret->body, &g, &h);
}

static void route_dump(const struct api_request *rq, struct api_reply *ret)
{
    rq->source->dump(rq->source->user, &ret->body);
}

static void route_history(const struct api_request *rq, struct api_reply *ret)
{
    rq->source->history(rq->source->user, &ret->body);
}

const struct api_route api_routes[API_ROUTE_COUNT] = {
    {"GET", "/v1", false, route_index, "what this API serves"},
    {"GET", "/v1/version", false, route_version, "the daemon: version, pid, configuration, since when it runs"},
    {"GET", "/v1/status", true, route_status, "the host and all guests"},
    {"GET", "/v1/guests/NAME", false, route_guest, "one guest, and the host"},
    {"GET", "/v1/history", true, route_history, "the last five minutes of all guests: sizes, and what was moved"},
    {"GET", "/v1/dump", true, route_dump, "all internal state, for bug reports"},
};

/* Does path fit pattern? *ret_name: where its NAME starts. */
static bool route_matches(const char *pattern, const char *path, const char **ret_name)
{
    const char *name = strstr(pattern, "NAME");

    *ret_name = NULL;
    if (!name)
        return strcmp(pattern, path) == 0;
    if (strncmp(pattern, path, (size_t)(name - pattern)) != 0)
        return false;
    *ret_name = path + (name - pattern);
    return (*ret_name)[0] != '\0' && !strchr(*ret_name, '/');
}

const struct api_route *api_route_find(const char *method, const char *path, struct api_request *rq,
                                       struct api_reply *ret)
{
    struct wire_error error = {0};
    const struct api_route *other = NULL;

    if (strlen(path) > API_URL_MAX) {
        (void)snprintf(error.error, sizeof(error.error), "the path has more than %d bytes", API_URL_MAX);
        (void)snprintf(error.hint, sizeof(error.hint), "GET /v1 lists the paths there are");
        reply_error(ret, 414, &error);
        return NULL;
    }
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (size_t i = 0; i < API_ROUTE_COUNT; i++) {
        if (!route_matches(api_routes[i].pattern, path, &rq->name))
            continue;
        if (strcmp(api_routes[i].method, method) == 0)
            return &api_routes[i];
        other = &api_routes[i];
    }
    if (other) {
        ret->allow = other->method;
        (void)snprintf(error.error, sizeof(error.error), "'%s' can't be asked by %s", other->pattern,
                       text_show(method, strlen(method)).s);
        (void)snprintf(error.hint, sizeof(error.hint), "use %s", other->method);
        reply_error(ret, 405, &error);
        return NULL;
    }
    (void)snprintf(error.error, sizeof(error.error), "there is nothing at '%s'", text_show(path, strlen(path)).s);
    (void)snprintf(error.hint, sizeof(error.hint), "GET /v1 lists the paths there are; a newer 'ballast' than ballastd "
                   "asks for some it does not have: restart ballastd after an upgrade");
    reply_error(ret, 404, &error);
    return NULL;
}
