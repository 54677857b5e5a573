/* SPDX-License-Identifier: Apache-2.0 */
#include "record_fields.h"

#include <errno.h>
#include <string.h>

#include <json-c/json.h>

#include "decide.h"
#include "guest.h"
#include "learned.h"
#include "observe.h"

/* A member by its path; wire_field.h's own macro takes plain members only. */
#define ROW(type, kind_, path)                                                                                         \
    {                                                                                                                  \
        .name = #path, .kind = WIRE_KIND_##kind_, .offset = offsetof(struct type, path),                               \
        .size = sizeof(((struct type *)0)->path)                                                                       \
    }
#define TABLE(name) {name##_fields, sizeof(name##_fields) / sizeof(name##_fields[0])}

#define R(kind, path) ROW(guest_config, kind, path)
static const struct wire_field config_fields[] = {
    R(U64, startup_kib), R(U64, minimum_kib), R(U64, maximum_kib), R(U32, buffer), R(U32, priority), R(U32, tax_ppm),
    R(U32, buffer_of), R(U32, demand), R(U32, mode), R(U32, reclaim), R(U32, self_managing), R(BOOL, band),
};
const struct record_table record_config = TABLE(config);
#undef R

#define R(kind, path) ROW(learned, kind, path)
static const struct wire_field learned_fields[] = {
    R(U64, proof.value), R(U64, proof.seen_usec), R(U64, rise.value), R(U64, rise.seen_usec), R(U64, mark_kib),
    R(U64, mark_until_usec), R(U64, mark_hold_usec), R(U64, selfmanaging.limit_kib),
    R(U64, selfmanaging.start_assigned_kib), R(U64, selfmanaging.start_used_kib), R(U64, selfmanaging.start_usec),
    R(U64, selfmanaging.honest_usec), R(U64, selfmanaging.peak_used_kib), R(U64, selfmanaging.grant_base_kib),
    R(U64, selfmanaging.grant_usec[0]), R(U64, selfmanaging.grant_usec[1]), R(U64, selfmanaging.grant_usec[2]),
    R(U64, selfmanaging.grant_usec[3]),
};
const struct record_table record_learned = TABLE(learned);
#undef R

#define R(kind, path) ROW(obs_levers, kind, path)
static const struct wire_field levers_fields[] = {
    R(U64, time_usec), R(U64, boot_bytes), R(U64, balloon_actual_bytes), R(U64, plugged_bytes),
    R(U64, requested_bytes), R(U64, pluggable_bytes), R(U64, block_bytes), R(U64, online_bytes), R(BOOL, has_balloon),
    R(BOOL, deflate_on_oom), R(BOOL, plug_blocked),
};
const struct record_table record_levers = TABLE(levers);
#undef R

#define R(kind, path) ROW(obs_host_view, kind, path)
static const struct wire_field host_view_fields[] = {
    R(U64, time_usec), R(U64, resident_bytes), R(U64, swapped_bytes), R(U64, overhead_bytes), R(U64, disk_read_bytes),
};
const struct record_table record_host_view = TABLE(host_view);
#undef R

#define R(kind, path) ROW(obs_guest_view, kind, path)
static const struct wire_field view_fields[] = {
    R(U32, source), R(U64, time_usec), R(U64, heard_usec), R(U64, spacing_usec), R(U64, total_bytes),
    R(U64, free_bytes), R(U64, available_bytes), R(U64, cache_bytes), R(U64, shmem_bytes), R(U64, committed_bytes),
    R(U64, swap_total_bytes), R(U64, swap_used_bytes), R(U64, swapped_in_bytes), R(U64, refaulted_bytes),
    R(U64, balloon_bytes), R(U64, oom_kills), R(U64, psi_some_usec), R(U64, psi_full_usec), R(U64, kernel_free_bytes),
    R(U64, anon_bytes), R(U64, dirty_bytes), R(U64, commit_limit_bytes), R(U64, swapped_out_bytes),
};
const struct record_table record_view = TABLE(view);
#undef R

#define R(kind, path) ROW(obs_host, kind, path)
static const struct wire_field seen_fields[] = {
    R(U64, time_usec), R(U64, total_bytes), R(U64, available_bytes), R(U64, arc_bytes), R(U64, psi_some_usec),
};
const struct record_table record_seen = TABLE(seen);
#undef R

