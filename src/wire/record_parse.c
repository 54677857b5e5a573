/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "policy_defaults.h"
#include "record_fields.h"
#include "record_input.h"

/* A record is a file that somebody brought: whatever is in it, the core must be able to take it. Sizes beyond what the core
 * bounds by itself are refused here, as are numbers that stand for words. */

#define SIZE_MAX_BYTES (POLICY_KIB_MAX * 1024)
#define OVERCOMMIT_MAX_PERMILLE 1000000U

static int number_take(const struct json_object *json, const char *name, uint64_t most, uint64_t *ret, struct err *e)
{
    struct json_object *member;

    if (!json_object_object_get_ex(json, name, &member) || !json_object_is_type(member, json_type_int) ||
        json_object_get_int64(member) < 0)
        return err_set(e, EBADMSG, "'%s' should be a whole number that is not negative", name);
    *ret = json_object_get_uint64(member);
    return *ret <= most ? 0 : err_set(e, EBADMSG, "'%s' is %" PRIu64 ", the most is %" PRIu64, name, *ret, most);
}

static int text_take(const struct json_object *json, const char *name, char *to, size_t size, struct err *e)
{
    struct json_object *member;

    if (!json_object_object_get_ex(json, name, &member) || !json_object_is_type(member, json_type_string))
        return err_set(e, EBADMSG, "'%s' should be a text", name);
    wire_text_copy(to, size, json_object_get_string(member));
    return 0;
}

static int guest_take(const struct json_object *json, const char *name, uint32_t *ret, struct err *e)
{
    uint64_t id = 0;
    int r = number_take(json, name, RECORD_GUESTS_MAX - 1, &id, e);

    *ret = (uint32_t)id;
    return r;
}

/* ---- what the core can't take ---- */

static int word_check(const char *what, uint32_t value, uint32_t count, struct err *e)
{
    return value < count ? 0 : err_set(e, EBADMSG, "'%s' is %u, which stands for nothing", what, value);
}

static int config_check(const struct guest_config *c, struct err *e)
{
    int r = word_check("buffer_of", c->buffer_of, BUFFER_OF_COUNT, e);

    r = r < 0 ? r : word_check("demand", c->demand, DEMAND_MODE_COUNT, e);
    r = r < 0 ? r : word_check("mode", c->mode, GUEST_MODE_COUNT, e);
    r = r < 0 ? r : word_check("reclaim", c->reclaim, GUEST_RECLAIM_COUNT, e);
    r = r < 0 ? r : word_check("self_managing", c->self_managing, GUEST_CHOICE_COUNT, e);
    if (r >= 0 && (c->startup_kib > POLICY_KIB_MAX || c->minimum_kib > POLICY_KIB_MAX || c->maximum_kib > POLICY_KIB_MAX))
        return err_set(e, EBADMSG, "a size of 'config' is beyond %llu KiB", POLICY_KIB_MAX);
    return r;
}

static int host_view_check(const struct obs_host_view *v, struct err *e)
{
    return v->overhead_bytes <= SIZE_MAX_BYTES
               ? 0 : err_set(e, EBADMSG, "'overhead_bytes' is beyond %llu", SIZE_MAX_BYTES);
}

static int seen_check(const struct obs_host *seen, struct err *e)
{
    return seen->total_bytes <= SIZE_MAX_BYTES && seen->available_bytes <= SIZE_MAX_BYTES && seen->arc_bytes <= SIZE_MAX_BYTES
               ? 0 : err_set(e, EBADMSG, "a size of 'seen' is beyond %llu bytes", SIZE_MAX_BYTES);
}

static int host_config_check(const struct host_config *c, struct err *e)
{
    if (c->memory_kib > POLICY_KIB_MAX || c->reserve_kib > POLICY_KIB_MAX || c->reservations_kib > POLICY_KIB_MAX ||
        c->gathering_kib > POLICY_KIB_MAX || c->overcommit_permille > OVERCOMMIT_MAX_PERMILLE)
        return err_set(e, EBADMSG, "a number of the host's 'config' is too large");
    return 0;
}

