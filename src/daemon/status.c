/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "judge.h"
#include "policy_defaults.h"
#include "status_reasons.h"
#include "why_text.h"

static uint64_t bytes_of_kib(uint64_t kib)
{
    return kib > UINT64_MAX / 1024 - 1 ? WIRE_UNKNOWN : kib * 1024;
}

static int64_t signed_bytes_of_kib(int64_t kib)
{
    return kib > INT64_MAX / 1024 || kib < INT64_MIN / 1024 ? WIRE_UNKNOWN_SIGNED : kib * 1024;
}

/* OBS_UNSET and WIRE_UNKNOWN are the same value; said once, here. */
_Static_assert(OBS_UNSET == WIRE_UNKNOWN, "what was not seen is unknown");

static const char *name_of(const char *const *names, size_t n, unsigned value)
{
    return value < n ? names[value] : "";
}
#define NAME_OF(names, value) name_of(names, sizeof(names) / sizeof((names)[0]), (unsigned)(value))

static const char *const mode_names[GUEST_MODE_COUNT] = {"auto", "watch", "fixed", "off"};
static const char *const memory_status_names[GUEST_MEMORY_STATUS_COUNT] = {"ok", "low", "warning"};
static const char *const source_names[OBS_SOURCE_COUNT] = {"none", "statistics", "agent"};
static const char *const rule_names[DEMAND_MODE_COUNT] = {"used", "committed"};
static const char *const buffer_of_names[BUFFER_OF_COUNT] = {"demand", "total"};
static const char *const reclaim_names[GUEST_RECLAIM_COUNT] = {"eager", "lazy"};
static const char *const order_names[GUEST_ORDER_COUNT] = {"none", "grow", "shrink", "withdraw"};
static const char *const state_names[HOST_STATE_COUNT] = {"high", "soft", "hard", "low"};

/* Time since the process of a guest started: CLOCK_BOOTTIME and start_ticks count from the same moment. */
static uint64_t running_ms(uint64_t start_ticks)
{
    struct timespec now;
    uint64_t now_ms, start_ms;
    long hz = sysconf(_SC_CLK_TCK);

    if (start_ticks == 0 || hz <= 0 || clock_gettime(CLOCK_BOOTTIME, &now) < 0)
        return WIRE_UNKNOWN;
    now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    start_ms = start_ticks / (uint64_t)hz * 1000 + start_ticks % (uint64_t)hz * 1000 / (uint64_t)hz;
    return now_ms > start_ms ? now_ms - start_ms : 0;
}

static void fill_configured(const struct status *s, struct wire_guest *ret)
{
    const char *entry = NULL, *owner = NULL;

    if (!s->configured)
        return;
    s->configured(s->user, ret->name, &entry, &owner);
    wire_text_copy(ret->config_entry, sizeof(ret->config_entry), entry ? entry : "");
    wire_text_copy(ret->owner, sizeof(ret->owner), owner ? owner : "");
}

static void fill_who(const struct status *s, const struct engine_guest *g, struct wire_guest *ret)
{
    const struct guest *core = &g->core;
    uint64_t now = s->now_usec();

    wire_text_copy(ret->name, sizeof(ret->name), g->vm->name);
    wire_text_copy(ret->identity, sizeof(ret->identity), g->vm->uuid[0] ? g->vm->uuid : g->vm->name);
    wire_text_copy(ret->uuid, sizeof(ret->uuid), g->vm->uuid);
    if (g->vm->pid > 0)
        (void)snprintf(ret->incarnation, sizeof(ret->incarnation), "%ld.%" PRIu64, (long)g->vm->pid,
                       g->vm->start_ticks);
    fill_configured(s, ret);
    wire_text_copy(ret->driver, sizeof(ret->driver), g->vm->hv && g->vm->hv->ops ? g->vm->hv->ops->name : "");
    ret->pid = g->vm->pid > 0 ? (uint64_t)g->vm->pid : WIRE_UNKNOWN;
    ret->running_ms = running_ms(g->vm->start_ticks);
    ret->known_ms = now > core->appeared_usec ? (now - core->appeared_usec) / 1000 : 0;
    wire_text_copy(ret->state, sizeof(ret->state),
                   g->paused                                    ? "paused"
                   : core->verdict.flags & GUEST_FLAG_BOOTING ? "booting"
                                                                : "running");
    wire_text_copy(ret->mode, sizeof(ret->mode), NAME_OF(mode_names, core->config.mode));
    wire_text_copy(ret->demand_rule, sizeof(ret->demand_rule), NAME_OF(rule_names, core->config.demand));
    wire_text_copy(ret->buffer_of, sizeof(ret->buffer_of), NAME_OF(buffer_of_names, core->config.buffer_of));
    wire_text_copy(ret->reclaim, sizeof(ret->reclaim), NAME_OF(reclaim_names, core->config.reclaim));
    wire_text_copy(ret->trouble, sizeof(ret->trouble), g->reason);
    ret->buffer_percent = core->config.buffer;
    ret->priority = core->config.priority;
    ret->band = core->config.band;
    ret->balanced = judge_is_managed(core);
    ret->orders = g->orders;
    ret->turns = g->turns;
    ret->moved_bytes = bytes_of_kib(g->moved_kib);
    ret->breaches = core->breaches;
}

