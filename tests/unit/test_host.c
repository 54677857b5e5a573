/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "meminfo.h"
#include "number.h"
#include "own.h"
#include "procmem.h"
#include "procstat.h"
#include "psi.h"
#include "readfile.h"
#include "smaps.h"

#define MIB (1ULL << 20)

/* ---- numbers ---- */

static void numbers_end_where_the_buffer_does(void **state)
{
    static const struct {
        const char *text;
        int result;
        uint64_t value;
    } cases[] = {
        {"0", 0, 0},
        {"  42 kB", 0, 42},
        {"18446744073709551615", 0, UINT64_MAX},
        {"18446744073709551616", -EINVAL, 0},
        {"99999999999999999999999", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"   ", -EINVAL, 0},
        {"-5", -EINVAL, 0},
        {"x", -EINVAL, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *p = cases[i].text;
        uint64_t value = 77;

        assert_int_equal(number_take_u64(&p, p + strlen(p), &value), cases[i].result);
        assert_true(value == (cases[i].result == 0 ? cases[i].value : 77));
    }
    {
        const char *text = "123456", *p = text;
        uint64_t value;

        assert_int_equal(number_take_u64(&p, text + 3, &value), 0);
        assert_int_equal(value, 123);
        p = text = "7fC0";
        assert_int_equal(number_take_hex(&p, text + 4, &value), 0);
        assert_int_equal(value, 0x7f); /* the kernel prints lower case only */
    }
}

/* ---- meminfo, ZFS ---- */

static void meminfo_takes_what_it_needs(void **state)
{
    static const char text[] = "MemTotal:        8140264 kB\nMemFree:          123 kB\nMemAvailable:    4070132 kB\n"
                               "Buffers:               0 kB\nSwapTotal:       100 kB\nSwapFree:          60 kB\n";
    struct meminfo m;
    struct err e = {0};

    (void)state;
    assert_int_equal(meminfo_parse(text, strlen(text), &m, &e), 0);
    assert_true(m.total_bytes == 8140264ULL * 1024 && m.available_bytes == 4070132ULL * 1024);
    assert_true(m.free_bytes == 123 * 1024 && m.swap_total_bytes == 100 * 1024 && m.swap_free_bytes == 60 * 1024);
}

static void meminfo_refuses_what_it_cannot_use(void **state)
{
    static const char *const cases[] = {
        "",
        "MemTotal:",
        "MemTotal: x kB\nMemAvailable: 5 kB\n",
        "MemTotal: 100 kB\n",                       /* before Linux 3.14 */
        "MemTotal: 100 kB\nMemAvailable: 101 kB\n", /* more than there is */
        "MemTotal: 99999999999999999999 kB\nMemAvailable: 1 kB\n",
        "MemTotal: 9999999999999999 kB\nMemAvailable: 1 kB\n",
        "\n\n\n",
    };
    struct meminfo m;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e = {0};

        assert_int_equal(meminfo_parse(cases[i], strlen(cases[i]), &m, &e), -EPROTO);
        assert_true(e.text[0]);
    }
}

static void zfs_cache_gives_back_all_but_its_least(void **state)
{
    static const char text[] = "13 1 0x01 96 26112 3 4\nname                            type data\n"
                               "hits                            4    5\nc                               4    900\n"
                               "c_min                           4    200\nc_max                           4    1000\n"
                               "size                            4    700\ncompressed_size                 4    1\n";
    uint64_t bytes = 1;
    struct err e = {0};

    (void)state;
    assert_int_equal(meminfo_parse_arc(text, strlen(text), &bytes, &e), 0);
    assert_int_equal(bytes, 500);
    assert_int_equal(meminfo_parse_arc("size 4 100\nc_min 4 200\n", 24, &bytes, &e), 0);
    assert_int_equal(bytes, 0);
    assert_int_equal(meminfo_parse_arc("size 4 100\n", 11, &bytes, &e), -EPROTO);
    assert_int_equal(meminfo_read_arc("/nonexistent/arcstats", &bytes, &e), 0); /* no ZFS is no failure */
    assert_int_equal(bytes, 0);
}

