/* SPDX-License-Identifier: Apache-2.0 */
#include "record_input.h"

#include <string.h>

/* Single numbers of the union, as structs of one field. */
#define ONE(kind_, member)                                                                                             \
    {                                                                                                                  \
        .name = #member, .kind = WIRE_KIND_##kind_, .offset = 0, .size = sizeof(((struct input *)0)->member)           \
    }
static const struct wire_field hold_fields[] = {ONE(U32, hold)};
static const struct wire_field target_fields[] = {ONE(U64, target_kib)};
static const struct record_table hold = {hold_fields, 1}, target = {target_fields, 1};

static const struct record_input inputs[INPUT_KIND_COUNT] = {
    [INPUT_APPEARED] = {"appeared", &record_config},
    [INPUT_LEARNED] = {"learned", &record_learned},
    [INPUT_CONFIGURED] = {"configured", &record_config},
    [INPUT_LEVERS] = {"levers", &record_levers},
    [INPUT_HOST_VIEW] = {"host_view", &record_host_view},
    [INPUT_VIEW] = {"view", &record_view},
    [INPUT_RESET] = {"reset", NULL},
    [INPUT_PAUSED] = {"paused", NULL},
    [INPUT_RESUMED] = {"resumed", NULL},
    [INPUT_HELD] = {"held", &hold},
    [INPUT_FOREIGN_HAND] = {"foreign_hand", NULL},
    [INPUT_ORDERED] = {"ordered", &target},
    [INPUT_ORDER_DONE] = {"order_done", NULL},
    [INPUT_ORDER_FAILED] = {"order_failed", NULL},
};

const struct record_input *record_input_of(enum input_kind kind)
{
    return &inputs[kind];
}

enum input_kind record_input_find(const char *name)
{
    enum input_kind kind = 0;

    while (kind < INPUT_KIND_COUNT && strcmp(inputs[kind].name, name) != 0)
        kind++;
    return kind;
}