static uint64_t age_ms(uint64_t then_usec, uint64_t now_usec)
{
    return now_usec > then_usec ? (now_usec - then_usec) / 1000 : 0;
}

static void fill_levers(const struct guest *core, uint64_t now_usec, struct wire_guest *ret)
{
    const struct obs_levers *l = &core->levers;

    if (!l->time_usec)
        return;
    ret->levers_age_ms = age_ms(l->time_usec, now_usec);
    engine_guest_why(core, ret->lent_reason, sizeof(ret->lent_reason));
    ret->startup_bytes = bytes_of_kib(guest_startup_kib(core));
    ret->minimum_bytes = bytes_of_kib(guest_minimum_kib(core));
    ret->maximum_bytes = bytes_of_kib(guest_maximum_kib(core));
    ret->assigned_bytes = bytes_of_kib(guest_assigned_kib(core));
    ret->boot_bytes = l->boot_bytes;
    ret->balloon_bytes = l->boot_bytes > l->balloon_actual_bytes ? l->boot_bytes - l->balloon_actual_bytes : 0;
    ret->plugged_bytes = l->plugged_bytes;
    ret->online_bytes = l->online_bytes;
    ret->pluggable_bytes = l->pluggable_bytes;
}

/* hidden = assigned (+ balloon, where MemTotal counts it) - MemTotal: docs/design.md 2. */
static void fill_hidden(const struct guest *core, struct wire_guest *ret)
{
    const struct obs_levers *l = &core->levers;
    uint64_t whole;

    if (!l->time_usec || !core->view.time_usec || core->view.total_bytes == OBS_UNSET)
        return;
    if (guest_in_flight(core) || core->reset_usec) {
        wire_text_copy(ret->hidden_reason, sizeof(ret->hidden_reason), "not known while its size changes or it boots");
        return;
    }
    whole = bytes_of_kib(guest_assigned_kib(core)) + (l->deflate_on_oom ? ret->balloon_bytes : 0);
    if (core->view.total_bytes > INT64_MAX || whole > INT64_MAX)
        return;
    ret->hidden_bytes = (int64_t)whole - (int64_t)core->view.total_bytes;
    (void)snprintf(ret->hidden_reason, sizeof(ret->hidden_reason),
                   "firmware, the kernel's own code and its page tables%s; `free` in the guest starts from %s%s",
                   l->plugged_bytes ? " (1/64 of plugged memory)" : "", "visible",
                   l->deflate_on_oom && ret->balloon_bytes
                       ? ", and shows ballooned memory as used (deflate-on-oom=on)" : "");
}

static uint64_t per_second(uint64_t amount, uint64_t span_usec)
{
    return amount == OBS_UNSET ? WIRE_UNKNOWN : (uint64_t)((unsigned __int128)amount * 1000000 / span_usec);
}

/* Share of the time, 1/100 %. The guest's clock is not ours: no more than all of it. */
static uint64_t share_of(uint64_t part_usec, uint64_t span_usec)
{
    uint64_t share = per_second(part_usec, span_usec);

    return share == WIRE_UNKNOWN ? share : share < 1000000 ? share / 100 : 10000;
}