static void readers_name_the_file(void **state)
{
    struct meminfo m;
    struct err e = {0};

    (void)state;
    assert_int_equal(meminfo_read("/nonexistent/meminfo", &m, &e), -ENOENT);
    assert_non_null(strstr(e.text, "/nonexistent/meminfo"));
    e = (struct err){0};
    assert_int_equal(meminfo_read("/dev/null", &m, &e), -EPROTO);
    assert_non_null(strstr(e.text, "/dev/null"));
    e = (struct err){0};
    assert_int_equal(meminfo_read("/dev/zero", &m, &e), -EFBIG); /* a file without end */
    e = (struct err){0};
    assert_int_equal(meminfo_read("/", &m, &e), -EISDIR);
}

/* ---- PSI ---- */

static void psi_totals(void **state)
{
    static const char text[] = "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345\n"
                               "full avg10=0.00 avg60=0.00 avg300=0.00 total=678\n";
    static const char *const bad[] = {"", "some total=1\n", "full total=1\n", "some total=\nfull total=\n", "total=5"};
    struct psi p;
    struct err e = {0};

    (void)state;
    assert_int_equal(psi_parse(text, strlen(text), &p, &e), 0);
    assert_true(p.some_usec == 12345 && p.full_usec == 678);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(psi_parse(bad[i], strlen(bad[i]), &p, &e), -EPROTO);
    assert_int_equal(psi_read("/nonexistent/memory", &p, &e), -ENOENT);
}

/* ---- stat ---- */

#define STAT_END " S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 96477 1000 250 184467440737095516"

static void stat_fields(void **state)
{
    static const struct {
        const char *text;
        int result;
    } cases[] = {
        {"8269 (qemu-system-x86)" STAT_END "\n", 0},
        {"8269 (a) b) ()" STAT_END, 0}, /* a process may call itself so */
        {"8269 (\n) R 1)" STAT_END, 0},
        {"8269 (x) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 96477 1000", -EPROTO},
        {"8269 (x) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 x 1000 250", -EPROTO},
        {"8269 x S 1", -EPROTO},
        {"(x)" STAT_END, -EPROTO},
        {"99999999999 (x)" STAT_END, -EPROTO},
        {"", -EPROTO},
        {")", -EPROTO},
        {"5 (x) ", -EPROTO},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct procstat s = {0};
        struct err e = {0};

        assert_int_equal(procstat_parse(cases[i].text, strlen(cases[i].text), &s, &e), cases[i].result);
        if (cases[i].result == 0)
            assert_true(s.pid == 8269 && s.state == 'S' && s.start_ticks == 96477 && s.rss_pages == 250);
    }
}

static void memory_that_stays_in_place(void **state)
{
    static const struct {
        const char *text;
        uint64_t locked, pinned, huge;
    } cases[] = {
        {"Name:\tqemu\nVmLck:\t  262144 kB\nVmPin:\t       8 kB\nHugetlbPages:\t    2048 kB\n", 262144ULL << 10, 8 << 10,
         2048 << 10},
        {"Name:\tkthreadd\nState:\tS\n", 0, 0, 0},
        {"Name:\tVmLck:\t5 kB\nVmLck:\t-7 kB\nVmPin:\t99999999999999999999999 kB\nHugetlbPages:", 0, 0, 0},
        {"Name:\tx\nVmLck:\t18446744073709551615 kB\n", 0, 0, 0},
    };
    struct procmem m;
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(procmem_parse(cases[i].text, strlen(cases[i].text), &m, &e), 0);
        assert_true(m.locked_bytes == cases[i].locked && m.pinned_bytes == cases[i].pinned &&
                    m.huge_bytes == cases[i].huge);
    }
    assert_int_equal(procmem_parse("", 0, &m, &e), -EPROTO);
    assert_int_equal(procmem_parse("VmLck:\t5 kB\n", 13, &m, &e), -EPROTO);
    assert_int_equal(procmem_read("/proc", getpid(), &m, &e), 0);
    assert_true(m.resident_bytes > 100 << 10);
    assert_int_equal(procmem_read("/nowhere", 1, &m, &e), -ENOENT);
}

static void stat_of_this_process(void **state)
{
    struct procstat s;
    struct err e = {0};

    (void)state;
    assert_int_equal(procstat_read("/proc", getpid(), &s, &e), 0);
    assert_int_equal(s.pid, getpid());
    assert_true(s.state == 'R' && s.start_ticks > 0 && s.rss_pages > 0);
    assert_int_equal(procstat_read("/nonexistent", 1, &s, &e), -ENOENT);
}

/* ---- smaps ---- */

