/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <inttypes.h>

#include "policy_defaults.h"

/* Raw values under the names of the code, so that a bug report can be read beside it. Times are the engine's clock. */

static void member(struct wire_text *t, const char *name, uint64_t value)
{
    if (t->length > 0 && t->data[t->length - 1] != '{')
        wire_text_adds(t, ",");
    wire_text_format(t, "\"%s\":", name);
    if (value == OBS_UNSET)
        wire_text_adds(t, "null");
    else
        wire_text_u64(t, value);
}

static void member_signed(struct wire_text *t, const char *name, int64_t value)
{
    if (t->length > 0 && t->data[t->length - 1] != '{')
        wire_text_adds(t, ",");
    wire_text_format(t, "\"%s\":%lld", name, (long long)value);
}

static void open_object(struct wire_text *t, const char *name)
{
    if (t->length > 0 && t->data[t->length - 1] != '{')
        wire_text_adds(t, ",");
    wire_text_format(t, "\n\"%s\":{", name);
}

static void close_object(struct wire_text *t)
{
    wire_text_adds(t, "}");
}

/* One member of struct p, by its own name. */
#define M(p, name) member(t, #name, (uint64_t)(p)->name)
#define S(p, name) member_signed(t, #name, (int64_t)(p)->name)

static void dump_host(struct wire_text *t, const struct host *h)
{
    open_object(t, "host");
    open_object(t, "config");
    M(&h->config, memory_kib), M(&h->config, reserve_kib), M(&h->config, overcommit_permille);
    M(&h->config, reservations_kib);
    close_object(t);
    open_object(t, "seen");
    M(&h->seen, time_usec), M(&h->seen, total_bytes), M(&h->seen, available_bytes), M(&h->seen, arc_bytes);
    M(&h->seen, psi_some_usec);
    close_object(t);
    M(h, state), M(h, waits_priority), M(h, memory_kib), M(h, overhead_kib), M(h, assigned_kib), M(h, held_kib);
    M(h, exposure_kib), S(h, capacity_kib), M(h, pool_kib), S(h, free_kib), S(h, grantable_kib), S(h, available_kib);
    member(t, "share_step", (uint64_t)h->share.step);
    member(t, "share_free_kib", h->share.free_kib);
    member(t, "share_over_kib", h->share.over_kib);
    M(h, decisions);
    close_object(t);
}

static void dump_config(struct wire_text *t, const struct guest_config *c)
{
    open_object(t, "config");
    M(c, startup_kib), M(c, minimum_kib), M(c, maximum_kib), M(c, buffer), M(c, priority), M(c, tax_ppm);
    M(c, buffer_of), M(c, demand), M(c, mode), M(c, reclaim), M(c, self_managing), M(c, band);
    close_object(t);
}

static void dump_seen(struct wire_text *t, const struct guest *g)
{
    const struct obs_levers *l = &g->levers;
    const struct obs_host_view *h = &g->host;
    const struct obs_guest_view *v = &g->view;

    open_object(t, "levers");
    M(l, time_usec), M(l, boot_bytes), M(l, balloon_actual_bytes), M(l, plugged_bytes), M(l, requested_bytes);
    M(l, pluggable_bytes), M(l, block_bytes), M(l, online_bytes), M(l, has_balloon), M(l, deflate_on_oom);
    M(l, plug_blocked);
    close_object(t);
    open_object(t, "host_view");
    M(h, time_usec), M(h, resident_bytes), M(h, swapped_bytes), M(h, overhead_bytes), M(h, disk_read_bytes);
    close_object(t);
    open_object(t, "view");
    M(v, source), M(v, time_usec), M(v, heard_usec), M(v, spacing_usec), M(v, total_bytes), M(v, free_bytes);
    M(v, available_bytes), M(v, cache_bytes), M(v, shmem_bytes), M(v, committed_bytes), M(v, swap_total_bytes);
    M(v, swap_used_bytes), M(v, swapped_in_bytes), M(v, refaulted_bytes), M(v, balloon_bytes), M(v, oom_kills);
    M(v, psi_some_usec), M(v, psi_full_usec), M(v, kernel_free_bytes), M(v, anon_bytes), M(v, dirty_bytes);
    M(v, commit_limit_bytes), M(v, swapped_out_bytes);
    close_object(t);
}

