/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "units.h"
#include "view_status.h"

/* One function for each part of a guest; a rule is one finding. */

/* A guest that says nothing for this long does not boot any more. */
#define BOOTED_MS 60000ULL

/* Page tables and memmap for memory that is not there are a burden beyond this (docs/design.md 3.7); movable memory alone
 * is one sooner, as the kernel can't use it itself. */
#define RATIO_MAX 8
#define RATIO_MOVABLE_MAX 4

/* Swap for a guest (docs/design.md 3.7), by what its programs are promised now instead of at the peak of 14 days. */
#define SWAP_MIN_BYTES (256ULL << 20)
#define COMMIT_WORRY_PERCENT 90

#define MIB(bytes) ((bytes) >> 20)

static bool is_known(uint64_t value)
{
    return value != WIRE_UNKNOWN;
}

static bool is_moved(const struct wire_guest *g)
{
    return strcmp(g->mode, "auto") == 0 || strcmp(g->mode, "watch") == 0;
}

static bool is_running(const struct wire_guest *g)
{
    return strcmp(g->state, "running") == 0 || (is_known(g->known_ms) && g->known_ms > BOOTED_MS);
}

static bool has_agent(const struct wire_guest *g)
{
    return strcmp(g->demand_source, "agent") == 0;
}

static bool has_plug(const struct wire_guest *g)
{
    return is_known(g->pluggable_bytes) && g->pluggable_bytes > 0;
}

static bool is_heard(const struct wire_guest *g)
{
    return g->demand_source[0] && strcmp(g->demand_source, "none") != 0;
}

static void judge_fixed(const struct wire_guest *g, struct doctor_list *l)
{
    struct doctor_finding *f;

    if (!g->fixed_reason[0])
        return;
    f = doctor_add(l, is_moved(g) ? DOCTOR_WARNING : DOCTOR_ADVICE, "fixed", "it keeps its size, because %s", g->fixed_reason);
    if (strstr(g->fixed_reason, "mem-lock"))
        doctor_change(f, "start its QEMU without -overcommit mem-lock=on (libvirt: remove <locked/> from <memoryBacking>)");
    else if (strstr(g->fixed_reason, "hugetlbfs"))
        doctor_change(f, "start its QEMU without hugetlbfs (libvirt: remove <hugepages/>; Proxmox VE: qm set VMID --delete "
                      "hugepages); transparent huge pages give most of their speed");
    else if (strstr(g->fixed_reason, "passed-through"))
        doctor_change(f, "give it a virtio-mem device, which works beside it:");
    else
        doctor_change(f, "nothing can be done about it while it is encrypted");
    if (strstr(g->fixed_reason, "passed-through"))
        doctor_change(f, " -m %" PRIu64 "M,maxmem=%" PRIu64 "M -object memory-backend-ram,id=vmem,size=%" PRIu64 "M "
                      "-device virtio-mem-pci,id=vmem0,memdev=vmem,requested-size=0",
                      MIB(g->boot_bytes), 2 * MIB(g->boot_bytes), MIB(g->boot_bytes));
    doctor_change(f, "or say that it is meant so, in ballast.yaml:");
    doctor_change(f, " guests: {%s: {mode: fixed}}", doctor_shell_name(g->name).s);
}

static void judge_balloon(const struct wire_guest *g, struct doctor_list *l)
{
    struct doctor_finding *f;

    if (!g->balloon && is_known(g->levers_age_ms)) {
        f = doctor_add(l, DOCTOR_WARNING, "no-balloon", "it has no balloon device: %s", has_plug(g)
                       ? "its boot memory can't be taken, and it has no statistics" : "its size can't be changed at all");
        doctor_change(f, "QEMU, for its next start or by the monitor (device_add virtio-balloon-pci,id=balloon0,...):");
        doctor_change(f, " -device virtio-balloon-pci,id=balloon0,deflate-on-oom=on,free-page-reporting=on");
        doctor_change(f, "libvirt, virsh edit, in <devices>:");
        doctor_change(f, " <memballoon model='virtio' autodeflate='on' freePageReporting='on'/>");
        doctor_change(f, "Proxmox VE (and no `balloon: 0` in its configuration):");
        doctor_change(f, " qm set VMID --balloon MINIMUM_MIB --shares 0");
        return;
    }
    if (strcmp(g->deflate_on_oom, "no") == 0 && !g->fixed_reason[0]) {
        f = doctor_add(l, DOCTOR_ADVICE, "deflate-on-oom", "in an emergency its kernel kills programs rather than take memory "
                       "back from the balloon");
        doctor_change(f, "set deflate-on-oom=on on its balloon device, for its next start (libvirt: autodeflate='on'):");
        doctor_change(f, " -device virtio-balloon-pci,id=balloon0,deflate-on-oom=on,free-page-reporting=on");
    }
    if (strcmp(g->page_reporting, "no") == 0 && !g->fixed_reason[0]) {
        f = doctor_add(l, DOCTOR_ADVICE, "page-reporting", "memory it freed itself stays with it on the host until the balloon "
                       "takes it");
        doctor_change(f, "set free-page-reporting=on on its balloon device, for its next start (libvirt: "
                      "freePageReporting='on')");
    }
}

