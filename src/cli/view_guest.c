/* SPDX-License-Identifier: Apache-2.0 */
#include "view_guest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "units.h"
#include "view_linux.h"
#include "view_rows.h"
#include "view_status.h"
#include "view_table.h"

#define LINE_ROOM VIEW_LINE_ROOM
#define ADDS_UP_BYTES (1ULL << 20) /* a sum off by less is right: sizes move by pages all the time */

static void print_identity(const struct term *term, struct wire_text *out, const struct wire_guest *g)
{
    char line[LINE_ROOM];

    (void)snprintf(line, sizeof(line), "identity %s (%s)%s%s", g->identity[0] ? g->identity : "unknown",
                   g->uuid[0] ? "its UUID" : "its name, as it has no UUID", g->incarnation[0] ? ", incarnation " : "",
                   g->incarnation);
    wire_text_adds(out, "  ");
    term_wrap(term, out, line, 2, 4);
}

/* Where its settings come from, and whose it is. */
static void print_configured(const struct term *term, struct wire_text *out, const struct wire_guest *g)
{
    char line[LINE_ROOM];
    size_t used;

    used = g->config_entry[0] ? (size_t)snprintf(line, sizeof(line), "configured by the entry '%s'", g->config_entry)
                              : (size_t)snprintf(line, sizeof(line), "no entry of the configuration is its own: "
                                                 "defaults");
    if (g->owner[0])
        used += (size_t)snprintf(line + used, sizeof(line) - used, "; owner '%s'", g->owner);
    if (g->set_text[0] && used < sizeof(line))
        (void)snprintf(line + used, sizeof(line) - used, "; set last: %s", g->set_text);
    wire_text_adds(out, "  ");
    term_wrap(term, out, line, 2, 4);
}

static void print_title(const struct term *term, struct wire_text *out, const struct wire_guest *g)
{
    enum term_style style;
    const char *status = view_memory_status(g->memory_status, &style);

    term_style(term, out, TERM_HEAD);
    (void)term_text(term, out, g->name, 0);
    term_style(term, out, TERM_PLAIN);
    wire_text_adds(out, ": ");
    (void)term_text(term, out, g->state[0] ? g->state : "unknown", 0);
    wire_text_adds(out, ", mode ");
    (void)term_text(term, out, g->mode[0] ? g->mode : "unknown", 0);
    wire_text_adds(out, ", Memory Status ");
    term_style(term, out, style);
    (void)term_text(term, out, status, 0);
    if (style != TERM_PLAIN)
        term_style(term, out, TERM_PLAIN);
    wire_text_adds(out, "\n  ");
    if (g->pid != WIRE_UNKNOWN)
        wire_text_format(out, "pid %" PRIu64 ", running for %s, ", g->pid, view_age(g->running_ms).s);
    wire_text_format(out, "known for %s, driver ", view_age(g->known_ms).s);
    (void)term_text(term, out, g->driver[0] ? g->driver : "unknown", 0);
    if (g->hypervisor[0]) {
        wire_text_adds(out, " (");
        (void)term_text(term, out, g->hypervisor, 0);
        wire_text_adds(out, ")");
    }
    wire_text_adds(out, "\n");
    print_identity(term, out, g);
    print_configured(term, out, g);
}

static void print_flags(const struct term *term, struct wire_text *out, const struct wire_guest *g)
{
    char line[LINE_ROOM], trouble[LINE_ROOM - 16];

    for (size_t i = 0; i < g->flag_count; i++) {
        term_style(term, out, TERM_WORRY);
        (void)snprintf(line, sizeof(line), "! %s%s%s", g->flags[i].name, g->flags[i].reason[0] ? ": " : "",
                       g->flags[i].reason);
        wire_text_adds(out, "  ");
        term_wrap(term, out, line, 2, 4);
        term_style(term, out, TERM_PLAIN);
    }
    if (!g->trouble[0])
        return;
    view_trouble_text(g, trouble, sizeof(trouble));
    (void)snprintf(line, sizeof(line), "! trouble: %s", trouble);
    wire_text_adds(out, "  ");
    term_wrap(term, out, line, 2, 4);
}

