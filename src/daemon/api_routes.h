/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "api.h"
#include "wire_text.h"

/* The table of what the API serves. Knows nothing of sockets and HTTP libraries: a request comes in as method and path,
 * a reply goes out as status and body. */

struct api_request {
    const struct api_source *source;
    const char *name;       /* the NAME of the pattern; NULL where it has none */
    struct ucred peer;      /* who asks, as the kernel says */
};

struct api_reply {
    unsigned status;        /* HTTP */
    struct wire_text body;  /* JSON; the caller frees it */
    const char *allow;      /* 405: the method there is; else NULL */
};

struct api_route {
    const char *method;
    const char *pattern;    /* "NAME" as a segment stands for one guest's name */
    bool shared;            /* the answer is the same for everybody: kept for API_CACHE_USEC */
    void (*function)(const struct api_request *rq, struct api_reply *ret);
    const char *help;       /* one line, for GET /v1 and docs/api.md */
};

extern const struct api_route api_routes[];
#define API_ROUTE_COUNT 6

/* The route for method and path, or NULL with the error in ret: 404, 405, 414. HEAD is GET. rq->name is set. */
const struct api_route *api_route_find(const char *method, const char *path, struct api_request *rq,
                                       struct api_reply *ret);