static void judge_plug(const struct wire_guest *g, struct doctor_list *l)
{
    struct doctor_finding *f;
    uint64_t boot = g->boot_bytes, most = g->maximum_bytes;
    bool wanted = is_known(most) && is_known(boot) && most > boot;

    if (!is_known(g->levers_age_ms) || has_plug(g) || g->fixed_reason[0] || !is_known(boot) || boot >> 44)
        return;
    if (!wanted)
        most = 2 * boot;
    if (wanted)
        f = doctor_add(l, DOCTOR_WARNING, "no-virtio-mem", "its maximum of %s is out of reach: it has no virtio-mem device, and "
                       "boots with %s", units_show_size(most).s, units_show_size(boot).s);
    else
        f = doctor_add(l, DOCTOR_ADVICE, "no-virtio-mem", "it can never have more than it boots with (%s): it has no virtio-mem "
                       "device", units_show_size(boot).s);
    doctor_change(f, "QEMU, for its next start:");
    doctor_change(f, " -m %" PRIu64 "M,maxmem=%" PRIu64 "M -object memory-backend-ram,id=vmem,size=%" PRIu64 "M "
                  "-device virtio-mem-pci,id=vmem0,memdev=vmem,requested-size=0",
                  MIB(boot), MIB(most), MIB(most - boot));
    doctor_change(f, "libvirt 8.0 or newer, virsh edit (it may ask for a <numa> cell in <cpu>, too):");
    doctor_change(f, " <maxMemory slots='1' unit='MiB'>%" PRIu64 "</maxMemory>", MIB(most));
    doctor_change(f, " <memory model='virtio-mem'><target><size unit='MiB'>%" PRIu64 "</size><node>0</node><block "
                  "unit='MiB'>2</block><requested unit='MiB'>0</requested></target></memory>", MIB(most - boot));
    doctor_change(f, "and its kernel: memhp_default_state=online memory_hotplug.online_policy=auto-movable, or ballast-agent");
}

static void judge_agent(const struct wire_guest *g, const char *guests_dir, struct doctor_list *l)
{
    struct doctor_name name = doctor_shell_name(g->name);
    struct doctor_finding *f;

    if (has_agent(g) || strcmp(g->agent_port, "heard") == 0 || !is_known(g->levers_age_ms))
        return;
    if (strcmp(g->agent_port, "open") == 0) {
        f = doctor_add(l, DOCTOR_WARNING, "agent-silent", "it has the agent's port, but no agent speaks through it: bursts are "
                       "seen a second late, stalls and refaults not at all");
        doctor_change(f, "in the guest, install ballast-agent and start it:");
        doctor_change(f, " systemctl enable --now ballast-agent");
        doctor_change(f, "and see there what it says: ballast-agent status");
        return;
    }
    f = doctor_add(l, DOCTOR_WARNING, "no-agent-port", "it has no port for ballast-agent: bursts are seen a second late, stalls "
                   "and refaults not at all");
    doctor_change(f, "while it runs:");
    doctor_change(f, " ballast attach %s", name.s);
    doctor_change(f, "for its next start, QEMU:");
    doctor_change(f, " -device virtio-serial-pci -chardev socket,id=agent,path=%s/%s.agent,server=on,wait=off "
                  "-device virtserialport,chardev=agent,name=org.ballast.agent.0", guests_dir, g->name);
    doctor_change(f, "libvirt, virsh edit, in <devices>:");
    doctor_change(f, " <channel type='unix'><source mode='bind' path='%s/%s.agent'/><target type='virtio' "
                  "name='org.ballast.agent.0'/></channel>", guests_dir, g->name);
    doctor_change(f, "then, in the guest, install ballast-agent and start it");
}

