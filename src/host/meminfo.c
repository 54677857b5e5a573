/* SPDX-License-Identifier: Apache-2.0 */
#include "meminfo.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "number.h"
#include "readfile.h"

#define MEMINFO_SIZE  8192  /* 1.5 KB today */
#define ARCSTATS_SIZE 32768 /* 6 KB today */

/* As observe.h: beyond 64 PiB is no size. */
#define KIB_MAX (1ULL << 46)

static bool starts_with(const char *line, const char *end, const char *key)
{
    size_t len = strlen(key);

    return (size_t)(end - line) > len && memcmp(line, key, len) == 0;
}

/* Calls take for each line. */
static void each_line(const char *buf, size_t len, void (*take)(const char *line, const char *end, void *user),
                      void *user)
{
    for (const char *line = buf; line < buf + len;) {
        const char *end = memchr(line, '\n', (size_t)(buf + len - line));

        end = end ? end : buf + len;
        take(line, end, user);
        line = end < buf + len ? end + 1 : end;
    }
}

static void take_meminfo(const char *line, const char *end, void *user)
{
    struct meminfo *m = user;
    const struct {
        const char *key;
        uint64_t *value;
    } fields[] = {
        {"MemTotal:", &m->total_bytes},       {"MemAvailable:", &m->available_bytes}, {"MemFree:", &m->free_bytes},
        {"SwapTotal:", &m->swap_total_bytes}, {"SwapFree:", &m->swap_free_bytes},
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const char *p = line + strlen(fields[i].key);
        uint64_t kib;

        if (starts_with(line, end, fields[i].key) && number_take_u64(&p, end, &kib) == 0 && kib <= KIB_MAX)
            *fields[i].value = kib * 1024;
    }
}

int meminfo_parse(const char *buf, size_t len, struct meminfo *ret, struct err *e)
{
    struct meminfo m = {.available_bytes = UINT64_MAX};

    each_line(buf, len, take_meminfo, &m);
    if (m.total_bytes == 0)
        return err_set(e, EPROTO, "no usable MemTotal");
    if (m.available_bytes > m.total_bytes)
        return err_set(e, EPROTO, "no usable MemAvailable (Linux 3.14 and newer have it)");
    *ret = m;
    return 0;
}

int meminfo_read(const char *path, struct meminfo *ret, struct err *e)
{
    char buf[MEMINFO_SIZE];
    size_t len;
    int r;

    r = readfile_into(path, buf, sizeof(buf), &len, e);
    if (r < 0)
        return r;
    r = meminfo_parse(buf, len, ret, e);
    if (r < 0)
        return err_wrap(e, "%s", path);
    return 0;
}

struct arc {
    uint64_t size, least;
    bool has_size, has_least;
};

/* "size                            4    33554432": name, kstat type, value. */
static void take_arc(const char *line, const char *end, void *user)
{
    struct arc *arc = user;
    bool is_size = starts_with(line, end, "size "), is_least = starts_with(line, end, "c_min ");
    const char *p = line + (is_size ? 4 : 5);
    uint64_t type, value;

    if ((!is_size && !is_least) || number_take_u64(&p, end, &type) < 0 || number_take_u64(&p, end, &value) < 0)
        return;
    if (is_size) {
        arc->size = value;
        arc->has_size = true;
    } else {
        arc->least = value;
        arc->has_least = true;
    }
}

int meminfo_parse_arc(const char *buf, size_t len, uint64_t *ret_bytes, struct err *e)
{
    struct arc arc = {0};

    each_line(buf, len, take_arc, &arc);
    if (!arc.has_size || !arc.has_least)
        return err_set(e, EPROTO, "no 'size' and 'c_min' of ZFS's cache");
    *ret_bytes = arc.size > arc.least ? arc.size - arc.least : 0;
    return 0;
}

int meminfo_read_arc(const char *path, uint64_t *ret_bytes, struct err *e)
{
    char buf[ARCSTATS_SIZE];
    struct err inner = {0};
    size_t len;
    int r;

    r = readfile_into(path, buf, sizeof(buf), &len, &inner);
    if (r == -ENOENT) {
        *ret_bytes = 0;
        return 0;
    }
    if (r < 0)
        return err_set(e, inner.code, "%s", inner.text);
    r = meminfo_parse_arc(buf, len, ret_bytes, e);
    if (r < 0)
        return err_wrap(e, "%s", path);
    return 0;
}