/* "512 MiB boot memory - 100 MiB balloon + 256 MiB hot-added" */
static void assigned_text(const struct wire_guest *g, char *to, size_t size)
{
    size_t used;

    if (g->boot_bytes == WIRE_UNKNOWN) {
        (void)snprintf(to, size, "what it may use now; not known yet");
        return;
    }
    used = (size_t)snprintf(to, size, "what it may use now: %s boot memory", view_size(g->boot_bytes).s);
    if (view_known(g->balloon_bytes) > 0)
        used += (size_t)snprintf(to + used, size - used, " - %s in the balloon", view_size(g->balloon_bytes).s);
    if (view_known(g->online_bytes) > 0)
        used += (size_t)snprintf(to + used, size - used, " + %s hot-added", view_size(g->online_bytes).s);
    if (view_known(g->plugged_bytes) > view_known(g->online_bytes))
        (void)snprintf(to + used, size - used, " (%s more are plugged, but not online in the guest)",
                       view_size(g->plugged_bytes - view_known(g->online_bytes)).s);
}

static void print_memory(const struct term *term, struct wire_text *out, const struct wire_guest *g)
{
    char line[LINE_ROOM];
    struct units_text hidden = {"-"};

    view_head(term, out, "Memory");
    assigned_text(g, line, sizeof(line));
    view_row(term, out, "assigned", view_size(g->assigned_bytes).s, "%s", line);
    view_row(term, out, "visible", view_size(g->visible_bytes).s, "its own MemTotal");
    if (g->hidden_bytes != WIRE_UNKNOWN_SIGNED)
        hidden = units_show_signed_kib(g->hidden_bytes / 1024);
    view_row(term, out, "hidden", hidden.s, "%s", g->hidden_reason[0] ? g->hidden_reason : "not known: it has not reported");
    if (g->resident_bytes != WIRE_UNKNOWN)
        view_row(term, out, "held", view_size(g->held_bytes).s, "the larger of assigned and what the host sees it touch: %s "
            "resident + %s swapped; this is counted", view_size(g->resident_bytes).s, view_size(g->swapped_bytes).s);
    else
        view_row(term, out, "held", view_size(g->held_bytes).s, "as assigned: the host's view of it is not there");
    if (g->counted_bytes != WIRE_UNKNOWN && g->counted_bytes != g->held_bytes)
        view_row(term, out, "counted", view_size(g->counted_bytes).s, "what it counts as before others are given memory: a "
            "grant is under way, or it was reset and may touch all it booted with");
    view_row(term, out, "lent", view_size(g->exposure_bytes).s, "to the host: its ballooned boot memory%s%s",
             view_known(g->exposure_bytes) && g->lent_reason[0] ? "; " : "",
             view_known(g->exposure_bytes) ? g->lent_reason : "");
    view_row(term, out, "exposure", view_size(g->exposure_bytes).s,
             "the same: what it can take back unasked, at a reset or when its driver is unloaded");
    view_row(term, out, "overhead", view_size(g->overhead_bytes).s, "what its process costs beside its memory");
}

/* used = assigned - available, both when it took its sample, and disk cache worth keeping (docs/design.md 3.2). The
 * terms are shown where those of now are still those of then, so that they add up. */
