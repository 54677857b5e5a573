/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "doctor_host.h"
#include "fixture_golden.h"
#include "fixture_status.h"
#include "own.h"

OWN_DEFINE(wire_status);

/* What `ballast doctor` finds: each rule by itself, from a guest or a host that lacks nothing. */

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define TEXT(member, value) wire_text_copy(member, sizeof(member), value)

static const struct term pipe_term = {.width = TERM_WIDTH_UNLIMITED};
static const struct term narrow_term = {.width = 80};

static struct wire_guest guest_well(void)
{
    struct wire_guest g;

    wire_guest_clear(&g);
    TEXT(g.name, "web1");
    TEXT(g.uuid, "2f9c7c9e-0f1d-4a64-8c1e-6f3f0a7d5b11");
    TEXT(g.state, "running");
    TEXT(g.mode, "auto");
    TEXT(g.hypervisor, "QEMU 7.2.15");
    TEXT(g.demand_source, "agent");
    TEXT(g.agent_port, "heard");
    TEXT(g.deflate_on_oom, "yes");
    TEXT(g.page_reporting, "yes");
    g.balloon = true;
    g.known_ms = 600000;
    g.levers_age_ms = 50;
    g.boot_bytes = 512 * MIB;
    g.pluggable_bytes = 512 * MIB;
    g.minimum_bytes = 256 * MIB;
    g.maximum_bytes = GIB;
    g.committed_bytes = 400 * MIB;
    g.commit_limit_bytes = GIB;
    g.swap_total_bytes = 512 * MIB;
    g.psi_some_usec = 0;
    return g;
}

static void no_balloon(struct wire_guest *g)
{
    g->balloon = false;
    g->deflate_on_oom[0] = g->page_reporting[0] = '\0';
}

static void bare(struct wire_guest *g)
{
    no_balloon(g);
    g->pluggable_bytes = 0;
    g->uuid[0] = '\0';
    TEXT(g->demand_source, "none");
    TEXT(g->agent_port, "none");
    g->swap_total_bytes = g->committed_bytes = g->commit_limit_bytes = g->psi_some_usec = WIRE_UNKNOWN;
    g->maximum_bytes = g->boot_bytes;
    TEXT(g->trouble, "guest 'web1' has no balloon device and no virtio-mem: its memory stays as it is");
}

static void deaf_balloon(struct wire_guest *g)
{
    TEXT(g->deflate_on_oom, "no");
    TEXT(g->page_reporting, "no");
}

static void never_heard(struct wire_guest *g)
{
    TEXT(g->demand_source, "none");
    wire_guest_flag(g, "silent", "it never reported its memory");
}

static void booting(struct wire_guest *g)
{
    never_heard(g);
    TEXT(g->state, "booting");
    g->known_ms = 3000;
}

static void no_port(struct wire_guest *g)
{
    TEXT(g->demand_source, "statistics");
    TEXT(g->agent_port, "none");
}

static void no_agent(struct wire_guest *g)
{
    no_port(g);
    TEXT(g->agent_port, "open");
}

static void no_plug(struct wire_guest *g)
{
    g->pluggable_bytes = 0;
}

static void boot_only(struct wire_guest *g)
{
    no_plug(g);
    g->maximum_bytes = g->boot_bytes;
}

static void offline(struct wire_guest *g)
{
    wire_guest_flag(g, "not-onlined", "it left hot-added memory offline");
}

static void movable(struct wire_guest *g)
{
    g->kernel_short = true;
    TEXT(g->trouble, "guest 'web1': its kernel has 3 MiB free that it can use itself");
}

static void no_psi(struct wire_guest *g)
{
    g->psi_some_usec = WIRE_UNKNOWN;
}

static void no_swap(struct wire_guest *g)
{
    g->swap_total_bytes = 0;
}

static void no_swap_at_all_costs(struct wire_guest *g)
{
    g->swap_total_bytes = 0;
    g->committed_bytes = g->commit_limit_bytes;
}

static void little_swap(struct wire_guest *g)
{
    g->committed_bytes = g->commit_limit_bytes / 100 * 95;
}

static void wide_range(struct wire_guest *g)
{
    g->maximum_bytes = 8 * g->minimum_bytes + 1;
}