static void fill_rates(const struct status *s, const struct engine_guest *g, struct wire_guest *ret)
{
    const struct history_guest *kept =
        s->history ? history_find(s->history, engine_guest_slot(s->engine, g)) : NULL;
    uint64_t span = kept ? kept->rates.span_usec : 0;

    if (!span)
        return;
    ret->rate_ms = span / 1000;
    ret->swap_in_rate_bytes = per_second(kept->rates.swapped_in_bytes, span);
    ret->swap_out_rate_bytes = per_second(kept->rates.swapped_out_bytes, span);
    ret->refault_rate_bytes = per_second(kept->rates.refaulted_bytes, span);
    ret->psi_some_percent = share_of(kept->rates.psi_some_usec, span);
    ret->psi_full_percent = share_of(kept->rates.psi_full_usec, span);
}

static void fill_view(const struct obs_guest_view *v, struct wire_guest *ret)
{
    ret->visible_bytes = v->total_bytes;
    ret->available_bytes = v->available_bytes;
    ret->unused_bytes = v->free_bytes;
    ret->cache_bytes = v->cache_bytes;
    ret->committed_bytes = v->committed_bytes;
    ret->commit_limit_bytes = v->commit_limit_bytes;
    ret->anon_bytes = v->anon_bytes;
    ret->shmem_bytes = v->shmem_bytes;
    ret->dirty_bytes = v->dirty_bytes;
    ret->kernel_free_bytes = v->kernel_free_bytes;
    ret->swap_total_bytes = v->swap_total_bytes;
    ret->swap_used_bytes = v->swap_used_bytes;
    ret->swapped_in_bytes = v->swapped_in_bytes;
    ret->swapped_out_bytes = v->swapped_out_bytes;
    ret->refaulted_bytes = v->refaulted_bytes;
    ret->oom_kills = v->oom_kills;
    ret->psi_some_usec = v->psi_some_usec;
    ret->psi_full_usec = v->psi_full_usec;
}

static void fill_seen(const struct guest *core, uint64_t now_usec, struct wire_guest *ret)
{
    const struct obs_guest_view *v = &core->view;

    if (core->host.time_usec) {
        ret->host_age_ms = age_ms(core->host.time_usec, now_usec);
        ret->resident_bytes = core->host.resident_bytes;
        ret->swapped_bytes = core->host.swapped_bytes;
        ret->overhead_bytes = core->host.overhead_bytes;
    }
    wire_text_copy(ret->demand_source, sizeof(ret->demand_source), "none");
    if (!v->time_usec)
        return;
    wire_text_copy(ret->demand_source, sizeof(ret->demand_source), NAME_OF(source_names, v->source));
    if (core->verdict.sample_age_usec != OBS_UNSET)
        ret->sample_age_ms = core->verdict.sample_age_usec / 1000;
    fill_view(v, ret);
}

/* The marks of its band around p* = 100 x demand / unclamped target (docs/design.md 3.3). */
static void fill_band(const struct guest *core, struct wire_guest *ret)
{
    const struct guest_verdict *v = &core->verdict;
    struct band_marks marks;
    uint64_t unclamped = 0, target = 0;

    if (!demand_target_kib(core->config.buffer_of, core->config.buffer, v->demand_kib, 0, POLICY_KIB_MAX, &unclamped,
                           &target) || unclamped == 0)
        return;
    band_marks(&core->band, (uint32_t)(v->demand_kib * 100 / unclamped), &marks);
    ret->pressure_low_percent = (uint64_t)marks.low_percent * 100;
    ret->pressure_high_percent = (uint64_t)marks.high_percent * 100;
}

static void fill_levels(const struct guest_verdict *v, struct wire_guest *ret)
{
    ret->safe_bytes = bytes_of_kib(v->levels.safe_kib);
    ret->bound_bytes = bytes_of_kib(v->levels.bound_kib);
    ret->lower_bytes = bytes_of_kib(v->levels.lower_kib);
    ret->floor_bytes = bytes_of_kib(v->levels.floor_kib);
    ret->head_bytes = bytes_of_kib(v->levels.head_kib);
    ret->top_bytes = bytes_of_kib(v->levels.top_kib);
    ret->keep_bytes = bytes_of_kib(v->levels.keep_kib);
}

