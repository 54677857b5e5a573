/* SPDX-License-Identifier: Apache-2.0 */
#include "smaps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "number.h"
#include "own.h"
#include "procstat.h"
#include "readfile.h"

#define SCRATCH_MIN (256U << 10) /* a QEMU's file has 150-400 KB */

struct mapping {
    uint64_t start, end;
    char kind[5]; /* permissions: "rw-p" */
    uint64_t inode;
    uint64_t resident_kib, swapped_kib;
};

/* Adjoining mappings of one kind. */
struct run {
    uint64_t bytes, end;
    char kind[5];
    uint64_t inode;
    uint64_t resident_kib, swapped_kib;
    uint64_t part_resident_kib, part_swapped_kib; /* of mappings in it that match a region alone */
    uint64_t part_found;                          /* and which */
};

struct search {
    const uint64_t *regions;
    size_t n;
    uint64_t found; /* a bit for each region */
    struct run run;
    uint64_t resident_kib, swapped_kib; /* guest RAM */
    uint64_t all_resident_kib, all_swapped_kib;
};

_Static_assert(SMAPS_REGIONS_MAX <= 64, "a bit for each region");

/* Which regions have this size. */
static uint64_t match(const struct search *s, uint64_t bytes)
{
    uint64_t found = 0;

    for (size_t i = 0; i < s->n; i++)
        if (s->regions[i] == bytes)
            found |= 1ULL << i;
    return found;
}

static void end_run(struct search *s)
{
    uint64_t whole = match(s, s->run.bytes);

    s->found |= whole ? whole : s->run.part_found;
    s->resident_kib += whole ? s->run.resident_kib : s->run.part_resident_kib;
    s->swapped_kib += whole ? s->run.swapped_kib : s->run.part_swapped_kib;
    s->run = (struct run){0};
}

static void end_mapping(struct search *s, const struct mapping *m)
{
    struct run *run = &s->run;
    uint64_t part;

    s->all_resident_kib += m->resident_kib;
    s->all_swapped_kib += m->swapped_kib;
    if (run->end != m->start || run->inode != m->inode || memcmp(run->kind, m->kind, sizeof(m->kind)) != 0)
        end_run(s);
    if (m->kind[0] != 'r' || m->kind[1] != 'w')
        return;
    part = match(s, m->end - m->start);
    run->bytes += m->end - m->start;
    run->end = m->end;
    run->inode = m->inode;
    memcpy(run->kind, m->kind, sizeof(m->kind));
    run->resident_kib += m->resident_kib;
    run->swapped_kib += m->swapped_kib;
    if (part) {
        run->part_found |= part;
        run->part_resident_kib += m->resident_kib;
        run->part_swapped_kib += m->swapped_kib;
    }
}

/* "55e14bb56000-55e14bf5d000 rw-p 00000000 fe:00 10977333   /path"; false: another kind of line. */
static bool take_header(const char *line, const char *end, struct mapping *ret)
{
    struct mapping m = {0};
    uint64_t ignored;
    const char *p = line;

    if (p == end || *p == ' ' || number_take_hex(&p, end, &m.start) < 0 || p == end || *p != '-')
        return false;
    p++;
    if (number_take_hex(&p, end, &m.end) < 0 || m.end <= m.start || end - p < 6 || *p != ' ')
        return false;
    memcpy(m.kind, p + 1, 4);
    p += 5;
    if (number_take_hex(&p, end, &ignored) < 0 || number_take_hex(&p, end, &ignored) < 0 || p == end || *p != ':')
        return false;
    p++;
    if (number_take_hex(&p, end, &ignored) < 0 || number_take_u64(&p, end, &m.inode) < 0)
        return false;
    *ret = m;
    return true;
}

/* "Rss:   4124 kB". */
static bool take_field(const char *line, const char *end, const char *key, uint64_t *sum)
{
    size_t len = strlen(key);
    const char *p = line + len;
    uint64_t kib;

    if ((size_t)(end - line) <= len || memcmp(line, key, len) != 0)
        return false;
    /* A size beyond 2^50 KiB is no size; and sums of the rest can't overflow. */
    if (number_take_u64(&p, end, &kib) < 0 || kib > 1ULL << 50)
        return false;
    *sum += kib;
    return true;
}