static void range_of_eight(struct wire_guest *g)
{
    g->maximum_bytes = 8 * g->minimum_bytes;
}

static void movable_range(struct wire_guest *g)
{
    no_agent(g);
    g->maximum_bytes = 4 * g->minimum_bytes + 1;
}

static void no_uuid(struct wire_guest *g)
{
    g->uuid[0] = '\0';
}

static void shared(struct wire_guest *g)
{
    g->shared_monitor = true;
}

static void foreign(struct wire_guest *g)
{
    wire_guest_flag(g, "foreign-hand", "another program moves its memory");
    wire_guest_flag(g, "stalled", "no finding: nothing to change");
}

static void on_hold(struct wire_guest *g)
{
    wire_guest_flag(g, "on-hold", "its moves are paused by root; ballast resume web1");
}

static void liar(struct wire_guest *g)
{
    wire_guest_flag(g, "breach", "it says 120 MiB and holds 222 MiB");
    wire_guest_flag(g, "stuck", "told to go to 128 MiB, it stays at 120 MiB");
    TEXT(g->trouble, "guest 'web1' is silent: QEMU has not answered");
}

static void locked(struct wire_guest *g)
{
    TEXT(g->fixed_reason, "its memory is locked (-overcommit mem-lock=on)");
    no_plug(g);
    deaf_balloon(g); /* options of no use: nothing is said of them */
    TEXT(g->trouble, "guest 'web1' keeps its size");
}

static void locked_and_meant_so(struct wire_guest *g)
{
    locked(g);
    TEXT(g->mode, "fixed");
}

/* "!no-balloon -no-uuid": in order, with severity. */
static void ids(const struct doctor_list *l, char *to, size_t size)
{
    size_t used = 0;

    to[0] = '\0';
    for (size_t i = 0; i < l->count && used < size; i++)
        used += (size_t)snprintf(to + used, size - used, "%s%c%s", i > 0 ? " " : "",
                                 l->items[i].severity == DOCTOR_WARNING ? '!' : '-', l->items[i].id);
}

static void each_lack_is_one_finding(void **state)
{
    static const struct {
        const char *name, *want;
        void (*spoil)(struct wire_guest *g);
    } cases[] = {
        {"well", "", NULL},
        {"bare", "!no-balloon -no-virtio-mem !no-agent-port -no-uuid", bare},
        {"no balloon", "!no-balloon", no_balloon},
        {"deaf balloon", "-deflate-on-oom -page-reporting", deaf_balloon},
        {"never heard", "!no-statistics", never_heard},
        {"booting", "", booting},
        {"no port", "!no-agent-port", no_port},
        {"no agent", "!agent-silent", no_agent},
        {"no virtio-mem", "!no-virtio-mem", no_plug},
        {"boot memory only", "-no-virtio-mem", boot_only},
        {"offline", "!offline-memory", offline},
        {"movable", "!movable-memory", movable},
        {"no PSI", "-no-psi", no_psi},
        {"no swap", "-no-swap", no_swap},
        {"no swap, all promised", "!no-swap", no_swap_at_all_costs},
        {"little swap", "-little-swap", little_swap},
        {"wide range", "-range", wide_range},
        {"range of 8", "", range_of_eight},
        {"movable range", "!agent-silent -range", movable_range},
        {"no UUID", "-no-uuid", no_uuid},
        {"shared", "-shared-monitor", shared},
        {"foreign", "!foreign-hand", foreign},
        {"on hold", "-on-hold", on_hold},
        {"liar", "!breach !stuck !trouble", liar},
        {"locked", "!fixed", locked},
        {"locked and meant so", "-fixed", locked_and_meant_so},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO_FREE struct doctor_list *l = calloc(1, sizeof(*l));
        struct wire_guest g = guest_well();
        char found[512];

        if (cases[i].spoil)
            cases[i].spoil(&g);
        doctor_judge_guest(&g, "", l);
        ids(l, found, sizeof(found));
        if (strcmp(found, cases[i].want) != 0)
            fail_msg("%s: '%s' instead of '%s'", cases[i].name, found, cases[i].want);
        for (size_t k = 0; k < l->count; k++)
            if (!l->items[k].what[0] || (!l->items[k].change[0] && strcmp(l->items[k].id, "trouble") != 0 &&
                                         strcmp(l->items[k].id, "foreign-hand") != 0 &&
                                         strcmp(l->items[k].id, "on-hold") != 0))
                fail_msg("%s: '%s' does not say what to do", cases[i].name, l->items[k].id);
    }
}

