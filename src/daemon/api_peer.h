/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "err.h"
#include "wire_error.h"

/* Who asks, and what he may: the kernel tells user, group and supplementary groups of whoever connected, as they were then.
 * Nothing a client sends has a part in it. */

enum api_role {
    API_ROLE_VIEW,    /* sees everything, changes nothing */
    API_ROLE_OPERATE, /* moves guests' memory, or says how it is moved */
    API_ROLE_COUNT
};

#define API_GROUP_NAME_SIZE 64 /* useradd(8) takes 32 bytes at most */

/* A group by its name and, where the host has it, its number. */
struct api_group {
    char name[API_GROUP_NAME_SIZE]; /* empty: none */
    bool exists;
    gid_t gid;
};

/* Looks the name up; NULL or "": none. May ask a directory service: at start and at a reload only. */
void api_group_find(const char *name, struct api_group *ret);

/* Everything the decision needs. */
struct api_access {
    uid_t owner; /* the daemon's own user, who may do everything, as root may */
    struct api_group group[API_ROLE_COUNT]; /* operators may view, too */
};

/* What the kernel knows of the peer of a connected socket. */
struct api_peer {
    struct ucred cred; /* uid and gid -1 where it does not tell: then nothing is allowed */
    int fd;            /* supplementary groups are asked for only where they decide */
};

void api_peer_find(int fd, struct api_peer *ret);

bool api_peer_may(const struct api_peer *peer, const struct api_access *access, enum api_role role);

/* What to tell somebody who may not: which group it takes and how to get into it. */
void api_peer_refusal(const struct api_peer *peer, const struct api_access *access, enum api_role role,
                      const char *what, struct wire_error *ret);
