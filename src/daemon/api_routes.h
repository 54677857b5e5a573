/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "api.h"
#include "api_peer.h"
#include "wire_text.h"

/* The table of what the API serves. Knows nothing of sockets and HTTP libraries: a request comes in as method and path,
 * a reply goes out as status and body. To add a POST: a row with API_ROLE_OPERATE, an enum api_operation (api.h), and a
 * function behind it in the daemon's table of operations (operate.c), which reads the body with api_body_read(). */

struct json_object;

struct api_request {
    const struct api_source *source;
    const char *name;       /* the NAME of the pattern; NULL where it has none; points into name_room */
    struct ucred peer;      /* who asks, as the kernel says */
    const struct json_object *body; /* POST: what was sent, an object; else NULL */
    char name_room[API_URL_MAX + 1];
};

struct api_reply {
    unsigned status;        /* HTTP */
    struct wire_text body;  /* JSON; the caller frees it */
    char allow[16];         /* 405: the methods there are; else empty */
};

struct api_route {
    const char *method;
    const char *pattern;    /* "NAME" as a segment stands for one name: a guest's mostly */
    bool shared;            /* GET only: the answer is the same for everybody: kept for API_CACHE_USEC */
    void (*function)(const struct api_request *rq, struct api_reply *ret); /* NULL: source->operate(operation) */
    const char *help;       /* one line, for GET /v1 and docs/api.md */
    enum api_role role;     /* who may */
    enum api_operation operation;
};

extern const struct api_route api_routes[];
#define API_ROUTE_COUNT 36

/* Fills the reply with an error; hint "": none. */
void api_reply_error(struct api_reply *ret, unsigned status, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* "there is no guest 'x'", with the guests there are: 404. */
void api_reply_no_guest(const struct api_source *source, const char *name, struct api_reply *ret);

/* Calls the route's function, or the operation behind it. */
void api_route_call(const struct api_route *route, const struct api_request *rq, struct api_reply *ret);

/* The route for method and path, or NULL with the error in ret: 404, 405, 414. HEAD is GET. rq->name is set. */
const struct api_route *api_route_find(const char *method, const char *path, struct api_request *rq,
                                       struct api_reply *ret);