static void fill_verdict(const struct status *s, const struct guest *core, struct wire_guest *ret)
{
    const struct guest_verdict *v = &core->verdict;
    uint64_t now = s->now_usec();

    wire_text_copy(ret->memory_status, sizeof(ret->memory_status), NAME_OF(memory_status_names, v->memory_status));
    wire_text_copy(ret->order, sizeof(ret->order), NAME_OF(order_names, v->order));
    wire_text_copy(ret->order_reason, sizeof(ret->order_reason), guest_reason_text(v->reason));
    if (v->order != GUEST_ORDER_NONE)
        ret->order_bytes = bytes_of_kib(v->order_kib);
    if (guest_in_flight(core))
        ret->in_flight_bytes = bytes_of_kib(core->motion.target_kib);
    if (!core->levers.time_usec)
        return; /* nothing was decided about a guest that nothing is known of */
    ret->held_bytes = bytes_of_kib(v->held_kib);
    ret->exposure_bytes = bytes_of_kib(v->exposure_kib);
    ret->counted_bytes = bytes_of_kib(v->counted_kib);
    ret->given_bytes = bytes_of_kib(v->given_kib);
    if (!core->view.time_usec)
        return; /* demand and what follows from it would be made up */
    ret->demand_bytes = bytes_of_kib(v->demand_kib);
    ret->used_bytes = bytes_of_kib(v->used_kib);
    ret->pressure_percent = v->pressure_permille * 10;
    ret->target_bytes = bytes_of_kib(v->target_kib);
    ret->penalty_bytes = bytes_of_kib(v->penalty_kib);
    ret->shortfall_bytes = bytes_of_kib(v->shortfall_kib);
    ret->proof_bytes = bytes_of_kib(v->proof_kib);
    ret->rise_bytes = bytes_of_kib(v->rise_kib);
    ret->mark_bytes = v->mark_kib ? bytes_of_kib(v->mark_kib) : WIRE_UNKNOWN;
    if (v->mark_kib && core->harm.mark_until_usec > now)
        ret->mark_left_ms = (core->harm.mark_until_usec - now) / 1000;
    ret->limit_bytes = v->limit_kib ? bytes_of_kib(v->limit_kib) : WIRE_UNKNOWN;
    ret->stall_percent = (uint64_t)v->stall_percent * 100;
    ret->advice_bytes = bytes_of_kib(v->advice_kib);
    fill_levels(v, ret);
    fill_band(core, ret);
}

static void fill_hold(const struct status *s, const struct engine_guest *g, struct wire_guest *ret)
{
    char reason[WIRE_REASON_SIZE] = "";

    if (s->hold_text)
        s->hold_text(s->operate_user, g->vm->name, reason, sizeof(reason));
    wire_guest_flag(ret, "on-hold", reason[0] ? reason : "its moves are paused");
}

/* What its driver found out (hv.h, struct hv_facts). */
static void fill_facts(const struct hv_vm *vm, struct wire_guest *ret)
{
    static const char *const answers[] = {[HV_UNKNOWN] = "", [HV_NO] = "no", [HV_YES] = "yes"};
    static const char *const ports[] = {[HV_PORT_UNKNOWN] = "", [HV_PORT_NONE] = "none", [HV_PORT_OPEN] = "open",
                                        [HV_PORT_HEARD] = "heard"};
    const struct hv_facts *f = &vm->facts;

    wire_text_copy(ret->hypervisor, sizeof(ret->hypervisor), f->version);
    wire_text_copy(ret->fixed_reason, sizeof(ret->fixed_reason), f->fixed);
    wire_text_copy(ret->deflate_on_oom, sizeof(ret->deflate_on_oom), NAME_OF(answers, f->deflate_on_oom));
    wire_text_copy(ret->page_reporting, sizeof(ret->page_reporting), NAME_OF(answers, f->page_reporting));
    wire_text_copy(ret->agent_port, sizeof(ret->agent_port), NAME_OF(ports, f->port));
    ret->balloon = f->has_balloon;
    ret->shared_monitor = f->shared_monitor;
    ret->kernel_short = f->kernel_short;
    if (!f->maximum_bytes)
        return;
    ret->machine_maximum_bytes = f->maximum_bytes;
    ret->memory_slots = f->slots;
}