static int verdict_check(const struct guest_verdict *v, struct err *e)
{
    int r = word_check("order", v->order, GUEST_ORDER_COUNT, e);

    r = r < 0 ? r : word_check("reason", v->reason, GUEST_REASON_COUNT, e);
    return r < 0 ? r : word_check("memory_status", v->memory_status, GUEST_MEMORY_STATUS_COUNT, e);
}

static int state_check(const struct guest *g, struct err *e)
{
    int r = config_check(&g->config, e);

    r = r < 0 ? r : host_view_check(&g->host, e);
    r = r < 0 ? r : verdict_check(&g->verdict, e);
    r = r < 0 ? r : word_check("source", g->view.source, OBS_SOURCE_COUNT, e);
    r = r < 0 ? r : word_check("hold", g->hold, GUEST_HOLD_COUNT, e);
    if (r >= 0 && (g->assigned_kib > 2 * POLICY_KIB_MAX || g->owed_kib > 2 * POLICY_KIB_MAX ||
                   g->reset_assigned_kib > 2 * POLICY_KIB_MAX || g->motion.target_kib > 2 * POLICY_KIB_MAX ||
                   g->levers.boot_bytes > SIZE_MAX_BYTES || g->levers.balloon_actual_bytes > SIZE_MAX_BYTES ||
                   g->levers.online_bytes > SIZE_MAX_BYTES))
        return err_set(e, EBADMSG, "a size of the guest's state is too large");
    return r;
}

static int input_check(const struct input *in, struct err *e)
{
    if (in->kind == INPUT_APPEARED || in->kind == INPUT_CONFIGURED)
        return config_check(&in->config, e);
    if (in->kind == INPUT_HOST_VIEW)
        return host_view_check(&in->host_view, e);
    if (in->kind == INPUT_VIEW)
        return word_check("source", in->view.source, OBS_SOURCE_COUNT, e);
    if (in->kind == INPUT_HELD)
        return word_check("hold", in->hold, GUEST_HOLD_COUNT, e);
    if (in->kind == INPUT_ORDERED && in->target_kib > 2 * POLICY_KIB_MAX)
        return err_set(e, EBADMSG, "'target_kib' is too large");
    return 0;
}

/* ---- arrays ---- */

/* Row i of an array of arrays of `width` whole numbers. */
static int row_take(const struct json_object *list, size_t i, size_t width, uint64_t *ret, struct err *e)
{
    struct json_object *row = json_object_array_get_idx(list, i);

    if (!json_object_is_type(row, json_type_array) || json_object_array_length(row) != width)
        return err_set(e, EBADMSG, "row %zu should hold %zu numbers", i, width);
    for (size_t k = 0; k < width; k++) {
        struct json_object *number = json_object_array_get_idx(row, k);

        if (!json_object_is_type(number, json_type_int) || json_object_get_int64(number) < 0)
            return err_set(e, EBADMSG, "row %zu holds something that is no whole number", i);
        ret[k] = json_object_get_uint64(number);
    }
    return 0;
}

static int list_take(const struct json_object *json, const char *name, size_t most, struct json_object **ret, size_t *ret_n,
                     struct err *e)
{
    if (!json_object_object_get_ex(json, name, ret) || !json_object_is_type(*ret, json_type_array))
        return err_set(e, EBADMSG, "'%s' should be an array", name);
    *ret_n = json_object_array_length(*ret);
    return *ret_n <= most ? 0 : err_set(e, EBADMSG, "'%s' has %zu entries, the most are %zu", name, *ret_n, most);
}

