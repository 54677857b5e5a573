/* SPDX-License-Identifier: Apache-2.0 */
#include "view_status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy_defaults.h"
#include "units.h"
#include "view_table.h"

#define LINE_ROOM 768
#define REASON_NAME_COLUMNS 40 /* before a guest's reasons: longer names are cut */

#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)
const char view_status_legend[] =
    "Memory Status: Low = less than " STRINGIFY(GUEST_LOW_PERCENT) " % of its buffer is free; Warning = its demand is "
                                                                   "all it has, or more.";
_Static_assert(GUEST_WARNING_PRESSURE_PERMILLE == 1000, "the legend says `all it has`");

void view_trouble_text(const struct wire_guest *g, char *to, size_t size)
{
    char start[WIRE_NAME_SIZE + 16];
    int length = snprintf(start, sizeof(start), "guest '%s'", g->name);
    const char *rest = g->trouble + length;

    if (strncmp(g->trouble, start, (size_t)length) != 0)
        rest = NULL;
    if (rest && rest[0] == ' ')
        (void)snprintf(to, size, "it%s", rest);
    else if (rest && rest[0] == ':' && rest[1] == ' ')
        (void)snprintf(to, size, "%s", rest + 2);
    else
        (void)snprintf(to, size, "%s", g->trouble);
}

static struct units_text size_or_dash(uint64_t bytes)
{
    struct units_text dash = {"-"};

    return bytes == WIRE_UNKNOWN ? dash : units_show_size(bytes);
}

static struct units_text signed_or_dash(int64_t bytes)
{
    struct units_text dash = {"-"};

    return bytes == WIRE_UNKNOWN_SIGNED ? dash : units_show_signed_kib(bytes / 1024);
}

static void paragraph(const struct term *term, struct wire_text *out, unsigned indent, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void paragraph(const struct term *term, struct wire_text *out, unsigned indent, const char *format, ...)
{
    char line[LINE_ROOM];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    term_pad(out, indent);
    term_wrap(term, out, line, indent, indent);
}

static void print_state(const struct term *term, struct wire_text *out, const struct wire_status *s)
{
    static const struct {
        const char *state;
        enum term_style style;
    } styles[] = {{"high", TERM_GOOD}, {"soft", TERM_WORRY}, {"hard", TERM_BAD}, {"low", TERM_BAD}};
    const struct wire_host *h = &s->host;
    enum term_style style = TERM_PLAIN;
    unsigned column;

    for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++)
        if (strcmp(styles[i].state, h->state) == 0)
            style = styles[i].style;
    term_style(term, out, TERM_HEAD);
    column = term_text(term, out, h->name[0] ? h->name : "host", 0);
    term_style(term, out, TERM_PLAIN);
    wire_text_adds(out, ": state ");
    term_style(term, out, style);
    column += 8 + term_text(term, out, h->state[0] ? h->state : "unknown", 0);
    if (style != TERM_PLAIN)
        term_style(term, out, TERM_PLAIN);
    if (!h->share_text[0]) {
        wire_text_adds(out, "\n");
        return;
    }
    wire_text_adds(out, "; ");
    term_wrap(term, out, h->share_text, column + 2, 2);
}

static void print_host(const struct term *term, struct wire_text *out, const struct wire_status *s)
{
    const struct wire_host *h = &s->host;
    char free_text[64];

    print_state(term, out, s);
    paragraph(term, out, 2, "memory %s, reserve %s, overhead %s, guests may hold %s (pool %s)",
              size_or_dash(h->memory_bytes).s, size_or_dash(h->reserve_bytes).s, size_or_dash(h->overhead_bytes).s,
              signed_or_dash(h->capacity_bytes).s, size_or_dash(h->pool_bytes).s);
    if (h->free_bytes != WIRE_UNKNOWN_SIGNED && h->free_bytes < 0)
        (void)snprintf(free_text, sizeof(free_text), "%s more than there is",
                       units_show_size((uint64_t)-h->free_bytes).s);
    else
        (void)snprintf(free_text, sizeof(free_text), "free %s", signed_or_dash(h->free_bytes).s);
    paragraph(term, out, 2, "assigned %s, held %s, demand %s, %s, exposure %s", size_or_dash(h->assigned_bytes).s,
              size_or_dash(h->held_bytes).s, size_or_dash(h->demand_bytes).s, free_text,
              size_or_dash(h->exposure_bytes).s);
    if (s->daemon.dry_run)
        paragraph(term, out, 2, "dry run: ballastd decides and tells, and moves nothing");
}

static void print_warnings(const struct term *term, struct wire_text *out, const struct wire_status *s)
{
    for (size_t i = 0; i < s->warning_count; i++) {
        const struct wire_warning *w = &s->warnings[i];

        term_style(term, out, TERM_WORRY);
        if (w->age_ms > 0 && w->age_ms != WIRE_UNKNOWN)
            paragraph(term, out, 2, "! %s (%s ago)", w->text, units_show_time(w->age_ms * 1000).s);
        else
            paragraph(term, out, 2, "! %s", w->text);
        term_style(term, out, TERM_PLAIN);
    }
}