static void take_fields(const char *line, const char *end, struct mapping *m)
{
    if (!take_field(line, end, "Rss:", &m->resident_kib) && !take_field(line, end, "Swap:", &m->swapped_kib) &&
        !take_field(line, end, "Shared_Hugetlb:", &m->resident_kib)) /* hugetlb pages are not in Rss */
        (void)take_field(line, end, "Private_Hugetlb:", &m->resident_kib);
}

int smaps_parse(const char *buf, size_t len, const uint64_t *regions, size_t n, struct smaps *ret, struct err *e)
{
    struct search s = {.regions = regions, .n = n < SMAPS_REGIONS_MAX ? n : SMAPS_REGIONS_MAX};
    struct mapping m = {0};
    bool all_found;

    for (const char *line = buf, *next; line < buf + len; line = next) {
        const char *end = memchr(line, '\n', (size_t)(buf + len - line));
        struct mapping header;

        end = end ? end : buf + len;
        next = end < buf + len ? end + 1 : end;
        if (take_header(line, end, &header)) {
            if (m.end)
                end_mapping(&s, &m);
            m = header;
        } else if (m.end) {
            take_fields(line, end, &m);
        } else {
            return err_set(e, EPROTO, "no list of mappings");
        }
    }
    if (m.end)
        end_mapping(&s, &m);
    end_run(&s);
    all_found = n > 0 && n <= SMAPS_REGIONS_MAX && s.found == (n == 64 ? UINT64_MAX : (1ULL << n) - 1);
    ret->all_found = all_found;
    ret->resident_bytes = (all_found ? s.resident_kib : s.all_resident_kib) * 1024;
    ret->swapped_bytes = (all_found ? s.swapped_kib : s.all_swapped_kib) * 1024;
    ret->overhead_bytes = all_found ? (s.all_resident_kib - s.resident_kib) * 1024 : 0;
    return 0;
}

static int grow(char **scratch, size_t *size, struct err *e)
{
    size_t more = *size ? *size * 2 : SCRATCH_MIN;
    char *p;

    if (more > SMAPS_FILE_MAX)
        return err_set(e, EFBIG, "more than %u MiB of mappings", SMAPS_FILE_MAX >> 20);
    p = realloc(*scratch, more);
    if (!p)
        return err_set(e, ENOMEM, "no memory to read mappings");
    *scratch = p;
    *size = more;
    return 0;
}

int smaps_read(const char *proc, pid_t pid, uint64_t start_ticks, const uint64_t *regions, size_t n, char **scratch,
               size_t *scratch_size, struct smaps *ret, struct err *e)
{
    struct procstat stat;
    char path[256];
    size_t len;
    int r;

    r = *scratch ? 0 : grow(scratch, scratch_size, e);
    if (r < 0)
        return r;
    (void)snprintf(path, sizeof(path), "%.200s/%ld/smaps", proc, (long)pid);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, errno, "cannot open '%s': %s", path, strerror(errno));
    /* After the open: an open file of /proc stays with its process, never with its number. */
    r = procstat_read(proc, pid, &stat, e);
    if (r < 0)
        return r;
    if (start_ticks && stat.start_ticks != start_ticks)
        return err_set(e, ESRCH, "process %ld is another one by now", (long)pid);
    struct err inner = {0};
    while ((r = readfile_from(fd, path, *scratch, *scratch_size, &len, &inner)) == -EFBIG) {
        r = grow(scratch, scratch_size, e);
        if (r < 0)
            return err_wrap(e, "%s", path);
        if (lseek(fd, 0, SEEK_SET) < 0)
            return err_set(e, errno, "cannot read '%s' again: %s", path, strerror(errno));
    }
    if (r < 0)
        return err_set(e, inner.code, "%s", inner.text);
    r = smaps_parse(*scratch, len, regions, n, ret, e);
    if (r < 0)
        return err_wrap(e, "%s", path);
    return 0;
}
