/* SPDX-License-Identifier: Apache-2.0 */
#include "hv_qmp_guest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <systemd/sd-event.h>

#include "agent_link.h"
#include "qmp_message.h"

/* Looking at one guest: levers, its own statistics, and the host's view of it. */

/* QEMU's statistics have whole seconds: half of one in is the middle of what the stamp can mean. */
#define STAMP_HALF_USEC 500000ULL

/* QEMU asks the guest for statistics once a second. Whoever wants a view sooner than this after the last one makes it
 * ask at once (measured: new numbers within 20 ms, every 50 ms for as long as tried); the answer is read at the next
 * look. */
#define KICK_AFTER_USEC   900000ULL
#define KICK_SPACING_USEC 45000ULL /* and not more often than this */

/* ---- levers ---- */

static uint64_t boot_bytes(const struct qmp_guest *g)
{
    return g->base_bytes + g->devices.dimm_bytes;
}

struct lever_state qmp_guest_lever_state(const struct qmp_guest *g)
{
    struct lever_state s = {
        .boot_bytes = boot_bytes(g),
        .online_bytes = g->online.online_bytes,
        .has_balloon = g->balloon_path[0] && !g->vm.facts.fixed[0] && !g->boot_fixed,
    };

    for (size_t i = 0; i < g->devices.plugs_n; i++) {
        const struct qmp_plug *plug = &g->devices.plugs[i];

        s.plugged_bytes += plug->size_bytes;
        if (g->vm.facts.fixed[0]) {
            s.pluggable_bytes += plug->size_bytes;
            continue;
        }
        s.pluggable_bytes += plug->path[0] ? plug->most_bytes : plug->size_bytes;
        s.block_bytes = plug->block_bytes > s.block_bytes ? plug->block_bytes : s.block_bytes;
    }
    uint64_t most = g->plug_most_bytes ? g->plug_most_bytes : online_unheard_bytes(s.boot_bytes);
    if (s.pluggable_bytes > most)
        s.pluggable_bytes = most > s.plugged_bytes ? most : s.plugged_bytes;
    s.balloon_actual_bytes = s.boot_bytes;
    if (s.has_balloon && g->actual_bytes < s.boot_bytes)
        s.balloon_actual_bytes = g->actual_bytes;
    return s;
}

void qmp_guest_tell_levers(struct qmp_guest *g)
{
    const struct hv_listener *l = qmp_guest_listener(g);
    struct lever_state s = qmp_guest_lever_state(g);
    struct obs_levers seen = {
        .time_usec = qmp_guest_now(g),
        .boot_bytes = s.boot_bytes,
        .balloon_actual_bytes = s.balloon_actual_bytes,
        .plugged_bytes = s.plugged_bytes,
        .pluggable_bytes = s.pluggable_bytes,
        .block_bytes = s.block_bytes,
        .online_bytes = s.online_bytes,
        .plug_blocked = g->plug_blocked_usec > qmp_guest_now(g),
        .has_balloon = s.has_balloon,
        .deflate_on_oom = g->deflate_on_oom,
    };

    for (size_t i = 0; i < g->devices.plugs_n; i++)
        seen.requested_bytes += g->devices.plugs[i].requested_bytes;
    l->levers(l->user, &g->vm, &seen);
}

/* Somebody else asked virtio-mem for another size (S11). A driver that plugs again after a reset leaves it alone. */
static void find_foreign_hand(struct qmp_guest *g)
{
    const struct hv_listener *l = qmp_guest_listener(g);
    bool foreign = false;

    for (size_t i = 0; i < g->devices.plugs_n; i++) {
        foreign = foreign || g->devices.plugs[i].requested_bytes != g->ours[i];
        g->ours[i] = g->devices.plugs[i].requested_bytes;
    }
    if (!foreign)
        return;
    g->plug_ordered = false;
    l->happened(l->user, &g->vm, HV_HAPPENED_FOREIGN_HAND, qmp_guest_now(g));
}

static void unusable(struct qmp_guest *g, const struct err *e)
{
    qmp_guest_trouble(g, QMP_CAUSE_ANSWER, e->code, "guest '%s': %s: not used", g->vm.name, e->text);
}

/* The connection has been good for long: whatever comes now is news. */
static void forget_old_troubles(struct qmp_guest *g)
{
    if (g->told && qmp_guest_now(g) - g->attached_usec >= QMP_CLIENT_STEADY_USEC &&
        qmp_client_overdue(g->client) == 0) {
        g->told &= 1U << QMP_CAUSE_NO_LEVER | 1U << QMP_CAUSE_PLUG_ID | 1U << QMP_CAUSE_PROCESS |
                   1U << QMP_CAUSE_SMAPS | 1U << QMP_CAUSE_REGIONS; /* these last as long as the guest does */
        g->attached_usec = qmp_guest_now(g);
    }
}

