/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "fake_qmp.h"
#include "hv_qmp.h"
#include "online.h"

/* The QEMU driver against played QEMUs: what it tells, what it sends, and what one bad guest does to the others. */

#define MIB (1ULL << 20)

struct world;

/* A played guest: obeys at once, but for what its flags say. */
struct guest {
    struct world *w;
    struct fake_qmp *fake;
    char path[80];
    uint64_t boot, actual, plugged, requested, most;
    uint64_t total_base; /* MemTotal without plugged memory */
    uint64_t last_update;
    bool no_balloon, offline, stubborn_plug, silent, foolish, refuses;
    unsigned balloons, plugs, kicks; /* commands */
    uint64_t balloon_asked;
};

struct world {
    char directory[32];
    sd_event *loop;
    struct hv *hv;
    struct guest guests[3];
    struct hv_vm *vms[3];
    unsigned appeared, vanished, levers, views, hosts, troubles, dones;
    unsigned happened[HV_HAPPENED_COUNT];
    struct obs_levers seen;
    struct obs_guest_view view;
    struct obs_host_view host;
    char trouble[ERR_TEXT_SIZE], reason[128];
    int trouble_code, done_code;
};

/* ---- the played QEMU ---- */

static uint64_t value_of(const char *line)
{
    const char *value = strstr(line, "\"value\":");

    return value ? strtoull(value + strlen("\"value\":"), NULL, 10) : 0;
}

static void answer_statistics(struct guest *g, unsigned long long id)
{
    char text[512];
    uint64_t total = g->total_base + (g->offline ? 0 : g->plugged);

    if (!g->last_update)
        (void)snprintf(text, sizeof(text),
                       "{\"stats\": {\"stat-total-memory\": 18446744073709551615, \"stat-available-memory\": "
                       "18446744073709551615}, \"last-update\": 0}");
    else
        (void)snprintf(text, sizeof(text),
                       "{\"stats\": {\"stat-total-memory\": %" PRIu64 ", \"stat-free-memory\": %" PRIu64 ", "
                       "\"stat-available-memory\": %" PRIu64 ", \"stat-disk-caches\": 4096, \"stat-swap-in\": "
                       "18446744073709551615}, \"last-update\": %" PRIu64 "}",
                       total, total / 2, total / 4 * 3, g->last_update);
    fake_qmp_reply(g->fake, id, text);
}

static void answer_devices(struct guest *g, unsigned long long id)
{
    char text[512];

    if (g->most)
        (void)snprintf(text, sizeof(text),
                       "[{\"type\": \"virtio-mem\", \"data\": {\"memdev\": \"/objects/m\", \"block-size\": 2097152, "
                       "\"size\": %" PRIu64 ", \"node\": 0, \"max-size\": %" PRIu64 ", \"requested-size\": %" PRIu64
                       ", \"id\": \"vm0\"}}]",
                       g->plugged, g->most, g->requested);
    else
        (void)snprintf(text, sizeof(text), "[]");
    fake_qmp_reply(g->fake, id, text);
}

static void set_property(struct guest *g, const char *line, unsigned long long id)
{
    if (strstr(line, "requested-size")) {
        g->plugs++;
        g->requested = value_of(line);
        if (!g->stubborn_plug || g->requested > g->plugged)
            g->plugged = g->requested;
    } else if (strstr(line, "polling-interval") && value_of(line) == 0) {
        g->kicks++;
    } else {
        assert_non_null(strstr(line, "/machine/peripheral/bal"));
    }
    fake_qmp_reply(g->fake, id, "{}");
}

