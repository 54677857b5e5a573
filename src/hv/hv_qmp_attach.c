/* SPDX-License-Identifier: Apache-2.0 */
#include "hv_qmp_guest.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "agent_link.h"
#include "hv_qmp.h"
#include "log.h"
#include "procstat.h"
#include "qmp_message.h"

/* From the connection to a guest that is known: who is it, which levers has it; and back. */

/* A guest whose monitor stays closed for this many tries in a row (with the client's backoff: some 6 s) is said so. */
#define LOSSES_TILL_SAID 6

/* A socket that nobody listens on is made a moment before QEMU listens: said after so many tries (1.5 s). */
#define REFUSALS_TILL_SAID 4

/* ---- sentences ---- */

void qmp_guest_trouble(struct qmp_guest *g, enum qmp_cause cause, int code, const char *format, ...)
{
    const struct hv_listener *l = qmp_guest_listener(g);
    char text[ERR_TEXT_SIZE];
    struct err e = {0};
    va_list ap;

    if (g->told & 1U << cause)
        return;
    g->told |= 1U << cause;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof(text), format, ap); /* a cut sentence is better than none */
    va_end(ap);
    (void)err_set(&e, code, "%s", text);
    l->trouble(l->user, g->known ? &g->vm : NULL, &e);
}

void qmp_guest_command_failed(struct qmp_guest *g, const struct err *e)
{
    switch (e->code) {
    case ECANCELED: /* the loss of the connection is told by itself */
        break;
    case ETIMEDOUT:
        qmp_guest_trouble(g, QMP_CAUSE_SILENT, ETIMEDOUT,
                          "guest '%s' is silent: %s; it keeps its memory until QEMU answers again", g->vm.name,
                          e->text);
        break;
    default:
        qmp_guest_trouble(g, QMP_CAUSE_COMMAND, e->code, "guest '%s': %s", g->vm.name, e->text);
    }
}

/* ---- the process ---- */

static bool process_lives(const struct qmp_guest *g)
{
    struct procstat stat;
    struct err e = {0};

    if (!g->vm.pid)
        return false; /* never seen: the socket is all there is */
    if (procstat_read("/proc", g->vm.pid, &stat, &e) < 0)
        return e.code != ENOENT && e.code != ESRCH;
    return stat.start_ticks == g->vm.start_ticks && stat.state != 'Z';
}

static int on_process_end(struct sd_event_source *s, int fd, uint32_t events, void *user)
{
    struct qmp_guest *g = user;
    char reason[64];

    (void)s;
    (void)fd;
    (void)events;
    (void)snprintf(reason, sizeof(reason), "its QEMU (process %ld) has ended", (long)g->vm.pid);
    qmp_client_drop(g->client);
    qmp_guest_vanish(g, reason);
    if (g->share.on)
        qmp_share_lost(g);
    return 0;
}

static void watch_process(struct qmp_guest *g)
{
    if (g->pidfd >= 0 || !g->vm.pid)
        return;
    g->pidfd = (int)syscall(SYS_pidfd_open, g->vm.pid, 0); /* glibc 2.36 has no wrapper under Debian 11's headers */
    if (g->pidfd < 0)
        return; /* Linux before 5.3: process_lives() finds out when the connection ends */
    if (sd_event_add_io(qmp_guest_loop(g), &g->pid_source, g->pidfd, EPOLLIN, on_process_end, g) < 0) {
        (void)close(g->pidfd);
        g->pidfd = -1;
    }
}

bool qmp_guest_is_reachable(const struct qmp_guest *g)
{
    return g->attached || (g->share.on && g->known);
}

void qmp_guest_detach(struct qmp_guest *g)
{
    g->attached = false;
    g->probing = 0;
    g->levers_due = 0;
    g->view_due = g->host_due = g->disks_due = g->smaps_due = false;
    qmp_guest_stop_moving(g);
}

void qmp_guest_vanish(struct qmp_guest *g, const char *reason)
{
    const struct hv_listener *l = qmp_guest_listener(g);

    qmp_guest_detach(g);
    qmp_share_stop(g);
    g->pid_source = sd_event_source_disable_unref(g->pid_source);
    if (g->pidfd >= 0)
        (void)close(g->pidfd);
    g->pidfd = -1;
    if (g->job) {
        if (g->job_busy)
            smaps_pool_forget(qmp_guest_pool(g), g->job);
        else
            (void)smaps_job_free(g->job);
    }
    g->job = NULL;
    g->job_busy = false;
    g->left_over = g->known;
    qmp_guest_agent_stop(g);
    qmp_guest_backup_lost(g, /* gone= */ true, reason);
    if (g->known)
        l->vanished(l->user, &g->vm, reason, qmp_guest_now(g));
    g->known = false;
    g->vm.pid = 0;
    g->vm.start_ticks = 0;
    g->vm.user = NULL;
    g->told &= ~(1U << QMP_CAUSE_LOST);
}

