/* SPDX-License-Identifier: Apache-2.0 */
#include "hv_qmp_guest.h"

#include <stdio.h>
#include <string.h>

#include "agent_link.h"

/* The guest's agent: NAME.agent beside NAME.qmp. While it is heard, statistics are not asked for. */

#define SUFFIX ".qmp"
#define AGENT_SUFFIX ".agent"

/* The agent's MemTotal and balloon belong to one moment: what is online of hot-added memory shows at once. */
static void see_total(struct qmp_guest *g, const struct obs_guest_view *view)
{
    uint64_t boot = qmp_guest_lever_state(g).boot_bytes;
    uint64_t balloon = view->balloon_bytes <= boot ? view->balloon_bytes : 0;

    online_see_total(&g->online, view->total_bytes, g->deflate_on_oom ? 0 : balloon, boot, /* still= */ true,
                     qmp_guest_now(g));
}

static void on_view(void *user, const struct obs_guest_view *view)
{
    const struct hv_listener *l;
    struct qmp_guest *g = user;

    if (!g->known)
        return;
    l = qmp_guest_listener(g);
    g->vm.caps |= HV_CAP_AGENT;
    see_total(g, view);
    l->view(l->user, &g->vm, view);
}

/* The engine's next look brings statistics. */
static void on_lost(void *user)
{
    struct qmp_guest *g = user;

    g->vm.caps &= ~(uint32_t)HV_CAP_AGENT;
}

static void on_trouble(void *user, const struct err *e)
{
    struct qmp_guest *g = user;
    const struct hv_listener *l = qmp_guest_listener(g);

    l->trouble(l->user, g->known ? &g->vm : NULL, e);
}

void qmp_guest_agent_start(struct qmp_guest *g)
{
    char path[sizeof(g->path) + sizeof(AGENT_SUFFIX)];
    size_t len = strlen(g->path);
    struct agent_link_config config = {
        .loop = qmp_guest_loop(g),
        .guest = g->vm.name,
        .path = path,
        .times = AGENT_LINK_TIMES,
        .view = on_view,
        .lost = on_lost,
        .trouble = on_trouble,
        .user = g,
    };
    struct err e = {0};

    qmp_guest_agent_stop(g);
    if (len <= strlen(SUFFIX) || strcmp(g->path + len - strlen(SUFFIX), SUFFIX) != 0)
        return; /* a socket from the configuration with a name of its own */
    (void)snprintf(path, sizeof(path), "%.*s%s", (int)(len - strlen(SUFFIX)), g->path, AGENT_SUFFIX);
    if (agent_link_new(&config, &g->agent, &e) < 0)
        on_trouble(g, &e);
}

void qmp_guest_agent_stop(struct qmp_guest *g)
{
    g->agent = agent_link_free(g->agent);
    g->vm.caps &= ~(uint32_t)HV_CAP_AGENT;
}

void qmp_guest_tell(struct qmp_guest *g, const struct hv_tell *tell)
{
    if (g->agent)
        agent_link_tell(g->agent, tell);
}
