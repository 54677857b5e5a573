/* SPDX-License-Identifier: Apache-2.0 */
#include "why_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "units.h"

#define MIB (1ULL << 20)
#define SAME_BYTES MIB /* a difference below a quantum of planning is none */

static const char *const reason_names[GUEST_REASON_COUNT] = {
    [GUEST_REASON_NONE] = "right",
    [GUEST_REASON_NEED] = "need",
    [GUEST_REASON_PLENTY] = "plenty",
    [GUEST_REASON_RECLAIM] = "reclaim",
    [GUEST_REASON_FOR_OTHERS] = "for-others",
    [GUEST_REASON_FOR_HOST] = "for-host",
    [GUEST_REASON_DEAD_ZONE] = "dead-zone",
    [GUEST_REASON_NOT_FREE_YET] = "not-free-yet",
    [GUEST_REASON_IN_FLIGHT] = "in-flight",
    [GUEST_REASON_STALE] = "stale",
    [GUEST_REASON_SETTLING] = "settling",
    [GUEST_REASON_WAIT_TICK] = "wait-tick",
    [GUEST_REASON_BAND] = "band",
    [GUEST_REASON_HOST_LOW] = "host-low",
    [GUEST_REASON_NOT_MANAGED] = "not-managed",
    [GUEST_REASON_STUCK] = "stuck",
    [GUEST_REASON_UNREACHED] = "unreached",
    [GUEST_REASON_ON_HOLD] = "on-hold",
    [GUEST_REASON_RELEASE] = "release",
    [GUEST_REASON_FOR_RESERVE] = "for-reserve",
};

const char *why_reason_name(enum guest_reason reason)
{
    return (unsigned)reason < GUEST_REASON_COUNT && reason_names[reason] ? reason_names[reason] : "";
}

static struct units_text size_of(uint64_t bytes)
{
    struct units_text unknown = {"an unknown size"};

    return bytes == WIRE_UNKNOWN ? unknown : units_show_size(bytes);
}

static struct units_text age_of(uint64_t ms)
{
    struct units_text unknown = {"an unknown time"};

    return ms == WIRE_UNKNOWN || ms > UINT64_MAX / 1000 ? unknown : units_show_time(ms * 1000);
}

static uint64_t known(uint64_t value)
{
    return value == WIRE_UNKNOWN ? 0 : value;
}