static int recent_take(const struct json_object *json, const char *name, struct recent *ret, struct err *e)
{
    struct json_object *list;
    uint64_t row[4];
    size_t n;
    int r = list_take(json, name, RECENT_SLOTS, &list, &n, e);

    for (size_t i = 0; r >= 0 && i < n; i++) {
        r = row_take(list, i, 4, row, e);
        if (r >= 0)
            ret->slots[row[0] % RECENT_SLOTS] = (struct recent_slot){row[0], row[1], row[2], row[3]};
    }
    return r < 0 ? err_wrap(e, "'%s'", name) : 0;
}

static int band_take(const struct json_object *json, struct band *ret, struct err *e)
{
    struct json_object *list;
    uint64_t row[2];
    size_t n;
    int r = list_take(json, "band", BAND_BINS, &list, &n, e);

    for (size_t i = 0; r >= 0 && i < n; i++) {
        r = row_take(list, i, 2, row, e);
        if (r >= 0 && (row[0] >= BAND_BINS || row[1] > UINT32_MAX))
            r = err_set(e, EBADMSG, "row %zu of 'band' is out of range", i);
        if (r >= 0)
            ret->weight[row[0]] = (uint32_t)row[1];
    }
    return r;
}

static int orders_take(const struct json_object *json, struct record_line *ret, struct err *e)
{
    struct json_object *list;
    uint64_t row[4];
    size_t n;
    int r = list_take(json, "orders", RECORD_GUESTS_MAX, &list, &n, e);

    if (r < 0)
        return r;
    ret->orders = calloc(n + 1, sizeof(*ret->orders));
    if (!ret->orders)
        return err_set(e, ENOMEM, "no memory for %zu orders", n);
    for (size_t i = 0; i < n; i++) {
        r = row_take(list, i, 4, row, e);
        if (r < 0)
            return err_wrap(e, "'orders'");
        if (row[0] >= RECORD_GUESTS_MAX || row[1] >= GUEST_ORDER_COUNT || row[3] >= GUEST_REASON_COUNT)
            return err_set(e, EBADMSG, "row %zu of 'orders' is out of range", i);
        ret->orders[ret->order_count++] = (struct record_order){
            (uint32_t)row[0], (enum guest_order)row[1], row[2], (enum guest_reason)row[3]};
    }
    return 0;
}

/* `digits` hexadecimal digits at text. */
static bool hex_take(const char *text, unsigned digits, uint64_t *ret)
{
    *ret = 0;
    for (unsigned i = 0; i < digits; i++) {
        const char *all = "0123456789abcdef";
        const char *at = text[i] ? strchr(all, text[i]) : NULL;

        if (!at)
            return false;
        *ret = *ret << 4 | (uint64_t)(at - all);
    }
    return true;
}

static int digests_take(const struct json_object *json, struct record_line *ret, struct err *e)
{
    struct json_object *digests, *answer;
    uint64_t value;

    if (!json_object_object_get_ex(json, "digests", &digests) || !json_object_is_type(digests, json_type_string) ||
        !json_object_object_get_ex(json, "answer", &answer) || !json_object_is_type(answer, json_type_string))
        return err_set(e, EBADMSG, "'digests' and 'answer' should be texts");
    size_t length = (size_t)json_object_get_string_len(digests);
    const char *text = json_object_get_string(digests);
    if (length % 8 || length / 8 > RECORD_GUESTS_MAX || json_object_get_string_len(answer) != 16 ||
        !hex_take(json_object_get_string(answer), 16, &ret->answer))
        return err_set(e, EBADMSG, "'digests' should hold 8 digits a guest, 'answer' 16");
    ret->digests = calloc(length / 8 + 1, sizeof(*ret->digests));
    if (!ret->digests)
        return err_set(e, ENOMEM, "no memory for the answers of %zu guests", length / 8);
    for (size_t i = 0; i < length / 8; i++) {
        if (!hex_take(text + 8 * i, 8, &value))
            return err_set(e, EBADMSG, "'digests' holds something that is no hexadecimal digit");
        ret->digests[ret->digest_count++] = (uint32_t)value;
    }
    return 0;
}

/* ---- lines ---- */

