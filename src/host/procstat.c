/* SPDX-License-Identifier: Apache-2.0 */
#include "procstat.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "number.h"
#include "readfile.h"

/* 52 numbers of at most 20 digits and a command of 16 bytes (64 for kernel threads): far below. */
#define STAT_SIZE 2048

#define FIELD_STATE 3
#define FIELD_START 22
#define FIELD_RSS   24

int procstat_parse(const char *buf, size_t len, struct procstat *ret, struct err *e)
{
    struct procstat s = {0};
    const char *end = memrchr(buf, ')', len), *p = buf;
    uint64_t pid;

    if (!end || number_take_u64(&p, buf + len, &pid) < 0 || pid == 0 || pid > INT_MAX)
        return err_set(e, EPROTO, "no line of /proc/PID/stat");
    s.pid = (pid_t)pid;
    p = end + 1;
    for (int field = FIELD_STATE; field <= FIELD_RSS; field++) {
        while (p < buf + len && *p == ' ')
            p++;
        if (p == buf + len)
            return err_set(e, EPROTO, "a line of /proc/PID/stat with only %d fields", field - 1);
        if (field == FIELD_STATE)
            s.state = *p;
        else if (field == FIELD_START && number_take_u64(&p, buf + len, &s.start_ticks) < 0)
            return err_set(e, EPROTO, "no start time in /proc/PID/stat");
        else if (field == FIELD_RSS && number_take_u64(&p, buf + len, &s.rss_pages) < 0)
            return err_set(e, EPROTO, "no resident size in /proc/PID/stat");
        while (p < buf + len && *p != ' ' && *p != '\n')
            p++;
    }
    *ret = s;
    return 0;
}

int procstat_read(const char *proc, pid_t pid, struct procstat *ret, struct err *e)
{
    char path[256], buf[STAT_SIZE];
    size_t len;
    int r;

    (void)snprintf(path, sizeof(path), "%.200s/%ld/stat", proc, (long)pid);
    r = readfile_into(path, buf, sizeof(buf), &len, e);
    if (r < 0)
        return r;
    r = procstat_parse(buf, len, ret, e);
    if (r < 0)
        return err_wrap(e, "%s", path);
    return 0;
}