static void levers_answered(struct qmp_guest *g)
{
    if (--g->levers_due > 0 || g->levers_failed)
        return;
    forget_old_troubles(g);
    find_foreign_hand(g);
    if (g->share.on)
        qmp_guest_limit_plug(g); /* its agent told between two batches */
    qmp_guest_move_on(g);
    qmp_guest_tell_levers(g);
}

static void on_balloon(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_guest *g = user;
    struct err inner = {0};
    uint64_t actual_bytes;

    if (g->levers_due == 0)
        return;
    if (e) {
        g->levers_failed = true;
        qmp_guest_command_failed(g, e);
    } else if (qmp_answer_balloon(value, &actual_bytes, &inner) < 0) {
        g->levers_failed = true;
        unusable(g, &inner);
    } else {
        if (actual_bytes != g->actual_bytes)
            g->actual_changed_usec = qmp_guest_now(g);
        g->actual_bytes = actual_bytes;
    }
    levers_answered(g);
}

static void on_devices(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_guest *g = user;
    struct qmp_memory_devices devices;
    struct err inner = {0};
    uint64_t plugged = 0;

    if (g->levers_due == 0)
        return;
    if (e && e->code != ENOSYS) { /* a QEMU without memory devices at all */
        g->levers_failed = true;
        qmp_guest_command_failed(g, e);
    } else if (!e && qmp_answer_memory_devices(value, &devices, &inner) < 0) {
        g->levers_failed = true;
        unusable(g, &inner);
    } else if (!e && devices.plugs_n != g->devices.plugs_n) {
        g->levers_failed = true; /* a device came or went: look at all of them again */
        levers_answered(g);
        qmp_guest_probe_again(g);
        return;
    } else if (!e) {
        for (size_t i = 0; i < devices.plugs_n; i++)
            plugged += devices.plugs[i].size_bytes;
        qmp_share_see_plugged(g, &devices);
        if (plugged != g->online.plugged_bytes)
            g->plug_moved_usec = qmp_guest_now(g);
        g->devices = devices;
        online_see_plugged(&g->online, plugged, qmp_guest_now(g));
    }
    levers_answered(g);
}

static int ask_levers(struct qmp_guest *g, struct err *e)
{
    int r;

    if (g->levers_due > 0)
        return 0;
    g->levers_failed = false;
    if (g->balloon_path[0]) {
        r = qmp_client_call(g->client, "query-balloon", NULL, on_balloon, g, e);
        if (r < 0)
            return r;
        g->levers_due++;
    }
    r = qmp_client_call(g->client, "query-memory-devices", NULL, on_devices, g, e);
    if (r < 0) {
        g->levers_failed = true; /* half a look is none */
        return r;
    }
    g->levers_due++;
    return 0;
}

/* ---- statistics ---- */

/* When the guest took them, on our clock: the stamp is wall clock with whole seconds. Never later than now, and where
 * the answer before still had the old ones, never before that was asked for: whatever a clock step makes of the stamp.
 */
static uint64_t sample_time(const struct qmp_guest *g, const struct qmp_statistics *s, uint64_t mono, uint64_t wall)
{
    uint64_t taken = s->last_update_sec < wall / 1000000 + 1 ? s->last_update_sec * 1000000 + STAMP_HALF_USEC : wall;
    uint64_t age = taken < wall ? wall - taken : 0;
    uint64_t time = age < mono ? mono - age : 1;

    return time < g->view_same_usec ? g->view_same_usec : time;
}

static bool is_fresh(const struct qmp_guest *g, const struct qmp_statistics *s)
{
    const struct qmp_statistics *old = &g->statistics;

    /* Within one second of the stamp, other numbers are newer ones: QEMU asks for them early when told to. */
    return s->last_update_sec != old->last_update_sec || s->total_bytes != old->total_bytes ||
           s->free_bytes != old->free_bytes || s->available_bytes != old->available_bytes;
}

