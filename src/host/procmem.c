/* SPDX-License-Identifier: Apache-2.0 */
#include "procmem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "number.h"
#include "readfile.h"

#define STATUS_SIZE 16384 /* some 1.5 KiB, and the lists of processors and nodes of a large machine */

/* "VmLck:\t     128 kB" at the start of a line; 0 where it is not there or makes no sense. */
static uint64_t take_kb(const char *buf, size_t len, const char *key)
{
    const char *found = memmem(buf, len, key, strlen(key)), *p;
    uint64_t kib;

    if (!found)
        return 0;
    p = found + strlen(key);
    while (p < buf + len && *p == '\t')
        p++;
    return number_take_u64(&p, buf + len, &kib) < 0 || kib > UINT64_MAX / 1024 ? 0 : kib * 1024;
}

int procmem_parse(const char *buf, size_t len, struct procmem *ret, struct err *e)
{
    if (len < 5 || memcmp(buf, "Name:", 5) != 0)
        return err_set(e, EPROTO, "no /proc/PID/status");
    *ret = (struct procmem){
        .locked_bytes = take_kb(buf, len, "\nVmLck:"),
        .pinned_bytes = take_kb(buf, len, "\nVmPin:"),
        .huge_bytes = take_kb(buf, len, "\nHugetlbPages:"),
        .resident_bytes = take_kb(buf, len, "\nVmRSS:"),
        .swapped_bytes = take_kb(buf, len, "\nVmSwap:"),
    };
    return 0;
}

int procmem_read(const char *proc, pid_t pid, struct procmem *ret, struct err *e)
{
    char path[256], buf[STATUS_SIZE];
    size_t len;
    int r;

    (void)snprintf(path, sizeof(path), "%.200s/%ld/status", proc, (long)pid);
    r = readfile_into(path, buf, sizeof(buf), &len, e);
    if (r < 0)
        return r;
    r = procmem_parse(buf, len, ret, e);
    if (r < 0)
        return err_wrap(e, "%s", path);
    return 0;
}
