/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "wire_notify.h"
#include "wire_status.h"
#include "wire_text.h"

/* The HTTP API on a unix socket (docs/api.md): the one way in for the command line, the dashboard and scripts. Runs
 * inside the daemon's event loop and never blocks it: sockets do not block, what a client may hold is limited by count,
 * size and time, and the answers come from memory. */

struct sd_event;
struct api;

/* Limits. Variables of struct api_config for tests; zero there means these. */
#define API_CONNECTIONS_MAX 32      /* at once; the next one closes the oldest of the user who has most */
#define API_DEADLINE_USEC 10000000  /* a connection's whole life: half a request and then silence ends here */
#define API_URL_MAX 1024            /* longest path; a guest's name has 63 bytes, each at most "%xx" */
#define API_CONNECTION_MEMORY 16384 /* request line, headers and send buffer of one connection */
#define API_BODY_MAX 16384          /* of a POST: a guest's every key at its longest takes 4 KiB */
#define API_CACHE_USEC 100000       /* a flood of status requests is answered from one print of this age at most, ... */
#define API_CACHE_COST 10           /* ... or of this many times what it cost: 90 ms with 10,000 guests */

struct api_request;
struct api_reply;

/* What a request may want done, beside being told (api_routes.c has their paths). */
enum api_operation {
    API_OPERATION_NONE, /* the route has a function of its own */
    API_OPERATION_PAUSE,
    API_OPERATION_RESUME,
    API_OPERATION_OFF,
    API_OPERATION_ON,
    API_OPERATION_NOTIFY_TEST,
    API_OPERATION_SET,
    API_OPERATION_RELEASE,
    API_OPERATION_RELEASE_LEFT,
    API_OPERATION_RESERVE,
    API_OPERATION_RESERVATIONS,
    API_OPERATION_RESERVATION,
    API_OPERATION_RESERVE_CANCEL,
    API_OPERATION_MOVES,
    API_OPERATION_ATTACH,       /* daemon/attach.c */
    API_OPERATION_ATTACH_STATE,
    API_OPERATION_DISK_ADD,     /* daemon/guest_disk.c */
    API_OPERATION_DISK_REMOVE,
    API_OPERATION_DISK_STATE,
    API_OPERATION_BACKUP,
    API_OPERATION_BACKUP_RUN,
    API_OPERATION_BACKUP_CANCEL,
    API_OPERATION_EXPOSE,
    API_OPERATION_EXPOSE_RENEW,
    API_OPERATION_EXPOSE_RELEASE,
    API_OPERATION_BACKUP_VERIFIED,
    API_OPERATION_RECORD,       /* daemon/record_api.c */
    API_OPERATION_RECORD_READ,
    API_OPERATION_RECORD_STOP,
    API_OPERATION_COUNT
};

/* What the API tells: callbacks into the daemon, called from the loop while it serves. All but operate are required. */
struct api_source {
    void (*daemon)(void *user, struct wire_daemon *ret);
    void (*host)(void *user, struct wire_host *ret);
    size_t (*warnings)(void *user, struct wire_warning *ret, size_t cap); /* returns how many were written */
    size_t (*count)(void *user);
    void (*guest)(void *user, size_t i, struct wire_guest *ret);          /* i < count() */
    bool (*find)(void *user, const char *name, struct wire_guest *ret);   /* false: no such guest */
    void (*dump)(void *user, struct wire_text *out);                      /* one JSON document with all state */
    bool (*why)(void *user, const char *name, struct wire_text *out);     /* the document of wire_why.h; false: no such guest */
    void (*notify)(void *user, struct wire_notify *ret);
    void (*history)(void *user, struct wire_text *out);                   /* the document of wire_history.h */
    void *user;
    /* Does it and fills the reply (200 and one JSON document, or api_reply_error()). Must not block. */
    void (*operate)(void *user, enum api_operation what, const struct api_request *rq, struct api_reply *ret);
    void *operate_user;
};

struct api_config {
    const char *runtime_dir;  /* made if missing (0755); holds the lock and, by default, the socket */
    const char *socket_path;  /* NULL: runtime_dir/api.sock */
    const char *socket_group; /* group that may connect and view; NULL or unknown to the host: the daemon's own */
    const char *operate_group; /* group that may also operate; NULL or unknown: only root and the daemon's own user */
    struct api_source source; /* copied */
    unsigned connections_max;
    uint64_t deadline_usec;
    uint64_t cache_usec;
};

/* Takes the lock of the runtime directory (kept until api_free()), replaces the socket of a dead daemon, and serves
 * from `loop`. Call before any guest is touched: the lock is what keeps two daemons' hands off one lever (S11).
 * Errors: EEXIST another ballastd runs (its pid is in the sentence); EACCES, ENOTDIR, ENAMETOOLONG ... with the
 * path. */
int api_open(struct sd_event *loop, const struct api_config *config, struct api **ret, struct err *e);

/* Other groups from now on (a reload); NULL as in the configuration. On failure the ones before hold. */
int api_set_groups(struct api *api, const char *socket_group, const char *operate_group, struct err *e);

/* Ends all connections, removes the socket, gives the lock back. NULL is fine; returns NULL. */
struct api *api_free(struct api *api);

/* The path that clients use; valid until api_free(). */
const char *api_socket_path(const struct api *api);