/* "web1: stuck: told to go to ..." */
static void print_reason(const struct term *term, struct wire_text *out, const char *guest, const char *what,
                         const char *reason)
{
    char line[LINE_ROOM];
    unsigned column;

    wire_text_adds(out, "  ");
    column = 2 + term_text(term, out, guest, REASON_NAME_COLUMNS);
    (void)snprintf(line, sizeof(line), "%s%s%s", what, reason[0] ? ": " : "", reason);
    wire_text_adds(out, ": ");
    term_wrap(term, out, line, column + 2, 6);
}

static void print_reasons(const struct term *term, struct wire_text *out, const struct wire_guest *g)
{
    char line[LINE_ROOM];

    for (size_t i = 0; i < g->flag_count; i++)
        print_reason(term, out, g->name, g->flags[i].name, g->flags[i].reason);
    if (!g->trouble[0])
        return;
    view_trouble_text(g, line, sizeof(line));
    print_reason(term, out, g->name, "trouble", line);
}

/* Watched guests: what ballast would do with them. */
static void print_advice(const struct term *term, struct wire_text *out, const struct wire_status *s)
{
    bool any = false;

    for (size_t i = 0; i < s->guest_count; i++) {
        const struct wire_guest *g = &s->guests[i];
        uint64_t difference;

        if (strcmp(g->mode, "watch") != 0 || g->advice_bytes == WIRE_UNKNOWN || g->assigned_bytes == WIRE_UNKNOWN)
            continue;
        difference = g->advice_bytes > g->assigned_bytes ? g->advice_bytes - g->assigned_bytes
                                                         : g->assigned_bytes - g->advice_bytes;
        if (difference < POLICY_DEAD_ZONE_MIN_KIB * 1024)
            continue; /* not worth a move */
        if (!any)
            wire_text_adds(out, "\nOnly watched; ballast would\n");
        any = true;
        paragraph(term, out, 2, "set %s to %s (%s %s)", g->name, units_show_size(g->advice_bytes).s,
                  g->advice_bytes > g->assigned_bytes ? "give" : "take", units_show_size(difference).s);
    }
    if (s->host.watched == WIRE_UNKNOWN || s->host.watched == 0 || s->host.saving_bytes == WIRE_UNKNOWN_SIGNED)
        return;
    if (!any) {
        wire_text_adds(out, "\n");
        paragraph(term, out, 0, "Only watched: ballast would leave the sizes of the watched guests as they are.");
    } else if (s->host.saving_bytes >= 0) {
        paragraph(term, out, 2, "and save %s in all. To let it: mode: auto%s%s",
                  units_show_size((uint64_t)s->host.saving_bytes).s,
                      s->daemon.config[0] ? " in " : " in a configuration, "
                  "see ballast.yaml(5)", s->daemon.config);
    } else {
        paragraph(term, out, 2, "and need %s more in all: these guests are short",
                  units_show_size((uint64_t)-s->host.saving_bytes).s);
    }
}

static void print_no_guests(const struct term *term, struct wire_text *out, const struct wire_status *s)
{
    const char *dir = s->daemon.guests_dir[0] ? s->daemon.guests_dir : "/run/ballast/guests";

    wire_text_adds(out, "\n");
    paragraph(term, out, 0, "No guests yet. ballast finds a guest by a QMP monitor of its own, NAME.qmp in %s. Start "
                            "QEMU with",
              dir);
    wire_text_adds(out, "\n  -chardev socket,id=ballast,path=");
    (void)term_text(term, out, dir, 0);
    wire_text_adds(out, "/NAME.qmp,server=on,wait=off \\\n"
                        "  -mon chardev=ballast,mode=control -device virtio-balloon-pci,deflate-on-oom=on\n\n");
    paragraph(term, out, 0, "Proxmox VE: the same in one line behind `args:` of the guest's configuration. Other "
                            "directories: "
              "`discover` in ballast.yaml(5); `ballast check-config` tells whether it is right. A guest that should be "
              "here and is not: see ballastd's log (journalctl -u ballastd).");
}

static void print_footer(const struct term *term, struct wire_text *out, const struct view_table_result *table)
{
    wire_text_adds(out, "\n");
    term_style(term, out, TERM_DIM);
    if (table->is_short)
        paragraph(term, out, 0, "Sizes: K = KiB, M = MiB, G = GiB, T = TiB. %s", view_status_legend);
    else
        paragraph(term, out, 0, "%s", view_status_legend);
    if (table->left_out[0])
        paragraph(term, out, 0, "Too narrow for: %s; see `ballast show GUEST`.", table->left_out);
    term_style(term, out, TERM_PLAIN);
}

void view_status_print(const struct term *term, struct wire_text *out, const struct wire_status *s)
{
    struct view_table_result table;
    bool any = false;

    print_host(term, out, s);
    print_warnings(term, out, s);
    if (s->guest_count == 0) {
        print_no_guests(term, out, s);
        return;
    }
    wire_text_adds(out, "\n");
    view_table_print(term, out, s->guests, s->guest_count, &table);
    for (size_t i = 0; i < s->guest_count; i++) {
        if (!any && (s->guests[i].flag_count > 0 || s->guests[i].trouble[0])) {
            wire_text_adds(out, "\n");
            any = true;
        }
        print_reasons(term, out, &s->guests[i]);
    }
    print_advice(term, out, s);
    print_footer(term, out, &table);
}