static void dump_learned(struct wire_text *t, const struct guest *g)
{
    const struct motion *m = &g->motion;
    const struct harm *h = &g->harm;
    const struct selfmanaging *s = &g->selfmanaging;

    open_object(t, "motion");
    M(m, active), M(m, target_kib), M(m, from_kib), M(m, ordered_usec), M(m, moved_usec), M(m, last_kib);
    M(m, withdrawals), M(m, still_usec), M(m, stuck_since_usec), M(m, retry_usec), M(m, retry_wait_usec);
    M(m, stuck_growing);
    close_object(t);
    open_object(t, "harm");
    M(h, take_usec), M(h, full_ppm), M(h, done), M(h, mark_kib), M(h, mark_until_usec), M(h, hold_usec);
    member(t, "swap_in_rate", h->rate[HARM_SWAP_IN]), member(t, "refault_rate", h->rate[HARM_REFAULT]);
    member(t, "psi_some_rate", h->rate[HARM_PSI_SOME]), member(t, "disk_read_rate", h->rate[HARM_DISK_READ]);
    close_object(t);
    open_object(t, "selfmanaging");
    M(s, start_assigned_kib), M(s, start_used_kib), M(s, start_usec), M(s, honest_usec), M(s, peak_used_kib);
    M(s, grant_base_kib), M(s, limit_kib);
    close_object(t);
    M(g, appeared_usec), M(g, reset_usec), M(g, reset_assigned_kib), M(g, stall_percent), M(g, stalled_since_usec);
    M(g, breaches), M(g, take_step_permille), M(g, take_tick_usec);
    member(t, "proof_seen_kib", g->proof.value), member(t, "rise_seen_kib", g->rise.value);
}

static void dump_verdict(struct wire_text *t, const struct guest_verdict *v)
{
    const struct levels *l = &v->levels;

    open_object(t, "verdict");
    M(l, safe_kib), M(l, bound_kib), M(l, lower_kib), M(l, floor_kib), M(l, head_kib), M(l, top_kib), M(l, keep_kib);
    M(v, held_kib), M(v, exposure_kib), M(v, counted_kib), M(v, used_kib), M(v, demand_kib), M(v, target_kib);
    M(v, given_kib), M(v, penalty_kib), M(v, shortfall_kib), M(v, proof_kib), M(v, rise_kib), M(v, mark_kib);
    M(v, limit_kib), M(v, advice_kib), M(v, weight), M(v, pressure_permille), M(v, sample_age_usec);
    M(v, stall_percent), M(v, flags), M(v, memory_status), M(v, order), M(v, reason), M(v, order_kib);
    M(v, wants_host_view), M(v, wants_view);
    close_object(t);
}

void status_dump(const struct status *s, struct wire_text *out)
{
    struct wire_text *t = out;
    size_t n = engine_count(s->engine);

    wire_text_format(t, "{\"api\":%d,\"version\":\"%s\",\"policy_version\":%d,\"config_hash\":\"%016" PRIx64
                     "\",\"now_usec\":", WIRE_API_VERSION, BALLAST_VERSION, POLICY_VERSION, s->config_hash);
    wire_text_u64(t, s->now_usec());
    member(t, "started_usec", s->started_usec);
    dump_host(t, engine_host(s->engine));
    if (s->notify) {
        struct wire_notify notify;

        notify_read(s->notify, &notify);
        wire_text_adds(t, ",\n\"notify\":");
        wire_notify_print(t, &notify);
    }
    wire_text_adds(t, ",\n\"guests\":[");
    for (size_t i = 0; i < n; i++) {
        const struct engine_guest *g = engine_guest_at(s->engine, i);

        wire_text_adds(t, i > 0 ? ",\n{\"name\":" : "\n{\"name\":");
        wire_text_string(t, g->vm->name);
        wire_text_adds(t, ",\"uuid\":");
        wire_text_string(t, g->vm->uuid);
        wire_text_adds(t, ",\"trouble\":");
        wire_text_string(t, g->reason);
        member(t, "pid", (uint64_t)g->vm->pid);
        member(t, "start_ticks", g->vm->start_ticks);
        member(t, "caps", g->vm->caps);
        M(g, paused), M(g, orders), M(g, turns), M(g, moved_kib);
        dump_config(t, &g->core.config);
        dump_seen(t, &g->core);
        dump_learned(t, &g->core);
        dump_verdict(t, &g->core.verdict);
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "]}\n");
}
