/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "window_private.h"

/* Does the place where fleecing images lie answer? One that hangs costs a guest's write `fleece_usec`, no more. But QEMU asks the
 * image's file system in `query-block`, and waits for it in `qom-set drive` and `blockdev-del`: there QEMU and the guest would hang
 * with it, and nothing ends that (QEMU 7.2: yank does not). So ballast-prepare tries it first. */

bool window_needs_probe(const struct window *w, const struct window_disk *d)
{
    (void)d;
    for (size_t i = 0; i < w->disks_n; i++)
        if (w->disks[i].fleece_there || w->disks[i].filter_there)
            return true;
    return w->config.recover || w->resume;
}

void window_build_probe(struct window *w, struct window_disk *d, struct wire_text *t)
{
    (void)d;
    wire_text_adds(t, "{");
    window_print_text(t, "probe", w->config.state_dir);
    wire_text_adds(t, "}");
}

/* Any answer is one: what is wrong with it, those who need it tell. */
int window_probe_refused(struct window *w, struct window_disk *d, struct err *e)
{
    (void)d;
    if (e->code != ETIMEDOUT)
        return 0;
    window_set_hint(w, "see what hangs there (df, dmesg), or give ballastd another --state-dir, on a local disk");
    return err_set(e, ETIMEDOUT, "'%s/fleece', where the old data of disks is kept while they are copied, does not answer: "
                   "QEMU is asked for nothing, as it would hang with it", w->config.state_dir);
}

int window_probe_left_refused(struct window *w, struct window_disk *d, struct err *e)
{
    (void)d;
    if (e->code != ETIMEDOUT)
        return 0;
    w->gone = w->fleece_hangs = true;
    return err_set(e, ETIMEDOUT, "'%s/fleece' does not answer, and QEMU would hang with it: what the backup of guest '%s' put "
                   "into QEMU stays there, and is taken out before the next one; the guest runs on", w->config.state_dir,
                   w->config.guest);
}
