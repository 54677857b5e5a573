/* SPDX-License-Identifier: Apache-2.0 */
#include "api_peer.h"

#include <grp.h>
#include <stdio.h>
#include <stdlib.h>

#include "own.h"
#include "wire_text.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59 /* Linux 4.13; asm-generic/socket.h */
#endif

#define PEER_GROUPS_MAX 65536 /* NGROUPS_MAX of the kernel */

void api_group_find(const char *name, struct api_group *ret)
{
    const struct group *g = name && name[0] ? getgrnam(name) : NULL;

    *ret = (struct api_group){.exists = g != NULL, .gid = g ? g->gr_gid : (gid_t)-1};
    wire_text_copy(ret->name, sizeof(ret->name), name ? name : "");
}

void api_peer_find(int fd, struct api_peer *ret)
{
    socklen_t size = sizeof(ret->cred);

    ret->fd = fd;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ret->cred, &size) < 0)
        ret->cred = (struct ucred){.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};
}

/* Is it one of the supplementary groups the peer had when it connected? Unlike a look into /proc, this can't be another
 * process that has got the number meanwhile. */
static bool peer_has_group(const struct api_peer *peer, gid_t gid)
{
    AUTO_FREE gid_t *groups = NULL;
    socklen_t size = 0;
    size_t n;

    if (peer->cred.gid == gid)
        return true;
    (void)getsockopt(peer->fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size); /* fails, and tells the size */
    if (size == 0 || size > PEER_GROUPS_MAX * sizeof(*groups))
        return false;
    groups = malloc(size);
    if (!groups || getsockopt(peer->fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        return false;
    n = size / sizeof(*groups);
    for (size_t i = 0; i < n; i++)
        if (groups[i] == gid)
            return true;
    return false;
}

bool api_peer_may(const struct api_peer *peer, const struct api_access *access, enum api_role role)
{
    if (peer->cred.uid == (uid_t)-1)
        return false;
    if (peer->cred.uid == 0 || peer->cred.uid == access->owner)
        return true;
    for (unsigned r = (unsigned)role; r < API_ROLE_COUNT; r++) /* a higher role includes the lower ones */
        if (access->group[r].exists && peer_has_group(peer, access->group[r].gid))
            return true;
    return false;
}

void api_peer_refusal(const struct api_peer *peer, const struct api_access *access, enum api_role role,
                      const char *what, struct wire_error *ret)
{
    const struct api_group *group = &access->group[role];
    unsigned uid = (unsigned)peer->cred.uid;

    (void)snprintf(ret->error, sizeof(ret->error), "%s is for %s only, and uid %u is not one of them", what,
                   role == API_ROLE_OPERATE ? "operators" : "those who may view", uid);
    if (!group->name[0])
        (void)snprintf(ret->hint, sizeof(ret->hint), "this ballastd belongs to uid %u: ask as that user, or as root",
                       (unsigned)access->owner);
    else if (group->exists)
        (void)snprintf(ret->hint, sizeof(ret->hint), "run it as root (sudo ballast ...), or join group '%s': sudo usermod "
                       "-aG %s USER, then log in anew", group->name, group->name);
    else
        (void)snprintf(ret->hint, sizeof(ret->hint), "run it as root (sudo ballast ...); to let others: sudo groupadd -r "
                       "%s, join that group, restart ballastd", group->name);
}
