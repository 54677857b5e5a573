/* SPDX-License-Identifier: Apache-2.0 */
#include "vector_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demand.h"
#include "kib.h"
#include "levels.h"
#include "own.h"
#include "share.h"
#include "weight.h"

static void put(struct vector_output *out, const char *name, uint64_t value)
{
    out->results[out->n++] = (struct vector_result){.name = name, .value = value};
}

static int64_t as_signed(uint64_t bits)
{
    int64_t value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* ---- The rules ---- */

enum { D_BOOT, D_PLUGGED, D_ONLINE, D_BALLOON, D_DEFLATE, D_TOTAL, D_AVAILABLE, D_COMMITTED, D_SWAPPED, D_REFAULTED, D_UNIT,
       D_STALLED, D_NOW, D_COUNT };

static const struct vector_field demand_fields[] = {
    [D_BOOT] = {"boot_kib", VECTOR_SIZE},
    [D_PLUGGED] = {"plugged_kib", VECTOR_UNUSED},
    [D_ONLINE] = {"online_kib", VECTOR_SIZE},
    [D_BALLOON] = {"balloon_pages", VECTOR_SIZE},
    [D_DEFLATE] = {"deflate_on_oom", VECTOR_UNUSED},
    [D_TOTAL] = {"mem_total_kib", VECTOR_UNUSED},
    [D_AVAILABLE] = {"mem_available_kib", VECTOR_SIZE},
    [D_COMMITTED] = {"committed_kib", VECTOR_SIZE},
    [D_SWAPPED] = {"swapped_in", VECTOR_SIZE},
    [D_REFAULTED] = {"refaulted", VECTOR_SIZE},
    [D_UNIT] = {"unit_bytes", VECTOR_SIZE},
    [D_STALLED] = {"stalled", VECTOR_FLAG},
    [D_NOW] = {"assigned_now_kib", VECTOR_SIZE},
    [D_COUNT] = {NULL, 0},
};

static bool demand_run(const struct vector_input *in, struct vector_output *out)
{
    const uint64_t *v = in->value;
    uint64_t balloon_kib = kib_saturate((kib_wide)v[D_BALLOON] * 4);
    uint64_t assigned_kib = demand_assigned_kib(v[D_BOOT], v[D_ONLINE], balloon_kib);
    uint64_t missed_kib = demand_missed_kib(kib_saturate((kib_wide)v[D_SWAPPED] * v[D_UNIT]),
                                            kib_saturate((kib_wide)v[D_REFAULTED] * v[D_UNIT]), assigned_kib);
    uint64_t used_kib = demand_used_kib(assigned_kib, v[D_AVAILABLE], missed_kib, /* kept= */ 0);

    if (v[D_STALLED])
        used_kib = kib_max(used_kib, demand_stalled_kib(v[D_NOW]));
    put(out, "assigned_kib", assigned_kib);
    put(out, "missed_kib", missed_kib);
    put(out, "demand_used_kib", used_kib);
    put(out, "floor_kib", demand_kernel_floor_kib(assigned_kib));
    put(out, "demand_committed_kib", demand_committed_kib(v[D_COMMITTED], assigned_kib));
    return true;
}

enum { T_BUFFER_OF, T_BUFFER, T_DEMAND, T_ASSIGNED, T_MINIMUM, T_MAXIMUM, T_COUNT };

static const struct vector_field target_fields[] = {
    [T_BUFFER_OF] = {"buffer_of", VECTOR_BUFFER_OF},
    [T_BUFFER] = {"buffer", VECTOR_INTEGER},
    [T_DEMAND] = {"demand_kib", VECTOR_SIZE},
    [T_ASSIGNED] = {"assigned_kib", VECTOR_SIZE},
    [T_MINIMUM] = {"minimum_kib", VECTOR_SIZE},
    [T_MAXIMUM] = {"maximum_kib", VECTOR_SIZE},
    [T_COUNT] = {NULL, 0},
};

static bool target_run(const struct vector_input *in, struct vector_output *out)
{
    const uint64_t *v = in->value;
    uint64_t unclamped_kib, target_kib;

    if (!demand_target_kib((enum buffer_of)v[T_BUFFER_OF], as_signed(v[T_BUFFER]), v[T_DEMAND], v[T_MINIMUM],
                           v[T_MAXIMUM], &unclamped_kib, &target_kib))
        return false;
    put(out, "unclamped_kib", unclamped_kib);
    put(out, "target_kib", target_kib);
    put(out, "pressure_permille", demand_pressure_permille(v[T_DEMAND], v[T_ASSIGNED]));
    return true;
}

enum { L_MINIMUM, L_MAXIMUM, L_STARTUP, L_ASSIGNED, L_PLUGGED, L_PROOF, L_DEMAND, L_USED, L_SWAP_TOTAL, L_SWAP_USED,
       L_TARGET, L_RISE, L_SIGNAL, L_STALL, L_WAITS, L_MARK, L_LIMIT, L_LAZY, L_COUNT };

static const struct vector_field levels_fields[] = {
    [L_MINIMUM] = {"minimum_kib", VECTOR_SIZE},
    [L_MAXIMUM] = {"maximum_kib", VECTOR_SIZE},
    [L_STARTUP] = {"startup_kib", VECTOR_SIZE},
    [L_ASSIGNED] = {"assigned_kib", VECTOR_SIZE},
    [L_PLUGGED] = {"plugged_kib", VECTOR_SIZE},
    [L_PROOF] = {"proof_kib", VECTOR_SIZE},
    [L_DEMAND] = {"demand_kib", VECTOR_SIZE},
    [L_USED] = {"used_kib", VECTOR_SIZE},
    [L_SWAP_TOTAL] = {"swap_total_kib", VECTOR_SIZE},
    [L_SWAP_USED] = {"swap_used_kib", VECTOR_SIZE},
    [L_TARGET] = {"target_kib", VECTOR_SIZE},
    [L_RISE] = {"rise_kib", VECTOR_SIZE},
    [L_SIGNAL] = {"stall_signal", VECTOR_FLAG},
    [L_STALL] = {"stall_percent", VECTOR_SIZE},
    [L_WAITS] = {"higher_waits", VECTOR_FLAG},
    [L_MARK] = {"mark_kib", VECTOR_SIZE},
    [L_LIMIT] = {"limit_kib", VECTOR_SIZE},
    [L_LAZY] = {"lazy", VECTOR_FLAG},
    [L_COUNT] = {NULL, 0},
};

static bool levels_run(const struct vector_input *in, struct vector_output *out)
{
    const uint64_t *v = in->value;
    const struct levels_in levels_in = {
        .minimum_kib = v[L_MINIMUM],
        .maximum_kib = v[L_MAXIMUM],
        .startup_kib = v[L_STARTUP],
        .assigned_kib = v[L_ASSIGNED],
        .plugged_kib = v[L_PLUGGED],
        .proof_kib = v[L_PROOF],
        .demand_kib = v[L_DEMAND],
        .used_kib = v[L_USED],
        .swap_total_kib = v[L_SWAP_TOTAL],
        .swap_used_kib = v[L_SWAP_USED],
        .target_kib = v[L_TARGET],
        .rise_kib = v[L_RISE],
        .mark_kib = v[L_MARK],
        .limit_kib = v[L_LIMIT],
        .stall_percent = (uint32_t)kib_min(v[L_STALL], UINT32_MAX),
        .stall_signal = v[L_SIGNAL],
        .higher_waits = v[L_WAITS],
        .lazy = v[L_LAZY],
    };
    struct levels l;

    levels_compute(&levels_in, &l);
    put(out, "safe_kib", l.safe_kib);
    put(out, "bound_kib", l.bound_kib);
    put(out, "lower_kib", l.lower_kib);
    put(out, "floor_kib", l.floor_kib);
    put(out, "head_kib", l.head_kib);
    put(out, "top_kib", l.top_kib);
    put(out, "keep_kib", l.keep_kib);
    return true;
}

enum { W_PRIORITY, W_ACTIVE, W_TAX, W_COUNT };

static const struct vector_field weight_fields[] = {
    [W_PRIORITY] = {"priority", VECTOR_INTEGER},
    [W_ACTIVE] = {"active_ppm", VECTOR_INTEGER},
    [W_TAX] = {"tax_ppm", VECTOR_INTEGER},
    [W_COUNT] = {NULL, 0},
};

static bool weight_run(const struct vector_input *in, struct vector_output *out)
{
    const uint64_t *v = in->value;
    uint64_t weight;

    if (!weight_compute(as_signed(v[W_PRIORITY]), as_signed(v[W_ACTIVE]), as_signed(v[W_TAX]), &weight))
        return false;
    put(out, "weight", weight);
    return true;
}

enum { S_CAPACITY, S_POOL, S_LOWER, S_FLOOR, S_HEAD, S_TOP, S_KEEP, S_WEIGHT, S_COUNT };

static const struct vector_field share_fields[] = {
    [S_CAPACITY] = {"capacity_kib", VECTOR_INTEGER},
    [S_POOL] = {"pool_kib", VECTOR_SIZE},
    [S_LOWER] = {"lower_kib", VECTOR_LIST},
    [S_FLOOR] = {"floor_kib", VECTOR_LIST},
    [S_HEAD] = {"head_kib", VECTOR_LIST},
    [S_TOP] = {"top_kib", VECTOR_LIST},
    [S_KEEP] = {"keep_kib", VECTOR_LIST},
    [S_WEIGHT] = {"weight", VECTOR_LIST},
    [S_COUNT] = {NULL, 0},
};

void *vector_list_new(size_t n, size_t size)
{
    void *list = calloc(n + 1, size); /* + 1: an empty list is one, too */

    if (!list) {
        fputs("vectors: no memory for a list\n", stderr);
        exit(2);
    }
    return list;
}

static bool share_run(const struct vector_input *in, struct vector_output *out)
{
    size_t n = in->length[S_WEIGHT];
    AUTO_FREE struct levels *levels = vector_list_new(n, sizeof(*levels));
    AUTO_FREE struct share_slot *slots = vector_list_new(n, sizeof(*slots));
    struct share_result result;

    for (size_t f = S_LOWER; f <= S_WEIGHT; f++)
        if (in->length[f] != n)
            return false;
    for (size_t i = 0; i < n; i++) {
        if (in->list[S_WEIGHT][i] < 1)
            return false;
        levels[i].lower_kib = in->list[S_LOWER][i];
        levels[i].floor_kib = in->list[S_FLOOR][i];
        levels[i].head_kib = in->list[S_HEAD][i];
        levels[i].top_kib = in->list[S_TOP][i];
        levels[i].keep_kib = in->list[S_KEEP][i];
    }
    out->given = vector_list_new(n, sizeof(*out->given));
    share_divide(as_signed(in->value[S_CAPACITY]), in->value[S_POOL], levels, in->list[S_WEIGHT], n, slots, out->given,
                 &result);
    put(out, "step", result.step);
    out->results[out->n++] = (struct vector_result){.name = "given_kib", .list = out->given, .length = n};
    put(out, "free_kib", result.free_kib);
    put(out, "over_kib", result.over_kib);
    return true;
}

const struct vector_rule vector_rules[VECTOR_RULES_COUNT] = {
    {"boot_kib", demand_fields, demand_run, false},   {"buffer_of", target_fields, target_run, true},
    {"proof_kib", levels_fields, levels_run, false},  {"tax_ppm", weight_fields, weight_run, true},
    {"capacity_kib", share_fields, share_run, false},
};
