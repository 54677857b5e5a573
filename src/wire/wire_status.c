/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "own.h"

OWN_DEFINE(wire_status);

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define D(kind, member) WIRE_FIELD(wire_daemon, kind, member)
#define H(kind, member) WIRE_FIELD(wire_host, kind, member)
#define G(kind, member) WIRE_FIELD(wire_guest, kind, member)

static const struct wire_field daemon_fields[] = {
    D(TEXT, version), D(U64, pid), D(U64, uptime_ms), D(U64, policy_version), D(TEXT, config),
    D(TEXT, config_hash), D(TEXT, guests_dir), D(TEXT, state_dir), D(BOOL, dry_run),
};

static const struct wire_field host_fields[] = {
    H(TEXT, name), H(TEXT, state), H(TEXT, moves), H(TEXT, moves_text), H(U64, total_bytes), H(U64, available_bytes), H(U64, memory_bytes),
    H(U64, reserve_bytes), H(U64, reservations_bytes), H(I64, capacity_bytes), H(U64, pool_bytes),
    H(U64, assigned_bytes), H(U64, held_bytes), H(U64, overhead_bytes), H(U64, exposure_bytes),
    H(U64, startup_bytes), H(U64, minimum_bytes), H(U64, maximum_bytes), H(U64, demand_bytes), H(U64, target_bytes),
    H(U64, penalty_bytes), H(U64, shortfall_bytes), H(I64, free_bytes), H(I64, grantable_bytes),
    H(PERCENT, overcommit_percent), H(U64, share_step), H(TEXT, share_text), H(U64, over_bytes), H(U64, stall_usec),
    H(BOOL, squeezed), H(U64, waits_priority), H(U64, decisions), H(U64, orders), H(U64, turns), H(U64, moved_bytes),
    H(U64, guest_count), H(U64, watched), H(I64, saving_bytes),
};

static const struct wire_field guest_fields[] = {
    G(TEXT, name), G(TEXT, identity), G(TEXT, uuid), G(TEXT, driver), G(U64, pid), G(TEXT, incarnation),
    G(TEXT, owner), G(TEXT, config_entry), G(TEXT, set_text), G(U64, running_ms), G(U64, known_ms),
    G(TEXT, state), G(TEXT, mode), G(BOOL, balanced), G(TEXT, memory_status), G(U64, startup_bytes),
    G(U64, minimum_bytes),
    G(U64, maximum_bytes), G(U64, assigned_bytes), G(U64, boot_bytes), G(U64, balloon_bytes), G(U64, plugged_bytes),
    G(U64, online_bytes), G(U64, pluggable_bytes), G(U64, visible_bytes), G(I64, hidden_bytes),
    G(TEXT, hidden_reason), G(U64, held_bytes), G(U64, resident_bytes), G(U64, swapped_bytes),
    G(U64, overhead_bytes), G(U64, exposure_bytes), G(TEXT, lent_reason), G(U64, counted_bytes), G(U64, demand_bytes),
    G(TEXT, demand_source), G(TEXT, demand_rule), G(U64, sample_age_ms), G(U64, used_bytes), G(U64, available_bytes),
    G(U64, unused_bytes), G(U64, cache_bytes), G(U64, committed_bytes), G(U64, commit_limit_bytes),
    G(U64, anon_bytes), G(U64, shmem_bytes), G(U64, dirty_bytes), G(U64, kernel_free_bytes), G(U64, swap_total_bytes),
    G(U64, swap_used_bytes), G(U64, swapped_in_bytes), G(U64, swapped_out_bytes), G(U64, refaulted_bytes),
    G(U64, oom_kills), G(U64, psi_some_usec), G(U64, psi_full_usec), G(U64, rate_ms), G(U64, swap_in_rate_bytes),
    G(U64, swap_out_rate_bytes), G(U64, refault_rate_bytes), G(PERCENT, psi_some_percent),
    G(PERCENT, psi_full_percent), G(TEXT, hypervisor), G(BOOL, balloon), G(TEXT, deflate_on_oom), G(TEXT, page_reporting),
    G(TEXT, fixed_reason), G(TEXT, agent_port), G(BOOL, shared_monitor), G(BOOL, kernel_short), G(U64, machine_maximum_bytes),
    G(U64, memory_slots), G(U64, levers_age_ms), G(U64, host_age_ms), G(PERCENT, pressure_percent), G(PERCENT, pressure_low_percent),
    G(PERCENT, pressure_high_percent), G(BOOL, band), G(PERCENT, buffer_percent), G(TEXT, buffer_of),
    G(U64, target_bytes), G(U64, given_bytes), G(U64, penalty_bytes), G(U64, shortfall_bytes), G(U64, priority),
    G(TEXT, reclaim), G(U64, safe_bytes), G(U64, bound_bytes), G(U64, lower_bytes), G(U64, floor_bytes),
    G(U64, head_bytes), G(U64, top_bytes), G(U64, keep_bytes), G(U64, proof_bytes), G(U64, rise_bytes),
    G(U64, mark_bytes), G(U64, mark_left_ms), G(U64, limit_bytes), G(PERCENT, stall_percent), G(U64, advice_bytes),
    G(TEXT, order), G(U64, order_bytes), G(TEXT, order_reason), G(U64, in_flight_bytes), G(U64, orders), G(U64, turns),
    G(U64, moved_bytes), G(U64, breaches), G(TEXT, trouble),
};