struct mapping {
    uint64_t start_mib, size_mib;
    const char *kind;
    unsigned inode;
    unsigned rss_mib, swap_mib, huge_mib;
};

static size_t print_smaps(char *buf, size_t size, const struct mapping *m, size_t n)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(buf + len, size - len,
                                "%llx-%llx %s 00000000 00:01 %u %s\nSize: %llu kB\nRss: %u kB\nPss: 1 kB\nAnonymous: 5 "
                                "kB\n"
                                "Shared_Hugetlb:  0 kB\nPrivate_Hugetlb: %u kB\nSwap:  %u kB\nSwapPss: 9 kB\nVmFlags: "
                                "rd wr\n",
                                (unsigned long long)m[i].start_mib << 20,
                                (unsigned long long)(m[i].start_mib + m[i].size_mib) << 20, m[i].kind, m[i].inode,
                                m[i].inode ? "/memfd:x (deleted)" : "", (unsigned long long)m[i].size_mib << 10,
                                m[i].rss_mib << 10, m[i].huge_mib << 10, m[i].swap_mib << 10);
    return len;
}

static void smaps_finds_guest_ram(void **state)
{
    static const struct {
        const char *what;
        struct mapping maps[6];
        uint64_t regions_mib[3];
        unsigned resident, swapped, overhead;
        bool found;
    } cases[] = {
        {"one region between others",
         {{1, 4, "r-xp", 7, 3, 0, 0},
          {100, 256, "rw-p", 0, 120, 16, 0},
          {356, 1, "---p", 0, 0, 0, 0},
          {500, 8, "rw-p", 0, 5, 0, 0}},
         {256},
         120,
         16,
         8,
         true},
        {"two regions, equal sizes summed",
         {{100, 256, "rw-p", 0, 100, 1, 0}, {400, 256, "rw-p", 0, 50, 2, 0}, {700, 64, "rw-s", 9, 64, 0, 0}},
         {256, 256, 64},
         214,
         3,
         0,
         true},
        {"split by mbind or madvise",
         {{100, 128, "rw-p", 0, 10, 0, 0},
          {228, 64, "rw-p", 0, 20, 1, 0},
          {292, 64, "rw-p", 0, 30, 2, 0},
          {500, 9, "rw-p", 0, 1, 0, 0}},
         {256},
         60,
         3,
         1,
         true},
        {"adjoining, but each a region of its own",
         {{100, 128, "rw-p", 0, 10, 0, 0}, {228, 64, "rw-p", 0, 20, 0, 0}, {292, 5, "rw-p", 0, 30, 0, 0}},
         {128, 64},
         30,
         0,
         30,
         true},
        {"read-only of that size is none",
         {{100, 256, "r--p", 0, 10, 0, 0}, {400, 256, "rw-p", 0, 20, 0, 0}},
         {256},
         20,
         0,
         10,
         true},
        {"hugetlb pages are not in Rss",
         {{100, 256, "rw-s", 4, 0, 0, 200}, {400, 3, "rw-p", 0, 2, 0, 0}},
         {256},
         200,
         0,
         2,
         true},
        {"not found: all of the process counts",
         {{100, 250, "rw-p", 0, 10, 3, 0}, {400, 6, "rw-p", 0, 20, 1, 0}},
         {256},
         30,
         4,
         0,
         false},
        {"one of two not found",
         {{100, 256, "rw-p", 0, 10, 3, 0}, {400, 6, "rw-p", 0, 20, 1, 0}},
         {256, 512},
         30,
         4,
         0,
         false},
        {"nothing to look for", {{100, 256, "rw-p", 0, 10, 3, 0}}, {0}, 10, 3, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t regions[3];
        size_t maps = 0, n = 0, len;
        char buf[8192];
        struct smaps s;
        struct err e = {0};

        while (maps < 6 && cases[i].maps[maps].size_mib)
            maps++;
        for (; n < 3 && cases[i].regions_mib[n]; n++)
            regions[n] = cases[i].regions_mib[n] * MIB;
        len = print_smaps(buf, sizeof(buf), cases[i].maps, maps);
        assert_int_equal(smaps_parse(buf, len, regions, n, &s, &e), 0);
        if (s.resident_bytes != cases[i].resident * MIB || s.swapped_bytes != cases[i].swapped * MIB ||
            s.overhead_bytes != cases[i].overhead * MIB || s.all_found != cases[i].found)
            fail_msg("%s: resident %llu swapped %llu overhead %llu found %d", cases[i].what,
                     (unsigned long long)(s.resident_bytes / MIB), (unsigned long long)(s.swapped_bytes / MIB),
                     (unsigned long long)(s.overhead_bytes / MIB), s.all_found);
    }
}

static void smaps_of_nonsense(void **state)
{
    static const char *const bad[] = {"hello\n", "Rss: 5 kB\n", "7f-7e rw-p 0 0:0 0\n", "7f00-8000 rw-p\n",
                                      " 7f00-8000 rw-p 0 0:0 0\n"};
    static const char huge[] = "1000-2000 rw-p 0 00:00 0\nRss: 18446744073709551615 kB\nSwap: 99999999999999 kB\n";
    uint64_t region = 4096;
    struct smaps s;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {0};

        if (smaps_parse(bad[i], strlen(bad[i]), &region, 1, &s, &e) != -EPROTO)
            fail_msg("case %zu is taken", i);
    }
    {
        struct err e = {0};

        assert_int_equal(smaps_parse("", 0, &region, 1, &s, &e), 0); /* a process that is just ending has no mappings */
        assert_true(s.resident_bytes == 0 && !s.all_found);
        assert_int_equal(smaps_parse(huge, strlen(huge), &region, 1, &s, &e), 0);
        assert_true(s.resident_bytes == 0 && s.swapped_bytes == 99999999999999ULL * 1024);
    }
}