static void on_command(void *user, struct fake_qmp *f, const char *command, const char *line, unsigned long long id)
{
    struct guest *g = user;
    char text[256];

    if (g->silent)
        return;
    if (g->foolish) {
        fake_qmp_reply(f, id, "{\"actual\": [], \"size\": {}, \"base-memory\": -5}");
    } else if (strcmp(command, "query-uuid") == 0) {
        fake_qmp_reply(f, id, "{\"UUID\": \"00000000-0000-0000-0000-000000000000\"}");
    } else if (strcmp(command, "query-memory-size-summary") == 0) {
        (void)snprintf(text, sizeof(text), "{\"base-memory\": %" PRIu64 ", \"plugged-memory\": 0}", g->boot);
        fake_qmp_reply(f, id, text);
    } else if (strcmp(command, "query-memdev") == 0) {
        fake_qmp_reply(f, id, "[{\"size\": 1099511627776, \"id\": \"pc.ram\"}]");
    } else if (strcmp(command, "query-memory-devices") == 0) {
        answer_devices(g, id);
    } else if (strcmp(command, "query-status") == 0) {
        fake_qmp_reply(f, id, "{\"running\": true, \"status\": \"running\"}");
    } else if (strcmp(command, "qom-list") == 0) {
        fake_qmp_reply(f, id,
                       !g->no_balloon && strstr(line, "peripheral\"") ? "[{\"name\": \"bal\", \"type\": "
                                                                        "\"child<virtio-balloon-pci>\"}]"
                                                                      : "[]");
    } else if (strcmp(command, "qom-get") == 0 && strstr(line, "deflate-on-oom")) {
        fake_qmp_reply(f, id, "true");
    } else if (strcmp(command, "qom-get") == 0) {
        answer_statistics(g, id);
    } else if (strcmp(command, "qom-set") == 0) {
        set_property(g, line, id);
    } else if (strcmp(command, "query-balloon") == 0) {
        (void)snprintf(text, sizeof(text), "{\"actual\": %" PRIu64 "}", g->actual);
        fake_qmp_reply(f, id, text);
    } else if (strcmp(command, "query-blockstats") == 0) {
        fake_qmp_reply(f, id, "[{\"device\": \"vda\", \"stats\": {\"rd_bytes\": 12345}}]");
    } else if (strcmp(command, "balloon") == 0 && g->refuses) {
        fake_qmp_refuse(f, id, "GenericError", "not today");
    } else if (strcmp(command, "balloon") == 0) {
        g->balloons++;
        g->balloon_asked = value_of(line);
        g->actual = g->balloon_asked < g->boot ? g->balloon_asked : g->boot;
        fake_qmp_reply(f, id, "{}");
    } else {
        fake_qmp_refuse(f, id, "CommandNotFound", command);
    }
}

/* ---- the listener ---- */

static void on_appeared(void *user, struct hv_vm *vm, uint64_t now_usec)
{
    struct world *w = user;

    (void)now_usec;
    w->appeared++;
    w->vms[vm->name[0] - 'a'] = vm;
}

static void on_vanished(void *user, struct hv_vm *vm, const char *reason, uint64_t now_usec)
{
    struct world *w = user;

    (void)now_usec;
    w->vanished++;
    w->vms[vm->name[0] - 'a'] = NULL;
    (void)snprintf(w->reason, sizeof(w->reason), "%s", reason);
}

static void on_levers(void *user, struct hv_vm *vm, const struct obs_levers *seen)
{
    struct world *w = user;

    (void)vm;
    w->levers++;
    w->seen = *seen;
}

static void on_host_view(void *user, struct hv_vm *vm, const struct obs_host_view *seen)
{
    struct world *w = user;

    (void)vm;
    w->hosts++;
    w->host = *seen;
}

static void on_view(void *user, struct hv_vm *vm, const struct obs_guest_view *seen)
{
    struct world *w = user;

    (void)vm;
    w->views++;
    w->view = *seen;
}

static void on_happened(void *user, struct hv_vm *vm, enum hv_happening what, uint64_t now_usec)
{
    struct world *w = user;

    (void)vm;
    (void)now_usec;
    w->happened[what]++;
}

static void on_trouble(void *user, struct hv_vm *vm, const struct err *e)
{
    struct world *w = user;

    (void)vm;
    w->troubles++;
    w->trouble_code = e->code;
    (void)snprintf(w->trouble, sizeof(w->trouble), "%s", e->text);
}

