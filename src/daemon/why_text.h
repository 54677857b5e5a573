/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "status.h"
#include "why.h"
#include "wire_why.h"

/* Decisions in plain sentences with their numbers. Pure: numbers in, words out. */

/* What a sentence about now needs beside the status of the guest. Sizes in bytes; 0 where there is none. */
struct why_facts {
    enum guest_order order;
    enum guest_reason reason;
    uint64_t dead_zone_bytes;   /* what is not worth a move */
    uint64_t settles_ms;        /* nothing is taken slowly for so long yet */
    uint64_t loads_ms;          /* after a boot: it counts with what it had before for so long yet */
    uint64_t loads_bytes;       /* what it had then */
    uint64_t burst_bytes;       /* its largest rise of used within 3 s, as it was then */
    uint64_t burst_age_ms;
    bool no_swap;               /* its own word; false: it has some, or it is not known */
    bool dry_run;
    uint64_t waiters;           /* guests that should grow and can't yet */
    char waiter[WIRE_NAME_SIZE]; /* the one of them that is served first */
    uint64_t waiter_bytes;
    uint64_t donors;            /* guests that give now */
    char donor[WIRE_NAME_SIZE]; /* the one that gives most */
    uint64_t donor_bytes;
    int64_t grantable_bytes;    /* what a grant may use this moment */
};

/* Fills now and because. */
void why_text_now(const struct wire_guest *g, const struct wire_host *h, const struct why_facts *f,
                  struct wire_why *ret);

/* One clause about a kept decision: "gave it 64 MiB, ...". */
void why_text_decision(const struct why_entry *entry, char *to, size_t size);

/* "need", "for-others", ...; "" beyond the last. */
const char *why_reason_name(enum guest_reason reason);

/* All of it for a guest of the engine. */
void why_tell(const struct status *s, const struct engine_guest *g, struct wire_why *ret);
