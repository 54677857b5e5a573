/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture_hv_qmp.h"

#include "testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
                       "18446744073709551615, \"stat-minor-faults\": %" PRIu64 "}, \"last-update\": %" PRIu64 "}",
                       total, total / 2, total / 4 * 3, g->faults, g->last_update);
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

static void answer_children(struct guest *g, const char *line, unsigned long long id)
{
    const char *type = strstr(line, "/objects") ? g->object : strstr(line, "peripheral-anon") ? g->device : NULL;
    char text[256] = "[]";

    if (strstr(line, "peripheral\"") && !g->no_balloon)
        type = "virtio-balloon-pci";
    if (type)
        (void)snprintf(text, sizeof(text), "[{\"name\": \"bal\", \"type\": \"child<%s>\"}]", type);
    fake_qmp_reply(g->fake, id, text);
}

static void on_command(void *user, struct fake_qmp *f, const char *command, const char *line, unsigned long long id)
{
    struct guest *g = user;
    char text[256];

    if (g->silent || (g->extra && g->extra(g, command, line, id)))
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
        fake_qmp_reply(f, id, g->paused ? "{\"running\": false, \"status\": \"paused\"}"
                                        : "{\"running\": true, \"status\": \"running\"}");
    } else if (strcmp(command, "qom-list") == 0) {
        answer_children(g, line, id);
    } else if (g->knows_facts && strcmp(command, "query-version") == 0) {
        fake_qmp_reply(f, id, "{\"qemu\": {\"major\": 7, \"minor\": 2, \"micro\": 15}, \"package\": \"x\"}");
    } else if (g->knows_facts && strcmp(command, "qom-get") == 0 && strstr(line, "\"/machine\"")) {
        fake_qmp_reply(f, id, "{\"max-size\": 1073741824, \"slots\": 2, \"size\": 268435456}");
    } else if (g->knows_facts && strcmp(command, "qom-get") == 0 && strstr(line, "free-page-reporting")) {
        fake_qmp_reply(f, id, "false");
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

void count_done(void *user, const struct err *e)
{
    struct world *w = user;

    w->dones++;
    w->done_code = e ? e->code : 0;
}

/* ---- the stage ---- */

int setup_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    strcpy(w->directory, "/tmp/ballast-test-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    assert_true(sd_event_new(&w->loop) >= 0);
    *state = w;
    return 0;
}

int teardown_world(void **state)
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

struct guest *start_guest(struct world *w, size_t i)
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

struct hv_listener listener_of(struct world *w)
{
    return (struct hv_listener){on_appeared, on_vanished, on_levers,  on_host_view,
                                on_view,     on_happened, on_trouble, w};
}

static void open_it(struct world *w, bool shared)
{
    const char *directory = w->directory;
    const struct hv_qmp_config config = {
        .loop = w->loop,
        .listener = listener_of(w),
        .directories = &directory,
        .directories_n = 1,
        .directories_shared = &shared,
        .share_said_usec = 100000,
    };
    struct err e = {0};

    assert_int_equal(hv_qmp_open(&config, &w->hv, &e), 0);
}

void open_driver(struct world *w)
{
    open_it(w, /* shared= */ false);
}

void open_shared(struct world *w)
{
    open_it(w, /* shared= */ true);
}

void run_until(struct world *w, const unsigned *what, unsigned n)
{
    while (*what < n)
        assert_true(sd_event_run(w->loop, UINT64_MAX) >= 0);
}

void look(struct world *w, size_t i, uint32_t what, const unsigned *answer)
{
    unsigned before = *answer;
    struct err e = {0};

    assert_int_equal(hv_sample(w->vms[i], what, &e), 0);
    run_until(w, answer, before + 1);
}

void order(struct world *w, size_t i, uint64_t target_mib)
{
    unsigned before = w->dones;
    struct err e = {0};

    assert_int_equal(hv_set_target(w->vms[i], target_mib * MIB, count_done, w, &e), 0);
    assert_int_equal(w->dones, before); /* never from inside the call */
    run_until(w, &w->dones, before + 1);
}

void settle(struct world *w, const uint64_t *what, uint64_t value)
{
    while (*what != value)
        assert_true(sd_event_run(w->loop, UINT64_MAX) >= 0);
}