/* ---- the guest appears ---- */

static void fill_vm(struct qmp_guest *g)
{
    struct hv_vm *vm = &g->vm;

    memcpy(vm->uuid, g->uuid, sizeof(vm->uuid));
    vm->pid = g->pid;
    vm->start_ticks = g->start_ticks;
    vm->caps = 0;
    qmp_guest_judge_facts(g);
    if (g->balloon_path[0])
        vm->caps |= HV_CAP_STATISTICS;
    if (g->balloon_path[0] && !vm->facts.fixed[0] && !g->boot_fixed)
        vm->caps |= HV_CAP_BALLOON;
    for (size_t i = 0; i < g->devices.plugs_n; i++)
        if (g->devices.plugs[i].path[0] && !vm->facts.fixed[0])
            vm->caps |= HV_CAP_PLUG;
    if (vm->pid)
        vm->caps |= HV_CAP_HOST_VIEW;
}

static void say_what_is_missing(struct qmp_guest *g)
{
    if (!g->vm.pid)
        qmp_guest_trouble(g, QMP_CAUSE_PROCESS, ESRCH,
                          "the process of guest '%s' can't be seen from here (another PID namespace?): what it holds "
                          "is taken "
                          "from QEMU's word; run ballastd in the host's PID namespace",
                          g->vm.name);
    for (size_t i = 0; i < g->devices.plugs_n; i++)
        if (!g->devices.plugs[i].path[0])
            qmp_guest_trouble(g, QMP_CAUSE_PLUG_ID, ENODEV,
                              "guest '%s' has a virtio-mem device without id, which can't be resized; give it one: "
                              "-device "
                              "virtio-mem-pci,id=vm0,...",
                              g->vm.name);
    if (g->vm.facts.fixed[0])
        qmp_guest_trouble(g, QMP_CAUSE_NO_LEVER, ENODEV, "guest '%s' keeps its size: %s", g->vm.name, g->vm.facts.fixed);
    else if (!(g->vm.caps & (HV_CAP_BALLOON | HV_CAP_PLUG)))
        qmp_guest_trouble(g, QMP_CAUSE_NO_LEVER, ENODEV,
                          "guest '%s' has no balloon device and no virtio-mem: its memory stays as it is; add -device "
                          "virtio-balloon-pci,deflate-on-oom=on to its QEMU",
                          g->vm.name);
}

static void attach(struct qmp_guest *g)
{
    const struct hv_listener *l = qmp_guest_listener(g);
    uint64_t now = qmp_guest_now(g), plugged = 0;
    bool is_new = !g->known;

    g->attached = true;
    g->attached_usec = now;
    if (g->regions_n == 0) /* QEMU before 5.0 does not list boot memory that is no backend of its own */
        g->regions[g->regions_n++] = g->base_bytes;
    g->losses = 0;
    fill_vm(g);
    if (agent_link_is_heard(g->agent))
        g->vm.caps |= HV_CAP_AGENT;
    for (size_t i = 0; i < g->devices.plugs_n; i++) {
        plugged += g->devices.plugs[i].size_bytes;
        g->ours[i] = g->devices.plugs[i].requested_bytes;
    }
    if (is_new) {
        g->known = true;
        g->told = 0; /* another process: all of it is news */
        g->statistics = (struct qmp_statistics){0};
        g->view_same_usec = 0;
        g->plug_blocked_usec = 0;
        g->told_paused = false;
        online_adopt(&g->online, plugged);
        watch_process(g);
        l->appeared(l->user, &g->vm, now);
        qmp_guest_agent_start(g);
        qmp_guest_port_missed(g);
    }
    say_what_is_missing(g);
    if (g->running == g->told_paused && !g->backup.frozen) /* also where its event was missed while the connection was away */
        l->happened(l->user, &g->vm, g->running ? HV_HAPPENED_RESUMED : HV_HAPPENED_PAUSED, now);
    g->told_paused = !g->running;
    qmp_guest_tell_levers(g);
    qmp_guest_backup_ready(g);
}

