/* SPDX-License-Identifier: Apache-2.0 */
#include "api_routes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"
#include "wire_error.h"

/* Names listed in "no such guest": enough to see the typing error, short enough for a terminal. */
#define NAMES_LISTED 12

void api_reply_error(struct api_reply *ret, unsigned status, const char *hint, const char *format, ...)
{
    struct wire_error error = {0};
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(error.error, sizeof(error.error), format, ap);
    va_end(ap);
    wire_text_copy(error.hint, sizeof(error.hint), hint);
    ret->status = status;
    ret->body.length = 0; /* nothing half said before it */
    wire_error_print(&ret->body, &error);
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

void api_reply_no_guest(const struct api_source *source, const char *name, struct api_reply *ret)
{
    char hint[WIRE_ERROR_TEXT_SIZE];

    names_list(source, hint, sizeof(hint));
    api_reply_error(ret, 404, hint, "there is no guest '%s'", text_show(name, strlen(name)).s);
}

static void route_guest(const struct api_request *rq, struct api_reply *ret)
{
    struct wire_guest g;
    struct wire_host h;

    wire_guest_clear(&g);
    if (!rq->source->find(rq->source->user, rq->name, &g)) {
        api_reply_no_guest(rq->source, rq->name, ret);
        return;
    }
    wire_host_clear(&h);
    rq->source->host(rq->source->user, &h);
    wire_guest_print(&ret->body, &g, &h);
}

static void route_why(const struct api_request *rq, struct api_reply *ret)
{
    if (!rq->source->why(rq->source->user, rq->name, &ret->body))
        api_reply_no_guest(rq->source, rq->name, ret);
}

static void route_dump(const struct api_request *rq, struct api_reply *ret)
{
    rq->source->dump(rq->source->user, &ret->body);
}

static void route_notify(const struct api_request *rq, struct api_reply *ret)
{
    struct wire_notify n;

    rq->source->notify(rq->source->user, &n);
    wire_notify_print(&ret->body, &n);
}

static void route_history(const struct api_request *rq, struct api_reply *ret)
{
    rq->source->history(rq->source->user, &ret->body);
}

#define VIEW API_ROLE_VIEW, API_OPERATION_NONE
#define OPERATE(what) API_ROLE_OPERATE, API_OPERATION_##what

const struct api_route api_routes[API_ROUTE_COUNT] = {
    {"GET", "/v1", false, route_index, "what this API serves", VIEW},
    {"GET", "/v1/version", false, route_version, "the daemon: version, pid, configuration, since when it runs", VIEW},
    {"GET", "/v1/status", true, route_status, "the host and all guests", VIEW},
    {"GET", "/v1/guests/NAME", false, route_guest, "one guest, and the host", VIEW},
    {"GET", "/v1/guests/NAME/why", false, route_why, "why it has the size it has, and its last decisions", VIEW},
    {"GET", "/v1/history", true, route_history, "the last five minutes of all guests: sizes, and what was moved", VIEW},
    {"GET", "/v1/notify", false, route_notify, "what became of the messages to people", VIEW},
    {"GET", "/v1/dump", true, route_dump, "all internal state, for bug reports", VIEW},
    {"GET", "/v1/moves", false, NULL, "whether guests are moved, who is paused, what is saved", API_ROLE_VIEW,
     API_OPERATION_MOVES},
    {"POST", "/v1/guests/NAME/pause", false, NULL, "no more moves for this guest", OPERATE(PAUSE)},
    {"POST", "/v1/guests/NAME/resume", false, NULL, "this guest is moved again", OPERATE(RESUME)},
    {"POST", "/v1/guests/NAME/set", false, NULL, "values of its configuration, until ballastd ends or saved", OPERATE(SET)},
    {"GET", "/v1/guests/NAME/attach", false, NULL, "how giving this guest the agent's port went", API_ROLE_VIEW,
     API_OPERATION_ATTACH_STATE},
    {"POST", "/v1/guests/NAME/attach", false, NULL, "gives this running guest the agent's port", OPERATE(ATTACH)},
    {"GET", "/v1/guests/NAME/disk", false, NULL, "how giving this guest a disk, or taking one from it, went", API_ROLE_VIEW,
     API_OPERATION_DISK_STATE},
    {"POST", "/v1/guests/NAME/disk", false, NULL, "plugs a disk, served by NBD, into this running guest", OPERATE(DISK_ADD)},
    {"POST", "/v1/guests/NAME/disk/remove", false, NULL, "asks this guest for such a disk back", OPERATE(DISK_REMOVE)},
    {"POST", "/v1/release", false, NULL, "every guest gets all its boot memory back, and nothing is taken any more",
     OPERATE(RELEASE)},
    {"GET", "/v1/release", false, NULL, "which guests have not got all of it, and why", API_ROLE_VIEW,
     API_OPERATION_RELEASE_LEFT},
    {"POST", "/v1/reservations", false, NULL, "memory set aside for a guest to come", OPERATE(RESERVE)},
    {"GET", "/v1/reservations", false, NULL, "all reservations, those that ended lately included", API_ROLE_VIEW,
     API_OPERATION_RESERVATIONS},
    {"GET", "/v1/reservations/NAME", false, NULL, "one reservation, by its number", API_ROLE_VIEW,
     API_OPERATION_RESERVATION},
    {"POST", "/v1/reservations/NAME/cancel", false, NULL, "its memory goes back to the guests", OPERATE(RESERVE_CANCEL)},
    {"POST", "/v1/off", false, NULL, "no more moves for any guest, also after a restart", OPERATE(OFF)},
    {"POST", "/v1/notify/test", false, NULL, "the notify command is run for a test message", OPERATE(NOTIFY_TEST)},
    {"POST", "/v1/record", false, NULL, "begins to record decisions with all they go by", OPERATE(RECORD)},
    {"GET", "/v1/record/NAME", false, NULL, "a piece of a recording: NUMBER-BYTE", OPERATE(RECORD_READ)},
    {"POST", "/v1/record/NAME/stop", false, NULL, "ends a recording", OPERATE(RECORD_STOP)},
    {"POST", "/v1/on", false, NULL, "guests are moved again", OPERATE(ON)},
    {"GET", "/v1/backup", false, NULL, "backups that run, and those that ended last", API_ROLE_VIEW, API_OPERATION_BACKUP},
    {"POST", "/v1/backup/run", false, NULL, "a guest is backed up", OPERATE(BACKUP_RUN)},
    {"POST", "/v1/backup/verified", false, NULL, "the repository was verified: the result is to be read", OPERATE(BACKUP_VERIFIED)},
    {"POST", "/v1/backup/expose", false, NULL, "a guest's disks are offered to other programs", OPERATE(EXPOSE)},
    {"POST", "/v1/backup/renew", false, NULL, "the lease of an exposure begins anew", OPERATE(EXPOSE_RENEW)},
    {"POST", "/v1/backup/release", false, NULL, "an exposure ends", OPERATE(EXPOSE_RELEASE)},
    {"POST", "/v1/backup/cancel", false, NULL, "a backup that runs is given up", OPERATE(BACKUP_CANCEL)},
};

/* Does path fit pattern? Its NAME goes to name[size]. */
static bool route_matches(const char *pattern, const char *path, char *name, size_t size, bool *ret_has_name)
{
    const char *mark = strstr(pattern, "NAME"), *from, *rest;
    size_t length;

    *ret_has_name = mark != NULL;
    if (!mark)
        return strcmp(pattern, path) == 0;
    if (strncmp(pattern, path, (size_t)(mark - pattern)) != 0)
        return false;
    from = path + (mark - pattern);
    length = strcspn(from, "/");
    rest = mark + strlen("NAME");
    if (length == 0 || length >= size || strcmp(from + length, rest) != 0)
        return false;
    memcpy(name, from, length);
    name[length] = '\0';
    return true;
}

/* "GET, POST" */
static void allow_add(struct api_reply *ret, const char *method)
{
    size_t used = strlen(ret->allow);

    if (!strstr(ret->allow, method))
        (void)snprintf(ret->allow + used, sizeof(ret->allow) - used, "%s%s", used ? ", " : "", method);
}

const struct api_route *api_route_find(const char *method, const char *path, struct api_request *rq,
                                       struct api_reply *ret)
{
    const char *pattern = NULL;
    bool has_name;

    if (strlen(path) > API_URL_MAX) {
        api_reply_error(ret, 414, "GET /v1 lists the paths there are", "the path has more than %d bytes", API_URL_MAX);
        return NULL;
    }
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (size_t i = 0; i < API_ROUTE_COUNT; i++) {
        if (!route_matches(api_routes[i].pattern, path, rq->name_room, sizeof(rq->name_room), &has_name))
            continue;
        rq->name = has_name ? rq->name_room : NULL;
        if (strcmp(api_routes[i].method, method) == 0)
            return &api_routes[i];
        pattern = api_routes[i].pattern;
        allow_add(ret, api_routes[i].method);
    }
    if (pattern) {
        char hint[64];

        (void)snprintf(hint, sizeof(hint), "use %s", ret->allow);
        api_reply_error(ret, 405, hint, "'%s' can't be asked by %s", pattern, text_show(method, strlen(method)).s);
        return NULL;
    }
    api_reply_error(ret, 404, "GET /v1 lists the paths there are; a newer 'ballast' than ballastd asks for some it does "
                    "not have: restart ballastd after an upgrade", "there is nothing at '%s'",
                    text_show(path, strlen(path)).s);
    return NULL;
}

void api_route_call(const struct api_route *route, const struct api_request *rq, struct api_reply *ret)
{
    if (route->function)
        route->function(rq, ret);
    else if (rq->source->operate)
        rq->source->operate(rq->source->operate_user, route->operation, rq, ret);
    else
        api_reply_error(ret, 501, "", "this program only shows, it can't do '%s'", route->pattern);
}
