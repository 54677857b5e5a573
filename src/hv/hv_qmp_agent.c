/* SPDX-License-Identifier: Apache-2.0 */
#include "hv_qmp_guest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent_link.h"
#include "hv_qmp.h"

/* The guest's agent: NAME.agent beside NAME.qmp, or where the configuration says. While it is heard, statistics are not asked for. */

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

/* MemAvailable does not show what its kernel can use itself. Counted from what was online in this very sample: what QEMU
 * has plugged since is not paid for in it. */
static void see_kernel(struct qmp_guest *g, const struct obs_guest_view *v)
{
    g->kernel_short = online_kernel_is_short(v->free_bytes, v->kernel_free_bytes, g->kernel_short);
    g->vm.facts.kernel_short = g->kernel_short;
    uint64_t room = online_room_bytes(v->free_bytes, v->available_bytes, v->kernel_free_bytes, g->kernel_short);
    uint64_t online = g->online.online_bytes;

    g->plug_most_bytes = room < UINT64_MAX - online ? online + room : UINT64_MAX;
    qmp_guest_limit_plug(g);
    if (!g->kernel_short) {
        g->told &= ~(1U << QMP_CAUSE_KERNEL_SHORT);
        return;
    }
    qmp_guest_trouble(g, QMP_CAUSE_KERNEL_SHORT, ENOMEM,
                      "guest '%s': its kernel has %llu MiB free that it can use itself, all other free memory is "
                      "movable: nothing more is hot-added; give it more memory at boot, or boot it with "
                      "memory_hotplug.online_policy=auto-movable",
                      g->vm.name, (unsigned long long)(v->kernel_free_bytes >> 20));
}

void qmp_guest_forget_kernel(struct qmp_guest *g)
{
    g->kernel_short = g->vm.facts.kernel_short = false;
    g->plug_most_bytes = 0;
}

/* More than QEMU could ever give it: it lies, or another guest's agent speaks. */
static bool is_impossible(struct qmp_guest *g, const struct obs_guest_view *view)
{
    uint64_t most = qmp_guest_lever_state(g).boot_bytes;
    char what[160];

    for (size_t i = 0; i < g->devices.plugs_n; i++)
        most += g->devices.plugs[i].most_bytes;
    if (view->total_bytes <= most)
        return false;
    (void)snprintf(what, sizeof(what), "its agent says it has %llu MiB, and its QEMU has %llu MiB for it at most",
                   (unsigned long long)(view->total_bytes >> 20), (unsigned long long)(most >> 20));
    agent_link_refuse(g->agent, what);
    return true;
}

static void on_view(void *user, const struct obs_guest_view *view)
{
    const struct hv_listener *l;
    struct qmp_guest *g = user;

    if (!g->known || is_impossible(g, view))
        return;
    l = qmp_guest_listener(g);
    g->vm.caps |= HV_CAP_AGENT;
    see_total(g, view);
    see_kernel(g, view);
    l->view(l->user, &g->vm, view);
}

/* The engine's next look brings statistics. */
static void on_lost(void *user)
{
    struct qmp_guest *g = user;

    g->vm.caps &= ~(uint32_t)HV_CAP_AGENT;
    qmp_guest_forget_kernel(g);
}

static void on_trouble(void *user, const struct err *e)
{
    struct qmp_guest *g = user;
    const struct hv_listener *l = qmp_guest_listener(g);

    l->trouble(l->user, g->known ? &g->vm : NULL, e);
}

/* Its reset is an event that a shared monitor does not tell. */
static void on_booted(void *user)
{
    struct qmp_guest *g = user;

    if (g->share.on && g->known)
        qmp_guest_see_reset(g);
}

bool hv_qmp_agent_path(const char *monitor, char *ret, size_t size)
{
    size_t len = strlen(monitor), cut = len;
    int n;

    if (len > strlen(SUFFIX) && strcmp(monitor + len - strlen(SUFFIX), SUFFIX) == 0)
        cut = len - strlen(SUFFIX);
    n = snprintf(ret, size, "%.*s%s", (int)cut, monitor, AGENT_SUFFIX);
    if (n > 0 && (size_t)n < size)
        return true;
    ret[0] = '\0';
    return false;
}

void qmp_guest_agent_start(struct qmp_guest *g)
{
    struct agent_link_config config = {
        .loop = qmp_guest_loop(g),
        .guest = g->vm.name,
        .path = g->agent_path,
        .times = AGENT_LINK_TIMES,
        .view = on_view,
        .lost = on_lost,
        .booted = on_booted,
        .trouble = on_trouble,
        .user = g,
    };
    struct err e = {0};

    qmp_guest_agent_stop(g);
    if (!g->agent_path[0])
        return; /* its monitor's path leaves no room for the suffix */
    if (agent_link_new(&config, &g->agent, &e) < 0)
        on_trouble(g, &e);
}

void qmp_guest_agent_stop(struct qmp_guest *g)
{
    g->agent = agent_link_free(g->agent);
    qmp_guest_forget_kernel(g);
    g->vm.caps &= ~(uint32_t)HV_CAP_AGENT;
}

void qmp_guest_tell(struct qmp_guest *g, const struct hv_tell *tell)
{
    if (g->agent)
        agent_link_tell(g->agent, tell);
}
