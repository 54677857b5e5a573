/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "agent_line.h"
#include "proc_text.h"

/* On texts recorded in a guest: Linux 6.1, 256 MiB, 64 MiB of them in the balloon, 768 MiB hot-added and online,
 * 600 MiB in use. RECORDED is their directory. */

static char text[65536];

static size_t recorded(const char *name)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", RECORDED, name);
    FILE *f = fopen(path, "re");
    if (!f)
        fail_msg("cannot open %s", path);
    size_t n = fread(text, 1, sizeof(text), f);
    (void)fclose(f); /* only read */
    assert_in_range(n, 1, sizeof(text) - 1);
    text[n] = '\0';
    return n;
}

/* As older kernels write it: without the lines that start with `name`. */
static size_t without(size_t len, const char *name)
{
    char *at = text;

    while ((at = strstr(at, name))) {
        char *end = strchr(at, '\n') + 1;
        if (at != text && at[-1] != '\n') {
            at = end;
            continue;
        }
        memmove(at, end, len - (size_t)(end - text) + 1);
        len -= (size_t)(end - at);
    }
    return len;
}

static struct agent_message message(void)
{
    struct agent_message m;

    agent_message_init(&m, AGENT_VERB_SAMPLE);
    return m;
}

static void reads_meminfo(void **state)
{
    struct agent_message m = message();
    uint64_t total = 0;
    uint64_t idle = 0;
    uint64_t available = 0;

    (void)state;
    size_t n = recorded("meminfo");
    proc_text_meminfo(text, n, &m);
    assert_int_equal(m.value[AGENT_KEY_MEM_TOTAL], 944528);
    assert_int_equal(m.value[AGENT_KEY_MEM_FREE], 284964);
    assert_int_equal(m.value[AGENT_KEY_MEM_AVAILABLE], 280300);
    assert_int_equal(m.value[AGENT_KEY_CACHE], 4072);
    assert_int_equal(m.value[AGENT_KEY_SHMEM], 4072);
    assert_int_equal(m.value[AGENT_KEY_ANON], 614760);
    assert_int_equal(m.value[AGENT_KEY_DIRTY], 0);
    assert_int_equal(m.value[AGENT_KEY_COMMITTED], 14596);
    assert_int_equal(m.value[AGENT_KEY_COMMIT_LIMIT], 472264);
    assert_int_equal(m.value[AGENT_KEY_SWAP_TOTAL], 0);
    assert_int_equal(m.value[AGENT_KEY_SWAP_FREE], 0);
    assert_true(proc_text_available(text, n, &total, &idle, &available));
    assert_int_equal(total, 944528);
    assert_int_equal(available, 280300);
    assert_true(proc_text_available(text, 150, &total, &idle, &available)); /* its beginning is enough */
    assert_int_equal(available, 280300);
}

static void reads_meminfo_of_old_kernels(void **state)
{
    struct agent_message m = message();
    uint64_t total = 0;
    uint64_t idle = 0;
    uint64_t available = 0;

    (void)state;
    size_t n = without(recorded("meminfo"), "MemAvailable:");
    proc_text_meminfo(text, n, &m);
    assert_int_equal(m.value[AGENT_KEY_MEM_AVAILABLE], AGENT_UNSET);
    assert_int_equal(m.value[AGENT_KEY_MEM_TOTAL], 944528);
    assert_true(proc_text_available(text, n, &total, &idle, &available));
    assert_int_equal(idle, 284964);
    assert_int_equal(available, 284964 + 4072);
}

static void reads_vmstat(void **state)
{
    struct agent_message m = message();

    (void)state;
    size_t n = recorded("vmstat");
    proc_text_vmstat(text, n, 4, &m);
    assert_int_equal(m.value[AGENT_KEY_BALLOON], 64 * 1024);
    assert_int_equal(m.value[AGENT_KEY_SWAPPED_IN], 0);
    assert_int_equal(m.value[AGENT_KEY_SWAPPED_OUT], 0);
    assert_int_equal(m.value[AGENT_KEY_REFAULTED], 0);
    assert_int_equal(m.value[AGENT_KEY_OOM_KILLS], 0);

    m = message();
    n = without(recorded("vmstat"), "balloon_");
    proc_text_vmstat(text, n, 4, &m);
    assert_int_equal(m.value[AGENT_KEY_BALLOON], AGENT_UNSET);
}