/* ---- probing ---- */

static void probe_failed(struct qmp_guest *g)
{
    qmp_guest_trouble(g, QMP_CAUSE_PROBE, g->probe_failed.code, "cannot manage guest '%s' at '%s': %s; trying again",
                      g->vm.name, g->path, g->probe_failed.text);
    qmp_guest_detach(g);
    qmp_client_drop(g->client);
    if (g->share.on)
        qmp_share_lost(g);
}

static void on_probe(void *user, struct json_object *value, const struct err *e);

static bool ask(struct qmp_guest *g, enum qmp_probe what, const char *command, const char *arguments)
{
    struct err e = {0};

    g->steps[what] = (struct qmp_probe_step){g, what};
    if (qmp_client_call(g->client, command, arguments, on_probe, &g->steps[what], &e) < 0) {
        if (!g->probe_failed.code)
            g->probe_failed = e;
        return false;
    }
    g->probing++;
    return true;
}

/* What the second round asks depends on the first: the balloon's place in the object tree. */
static void ask_balloon(struct qmp_guest *g)
{
    char arguments[QMP_PATH_SIZE + 96];

    (void)snprintf(arguments, sizeof(arguments), "{\"path\":\"%s\",\"property\":\"deflate-on-oom\"}", g->balloon_path);
    (void)ask(g, QMP_PROBE_DEFLATE, "qom-get", arguments);
    (void)snprintf(arguments, sizeof(arguments), "{\"path\":\"%s\",\"property\":\"free-page-reporting\"}",
                   g->balloon_path);
    (void)ask(g, QMP_PROBE_REPORTING, "qom-get", arguments);
    /* Statistics once a second, the finest QEMU has. They cost nothing while nobody asks, so they stay on at close. */
    (void)snprintf(arguments, sizeof(arguments),
                   "{\"path\":\"%s\",\"property\":\"guest-stats-polling-interval\",\"value\":1}", g->balloon_path);
    (void)ask(g, QMP_PROBE_INTERVAL, "qom-set", arguments);
    (void)ask(g, QMP_PROBE_BALLOON, "query-balloon", NULL);
}

static void take_child(struct qmp_guest *g, const char *parent, struct json_object *value)
{
    char name[QMP_PATH_SIZE - 32]; /* fits behind the longest parent */

    qmp_guest_see_children(g, value);
    if (!g->balloon_path[0] && qmp_answer_child(value, "child<virtio-balloon", name, sizeof(name)))
        (void)snprintf(g->balloon_path, sizeof(g->balloon_path), "%s/%s", parent, name);
}

static int take_probe(struct qmp_guest *g, enum qmp_probe what, struct json_object *value, struct err *e)
{
    switch (what) {
    case QMP_PROBE_UUID:
        return qmp_answer_uuid(value, g->uuid, e);
    case QMP_PROBE_BOOT:
        return qmp_answer_boot_memory(value, &g->base_bytes, e);
    case QMP_PROBE_REGIONS:
        return qmp_answer_regions(value, g->regions, &g->regions_n, e);
    case QMP_PROBE_DEVICES:
        return qmp_answer_memory_devices(value, &g->devices, e);
    case QMP_PROBE_STATUS:
        return qmp_answer_running(value, &g->running, e);
    case QMP_PROBE_PERIPHERAL:
        take_child(g, "/machine/peripheral", value);
        return 0;
    case QMP_PROBE_ANONYMOUS:
        take_child(g, "/machine/peripheral-anon", value);
        return 0;
    case QMP_PROBE_DEFLATE:
        if (!qmp_to_bool(value, &g->deflate_on_oom))
            return err_set(e, EPROTO, "no usable 'deflate-on-oom'");
        g->found.deflate_on_oom = g->deflate_on_oom ? HV_YES : HV_NO;
        return 0;
    case QMP_PROBE_VERSION:
    case QMP_PROBE_OBJECTS:
    case QMP_PROBE_MACHINE:
    case QMP_PROBE_REPORTING:
        qmp_guest_take_fact(g, what, value);
        return 0;
    case QMP_PROBE_INTERVAL:
        return 0;
    case QMP_PROBE_BALLOON:
        return qmp_answer_balloon(value, &g->actual_bytes, e);
    case QMP_PROBE_COUNT:
        break;
    }
    return 0;
}