#define R(kind, path) ROW(host_config, kind, path)
static const struct wire_field host_config_fields[] = {
    R(U64, memory_kib), R(U64, reserve_kib), R(U32, overcommit_permille), R(U64, reservations_kib), R(U64, gathering_kib),
    R(BOOL, spread),
    R(BOOL, switches.no_books), R(BOOL, switches.no_reset_count), R(BOOL, switches.no_clamp),
    R(BOOL, switches.no_free_first), R(BOOL, switches.no_stuck), R(BOOL, switches.no_bound),
    R(BOOL, switches.no_position), R(BOOL, switches.no_lower), R(BOOL, switches.no_harm),
    R(BOOL, switches.no_adopt_hold), R(BOOL, switches.no_foreign_hand), R(BOOL, switches.no_ask),
};
const struct record_table record_host_config = TABLE(host_config);
#undef R

#define R(kind, path) ROW(host, kind, path)
static const struct wire_field host_fields[] = {
    R(U32, state), R(U32, waits_priority), R(U64, memory_kib), R(U64, overhead_kib), R(U64, assigned_kib),
    R(U64, held_kib), R(U64, exposure_kib), R(I64, capacity_kib), R(U64, pool_kib), R(I64, available_kib),
    R(I64, free_kib), R(U64, deficit_kib), R(BOOL, emergency), R(I64, grantable_kib), R(U32, share.step),
    R(U64, share.free_kib), R(U64, share.over_kib), R(U32, waiting.waiter), R(U32, waiting.waiters),
    R(U32, waiting.donor), R(U32, waiting.donors), R(U64, waiting.waiter_kib), R(U64, waiting.donor_kib),
    R(U64, waiting.wanted_kib), R(U64, waiting.free_kib), R(U64, waiting.coming_kib), R(U64, decisions),
};
const struct record_table record_host = TABLE(host);
#undef R

#define R(kind, path) ROW(guest_verdict, kind, path)
static const struct wire_field verdict_fields[] = {
    R(U64, levels.safe_kib), R(U64, levels.bound_kib), R(U64, levels.lower_kib), R(U64, levels.floor_kib),
    R(U64, levels.head_kib), R(U64, levels.top_kib), R(U64, levels.keep_kib), R(U64, held_kib), R(U64, exposure_kib),
    R(U64, counted_kib), R(U64, used_kib), R(U64, demand_kib), R(U64, target_kib), R(U64, given_kib),
    R(U64, penalty_kib), R(U64, shortfall_kib), R(U64, proof_kib), R(U64, rise_kib), R(U64, mark_kib),
    R(U64, limit_kib), R(U64, advice_kib), R(U64, weight), R(U64, pressure_permille), R(U64, sample_age_usec),
    R(U32, stall_percent), R(U32, flags), R(U32, memory_status), R(U32, order), R(U32, reason), R(U64, order_kib),
    R(BOOL, wants_host_view), R(BOOL, wants_view),
};
const struct record_table record_verdict = TABLE(verdict);
#undef R