void status_fill_guest(const struct status *s, const struct engine_guest *g, struct wire_guest *ret)
{
    uint64_t now = s->now_usec();

    wire_guest_clear(ret);
    fill_who(s, g, ret);
    fill_facts(g->vm, ret);
    fill_levers(&g->core, now, ret);
    fill_seen(&g->core, now, ret);
    fill_rates(s, g, ret);
    fill_hidden(&g->core, ret);
    fill_verdict(s, &g->core, ret);
    if (s->set_text)
        s->set_text(s->operate_user, ret->name, ret->set_text, sizeof(ret->set_text));
    status_reasons_fill(g, now, ret);
    if (g->core.verdict.flags & GUEST_FLAG_ON_HOLD)
        fill_hold(s, g, ret);
}

static void add(uint64_t *sum, uint64_t bytes)
{
    if (bytes != WIRE_UNKNOWN)
        *sum += bytes;
}

/* Sums over guests that the core does not keep. */
static void fill_sums(const struct status *s, struct wire_host *ret)
{
    size_t n = engine_count(s->engine);

    ret->startup_bytes = ret->minimum_bytes = ret->maximum_bytes = ret->demand_bytes = ret->target_bytes = 0;
    ret->penalty_bytes = ret->shortfall_bytes = ret->orders = ret->turns = ret->moved_bytes = ret->watched = 0;
    ret->saving_bytes = 0;
    ret->guest_count = n;
    for (size_t i = 0; i < n; i++) {
        const struct engine_guest *g = engine_guest_at(s->engine, i);
        const struct guest_verdict *v = &g->core.verdict;

        add(&ret->startup_bytes, bytes_of_kib(guest_startup_kib(&g->core)));
        add(&ret->minimum_bytes, bytes_of_kib(guest_minimum_kib(&g->core)));
        add(&ret->maximum_bytes, bytes_of_kib(guest_maximum_kib(&g->core)));
        add(&ret->demand_bytes, bytes_of_kib(v->demand_kib));
        add(&ret->target_bytes, bytes_of_kib(v->target_kib));
        add(&ret->penalty_bytes, bytes_of_kib(v->penalty_kib));
        add(&ret->shortfall_bytes, bytes_of_kib(v->shortfall_kib));
        add(&ret->moved_bytes, bytes_of_kib(g->moved_kib));
        ret->orders += g->orders;
        ret->turns += g->turns;
        if (g->core.config.mode != GUEST_MODE_WATCH)
            continue;
        ret->watched++;
        if (g->core.view.time_usec)
            ret->saving_bytes += ((int64_t)guest_assigned_kib(&g->core) - (int64_t)v->advice_kib) * 1024;
    }
}

void status_fill_host(const struct status *s, struct wire_host *ret)
{
    const struct host *h = engine_host(s->engine);

    wire_host_clear(ret);
    wire_text_copy(ret->name, sizeof(ret->name), s->host_name);
    wire_text_copy(ret->state, sizeof(ret->state), NAME_OF(state_names, h->state));
    if (h->seen.time_usec) {
        ret->total_bytes = h->seen.total_bytes;
        ret->available_bytes = h->seen.available_bytes;
        ret->stall_usec = h->seen.psi_some_usec;
    }
    ret->memory_bytes = bytes_of_kib(h->memory_kib);
    ret->reserve_bytes = bytes_of_kib(h->config.reserve_kib);
    ret->reservations_bytes = bytes_of_kib(h->config.reservations_kib);
    ret->capacity_bytes = signed_bytes_of_kib(h->capacity_kib);
    ret->pool_bytes = bytes_of_kib(h->pool_kib);
    ret->assigned_bytes = bytes_of_kib(h->assigned_kib);
    ret->held_bytes = bytes_of_kib(h->held_kib);
    ret->overhead_bytes = bytes_of_kib(h->overhead_kib);
    ret->exposure_bytes = bytes_of_kib(h->exposure_kib);
    ret->free_bytes = signed_bytes_of_kib(h->free_kib);
    ret->grantable_bytes = signed_bytes_of_kib(h->grantable_kib);
    ret->overcommit_percent = (uint64_t)h->config.overcommit_permille * 10;
    ret->share_step = h->decisions ? (uint64_t)h->share.step : WIRE_UNKNOWN;
    ret->over_bytes = bytes_of_kib(h->share.over_kib);
    ret->squeezed = h->waits_priority > 0;
    ret->waits_priority = h->waits_priority;
    ret->decisions = h->decisions;
    fill_sums(s, ret);
    if (s->moves)
        wire_text_copy(ret->moves, sizeof(ret->moves), s->moves(s->operate_user, ret->moves_text, sizeof(ret->moves_text)));
    status_share_text(ret);
}

