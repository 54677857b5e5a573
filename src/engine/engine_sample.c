/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_private.h"

/* Measure: asks drivers for what is due. Answers come later, through the listener; one that does not come delays nobody
 * (S4): the guest's last sample ages, and the core sees its age. */

static void engine_ask(struct engine *engine, struct engine_slot *slot, uint32_t what)
{
    struct err e = {0};

    slot->asked = true;
    if (what & HV_SAMPLE_HOST)
        slot->host_asked_usec = engine->now_usec;
    if (what & HV_SAMPLE_VIEW)
        slot->view_asked_usec = engine->now_usec;
    if (hv_sample(slot->g.vm, what, &e) < 0)
        engine_tell_trouble(engine, slot, &e);
}

static uint32_t engine_regular(const struct engine_slot *slot)
{
    uint32_t what = HV_SAMPLE_LEVERS | HV_SAMPLE_HOST;

    /* A paused guest cannot answer: asking it would only make it look silent. */
    if (!slot->g.paused && !slot->g.frozen)
        what |= HV_SAMPLE_VIEW;
    return what;
}

void engine_sample_all(struct engine *engine)
{
    size_t n = engine_round_begin(engine);

    engine->newcomers = false;
    for (size_t i = 0; i < n; i++) {
        struct engine_slot *slot = engine->round[i];
        if (slot->listed)
            engine_ask(engine, slot, engine_regular(slot));
    }
    engine_round_end(engine);
}

void engine_sample_newcomers(struct engine *engine)
{
    size_t n = engine_round_begin(engine);

    engine->newcomers = false;
    for (size_t i = 0; i < n; i++) {
        struct engine_slot *slot = engine->round[i];
        if (slot->listed && !slot->asked)
            engine_ask(engine, slot, engine_regular(slot));
    }
    engine_round_end(engine);
}

/* Its size changed since resident memory was asked for. One answer that never comes is not asked for again and again. */
static bool engine_host_view_lags(const struct engine_slot *slot)
{
    return slot->moved_usec && slot->host_asked_usec <= slot->moved_usec;
}

/* What memory the guest touches decides now: a take that moved is free only once it left the process (S3), and a bound
 * that binds is read afresh (docs/design.md 3.4, proof). */
static bool engine_host_view_due(const struct engine *engine, const struct engine_slot *slot)
{
    uint64_t age = engine->now_usec - slot->host_asked_usec;

    if (engine_host_view_lags(slot))
        return age >= ENGINE_HOST_VIEW_TAKING_USEC;
    return slot->g.core.verdict.wants_host_view && age >= ENGINE_HOST_VIEW_USEC;
}

bool engine_is_pressed(const struct engine_slot *slot)
{
    const struct guest *g = &slot->g.core;
    bool fell = slot->fell_usec && slot->engine->now_usec - slot->fell_usec < ENGINE_FELL_USEC;

    return g->config.mode == GUEST_MODE_AUTO && !slot->g.paused && g->view.source == OBS_SOURCE_STATISTICS &&
           (g->verdict.memory_status != GUEST_MEMORY_OK || fell);
}

void engine_poll(struct engine *engine)
{
    size_t n = engine_round_begin(engine);
    bool more = false;

    for (size_t i = 0; i < n; i++) {
        struct engine_slot *slot = engine->round[i];
        uint32_t what = 0;
        if (!slot->listed)
            continue;
        if (guest_in_flight(&slot->g.core))
            what |= HV_SAMPLE_LEVERS;
        if (engine_host_view_due(engine, slot))
            what |= HV_SAMPLE_HOST;
        bool pressed = engine_is_pressed(slot) || slot->g.core.verdict.wants_view;
        if (pressed && engine->now_usec - slot->view_asked_usec >= ENGINE_VIEW_USEC)
            what |= HV_SAMPLE_VIEW;
        more = more || what || pressed || slot->g.core.verdict.wants_host_view || engine_host_view_lags(slot);
        if (what)
            engine_ask(engine, slot, what);
    }
    engine_round_end(engine);
    engine->poll_due_usec = more ? engine->now_usec + ENGINE_POLL_USEC : 0;
}
