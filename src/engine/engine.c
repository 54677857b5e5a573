/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine_private.h"
#include "own.h"

static void engine_scratch_done(struct decide_scratch *s)
{
    free(s->levels);
    free(s->slots);
    free(s->weight);
    free(s->given_kib);
    free(s->order);
}

static bool engine_scratch_init(struct decide_scratch *s, size_t n)
{
    s->levels = calloc(n, sizeof(*s->levels));
    s->slots = calloc(n, sizeof(*s->slots));
    s->weight = calloc(n, sizeof(*s->weight));
    s->given_kib = calloc(n, sizeof(*s->given_kib));
    s->order = calloc(n, sizeof(*s->order));
    return s->levels && s->slots && s->weight && s->given_kib && s->order;
}

struct engine *engine_free(struct engine *engine)
{
    if (!engine)
        return NULL;
    engine_scratch_done(&engine->scratch);
    free(engine->slots);
    free(engine->list);
    free(engine->cores);
    free(engine->round);
    free(engine);
    return NULL;
}
OWN_DEFINE(engine);

int engine_new(const struct engine_config *config, const struct engine_env *env, size_t guests_max,
               struct engine **ret, struct err *e)
{
    AUTO(engine) struct engine *engine = calloc(1, sizeof(*engine));

    if (guests_max == 0 || guests_max > ENGINE_GUESTS_MAX)
        return err_set(e, EINVAL, "room for %zu guests is not possible: 1 to %d are", guests_max, ENGINE_GUESTS_MAX);
    if (!engine)
        return err_set(e, ENOMEM, "no memory for the engine");
    engine->slots = calloc(guests_max, sizeof(*engine->slots));
    engine->list = calloc(guests_max, sizeof(*engine->list));
    engine->cores = calloc(guests_max, sizeof(*engine->cores));
    engine->round = calloc(guests_max, sizeof(*engine->round));
    if (!engine->slots || !engine->list || !engine->cores || !engine->round ||
        !engine_scratch_init(&engine->scratch, guests_max))
        return err_set(e, ENOMEM, "no memory for %zu guests", guests_max);
    engine->config = *config;
    engine->env = *env;
    engine->guests_max = guests_max;
    host_init(&engine->host, &config->host);
    engine->told_state = engine->host.state;
    engine_listen(engine);
    *ret = TAKE(engine);
    return 0;
}

const struct hv_listener *engine_listener(struct engine *engine)
{
    return &engine->listener;
}

uint64_t engine_clock(struct engine *engine, uint64_t now_usec)
{
    if (now_usec > engine->now_usec)
        engine->now_usec = now_usec;
    return engine->now_usec;
}

static void engine_wake(struct engine *engine)
{
    if (engine->woken || !engine->env.wake)
        return;
    engine->woken = true;
    engine->env.wake(engine->env.user);
}

void engine_want_event(struct engine *engine)
{
    if (!engine->event_due_usec) {
        uint64_t earliest = engine->decided_usec ? engine->decided_usec + ENGINE_EVENT_GAP_USEC : 1;
        engine->event_due_usec = earliest > engine->now_usec ? earliest : engine->now_usec;
        if (!engine->event_due_usec)
            engine->event_due_usec = 1;
    }
    engine_wake(engine);
}

void engine_want_poll(struct engine *engine)
{
    if (engine->poll_due_usec)
        return;
    engine->poll_due_usec = engine->now_usec + ENGINE_POLL_USEC;
    engine_wake(engine);
}