static void used_text(const struct wire_guest *g, char *to, size_t size)
{
    uint64_t assigned = view_known(g->assigned_bytes), available = view_known(g->available_bytes), used = view_known(g->used_bytes);
    uint64_t cache = assigned > available && used > assigned - available ? used - (assigned - available) : 0;
    bool adds_up = available <= assigned && used + ADDS_UP_BYTES >= assigned - available &&
                   cache <= view_known(g->cache_bytes) + ADDS_UP_BYTES;

    if (!adds_up)
        (void)snprintf(to, size, "what it used when it reported last; its size has changed since, or it just had to "
                                 "read memory back");
    else if (cache >= ADDS_UP_BYTES)
        (void)snprintf(to, size, "what it uses: %s assigned - %s available + %s of disk cache worth keeping",
                       view_size(assigned).s, view_size(available).s, view_size(cache).s);
    else
        (void)snprintf(to, size, "what it uses: %s assigned - %s available", view_size(assigned).s,
                       view_size(available).s);
}

static void demand_text(const struct wire_guest *g, char *to, size_t size)
{
    if (strcmp(g->demand_source, "none") == 0 || !g->demand_source[0])
        (void)snprintf(to, size, "it has not reported its memory yet");
    else if (view_known(g->stall_percent) > 0)
        (void)snprintf(to, size, "it starves, so its own numbers show only what it has: that and some more");
    else if (strcmp(g->demand_rule, "committed") == 0 && g->committed_bytes != WIRE_UNKNOWN)
        (void)snprintf(to, size, "what its programs were promised (%s) and its kernel needs",
                       view_size(g->committed_bytes).s);
    else
        used_text(g, to, size);
}

static void print_need(const struct term *term, struct wire_text *out, const struct wire_guest *g)
{
    char line[LINE_ROOM];
    bool heard = g->demand_source[0] && strcmp(g->demand_source, "none") != 0;

    view_head(term, out, "Need");
    demand_text(g, line, sizeof(line));
    view_row(term, out, "demand", view_size(g->demand_bytes).s, "%s", line);
    if (heard)
        view_row(term, out, "source", g->demand_source, "%s; the last sample is %s old",
                 strcmp(g->demand_source, "agent") == 0 ? "ballast-agent in the guest" : "virtio-balloon statistics",
                 view_age(g->sample_age_ms).s);
    view_row(term, out, "pressure", view_percent(g->pressure_percent).s, "demand : assigned; its band is %s to %s, %s",
        view_percent(g->pressure_low_percent).s, view_percent(g->pressure_high_percent).s,
        g->band ? "inside it nothing is moved" : "shown only");
    view_row(term, out, "buffer", view_percent(g->buffer_percent).s, "of its %s, to keep free",
        strcmp(g->buffer_of, "total") == 0 ? "total memory" : "demand");
    view_row(term, out, "target", view_size(g->target_bytes).s, "demand and buffer, within minimum %s and maximum %s "
        "(startup %s)", view_size(g->minimum_bytes).s, view_size(g->maximum_bytes).s, view_size(g->startup_bytes).s);
}

static void print_levels(const struct term *term, struct wire_text *out, const struct wire_guest *g)
{
    if (g->lower_bytes == WIRE_UNKNOWN)
        return;
    if (!g->balanced) {
        view_head(term, out, "Levels");
        view_row(term, out, "all", view_size(g->lower_bytes).s, "its size is held: it is %s", strcmp(g->mode, "auto") == 0
            ? "not balanced now, see above" : "not balanced (mode)");
        return;
    }
    view_head(term, out, "Levels (memory is given level by level; what is short is shared by priority)");
    view_row(term, out, "lower", view_size(g->lower_bytes).s, "nothing is ever taken below: by its own numbers it can live "
        "with %s, its minimum is %s", view_size(g->safe_bytes).s, view_size(g->minimum_bytes).s);
    view_row(term, out, "floor", view_size(g->floor_bytes).s, "%s", g->floor_bytes == g->lower_bytes
        ? "its need, not below lower" : "its need");
    if (view_known(g->rise_bytes) > 0)
        view_row(term, out, "head", view_size(g->head_bytes).s, "and room to grow: it has risen by %s within 3 s",
            view_size(g->rise_bytes).s);
    else
        view_row(term, out, "head", view_size(g->head_bytes).s, "and room to grow: it was not seen to rise");
    if (g->mark_bytes != WIRE_UNKNOWN)
        view_row(term, out, "top", view_size(g->top_bytes).s,
            "and its buffer, at least %s for another %s: taking that did "
            "harm",
            view_size(g->mark_bytes).s, view_age(g->mark_left_ms).s);
    else
        view_row(term, out, "top", view_size(g->top_bytes).s, "and its buffer");
    view_row(term, out, "keep", view_size(g->keep_bytes).s, strcmp(g->reclaim, "lazy") == 0
        ? "what it has, until another guest asks (reclaim: lazy)"
        : "as top: what it has beyond is taken slowly (reclaim: eager)");
    view_row(term, out, "bound", view_size(g->bound_bytes).s,
        "no claim beyond is believed: the host saw it touch %s at "
        "most",
        view_size(g->proof_bytes).s);
    if (g->limit_bytes != WIRE_UNKNOWN)
        view_row(term, out, "limit", view_size(g->limit_bytes).s,
            "it takes whatever is there: room to grow and buffer end "
            "here");
}