static void judge_reports(const struct wire_guest *g, struct doctor_list *l)
{
    struct doctor_finding *f;

    if (is_heard(g) || !is_running(g) || !g->balloon)
        return;
    f = doctor_add(l, DOCTOR_WARNING, "no-statistics", "it has never reported its memory: nothing is taken from it");
    doctor_change(f, "in the guest, load the balloon's driver, now and at each boot:");
    doctor_change(f, " modprobe virtio_balloon && echo virtio_balloon >/etc/modules-load.d/virtio_balloon.conf");
    doctor_change(f, "in a Windows guest: install the virtio-win drivers and the balloon service (blnsvr.exe -i)");
}

static void judge_kernel(const struct wire_guest *g, struct doctor_list *l)
{
    struct doctor_finding *f;
    bool offline = false;

    for (size_t i = 0; i < g->flag_count; i++)
        offline = offline || strcmp(g->flags[i].name, "not-onlined") == 0;
    if (offline || g->kernel_short) {
        f = doctor_add(l, DOCTOR_WARNING, offline ? "offline-memory" : "movable-memory", offline
                       ? "it leaves hot-added memory offline, so it gets none"
                       : "its hot-added memory is movable, and its kernel runs short of memory that it can use itself");
        doctor_change(f, "add to its kernel's command line, or run ballast-agent as root in it (Linux 5.15 or newer):");
        doctor_change(f, " memhp_default_state=online memory_hotplug.online_policy=auto-movable");
        if (g->kernel_short)
            doctor_change(f, "if it is so already: give it more boot memory");
    }
    if (has_agent(g) && !is_known(g->psi_some_usec)) {
        f = doctor_add(l, DOCTOR_ADVICE, "no-psi", "its kernel does not tell how long programs wait for memory");
        doctor_change(f, "add to its kernel's command line (Linux 4.20 or newer with CONFIG_PSI):");
        doctor_change(f, " psi=1");
    }
}

static uint64_t swap_wanted(const struct wire_guest *g)
{
    uint64_t most = g->maximum_bytes > g->minimum_bytes ? g->maximum_bytes - g->minimum_bytes : 0;
    uint64_t peak = g->committed_bytes + g->committed_bytes / 10;
    uint64_t wanted = peak > g->minimum_bytes ? peak - g->minimum_bytes : 0;

    if (wanted > most)
        wanted = most;
    if (wanted < SWAP_MIN_BYTES)
        wanted = SWAP_MIN_BYTES;
    return (wanted + (1 << 20) - 1) >> 20 << 20;
}

static void judge_swap(const struct wire_guest *g, struct doctor_list *l)
{
    struct doctor_finding *f;
    uint64_t size_mib;
    bool worry;

    if (!is_known(g->swap_total_bytes) || !is_known(g->committed_bytes) || !is_known(g->minimum_bytes) ||
        !is_known(g->maximum_bytes) || g->committed_bytes >> 56)
        return;
    worry = is_known(g->commit_limit_bytes) && g->commit_limit_bytes > 0 &&
            g->committed_bytes / 100 > g->commit_limit_bytes / 100 * COMMIT_WORRY_PERCENT / 100;
    if (g->swap_total_bytes > 0 && !worry)
        return;
    size_mib = MIB(swap_wanted(g));
    if (g->swap_total_bytes > 0)
        f = doctor_add(l, DOCTOR_ADVICE, "little-swap", "its programs were promised %s, more than %d %% of its commit limit of %s",
                       units_show_size(g->committed_bytes).s, COMMIT_WORRY_PERCENT,
                       units_show_size(g->commit_limit_bytes).s);
    else
        f = doctor_add(l, worry ? DOCTOR_WARNING : DOCTOR_ADVICE, "no-swap", "it has no swap: what it can't hold for a moment is "
                       "killed, and nothing can be taken below what it uses");
    doctor_change(f, "in the guest, some %" PRIu64 " MiB by what its programs are promised now (%s):", size_mib,
                  units_show_size(g->committed_bytes).s);
    doctor_change(f, " fallocate -l %" PRIu64 "M /swapfile && chmod 600 /swapfile && mkswap /swapfile && swapon /swapfile && "
                  "echo '/swapfile none swap sw 0 0' >>/etc/fstab", size_mib);
}

/* most > n x least, without overflow. */
static bool is_more_than(uint64_t most, unsigned n, uint64_t least)
{
    return most / n > least || (most / n == least && most % n > 0);
}