static uint64_t apart(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* ---- now ---- */

/* What stops all balancing of a guest, worst first: told as the reason why nothing is done. */
static const char *const stoppers[] = {"on-hold", "no-balloon", "foreign-hand", "breach", "paused", "frozen", "booting", "silent", "fixed"};

static const struct wire_flag *flag_of(const struct wire_guest *g, const char *name)
{
    for (size_t i = 0; i < g->flag_count; i++)
        if (strcmp(g->flags[i].name, name) == 0)
            return &g->flags[i];
    return NULL;
}

static const struct wire_flag *stopper_of(const struct wire_guest *g)
{
    const struct wire_flag *flag = NULL;

    for (size_t i = 0; i < sizeof(stoppers) / sizeof(stoppers[0]) && !flag; i++)
        flag = flag_of(g, stoppers[i]);
    return flag;
}

static void now_unmanaged(const struct wire_guest *g, char *to, size_t size)
{
    const struct wire_flag *flag = stopper_of(g);

    if (strcmp(g->mode, "watch") == 0 && g->advice_bytes != WIRE_UNKNOWN && g->demand_bytes != WIRE_UNKNOWN)
        (void)snprintf(to, size, "Nothing is done: it is only watched (mode: watch). It has %s; ballast would give it %s.",
                       size_of(g->assigned_bytes).s, size_of(g->advice_bytes).s);
    else if (strcmp(g->mode, "watch") == 0)
        (void)snprintf(to, size, "Nothing is done: it is only watched (mode: watch).");
    else if (strcmp(g->mode, "off") == 0)
        (void)snprintf(to, size, "Nothing is done: it is only counted (mode: off), whatever it needs.");
    else if (strcmp(g->mode, "fixed") == 0)
        (void)snprintf(to, size, "Nothing is done: its size of %s is held (mode: fixed).", size_of(g->assigned_bytes).s);
    else if (flag)
        (void)snprintf(to, size, "Nothing is done (%s): %s.", flag->name, flag->reason);
    else
        (void)snprintf(to, size, "Nothing is done: it has not told its size and its need yet.");
}

static void now_ordered(const struct wire_guest *g, const struct why_facts *f, char *to, size_t size)
{
    const char *would = f->dry_run ? " (dry run: nothing is sent)" : "";
    uint64_t amount = apart(g->order_bytes, g->assigned_bytes);

    if (f->reason == GUEST_REASON_UNREACHED)
        (void)snprintf(to, size, "It was told to change its size and did not move for 2 s: the order is taken back, it "
                                 "keeps %s.%s", size_of(g->assigned_bytes).s, would);
    else if (f->order == GUEST_ORDER_GROW)
        (void)snprintf(to, size, "It gets %s now, from %s to %s: %s.%s", size_of(amount).s, size_of(g->assigned_bytes).s,
                       size_of(g->order_bytes).s, guest_reason_text(f->reason), would);
    else if (f->reason == GUEST_REASON_FOR_OTHERS && f->waiter[0])
        (void)snprintf(to, size, "%s are taken now, from %s to %s: '%s' waits for %s.%s", size_of(amount).s,
                       size_of(g->assigned_bytes).s, size_of(g->order_bytes).s, f->waiter, size_of(f->waiter_bytes).s,
                       would);
    else
        (void)snprintf(to, size, "%s are taken now, from %s to %s: %s.%s", size_of(amount).s, size_of(g->assigned_bytes).s,
                       size_of(g->order_bytes).s, guest_reason_text(f->reason), would);
}

static void now_waiting(const struct wire_guest *g, const struct why_facts *f, char *to, size_t size)
{
    uint64_t lacks = known(g->given_bytes) > known(g->assigned_bytes) ? g->given_bytes - g->assigned_bytes : 0;
    size_t used = (size_t)snprintf(to, size, "It waits for %s: memory is given once it is free", size_of(lacks).s);

    if (f->grantable_bytes > 0)
        used += (size_t)snprintf(to + used, size - used, ", and %s are", size_of((uint64_t)f->grantable_bytes).s);
    if (f->donors > 1)
        (void)snprintf(to + used, size - used, "; '%s' must give %s first, and %" PRIu64 " more guests give.", f->donor,
                       size_of(f->donor_bytes).s, f->donors - 1);
    else if (f->donors)
        (void)snprintf(to + used, size - used, "; '%s' must give %s first.", f->donor, size_of(f->donor_bytes).s);
    else
        (void)snprintf(to + used, size - used, "; nobody has anything to give.");
}

static void now_none(const struct wire_guest *g, const struct wire_host *h, const struct why_facts *f, char *to,
                     size_t size)
{
    switch (f->reason) {
    case GUEST_REASON_DEAD_ZONE:
        (void)snprintf(to, size, "Nothing to do: it has %s and should have %s; the %s between are too few to be worth a "
                                 "move (dead zone: %s).", size_of(g->assigned_bytes).s, size_of(g->given_bytes).s,
                       size_of(apart(known(g->assigned_bytes), known(g->given_bytes))).s, size_of(f->dead_zone_bytes).s);
        return;
    case GUEST_REASON_NOT_FREE_YET:
        now_waiting(g, f, to, size);
        return;
    case GUEST_REASON_HOST_LOW:
        (void)snprintf(to, size, "It should have %s and gets nothing: the host is in state low, with %s of its reserve of "
                                 "%s left.", size_of(g->given_bytes).s,
                       size_of(h->free_bytes > 0 ? (uint64_t)h->free_bytes : 0).s, size_of(h->reserve_bytes).s);
        return;
    case GUEST_REASON_IN_FLIGHT:
        (void)snprintf(to, size, "A move is under way: it is on its way to %s and has %s now.",
                       size_of(g->in_flight_bytes == WIRE_UNKNOWN ? g->given_bytes : g->in_flight_bytes).s,
                       size_of(g->assigned_bytes).s);
        return;
    case GUEST_REASON_STALE:
        (void)snprintf(to, size, "Nothing is taken: its last numbers are %s old, too old to take by.",
                       age_of(g->sample_age_ms).s);
        return;
    case GUEST_REASON_SETTLING:
        (void)snprintf(to, size, "Nothing is taken yet: it was found or has booted a moment ago and is watched for another "
                                 "%s first.", age_of(f->settles_ms).s);
        return;
    case GUEST_REASON_WAIT_TICK:
        (void)snprintf(to, size, "It has %s more than it should; within a second some of it is taken, slowly, as nobody "
                                 "waits for it.", size_of(apart(known(g->assigned_bytes), known(g->given_bytes))).s);
        return;
    case GUEST_REASON_BAND:
        (void)snprintf(to, size, "Nothing to do: its pressure of %" PRIu64 " %% lies inside the band of its own history, %"
                                 PRIu64 " to %" PRIu64 " %%.", (known(g->pressure_percent) + 50) / 100,
                       (known(g->pressure_low_percent) + 50) / 100, (known(g->pressure_high_percent) + 50) / 100);
        return;
    default:
        (void)snprintf(to, size, "Nothing to do: it has %s, which is what it should have.", size_of(g->assigned_bytes).s);
    }
}

/* ---- because ---- */

static void because_need(const struct wire_guest *g, struct wire_why *ret)
{
    const char *limit = "";

    if (g->demand_bytes == WIRE_UNKNOWN)
        return;
    if (g->target_bytes == g->maximum_bytes)
        limit = ", its maximum";
    else if (g->target_bytes == g->minimum_bytes)
        limit = ", its minimum";
    wire_why_because(ret, "it needs %s (%s, %s ago) and with a buffer of %" PRIu64 " %% should have %s%s",
                     size_of(g->demand_bytes).s,
                     strcmp(g->demand_source, "agent") == 0 ? "its agent said so" : "by its balloon statistics",
                     age_of(g->sample_age_ms).s, (known(g->buffer_percent) + 50) / 100, size_of(g->target_bytes).s, limit);
}

/* More than its target: held for a reason, or because less can't be. */
static void because_held(const struct wire_guest *g, const struct why_facts *f, struct wire_why *ret)
{
    uint64_t holds = known(g->given_bytes);

    if (holds < known(g->target_bytes) + SAME_BYTES)
        return;
    if (f->loads_ms && holds <= f->loads_bytes + SAME_BYTES)
        wire_why_because(ret, "it booted a moment ago: what it had before, %s, counts as its need for another %s",
                         size_of(f->loads_bytes).s, age_of(f->loads_ms).s);
    else if (f->burst_bytes >= SAME_BYTES && known(g->head_bytes) >= known(g->target_bytes) + SAME_BYTES)
        wire_why_because(ret, "it holds %s for a burst of %s ago: it took %s within 3 s then; that counts as %s now and "
                              "fades", size_of(holds).s, age_of(f->burst_age_ms).s, size_of(f->burst_bytes).s,
                         size_of(g->rise_bytes).s);
    else if (strcmp(g->reclaim, "lazy") == 0 && holds > known(g->top_bytes))
        wire_why_because(ret, "it keeps %s until another guest needs it (reclaim: lazy)", size_of(holds).s);
}

static void because_shared(const struct wire_guest *g, const struct wire_host *h, const struct why_facts *f,
                           struct wire_why *ret)
{
    if (h->share_step != WIRE_UNKNOWN && h->share_step >= SHARE_HEAD && known(g->penalty_bytes) >= SAME_BYTES)
        wire_why_because(ret, "the host is in step %" PRIu64 " of 6 (%s): it gets %s, %s less than its target, at priority %"
                              PRIu64, h->share_step, h->share_text, size_of(g->given_bytes).s,
                         size_of(g->penalty_bytes).s, g->priority);
    if (h->share_step != WIRE_UNKNOWN && h->share_step >= SHARE_LOWER && f->no_swap)
        wire_why_because(ret, "it has no swap, so what it uses can't be taken from it for anybody, whatever their "
                              "priority: it keeps %s", size_of(g->lower_bytes).s);
    if (known(g->shortfall_bytes) >= SAME_BYTES)
        wire_why_because(ret, "it lacks %s of what it needs", size_of(g->shortfall_bytes).s);
}

static void because_limits(const struct wire_guest *g, struct wire_why *ret)
{
    uint64_t assigned = known(g->assigned_bytes);
    bool at_lower = g->lower_bytes != WIRE_UNKNOWN && assigned <= g->lower_bytes + SAME_BYTES;

    if (at_lower && g->lower_bytes == g->minimum_bytes)
        wire_why_because(ret, "nothing may be taken from it: %s is its minimum", size_of(g->minimum_bytes).s);
    else if (at_lower)
        wire_why_because(ret, "nothing may be taken from it: by its own numbers it can't live with less than %s",
                         size_of(g->lower_bytes).s);
    if (g->maximum_bytes != WIRE_UNKNOWN && assigned + SAME_BYTES >= g->maximum_bytes)
        wire_why_because(ret, "it can't get more: %s is its maximum", size_of(g->maximum_bytes).s);
    if (g->bound_bytes != WIRE_UNKNOWN && known(g->target_bytes) > g->bound_bytes)
        wire_why_because(ret, "what it says it needs is not believed beyond %s: the host saw it touch no more than %s",
                         size_of(g->bound_bytes).s, size_of(g->proof_bytes).s);
}

/* The flags' own sentences, but the one that is told as the reason of all. */
static void because_flags(const struct wire_guest *g, const struct wire_flag *told, struct wire_why *ret)
{
    for (size_t i = 0; i < g->flag_count; i++)
        if (&g->flags[i] != told && !(told && strcmp(g->flags[i].name, "fixed") == 0))
            wire_why_because(ret, "%s: %s", g->flags[i].name, g->flags[i].reason);
    if (g->trouble[0])
        wire_why_because(ret, "its driver said last: %s", g->trouble);
}

void why_text_now(const struct wire_guest *g, const struct wire_host *h, const struct why_facts *f,
                  struct wire_why *ret)
{
    const size_t size = sizeof(ret->now);

    if (f->order != GUEST_ORDER_NONE && g->order_bytes != WIRE_UNKNOWN)
        now_ordered(g, f, ret->now, size);
    else if (!g->balanced)
        now_unmanaged(g, ret->now, size);
    else
        now_none(g, h, f, ret->now, size);
    because_need(g, ret);
    if (g->balanced) {
        because_held(g, f, ret);
        because_shared(g, h, f, ret);
        because_limits(g, ret);
    }
    because_flags(g, g->balanced ? NULL : stopper_of(g), ret);
}

/* ---- decisions that were kept ---- */

static const char *flag_word(uint32_t flags)
{
    static const struct {
        uint32_t flag;
        const char *word;
    } words[] = {
        {GUEST_FLAG_ON_HOLD, "its moves were paused by an operator"},
        {GUEST_FLAG_NO_BALLOON, "nothing can change its size"},
        {GUEST_FLAG_FOREIGN_HAND, "another program moves its memory"},
        {GUEST_FLAG_BREACH, "it held more than it said"},
        {GUEST_FLAG_PAUSED, "it stood still: paused, shut down, or frozen for a backup"},
        {GUEST_FLAG_BOOTING, "it was booting"},
        {GUEST_FLAG_SILENT, "it did not report its memory"},
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (flags & words[i].flag)
            return words[i].word;
    return "it had not told its size and its need yet";
}

static void decision_unmanaged(const struct why_entry *entry, char *to, size_t size)
{
    static const char *const modes[GUEST_MODE_COUNT] = {
        [GUEST_MODE_WATCH] = "it was only watched (mode: watch)",
        [GUEST_MODE_FIXED] = "its size was held (mode: fixed)",
        [GUEST_MODE_OFF] = "it was only counted (mode: off)",
    };
    const char *mode = entry->mode < GUEST_MODE_COUNT ? modes[entry->mode] : NULL;

    (void)snprintf(to, size, "nothing was done: %s", mode ? mode : flag_word(entry->flags));
}

static void decision_none(const struct why_entry *entry, char *to, size_t size)
{
    struct units_text lacks = units_show_kib(entry->given_kib > entry->has_kib ? entry->given_kib - entry->has_kib : 0);
    size_t used;

    switch (entry->reason) {
    case GUEST_REASON_NOT_FREE_YET:
        used = (size_t)snprintf(to, size, "waited for %s: it needed %s, had %s, and too little was free", lacks.s,
                                units_show_kib(entry->demand_kib).s, units_show_kib(entry->has_kib).s);
        if (entry->other[0])
            (void)snprintf(to + used, size - used, "; '%s' had to give %s first", entry->other,
                           units_show_kib(entry->other_kib).s);
        return;
    case GUEST_REASON_HOST_LOW:
        (void)snprintf(to, size, "got nothing, though %s were missing: the host was in state low", lacks.s);
        return;
    case GUEST_REASON_STALE:
        (void)snprintf(to, size, "nothing was taken: its last numbers were too old to take by");
        return;
    case GUEST_REASON_SETTLING:
        (void)snprintf(to, size, "it was watched before anything was taken: it had just been found or had booted");
        return;
    default:
        decision_unmanaged(entry, to, size);
    }
}

/* "gave it 64 MiB, from 412 MiB to 476 MiB (in 3 steps): why" */
static void decision_moved(const struct why_entry *entry, char *to, size_t size)
{
    bool up = entry->order == GUEST_ORDER_GROW;
    size_t used = (size_t)snprintf(to, size, "%s%s %s, from %s to %s", entry->would ? "would have " : "",
                                   up ? (entry->would ? "given it" : "gave it") : (entry->would ? "taken" : "took"),
                                   units_show_kib(apart(entry->to_kib, entry->from_kib)).s,
                                   units_show_kib(entry->from_kib).s, units_show_kib(entry->to_kib).s);

    if (entry->count > 1)
        used += (size_t)snprintf(to + used, size - used, " in %" PRIu64 " steps", entry->count);
    if (entry->reason == GUEST_REASON_NEED)
        used += (size_t)snprintf(to + used, size - used, ": it needed %s and room to grow to %s",
                                 units_show_kib(entry->demand_kib).s, units_show_kib(entry->head_kib).s);
    else if (entry->reason == GUEST_REASON_PLENTY)
        used += (size_t)snprintf(to + used, size - used, ": it needed %s, and there was memory for its buffer (target %s)",
                                 units_show_kib(entry->demand_kib).s, units_show_kib(entry->target_kib).s);
    else if (entry->reason == GUEST_REASON_FOR_OTHERS && entry->other[0])
        used += (size_t)snprintf(to + used, size - used, ": '%s' waited for %s; it needed %s itself", entry->other,
                                 units_show_kib(entry->other_kib).s, units_show_kib(entry->demand_kib).s);
    else if (entry->reason == GUEST_REASON_RECLAIM)
        used += (size_t)snprintf(to + used, size - used, ": it needed %s and had more than its share of %s; slowly, as "
                                 "nobody waited", units_show_kib(entry->demand_kib).s, units_show_kib(entry->given_kib).s);
    else
        used += (size_t)snprintf(to + used, size - used, ": %s", guest_reason_text(entry->reason));
    if (up && entry->other[0])
        (void)snprintf(to + used, size - used, "; '%s' gave for it", entry->other);
}

void why_text_decision(const struct why_entry *entry, char *to, size_t size)
{
    if (entry->order == GUEST_ORDER_NONE)
        decision_none(entry, to, size);
    else if (entry->order == GUEST_ORDER_WITHDRAW)
        (void)snprintf(to, size, "took an order back: it did not move for 2 s and kept %s",
                       units_show_kib(entry->has_kib).s);
    else
        decision_moved(entry, to, size);
    if (entry->step >= SHARE_HEAD) {
        size_t used = strlen(to);

        (void)snprintf(to + used, size - used, " (step %d of 6)", entry->step);
    }
}
