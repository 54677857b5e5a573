/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture_status.h"

#include <stdlib.h>
#include <string.h>

#define KIB 1024ULL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static void text(char *to, size_t size, const char *from)
{
    wire_text_copy(to, size, from);
}
#define TEXT(member, value) text(member, sizeof(member), value)

/* All that an agent tells. */
static void fill_agent(struct wire_guest *g)
{
    TEXT(g->demand_source, "agent");
    g->unused_bytes = 6 * MIB;
    g->anon_bytes = 540 * MIB;
    g->shmem_bytes = 4 * MIB;
    g->dirty_bytes = 3 * MIB;
    g->committed_bytes = 980 * MIB;
    g->commit_limit_bytes = 1 * GIB;
    g->kernel_free_bytes = 5 * MIB;
    g->swap_total_bytes = 256 * MIB;
    g->swap_used_bytes = 20 * MIB;
    g->swapped_in_bytes = 70 * MIB;
    g->swapped_out_bytes = 90 * MIB;
    g->refaulted_bytes = 12 * MIB;
    g->oom_kills = 0;
    g->psi_some_usec = 12500000;
    g->psi_full_usec = 3100000;
    g->rate_ms = 5000;
    g->swap_in_rate_bytes = 2 * MIB;
    g->swap_out_rate_bytes = 0;
    g->refault_rate_bytes = 300 * KIB;
    g->psi_some_percent = 1234;
    g->psi_full_percent = 500;
}

static void fill_host(struct wire_host *h)
{
    wire_host_clear(h);
    TEXT(h->name, "node1");
    TEXT(h->state, "soft");
    h->total_bytes = 8 * GIB;
    h->available_bytes = 3 * GIB;
    h->memory_bytes = 2 * GIB;
    h->reserve_bytes = 512 * MIB;
    h->reservations_bytes = 0;
    h->capacity_bytes = (int64_t)(1400 * MIB);
    h->pool_bytes = 32 * MIB;
    h->assigned_bytes = 1336 * MIB;
    h->held_bytes = 1400 * MIB;
    h->overhead_bytes = 136 * MIB;
    h->exposure_bytes = 712 * MIB;
    h->demand_bytes = 1111 * MIB;
    h->minimum_bytes = 640 * MIB;
    h->maximum_bytes = 6 * GIB;
    h->free_bytes = (int64_t)(384 * MIB);
    h->grantable_bytes = -(int64_t)(12 * MIB);
    h->overcommit_percent = 10000;
    h->share_step = 3;
    TEXT(h->share_text, "buffers are cut: everyone has what it needs and room to grow");
    h->over_bytes = 0;
    h->decisions = 4711;
    h->guest_count = 5;
    h->watched = 1;
    h->saving_bytes = (int64_t)(100 * MIB);
}

static struct wire_guest *guest_new(struct wire_status *s, const char *name, const char *mode, uint64_t assigned,
                                    uint64_t demand)
{
    struct wire_guest *g = &s->guests[s->guest_count++];

    wire_guest_clear(g);
    TEXT(g->name, name);
    TEXT(g->identity, name);
    TEXT(g->driver, "qmp");
    TEXT(g->state, "running");
    TEXT(g->mode, mode);
    TEXT(g->memory_status, "ok");
    TEXT(g->demand_source, "statistics");
    TEXT(g->demand_rule, "used");
    TEXT(g->buffer_of, "demand");
    TEXT(g->reclaim, "eager");
    TEXT(g->order, "none");
    TEXT(g->order_reason, "it has what it should have");
    g->pid = 4000 + s->guest_count;
    g->running_ms = 7500000;
    g->known_ms = 3600000;
    g->startup_bytes = g->boot_bytes = 512 * MIB;
    g->minimum_bytes = 128 * MIB;
    g->maximum_bytes = GIB;
    g->assigned_bytes = g->counted_bytes = g->held_bytes = assigned;
    g->balloon_bytes = assigned < 512 * MIB ? 512 * MIB - assigned : 0;
    g->plugged_bytes = g->online_bytes = assigned > 512 * MIB ? assigned - 512 * MIB : 0;
    g->pluggable_bytes = 512 * MIB;
    g->exposure_bytes = g->balloon_bytes;
    g->visible_bytes = assigned - 32 * MIB;
    g->hidden_bytes = (int64_t)(32 * MIB);
    TEXT(g->hidden_reason, "firmware and the kernel's own code");
    TEXT(g->lent_reason, "this guest needs about 256 MiB now and gets 307 MiB with its buffer");
    TEXT(g->incarnation, "4001.98765");
    TEXT(g->config_entry, "*");
    g->levers_age_ms = 40;
    g->host_age_ms = 300;
    g->resident_bytes = assigned - 16 * MIB;
    g->swapped_bytes = 0;
    g->overhead_bytes = 34 * MIB;
    g->demand_bytes = g->used_bytes = demand;
    g->available_bytes = assigned > demand ? assigned - demand : 0;
    g->cache_bytes = 20 * MIB;
    g->sample_age_ms = 850;
    g->pressure_percent = demand * 10000 / assigned;
    g->pressure_low_percent = 6300;
    g->pressure_high_percent = 9300;
    g->buffer_percent = 2000;
    g->target_bytes = g->given_bytes = demand * 12 / 10;
    g->penalty_bytes = g->shortfall_bytes = 0;
    g->priority = 5000;
    g->safe_bytes = g->lower_bytes = g->floor_bytes = demand;
    g->head_bytes = g->top_bytes = g->keep_bytes = g->target_bytes;
    g->bound_bytes = g->proof_bytes = assigned * 3 / 2;
    g->rise_bytes = 12 * MIB;
    g->advice_bytes = g->target_bytes;
    g->balanced = strcmp(mode, "auto") == 0;
    g->orders = 12;
    g->turns = 3;
    g->moved_bytes = 640 * MIB;
    g->breaches = 0;
    g->stall_percent = 0;
    return g;
}

