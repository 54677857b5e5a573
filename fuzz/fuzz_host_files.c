/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "meminfo.h"
#include "procmem.h"
#include "procstat.h"
#include "psi.h"
#include "smaps.h"

/* What may stand in files of /proc and /sys: the kernel writes them, but a process chooses its name and its mappings. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t regions[] = {4096, 1 << 20, 256 << 20, 512 << 20};
    const char *text = (const char *)data;
    struct meminfo meminfo;
    struct procmem mem;
    struct procstat stat;
    struct smaps smaps;
    struct psi psi;
    uint64_t bytes;

    for (size_t n = 0; n <= sizeof(regions) / sizeof(regions[0]); n++) {
        struct err e = {0};
        int r = smaps_parse(text, size, regions, n, &smaps, &e);

        must(r == -e.code && (r == 0) == !e.text[0]);
        must(r < 0 || smaps.all_found || smaps.overhead_bytes == 0);
        must(r < 0 || n > 0 || !smaps.all_found);
    }
    for (int what = 0; what < 5; what++) {
        struct err e = {0};
        int r = what == 0   ? meminfo_parse(text, size, &meminfo, &e)
                : what == 1 ? meminfo_parse_arc(text, size, &bytes, &e)
                : what == 2 ? psi_parse(text, size, &psi, &e)
                : what == 4 ? procmem_parse(text, size, &mem, &e)
                            : procstat_parse(text, size, &stat, &e);

        must(r == -e.code && (r == 0) == !e.text[0]);
        if (r == 0 && what == 0)
            must(meminfo.available_bytes <= meminfo.total_bytes && meminfo.total_bytes > 0);
        if (r == 0 && what == 3)
            must(stat.pid > 0);
    }
    return 0;
}
