/* SPDX-License-Identifier: Apache-2.0 */
#include "hv_qmp_guest.h"

#include <stdio.h>
#include <string.h>

#include "agent_link.h"
#include "procmem.h"
#include "qmp_message.h"

/* What is asked of a guest beside its levers: for `ballast doctor`, and to know memory that its balloon can't give back
 * (docs/design.md 3.5). Of use, not needed: a QEMU that does not answer it is managed all the same. */

void qmp_guest_ask_facts(struct qmp_guest *g, bool (*ask)(struct qmp_guest *g, enum qmp_probe what, const char *command,
                                                          const char *arguments))
{
    g->found = (struct hv_facts){0};
    g->encrypted = NULL;
    g->passthrough = false;
    (void)ask(g, QMP_PROBE_VERSION, "query-version", NULL);
    (void)ask(g, QMP_PROBE_OBJECTS, "qom-list", "{\"path\":\"/objects\"}");
    (void)ask(g, QMP_PROBE_MACHINE, "qom-get", "{\"path\":\"/machine\",\"property\":\"memory\"}"); /* QEMU 7.1 */
}

static void take_version(struct hv_facts *f, struct json_object *value)
{
    struct json_object *qemu;
    uint64_t major, minor, micro;

    if (qmp_get_object(value, "qemu", &qemu) && qmp_get_u64(qemu, "major", &major) &&
        qmp_get_u64(qemu, "minor", &minor) && qmp_get_u64(qemu, "micro", &micro) && major < 1000 && minor < 1000 &&
        micro < 1000)
        (void)snprintf(f->version, sizeof(f->version), "QEMU %u.%u.%u", (unsigned)major, (unsigned)minor,
                       (unsigned)micro);
}

/* Guests whose memory the host can neither read nor take: giving it back would lose it. */
static void take_objects(struct qmp_guest *g, struct json_object *value)
{
    static const struct {
        const char *type, *name;
    } kinds[] = {{"child<sev-", "AMD SEV"}, {"child<tdx-guest", "Intel TDX"}, {"child<s390-pv-guest", "protected"}};
    char name[QMP_PATH_SIZE];

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (qmp_answer_child(value, kinds[i].type, name, sizeof(name)))
            g->encrypted = kinds[i].name;
}

void qmp_guest_take_fact(struct qmp_guest *g, enum qmp_probe what, struct json_object *value)
{
    struct hv_facts *f = &g->found;
    uint64_t most, slots;
    bool on;

    switch (what) {
    case QMP_PROBE_VERSION:
        take_version(f, value);
        return;
    case QMP_PROBE_OBJECTS:
        take_objects(g, value);
        return;
    case QMP_PROBE_MACHINE:
        if (qmp_get_u64(value, "max-size", &most) && qmp_get_u64(value, "slots", &slots) && most <= QMP_BYTES_MAX) {
            f->maximum_bytes = most;
            f->slots = slots;
        }
        return;
    case QMP_PROBE_REPORTING:
        if (qmp_to_bool(value, &on))
            f->page_reporting = on ? HV_YES : HV_NO;
        return;
    default:
        return;
    }
}

void qmp_guest_see_children(struct qmp_guest *g, struct json_object *value)
{
    char name[QMP_PATH_SIZE];

    if (qmp_answer_child(value, "child<vfio-pci", name, sizeof(name)) ||
        qmp_answer_child(value, "child<vhost-vdpa", name, sizeof(name)))
        g->passthrough = true;
}

static bool has_usable_plug(const struct qmp_guest *g)
{
    for (size_t i = 0; i < g->devices.plugs_n; i++)
        if (g->devices.plugs[i].path[0])
            return true;
    return false;
}

/* What keeps boot memory where it is. */
enum fixed_by {
    FIXED_BY_NOTHING,
    FIXED_BY_ENCRYPTION,
    FIXED_BY_PASSTHROUGH,
    FIXED_BY_HUGE_PAGES,
    FIXED_BY_LOCK,
};

/* Half of it decides: some locked pages every QEMU may have. */
static enum fixed_by fixed_by(const struct qmp_guest *g)
{
    uint64_t half = g->base_bytes / 2;
    struct procmem mem = {0};
    struct err ignored = {0};

    if (g->encrypted)
        return FIXED_BY_ENCRYPTION;
    if (g->passthrough)
        return FIXED_BY_PASSTHROUGH;
    if (!g->pid || procmem_read("/proc", g->pid, &mem, &ignored) < 0)
        return FIXED_BY_NOTHING; /* not visible: nothing speaks against it */
    if (mem.huge_bytes > 0)
        return FIXED_BY_HUGE_PAGES;
    return mem.locked_bytes >= half && half > 0 ? FIXED_BY_LOCK : FIXED_BY_NOTHING;
}

/* virtio-mem works beside a passed-through device and with huge pages: then only the balloon is out of the game. */
void qmp_guest_judge_facts(struct qmp_guest *g)
{
    struct hv_facts *f = &g->vm.facts;
    enum fixed_by by = fixed_by(g);

    g->found.kernel_short = f->kernel_short; /* told by the agent, not probed */
    g->found.port = f->port;
    *f = g->found;
    f->shared_monitor = g->share.on;
    f->has_balloon = g->balloon_path[0] != '\0';
    g->boot_fixed = by != FIXED_BY_NOTHING;
    switch (by) {
    case FIXED_BY_NOTHING:
        return;
    case FIXED_BY_ENCRYPTION:
        (void)snprintf(f->fixed, sizeof(f->fixed), "its memory is encrypted (%s): what the host took would be lost",
                       g->encrypted);
        return;
    case FIXED_BY_PASSTHROUGH:
        if (!has_usable_plug(g))
            (void)snprintf(f->fixed, sizeof(f->fixed), "a passed-through device keeps all its memory in place, and it has "
                           "no virtio-mem device");
        return;
    case FIXED_BY_HUGE_PAGES:
        if (!has_usable_plug(g))
            (void)snprintf(f->fixed, sizeof(f->fixed), "its memory is in preallocated huge pages (hugetlbfs), which are of "
                           "no use to anything else");
        return;
    case FIXED_BY_LOCK:
        (void)snprintf(f->fixed, sizeof(f->fixed), "its memory is locked (-overcommit mem-lock=on): what its balloon "
                       "takes does not come back to the host");
        return;
    }
}

void qmp_guest_see_port(struct qmp_guest *g)
{
    if (!g->agent)
        g->vm.facts.port = HV_PORT_NONE;
    else if (agent_link_is_heard(g->agent))
        g->vm.facts.port = HV_PORT_HEARD;
    else
        g->vm.facts.port = agent_link_is_connected(g->agent) ? HV_PORT_OPEN : HV_PORT_NONE;
}
