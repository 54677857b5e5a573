/* SPDX-License-Identifier: Apache-2.0 */
#include "foreign.h"

void foreign_see_balloon(struct foreign *f, uint64_t actual_kib, uint64_t touched_kib, uint64_t dead_zone_kib, bool ours,
                         uint64_t now_usec)
{
    bool quiet = f->ours_usec && now_usec >= f->ours_usec + FOREIGN_QUIET_USEC;
    bool waits = f->fell_usec && now_usec < f->fell_usec + FOREIGN_PATIENCE_USEC;

    if (ours || !f->ours_usec)
        f->ours_usec = now_usec;
    if (waits) {
        if (!ours && actual_kib < f->low_kib)
            f->low_kib = actual_kib;
        return;
    }
    if (ours || !quiet || f->fell_usec || actual_kib >= f->base_kib) {
        f->base_kib = actual_kib;
        f->touched_kib = touched_kib;
        f->fell_usec = 0;
    } else if (f->base_kib - actual_kib > dead_zone_kib) { /* in one step or in several */
        f->fell_usec = now_usec;
        f->low_kib = actual_kib;
    }
}

bool foreign_see_host(struct foreign *f, uint64_t touched_kib, uint64_t seen_usec)
{
    if (!f->fell_usec || seen_usec < f->fell_usec)
        return false;
    uint64_t leaves_kib = (f->base_kib - f->low_kib) / 100 * FOREIGN_LEAVES_PERCENT;
    if (touched_kib + leaves_kib > f->touched_kib)
        return false;
    f->fell_usec = 0;
    f->base_kib = f->low_kib;
    f->touched_kib = touched_kib;
    return true;
}
