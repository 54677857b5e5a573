/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "doctor_host.h"
#include "units.h"

/* Rules for the host; what they go by is read in doctor_read.c. */

/* The journal takes 8 MiB with 16384 guests and is written anew beside the old one. */
#define STATE_FREE_MIN_BYTES (64ULL << 20)

#define KSM_GUESTS_MIN 2 /* sharing needs somebody to share with */

static void judge_kernel(const struct doctor_host *h, struct doctor_list *l)
{
    struct doctor_finding *f;

    if (!h->kvm_present) {
        f = doctor_add(l, DOCTOR_WARNING, "no-kvm", "there is no /dev/kvm: guests are emulated, some ten times slower");
        doctor_change(f, "switch virtualization on in the firmware (in a virtual machine: nested virtualization), then:");
        doctor_change(f, " modprobe kvm_intel || modprobe kvm_amd");
    } else if (!h->kvm_allowed) {
        f = doctor_add(l, DOCTOR_ADVICE, "kvm-denied", "you may not use /dev/kvm; guests of other users may");
        doctor_change(f, " usermod -aG kvm \"$USER\"");
    }
    if (!h->psi) {
        f = doctor_add(l, DOCTOR_ADVICE, "no-psi", "the host's kernel does not tell how long programs wait for memory: it is judged "
                       "by its free memory alone");
        doctor_change(f, "add to its kernel's command line (Linux 4.20 or newer with CONFIG_PSI):");
        doctor_change(f, " psi=1");
    }
    if (!h->cgroup2) {
        f = doctor_add(l, DOCTOR_ADVICE, "no-cgroup2", "there is no cgroup v2 with a memory controller: memory of single guests "
                       "can't be compressed or swapped by the kernel's own means");
        doctor_change(f, "add to its kernel's command line (systemd 244 or newer):");
        doctor_change(f, " systemd.unified_cgroup_hierarchy=1");
    }
    if (h->overcommit_memory == 2) {
        f = doctor_add(l, DOCTOR_WARNING, "overcommit-memory", "vm.overcommit_memory is 2: a guest's whole maximum must be free, "
                       "or its QEMU does not start, or fails when it grows");
        doctor_change(f, " sysctl -w vm.overcommit_memory=0 && echo vm.overcommit_memory=0 >/etc/sysctl.d/50-ballast.conf");
    }
    if (!h->clock_synchronized) {
        f = doctor_add(l, DOCTOR_ADVICE, "clock", "the clock is not synchronized: times in logs, records and bills may be off");
        doctor_change(f, " timedatectl set-ntp true");
    }
}

static void judge_memory(const struct doctor_host *h, const struct wire_status *s, struct doctor_list *l)
{
    struct doctor_finding *f;

    if (h->huge_pages != UINT64_MAX && h->huge_pages > 0 && h->huge_page_bytes < 1ULL << 40 && h->huge_pages < 1ULL << 20) {
        f = doctor_add(l, DOCTOR_ADVICE, "huge-pages", "%s are set aside as huge pages: they are no memory to balance",
                       units_show_size(h->huge_pages * h->huge_page_bytes).s);
        doctor_change(f, "if no guest uses them (grep Huge /proc/meminfo):");
        doctor_change(f, " sysctl -w vm.nr_hugepages=0");
    }
    if (h->swap_bytes == 0 && !h->zswap_on) {
        f = doctor_add(l, DOCTOR_ADVICE, "no-swap", "the host has no swap, not even in compressed memory: a shortage that guests "
                       "can't relieve in time ends in an OOM kill");
        if (h->zram_present)
            doctor_change(f, " zramctl --find --size %" PRIu64 "M --algorithm lz4", h->total_bytes == UINT64_MAX
                          ? 1024 : (h->total_bytes >> 22) + 1);
        if (h->zram_present)
            doctor_change(f, " mkswap /dev/zram0 && swapon --priority 100 /dev/zram0");
        else
            doctor_change(f, " modprobe zram; or add a swap partition or file");
    }
    if (h->ksm_present && !h->ksm_running && s && s->guest_count >= KSM_GUESTS_MIN) {
        f = doctor_add(l, DOCTOR_ADVICE, "no-ksm", "equal pages of guests are not shared (KSM is off); it saves memory where guests "
                       "are alike, and lets one guest find out what another has: only for guests that trust each other");
        doctor_change(f, " echo 1 >/sys/kernel/mm/ksm/run");
    }
}

