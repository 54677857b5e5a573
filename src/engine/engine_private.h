/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "reserve.h"

/* What the files of the engine share. Nobody else includes this. */

/* Every guest is sampled this often: the finest that balloon statistics offer. */
#define ENGINE_SAMPLE_USEC 1000000ULL

/* The tick decides this long after its samples were asked for: monitors answer within a few ms, so it decides on fresh
 * numbers and not on those of a second ago. */
#define ENGINE_ANSWER_USEC 100000ULL

/* Levers are looked at this often while a command is in flight (the balloon's own event is throttled to one a second). */
#define ENGINE_POLL_USEC 50000ULL

/* Looking at resident memory walks the page tables of the whole guest: not more often than this, even where asked. */
#define ENGINE_HOST_VIEW_USEC 250000ULL
#define ENGINE_HOST_VIEW_TAKING_USEC 100000ULL

/* Balloon statistics of a guest whose available memory falls or is little are fetched this often: they come once a second, at a time
 * of their own, and fetching costs a command. Found a whole second later, 10 MiB/s are 10 MiB less to live on. */
#define ENGINE_VIEW_USEC 200000ULL
#define ENGINE_FELL_BYTES (4ULL << 20) /* between two samples: more than an idle guest's ups and downs */
#define ENGINE_FELL_USEC 3000000ULL

/* Decisions between ticks are this far apart at least: a flood of messages costs the same as a hundred of them. */
#define ENGINE_EVENT_GAP_USEC 10000ULL

/* Called later than this, the machine slept or we were stopped: what is known is old, so ask before deciding. */
#define ENGINE_SLEPT_USEC 2000000ULL

/* A fall of available memory that is worth a decision before the next tick: what the agent reports as one step, too. */
#define ENGINE_FALL_BYTES (8ULL << 20)

/* A balloon smaller than this that vanishes is no lost driver worth speaking of: the dead zone of small guests. */
#define ENGINE_LOST_BYTES (16ULL << 20)

/* Longest identity: a UUID or a name. */
#define ENGINE_IDENTITY_SIZE 64

/* What a guest's agent was told last, KiB; enough to see whether there is news. */
struct engine_told {
    uint64_t watermark_kib;  /* 0: nothing told yet */
    uint64_t heartbeat_usec;
    uint64_t lent_kib, assigned_kib, maximum_kib, demand_kib, given_kib;
    uint32_t why;            /* enum of engine_agent.c */
};

struct engine_slot {
    struct engine_guest g;        /* first: handed out as struct engine_guest */
    struct engine *engine;
    struct engine_slot *next;     /* free list, or list of those to be freed */
    char identity[ENGINE_IDENTITY_SIZE];
    bool listed;                  /* appeared and not yet vanished */
    bool asked;                   /* sampled at least once */
    bool reason_is_order;         /* g.reason tells of a failed order: the next good one clears it */
    uint32_t calls;               /* orders the driver has not answered; the slot is not reused before */
    uint32_t flags;               /* as told last */
    enum guest_order told;        /* dry run: the order told last */
    enum guest_order direction;   /* of the last order sent: counts turns */
    struct engine_told agent_told; /* what its agent was told last */
    uint64_t moved_usec;          /* last change of assigned */
    uint64_t fell_usec;           /* last sample with clearly less available than the one before */
    uint64_t view_asked_usec;     /* last time the guest's own numbers were asked for */
    uint64_t host_asked_usec;     /* last time resident memory was asked for */
};

struct engine {
    struct engine_config config;
    struct engine_env env;
    struct hv_listener listener;
    struct host host;

    size_t guests_max;
    size_t count;
    struct engine_slot *slots;    /* guests_max of them, taken at start (S14) */
    size_t fresh_slots;           /* slots never used start here: untouched memory costs nothing */
    struct engine_slot *free_slots;
    struct engine_slot *left;     /* vanished, may still be referred to by a round or a call under way */
    struct engine_slot **list;    /* count entries, in identity order */
    struct guest **cores;         /* the same guests, as decide() wants them */
    struct engine_slot **round;   /* copy of list while orders go out: callbacks may change the list */
    struct decide_scratch scratch;

    uint64_t now_usec;            /* never runs backwards */
    uint64_t sample_due_usec;     /* 0: at once */
    uint64_t tick_due_usec;       /* 0: none */
    uint64_t event_due_usec;      /* 0: none */
    uint64_t poll_due_usec;       /* 0: none */
    uint64_t decided_usec;
    struct reserve reserves[RESERVE_MAX];
    uint64_t reserve_id;          /* of the last one made */
    uint64_t reserved_kib;        /* what was out of capacity in the last decision */
    uint64_t newest_ticks;        /* latest start of a guest's process so far */
    enum host_state told_state;
    unsigned int depth;           /* rounds under way */
    bool newcomers;               /* a listed guest was never sampled */
    bool woken;                   /* env.wake() was called since the last engine_run() */
    bool host_read;               /* the last read_host() worked */
    bool host_failed;             /* said so */
};

static inline struct engine_slot *engine_slot_of(const struct hv_vm *vm)
{
    return vm->user;
}

/* Moves the clock on; a time before the last one counts as the last one. Returns the engine's time. */
uint64_t engine_clock(struct engine *engine, uint64_t now_usec);

/* A decision is wanted before the next tick. */
void engine_want_event(struct engine *engine);

/* Levers are polled from now on, until nothing needs it. */
void engine_want_poll(struct engine *engine);

/* The one way in which the engine changes what the core knows of a guest; env.input() is told. */
void engine_apply(struct engine *engine, struct engine_slot *slot, const struct input *in);

/* Asks env.hold() and applies what is new. */
void engine_ask_hold(struct engine *engine, struct engine_slot *slot);

/* Puts a sentence into the guest's reason and tells it. slot may be NULL: about no guest. */
void engine_tell_trouble(struct engine *engine, struct engine_slot *slot, const struct err *e);

/* A copy of the list for walking while callbacks may change it; end it with engine_round_end(). Rounds do not nest. */
size_t engine_round_begin(struct engine *engine);
void engine_round_end(struct engine *engine);

/* Its statistics can't wait for the next beat. */
bool engine_is_pressed(const struct engine_slot *slot);

/* Asks drivers for what is due (engine_sample.c). */
void engine_sample_all(struct engine *engine);
void engine_sample_newcomers(struct engine *engine);
void engine_poll(struct engine *engine);

/* Decides and sends the orders (engine_act.c). */
void engine_decide(struct engine *engine, enum decide_why why);

/* Reservations (engine_reserve.c): into the host before a decision; on after it; and a guest whose size has just become
 * known may claim one. */
void engine_reserve_apply(struct engine *engine);
void engine_reserve_step(struct engine *engine);
void engine_reserve_appeared(struct engine *engine, struct engine_slot *slot);

/* Fills *ret and updates *told where there is news for the guest's agent (engine_agent.c). */
bool engine_agent_news(const struct guest *g, struct engine_told *told, struct hv_tell *ret);

/* Tells agents what is new for them; after decisions on the tick. */
void engine_tell_agents(struct engine *engine, size_t n);

/* Fills the callbacks of engine->listener (engine_listen.c). */
void engine_listen(struct engine *engine);

/* Lists a slot, or takes it off the list (engine.c). */
struct engine_slot *engine_slot_take(struct engine *engine, struct hv_vm *vm);
void engine_slot_leave(struct engine *engine, struct engine_slot *slot);