static void judge_range(const struct wire_guest *g, struct doctor_list *l)
{
    uint64_t least = g->minimum_bytes, most = g->maximum_bytes;
    bool movable = has_plug(g) && !has_agent(g); /* an agent onlines by the auto-movable policy */
    unsigned times = RATIO_MAX;
    struct doctor_finding *f;

    if (!is_known(least) || !is_known(most) || !is_moved(g) || g->fixed_reason[0])
        return;
    if (!is_more_than(most, RATIO_MAX, least))
        times = RATIO_MOVABLE_MAX;
    if (times == RATIO_MOVABLE_MAX && (!movable || !is_more_than(most, RATIO_MOVABLE_MAX, least)))
        return;
    f = doctor_add(l, DOCTOR_ADVICE, "range", "its maximum (%s) is more than %u times its minimum (%s): at its minimum %s",
                   units_show_size(most).s, times, units_show_size(least).s,
                   times == RATIO_MAX ? "page tables and the like take much of its memory"
                                      : "its kernel may run short of memory that is not movable");
    doctor_change(f, "raise its minimum or lower its maximum, in ballast.yaml:");
    doctor_change(f, " guests: {%s: {minimum: %" PRIu64 " MiB}}", doctor_shell_name(g->name).s,
                  MIB(most / times) + (MIB(most) % times != 0));
}

static void judge_identity(const struct wire_guest *g, const char *guests_dir, struct doctor_list *l)
{
    struct doctor_finding *f;

    if (!g->uuid[0] && is_known(g->levers_age_ms)) {
        f = doctor_add(l, DOCTOR_ADVICE, "no-uuid", "it has no UUID: what is learned, billed and backed up goes by its name, and "
                       "another guest of that name takes it over");
        doctor_change(f, "QEMU, for its next start, with one of its own (uuidgen):");
        doctor_change(f, " -uuid UUID");
    }
    if (g->shared_monitor) {
        f = doctor_add(l, DOCTOR_ADVICE, "shared-monitor", "its monitor is shared with other clients: each look at it waits its "
                       "turn, and what happens between two looks is not told");
        doctor_change(f, "give ballast a monitor of its own, for its next start:");
        doctor_change(f, " -chardev socket,id=ballast,path=%s/%s.qmp,server=on,wait=off -mon "
                      "chardev=ballast,mode=control", guests_dir, g->name);
    }
}

/* What ballastd says of it anyway; flags with a rule of their own are left to that. */
static void judge_flags(const struct wire_guest *g, struct doctor_list *l)
{
    static const struct {
        const char *flag, *id, *change;
    } rules[] = {
        {"foreign-hand", "foreign-hand", NULL}, /* its reason tells what to do */
        {"breach", "breach", "look into the guest: a balloon driver that lies, or was unloaded; a reboot of the guest heals it"},
        {"stuck", "stuck", "look into the guest: has it memory to give, and does its balloon driver run (dmesg)?"},
        {"on-hold", "on-hold", NULL}, /* somebody wants it so; the same */
        {"silent", "silent", "look into the guest: does it hang, or is it stopped?"},
    };
    char trouble[DOCTOR_WHAT_SIZE];

    for (size_t i = 0; i < g->flag_count; i++)
        for (size_t k = 0; k < sizeof(rules) / sizeof(rules[0]); k++) {
            struct doctor_finding *f;

            if (strcmp(g->flags[i].name, rules[k].flag) != 0 || (strcmp(rules[k].flag, "silent") == 0 && !is_heard(g)))
                continue;
            f = doctor_add(l, strcmp(rules[k].id, "on-hold") == 0 ? DOCTOR_ADVICE : DOCTOR_WARNING, rules[k].id, "%s: %s",
                           g->flags[i].name, g->flags[i].reason);
            if (rules[k].change)
                doctor_change(f, "%s", rules[k].change);
        }
    if (!g->trouble[0] || g->fixed_reason[0] || g->kernel_short || (!g->balloon && !has_plug(g)))
        return; /* it speaks of what has a rule of its own */
    view_trouble_text(g, trouble, sizeof(trouble));
    (void)doctor_add(l, DOCTOR_WARNING, "trouble", "its driver said last: %s", trouble);
}

void doctor_judge_guest(const struct wire_guest *g, const char *guests_dir, struct doctor_list *ret)
{
    if (!guests_dir[0])
        guests_dir = "/run/ballast/guests";
    judge_fixed(g, ret);
    judge_balloon(g, ret);
    judge_plug(g, ret);
    judge_reports(g, ret);
    judge_agent(g, guests_dir, ret);
    judge_kernel(g, ret);
    judge_swap(g, ret);
    judge_range(g, ret);
    judge_identity(g, guests_dir, ret);
    judge_flags(g, ret);
}