struct wire_status *fixture_status(void)
{
    struct wire_status *s = calloc(1, sizeof(*s));
    struct wire_guest *g;

    if (!s || !(s->guests = calloc(5, sizeof(*s->guests))))
        abort();
    wire_daemon_clear(&s->daemon);
    TEXT(s->daemon.version, "0.1.0");
    TEXT(s->daemon.config, "/etc/ballast/ballast.yaml");
    TEXT(s->daemon.guests_dir, "/run/ballast/guests");
    s->daemon.pid = 777;
    s->daemon.uptime_ms = 93784000;
    s->daemon.policy_version = 1;
    fill_host(&s->host);
    s->warning_count = 1;
    TEXT(s->warnings[0].text, "/run/ballast/guests/old.qmp: the monitor is in use by another client");
    s->warnings[0].age_ms = 65000;

    g = guest_new(s, "web1", "auto", 320 * MIB, 256 * MIB);
    g->available_bytes += 20 * MIB; /* its disk cache, worth keeping */
    g = guest_new(s, "database-of-the-accounting", "auto", 640 * MIB, 700 * MIB);
    TEXT(g->memory_status, "warning");
    TEXT(g->uuid, "2f9c7c9e-0f1d-4a64-8c1e-6f3f0a7d5b11");
    TEXT(g->identity, g->uuid);
    TEXT(g->owner, "accounting");
    TEXT(g->config_entry, "database-*");
    g->priority = 10000;
    fill_agent(g);
    TEXT(g->hypervisor, "QEMU 7.2.15");
    g->penalty_bytes = 200 * MIB;
    g->shortfall_bytes = 60 * MIB;
    g->stall_percent = 1000;
    wire_guest_flag(g, "stalled", "it starves: 8 MiB available for 2 s");
    g = guest_new(s, "batch", "watch", 256 * MIB, 130 * MIB);
    TEXT(g->memory_status, "low");
    g = guest_new(s, "liar", "auto", 120 * MIB, 25 * MIB);
    g->held_bytes = 222 * MIB;
    wire_guest_flag(g, "breach", "it says it has 120 MiB, but the host sees it hold 222 MiB: it is counted as what it "
                                 "holds and gets nothing");
    g->balanced = false;
    TEXT(g->trouble, "guest 'liar' is silent: QEMU has not answered 'query-balloon' for 2000 ms");
    wire_guest_flag(g, "stuck", "told to go to 128 MiB, it stays at 120 MiB");
    g = &s->guests[s->guest_count++];
    wire_guest_clear(g); /* just found: nothing is known */
    TEXT(g->name, "new");
    TEXT(g->state, "booting");
    TEXT(g->mode, "auto");
    g->priority = 5000;
    return s;
}

void fixture_history(struct wire_history_guest *g)
{
    TEXT(g->name, "web1");
    g->point_count = WIRE_HISTORY_POINTS;
    for (size_t i = 0; i < WIRE_HISTORY_POINTS; i++) {
        g->assigned_bytes[i] = i < 10 ? WIRE_UNKNOWN : i < 40 ? 512 * MIB : 320 * MIB;
        g->demand_bytes[i] = i < 10 ? WIRE_UNKNOWN : 200 * MIB + (i % 8) * 8 * MIB;
    }
    g->move_count = 2;
    g->moves[0] = (struct wire_history_move){.age_ms = 90000, .lasted_ms = 10000, .orders = 11,
                                             .from_bytes = 512 * MIB, .to_bytes = 320 * MIB};
    TEXT(g->moves[0].order, "shrink");
    TEXT(g->moves[0].reason, "it has more than its target");
    g->moves[1] = (struct wire_history_move){.age_ms = 190000, .orders = 1, .from_bytes = 400 * MIB,
                                             .to_bytes = 512 * MIB};
    TEXT(g->moves[1].order, "grow");
    TEXT(g->moves[1].reason, "it needs more");
}