static void on_done(void *user, const struct err *e)
{
    struct world *w = user;

    w->dones++;
    w->done_code = e ? e->code : 0;
}

/* ---- the stage ---- */

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    strcpy(w->directory, "/tmp/ballast-test-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    assert_true(sd_event_new(&w->loop) >= 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    w->hv = hv_close(w->hv);
    for (size_t i = 0; i < 3; i++)
        w->guests[i].fake = fake_qmp_free(w->guests[i].fake);
    w->loop = sd_event_unref(w->loop);
    (void)rmdir(w->directory); /* a test that makes it itself may have removed it */
    free(w);
    return 0;
}

/* Guest 'a' + i; fields set before stay. */
static struct guest *start_guest(struct world *w, size_t i)
{
    struct guest *g = &w->guests[i];
    struct fake_qmp_config config = {.loop = w->loop, .command = on_command, .user = g};
    char path[sizeof(g->path)];

    g->w = w;
    g->boot = g->boot ? g->boot : 256 * MIB;
    g->actual = g->actual ? g->actual : g->boot;
    g->total_base = 218 * MIB;
    g->last_update = g->last_update ? g->last_update : (uint64_t)time(NULL);
    (void)snprintf(path, sizeof(path), "%s/%c.qmp", w->directory, (char)('a' + (int)i));
    memcpy(g->path, path, sizeof(path));
    config.path = g->path;
    g->fake = fake_qmp_new(&config);
    return g;
}

static void open_driver(struct world *w)
{
    const char *directory = w->directory;
    const struct hv_qmp_config config = {
        .loop = w->loop,
        .listener = {on_appeared, on_vanished, on_levers, on_host_view, on_view, on_happened, on_trouble, w},
        .directories = &directory,
        .directories_n = 1,
    };
    struct err e = {0};

    assert_int_equal(hv_qmp_open(&config, &w->hv, &e), 0);
}

static void run_until(struct world *w, const unsigned *what, unsigned n)
{
    while (*what < n)
        assert_true(sd_event_run(w->loop, UINT64_MAX) >= 0);
}

static void look(struct world *w, size_t i, uint32_t what, const unsigned *answer)
{
    unsigned before = *answer;
    struct err e = {0};

    assert_int_equal(hv_sample(w->vms[i], what, &e), 0);
    run_until(w, answer, before + 1);
}

static void order(struct world *w, size_t i, uint64_t target_mib)
{
    unsigned before = w->dones;
    struct err e = {0};

    assert_int_equal(hv_set_target(w->vms[i], target_mib * MIB, on_done, w, &e), 0);
    assert_int_equal(w->dones, before); /* never from inside the call */
    run_until(w, &w->dones, before + 1);
}

/* Polling by the driver itself brings the levers there. */
static void settle(struct world *w, const uint64_t *what, uint64_t value)
{
    while (*what != value)
        assert_true(sd_event_run(w->loop, UINT64_MAX) >= 0);
}

/* ---- tests ---- */

static void finds_probes_and_samples(void **state)
{
    struct world *w = *state;
    struct guest *g = &w->guests[0];

    g->most = 512 * MIB;
    start_guest(w, 0);
    open_driver(w);
    run_until(w, &w->levers, 1);
    assert_int_equal(w->appeared, 1);
    assert_string_equal(w->vms[0]->name, "a");
    assert_string_equal(w->vms[0]->uuid, ""); /* QEMU's zeros are none */
    assert_int_equal(w->vms[0]->pid, getpid());
    assert_true(w->vms[0]->start_ticks > 0);
    assert_int_equal(w->vms[0]->caps, HV_CAP_BALLOON | HV_CAP_STATISTICS | HV_CAP_PLUG | HV_CAP_HOST_VIEW);
    assert_true(w->seen.boot_bytes == 256 * MIB && w->seen.balloon_actual_bytes == 256 * MIB);
    assert_true(w->seen.pluggable_bytes == 512 * MIB && w->seen.block_bytes == 2 * MIB && w->seen.deflate_on_oom);
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    assert_true(w->view.total_bytes == 218 * MIB && w->view.swapped_in_bytes == OBS_UNSET);
    assert_true(w->view.time_usec <= w->view.heard_usec);
    look(w, 0, HV_SAMPLE_HOST, &w->hosts);
    assert_true(w->host.disk_read_bytes == 12345 && w->host.resident_bytes > 0);
    assert_int_equal(w->troubles, 1); /* this process has no such RAM region: all of it counts */
    assert_non_null(strstr(w->trouble, "all of the process counts"));
    assert_int_equal(g->balloons + g->plugs, 0); /* S10: nothing is moved */
    w->hv = hv_close(w->hv);
    assert_int_equal(g->balloons + g->plugs, 0);
}