static void tell_view(struct qmp_guest *g, const struct qmp_statistics *s)
{
    const struct hv_listener *l = qmp_guest_listener(g);
    uint64_t mono = qmp_guest_now(g), wall = mono;
    struct obs_guest_view view = {
        .source = OBS_SOURCE_STATISTICS,
        .heard_usec = mono,
        .spacing_usec = 1000000,
        .total_bytes = s->total_bytes,
        .free_bytes = s->free_bytes,
        .available_bytes = s->available_bytes,
        .cache_bytes = s->cache_bytes,
        .shmem_bytes = OBS_UNSET,
        .committed_bytes = OBS_UNSET,
        .swap_total_bytes = OBS_UNSET,
        .swap_used_bytes = OBS_UNSET,
        .swapped_in_bytes = s->swapped_in_bytes,
        .refaulted_bytes = OBS_UNSET,
        .balloon_bytes = OBS_UNSET,
        .oom_kills = s->oom_kills,
        .psi_some_usec = OBS_UNSET,
        .psi_full_usec = OBS_UNSET,
        .kernel_free_bytes = OBS_UNSET,
        .anon_bytes = OBS_UNSET,
        .dirty_bytes = OBS_UNSET,
        .commit_limit_bytes = OBS_UNSET,
        .swapped_out_bytes = OBS_UNSET,
    };

    (void)sd_event_now(qmp_guest_loop(g), CLOCK_REALTIME, &wall); /* fails only after a fork */
    view.time_usec = sample_time(g, s, mono, wall);
    l->view(l->user, &g->vm, &view);
}

/* The MemTotal of these statistics shows what is online of hot-added memory. */
static void see_total(struct qmp_guest *g, const struct qmp_statistics *s)
{
    struct lever_state levers = qmp_guest_lever_state(g);
    uint64_t now = qmp_guest_now(g);
    uint64_t balloon = levers.boot_bytes - levers.balloon_actual_bytes;
    /* Where MemTotal moves with the balloon, both numbers belong together only if neither moved since the stamp. */
    bool still = g->deflate_on_oom || now - g->actual_changed_usec > 2000000;

    online_see_total(&g->online, s->total_bytes, g->deflate_on_oom ? 0 : balloon, levers.boot_bytes, still, now);
}

static void on_statistics(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_guest *g = user;
    struct qmp_statistics s;
    struct err inner = {0};

    if (!g->view_due)
        return;
    g->view_due = false;
    if (e) {
        qmp_guest_command_failed(g, e);
        return;
    }
    if (qmp_answer_statistics(value, &s, &inner) < 0) {
        unusable(g, &inner);
        return;
    }
    if (!is_fresh(g, &s)) {
        g->view_same_usec = g->view_asked_usec;
        return;
    }
    qmp_share_see_statistics(g, &s);
    g->statistics = s;
    if (s.last_update_sec == 0 || s.total_bytes == OBS_UNSET)
        return; /* its driver has not reported yet */
    if (agent_link_is_heard(g->agent))
        return; /* asked for before the agent was there: it knows more, and better when */
    see_total(g, &s);
    tell_view(g, &s);
    g->view_same_usec = g->view_asked_usec;
}

static void on_kicked(void *user, struct json_object *value, const struct err *e)
{
    (void)value;
    if (e)
        qmp_guest_command_failed(user, e);
}

/* Setting the interval anew makes QEMU ask at once; the same value alone would not. */
static int kick(struct qmp_guest *g, struct err *e)
{
    char arguments[QMP_PATH_SIZE + 96];
    uint64_t now = qmp_guest_now(g);

    if (!g->interval_off && (now - g->view_asked_usec >= KICK_AFTER_USEC || now - g->kicked_usec < KICK_SPACING_USEC))
        return 0;
    g->kicked_usec = now;
    for (int value = g->interval_off ? 1 : 0; value <= 1; value++) {
        int r;

        (void)snprintf(arguments, sizeof(arguments),
                       "{\"path\":\"%s\",\"property\":\"guest-stats-polling-interval\",\"value\":%d}", g->balloon_path,
                       value);
        r = qmp_client_call(g->client, "qom-set", arguments, on_kicked, g, e);
        if (r < 0)
            return r;
        g->interval_off = value == 0; /* until the second has gone out, too */
    }
    return 0;
}

static int ask_view(struct qmp_guest *g, struct err *e)
{
    char arguments[QMP_PATH_SIZE + 64];
    int r;

    if (!g->balloon_path[0] || g->view_due)
        return 0;
    (void)snprintf(arguments, sizeof(arguments), "{\"path\":\"%s\",\"property\":\"guest-stats\"}", g->balloon_path);
    r = qmp_client_call(g->client, "qom-get", arguments, on_statistics, g, e);
    if (r == 0)
        r = kick(g, e);
    if (r < 0)
        return r;
    g->view_due = true;
    g->view_asked_usec = qmp_guest_now(g);
    return 0;
}

