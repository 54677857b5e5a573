/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire_text.h"

/* Which of a disk's dirty bitmaps to go on from (docs/design.md 6.3). Bitmap PREFIX<N> holds what changed since the point
 * whose manifest names N for this disk. N is the time of the checkpoint in microseconds: a copy of the disk that became
 * another guest's brings its bitmaps along, and they must not pass for that guest's own. Two exist only while a backup is
 * under way or was cut off: N (off) and a later one (recording). Pure. */

#define BITMAPS_MAX 8         /* of ours on one disk; more are left over from nothing we do, and the rest is ignored */
#define BITMAP_NAME_SIZE 64

struct bitmap_seen {
    uint64_t number;
    bool recording, inconsistent, busy;
    uint64_t granularity;
    uint64_t count_bytes;
};

/* The number behind prefix; false: not such a name. */
bool bitmap_number(const char *name, const char *prefix, uint64_t *ret_number);

enum bitmap_reason {
    BITMAP_GOES_ON,      /* incremental */
    BITMAP_FIRST,        /* the repository has no point of this disk */
    BITMAP_RESIZED,      /* the disk has another size than in that point */
    BITMAP_MISSING,      /* QEMU has no bitmap of that point */
    BITMAP_INCONSISTENT, /* QEMU was killed: what it recorded is lost */
    BITMAP_OFF,          /* the newest point was made while the guest was switched off */
    BITMAP_UNUSABLE,     /* granularity, or in use by somebody */
    BITMAP_REASON_COUNT
};

struct bitmap_plan {
    enum bitmap_reason reason;
    uint64_t base;  /* incremental: goes on from this one; else 0 */
    uint64_t next;  /* the one that the window adds */
    uint64_t fold;  /* a later one is there, of a backup that was never committed: fold it into base first; 0: none */
    uint64_t drop[BITMAPS_MAX]; /* to be removed first */
    size_t drop_n;
};

/* committed: N of the newest point's manifest for this disk, 0: none; committed_size: the disk's size in it; fresh: N to
 * be, a larger one is taken where it is in use. */
void bitmap_plan_make(const struct bitmap_seen *seen, size_t n, uint64_t committed, uint64_t committed_size,
                      uint64_t size_bytes, uint64_t granularity, uint64_t fresh, struct bitmap_plan *ret);

/* One clause for people: "the disk has been resized". */
const char *bitmap_reason_text(enum bitmap_reason reason);

/* Actions of a QMP transaction, separated by commas; `first` is updated. */
void bitmap_print_action(struct wire_text *t, bool *first, const char *action, const char *node, const char *prefix,
                         uint64_t number);
void bitmap_print_repair(struct wire_text *t, bool *first, const struct bitmap_plan *plan, const char *node,
                         const char *prefix);
/* The window: the next one records, the base stands still. */
void bitmap_print_switch(struct wire_text *t, bool *first, const struct bitmap_plan *plan, const char *node,
                         const char *prefix, bool persistent, uint64_t granularity);
/* After the commit: the base goes. Without one: what was recorded since goes back into the base, or goes. */
void bitmap_print_commit(struct wire_text *t, bool *first, const struct bitmap_plan *plan, const char *node,
                         const char *prefix);
void bitmap_print_fold(struct wire_text *t, bool *first, const struct bitmap_plan *plan, const char *node,
                       const char *prefix);
