/* SPDX-License-Identifier: Apache-2.0 */
#include "input.h"

void input_apply(struct guest *g, const struct input *in)
{
    switch (in->kind) {
    case INPUT_APPEARED:
        guest_init(g, &in->config, in->now_usec);
        return;
    case INPUT_LEARNED:
        learned_restore(g, &in->learned, in->now_usec);
        return;
    case INPUT_CONFIGURED:
        guest_configure(g, &in->config, in->now_usec);
        return;
    case INPUT_LEVERS:
        guest_see_levers(g, &in->levers, in->now_usec);
        return;
    case INPUT_HOST_VIEW:
        guest_see_host(g, &in->host_view, in->now_usec);
        return;
    case INPUT_VIEW:
        guest_see_view(g, &in->view, in->now_usec);
        return;
    case INPUT_RESET:
        guest_see_reset(g, in->now_usec);
        return;
    case INPUT_PAUSED:
    case INPUT_RESUMED:
        guest_see_paused(g, in->kind == INPUT_PAUSED, in->now_usec);
        return;
    case INPUT_FOREIGN_HAND:
        guest_see_foreign_hand(g, in->now_usec);
        return;
    case INPUT_HELD:
        guest_set_hold(g, in->hold);
        return;
    case INPUT_ORDERED:
        guest_ordered(g, in->target_kib, in->now_usec);
        return;
    case INPUT_ORDER_DONE:
        guest_order_done(g);
        return;
    case INPUT_ORDER_FAILED:
        guest_order_failed(g, in->now_usec);
        return;
    case INPUT_KIND_COUNT:
        return;
    }
}
