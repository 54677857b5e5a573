/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <inttypes.h>
#include <string.h>

#include "record_fields.h"
#include "record_input.h"

static void number_print(struct wire_text *t, const char *before, uint64_t value)
{
    wire_text_adds(t, before);
    wire_text_u64(t, value);
}

static void text_print(struct wire_text *t, const char *before, const char *text)
{
    wire_text_adds(t, before);
    wire_text_string(t, text);
}

void record_print_start(struct wire_text *t, const struct record_start *start)
{
    number_print(t, "{\"record\":", start->record);
    number_print(t, ",\"policy_version\":", start->policy_version);
    text_print(t, ",\"config_hash\":", start->config_hash);
    text_print(t, ",\"version\":", start->version);
    text_print(t, ",\"host_name\":", start->host_name);
    number_print(t, ",\"wall_sec\":", start->wall_sec);
    number_print(t, ",\"now_usec\":", start->now_usec);
    wire_text_adds(t, "}\n");
}

void record_print_host(struct wire_text *t, const struct host *h)
{
    number_print(t, "{\"host\":", h->decisions);
    record_object_print(t, "config", &record_host_config, &h->config);
    record_object_print(t, "seen", &record_seen, &h->seen);
    record_object_print(t, "state", &record_host, h);
    wire_text_adds(t, "}\n");
}

/* [[slot,least,largest,last],...]: the slots that hold something. */
static void recent_print(struct wire_text *t, const char *before, const struct recent *r)
{
    bool any = false;

    wire_text_adds(t, before);
    for (size_t i = 0; i < RECENT_SLOTS; i++) {
        const struct recent_slot *s = &r->slots[i];

        if (!s->slot)
            continue;
        number_print(t, any ? ",[" : "[[", s->slot);
        number_print(t, ",", s->least);
        number_print(t, ",", s->largest);
        number_print(t, ",", s->last);
        wire_text_adds(t, "]");
        any = true;
    }
    wire_text_adds(t, any ? "]" : "[]");
}

/* [[pressure,weight],...]: those that are not 0. */
static void band_print(struct wire_text *t, const struct band *b)
{
    bool any = false;

    wire_text_adds(t, ",\"band\":");
    for (size_t i = 0; i < BAND_BINS; i++) {
        if (!b->weight[i])
            continue;
        number_print(t, any ? ",[" : "[[", i);
        number_print(t, ",", b->weight[i]);
        wire_text_adds(t, "]");
        any = true;
    }
    wire_text_adds(t, any ? "]" : "[]");
}

void record_print_guest(struct wire_text *t, uint32_t id, const char *name, const char *identity, const struct guest *g)
{
    number_print(t, "{\"guest\":", id);
    text_print(t, ",\"name\":", name);
    text_print(t, ",\"identity\":", identity);
    record_object_print(t, "config", &record_config, &g->config);
    record_object_print(t, "levers", &record_levers, &g->levers);
    record_object_print(t, "host_view", &record_host_view, &g->host);
    record_object_print(t, "view", &record_view, &g->view);
    record_object_print(t, "kept", &record_kept, g);
    record_object_print(t, "verdict", &record_verdict, &g->verdict);
    band_print(t, &g->band);
    recent_print(t, ",\"assigned_seen\":", &g->assigned_seen);
    recent_print(t, ",\"used_seen\":", &g->used_seen);
    recent_print(t, ",\"missed_seen\":", &g->missed_seen);
    wire_text_adds(t, "}\n");
}

void record_print_begin(struct wire_text *t, size_t guests)
{
    number_print(t, "{\"begin\":", guests);
    wire_text_adds(t, "}\n");
}