static void source_daemon(void *user, struct wire_daemon *ret)
{
    *ret = ((const struct wire_status *)user)->daemon;
}

static void source_host(void *user, struct wire_host *ret)
{
    *ret = ((const struct wire_status *)user)->host;
}

static size_t source_warnings(void *user, struct wire_warning *ret, size_t cap)
{
    const struct wire_status *s = user;
    size_t n = s->warning_count < cap ? s->warning_count : cap;

    memcpy(ret, s->warnings, n * sizeof(*ret));
    return n;
}

static size_t source_count(void *user)
{
    return ((const struct wire_status *)user)->guest_count;
}

static void source_guest(void *user, size_t i, struct wire_guest *ret)
{
    *ret = ((const struct wire_status *)user)->guests[i];
}

static bool source_find(void *user, const char *name, struct wire_guest *ret)
{
    const struct wire_status *s = user;

    for (size_t i = 0; i < s->guest_count; i++)
        if (strcmp(s->guests[i].name, name) == 0) {
            *ret = s->guests[i];
            return true;
        }
    return false;
}

void fixture_why(struct wire_why *w)
{
    static const struct {
        uint64_t age_ms, lasted_ms, count;
        const char *order, *reason, *text;
    } decisions[] = {
        {400, 0, 1, "grow", "need", "gave it 64 MiB, from 412 MiB to 476 MiB: it needed 440 MiB and room to grow to 470 MiB"},
        {12900, 8000, 9, "shrink", "reclaim",
         "took 100 MiB, from 512 MiB to 412 MiB in 9 steps: it needed 350 MiB and had more than its share of 400 MiB; slowly, "
         "as nobody waited"},
        {3725000, 600, 3, "none", "not-free-yet",
         "waited for 300 MiB: it needed 350 MiB, had 120 MiB, and too little was free; 'web2' had to give 250 MiB first"},
    };

    wire_why_clear(w);
    wire_text_copy(w->name, sizeof(w->name), "web1");
    wire_text_copy(w->order, sizeof(w->order), "none");
    wire_text_copy(w->reason, sizeof(w->reason), "dead-zone");
    wire_text_copy(w->now, sizeof(w->now), "Nothing to do: it has 412 MiB and should have 400 MiB; the 12 MiB between are too "
                   "few to be worth a move (dead zone: 20 MiB).");
    wire_why_because(w, "it needs 350 MiB (its agent said so, 400 ms ago) and with a buffer of 20 %% should have 420 MiB");
    wire_why_because(w, "stuck: told to go to 300\033[2J MiB, it stays");
    for (size_t i = 0; i < sizeof(decisions) / sizeof(decisions[0]); i++) {
        struct wire_decision *d = &w->decisions[w->decision_count++];

        wire_decision_clear(d);
        d->age_ms = decisions[i].age_ms;
        d->lasted_ms = decisions[i].lasted_ms;
        d->count = decisions[i].count;
        wire_text_copy(d->order, sizeof(d->order), decisions[i].order);
        wire_text_copy(d->reason, sizeof(d->reason), decisions[i].reason);
        wire_text_copy(d->text, sizeof(d->text), decisions[i].text);
    }
}

static bool source_why(void *user, const char *name, struct wire_text *out)
{
    static struct wire_why w;

    (void)user;
    fixture_why(&w);
    if (strcmp(name, w.name) != 0)
        return false;
    wire_why_print(out, &w);
    return true;
}

static void source_notify(void *user, struct wire_notify *ret)
{
    (void)user;
    *ret = (struct wire_notify){.command = "/etc/ballast/notify", .timeout_ms = 30000, .sent = 2};
    ret->last = ret->last_test = (struct wire_notify_run){.id = 3, .event = "test", .output = "paged"};
}

static void source_history(void *user, struct wire_text *out)
{
    struct wire_history_guest g = {0};

    (void)user;
    fixture_history(&g);
    wire_history_begin(out, 5000);
    wire_history_guest(out, &g, /* first= */ true);
    wire_history_end(out);
}

static void source_dump(void *user, struct wire_text *out)
{
    (void)user;
    wire_text_adds(out, "{\"dump\":true}\n");
}

struct api_source fixture_source(struct wire_status *s)
{
    return (struct api_source){
        .daemon = source_daemon, .host = source_host, .warnings = source_warnings, .count = source_count,
        .guest = source_guest, .find = source_find, .dump = source_dump, .notify = source_notify, .history = source_history, .why = source_why,
        .user = s,
    };
}