static int start_take(const struct json_object *json, struct record_line *ret, struct err *e)
{
    struct record_start *s = &ret->start;
    int r = number_take(json, "record", UINT64_MAX, &s->record, e);

    if (r >= 0 && s->record != RECORD_VERSION)
        return err_set(e, EBADMSG, "it is a record of version %" PRIu64 ", this program reads version %d", s->record,
                       RECORD_VERSION);
    r = r < 0 ? r : number_take(json, "policy_version", UINT64_MAX, &s->policy_version, e);
    r = r < 0 ? r : text_take(json, "config_hash", s->config_hash, sizeof(s->config_hash), e);
    r = r < 0 ? r : text_take(json, "version", s->version, sizeof(s->version), e);
    r = r < 0 ? r : text_take(json, "host_name", s->host_name, sizeof(s->host_name), e);
    r = r < 0 ? r : number_take(json, "wall_sec", UINT64_MAX, &s->wall_sec, e);
    return r < 0 ? r : number_take(json, "now_usec", UINT64_MAX, &s->now_usec, e);
}

static int host_take(const struct json_object *json, struct record_line *ret, struct err *e)
{
    int r = record_member_parse(json, "config", &record_host_config, &ret->host.config, e);

    r = r < 0 ? r : record_member_parse(json, "seen", &record_seen, &ret->host.seen, e);
    r = r < 0 ? r : record_member_parse(json, "state", &record_host, &ret->host, e);
    r = r < 0 ? r : host_config_check(&ret->host.config, e);
    r = r < 0 ? r : seen_check(&ret->host.seen, e);
    return r < 0 ? r : word_check("state", ret->host.state, HOST_STATE_COUNT, e);
}

static int names_take(const struct json_object *json, struct record_line *ret, struct err *e)
{
    int r = text_take(json, "name", ret->name, sizeof(ret->name), e);

    return r < 0 ? r : text_take(json, "identity", ret->identity, sizeof(ret->identity), e);
}

static int state_take(const struct json_object *json, struct record_line *ret, struct err *e)
{
    struct guest *g = &ret->state;
    int r = guest_take(json, "guest", &ret->guest, e);

    r = r < 0 ? r : names_take(json, ret, e);
    r = r < 0 ? r : record_member_parse(json, "config", &record_config, &g->config, e);
    r = r < 0 ? r : record_member_parse(json, "levers", &record_levers, &g->levers, e);
    r = r < 0 ? r : record_member_parse(json, "host_view", &record_host_view, &g->host, e);
    r = r < 0 ? r : record_member_parse(json, "view", &record_view, &g->view, e);
    r = r < 0 ? r : record_member_parse(json, "kept", &record_kept, g, e);
    r = r < 0 ? r : record_member_parse(json, "verdict", &record_verdict, &g->verdict, e);
    r = r < 0 ? r : band_take(json, &g->band, e);
    r = r < 0 ? r : recent_take(json, "assigned_seen", &g->assigned_seen, e);
    r = r < 0 ? r : recent_take(json, "used_seen", &g->used_seen, e);
    r = r < 0 ? r : recent_take(json, "missed_seen", &g->missed_seen, e);
    return r < 0 ? r : state_check(g, e);
}

static int input_take(const struct json_object *json, struct record_line *ret, struct err *e)
{
    char name[32];
    int r = text_take(json, "input", name, sizeof(name), e);

    if (r < 0)
        return r;
    ret->input.kind = record_input_find(name);
    if (ret->input.kind == INPUT_KIND_COUNT)
        return err_set(e, EBADMSG, "there is no input '%.20s'", name);
    const struct record_table *table = record_input_of(ret->input.kind)->table;
    r = guest_take(json, "guest", &ret->guest, e);
    r = r < 0 ? r : number_take(json, "at", UINT64_MAX, &ret->at_usec, e);
    if (ret->input.kind == INPUT_APPEARED)
        r = r < 0 ? r : names_take(json, ret, e);
    if (r >= 0 && table)
        r = record_member_parse(json, "data", table, record_input_data(&ret->input), e);
    ret->input.now_usec = ret->at_usec;
    return r < 0 ? r : input_check(&ret->input, e);
}