static void reads_counters_of_vmstat(void **state)
{
    static const char some[] = "pswpin 3\npswpout 5\nworkingset_activate 9\nballoon_inflate 100\nballoon_deflate 40\n"
                               "oom_kill 2\noom_kill_other 7\n";
    static const char newer[] = "workingset_activate_anon 1\nworkingset_activate_file 2\nworkingset_activate 9\n";
    static const char odd[] = "balloon_inflate 1\nballoon_deflate 2\npswpin 99999999999999999999999\npswpout -1\n"
                              "workingset_activate_file 18446744073709551615\noom_kill";
    struct agent_message m = message();

    (void)state;
    proc_text_vmstat(some, sizeof(some) - 1, 64, &m);
    assert_int_equal(m.value[AGENT_KEY_SWAPPED_IN], 192);
    assert_int_equal(m.value[AGENT_KEY_SWAPPED_OUT], 320);
    assert_int_equal(m.value[AGENT_KEY_REFAULTED], 576);
    assert_int_equal(m.value[AGENT_KEY_BALLOON], 60 * 64);
    assert_int_equal(m.value[AGENT_KEY_OOM_KILLS], 2);
    m = message();
    proc_text_vmstat(newer, sizeof(newer) - 1, 4, &m);
    assert_int_equal(m.value[AGENT_KEY_REFAULTED], 8);
    m = message();
    proc_text_vmstat(odd, sizeof(odd) - 1, 4, &m);
    for (enum agent_key key = 0; key < AGENT_KEY_COUNT; key++)
        assert_int_equal(m.value[key], AGENT_UNSET);
}

static void reads_pressure(void **state)
{
    static const char some[] = "some avg10=1.53 avg60=0.87 avg300=0.19 total=1157622\n"
                               "full avg10=1.34 avg60=0.77 avg300=0.17 total=1043542\n";
    struct agent_message m = message();

    (void)state;
    proc_text_pressure(some, sizeof(some) - 1, &m);
    assert_int_equal(m.value[AGENT_KEY_PSI_SOME], 1157622);
    assert_int_equal(m.value[AGENT_KEY_PSI_FULL], 1043542);
    m = message();
    size_t n = recorded("pressure");
    proc_text_pressure(text, n, &m);
    assert_int_equal(m.value[AGENT_KEY_PSI_SOME], 0);
    m = message();
    proc_text_pressure("some total=\nfull x\n total=5\n", 27, &m);
    assert_int_equal(m.value[AGENT_KEY_PSI_SOME], AGENT_UNSET);
    assert_int_equal(m.value[AGENT_KEY_PSI_FULL], AGENT_UNSET);
}

static void counts_zones_of_the_kernel(void **state)
{
    struct proc_zones z = {0};

    (void)state;
    size_t n = recorded("zoneinfo");
    proc_text_zones(text, n, &z);
    assert_true(z.known);
    assert_int_equal(z.free_pages, 3808 + 40884); /* DMA, DMA32, Normal; not the 26533 of Movable */
    assert_int_equal(z.high_pages, 13 + 201 + 758);
    /* In pieces of whole lines it is the same. */
    struct proc_zones pieces = {0};
    for (char *at = text; *at;) {
        char *end = strchr(at, '\n') + 1;
        proc_text_zones(at, (size_t)(end - at), &pieces);
        at = end;
    }
    assert_int_equal(pieces.free_pages, z.free_pages);
    z = (struct proc_zones){0};
    proc_text_zones("  pages free 77\n", 16, &z);
    assert_false(z.known);
    assert_int_equal(z.free_pages, 0);
}

static void finds_hot_added_memory(void **state)
{
    static const char two[] = "100000000-12fffffff : System RAM (virtio_mem)\n130000000-137ffffff : System RAM\n"
                              "  140000000-147ffffff : System RAM (virtio_mem)\n"
                              "zz-1 : System RAM (virtio_mem)\n-1 : System RAM (virtio_mem)\n"
                              "2-1 : System RAM (virtio_mem)\n: System RAM (virtio_mem)\n";
    uint64_t first = 0;
    uint64_t last = 0;

    (void)state;
    size_t n = recorded("iomem");
    assert_true(proc_text_virtio_mem(text, n, 0, &first, &last));
    assert_int_equal(first, 0x100000000);
    assert_int_equal(last, 0x12fffffff);
    assert_false(proc_text_virtio_mem(text, n, 1, &first, &last));
    assert_true(proc_text_virtio_mem(two, sizeof(two) - 1, 1, &first, &last));
    assert_int_equal(first, 0x140000000);
    assert_int_equal(last, 0x147ffffff);
    assert_false(proc_text_virtio_mem(two, sizeof(two) - 1, 2, &first, &last));
}

static void survives_every_cut(void **state)
{
    static const char *const names[] = {"meminfo", "vmstat", "pressure", "zoneinfo", "iomem"};
    struct agent_message m = message();

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        size_t n = recorded(names[i]);
        for (size_t len = 0; len <= n; len++) {
            struct proc_zones z = {0};
            uint64_t a = 0;
            uint64_t b = 0;
            proc_text_meminfo(text, len, &m);
            proc_text_vmstat(text, len, 4, &m);
            proc_text_pressure(text, len, &m);
            proc_text_zones(text, len, &z);
            (void)proc_text_available(text, len, &a, &b, &b);
            (void)proc_text_virtio_mem(text, len, 0, &a, &b);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_meminfo), cmocka_unit_test(reads_meminfo_of_old_kernels),
        cmocka_unit_test(reads_vmstat), cmocka_unit_test(reads_counters_of_vmstat),
        cmocka_unit_test(reads_pressure), cmocka_unit_test(counts_zones_of_the_kernel),
        cmocka_unit_test(finds_hot_added_memory), cmocka_unit_test(survives_every_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