#define R(kind, path) ROW(guest, kind, path)
static const struct wire_field kept_fields[] = {
    R(U64, harm.counter[0]), R(U64, harm.counter[1]), R(U64, harm.counter[2]), R(U64, harm.counter[3]),
    R(U64, harm.counter_usec[0]), R(U64, harm.counter_usec[1]), R(U64, harm.counter_usec[2]),
    R(U64, harm.counter_usec[3]), R(U64, harm.average[0]), R(U64, harm.average[1]), R(U64, harm.average[2]),
    R(U64, harm.average[3]), R(U64, harm.rate[0]), R(U64, harm.rate[1]), R(U64, harm.rate[2]), R(U64, harm.rate[3]),
    R(U64, harm.psi_full), R(U64, harm.psi_full_usec), R(U64, harm.full_ppm), R(U64, harm.hold_usec),
    R(U64, harm.take_usec), R(BOOL, harm.done), R(U64, harm.mark_kib), R(U64, harm.mark_until_usec),
    R(U64, warm.value), R(U64, warm.seen_usec), R(U64, rise_new.value), R(U64, rise_new.seen_usec),
    R(U64, proof.value), R(U64, proof.seen_usec), R(U64, rise.value), R(U64, rise.seen_usec),
    R(U64, selfmanaging.limit_kib), R(U64, selfmanaging.start_assigned_kib), R(U64, selfmanaging.start_used_kib),
    R(U64, selfmanaging.start_usec), R(U64, selfmanaging.honest_usec), R(U64, selfmanaging.peak_used_kib),
    R(U64, selfmanaging.grant_base_kib), R(U64, selfmanaging.grant_usec[0]), R(U64, selfmanaging.grant_usec[1]),
    R(U64, selfmanaging.grant_usec[2]), R(U64, selfmanaging.grant_usec[3]), R(U64, assigned_kib),
    R(U64, appeared_usec), R(U64, fell_usec), R(U64, booted_usec), R(U64, reset_usec), R(U64, owed_kib),
    R(U64, reset_assigned_kib), R(U64, used_least_kib), R(U64, busy_kib), R(U64, used_largest_kib),
    R(U64, demand_seen_kib), R(U32, stall_percent), R(BOOL, honest), R(BOOL, foreign_hand), R(BOOL, paused),
    R(U32, hold), R(BOOL, breach), R(U64, resumed_usec), R(U64, stalled_since_usec), R(U64, excess_since_usec),
    R(U32, breaches), R(U32, take_step_permille), R(U64, take_tick_usec), R(BOOL, motion.active),
    R(U64, motion.target_kib), R(U64, motion.from_kib), R(U64, motion.ordered_usec), R(U64, motion.moved_usec),
    R(U64, motion.last_kib), R(U32, motion.withdrawals), R(U64, motion.still_usec), R(U64, motion.stuck_since_usec),
    R(U64, motion.retry_usec), R(U64, motion.retry_wait_usec), R(BOOL, motion.stuck_growing), R(U64, foreign.base_kib),
    R(U64, foreign.touched_kib), R(U64, foreign.ours_usec), R(U64, foreign.fell_usec), R(U64, foreign.low_kib), R(U64, band.aged_usec),
    R(U64, band.seen_usec), R(U64, band.raised_usec), R(U32, band.raise_points),
};
const struct record_table record_kept = TABLE(kept);
#undef R

void record_object_print(struct wire_text *t, const char *name, const struct record_table *table, const void *object)
{
    wire_text_adds(t, ",\"");
    wire_text_adds(t, name);
    wire_text_adds(t, "\":{");
    wire_fields_print(t, table->fields, table->count, object);
    wire_text_adds(t, "}");
}

int record_object_parse(const struct json_object *json, const struct record_table *table, void *object, struct err *e)
{
    if (!json_object_is_type(json, json_type_object))
        return err_set(e, EBADMSG, "an object was expected");
    for (size_t i = 0; i < table->count; i++)
        if (!json_object_object_get_ex(json, table->fields[i].name, NULL))
            return err_set(e, EBADMSG, "'%s' is missing", table->fields[i].name);
    return wire_fields_parse(json, table->fields, table->count, object, e);
}

int record_member_parse(const struct json_object *json, const char *name, const struct record_table *table,
                        void *object, struct err *e)
{
    struct json_object *member;

    if (!json_object_object_get_ex(json, name, &member))
        return err_set(e, EBADMSG, "'%s' is missing", name);
    return record_object_parse(member, table, object, e) < 0 ? err_wrap(e, "'%s'", name) : 0;
}

uint64_t record_digest_number(uint64_t start, uint64_t value)
{
    const uint64_t prime = 1099511628211ULL;
    uint64_t sum = (start ^ value) * prime;

    return sum ^ sum >> 32;
}

uint64_t record_digest(uint64_t start, const struct record_table *table, const void *object)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct wire_field *f = &table->fields[i];
        const char *at = (const char *)object + f->offset;
        uint64_t value = 0;
        uint32_t small;

        if (f->kind == WIRE_KIND_BOOL) {
            value = *(const bool *)at;
        } else if (f->kind == WIRE_KIND_U32) {
            memcpy(&small, at, sizeof(small));
            value = small;
        } else {
            memcpy(&value, at, sizeof(value)); /* 64 bits, with or without a sign */
        }
        start = record_digest_number(start, value);
    }
    return start;
}
