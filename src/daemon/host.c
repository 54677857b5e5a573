/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include "meminfo.h"
#include "psi.h"

const struct host_paths host_paths_default = {
    .meminfo = "/proc/meminfo",
    .psi = "/proc/pressure/memory",
    .arc = "/proc/spl/kstat/zfs/arcstats",
};

int host_read(const struct host_paths *paths, uint64_t now_usec, struct obs_host *ret, struct err *e)
{
    struct err ignored = {0}; /* no ZFS, no PSI: the host is judged by its free memory alone */
    struct meminfo m;
    struct psi psi;
    uint64_t arc_bytes = 0;
    int r = meminfo_read(paths->meminfo, &m, e);

    if (r < 0)
        return err_wrap(e, "how much memory the host has free is not known, nothing is given or taken");
    (void)meminfo_read_arc(paths->arc, &arc_bytes, &ignored);
    *ret = (struct obs_host){
        .time_usec = now_usec,
        .total_bytes = m.total_bytes,
        .available_bytes = m.available_bytes,
        .arc_bytes = arc_bytes,
        .psi_some_usec = psi_read(paths->psi, &psi, &ignored) < 0 ? OBS_UNSET : psi.some_usec,
    };
    return 0;
}
