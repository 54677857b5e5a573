/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>
#include <microhttpd.h>
#include <systemd/sd-event.h>

#include "api_body.h"
#include "api_peer.h"
#include "api_routes.h"
#include "log.h"
#include "own.h"
#include "runlock.h"

/* Clients waiting to be accepted. */
#define API_BACKLOG 64

/* libmicrohttpd accepts some more than we keep: those we close need one turn of the loop to go. */
#define API_CONNECTIONS_SPARE 32

/* One client. In the list from its acceptance to its end, oldest first. */
struct connection {
    struct connection *next, *previous;
    int fd;                /* libmicrohttpd's; valid while in the list */
    struct api_peer peer;
    uint64_t since_usec;
    bool ended;            /* shut down by us, waiting for libmicrohttpd to see it */
    bool keeps_body;       /* its request takes a body */
    bool too_long;         /* that was cut at API_BODY_MAX */
    struct wire_text body; /* of its one request */
};

/* A reply that is the same for everybody, by route. */
struct cache {
    struct MHD_Response *response;
    uint64_t until_usec;   /* new until then */
};

struct api {
    struct api_source source;
    struct api_access access;
    unsigned connections_max;
    uint64_t deadline_usec, cache_usec;
    int lock_fd;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    bool bound;            /* path is ours to remove */

    struct MHD_Daemon *http;
    sd_event *loop;
    sd_event_source *ready, *timer;
    struct connection *oldest, *newest;
    unsigned connection_count; /* that are not ended */
    struct cache cache[API_ROUTE_COUNT];
};
OWN_DEFINE(api);

static uint64_t api_now(const struct api *api)
{
    uint64_t now = 0;

    (void)sd_event_now(api->loop, CLOCK_MONOTONIC, &now); /* can fail for a wrong clock only */
    return now;
}