/* Old or small QEMUs lack these, and a guest can be managed without. */
static bool is_optional(enum qmp_probe what, int code)
{
    if (code != ETIMEDOUT &&
        (what == QMP_PROBE_VERSION || what == QMP_PROBE_OBJECTS || what == QMP_PROBE_MACHINE || what == QMP_PROBE_REPORTING))
        return true; /* facts for people; a silent monitor is silent in all */
    return code == ENOSYS && (what == QMP_PROBE_DEVICES || what == QMP_PROBE_REGIONS || what == QMP_PROBE_UUID);
}

static void on_probe(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_probe_step *step = user;
    struct qmp_guest *g = step->guest;
    struct err inner = {0};

    if (g->probing == 0 || (e && e->code == ECANCELED))
        return;
    if (e && !is_optional(step->what, e->code))
        inner = *e;
    else if (!e)
        (void)take_probe(g, step->what, value, &inner);
    if (inner.code && !g->probe_failed.code)
        g->probe_failed = inner;
    if (--g->probing > 0)
        return;
    if (!g->probe_failed.code && g->balloon_path[0] && step->what < QMP_PROBE_DEFLATE)
        ask_balloon(g);
    if (g->probe_failed.code)
        probe_failed(g);
    else if (g->probing == 0)
        attach(g);
}

static void probe(struct qmp_guest *g)
{
    g->probing = 0;
    g->probe_failed = (struct err){0};
    g->balloon_path[0] = g->uuid[0] = '\0';
    g->regions_n = 0;
    g->devices = (struct qmp_memory_devices){0};
    qmp_guest_ask_facts(g, ask);
    (void)ask(g, QMP_PROBE_UUID, "query-uuid", NULL);
    (void)ask(g, QMP_PROBE_BOOT, "query-memory-size-summary", NULL);
    (void)ask(g, QMP_PROBE_REGIONS, "query-memdev", NULL);
    (void)ask(g, QMP_PROBE_DEVICES, "query-memory-devices", NULL);
    (void)ask(g, QMP_PROBE_STATUS, "query-status", NULL);
    (void)ask(g, QMP_PROBE_PERIPHERAL, "qom-list", "{\"path\":\"/machine/peripheral\"}");
    (void)ask(g, QMP_PROBE_ANONYMOUS, "qom-list", "{\"path\":\"/machine/peripheral-anon\"}");
    if (g->probing == 0)
        probe_failed(g);
}

void qmp_guest_probe_again(struct qmp_guest *g)
{
    qmp_guest_detach(g);
    probe(g);
}

/* ---- the connection ---- */

static void on_ready(void *user)
{
    struct qmp_guest *g = user;
    struct procstat stat = {0};
    struct err e = {0};

    g->pid = qmp_client_peer_pid(g->client);
    g->start_ticks = 0;
    if (g->pid && procstat_read("/proc", g->pid, &stat, &e) == 0)
        g->start_ticks = stat.start_ticks;
    else
        g->pid = 0;
    if (g->known && g->pid && (g->vm.pid != g->pid || g->vm.start_ticks != g->start_ticks))
        qmp_guest_vanish(g, "another QEMU has taken its place");
    if (g->share.on)
        qmp_share_ready(g);
    if (g->share.on && g->known)
        qmp_share_batch(g);
    else
        probe(g);
}

static void on_event(void *user, const char *name, struct json_object *data)
{
    qmp_guest_event(user, name, data);
    qmp_guest_backup_event(user, name, data);
}

static void on_idle(void *user)
{
    qmp_share_idle(user);
}

bool qmp_guest_say_stopped(struct qmp_guest *g)
{
    struct procstat stat;
    struct err e = {0};
    pid_t pid = qmp_client_peer_pid(g->client);

    if (!pid || procstat_read("/proc", pid, &stat, &e) < 0 || (stat.state != 'T' && stat.state != 't'))
        return false;
    qmp_guest_trouble(g, QMP_CAUSE_BUSY, ETIMEDOUT,
                      "the QEMU of guest '%s' (process %ld) is stopped and answers nothing; "
                      "continue it with kill -CONT %ld",
                      g->vm.name, (long)pid, (long)pid);
    return true;
}

static void say_busy(struct qmp_guest *g)
{
    if (qmp_guest_say_stopped(g))
        return;
    qmp_guest_trouble(g, QMP_CAUSE_BUSY, EBUSY,
                      "the monitor '%s' of guest '%s' is in use by another client (QEMU serves one at a time); give "
                      "ballast its "
                      "own: -chardev socket,id=ballast,path=/run/ballast/guests/%s.qmp,server=on,wait=off -mon "
                      "chardev=ballast,mode=control",
                      g->path, g->vm.name, g->vm.name);
}

