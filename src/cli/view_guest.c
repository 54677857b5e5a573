/* SPDX-License-Identifier: Apache-2.0 */
#include "view_guest.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "units.h"
#include "view_status.h"
#include "view_table.h"

#define LABEL_COLUMNS 12
#define VALUE_COLUMNS 10
#define TEXT_COLUMN (2 + LABEL_COLUMNS + VALUE_COLUMNS + 2)
#define LINE_ROOM 768
#define ADDS_UP_BYTES (1ULL << 20) /* a sum off by less is right: sizes move by pages all the time */

static struct units_text size_text(uint64_t bytes)
{
    struct units_text dash = {"-"};

    return bytes == WIRE_UNKNOWN ? dash : units_show_size(bytes);
}

static struct units_text percent_text(uint64_t hundredths)
{
    struct units_text text = {"-"};

    if (hundredths != WIRE_UNKNOWN)
        (void)snprintf(text.s, sizeof(text.s), "%" PRIu64 " %%", (hundredths + 50) / 100);
    return text;
}

static struct units_text age_text(uint64_t ms)
{
    struct units_text dash = {"an unknown time"};

    return ms == WIRE_UNKNOWN || ms > UINT64_MAX / 1000 ? dash : units_show_time(ms * 1000);
}

static uint64_t known(uint64_t value)
{
    return value == WIRE_UNKNOWN ? 0 : value;
}

static void head(const struct term *term, struct wire_text *out, const char *text)
{
    wire_text_adds(out, "\n");
    term_style(term, out, TERM_HEAD);
    wire_text_adds(out, text);
    term_style(term, out, TERM_PLAIN);
    wire_text_adds(out, "\n");
}

