/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

/* What a model guest shows of itself, and what the host sees of it. */

#define SEC 1000000ULL
#define KIB 1024ULL

/* A liar claims to have this share of its memory left. */
#define LIE_SHARE 64

void model_levers(struct model *m, struct obs_levers *ret)
{
    const struct model_config *c = &m->config;

    *ret = (struct obs_levers){
        .time_usec = m->now_usec,
        .boot_bytes = c->boot_kib * KIB,
        .balloon_actual_bytes = m->actual_kib * KIB,
        .plugged_bytes = m->plugged_kib * KIB,
        .requested_bytes = m->requested_kib * KIB,
        .pluggable_bytes = c->pluggable_kib * KIB,
        .block_bytes = c->block_kib * KIB,
        .online_bytes = m->online_kib * KIB,
        .has_balloon = !c->no_balloon,
        .deflate_on_oom = c->deflate_on_oom,
    };
    if (c->kind == MODEL_LYING_NONSENSE && chance_next(&m->chance) % 4 == 0)
        ret->balloon_actual_bytes = chance_next(&m->chance) >> (chance_next(&m->chance) % 64);
}

void model_host_view(const struct model *m, struct obs_host_view *ret)
{
    *ret = (struct obs_host_view){
        .time_usec = m->now_usec,
        .resident_bytes = m->touched_kib * KIB,
        .swapped_bytes = 0,
        .overhead_bytes = m->config.overhead_kib * KIB,
        .disk_read_bytes = m->disk_read_kib * KIB,
    };
}

static void set_agent_fields(const struct model *m, struct obs_guest_view *v)
{
    v->committed_bytes = (m->anon_kib + m->swapped_kib) * KIB;
    v->swap_total_bytes = m->config.swap_kib * KIB;
    v->swap_used_bytes = m->swapped_kib * KIB;
    v->refaulted_bytes = m->refaulted_kib * KIB;
    v->balloon_bytes = m->balloon_kib * KIB;
    v->psi_some_usec = m->psi_some_usec;
    v->psi_full_usec = m->psi_full_usec;
}

static void lie_use(struct model *m, struct obs_guest_view *v)
{
    uint64_t left = model_assigned_kib(m) / LIE_SHARE;

    v->free_bytes = v->available_bytes = left * KIB;
    if (m->config.agent)
        v->psi_some_usec = v->psi_full_usec = m->now_usec; /* stalled all the time */
}

static uint64_t nonsense(struct model *m)
{
    uint64_t x = chance_next(&m->chance);

    return x % 3 ? chance_next(&m->chance) >> (x % 64) : OBS_UNSET;
}

static void lie_nonsense(struct model *m, struct obs_guest_view *v)
{
    v->total_bytes = nonsense(m);
    v->free_bytes = nonsense(m);
    v->available_bytes = nonsense(m);
    v->cache_bytes = nonsense(m);
    v->swapped_in_bytes = nonsense(m);
    v->oom_kills = nonsense(m);
    if (m->config.agent) {
        v->committed_bytes = nonsense(m);
        v->swap_total_bytes = nonsense(m);
        v->swap_used_bytes = nonsense(m);
        v->refaulted_bytes = nonsense(m);
        v->balloon_bytes = nonsense(m);
        v->psi_some_usec = nonsense(m);
        v->psi_full_usec = nonsense(m);
    }
}

bool model_view(struct model *m, struct obs_guest_view *ret)
{
    const struct model_config *c = &m->config;

    if (m->gone || !m->driver_up || (!c->agent && c->no_balloon))
        return false;
    *ret = (struct obs_guest_view){
        .source = c->agent ? OBS_SOURCE_AGENT : OBS_SOURCE_STATISTICS,
        .time_usec = m->now_usec,
        .heard_usec = m->now_usec,
        .spacing_usec = SEC,
        .total_bytes = model_total_kib(m) * KIB,
        .free_bytes = model_free_kib(m) * KIB,
        .available_bytes = model_available_kib(m) * KIB,
        .cache_bytes = (m->cold_kib + m->hot_kib) * KIB,
        .shmem_bytes = c->agent ? 0 : OBS_UNSET,
        .committed_bytes = OBS_UNSET,
        .swap_total_bytes = OBS_UNSET,
        .swap_used_bytes = OBS_UNSET,
        .swapped_in_bytes = m->swapped_in_kib * KIB,
        .refaulted_bytes = OBS_UNSET,
        .balloon_bytes = OBS_UNSET,
        .oom_kills = OBS_UNSET,
        .psi_some_usec = OBS_UNSET,
        .psi_full_usec = OBS_UNSET,
        .kernel_free_bytes = OBS_UNSET,
        .anon_bytes = OBS_UNSET,
        .dirty_bytes = OBS_UNSET,
        .commit_limit_bytes = OBS_UNSET,
        .swapped_out_bytes = OBS_UNSET,
    };
    if (c->agent) {
        set_agent_fields(m, ret);
        ret->oom_kills = m->oom_kills;
    }
    if (c->kind == MODEL_LYING_USE)
        lie_use(m, ret);
    else if (c->kind == MODEL_LYING_NONSENSE)
        lie_nonsense(m, ret);
    return true;
}
