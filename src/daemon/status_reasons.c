/* SPDX-License-Identifier: Apache-2.0 */
#include "status_reasons.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "policy_defaults.h"
#include "units.h"

static void flag(struct wire_guest *ret, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void flag(struct wire_guest *ret, const char *name, const char *format, ...)
{
    char reason[WIRE_REASON_SIZE];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(reason, sizeof(reason), format, ap);
    va_end(ap);
    wire_guest_flag(ret, name, reason);
}

static void flag_stuck(const struct guest *core, uint64_t now_usec, struct wire_guest *ret)
{
    const struct motion *m = &core->motion;

    if (!m->active && m->retry_usec > now_usec)
        flag(ret, "stuck", "told to go to %s, it stays at %s; it is worked around and tried again in %s",
             units_show_kib(m->target_kib).s, units_show_size(ret->assigned_bytes).s,
             units_show_time(m->retry_usec - now_usec).s);
    else
        flag(ret, "stuck", "told to go to %s, it stays at %s; it is tried again now",
             units_show_kib(m->target_kib).s, units_show_size(ret->assigned_bytes).s);
}

static void flag_silent(const struct engine_guest *g, struct wire_guest *ret)
{
    if (ret->sample_age_ms != WIRE_UNKNOWN)
        flag(ret, "silent", "it has not reported its memory for %s: nothing is taken from it, unless the host runs "
             "short", units_show_time(ret->sample_age_ms * 1000).s);
    else if (g->vm->caps & (HV_CAP_STATISTICS | HV_CAP_AGENT))
        flag(ret, "silent", "it never reported its memory: is its virtio_balloon driver loaded? Nothing is taken from "
             "it, unless the host runs short");
    else
        flag(ret, "silent", "it can't report its memory: give it a virtio-balloon device or the agent's port");
}

static void flag_booting(const struct guest *core, struct wire_guest *ret)
{
    if (core->reset_usec)
        flag(ret, "booting", "it was reset, or lost all its balloon at once, and its driver has not reported since: it "
                             "counts as %s, all that it may touch", units_show_size(ret->counted_bytes).s);
    else
        flag(ret, "booting", "it has not reported its memory yet");
}

static void flags_of_size(const struct engine_guest *g, uint64_t now_usec, struct wire_guest *ret)
{
    uint32_t flags = g->core.verdict.flags;

    if (flags & GUEST_FLAG_STUCK)
        flag_stuck(&g->core, now_usec, ret);
    if (flags & GUEST_FLAG_BREACH)
        flag(ret, "breach", "it says it has %s, but the host sees it hold %s: it is counted as what it holds and gets "
             "nothing (seen %" PRIu64 " times)", units_show_size(ret->assigned_bytes).s,
             units_show_size(ret->held_bytes).s, ret->breaches);
    if (flags & GUEST_FLAG_SILENT)
        flag_silent(g, ret);
    if (flags & GUEST_FLAG_BOOTING)
        flag_booting(&g->core, ret);
    if (flags & GUEST_FLAG_STALLED)
        flag(ret, "stalled", "it starves: %s available for %s",
             ret->available_bytes == WIRE_UNKNOWN ? "next to nothing is" : units_show_size(ret->available_bytes).s,
             units_show_time(now_usec - g->core.stalled_since_usec).s);
    if (flags & GUEST_FLAG_MARKED)
        flag(ret, "marked", "taking memory from it did harm: it keeps %s for another %s while the host can spare it",
             units_show_size(ret->mark_bytes).s, units_show_time(ret->mark_left_ms * 1000).s);
    if (flags & GUEST_FLAG_NOT_ONLINED)
        flag(ret, "not-onlined", "it left hot-added memory offline, so it gets none for now: boot it with "
             "memhp_default_state=online memory_hotplug.online_policy=auto-movable, or run ballast-agent in it");
}

void status_reasons_fill(const struct engine_guest *g, uint64_t now_usec, struct wire_guest *ret)
{
    uint32_t flags = g->core.verdict.flags;

    if (g->paused)
        flag(ret, "paused", "it is paused or shut down: it keeps its size and can't report");
    if (g->frozen)
        flag(ret, "frozen", "it is being backed up and stands still for a moment: it keeps its size until it is thawed");
    flags_of_size(g, now_usec, ret);
    if (flags & GUEST_FLAG_FOREIGN_HAND)
        flag(ret, "foreign-hand", "another program moves its memory, so ballast only watches it: find that program "
             "(libvirt, Proxmox VE, MOM, a script), stop it, then ballast set %s mode=auto", g->vm->name);
    if (flags & GUEST_FLAG_NO_BALLOON && !g->vm->facts.fixed[0])
        flag(ret, "no-balloon", "QEMU has neither a balloon nor a virtio-mem device for it: start it with "
             "-device virtio-balloon-pci,deflate-on-oom=on");
    if (flags & GUEST_FLAG_FIXED && !(flags & GUEST_FLAG_NO_BALLOON))
        flag(ret, "fixed", g->paused   ? "its size is held while it is paused"
                           : g->frozen ? "its size is held while it is frozen"
                                        : "its size is held by `mode: fixed`");
    else if (flags & GUEST_FLAG_FIXED)
        flag(ret, "fixed", "%s", g->vm->facts.fixed[0] ? g->vm->facts.fixed : "nothing can change its size");
    if (flags & GUEST_FLAG_SELF_MANAGING)
        flag(ret, "self-managing", "it takes whatever is there: beyond %s it gets only what it needs",
             ret->limit_bytes == WIRE_UNKNOWN ? "its startup memory" : units_show_size(ret->limit_bytes).s);
}

void status_share_text(struct wire_host *ret)
{
    static const char *const text[] = {
        [SHARE_KEEP] = "plenty: everyone has its target, lazy guests keep more, the rest is free",
        [SHARE_TOP] = "enough: everyone has its target; lazy guests give what others ask for",
        [SHARE_HEAD] = "buffers are cut: everyone has what it needs and room to grow",
        [SHARE_FLOOR] = "tight: everyone has what it needs, room to grow is shared by priority",
        [SHARE_LOWER] = "short: not everyone has what it needs; priority decides",
        [SHARE_OVER] = "over-promised: not even the least that keeps every guest alive fits",
    };

    if (ret->share_step >= SHARE_KEEP && ret->share_step <= SHARE_OVER)
        wire_text_copy(ret->share_text, sizeof(ret->share_text), text[ret->share_step]);
}

static void warn(struct wire_warning *ret, size_t cap, size_t *n, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void warn(struct wire_warning *ret, size_t cap, size_t *n, const char *format, ...)
{
    va_list ap;

    if (*n >= cap)
        return;
    va_start(ap, format);
    (void)vsnprintf(ret[*n].text, sizeof(ret[*n].text), format, ap);
    va_end(ap);
    ret[(*n)++].age_ms = 0;
}

static struct units_text lack(int64_t bytes)
{
    return units_show_size(bytes < 0 ? (uint64_t)-bytes : 0);
}

size_t status_host_warnings(const struct wire_host *h, struct wire_warning *ret, size_t cap)
{
    size_t n = 0;

    if (h->moves_text[0])
        warn(ret, cap, &n, "%s", h->moves_text);
    if (h->total_bytes == WIRE_UNKNOWN)
        warn(ret, cap, &n, "the host's memory can't be read: nothing is granted and nothing taken");
    if (h->share_step == SHARE_OVER)
        warn(ret, cap, &n, "over-promised by %s: %smove or stop a guest, or add memory",
             units_show_size(h->over_bytes).s,
             h->saving_bytes != WIRE_UNKNOWN_SIGNED && h->saving_bytes > 0
                 ? "balance the guests that are only watched (mode: auto), " : "");
    if (h->capacity_bytes != WIRE_UNKNOWN_SIGNED && h->capacity_bytes < 0)
        warn(ret, cap, &n, "%s of the reserve are eaten into by something else than guests: look at what the host runs",
             lack(h->capacity_bytes).s);
    else if (h->capacity_bytes != WIRE_UNKNOWN_SIGNED && h->minimum_bytes != WIRE_UNKNOWN &&
             h->minimum_bytes > (uint64_t)h->capacity_bytes)
        warn(ret, cap, &n, "the minimums (%s) do not fit what guests may hold (%s): lower them or move a guest",
             units_show_size(h->minimum_bytes).s, units_show_size((uint64_t)h->capacity_bytes).s);
    if (h->squeezed)
        warn(ret, cap, &n, "a guest of priority %" PRIu64 " starves while memory is short: guests of lower priority "
             "give under the rules of state hard", h->waits_priority);
    if (h->shortfall_bytes != WIRE_UNKNOWN && h->shortfall_bytes > 0)
        warn(ret, cap, &n, "guests lack %s of what they need now", units_show_size(h->shortfall_bytes).s);
    return n;
}