/* "  label          412 MiB  what it means" */
static void row(const struct term *term, struct wire_text *out, const char *label, const char *value,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

static void row(const struct term *term, struct wire_text *out, const char *label, const char *value,
                const char *format, ...)
{
    unsigned wide = term_columns(term, value), labelled;
    char line[LINE_ROOM];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    wire_text_adds(out, "  ");
    labelled = term_text(term, out, label, LABEL_COLUMNS);
    wide += labelled;
    term_pad(out, wide < LABEL_COLUMNS + VALUE_COLUMNS ? LABEL_COLUMNS + VALUE_COLUMNS - wide : 1);
    (void)term_text(term, out, value, 0);
    if (line[0])
        wire_text_adds(out, "  ");
    term_wrap(term, out, line, TEXT_COLUMN, TEXT_COLUMN);
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
        wire_text_format(out, "pid %" PRIu64 ", running for %s, ", g->pid, age_text(g->running_ms).s);
    wire_text_format(out, "known for %s, driver ", age_text(g->known_ms).s);
    (void)term_text(term, out, g->driver[0] ? g->driver : "unknown", 0);
    wire_text_adds(out, "\n  identity ");
    (void)term_text(term, out, g->identity[0] ? g->identity : "unknown", 0);
    wire_text_adds(out, "\n");
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
    used = (size_t)snprintf(to, size, "what it may use now: %s boot memory", size_text(g->boot_bytes).s);
    if (known(g->balloon_bytes) > 0)
        used += (size_t)snprintf(to + used, size - used, " - %s in the balloon", size_text(g->balloon_bytes).s);
    if (known(g->online_bytes) > 0)
        used += (size_t)snprintf(to + used, size - used, " + %s hot-added", size_text(g->online_bytes).s);
    if (known(g->plugged_bytes) > known(g->online_bytes))
        (void)snprintf(to + used, size - used, " (%s more are plugged, but not online in the guest)",
                       size_text(g->plugged_bytes - known(g->online_bytes)).s);
}

static void print_memory(const struct term *term, struct wire_text *out, const struct wire_guest *g)
{
    char line[LINE_ROOM];
    struct units_text hidden = {"-"};

    head(term, out, "Memory");
    assigned_text(g, line, sizeof(line));
    row(term, out, "assigned", size_text(g->assigned_bytes).s, "%s", line);
    row(term, out, "visible", size_text(g->visible_bytes).s, "its own MemTotal");
    if (g->hidden_bytes != WIRE_UNKNOWN_SIGNED)
        hidden = units_show_signed_kib(g->hidden_bytes / 1024);
    row(term, out, "hidden", hidden.s, "%s", g->hidden_reason[0] ? g->hidden_reason : "not known: it has not reported");
    if (g->resident_bytes != WIRE_UNKNOWN)
        row(term, out, "held", size_text(g->held_bytes).s, "the larger of assigned and what the host sees it touch: %s "
            "resident + %s swapped; this is counted", size_text(g->resident_bytes).s, size_text(g->swapped_bytes).s);
    else
        row(term, out, "held", size_text(g->held_bytes).s, "as assigned: the host's view of it is not there");
    if (g->counted_bytes != WIRE_UNKNOWN && g->counted_bytes != g->held_bytes)
        row(term, out, "counted", size_text(g->counted_bytes).s, "what it counts as before others are given memory: a "
            "grant is under way, or it was reset and may touch all it booted with");
    row(term, out, "exposure", size_text(g->exposure_bytes).s,
        "what it can take back unasked: its ballooned boot "
        "memory, at a reset or when its driver is unloaded");
    row(term, out, "overhead", size_text(g->overhead_bytes).s, "what its process costs beside its memory");
}

/* used = assigned - available, both when it took its sample, and disk cache worth keeping (docs/design.md 3.2). The
 * terms are shown where those of now are still those of then, so that they add up. */
static void used_text(const struct wire_guest *g, char *to, size_t size)
{
    uint64_t assigned = known(g->assigned_bytes), available = known(g->available_bytes), used = known(g->used_bytes);
    uint64_t cache = assigned > available && used > assigned - available ? used - (assigned - available) : 0;
    bool adds_up = available <= assigned && used + ADDS_UP_BYTES >= assigned - available &&
                   cache <= known(g->cache_bytes) + ADDS_UP_BYTES;

    if (!adds_up)
        (void)snprintf(to, size, "what it used when it reported last; its size has changed since, or it just had to "
                                 "read memory back");
    else if (cache >= ADDS_UP_BYTES)
        (void)snprintf(to, size, "what it uses: %s assigned - %s available + %s of disk cache worth keeping",
                       size_text(assigned).s, size_text(available).s, size_text(cache).s);
    else
        (void)snprintf(to, size, "what it uses: %s assigned - %s available", size_text(assigned).s,
                       size_text(available).s);
}

static void demand_text(const struct wire_guest *g, char *to, size_t size)
{
    if (strcmp(g->demand_source, "none") == 0 || !g->demand_source[0])
        (void)snprintf(to, size, "it has not reported its memory yet");
    else if (known(g->stall_percent) > 0)
        (void)snprintf(to, size, "it starves, so its own numbers show only what it has: that and some more");
    else if (strcmp(g->demand_rule, "committed") == 0 && g->committed_bytes != WIRE_UNKNOWN)
        (void)snprintf(to, size, "what its programs were promised (%s) and its kernel needs",
                       size_text(g->committed_bytes).s);
    else
        used_text(g, to, size);
}

static void print_need(const struct term *term, struct wire_text *out, const struct wire_guest *g)
{
    char line[LINE_ROOM];
    bool heard = g->demand_source[0] && strcmp(g->demand_source, "none") != 0;

    head(term, out, "Need");
    demand_text(g, line, sizeof(line));
    row(term, out, "demand", size_text(g->demand_bytes).s, "%s", line);
    if (heard)
        row(term, out, "source", g->demand_source, "%s; the last sample is %s old",
            strcmp(g->demand_source, "agent") == 0 ? "ballast-agent in the guest" : "virtio-balloon statistics",
            age_text(g->sample_age_ms).s);
    row(term, out, "pressure", percent_text(g->pressure_percent).s, "demand : assigned; its band is %s to %s, %s",
        percent_text(g->pressure_low_percent).s, percent_text(g->pressure_high_percent).s,
        g->band ? "inside it nothing is moved" : "shown only");
    if (known(g->swap_total_bytes) > 0)
        row(term, out, "swap", size_text(g->swap_used_bytes).s, "of %s in the guest",
            size_text(g->swap_total_bytes).s);
    row(term, out, "buffer", percent_text(g->buffer_percent).s, "of its %s, to keep free",
        strcmp(g->buffer_of, "total") == 0 ? "total memory" : "demand");
    row(term, out, "target", size_text(g->target_bytes).s, "demand and buffer, within minimum %s and maximum %s "
        "(startup %s)", size_text(g->minimum_bytes).s, size_text(g->maximum_bytes).s, size_text(g->startup_bytes).s);
}

static void print_levels(const struct term *term, struct wire_text *out, const struct wire_guest *g)
{
    if (g->lower_bytes == WIRE_UNKNOWN)
        return;
    if (!g->balanced) {
        head(term, out, "Levels");
        row(term, out, "all", size_text(g->lower_bytes).s, "its size is held: it is %s", strcmp(g->mode, "auto") == 0
            ? "not balanced now, see above" : "not balanced (mode)");
        return;
    }
    head(term, out, "Levels (memory is given level by level; what is short is shared by priority)");
    row(term, out, "lower", size_text(g->lower_bytes).s, "nothing is ever taken below: by its own numbers it can live "
        "with %s, its minimum is %s", size_text(g->safe_bytes).s, size_text(g->minimum_bytes).s);
    row(term, out, "floor", size_text(g->floor_bytes).s, "%s", g->floor_bytes == g->lower_bytes
        ? "its need, not below lower" : "its need");
    if (known(g->rise_bytes) > 0)
        row(term, out, "head", size_text(g->head_bytes).s, "and room to grow: it has risen by %s within 3 s",
            size_text(g->rise_bytes).s);
    else
        row(term, out, "head", size_text(g->head_bytes).s, "and room to grow: it was not seen to rise");
    if (g->mark_bytes != WIRE_UNKNOWN)
        row(term, out, "top", size_text(g->top_bytes).s,
            "and its buffer, at least %s for another %s: taking that did "
            "harm",
            size_text(g->mark_bytes).s, age_text(g->mark_left_ms).s);
    else
        row(term, out, "top", size_text(g->top_bytes).s, "and its buffer");
    row(term, out, "keep", size_text(g->keep_bytes).s, strcmp(g->reclaim, "lazy") == 0
        ? "what it has, until another guest asks (reclaim: lazy)"
        : "as top: what it has beyond is taken slowly (reclaim: eager)");
    row(term, out, "bound", size_text(g->bound_bytes).s,
        "no claim beyond is believed: the host saw it touch %s at "
        "most",
        size_text(g->proof_bytes).s);
    if (g->limit_bytes != WIRE_UNKNOWN)
        row(term, out, "limit", size_text(g->limit_bytes).s,
            "it takes whatever is there: room to grow and buffer end "
            "here");
}

static void print_share(const struct term *term, struct wire_text *out, const struct wire_guest *g,
                        const struct wire_host *h)
{
    head(term, out, "Share");
    row(term, out, "given", size_text(g->given_bytes).s, "what sharing gives it now%s%s", h->share_text[0] ? "; " : "",
        h->share_text);
    row(term, out, "penalty", size_text(g->penalty_bytes).s, "%s", known(g->penalty_bytes) > 0
        ? "what is withheld of its target, as memory is short" : "nothing is withheld of its target");
    if (known(g->shortfall_bytes) > 0)
        row(term, out, "shortfall", size_text(g->shortfall_bytes).s, "what it needs and does not get: it suffers");
    if (g->priority != WIRE_UNKNOWN) {
        char priority[24];

        (void)snprintf(priority, sizeof(priority), "%" PRIu64, g->priority);
        row(term, out, "priority", priority, "1 to 10000; the higher fills first");
    }
}

static void print_decision(const struct term *term, struct wire_text *out, const struct wire_guest *g)
{
    head(term, out, "Last decision");
    if (strcmp(g->order, "none") == 0 || !g->order[0])
        row(term, out, "none", "", "%s", g->order_reason);
    else
        row(term, out, g->order, size_text(g->order_bytes).s, "%s", g->order_reason);
    if (g->in_flight_bytes != WIRE_UNKNOWN)
        row(term, out, "under way", size_text(g->in_flight_bytes).s, "it was told to go there and is moving");
    if (g->orders != WIRE_UNKNOWN) {
        char orders[24];

        (void)snprintf(orders, sizeof(orders), "%" PRIu64, g->orders);
        row(term, out, "orders", orders, "in all; %" PRIu64 " changes of direction, %s moved", known(g->turns),
            size_text(g->moved_bytes).s);
    }
    if (strcmp(g->mode, "watch") == 0 && g->advice_bytes != WIRE_UNKNOWN)
        row(term, out, "advice", size_text(g->advice_bytes).s, "the size ballast would give it; it only watches (mode: "
            "watch)");
}

void view_guest_print(const struct term *term, struct wire_text *out, const struct wire_guest *g,
                      const struct wire_host *h)
{
    print_title(term, out, g);
    print_flags(term, out, g);
    print_memory(term, out, g);
    print_need(term, out, g);
    print_levels(term, out, g);
    print_share(term, out, g, h);
    print_decision(term, out, g);
    wire_text_adds(out, "\n");
    term_style(term, out, TERM_DIM);
    term_wrap(term, out, view_status_legend, 0, 0);
    term_style(term, out, TERM_PLAIN);
}
