/* SPDX-License-Identifier: Apache-2.0 */
#include "view_replay.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy_defaults.h"
#include "units.h"

#define LINE_ROOM 768

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

static bool other_policy(const struct replay_report *r)
{
    return r->start.policy_version != POLICY_VERSION;
}

static bool other_config(const struct replay_report *r, const char *here_hash)
{
    return here_hash[0] && strcmp(r->config_hash, here_hash) != 0;
}

bool view_replay_has_warnings(const struct replay_report *report, const char *here_hash)
{
    return other_policy(report) || other_config(report, here_hash) || !report->ended;
}

static void print_warnings(const struct term *term, struct wire_text *out, const struct replay_report *r,
                           const char *here_hash)
{
    if (other_policy(r))
        paragraph(term, out, 0, "It was recorded by ballast %s under version %" PRIu64 " of the rules, this program decides by "
                  "version %d: differences are to be expected.", r->start.version, r->start.policy_version, POLICY_VERSION);
    if (other_config(r, here_hash))
        paragraph(term, out, 0, "It was recorded under configuration %s; the one ballastd would read here now is %s. What is "
                  "replayed is the recorded one.", r->config_hash, here_hash);
    if (!r->ended)
        paragraph(term, out, 0, "The record has no end: it was cut, or ballastd ended first. What is there was replayed.");
    else if (strncmp(r->end, "lost", 4) == 0)
        paragraph(term, out, 0, "The recording broke off (%s). What is there was replayed.", r->end);
}

static void order_text(const struct record_order *o, char *to, size_t size)
{
    static const char *const orders[GUEST_ORDER_COUNT] = {"nothing", "grow to ", "shrink to ", "withdraw to "};

    if (o->order == GUEST_ORDER_NONE)
        (void)snprintf(to, size, "%s", orders[0]);
    else
        (void)snprintf(to, size, "%s%s (%" PRIu64 " KiB): %s", orders[o->order], units_show_kib(o->order_kib).s, o->order_kib,
                       guest_reason_text(o->reason));
}

/* Lines as they were recorded: not wrapped, but made safe for the terminal. */
static void print_inputs(const struct term *term, struct wire_text *out, const struct wire_text *inputs)
{
    char line[4096];

    for (const char *at = inputs->data, *end; at && (end = strchr(at, '\n')); at = end + 1) {
        size_t length = (size_t)(end - at) < sizeof(line) - 1 ? (size_t)(end - at) : sizeof(line) - 1;

        memcpy(line, at, length);
        line[length] = '\0';
        wire_text_adds(out, "  ");
        (void)term_text(term, out, line, 0);
        wire_text_adds(out, (size_t)(end - at) > length ? " ...\n" : "\n");
    }
}

static void print_difference(const struct term *term, struct wire_text *out, const struct replay_difference *d)
{
    char recorded[256], replayed[256];
    const struct guest_verdict *v = &d->verdict;

    paragraph(term, out, 0, "The first is decision %" PRIu64 " (%s), %s after the record began, line %" PRIu64 "%s%s%s.",
              d->number, d->why == DECIDE_TICK ? "a tick" : "an event", units_show_time(d->at_usec).s, d->line,
              d->guest[0] ? ", for guest '" : ": only numbers of the host differ", d->guest, d->guest[0] ? "'" : "");
    if (d->guest[0]) {
        order_text(&d->recorded, recorded, sizeof(recorded));
        order_text(&d->replayed, replayed, sizeof(replayed));
        paragraph(term, out, 2, "recorded: %s", recorded);
        paragraph(term, out, 2, "replayed: %s%s", replayed,
                  d->numbers_only ? "; the order is the same, numbers behind it are not" : "");
        paragraph(term, out, 2, "with demand %s, target %s, given %s; lower %s, floor %s, head %s, top %s; the host's capacity is %s",
                  units_show_kib(v->demand_kib).s, units_show_kib(v->target_kib).s, units_show_kib(v->given_kib).s,
                  units_show_kib(v->levels.lower_kib).s, units_show_kib(v->levels.floor_kib).s,
                  units_show_kib(v->levels.head_kib).s, units_show_kib(v->levels.top_kib).s,
                  units_show_signed_kib(d->capacity_kib).s);
    }
    wire_text_adds(out, "What it went by, since the decision before:\n");
    print_inputs(term, out, &d->inputs);
}

void view_replay_print(const struct term *term, struct wire_text *out, const struct replay_report *r,
                       const char *here_hash)
{
    if (r->differ == 0)
        paragraph(term, out, 0, "%" PRIu64 " decisions, all the same: with %" PRIu64 " orders about %" PRIu64 " guests, from %"
                  PRIu64 " inputs, recorded on '%s'.", r->decisions, r->orders, r->guests, r->inputs, r->start.host_name);
    else
        paragraph(term, out, 0, "%" PRIu64 " of %" PRIu64 " decisions came out otherwise than they were recorded on '%s'.",
                  r->differ, r->decisions, r->start.host_name);
    print_warnings(term, out, r, here_hash);
    if (r->differ > 0)
        print_difference(term, out, &r->first);
}

static void order_json(struct wire_text *out, const char *name, const struct record_order *o)
{
    wire_text_format(out, ",\"%s\":{\"order\":%d,\"order_kib\":%" PRIu64 ",\"reason\":%d}", name, (int)o->order, o->order_kib,
                     (int)o->reason);
}

void view_replay_json(struct wire_text *out, const struct replay_report *r, const char *here_hash)
{
    const struct replay_difference *d = &r->first;

    wire_text_format(out, "{\"decisions\":%" PRIu64 ",\"differ\":%" PRIu64 ",\"orders\":%" PRIu64 ",\"inputs\":%" PRIu64
                     ",\"guests\":%" PRIu64 ",\"policy_version\":%" PRIu64 ",\"policy_version_here\":%d,\"config_hash\":",
                     r->decisions, r->differ, r->orders, r->inputs, r->guests, r->start.policy_version, POLICY_VERSION);
    wire_text_string(out, r->config_hash);
    wire_text_adds(out, ",\"config_hash_here\":");
    if (here_hash[0])
        wire_text_string(out, here_hash);
    else
        wire_text_adds(out, "null");
    wire_text_adds(out, ",\"host_name\":");
    wire_text_string(out, r->start.host_name);
    wire_text_adds(out, ",\"end\":");
    if (r->ended)
        wire_text_string(out, r->end);
    else
        wire_text_adds(out, "null");
    wire_text_adds(out, ",\"first\":");
    if (r->differ == 0) {
        wire_text_adds(out, "null}\n");
        return;
    }
    wire_text_format(out, "{\"number\":%" PRIu64 ",\"line\":%" PRIu64 ",\"at_usec\":%" PRIu64 ",\"guest\":", d->number, d->line,
                     d->at_usec);
    wire_text_string(out, d->guest);
    order_json(out, "recorded", &d->recorded);
    order_json(out, "replayed", &d->replayed);
    wire_text_adds(out, ",\"inputs\":");
    wire_text_string(out, d->inputs.data ? d->inputs.data : "");
    wire_text_adds(out, "}}\n");
}