/* Every start of a good file is taken or refused, and read no further. */
static void smaps_cut_anywhere(void **state)
{
    static const struct mapping m[] = {{100, 256, "rw-p", 0, 120, 16, 0}, {356, 1, "---p", 0, 0, 0, 0}};
    uint64_t region = 256 * MIB;
    char buf[2048];
    size_t len = print_smaps(buf, sizeof(buf), m, 2);

    (void)state;
    for (size_t cut = 0; cut <= len; cut++) {
        char *exact = malloc(cut ? cut : 1); /* so that the sanitizer sees the end */
        struct smaps s;
        struct err e = {0};

        assert_non_null(exact);
        memcpy(exact, buf, cut);
        (void)smaps_parse(exact, cut, &region, 1, &s, &e);
        free(exact);
    }
}

static void smaps_of_this_process(void **state)
{
    const size_t size = 24 * MIB;
    uint64_t region = size;
    struct procstat stat;
    AUTO_FREE char *scratch = NULL;
    size_t scratch_size = 0;
    struct smaps s;
    struct err e = {0};
    char *before, *memory;

    (void)state;
    /* Fenced like QEMU's, as the kernel joins adjoining mappings. */
    before = mmap(NULL, size + 2 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(before != MAP_FAILED);
    memory = mmap(before + MIB, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    assert_true(memory != MAP_FAILED);
    memset(memory, 1, 10 * MIB);
    assert_int_equal(procstat_read("/proc", getpid(), &stat, &e), 0);
    assert_int_equal(smaps_read("/proc", getpid(), stat.start_ticks, &region, 1, &scratch, &scratch_size, &s, &e), 0);
    assert_true(s.all_found);
    assert_true(s.resident_bytes + s.swapped_bytes >= 10 * MIB && s.resident_bytes <= 12 * MIB);
    assert_true(s.overhead_bytes > 0);
    assert_int_equal(smaps_read("/proc", getpid(), stat.start_ticks + 1, &region, 1, &scratch, &scratch_size, &s, &e),
                     -ESRCH);
    assert_int_equal(munmap(before, size + 2 * MIB), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_end_where_the_buffer_does),
        cmocka_unit_test(meminfo_takes_what_it_needs),
        cmocka_unit_test(meminfo_refuses_what_it_cannot_use),
        cmocka_unit_test(zfs_cache_gives_back_all_but_its_least),
        cmocka_unit_test(readers_name_the_file),
        cmocka_unit_test(psi_totals),
        cmocka_unit_test(stat_fields),
        cmocka_unit_test(stat_of_this_process),
        cmocka_unit_test(memory_that_stays_in_place),
        cmocka_unit_test(smaps_finds_guest_ram),
        cmocka_unit_test(smaps_of_nonsense),
        cmocka_unit_test(smaps_cut_anywhere),
        cmocka_unit_test(smaps_of_this_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