static void old_statistics_are_not_told_again(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);

    open_driver(w);
    run_until(w, &w->appeared, 1);
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    for (int i = 0; i < 5; i++)
        look(w, 0, HV_SAMPLE_LEVERS | HV_SAMPLE_VIEW, &w->levers);
    assert_int_equal(w->views, 1);
    g->last_update++;
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    assert_int_equal(w->views, 2);
    g->last_update = 1; /* the wall clock was set back by decades: still fresh, and not decades old */
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    assert_true(w->view.heard_usec - w->view.time_usec < 60000000);
    g->last_update = UINT64_MAX; /* nor from the future */
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    assert_true(w->view.time_usec <= w->view.heard_usec);
}

static void unset_statistics_are_no_view(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);

    g->last_update = 0;
    open_driver(w);
    run_until(w, &w->appeared, 1);
    for (int i = 0; i < 3; i++)
        look(w, 0, HV_SAMPLE_LEVERS | HV_SAMPLE_VIEW, &w->levers);
    assert_int_equal(w->views, 0);
    assert_int_equal(w->troubles, 0);
}

static void looking_often_asks_the_guest_at_once(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);

    open_driver(w);
    run_until(w, &w->appeared, 1);
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    assert_int_equal(g->kicks, 0);
    look(w, 0, HV_SAMPLE_LEVERS | HV_SAMPLE_VIEW, &w->levers);
    run_until(w, &g->kicks, 1);
}

static void moves_both_levers(void **state)
{
    struct world *w = *state;
    struct guest *g = &w->guests[0];

    g->most = 512 * MIB;
    start_guest(w, 0);
    open_driver(w);
    run_until(w, &w->appeared, 1);
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    order(w, 0, 128);
    assert_true(g->balloon_asked == 128 * MIB && g->plugs == 0 && w->done_code == 0);
    settle(w, &w->seen.balloon_actual_bytes, 128 * MIB); /* seen without asking */
    order(w, 0, 400);
    assert_true(g->balloon_asked == 256 * MIB && g->requested == 144 * MIB);
    settle(w, &w->seen.online_bytes, 144 * MIB); /* and the statistics that prove it are asked for */
    order(w, 0, 300);
    assert_true(g->requested == 44 * MIB && g->balloon_asked == 256 * MIB);
    settle(w, &w->seen.plugged_bytes, 44 * MIB);
    order(w, 0, 100); /* unplugs first; the balloon follows when that is done */
    assert_true(g->requested == 0);
    settle(w, &w->seen.balloon_actual_bytes, 100 * MIB);
    assert_int_equal(w->happened[HV_HAPPENED_FOREIGN_HAND], 0);
    assert_int_equal(w->troubles, 0);
}

static void the_balloon_takes_what_stays_plugged(void **state)
{
    struct world *w = *state;
    struct guest *g = &w->guests[0];

    g->most = 512 * MIB;
    g->plugged = g->requested = 128 * MIB;
    g->stubborn_plug = true;
    start_guest(w, 0);
    open_driver(w);
    run_until(w, &w->appeared, 1);
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    order(w, 0, 300);
    assert_true(g->requested == 44 * MIB);
    settle(w, &w->seen.balloon_actual_bytes, 172 * MIB); /* 128 stay plugged */
    g->plugged = 44 * MIB;                               /* and when they go after all */
    settle(w, &w->seen.balloon_actual_bytes, 256 * MIB);
}