/* ---- the host's view ---- */

static void tell_host_view(struct qmp_guest *g)
{
    const struct hv_listener *l = qmp_guest_listener(g);
    struct obs_host_view seen = {
        .time_usec = g->host_asked_usec,
        .resident_bytes = g->smaps.resident_bytes,
        .swapped_bytes = g->smaps.swapped_bytes,
        .overhead_bytes = g->smaps.overhead_bytes,
        .disk_read_bytes = g->disks_good ? g->disk_read_bytes : OBS_UNSET,
    };

    if (g->smaps_due || g->disks_due)
        return;
    g->host_due = false;
    if (g->smaps_good)
        qmp_share_see_host(g);
    if (g->smaps_good)
        l->host_view(l->user, &g->vm, &seen);
}

void qmp_guest_smaps_done(struct qmp_guest *g, struct smaps_job *job)
{
    g->job_busy = false;
    if (!g->smaps_due)
        return;
    g->smaps_due = false;
    g->smaps_good = job->result == 0;
    g->smaps = job->smaps;
    if (job->result == -ENOENT || job->result == -ESRCH)
        ; /* it has just ended: that is told when the connection ends */
    else if (job->result < 0)
        qmp_guest_trouble(g, QMP_CAUSE_SMAPS, job->error.code,
                          "cannot see what guest '%s' really holds: %s; run ballastd as root or as the user of that "
                          "QEMU",
                          g->vm.name, job->error.text);
    else if (!job->smaps.all_found)
        qmp_guest_trouble(g, QMP_CAUSE_REGIONS, ENOENT,
                          "guest '%s': its RAM can't be told from the rest of process %ld: all of the process counts "
                          "as guest "
                          "memory",
                          g->vm.name, (long)job->pid);
    tell_host_view(g);
}

static void on_disks(void *user, struct json_object *value, const struct err *e)
{
    struct qmp_guest *g = user;
    struct err inner = {0};

    if (!g->disks_due)
        return;
    g->disks_due = false;
    g->disks_good = false;
    if (e)
        qmp_guest_command_failed(g, e);
    else if (qmp_answer_disk_reads(value, &g->disk_read_bytes, &inner) < 0)
        unusable(g, &inner);
    else
        g->disks_good = true;
    tell_host_view(g);
}

static int ask_host(struct qmp_guest *g, struct err *e)
{
    int r;

    if (g->host_due || g->job_busy || !g->vm.pid)
        return 0; /* one reading per guest at a time, a hung one included */
    if (!g->job)
        g->job = smaps_job_new();
    if (!g->job)
        return err_set(e, ENOMEM, "no memory to look at guest '%s'", g->vm.name);
    r = qmp_client_call(g->client, "query-blockstats", NULL, on_disks, g, e);
    if (r < 0)
        return r;
    g->job->pid = g->vm.pid;
    g->job->start_ticks = g->vm.start_ticks;
    memcpy(g->job->regions, g->regions, g->regions_n * sizeof(g->regions[0]));
    g->job->regions_n = g->regions_n;
    g->job->user = g;
    g->host_asked_usec = qmp_guest_now(g);
    g->host_due = g->disks_due = g->smaps_due = g->job_busy = true;
    smaps_pool_submit(qmp_guest_pool(g), g->job);
    return 0;
}

int qmp_guest_sample(struct qmp_guest *g, uint32_t what, struct err *e)
{
    int r = 0;

    qmp_guest_see_port(g);
    if (!g->attached && qmp_guest_is_reachable(g)) {
        if (what & HV_SAMPLE_VIEW && agent_link_is_heard(g->agent)) {
            agent_link_ask(g->agent); /* has a connection of its own */
            what &= ~(uint32_t)HV_SAMPLE_VIEW;
        }
        qmp_share_want(g, what);
        return 0;
    }
    if (!g->attached)
        return 0; /* the loss was told; until the monitor is back nothing answers, and the last sample ages */
    if (what & HV_SAMPLE_LEVERS)
        r = ask_levers(g, e);
    if (r == 0 && what & HV_SAMPLE_VIEW && agent_link_is_heard(g->agent))
        agent_link_ask(g->agent);
    else if (r == 0 && what & HV_SAMPLE_VIEW)
        r = ask_view(g, e);
    if (r == 0 && what & HV_SAMPLE_HOST)
        r = ask_host(g, e);
    if (r == -EBUSY) {
        *e = (struct err){0};
        return 0; /* a QEMU that hangs: that was told when the first command passed its deadline */
    }
    return r;
}
