/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "guest.h"
#include "learned.h"
#include "observe.h"

/* Everything that can change what the core knows of a guest between two decisions, as a value: what was applied to a
 * guest can be recorded and applied again (S6). The engine changes guests by input_apply() alone, and so does replay. */

enum input_kind {
    INPUT_APPEARED,     /* with its configuration: always the first */
    INPUT_LEARNED,      /* what was known of it from before a restart */
    INPUT_CONFIGURED,
    INPUT_LEVERS,
    INPUT_HOST_VIEW,
    INPUT_VIEW,
    INPUT_RESET,
    INPUT_PAUSED,
    INPUT_RESUMED,
    INPUT_FOREIGN_HAND,
    INPUT_HELD,         /* the operator's word about its moves */
    INPUT_ORDERED,      /* the verdict's order was sent */
    INPUT_ORDER_DONE,
    INPUT_ORDER_FAILED,
    INPUT_KIND_COUNT
};

struct input {
    enum input_kind kind;
    uint64_t now_usec;
    union {
        struct guest_config config; /* appeared, configured */
        struct learned learned;
        struct obs_levers levers;
        struct obs_host_view host_view;
        struct obs_guest_view view;
        enum guest_hold hold;       /* held */
        uint64_t target_kib;        /* ordered */
    };
};

/* Calls the guest_*() function that belongs to the kind. */
void input_apply(struct guest *g, const struct input *in);