static void print_share(const struct term *term, struct wire_text *out, const struct wire_guest *g,
                        const struct wire_host *h)
{
    view_head(term, out, "Share");
    view_row(term, out, "given", view_size(g->given_bytes).s, "what sharing gives it now%s%s", h->share_text[0] ? "; " : "",
        h->share_text);
    view_row(term, out, "penalty", view_size(g->penalty_bytes).s, "%s", view_known(g->penalty_bytes) > 0
        ? "what is withheld of its target, as memory is short" : "nothing is withheld of its target");
    if (view_known(g->shortfall_bytes) > 0)
        view_row(term, out, "shortfall", view_size(g->shortfall_bytes).s, "what it needs and does not get: it suffers");
    if (g->priority != WIRE_UNKNOWN) {
        char priority[24];

        (void)snprintf(priority, sizeof(priority), "%" PRIu64, g->priority);
        view_row(term, out, "priority", priority, "1 to 10000; the higher fills first");
    }
}

static void print_decision(const struct term *term, struct wire_text *out, const struct wire_guest *g)
{
    view_head(term, out, "Last decision");
    if (strcmp(g->order, "none") == 0 || !g->order[0])
        view_row(term, out, "none", "", "%s", g->order_reason);
    else
        view_row(term, out, g->order, view_size(g->order_bytes).s, "%s", g->order_reason);
    if (g->in_flight_bytes != WIRE_UNKNOWN)
        view_row(term, out, "under way", view_size(g->in_flight_bytes).s, "it was told to go there and is moving");
    if (g->orders != WIRE_UNKNOWN) {
        char orders[24];

        (void)snprintf(orders, sizeof(orders), "%" PRIu64, g->orders);
        view_row(term, out, "orders", orders, "in all; %" PRIu64 " changes of direction, %s moved", view_known(g->turns),
            view_size(g->moved_bytes).s);
    }
    if (strcmp(g->mode, "watch") == 0 && g->advice_bytes != WIRE_UNKNOWN)
        view_row(term, out, "advice", view_size(g->advice_bytes).s, "the size ballast would give it; it only watches (mode: "
            "watch)");
}

void view_guest_print(const struct term *term, struct wire_text *out, const struct wire_guest *g,
                      const struct wire_host *h)
{
    print_title(term, out, g);
    print_flags(term, out, g);
    print_memory(term, out, g);
    view_linux_print(term, out, g);
    print_need(term, out, g);
    print_levels(term, out, g);
    print_share(term, out, g, h);
    print_decision(term, out, g);
    view_sources_print(term, out, g);
    wire_text_adds(out, "\n");
    term_style(term, out, TERM_DIM);
    term_wrap(term, out, view_status_legend, 0, 0);
    term_style(term, out, TERM_PLAIN);
}