static void say_lost(struct qmp_guest *g, enum qmp_loss why, const struct err *e)
{
    const char *name = g->vm.name;

    switch (why) {
    case QMP_LOSS_ABSENT:
        if (g->listed && !g->known)
            qmp_guest_trouble(g, QMP_CAUSE_ABSENT, ENOENT,
                              "no socket '%s' for guest '%s': it is taken up when its QEMU makes it "
                              "(-qmp unix:%s,server=on,wait=off)",
                              g->path, name, g->path);
        break;
    case QMP_LOSS_REFUSED:
        if (g->losses >= REFUSALS_TILL_SAID && !g->known && !g->left_over)
            qmp_guest_trouble(g, QMP_CAUSE_NOBODY, ECONNREFUSED,
                              "nobody listens on the socket '%s' of guest '%s': it is taken "
                              "up when its QEMU runs; a left-over socket may be deleted",
                              g->path, name);
        break;
    case QMP_LOSS_DENIED:
        qmp_guest_trouble(g, QMP_CAUSE_DENIED, EACCES,
                          "no permission for the socket '%s' of guest '%s': run ballastd as root or "
                          "as the user of that QEMU",
                          g->path, name);
        break;
    case QMP_LOSS_BUSY:
        say_busy(g);
        break;
    case QMP_LOSS_NOT_QMP:
        qmp_guest_trouble(g, QMP_CAUSE_NOT_QMP, EPROTO,
                          "the socket '%s' of guest '%s' does not speak QMP (%s); its monitor needs "
                          "mode=control",
                          g->path, name, e->text);
        break;
    case QMP_LOSS_NONSENSE:
        qmp_guest_trouble(g, QMP_CAUSE_NONSENSE, EPROTO,
                          "the monitor '%s' of guest '%s' sent nonsense (%s): connection ended, "
                          "trying again",
                          g->path, name, e->text);
        break;
    case QMP_LOSS_ENDED:
        if (g->known && g->losses >= LOSSES_TILL_SAID)
            qmp_guest_trouble(g, QMP_CAUSE_LOST, ECONNRESET,
                              "the monitor '%s' of guest '%s' keeps closing, though its QEMU runs: "
                              "it keeps its memory until the monitor answers",
                              g->path, name);
        break;
    case QMP_LOSS_OTHER:
    case QMP_LOSS_COUNT:
        qmp_guest_trouble(g, QMP_CAUSE_OTHER, e->code, "cannot use the monitor '%s' of guest '%s': %s; trying again",
                          g->path, name, e->text);
    }
}

static void on_lost(void *user, enum qmp_loss why, const struct err *e)
{
    struct qmp_guest *g = user;

    log_debug("qmp: guest '%s': %s", g->vm.name, e->text);
    g->losses++;
    if (g->share.on)
        qmp_share_lost(g); /* what was ordered goes on; the commands under way have ended */
    else
        qmp_guest_detach(g);
    if (g->known && g->vm.pid && !process_lives(g))
        qmp_guest_vanish(g, "its QEMU has ended");
    else if (g->known && !g->vm.pid && (why == QMP_LOSS_ABSENT || why == QMP_LOSS_REFUSED))
        qmp_guest_vanish(g, "nobody listens on its monitor any more");
    /* The process lives, its monitor does not: the same for the administrator as one that keeps closing. */
    if (g->known && (why == QMP_LOSS_ABSENT || why == QMP_LOSS_REFUSED))
        why = QMP_LOSS_ENDED;
    qmp_guest_backup_lost(g, /* gone= */ false, e->text);
    if (!g->share.on || why != QMP_LOSS_BUSY) /* else it is said when it lasts */
        say_lost(g, why, e);
}

int qmp_guest_connect(struct qmp_guest *g, struct err *e)
{
    struct qmp_client_config config = {
        .loop = qmp_guest_loop(g),
        .path = g->path,
        .handler = {.ready = on_ready, .event = on_event, .lost = on_lost, .user = g},
    };
    int r;

    if (g->share.on) {
        config.handler.idle = on_idle;
        r = qmp_share_start(g, &config, e);
        if (r < 0)
            return r;
    }
    return qmp_client_new(&config, &g->client, e);
}