/* Position of the first listed guest that does not sort before (identity, name). */
static size_t engine_position(const struct engine *engine, const char *identity, const char *name)
{
    size_t low = 0, high = engine->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct engine_slot *slot = engine->list[mid];
        int order = strcmp(slot->identity, identity);
        if (order == 0)
            order = strcmp(slot->g.vm->name, name);
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct engine_slot *engine_slot_take(struct engine *engine, struct hv_vm *vm)
{
    struct engine_slot *slot = engine->free_slots;
    const char *identity = vm->uuid[0] ? vm->uuid : vm->name;

    if (slot)
        engine->free_slots = slot->next;
    else if (engine->fresh_slots < engine->guests_max)
        slot = &engine->slots[engine->fresh_slots++];
    else
        return NULL;
    memset(slot, 0, sizeof(*slot));
    slot->engine = engine;
    slot->g.vm = vm;
    slot->g.id = (uint32_t)(slot - engine->slots);
    slot->listed = true;
    memcpy(slot->identity, identity, strnlen(identity, sizeof(slot->identity) - 1));

    size_t at = engine_position(engine, slot->identity, vm->name);
    size_t after = engine->count - at;
    memmove(&engine->list[at + 1], &engine->list[at], after * sizeof(*engine->list));
    memmove(&engine->cores[at + 1], &engine->cores[at], after * sizeof(*engine->cores));
    engine->list[at] = slot;
    engine->cores[at] = &slot->g.core;
    engine->count++;
    vm->user = slot;
    return slot;
}

void engine_slot_leave(struct engine *engine, struct engine_slot *slot)
{
    size_t at = engine_position(engine, slot->identity, slot->g.vm->name);
    size_t after = engine->count - at - 1;

    memmove(&engine->list[at], &engine->list[at + 1], after * sizeof(*engine->list));
    memmove(&engine->cores[at], &engine->cores[at + 1], after * sizeof(*engine->cores));
    engine->count--;
    slot->g.vm->user = NULL;
    slot->g.vm = NULL;
    slot->listed = false;
    slot->next = engine->left;
    engine->left = slot;
}

/* Slots that nobody refers to any more may be used again. */
static void engine_slots_reclaim(struct engine *engine)
{
    struct engine_slot **link = &engine->left;

    while (*link) {
        struct engine_slot *slot = *link;
        if (slot->calls > 0) {
            link = &slot->next;
            continue;
        }
        *link = slot->next;
        slot->next = engine->free_slots;
        engine->free_slots = slot;
    }
}

size_t engine_round_begin(struct engine *engine)
{
    engine->depth++;
    memcpy(engine->round, engine->list, engine->count * sizeof(*engine->list));
    return engine->count;
}

void engine_round_end(struct engine *engine)
{
    engine->depth--;
}

void engine_apply(struct engine *engine, struct engine_slot *slot, const struct input *in)
{
    input_apply(&slot->g.core, in);
    if (engine->env.input)
        engine->env.input(engine->env.user, &slot->g, in);
}

void engine_ask_hold(struct engine *engine, struct engine_slot *slot)
{
    struct input in = {.kind = INPUT_HELD, .now_usec = engine->now_usec};

    if (!engine->env.hold)
        return;
    in.hold = engine->env.hold(engine->env.user, slot->g.vm);
    if (in.hold != slot->g.core.hold)
        engine_apply(engine, slot, &in);
}

void engine_tell_trouble(struct engine *engine, struct engine_slot *slot, const struct err *e)
{
    if (slot) {
        size_t len = strnlen(e->text, sizeof(slot->g.reason) - 1);
        memcpy(slot->g.reason, e->text, len);
        slot->g.reason[len] = '\0';
    }
    if (engine->env.trouble)
        engine->env.trouble(engine->env.user, slot ? &slot->g : NULL, e);
}

/* The sampling beat keeps its phase; beats that were missed are not made up for. */
static void engine_beat(struct engine *engine, uint64_t now)
{
    uint64_t planned = engine->sample_due_usec ? engine->sample_due_usec : now;
    uint64_t missed = (now - planned) / ENGINE_SAMPLE_USEC;
    bool late = now - planned >= ENGINE_ANSWER_USEC;

    engine->sample_due_usec = planned + (missed + 1) * ENGINE_SAMPLE_USEC;
    engine->tick_due_usec = (late ? now : planned) + ENGINE_ANSWER_USEC;
    engine_sample_all(engine);
}

static uint64_t engine_earlier(uint64_t due, uint64_t other)
{
    return other && other < due ? other : due;
}

uint64_t engine_run(struct engine *engine, uint64_t now_usec)
{
    bool slept = engine->now_usec && now_usec > engine->now_usec + ENGINE_SLEPT_USEC;
    uint64_t now = engine_clock(engine, now_usec);

    engine->woken = true; /* no need to be woken in here */
    if (!engine->depth)
        engine_slots_reclaim(engine);
    if (now >= engine->sample_due_usec)
        engine_beat(engine, now);
    else if (engine->newcomers)
        engine_sample_newcomers(engine);
    if (slept && engine->event_due_usec)
        engine->event_due_usec = engine->tick_due_usec;
    if (engine->poll_due_usec && now >= engine->poll_due_usec)
        engine_poll(engine);
    if (engine->tick_due_usec && now >= engine->tick_due_usec) {
        engine->tick_due_usec = 0;
        engine_decide(engine, DECIDE_TICK);
    } else if (engine->event_due_usec && now >= engine->event_due_usec) {
        engine_decide(engine, DECIDE_EVENT);
    }

    uint64_t due = engine->sample_due_usec;
    due = engine_earlier(due, engine->tick_due_usec);
    due = engine_earlier(due, engine->event_due_usec);
    due = engine_earlier(due, engine->poll_due_usec);
    if (engine->newcomers)
        due = now;
    engine->woken = false; /* what woke us in here is in due */
    return due;
}

void engine_reconfigure(struct engine *engine, const struct engine_config *config, uint64_t now_usec)
{
    uint64_t now = engine_clock(engine, now_usec);
    size_t n = engine_round_begin(engine);

    engine->config = *config;
    engine->host.config = config->host;
    engine_reserve_apply(engine);
    for (size_t i = 0; i < n; i++) {
        struct engine_slot *slot = engine->round[i];
        struct input in = {.kind = INPUT_CONFIGURED, .now_usec = now};
        if (!slot->listed)
            continue;
        engine->env.configure(engine->env.user, slot->g.vm, &in.config);
        engine_apply(engine, slot, &in);
        engine_ask_hold(engine, slot);
    }
    engine_round_end(engine);
    engine_want_event(engine);
}

/* As two changes of its configuration, which is what can be recorded and replayed: a changed mode takes the lever back. */
bool engine_take_back(struct engine *engine, const char *name, uint64_t now_usec)
{
    const struct engine_guest *g = engine_find(engine, name);

    if (!g || !g->core.foreign_hand)
        return false;
    struct engine_slot *slot = engine_slot_of(g->vm);
    struct input in = {.kind = INPUT_CONFIGURED, .now_usec = engine_clock(engine, now_usec), .config = g->core.config};
    enum guest_mode mode = in.config.mode;
    in.config.mode = mode == GUEST_MODE_WATCH ? GUEST_MODE_AUTO : GUEST_MODE_WATCH;
    engine_apply(engine, slot, &in);
    in.config.mode = mode;
    engine_apply(engine, slot, &in);
    engine_want_event(engine);
    return true;
}

const struct host *engine_host(const struct engine *engine)
{
    return &engine->host;
}

size_t engine_count(const struct engine *engine)
{
    return engine->count;
}

const struct engine_guest *engine_guest_at(const struct engine *engine, size_t i)
{
    return i < engine->count ? &engine->list[i]->g : NULL;
}

const struct engine_guest *engine_find(const struct engine *engine, const char *name)
{
    for (size_t i = 0; i < engine->count; i++)
        if (strcmp(engine->list[i]->g.vm->name, name) == 0)
            return &engine->list[i]->g;
    return NULL;
}

size_t engine_guest_slot(const struct engine *engine, const struct engine_guest *g)
{
    return (size_t)((const struct engine_slot *)(const void *)g - engine->slots); /* g is its first member */
}