static void findings_look_as_they_did(void **state)
{
    static const struct {
        const char *name;
        void (*spoil)(struct wire_guest *g);
    } cases[] = {{"doctor-bare.txt", bare}, {"doctor-locked.txt", locked}, {"doctor-liar.txt", liar},
                 {"doctor-no-virtio-mem.txt", no_plug}, {"doctor-no-swap.txt", no_swap}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO_FREE struct doctor_list *l = calloc(1, sizeof(*l));
        struct wire_guest g = guest_well();
        struct wire_text t = {0};

        cases[i].spoil(&g);
        doctor_judge_guest(&g, "", l);
        doctor_print(&narrow_term, &t, l);
        golden_check(cases[i].name, &t);
        wire_text_done(&t);
    }
}

/* The sizes of the design's rule: 1.1 x committed - minimum, within 256 MiB and maximum - minimum. */
static void swap_is_sized_by_the_rule(void **state)
{
    static const struct {
        uint64_t committed, minimum, maximum;
        const char *says;
    } cases[] = {
        {100 * MIB, 256 * MIB, GIB, "some 256 MiB"},  {1000 * MIB, 256 * MIB, 4 * GIB, "some 844 MiB"},
        {8 * GIB, 256 * MIB, 1280 * MIB, "some 1024 MiB"}, {8 * GIB, GIB, GIB, "some 256 MiB"},
        {UINT64_MAX >> 9, GIB, 2 * GIB, "some 1024 MiB"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO_FREE struct doctor_list *l = calloc(1, sizeof(*l));
        struct wire_guest g = guest_well();

        g.swap_total_bytes = 0;
        g.commit_limit_bytes = WIRE_UNKNOWN;
        g.committed_bytes = cases[i].committed;
        g.minimum_bytes = cases[i].minimum;
        g.maximum_bytes = cases[i].maximum;
        g.pluggable_bytes = 4 * GIB;
        doctor_judge_guest(&g, "", l);
        assert_true(l->count >= 1);
        if (!strstr(l->items[0].change, cases[i].says))
            fail_msg("case %zu: %s", i, l->items[0].change);
    }
}

static struct doctor_host host_well(void)
{
    return (struct doctor_host){.total_bytes = 8 * GIB, .available_bytes = 4 * GIB, .kvm_present = true, .kvm_allowed = true,
                                .cgroup2 = true, .psi = true, .ksm_present = true, .ksm_running = true,
                                .zram_present = true, .swap_bytes = GIB, .group_present = true,
                                .clock_synchronized = true, .pid = 777, .locked_bytes = 8 * MIB, .oom_score_adj = -900,
                                .state_free_bytes = GIB, .socket_mode = 0660, .socket_is_ours = true,
                                .runs_as_root = true, .state_dir = "/var/lib/ballast"};
}

static void each_lack_of_the_host_is_one_finding(void **state)
{
    const struct doctor_host well = host_well();
    struct doctor_host cases[16];
    const char *want[16];
    size_t n = 0;

#define CASE(change, ids_wanted)                                                                                       \
    do {                                                                                                               \
        cases[n] = well;                                                                                               \
        struct doctor_host *h = &cases[n];                                                                             \
        change;                                                                                                        \
        want[n++] = ids_wanted;                                                                                        \
    } while (0)
    (void)state;
    CASE((void)h, "");
    CASE(h->kvm_present = h->kvm_allowed = false, "!no-kvm");
    CASE(h->kvm_allowed = false, "-kvm-denied");
    CASE(h->psi = false, "-no-psi");
    CASE(h->cgroup2 = false, "-no-cgroup2");
    CASE(h->overcommit_memory = 2, "!overcommit-memory");
    CASE(h->clock_synchronized = false, "-clock");
    CASE((h->huge_pages = 100, h->huge_page_bytes = 2 * MIB), "-huge-pages");
    CASE(h->swap_bytes = 0, "-no-swap");
    CASE((h->swap_bytes = 0, h->zswap_on = true), "");
    CASE(h->ksm_running = false, "-no-ksm");
    CASE(h->locked_bytes = 0, "!not-locked");
    CASE(h->oom_score_adj = 0, "!oom-score");
    CASE(h->state_free_bytes = MIB, "!state-dir");
    CASE(h->socket_mode = 0666, "!socket-open");
    CASE((h->group_present = h->socket_is_ours = false), "-no-group");
#undef CASE
    for (size_t i = 0; i < n; i++) {
        AUTO(wire_status) struct wire_status *s = fixture_status();
        AUTO_FREE struct doctor_list *l = calloc(1, sizeof(*l));
        char found[512];

        s->warning_count = 0;
        s->host.watched = 0;
        doctor_judge_host(&cases[i], s, NULL, l);
        ids(l, found, sizeof(found));
        if (strcmp(found, want[i]) != 0)
            fail_msg("host %zu: '%s' instead of '%s'", i, found, want[i]);
    }
}

static void a_host_without_ballastd_is_looked_at(void **state)
{
    const struct wire_error problem = {"ballastd does not run", "start it"};
    struct doctor_host h = host_well();
    AUTO_FREE struct doctor_list *l = calloc(1, sizeof(*l));
    struct wire_text t = {0};

    (void)state;
    h.pid = h.locked_bytes = h.state_free_bytes = UINT64_MAX;
    h.oom_score_adj = INT64_MIN;
    h.socket_mode = 0;
    h.kvm_present = h.kvm_allowed = h.psi = h.cgroup2 = h.group_present = h.clock_synchronized = false;
    h.swap_bytes = 0;
    h.overcommit_memory = 2;
    h.huge_pages = 512;
    h.huge_page_bytes = 2 * MIB;
    doctor_judge_host(&h, NULL, &problem, l);
    doctor_print(&narrow_term, &t, l);
    golden_check("doctor-host.txt", &t);
    wire_text_done(&t);
}

static void what_ballastd_says_is_a_finding(void **state)
{
    AUTO(wire_status) struct wire_status *s = fixture_status();
    AUTO_FREE struct doctor_list *l = calloc(1, sizeof(*l));
    struct doctor_host h = host_well();
    char found[512];

    (void)state;
    s->daemon.dry_run = true;
    TEXT(s->guests[0].hypervisor, "QEMU 5.2.0");
    doctor_judge_host(&h, s, NULL, l);
    ids(l, found, sizeof(found));
    assert_string_equal(found, "!ballastd !dry-run -watched -old-qemu");
    assert_non_null(strstr(l->items[0].what, "in use by another client"));
    assert_non_null(strstr(l->items[2].change, "/etc/ballast/ballast.yaml"));
}

/* A host in a directory. */
static void put(const char *root, const char *path, const char *text)
{
    char whole[512];
    FILE *f;

    (void)snprintf(whole, sizeof(whole), "%s%s", root, path);
    for (char *slash = strchr(whole + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(whole, 0755);
        *slash = '/';
    }
    f = fopen(whole, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void the_host_is_read(void **state)
{
    char root[] = "/tmp/ballast-doctor-XXXXXX", command[128];
    const struct wire_daemon d = {.pid = 4711, .state_dir = "/proc"};
    struct doctor_host h;

    (void)state;
    assert_non_null(mkdtemp(root));
    doctor_host_read(root, &h); /* nothing is there */
    assert_true(!h.kvm_present && !h.psi && !h.cgroup2 && !h.ksm_present && h.total_bytes == UINT64_MAX);
    put(root, "/proc/meminfo", "MemTotal: 1024 kB\nMemFree: 1 kB\nMemAvailable: 512 kB\nSwapTotal: 64 kB\nSwapFree: 64 kB\n"
        "HugePages_Total:      12\nHugepagesize:       2048 kB\n");
    put(root, "/proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n");
    put(root, "/proc/sys/vm/overcommit_memory", "2\n");
    put(root, "/sys/fs/cgroup/cgroup.controllers", "cpu memory io\n");
    put(root, "/sys/kernel/mm/ksm/run", "1\n");
    put(root, "/sys/module/zswap/parameters/enabled", "Y\n");
    put(root, "/dev/kvm", "");
    put(root, "/proc/4711/status", "Name:\tballastd\nVmLck:\t    4096 kB\n");
    put(root, "/proc/4711/oom_score_adj", "-900\n");
    doctor_host_read(root, &h);
    assert_true(h.total_bytes == MIB && h.swap_bytes == 64 << 10 && h.huge_pages == 12 && h.huge_page_bytes == 2 * MIB);
    assert_true(h.kvm_present && h.kvm_allowed && h.psi && h.cgroup2 && h.ksm_running && h.zswap_on);
    assert_int_equal(h.overcommit_memory, 2);
    doctor_host_read_daemon(root, root, &d, &h);
    assert_true(h.locked_bytes == 4 * MIB && h.oom_score_adj == -900 && h.pid == 4711);
    assert_int_equal(h.state_free_bytes, 0); /* of /proc */
    assert_int_equal(h.socket_mode, 0700);
    (void)snprintf(command, sizeof(command), "rm -rf %s", root);
    assert_int_equal(system(command), 0);
}

static void names_are_safe_to_type(void **state)
{
    static const struct {
        const char *name, *want;
    } cases[] = {
        {"web1", "web1"}, {"a.b_c-d", "a.b_c-d"}, {"", "''"}, {"-rf", "'-rf'"}, {"$(reboot)", "'$(reboot)'"},
        {"a;b", "'a;b'"}, {"it's", "'it?s'"}, {"gr\xc3\xbcn", "'gr\xc3\xbcn'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(doctor_shell_name(cases[i].name).s, cases[i].want);
}

/* Documents that lie: no crash, no control character, and JSON that is JSON. */
static void hostile_documents(void **state)
{
    static const char evil[] = "a\x1b[2J\x07\xc2\x9b\x37m\xff\ne\r'\"\\";
    static const uint64_t values[] = {0, 1, UINT64_MAX >> 8, UINT64_MAX - 1, UINT64_MAX};
    AUTO_FREE struct doctor_list *l = calloc(1, sizeof(*l));

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct wire_guest g = guest_well();
        struct wire_text t = {0}, json = {0};
        struct json_object *parsed;
        uint64_t *numbers[] = {&g.boot_bytes, &g.pluggable_bytes, &g.minimum_bytes, &g.maximum_bytes, &g.committed_bytes,
                               &g.commit_limit_bytes, &g.swap_total_bytes, &g.machine_maximum_bytes, &g.known_ms};

        for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++)
            *numbers[k] = values[i];
        g.pluggable_bytes = 0;
        g.balloon = i % 2;
        TEXT(g.name, evil);
        TEXT(g.trouble, evil);
        TEXT(g.demand_source, evil);
        TEXT(g.agent_port, evil);
        if (i % 2)
            TEXT(g.fixed_reason, evil);
        for (size_t k = 0; k < WIRE_FLAGS_MAX; k++)
            wire_guest_flag(&g, k % 2 ? "stuck" : evil, evil);
        l->count = 0;
        doctor_judge_guest(&g, "", l);
        doctor_judge_guest(&g, "", l); /* more than there is room for */
        doctor_judge_guest(&g, "", l);
        assert_true(l->count > 0 && l->count <= DOCTOR_FINDINGS_MAX);
        doctor_print(&pipe_term, &t, l);
        doctor_print_json(&json, l);
        for (const char *c = t.data; *c; c++)
            assert_true((unsigned char)*c >= ' ' ? (unsigned char)*c < 0x7f : *c == '\n');
        parsed = json_tokener_parse(json.data);
        assert_non_null(parsed);
        assert_int_equal(json_object_array_length(parsed), l->count);
        (void)json_object_put(parsed);
        wire_text_done(&t);
        wire_text_done(&json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_lack_is_one_finding),
        cmocka_unit_test(findings_look_as_they_did),
        cmocka_unit_test(swap_is_sized_by_the_rule),
        cmocka_unit_test(each_lack_of_the_host_is_one_finding),
        cmocka_unit_test(a_host_without_ballastd_is_looked_at),
        cmocka_unit_test(what_ballastd_says_is_a_finding),
        cmocka_unit_test(the_host_is_read),
        cmocka_unit_test(names_are_safe_to_type),
        cmocka_unit_test(hostile_documents),
    };

    (void)setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