void record_print_input(struct wire_text *t, uint32_t id, const char *name, const char *identity, const struct input *in)
{
    const struct record_input *kind = record_input_of(in->kind);

    text_print(t, "{\"input\":", kind->name);
    number_print(t, ",\"guest\":", id);
    number_print(t, ",\"at\":", in->now_usec);
    if (in->kind == INPUT_APPEARED) {
        text_print(t, ",\"name\":", name);
        text_print(t, ",\"identity\":", identity);
    }
    if (kind->table)
        record_object_print(t, "data", kind->table, &in->config);
    wire_text_adds(t, "}\n");
}

void record_print_vanished(struct wire_text *t, uint32_t id, uint64_t now_usec)
{
    number_print(t, "{\"vanished\":", id);
    number_print(t, ",\"at\":", now_usec);
    wire_text_adds(t, "}\n");
}

void record_print_config(struct wire_text *t, const char *hash)
{
    text_print(t, "{\"config_hash\":", hash);
    wire_text_adds(t, "}\n");
}

void record_print_end(struct wire_text *t, const char *reason, uint64_t decisions)
{
    text_print(t, "{\"end\":", reason);
    number_print(t, ",\"decisions\":", decisions);
    wire_text_adds(t, "}\n");
}

static void hex_print(struct wire_text *t, uint64_t value, unsigned digits)
{
    char text[16];

    for (unsigned i = digits; i > 0; i--, value >>= 4)
        text[i - 1] = "0123456789abcdef"[value & 15];
    wire_text_add(t, text, digits);
}

static void orders_print(struct wire_text *t, const struct guest *const *guests, const uint32_t *ids, size_t n)
{
    bool any = false;

    wire_text_adds(t, ",\"orders\":");
    for (size_t i = 0; i < n; i++) {
        const struct guest_verdict *v = &guests[i]->verdict;

        if (v->order == GUEST_ORDER_NONE)
            continue;
        number_print(t, any ? ",[" : "[[", ids[i]);
        number_print(t, ",", v->order);
        number_print(t, ",", v->order_kib);
        number_print(t, ",", v->reason);
        wire_text_adds(t, "]");
        any = true;
    }
    wire_text_adds(t, any ? "]" : "[]");
}

static uint64_t guest_sum(const struct guest *g)
{
    return record_digest(RECORD_DIGEST_START, &record_verdict, &g->verdict);
}

static uint32_t fold(uint64_t sum)
{
    return (uint32_t)(sum ^ sum >> 32);
}

void record_print_decide(struct wire_text *t, enum decide_why why, uint64_t now_usec, const struct host *h, bool with_config,
                         const struct guest *const *guests, const uint32_t *ids, size_t n)
{
    wire_text_adds(t, why == DECIDE_TICK ? "{\"decide\":\"tick\"" : "{\"decide\":\"event\"");
    number_print(t, ",\"at\":", now_usec);
    number_print(t, ",\"number\":", h->decisions);
    record_object_print(t, "seen", &record_seen, &h->seen);
    if (with_config)
        record_object_print(t, "config", &record_host_config, &h->config);
    orders_print(t, guests, ids, n);
    wire_text_adds(t, ",\"digests\":\"");
    uint64_t answer = record_digest(RECORD_DIGEST_START, &record_host, h);
    for (size_t i = 0; i < n; i++) {
        uint64_t sum = guest_sum(guests[i]);

        hex_print(t, fold(sum), 8);
        answer = record_digest_number(answer, sum);
    }
    wire_text_adds(t, "\",\"answer\":\"");
    hex_print(t, answer, 16);
    wire_text_adds(t, "\"}\n");
}

uint32_t record_guest_digest(const struct guest *g)
{
    return fold(guest_sum(g));
}

uint64_t record_answer(const struct host *h, const struct guest *const *guests, size_t n)
{
    uint64_t sum = record_digest(RECORD_DIGEST_START, &record_host, h);

    for (size_t i = 0; i < n; i++)
        sum = record_digest_number(sum, guest_sum(guests[i]));
    return sum;
}

int record_compare(const char *identity, const char *name, const char *other_identity, const char *other_name)
{
    int order = strcmp(identity, other_identity);

    return order ? order : strcmp(name, other_name);
}
