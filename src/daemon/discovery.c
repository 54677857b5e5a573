/* SPDX-License-Identifier: Apache-2.0 */
#include "discovery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv_qmp.h"
#include "own.h"

const char *discovery_directory(const struct config *config, const char *default_dir, size_t i)
{
    return config->is_discovery_default ? default_dir : config->qmp_directories[i];
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : !a && !b;
}

static bool same_socket(const struct config_socket *a, const struct config_socket *b)
{
    return same_text(a->name, b->name) && same_text(a->path, b->path) && same_text(a->agent, b->agent) &&
           a->has_access == b->has_access && a->is_shared == b->is_shared;
}

bool discovery_is_same(const struct config *a, const struct config *b)
{
    if (a->qmp_directory_count != b->qmp_directory_count || a->socket_count != b->socket_count)
        return false;
    for (size_t i = 0; i < a->qmp_directory_count; i++)
        if (strcmp(a->qmp_directories[i], b->qmp_directories[i]) != 0 ||
            a->qmp_directories_shared[i] != b->qmp_directories_shared[i])
            return false;
    for (size_t i = 0; i < a->socket_count; i++)
        if (!same_socket(&a->sockets[i], &b->sockets[i]))
            return false;
    return true;
}

static struct hv_qmp_socket socket_of(const struct config_socket *s)
{
    return (struct hv_qmp_socket){
        .name = s->name,
        .path = s->path,
        .agent = s->agent,
        .access = !s->has_access ? HV_QMP_ACCESS_UNSAID : s->is_shared ? HV_QMP_ACCESS_SHARE : HV_QMP_ACCESS_OWN,
    };
}

int discovery_open(const struct config *config, const char *default_dir, struct sd_event *loop,
                   const struct hv_listener *listener, struct hv **ret, struct err *e)
{
    AUTO_FREE struct hv_qmp_socket *sockets = calloc(config->socket_count + 1, sizeof(*sockets));
    AUTO_FREE const char **directories = calloc(config->qmp_directory_count + 1, sizeof(*directories));

    if (!sockets || !directories)
        return err_set(e, ENOMEM, "no memory for the list of monitors");
    for (size_t i = 0; i < config->socket_count; i++)
        sockets[i] = socket_of(&config->sockets[i]);
    for (size_t i = 0; i < config->qmp_directory_count; i++)
        directories[i] = discovery_directory(config, default_dir, i);
    struct hv_qmp_config driver = {
        .loop = loop,
        .listener = *listener,
        .directories = directories,
        .directories_n = config->qmp_directory_count,
        .directories_shared = config->qmp_directories_shared,
        .sockets = sockets,
        .sockets_n = config->socket_count,
    };
    return hv_qmp_open(&driver, ret, e);
}