static int vanished_take(const struct json_object *json, struct record_line *ret, struct err *e)
{
    int r = guest_take(json, "vanished", &ret->guest, e);

    return r < 0 ? r : number_take(json, "at", UINT64_MAX, &ret->at_usec, e);
}

static int decide_take(const struct json_object *json, struct record_line *ret, struct err *e)
{
    char why[8];
    int r = text_take(json, "decide", why, sizeof(why), e);

    if (r >= 0 && strcmp(why, "tick") != 0 && strcmp(why, "event") != 0)
        return err_set(e, EBADMSG, "'decide' should be tick or event");
    ret->why = r >= 0 && strcmp(why, "tick") == 0 ? DECIDE_TICK : DECIDE_EVENT;
    r = r < 0 ? r : number_take(json, "at", UINT64_MAX, &ret->at_usec, e);
    r = r < 0 ? r : number_take(json, "number", UINT64_MAX, &ret->number, e);
    r = r < 0 ? r : record_member_parse(json, "seen", &record_seen, &ret->host.seen, e);
    r = r < 0 ? r : seen_check(&ret->host.seen, e);
    ret->has_config = json_object_object_get_ex(json, "config", NULL);
    if (r >= 0 && ret->has_config)
        r = record_member_parse(json, "config", &record_host_config, &ret->host.config, e);
    r = r < 0 ? r : host_config_check(&ret->host.config, e);
    r = r < 0 ? r : orders_take(json, ret, e);
    return r < 0 ? r : digests_take(json, ret, e);
}

static int begin_take(const struct json_object *json, struct record_line *ret, struct err *e)
{
    return number_take(json, "begin", RECORD_GUESTS_MAX, &ret->count, e);
}

static int config_take(const struct json_object *json, struct record_line *ret, struct err *e)
{
    return text_take(json, "config_hash", ret->text, sizeof(ret->text), e);
}

static int end_take(const struct json_object *json, struct record_line *ret, struct err *e)
{
    int r = text_take(json, "end", ret->text, sizeof(ret->text), e);

    return r < 0 ? r : number_take(json, "decisions", UINT64_MAX, &ret->count, e);
}

int record_line_parse(const char *buf, size_t length, struct record_line *ret, struct err *e)
{
    /* Looked for in this order: an input has a "guest", too. */
    static const struct {
        const char *member;
        enum record_kind kind;
        int (*take)(const struct json_object *json, struct record_line *ret, struct err *e);
    } kinds[] = {
        {"input", RECORD_INPUT, input_take},     {"decide", RECORD_DECIDE, decide_take},
        {"vanished", RECORD_VANISHED, vanished_take}, {"record", RECORD_START, start_take},
        {"host", RECORD_HOST, host_take},        {"guest", RECORD_GUEST, state_take},
        {"begin", RECORD_BEGIN, begin_take},     {"end", RECORD_END, end_take},
        {"config_hash", RECORD_CONFIG, config_take},
    };
    struct json_object *json;
    int r;

    memset(ret, 0, sizeof(*ret));
    if (length > RECORD_LINE_MAX)
        return err_set(e, EBADMSG, "it is longer than any line of a record");
    r = wire_json_parse(buf, length, &json, e);
    if (r < 0)
        return r;
    r = err_set(e, EBADMSG, "it is no line of a record");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!json_object_object_get_ex(json, kinds[i].member, NULL))
            continue;
        ret->kind = kinds[i].kind;
        r = kinds[i].take(json, ret, e);
        break;
    }
    (void)json_object_put(json);
    return r;
}

void record_line_done(struct record_line *line)
{
    free(line->orders);
    free(line->digests);
    line->orders = NULL;
    line->digests = NULL;
}