void wire_daemon_clear(struct wire_daemon *d)
{
    wire_fields_clear(daemon_fields, COUNT(daemon_fields), d);
}

void wire_host_clear(struct wire_host *h)
{
    wire_fields_clear(host_fields, COUNT(host_fields), h);
}

void wire_guest_clear(struct wire_guest *g)
{
    wire_fields_clear(guest_fields, COUNT(guest_fields), g);
    g->flag_count = 0;
}

void wire_guest_flag(struct wire_guest *g, const char *name, const char *reason)
{
    struct wire_flag *flag;

    if (g->flag_count >= WIRE_FLAGS_MAX)
        return;
    flag = &g->flags[g->flag_count++];
    wire_text_take(flag->name, sizeof(flag->name), name);
    wire_text_take(flag->reason, sizeof(flag->reason), reason);
}

static void host_print(struct wire_text *t, const struct wire_host *h)
{
    wire_text_adds(t, "\"host\":{");
    wire_fields_print(t, host_fields, COUNT(host_fields), h);
    wire_text_adds(t, "}");
}

/* The guest's members, without braces. */
static void guest_print(struct wire_text *t, const struct wire_guest *g)
{
    wire_fields_print(t, guest_fields, COUNT(guest_fields), g);
    wire_text_adds(t, ",\"flags\":[");
    for (size_t i = 0; i < g->flag_count; i++) {
        wire_text_adds(t, i > 0 ? "," : "");
        wire_text_string(t, g->flags[i].name);
    }
    wire_text_adds(t, "],\"reasons\":{");
    for (size_t i = 0; i < g->flag_count; i++) {
        wire_text_adds(t, i > 0 ? "," : "");
        wire_text_string(t, g->flags[i].name);
        wire_text_adds(t, ":");
        wire_text_string(t, g->flags[i].reason);
    }
    wire_text_adds(t, "}");
}

void wire_status_begin(struct wire_text *t, const struct wire_daemon *d, const struct wire_host *h,
                       const struct wire_warning *warnings, size_t warning_count)
{
    wire_text_format(t, "{\"api\":%d,\"daemon\":{", WIRE_API_VERSION);
    wire_fields_print(t, daemon_fields, COUNT(daemon_fields), d);
    wire_text_adds(t, "},\n");
    host_print(t, h);
    wire_text_adds(t, ",\n\"warnings\":[");
    for (size_t i = 0; i < warning_count; i++) {
        wire_text_adds(t, i > 0 ? ",\n{\"text\":" : "{\"text\":");
        wire_text_string(t, warnings[i].text);
        wire_text_adds(t, ",\"age_ms\":");
        wire_text_u64(t, warnings[i].age_ms);
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "],\n\"guests\":[");
}