static void judge_protection(const struct doctor_host *h, struct doctor_list *l)
{
    struct doctor_finding *f;

    if (h->locked_bytes == 0) {
        f = doctor_add(l, DOCTOR_WARNING, "not-locked", "ballastd's memory is not locked: when the host runs short, it may be paged "
                       "out just when it is needed");
        doctor_change(f, "start it by its systemd unit, or raise its limit (ulimit -l unlimited; LimitMEMLOCK=infinity):");
        doctor_change(f, " systemctl enable --now ballastd");
    }
    if (h->oom_score_adj != INT64_MIN && h->oom_score_adj > -500) {
        f = doctor_add(l, DOCTOR_WARNING, "oom-score", "the kernel may kill ballastd when memory runs out (OOM score %" PRId64
                       "): it has not the right to prevent that (CAP_SYS_RESOURCE)", h->oom_score_adj);
        doctor_change(f, "start it by its systemd unit, or set the score:");
        doctor_change(f, " choom -p %" PRIu64 " -n -900", h->pid);
    }
    if (h->state_free_bytes < STATE_FREE_MIN_BYTES) {
        f = doctor_add(l, DOCTOR_WARNING, "state-dir", "only %s are free in %s: what ballastd learns may not survive its restart",
                       units_show_size(h->state_free_bytes).s, h->state_dir);
        doctor_change(f, "free some, or name another directory with ballastd --state-dir");
    }
    if (h->socket_mode & 07) {
        f = doctor_add(l, DOCTOR_WARNING, "socket-open", "everybody on the host may ask ballastd (its socket has mode %04o)",
                       h->socket_mode);
        doctor_change(f, "restart ballastd: it makes the socket anew with mode 0660");
    }
}

static void judge_group(const struct doctor_host *h, struct doctor_list *l)
{
    struct doctor_finding *f;

    if (!h->group_present) {
        f = doctor_add(l, DOCTOR_ADVICE, "no-group", "there is no group `ballast`: nobody but root may ask ballastd");
        doctor_change(f, " groupadd -r ballast && systemctl restart ballastd && usermod -aG ballast USER");
    } else if (h->socket_mode && !h->socket_is_ours && h->runs_as_root) {
        f = doctor_add(l, DOCTOR_ADVICE, "socket-group", "ballastd's socket does not belong to group `ballast`, so its members may "
                       "not ask");
        doctor_change(f, " systemctl restart ballastd");
    }
}

static void judge_guests(const struct wire_status *s, struct doctor_list *l)
{
    struct doctor_finding *f;

    for (size_t i = 0; i < s->warning_count; i++)
        (void)doctor_add(l, DOCTOR_WARNING, "ballastd", "ballastd says: %s", s->warnings[i].text);
    if (s->daemon.dry_run) {
        f = doctor_add(l, DOCTOR_WARNING, "dry-run", "ballastd only tells what it would do (--dry-run)");
        doctor_change(f, "start it without --dry-run");
    }
    if (s->host.watched != WIRE_UNKNOWN && s->host.watched > 0) {
        f = doctor_add(l, DOCTOR_ADVICE, "watched", "%" PRIu64 " of %zu guests are only watched", s->host.watched, s->guest_count);
        doctor_change(f, "to let ballast balance them, in %s, then systemctl reload ballastd:", s->daemon.config[0]
                      ? s->daemon.config : "/etc/ballast/ballast.yaml");
        doctor_change(f, " defaults: {mode: auto}");
    }
    if (s->guest_count == 0) {
        f = doctor_add(l, DOCTOR_ADVICE, "no-guests", "ballastd knows no guest yet");
        doctor_change(f, "give a guest's QEMU a monitor for ballast, and a balloon:");
        doctor_change(f, " -chardev socket,id=ballast,path=%s/NAME.qmp,server=on,wait=off -mon chardev=ballast,mode=control "
                      "-device virtio-balloon-pci,deflate-on-oom=on", s->daemon.guests_dir[0] ? s->daemon.guests_dir
                      : "/run/ballast/guests");
    }
}

/* Older ones lack what ballast works around: before 5.0 RAM is not listed, before 7.1 neither is the maximum. */
static void judge_versions(const struct wire_status *s, struct doctor_list *l)
{
    size_t old = 0;
    char example[32] = "";

    for (size_t i = 0; i < s->guest_count; i++) {
        unsigned major;

        if (sscanf(s->guests[i].hypervisor, "QEMU %u.", &major) != 1 || major >= 6)
            continue;
        old++;
        wire_text_copy(example, sizeof(example), s->guests[i].hypervisor);
    }
    if (old > 0)
        doctor_change(doctor_add(l, DOCTOR_ADVICE, "old-qemu", "%zu guests run on an old QEMU (%s): virtio-mem and free page "
                                 "reporting are missing or unfinished there", old, example),
                      "restart them on QEMU 7.2 or newer");
}

void doctor_judge_host(const struct doctor_host *h, const struct wire_status *s, const struct wire_error *problem,
                       struct doctor_list *ret)
{
    if (!s) {
        struct doctor_finding *f = doctor_add(ret, DOCTOR_WARNING, "no-ballastd", "%s", problem->error);

        doctor_change(f, "%s", problem->hint);
    } else {
        judge_guests(s, ret);
        judge_versions(s, ret);
        judge_protection(h, ret);
    }
    judge_kernel(h, ret);
    judge_memory(h, s, ret);
    judge_group(h, ret);
}