void status_warn(struct status *s, const char *text)
{
    const size_t most = sizeof(s->warnings) / sizeof(s->warnings[0]);
    struct status_warning warning = {.time_usec = s->now_usec()};
    size_t at = 0;

    wire_text_copy(warning.text, sizeof(warning.text), text);
    while (at < s->warning_count && strcmp(s->warnings[at].text, warning.text) != 0)
        at++;
    if (at == s->warning_count && s->warning_count < most)
        s->warning_count++;
    else if (at == s->warning_count)
        at = 0; /* full: the oldest goes */
    memmove(&s->warnings[at], &s->warnings[at + 1], (s->warning_count - 1 - at) * sizeof(warning));
    s->warnings[s->warning_count - 1] = warning;
}

static void source_daemon(void *user, struct wire_daemon *ret)
{
    const struct status *s = user;
    uint64_t now = s->now_usec();

    wire_daemon_clear(ret);
    wire_text_copy(ret->version, sizeof(ret->version), BALLAST_VERSION);
    wire_text_copy(ret->config, sizeof(ret->config), s->config_file ? s->config_file : "");
    (void)snprintf(ret->config_hash, sizeof(ret->config_hash), "%016" PRIx64, s->config_hash);
    wire_text_copy(ret->guests_dir, sizeof(ret->guests_dir), s->guests_dir ? s->guests_dir : "");
    wire_text_copy(ret->state_dir, sizeof(ret->state_dir), s->state_dir ? s->state_dir : "");
    ret->pid = (uint64_t)getpid();
    ret->uptime_ms = now > s->started_usec ? (now - s->started_usec) / 1000 : 0;
    ret->policy_version = POLICY_VERSION;
    ret->dry_run = s->dry_run;
}

static void source_host(void *user, struct wire_host *ret)
{
    status_fill_host(user, ret);
}

static size_t source_warnings(void *user, struct wire_warning *ret, size_t cap)
{
    const struct status *s = user;
    uint64_t now = s->now_usec();
    struct wire_host h;
    size_t n;

    status_fill_host(s, &h);
    n = status_host_warnings(&h, ret, cap);
    if (s->notify && n < cap)
        n += notify_warning(s->notify, ret[n].text, sizeof(ret[n].text), &ret[n].age_ms);
    for (size_t i = 0; i < s->warning_count && n < cap; i++, n++) {
        wire_text_copy(ret[n].text, sizeof(ret[n].text), s->warnings[i].text);
        ret[n].age_ms = now > s->warnings[i].time_usec ? (now - s->warnings[i].time_usec) / 1000 : 0;
    }
    return n;
}

static size_t source_count(void *user)
{
    const struct status *s = user;

    return engine_count(s->engine);
}

static void source_guest(void *user, size_t i, struct wire_guest *ret)
{
    const struct status *s = user;

    status_fill_guest(s, engine_guest_at(s->engine, i), ret);
}

static bool source_find(void *user, const char *name, struct wire_guest *ret)
{
    const struct status *s = user;
    const struct engine_guest *g = engine_find(s->engine, name);

    if (g)
        status_fill_guest(s, g, ret);
    return g != NULL;
}

static void source_dump(void *user, struct wire_text *out)
{
    status_dump(user, out);
}

static bool source_why(void *user, const char *name, struct wire_text *out)
{
    const struct status *s = user;
    const struct engine_guest *g = engine_find(s->engine, name);
    struct wire_why why;

    if (!g)
        return false;
    why_tell(s, g, &why);
    wire_why_print(out, &why);
    return true;
}

static void source_history(void *user, struct wire_text *out)
{
    const struct status *s = user;

    history_print(s->history, s->engine, s->now_usec(), out);
}

static void source_notify(void *user, struct wire_notify *ret)
{
    const struct status *s = user;

    *ret = (struct wire_notify){0};
    if (s->notify)
        notify_read(s->notify, ret);
}

struct api_source status_source(struct status *s)
{
    return (struct api_source){
        .daemon = source_daemon,
        .host = source_host,
        .warnings = source_warnings,
        .count = source_count,
        .guest = source_guest,
        .find = source_find,
        .dump = source_dump,
        .why = source_why,
        .notify = source_notify,
        .history = source_history,
        .user = s,
    };
}