void wire_status_guest(struct wire_text *t, const struct wire_guest *g, bool first)
{
    wire_text_adds(t, first ? "\n{" : ",\n{");
    guest_print(t, g);
    wire_text_adds(t, "}");
}

void wire_status_end(struct wire_text *t)
{
    wire_text_adds(t, "]}\n");
}

void wire_status_print(struct wire_text *t, const struct wire_status *s)
{
    wire_status_begin(t, &s->daemon, &s->host, s->warnings, s->warning_count);
    for (size_t i = 0; i < s->guest_count; i++)
        wire_status_guest(t, &s->guests[i], i == 0);
    wire_status_end(t);
}

void wire_guest_print(struct wire_text *t, const struct wire_guest *g, const struct wire_host *h)
{
    wire_text_adds(t, "{");
    guest_print(t, g);
    wire_text_adds(t, ",\n");
    host_print(t, h);
    wire_text_adds(t, "}\n");
}

void wire_daemon_print(struct wire_text *t, const struct wire_daemon *d)
{
    wire_text_format(t, "{\"api\":%d,", WIRE_API_VERSION);
    wire_fields_print(t, daemon_fields, COUNT(daemon_fields), d);
    wire_text_adds(t, "}\n");
}

/* Member `name` of the wanted type, or NULL with e set where it is missing or of another. */
static struct json_object *member_get(const struct json_object *json, const char *name, enum json_type type,
                                      struct err *e)
{
    struct json_object *value;

    if (!json_object_object_get_ex(json, name, &value) || !json_object_is_type(value, type)) {
        (void)err_set(e, EBADMSG, "'%s' should be %s and is %s", name, json_type_to_name(type),
                      json_object_object_get_ex(json, name, NULL) ? "something else" : "missing");
        return NULL;
    }
    return value;
}

static int flags_parse(const struct json_object *json, struct wire_guest *g, struct err *e)
{
    struct json_object *flags, *reasons, *reason;
    size_t n;

    g->flag_count = 0;
    if (!json_object_object_get_ex(json, "flags", &flags) || !flags)
        return 0;
    if (!json_object_is_type(flags, json_type_array))
        return err_set(e, EBADMSG, "'flags' should be an array");
    if (!json_object_object_get_ex(json, "reasons", &reasons) || !json_object_is_type(reasons, json_type_object))
        reasons = NULL;
    n = json_object_array_length(flags);
    for (size_t i = 0; i < n && i < WIRE_FLAGS_MAX; i++) {
        struct json_object *flag = json_object_array_get_idx(flags, i);
        const char *name;

        if (!json_object_is_type(flag, json_type_string))
            return err_set(e, EBADMSG, "a flag should be a text");
        name = json_object_get_string(flag);
        if (reasons && json_object_object_get_ex(reasons, name, &reason) &&
            json_object_is_type(reason, json_type_string))
            wire_guest_flag(g, name, json_object_get_string(reason));
        else
            wire_guest_flag(g, name, "");
    }
    return 0;
}

static int guest_parse(const struct json_object *json, struct wire_guest *g, struct err *e)
{
    int r;

    wire_guest_clear(g);
    r = wire_fields_parse(json, guest_fields, COUNT(guest_fields), g, e);
    if (r == 0)
        r = flags_parse(json, g, e);
    if (r == 0 && !g->name[0])
        r = err_set(e, EBADMSG, "it has no name");
    return r < 0 && g->name[0] ? err_wrap(e, "guest '%s'", g->name) : r;
}

static int host_parse(const struct json_object *json, struct wire_host *h, struct err *e)
{
    struct json_object *host = member_get(json, "host", json_type_object, e);

    if (!host)
        return -e->code;
    if (wire_fields_parse(host, host_fields, COUNT(host_fields), h, e) < 0)
        return err_wrap(e, "host");
    return 0;
}