/* Now, and not when this turn of the loop began: to see what something cost. */
static uint64_t clock_usec(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail for this clock */
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- connections ---- */

/* Ends a connection from outside: libmicrohttpd has no call for it, but sees the end of the stream. */
static void connection_end(struct api *api, struct connection *c)
{
    if (c->ended)
        return;
    c->ended = true;
    api->connection_count--;
    (void)shutdown(c->fd, SHUT_RDWR); /* a peer that is gone already is what we want */
}

/* Too many: the oldest connection of the user who has most makes room, so nobody locks others out. */
static void connections_limit(struct api *api)
{
    struct connection *victim = NULL;
    unsigned most = 0;

    for (struct connection *c = api->oldest; c; c = c->next) {
        unsigned same = 0;

        if (c->ended)
            continue;
        for (const struct connection *d = c; d; d = d->next)
            same += !d->ended && d->peer.cred.uid == c->peer.cred.uid;
        if (same > most) {
            most = same;
            victim = c;
        }
    }
    if (victim)
        connection_end(api, victim);
}

static void connection_add(struct api *api, struct MHD_Connection *http, void **context)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(http, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection *c = calloc(1, sizeof(*c));

    *context = c;
    if (!c)
        return; /* the request finds no context and is refused */
    c->fd = info->connect_fd;
    c->since_usec = api_now(api);
    api_peer_find(c->fd, &c->peer);
    c->previous = api->newest;
    *(api->newest ? &api->newest->next : &api->oldest) = c;
    api->newest = c;
    if (++api->connection_count > api->connections_max)
        connections_limit(api);
}

static void connection_remove(struct api *api, struct connection *c)
{
    if (!c)
        return;
    *(c->previous ? &c->previous->next : &api->oldest) = c->next;
    *(c->next ? &c->next->previous : &api->newest) = c->previous;
    if (!c->ended)
        api->connection_count--;
    wire_text_done(&c->body);
    free(c);
}

static void on_connection(void *user, struct MHD_Connection *http, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        connection_add(user, http, context);
    else
        connection_remove(user, *context);
}

/* ---- requests ---- */

static struct MHD_Response *response_new(struct api_reply *reply)
{
    struct MHD_Response *response;

    if (reply->body.failed || !reply->body.data)
        return NULL;
    response = MHD_create_response_from_buffer(reply->body.length, reply->body.data, MHD_RESPMEM_MUST_FREE);
    if (!response)
        return NULL;
    reply->body = (struct wire_text){0}; /* libmicrohttpd frees it */
    /* One request a connection: its life then has one deadline, and a stuck client holds nothing for long. */
    if (MHD_add_response_header(response, "Content-Type", "application/json") != MHD_YES ||
        MHD_add_response_header(response, "Cache-Control", "no-store") != MHD_YES ||
        MHD_add_response_header(response, "Connection", "close") != MHD_YES ||
        (reply->allow[0] && MHD_add_response_header(response, "Allow", reply->allow) != MHD_YES)) {
        MHD_destroy_response(response);
        return NULL;
    }
    return response;
}

/* The route of a request whose sender may use it; NULL with the error in ret. */
static const struct api_route *request_route(const struct api *api, const char *method, const char *path,
                                             const struct connection *c, struct api_request *rq, struct api_reply *ret)
{
    const struct api_route *route = api_route_find(method, path, rq, ret);
    struct wire_error error = {0};
    char what[64];

    if (!route || api_peer_may(&c->peer, &api->access, route->role))
        return route;
    (void)snprintf(what, sizeof(what), "%s %s", route->method, route->pattern);
    api_peer_refusal(&c->peer, &api->access, route->role, what, &error);
    api_reply_error(ret, MHD_HTTP_FORBIDDEN, error.hint, "%s", error.error);
    return NULL;
}

static bool route_takes_body(const struct api_route *route)
{
    return strcmp(route->method, "POST") == 0;
}

static void route_run(const struct api_route *route, const struct connection *c, struct api_request *rq,
                      struct api_reply *ret)
{
    struct json_object *body = NULL;

    if (c->too_long || c->body.failed) {
        api_reply_error(ret, c->too_long ? MHD_HTTP_CONTENT_TOO_LARGE : MHD_HTTP_SERVICE_UNAVAILABLE, "send less",
                        c->too_long ? "the body has more than %d bytes" : "no memory for a body of up to %d bytes",
                        API_BODY_MAX);
        return;
    }
    if (route_takes_body(route) && !(body = api_body_parse(c->body.data, c->body.length, ret)))
        return;
    rq->body = body;
    api_route_call(route, rq, ret);
    (void)json_object_put(body);
    rq->body = NULL;
}

/* The response for a request, with a reference for the caller; *ret_status is its HTTP status. NULL: no memory. */
static struct MHD_Response *request_answer(struct api *api, const char *method, const char *path,
                                           const struct connection *c, unsigned *ret_status)
{
    struct api_request rq = {.source = &api->source, .peer = c->peer.cred};
    struct api_reply reply = {.status = MHD_HTTP_OK};
    const struct api_route *route = request_route(api, method, path, c, &rq, &reply);
    struct cache *cache = route && route->shared ? &api->cache[route - api_routes] : NULL;
    struct MHD_Response *response;
    uint64_t started_usec, cost_usec;

    if (cache && cache->response && api_now(api) < cache->until_usec) {
        *ret_status = MHD_HTTP_OK;
        return cache->response;
    }
    started_usec = clock_usec();
    if (route)
        route_run(route, c, &rq, &reply);
    cost_usec = (clock_usec() - started_usec) * API_CACHE_COST;
    response = response_new(&reply);
    wire_text_done(&reply.body);
    *ret_status = reply.status;
    if (cache && response && reply.status == MHD_HTTP_OK) {
        if (cache->response)
            MHD_destroy_response(cache->response); /* clients still reading it keep it */
        cache->response = response;
        cache->until_usec = api_now(api) + (cost_usec > api->cache_usec ? cost_usec : api->cache_usec);
    }
    return response;
}

/* Takes a piece of a body, as far as there may be one; what is too much, or was sent to no purpose, is dropped. */
static void body_take(struct connection *c, const char *data, size_t length)
{
    if (length > API_BODY_MAX - c->body.length)
        c->too_long = c->keeps_body;
    if (c->keeps_body && !c->too_long)
        wire_text_add(&c->body, data, length);
}

/* Whether a body is waited for: not where its length says that it is too long, and kept only of somebody who may send it.
 * One that is refused is read to its end as well: a client that still sends would be told EPIPE instead of why. */
static bool request_wants_body(const struct api *api, struct MHD_Connection *http, const char *method, const char *path,
                               struct connection *c)
{
    const char *length = MHD_lookup_connection_value(http, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    bool too_long = length && strtoull(length, NULL, 10) > API_BODY_MAX;
    struct api_request rq = {.source = &api->source};
    struct api_reply ignored = {0}; /* said when the request is answered */
    const struct api_route *route = request_route(api, method, path, c, &rq, &ignored);

    wire_text_done(&ignored.body);
    c->keeps_body = route && route_takes_body(route);
    c->too_long = c->keeps_body && too_long;
    return !too_long && strcmp(method, "POST") == 0;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *http, const char *path, const char *method,
                                  const char *version, const char *data, size_t *size, void **request)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(http, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct connection *c = info ? info->socket_context : NULL;
    struct api *api = user;
    struct MHD_Response *response;
    enum MHD_Result queued;
    unsigned status;
    bool cached = false;

    (void)version;
    if (!c)
        return MHD_NO;
    if (!*request) { /* the headers are there */
        *request = c;
        if (request_wants_body(api, http, method, path, c))
            return MHD_YES;
    } else if (*size > 0) {
        body_take(c, data, *size);
        *size = 0;
        return MHD_YES;
    }
    /* Without a body that is wanted, the answer goes out right after the headers, whatever else may come. */
    response = request_answer(api, method, path, c, &status);
    if (!response) {
        log_warning("no memory to answer a request of uid %u; the client gets no answer", c->peer.cred.uid);
        return MHD_NO;
    }
    queued = MHD_queue_response(http, status, response);
    for (size_t i = 0; i < API_ROUTE_COUNT; i++)
        cached = cached || api->cache[i].response == response;
    if (!cached)
        MHD_destroy_response(response);
    return queued;
}

/* ---- loop ---- */

static void cache_drop_old(struct api *api, uint64_t now_usec)
{
    for (size_t i = 0; i < API_ROUTE_COUNT; i++) {
        struct cache *cache = &api->cache[i];

        if (!cache->response || now_usec < cache->until_usec)
            continue;
        MHD_destroy_response(cache->response);
        cache->response = NULL;
    }
}

/* When the API wants to be called next without a client doing anything; UINT64_MAX: never. */
static uint64_t api_next_usec(struct api *api, uint64_t now_usec)
{
    uint64_t next_usec = UINT64_MAX;
    MHD_UNSIGNED_LONG_LONG wait_ms;

    if (MHD_get_timeout(api->http, &wait_ms) == MHD_YES)
        next_usec = now_usec + wait_ms * 1000;
    for (const struct connection *c = api->oldest; c; c = c->next)
        if (!c->ended) {
            if (c->since_usec + api->deadline_usec < next_usec)
                next_usec = c->since_usec + api->deadline_usec;
            break;
        }
    for (size_t i = 0; i < API_ROUTE_COUNT; i++)
        if (api->cache[i].response && api->cache[i].until_usec < next_usec)
            next_usec = api->cache[i].until_usec;
    return next_usec;
}

static int api_turn(struct api *api)
{
    uint64_t now_usec = api_now(api), next_usec;

    for (struct connection *c = api->oldest; c && now_usec - c->since_usec >= api->deadline_usec; c = c->next)
        connection_end(api, c);
    (void)MHD_run(api->http); /* fails for a daemon in another mode only */
    cache_drop_old(api, now_usec);
    next_usec = api_next_usec(api, now_usec);
    if (next_usec == UINT64_MAX)
        return sd_event_source_set_enabled(api->timer, SD_EVENT_OFF);
    (void)sd_event_source_set_time(api->timer, next_usec); /* fails for a source of another kind only */
    return sd_event_source_set_enabled(api->timer, SD_EVENT_ONESHOT);
}

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *user)
{
    (void)source, (void)fd, (void)events;
    return api_turn(user);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *user)
{
    (void)source, (void)usec;
    return api_turn(user);
}

/* ---- opening ---- */

/* Makes way for a new socket: a dead daemon's is removed, anything else is not ours to touch. */
static int stale_remove(const struct sockaddr_un *address, struct err *e)
{
    AUTO_CLOSE int fd = -1;
    struct stat st;

    if (lstat(address->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : err_set(e, errno, "cannot look at '%s': %s", address->sun_path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, EEXIST, "'%s' is there and no socket; remove it, or use another --runtime-dir",
                       address->sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(e, errno, "cannot make a socket: %s", strerror(errno));
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
        return err_set(e, EEXIST, "another program serves '%s'; stop it, or use another --runtime-dir",
                       address->sun_path);
    if (errno != ECONNREFUSED)
        return err_set(e, errno, "cannot look who serves '%s': %s", address->sun_path, strerror(errno));
    if (unlink(address->sun_path) < 0)
        return err_set(e, errno, "cannot remove the old socket '%s': %s", address->sun_path, strerror(errno));
    return 0;
}

/* Members of the group may connect, besides root and the daemon's own user. */
static int group_set(const char *path, const struct api_group *group, struct err *e)
{
    if (!group->exists)
        return 0;
    if (lchown(path, (uid_t)-1, group->gid) < 0 && errno != EPERM) /* not root: stays with his own group */
        return err_set(e, errno, "cannot give '%s' to group '%s': %s", path, group->name, strerror(errno));
    return 0;
}

/* Who may: root, the daemon's user, and the groups as far as the host has them. Without any group a user's own ballastd
 * lets those view who may open its socket. */
static void access_find(const char *view_group, const char *operate_group, struct api_access *ret)
{
    ret->owner = geteuid();
    api_group_find(view_group, &ret->group[API_ROLE_VIEW]);
    api_group_find(operate_group, &ret->group[API_ROLE_OPERATE]);
    if (!view_group)
        ret->group[API_ROLE_VIEW] = (struct api_group){.exists = true, .gid = getegid()};
}

int api_set_groups(struct api *api, const char *socket_group, const char *operate_group, struct err *e)
{
    struct api_access access;
    int r;

    access_find(socket_group, operate_group, &access);
    r = group_set(api->path, &access.group[API_ROLE_VIEW], e);
    if (r >= 0)
        api->access = access;
    return r;
}

static int socket_open(struct api *api, const struct api_config *config, int *ret_fd, struct err *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    AUTO_CLOSE int fd = -1;
    mode_t mask;
    int length, r;

    length = config->socket_path ? snprintf(api->path, sizeof(api->path), "%s", config->socket_path)
                                 : snprintf(api->path, sizeof(api->path), "%s/api.sock", config->runtime_dir);
    if (length < 0 || (size_t)length >= sizeof(api->path))
        return err_set(e, ENAMETOOLONG, "the path of the API socket is longer than %zu bytes: '%s'; use a shorter "
                       "--runtime-dir", sizeof(api->path) - 1, config->runtime_dir);
    memcpy(address.sun_path, api->path, sizeof(address.sun_path));
    r = stale_remove(&address, e);
    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(e, errno, "cannot make the API socket: %s", strerror(errno));
    mask = umask(0117); /* 0660 from birth: chmod afterwards would leave a moment for others */
    r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    (void)umask(mask);
    if (r < 0)
        return err_set(e, -r, "cannot make the API socket '%s': %s", api->path, strerror(-r));
    api->bound = true;
    r = group_set(api->path, &api->access.group[API_ROLE_VIEW], e);
    if (r < 0)
        return r;
    if (listen(fd, API_BACKLOG) < 0)
        return err_set(e, errno, "cannot listen on '%s': %s", api->path, strerror(errno));
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int http_open(struct api *api, int fd, struct err *e)
{
    api->http = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, api,
                                 MHD_OPTION_LISTEN_SOCKET, fd,
                                 MHD_OPTION_CONNECTION_LIMIT, api->connections_max + API_CONNECTIONS_SPARE,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)API_CONNECTION_MEMORY,
                                 MHD_OPTION_NOTIFY_CONNECTION, on_connection, api,
                                 MHD_OPTION_END);
    return api->http ? 0 : err_set(e, EIO, "cannot start the HTTP server on '%s'", api->path);
}

static int loop_join(struct api *api, struct err *e)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(api->http, MHD_DAEMON_INFO_EPOLL_FD);
    int r;

    if (!info)
        return err_set(e, EIO, "the HTTP server has no epoll descriptor");
    r = sd_event_add_io(api->loop, &api->ready, info->epoll_fd, EPOLLIN, on_ready, api);
    if (r >= 0)
        r = sd_event_add_time(api->loop, &api->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, api);
    /* Guests come first: a storm of requests waits until everything else of this turn is done. */
    if (r >= 0)
        r = sd_event_source_set_priority(api->ready, SD_EVENT_PRIORITY_IDLE);
    if (r >= 0)
        r = sd_event_source_set_priority(api->timer, SD_EVENT_PRIORITY_IDLE);
    return r < 0 ? err_set(e, -r, "cannot watch the API socket: %s", strerror(-r)) : 0;
}

int api_open(sd_event *loop, const struct api_config *config, struct api **ret, struct err *e)
{
    AUTO(api) struct api *api = calloc(1, sizeof(*api));
    int fd = -1, r;

    if (!api)
        return err_set(e, ENOMEM, "no memory for the API");
    api->lock_fd = -1;
    api->source = config->source;
    api->connections_max = config->connections_max ? config->connections_max : API_CONNECTIONS_MAX;
    api->deadline_usec = config->deadline_usec ? config->deadline_usec : API_DEADLINE_USEC;
    api->cache_usec = config->cache_usec ? config->cache_usec : API_CACHE_USEC;
    access_find(config->socket_group, config->operate_group, &api->access);
    api->loop = sd_event_ref(loop);
    r = runlock_take(config->runtime_dir, &api->lock_fd, e);
    if (r < 0)
        return r;
    r = socket_open(api, config, &fd, e);
    if (r < 0)
        return r;
    r = http_open(api, fd, e); /* owns fd, also when it fails */
    if (r < 0)
        return r;
    r = loop_join(api, e);
    if (r < 0)
        return r;
    *ret = TAKE(api);
    return 0;
}

struct api *api_free(struct api *api)
{
    if (!api)
        return NULL;
    (void)sd_event_source_disable_unref(api->ready);
    (void)sd_event_source_disable_unref(api->timer);
    if (api->http)
        MHD_stop_daemon(api->http); /* ends the connections, through on_connection */
    for (size_t i = 0; i < API_ROUTE_COUNT; i++)
        if (api->cache[i].response)
            MHD_destroy_response(api->cache[i].response);
    if (api->bound)
        (void)unlink(api->path); /* the next daemon replaces what stays */
    if (api->lock_fd >= 0)
        (void)close(api->lock_fd); /* gives the lock back; nothing was written that could be lost */
    (void)sd_event_unref(api->loop);
    free(api);
    return NULL;
}

const char *api_socket_path(const struct api *api)
{
    return api->path;
}
