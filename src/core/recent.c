/* SPDX-License-Identifier: Apache-2.0 */
#include "recent.h"

#include <string.h>

void recent_see(struct recent *r, uint64_t value, uint64_t now_usec)
{
    uint64_t number = now_usec / RECENT_SLOT_USEC + 1;
    struct recent_slot *s = &r->slots[number % RECENT_SLOTS];

    if (s->slot > number)
        return; /* older than the window */
    if (s->slot != number) {
        s->slot = number;
        s->least = value;
        s->largest = value;
    }
    if (value < s->least)
        s->least = value;
    if (value > s->largest)
        s->largest = value;
    s->last = value;
}

bool recent_range(const struct recent *r, uint64_t from_usec, uint64_t to_usec, uint64_t *ret_least,
                  uint64_t *ret_largest)
{
    uint64_t first = from_usec / RECENT_SLOT_USEC + 1;
    uint64_t last = to_usec / RECENT_SLOT_USEC + 1;
    const struct recent_slot *before = NULL;
    uint64_t least = UINT64_MAX;
    uint64_t largest = 0;
    bool any = false;
    uint64_t newest = 0;

    for (size_t i = 0; i < RECENT_SLOTS; i++)
        newest = r->slots[i].slot > newest ? r->slots[i].slot : newest;
    for (size_t i = 0; i < RECENT_SLOTS; i++) {
        const struct recent_slot *s = &r->slots[i];
        if (!s->slot || s->slot > last)
            continue;
        if (s->slot + RECENT_SLOTS <= newest)
            continue; /* out of the window: its successors may have been overwritten, it would stand for them */
        if (s->slot < first) {
            if (!before || s->slot > before->slot)
                before = s; /* what held when the window began */
            continue;
        }
        any = true;
        least = s->least < least ? s->least : least;
        largest = s->largest > largest ? s->largest : largest;
    }
    if (before) {
        any = true;
        least = before->last < least ? before->last : least;
        largest = before->last > largest ? before->last : largest;
    }
    if (!any)
        return false;
    *ret_least = least;
    *ret_largest = largest;
    return true;
}

void recent_clear(struct recent *r)
{
    memset(r, 0, sizeof(*r));
}