static int warnings_parse(const struct json_object *json, struct wire_status *s, struct err *e)
{
    static const struct wire_field fields[] = {
        WIRE_FIELD(wire_warning, TEXT, text),
        WIRE_FIELD(wire_warning, U64, age_ms),
    };
    struct json_object *warnings;
    size_t n;

    if (!json_object_object_get_ex(json, "warnings", &warnings) || !warnings)
        return 0;
    if (!json_object_is_type(warnings, json_type_array))
        return err_set(e, EBADMSG, "'warnings' should be an array");
    n = json_object_array_length(warnings);
    for (size_t i = 0; i < n && i < WIRE_WARNINGS_MAX; i++) {
        if (wire_fields_parse(json_object_array_get_idx(warnings, i), fields, COUNT(fields), &s->warnings[i], e) < 0)
            return err_wrap(e, "warning %zu", i + 1);
        s->warning_count++;
    }
    return 0;
}

static int guests_parse(const struct json_object *json, struct wire_status *s, struct err *e)
{
    struct json_object *guests = member_get(json, "guests", json_type_array, e);
    size_t n;

    if (!guests)
        return -e->code;
    n = json_object_array_length(guests);
    if (n > WIRE_GUESTS_MAX)
        return err_set(e, EBADMSG, "%zu guests are more than the %d that one daemon drives", n, WIRE_GUESTS_MAX);
    s->guests = calloc(n > 0 ? n : 1, sizeof(*s->guests));
    if (!s->guests)
        return err_set(e, ENOMEM, "no memory for %zu guests", n);
    for (size_t i = 0; i < n; i++) {
        if (guest_parse(json_object_array_get_idx(guests, i), &s->guests[i], e) < 0)
            return err_wrap(e, "guest %zu of %zu", i + 1, n);
        s->guest_count++;
    }
    return 0;
}

static int daemon_parse(const struct json_object *json, struct wire_daemon *d, struct err *e)
{
    return wire_fields_parse(json, daemon_fields, COUNT(daemon_fields), d, e);
}

static int status_parse(const struct json_object *json, struct wire_status *s, struct err *e)
{
    struct json_object *d = member_get(json, "daemon", json_type_object, e);
    int r;

    if (!d)
        return -e->code;
    r = daemon_parse(d, &s->daemon, e);
    if (r < 0)
        return err_wrap(e, "daemon");
    r = host_parse(json, &s->host, e);
    if (r == 0)
        r = warnings_parse(json, s, e);
    if (r == 0)
        r = guests_parse(json, s, e);
    return r;
}

int wire_status_parse(const char *buf, size_t length, struct wire_status **ret, struct err *e)
{
    AUTO(wire_status) struct wire_status *s = NULL;
    struct json_object *json;
    int r;

    if (length > WIRE_STATUS_SIZE_MAX)
        return err_set(e, EBADMSG, "a status of %zu bytes is longer than any can be", length);
    r = wire_json_parse(buf, length, &json, e);
    if (r < 0)
        return r;
    s = calloc(1, sizeof(*s));
    r = s ? status_parse(json, s, e) : err_set(e, ENOMEM, "no memory for a status");
    (void)json_object_put(json);
    if (r == 0)
        *ret = TAKE(s);
    return r;
}

struct wire_status *wire_status_free(struct wire_status *s)
{
    if (s)
        free(s->guests);
    free(s);
    return NULL;
}

int wire_guest_parse(const char *buf, size_t length, struct wire_guest *ret, struct wire_host *ret_host,
                     struct err *e)
{
    struct json_object *json;
    struct wire_guest g;
    struct wire_host h;
    int r;

    r = wire_json_parse(buf, length, &json, e);
    if (r < 0)
        return r;
    r = guest_parse(json, &g, e);
    if (r == 0)
        r = host_parse(json, &h, e);
    (void)json_object_put(json);
    if (r == 0) {
        *ret = g;
        *ret_host = h;
    }
    return r;
}

int wire_daemon_parse(const char *buf, size_t length, struct wire_daemon *ret, struct err *e)
{
    struct json_object *json;
    struct wire_daemon d;
    int r;

    r = wire_json_parse(buf, length, &json, e);
    if (r < 0)
        return r;
    r = daemon_parse(json, &d, e);
    (void)json_object_put(json);
    if (r == 0)
        *ret = d;
    return r;
}