static void offline_memory_is_unplugged_and_said(void **state)
{
    struct world *w = *state;
    struct guest *g = &w->guests[0];
    uint64_t start, now;

    g->most = 512 * MIB;
    g->offline = true;
    start_guest(w, 0);
    open_driver(w);
    run_until(w, &w->appeared, 1);
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    order(w, 0, 384);
    assert_true(g->plugged == 128 * MIB);
    assert_true(sd_event_now(w->loop, CLOCK_MONOTONIC, &start) >= 0);
    do { /* the guest reports, and its MemTotal does not rise */
        g->last_update++;
        assert_true(sd_event_run(w->loop, UINT64_MAX) >= 0);
        assert_true(sd_event_now(w->loop, CLOCK_MONOTONIC, &now) >= 0);
    } while (now - start < 2 * ONLINE_PROOF_USEC);
    assert_int_equal(w->troubles, 0);
    assert_true(w->seen.plugged_bytes == 128 * MIB && w->seen.online_bytes == 0); /* not given */
    order(w, 0, 256); /* as the engine withdraws what does not move */
    assert_int_equal(w->troubles, 1);
    assert_non_null(strstr(w->trouble, "offline"));
    assert_non_null(strstr(w->trouble, "memhp_default_state=online"));
    settle(w, &w->seen.plugged_bytes, 0);
    assert_true(w->seen.online_bytes == 0);
    order(w, 0, 384); /* not again at once */
    assert_true(g->requested == 0);
    assert_int_equal(w->troubles, 1);
}

static void the_same_target_is_sent_again(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);

    open_driver(w);
    run_until(w, &w->appeared, 1);
    order(w, 0, 128);
    settle(w, &w->seen.balloon_actual_bytes, 128 * MIB);
    g->actual = 200 * MIB; /* deflate-on-oom took memory back */
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    assert_int_equal(g->balloons, 1);
    order(w, 0, 128);
    assert_int_equal(g->balloons, 2);
    settle(w, &w->seen.balloon_actual_bytes, 128 * MIB);
}

static void a_refused_order_ends_with_its_reason(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);
    struct err e = {0};

    g->refuses = true;
    open_driver(w);
    run_until(w, &w->appeared, 1);
    order(w, 0, 128);
    assert_int_equal(w->done_code, EREMOTEIO);
    assert_int_equal(w->troubles, 1);
    assert_string_equal(w->trouble, "guest 'a': QEMU refused 'balloon': not today");
    assert_int_equal(hv_set_target(w->vms[0], 0, on_done, w, &e), -EINVAL);
}

static void another_hand_on_virtio_mem_is_seen(void **state)
{
    struct world *w = *state;
    struct guest *g = &w->guests[0];

    g->most = 512 * MIB;
    start_guest(w, 0);
    open_driver(w);
    run_until(w, &w->appeared, 1);
    look(w, 0, HV_SAMPLE_VIEW, &w->views);
    order(w, 0, 384);
    settle(w, &w->seen.online_bytes, 128 * MIB);
    g->plugged = 0; /* a reset: its driver plugs the same size again, which is no other hand */
    fake_qmp_send_text(g->fake, "{\"event\": \"RESET\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\r\n");
    run_until(w, &w->happened[HV_HAPPENED_RESET], 1);
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    g->plugged = 128 * MIB;
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    assert_int_equal(w->happened[HV_HAPPENED_FOREIGN_HAND], 0);
    g->requested = g->plugged = 64 * MIB;
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    assert_int_equal(w->happened[HV_HAPPENED_FOREIGN_HAND], 1);
    look(w, 0, HV_SAMPLE_LEVERS, &w->levers);
    assert_int_equal(w->happened[HV_HAPPENED_FOREIGN_HAND], 1); /* once */
}

