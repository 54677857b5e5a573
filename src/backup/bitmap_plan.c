/* SPDX-License-Identifier: Apache-2.0 */
#include "bitmap_plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool bitmap_number(const char *name, const char *prefix, uint64_t *ret_number)
{
    size_t len = strlen(prefix);
    const char *digits = name + len;

    if (strncmp(name, prefix, len) != 0 || strlen(digits) == 0 || strlen(digits) > 18 ||
        strspn(digits, "0123456789") != strlen(digits) || digits[0] == '0')
        return false;
    *ret_number = strtoull(digits, NULL, 10); /* 18 digits fit */
    return true;
}

static const struct bitmap_seen *find(const struct bitmap_seen *seen, size_t n, uint64_t number)
{
    for (size_t i = 0; i < n; i++)
        if (seen[i].number == number)
            return &seen[i];
    return NULL;
}

/* BITMAP_GOES_ON where it can be gone on from. */
static enum bitmap_reason judge(const struct bitmap_seen *b, uint64_t granularity)
{
    if (!b)
        return BITMAP_MISSING;
    if (b->inconsistent)
        return BITMAP_INCONSISTENT;
    return b->busy || b->granularity != granularity ? BITMAP_UNUSABLE : BITMAP_GOES_ON;
}

/* The one later than `number`; *ret_more: there are several. */
static const struct bitmap_seen *find_later(const struct bitmap_seen *seen, size_t n, uint64_t number, bool *ret_more)
{
    const struct bitmap_seen *later = NULL;

    *ret_more = false;
    for (size_t i = 0; i < n; i++) {
        if (seen[i].number <= number)
            continue;
        *ret_more = later != NULL;
        later = &seen[i];
    }
    return later;
}

void bitmap_plan_make(const struct bitmap_seen *seen, size_t n, uint64_t committed, uint64_t committed_size,
                      uint64_t size_bytes, uint64_t granularity, uint64_t fresh, struct bitmap_plan *ret)
{
    bool more;
    const struct bitmap_seen *base = committed ? find(seen, n, committed) : NULL;
    const struct bitmap_seen *later = find_later(seen, n, committed, &more);

    *ret = (struct bitmap_plan){.reason = committed ? judge(base, granularity) : BITMAP_FIRST};
    if (ret->reason == BITMAP_GOES_ON && committed_size != size_bytes)
        ret->reason = BITMAP_RESIZED;
    /* What was recorded after the base was switched off is needed, too: without it there would be a silent gap. */
    if (ret->reason == BITMAP_GOES_ON && later)
        ret->reason = more ? BITMAP_UNUSABLE : judge(later, granularity);
    if (ret->reason == BITMAP_GOES_ON && !(later ? later : base)->recording)
        ret->reason = BITMAP_MISSING;
    if (ret->reason == BITMAP_GOES_ON) {
        ret->base = committed;
        ret->fold = later ? later->number : 0;
    }
    ret->next = fresh > committed ? fresh : committed + 1;
    for (size_t i = 0; i < n; i++) {
        if (seen[i].number >= ret->next)
            ret->next = seen[i].number + 1;
        if (!ret->base || (seen[i].number != ret->base && seen[i].number != ret->fold))
            ret->drop[ret->drop_n++] = seen[i].number;
    }
}

const char *bitmap_reason_text(enum bitmap_reason reason)
{
    static const char *const texts[BITMAP_REASON_COUNT] = {
        [BITMAP_GOES_ON] = "it goes on from the newest point",
        [BITMAP_FIRST] = "the repository has no point of it yet",
        [BITMAP_RESIZED] = "it has been resized since the newest point",
        [BITMAP_MISSING] = ("QEMU has no record of what changed since the newest point (it was killed, or another "
                            "program changed the image)"),
        [BITMAP_INCONSISTENT] = "QEMU was killed, and its record of changes with it",
        [BITMAP_OFF] = "its newest point was made while the guest was switched off",
        [BITMAP_UNUSABLE] = "QEMU's record of changes has another chunk size, or is in use",
    };

    return texts[reason];
}

static void begin(struct wire_text *t, bool *first, const char *type, const char *node)
{
    wire_text_format(t, "%s{\"type\":\"%s\",\"data\":{\"node\":", *first ? "" : ",", type);
    wire_text_string(t, node);
    *first = false;
}

void bitmap_print_action(struct wire_text *t, bool *first, const char *action, const char *node, const char *prefix,
                         uint64_t number)
{
    begin(t, first, action, node);
    wire_text_format(t, ",\"name\":\"%s%" PRIu64 "\"}}", prefix, number);
}

static void print_merge(struct wire_text *t, bool *first, const char *node, const char *prefix, uint64_t target,
                        uint64_t from)
{
    bitmap_print_action(t, first, "block-dirty-bitmap-enable", node, prefix, target);
    begin(t, first, "block-dirty-bitmap-merge", node);
    wire_text_format(t, ",\"target\":\"%s%" PRIu64 "\",\"bitmaps\":[\"%s%" PRIu64 "\"]}}", prefix, target, prefix, from);
    bitmap_print_action(t, first, "block-dirty-bitmap-remove", node, prefix, from);
}

void bitmap_print_repair(struct wire_text *t, bool *first, const struct bitmap_plan *plan, const char *node,
                         const char *prefix)
{
    if (plan->fold)
        print_merge(t, first, node, prefix, plan->base, plan->fold);
    for (size_t i = 0; i < plan->drop_n; i++)
        bitmap_print_action(t, first, "block-dirty-bitmap-remove", node, prefix, plan->drop[i]);
}

void bitmap_print_switch(struct wire_text *t, bool *first, const struct bitmap_plan *plan, const char *node,
                         const char *prefix, bool persistent, uint64_t granularity)
{
    begin(t, first, "block-dirty-bitmap-add", node);
    wire_text_format(t, ",\"name\":\"%s%" PRIu64 "\",\"persistent\":%s,\"granularity\":%" PRIu64 "}}", prefix, plan->next,
                     persistent ? "true" : "false", granularity);
    if (plan->base)
        bitmap_print_action(t, first, "block-dirty-bitmap-disable", node, prefix, plan->base);
}

void bitmap_print_commit(struct wire_text *t, bool *first, const struct bitmap_plan *plan, const char *node,
                         const char *prefix)
{
    if (plan->base)
        bitmap_print_action(t, first, "block-dirty-bitmap-remove", node, prefix, plan->base);
}

void bitmap_print_fold(struct wire_text *t, bool *first, const struct bitmap_plan *plan, const char *node,
                       const char *prefix)
{
    if (plan->base)
        print_merge(t, first, node, prefix, plan->base, plan->next);
    else
        bitmap_print_action(t, first, "block-dirty-bitmap-remove", node, prefix, plan->next);
}