static void events_are_told(void **state)
{
    static const struct {
        const char *event;
        enum hv_happening what;
    } cases[] = {
        {"{\"event\": \"RESET\"}\n", HV_HAPPENED_RESET},
        {"{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}\n",
         HV_HAPPENED_SHUTDOWN},
        {"{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\n", HV_HAPPENED_RESET},
        {"{\"event\": \"SHUTDOWN\", \"data\": 7}\n", HV_HAPPENED_SHUTDOWN},
        {"{\"event\": \"GUEST_PANICKED\", \"data\": {\"action\": \"pause\"}}\n", HV_HAPPENED_PANIC},
        {"{\"event\": \"STOP\"}\n", HV_HAPPENED_PAUSED},
        {"{\"event\": \"RESUME\"}\n", HV_HAPPENED_RESUMED},
    };
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);

    open_driver(w);
    run_until(w, &w->appeared, 1);
    fake_qmp_send_text(g->fake, "{\"event\": \"NIC_RX_FILTER_CHANGED\"}\n");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned before = w->happened[cases[i].what];

        fake_qmp_send_text(g->fake, cases[i].event);
        run_until(w, &w->happened[cases[i].what], before + 1);
    }
    w->levers = 0;
    g->actual = 77 * MIB;
    fake_qmp_send_text(g->fake, "{\"event\": \"BALLOON_CHANGE\", \"data\": {\"actual\": 5}}\n");
    run_until(w, &w->levers, 1);
    assert_true(w->seen.balloon_actual_bytes == 77 * MIB); /* looked at, not taken from the event */
}

static void no_lever_is_one_sentence(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);
    struct err e = {0};

    g->no_balloon = true;
    open_driver(w);
    run_until(w, &w->levers, 1);
    assert_int_equal(w->vms[0]->caps, HV_CAP_HOST_VIEW);
    assert_false(w->seen.has_balloon);
    assert_int_equal(w->troubles, 1);
    assert_non_null(strstr(w->trouble, "no balloon device"));
    assert_non_null(strstr(w->trouble, "-device virtio-balloon-pci"));
    assert_int_equal(hv_set_target(w->vms[0], 128 * MIB, on_done, w, &e), -ENODEV);
    look(w, 0, HV_SAMPLE_ALL, &w->levers);
    assert_int_equal(g->balloons, 0);
}

/* S4: a silent guest and one that talks nonsense cost one sentence each; the third goes on. */
static void bad_guests_trouble_nobody_else(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    start_guest(w, 0);
    start_guest(w, 1);
    start_guest(w, 2);
    open_driver(w);
    run_until(w, &w->appeared, 3);
    w->guests[0].silent = true;
    w->guests[1].foolish = true;
    assert_int_equal(hv_sample(w->vms[0], HV_SAMPLE_LEVERS, &e), 0);
    assert_int_equal(hv_sample(w->vms[1], HV_SAMPLE_LEVERS, &e), 0);
    order(w, 2, 128);
    settle(w, &w->seen.balloon_actual_bytes, 128 * MIB);
    run_until(w, &w->troubles, 2); /* "can't be used" at once, "silent" after the deadline */
    assert_int_equal(w->trouble_code, ETIMEDOUT);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(hv_sample(w->vms[1], HV_SAMPLE_LEVERS, &e), 0);
        look(w, 2, HV_SAMPLE_LEVERS, &w->levers);
    }
    assert_int_equal(w->troubles, 2);
    assert_int_equal(w->vanished, 0);
}

static void a_lost_monitor_is_taken_up_again(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 0);
    struct hv_vm *vm;
    struct err e = {0};

    open_driver(w);
    run_until(w, &w->appeared, 1);
    vm = w->vms[0];
    w->levers = 0;
    assert_int_equal(hv_set_target(vm, 128 * MIB, on_done, w, &e), 0);
    fake_qmp_hang_up(g->fake);
    run_until(w, &w->dones, 1);
    assert_int_equal(w->done_code, ECANCELED);
    assert_int_equal(hv_sample(vm, HV_SAMPLE_ALL, &e), 0); /* answers nothing, and is no trouble each second */
    assert_int_equal(hv_set_target(vm, 128 * MIB, on_done, w, &e), -ENOTCONN);
    run_until(w, &w->levers, 1); /* attached again */
    assert_int_equal(w->appeared, 1);
    assert_int_equal(w->vanished, 0); /* the process lives */
    assert_ptr_equal(w->vms[0], vm);
    assert_int_equal(w->troubles, 0);
}

static void directories_may_come_later(void **state)
{
    struct world *w = *state;

    assert_int_equal(rmdir(w->directory), 0);
    open_driver(w);
    assert_true(sd_event_run(w->loop, UINT64_MAX) >= 0);
    assert_int_equal(mkdir(w->directory, 0700), 0);
    start_guest(w, 0);
    run_until(w, &w->appeared, 1); /* by the rescan */
    start_guest(w, 1);
    run_until(w, &w->appeared, 2); /* by inotify */
}

static void wrong_names_and_files_are_left_alone(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {".qmp", "b.qga", "c.qmp.old", "plain.qmp"};
    char path[96];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", w->directory, names[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    start_guest(w, 0);
    open_driver(w);
    run_until(w, &w->appeared, 1);
    assert_int_equal(w->troubles, 1); /* the last one only: a name of ours that is no socket */
    assert_non_null(strstr(w->trouble, "plain.qmp' is no socket"));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", w->directory, names[i]);
        assert_int_equal(rmdir(path), 0);
    }
}

/* Once for all of them, and the others are found. */
static void a_name_that_is_none_is_said(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"x y.qmp", "it's.qmp"};
    struct fake_qmp *fakes[2];

    for (size_t i = 0; i < 2; i++) {
        struct fake_qmp_config config = {.loop = w->loop};
        char path[96];

        (void)snprintf(path, sizeof(path), "%s/%s", w->directory, names[i]);
        config.path = path;
        fakes[i] = fake_qmp_new(&config);
    }
    start_guest(w, 0);
    open_driver(w);
    run_until(w, &w->appeared, 1);
    assert_int_equal(w->troubles, 1);
    assert_non_null(strstr(w->trouble, "can't be that of a guest"));
    for (size_t i = 0; i < 2; i++)
        (void)fake_qmp_free(fakes[i]);
}

static void explicit_sockets(void **state)
{
    struct world *w = *state;
    struct guest *g = start_guest(w, 1);
    struct hv_qmp_socket sockets[] = {
        {"b", g->path},
        {"c", "/nonexistent/c.qmp"},
        {"a", "/var/run/qemu-server/100.qmp"},
    };
    struct hv_qmp_config config = {
        .loop = w->loop,
        .listener = {on_appeared, on_vanished, on_levers, on_host_view, on_view, on_happened, on_trouble, w},
        .sockets = sockets,
        .sockets_n = 3,
    };
    struct err e = {0};

    assert_int_equal(hv_qmp_open(&config, &w->hv, &e), 0);
    run_until(w, &w->appeared, 1);
    run_until(w, &w->troubles, 2); /* absent; not ours */
    w->hv = hv_close(w->hv);
    sockets[1].name = "b";
    assert_int_equal(hv_qmp_open(&config, &w->hv, &e), -EINVAL);
    sockets[1].name = "b/c";
    assert_int_equal(hv_qmp_open(&config, &w->hv, &e), -EINVAL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(finds_probes_and_samples),
        TEST(old_statistics_are_not_told_again),
        TEST(unset_statistics_are_no_view),
        TEST(looking_often_asks_the_guest_at_once),
        TEST(moves_both_levers),
        TEST(the_balloon_takes_what_stays_plugged),
        TEST(offline_memory_is_unplugged_and_said),
        TEST(the_same_target_is_sent_again),
        TEST(a_refused_order_ends_with_its_reason),
        TEST(another_hand_on_virtio_mem_is_seen),
        TEST(events_are_told),
        TEST(no_lever_is_one_sentence),
        TEST(bad_guests_trouble_nobody_else),
        TEST(a_lost_monitor_is_taken_up_again),
        TEST(directories_may_come_later),
        TEST(wrong_names_and_files_are_left_alone),
        TEST(a_name_that_is_none_is_said),
        TEST(explicit_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
