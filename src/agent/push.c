/* SPDX-License-Identifier: Apache-2.0 */
#include "push.h"

/* Told watermarks are 16..64 MiB; these only keep a mistaken one from silencing the agent or making it shout. */
#define WATERMARK_TOLD_MIN_KIB 1024ULL
#define WATERMARK_TOLD_MAX_KIB (1024ULL * 1024)

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
    if (value < least)
        return least;
    return value > most ? most : value;
}

void push_init(struct push *p)
{
    *p = (struct push){.heartbeat_usec = PUSH_HEARTBEAT_USEC, .psi_usec = AGENT_UNSET, .sent_psi_usec = AGENT_UNSET};
}

void push_restart(struct push *p)
{
    push_init(p);
}

void push_set_watermark(struct push *p, uint64_t size_kib)
{
    p->watermark_kib = clamp(size_kib, WATERMARK_TOLD_MIN_KIB, WATERMARK_TOLD_MAX_KIB);
}

void push_set_heartbeat(struct push *p, uint64_t interval_usec)
{
    p->heartbeat_usec = clamp(interval_usec, AGENT_INTERVAL_MIN_USEC, AGENT_INTERVAL_MAX_USEC);
}

void push_want(struct push *p, enum agent_why why)
{
    p->wanted = true;
    p->wanted_why = why;
}

bool push_wants_psi(const struct push *p)
{
    return p->looked_usec && p->available_kib < p->watermark_now_kib / 2;
}

static void push_see(struct push *p, const struct push_look *look)
{
    uint64_t told = p->watermark_kib;

    p->watermark_now_kib = told ? told
                                : clamp(look->total_kib / PUSH_WATERMARK_SHARE, PUSH_WATERMARK_MIN_KIB,
                                        PUSH_WATERMARK_MAX_KIB);
    if (p->looked_usec && look->available_kib + PUSH_MOVES_KIB <= p->available_kib)
        p->moved_usec = look->now_usec;
    if (look->psi_some_usec != AGENT_UNSET) {
        if (p->psi_usec != AGENT_UNSET && look->psi_some_usec > p->psi_usec)
            p->psi_moved_usec = look->now_usec;
        p->psi_usec = look->psi_some_usec;
    }
    p->looked_usec = look->now_usec;
    p->available_kib = look->available_kib;
    if (look->available_kib > p->highest_kib)
        p->highest_kib = look->available_kib;
    /* A quarter above it counts as out of it: else a guest that rests at its watermark would report each breath. */
    if (p->below && look->available_kib >= p->watermark_now_kib + p->watermark_now_kib / 4)
        p->below = false;
}

/* Pressure moves, or moved just now; where the kernel has no PSI, memory that falls stands for it. */
static bool push_in_trouble(const struct push *p)
{
    if (p->available_kib >= p->watermark_now_kib / 2)
        return false;
    if (p->psi_usec == AGENT_UNSET)
        return p->moved_usec && p->looked_usec - p->moved_usec < PUSH_STALL_USEC;
    return (p->psi_moved_usec && p->looked_usec - p->psi_moved_usec < PUSH_STALL_USEC) ||
           (p->sent_psi_usec != AGENT_UNSET && p->psi_usec > p->sent_psi_usec);
}

bool push_due(struct push *p, const struct push_look *look, enum agent_why *ret_why)
{
    push_see(p, look);
    uint64_t since = p->sent_usec ? p->looked_usec - p->sent_usec : UINT64_MAX;

    if (since < PUSH_SPACING_USEC)
        return false;
    if (p->available_kib < p->watermark_now_kib && !p->below)
        *ret_why = AGENT_WHY_WATERMARK;
    else if (p->below && p->available_kib + PUSH_FALL_KIB <= p->highest_kib)
        *ret_why = AGENT_WHY_FALL;
    else if (p->wanted)
        *ret_why = p->wanted_why;
    else if (since >= PUSH_REPEAT_USEC && push_in_trouble(p))
        *ret_why = AGENT_WHY_STALL;
    else if (since >= p->heartbeat_usec)
        *ret_why = AGENT_WHY_HEARTBEAT;
    else
        return false;
    return true;
}

void push_sent(struct push *p)
{
    p->sent_usec = p->looked_usec;
    p->sent_psi_usec = p->psi_usec;
    p->highest_kib = p->available_kib;
    p->below = p->below || p->available_kib < p->watermark_now_kib;
    p->wanted = false;
}

static bool push_is_near(const struct push *p)
{
    uint64_t margin = p->watermark_now_kib > PUSH_NEAR_MIN_KIB ? p->watermark_now_kib : PUSH_NEAR_MIN_KIB;

    return p->available_kib < p->watermark_now_kib + margin;
}

uint64_t push_fresh_usec(const struct push *p)
{
    return push_is_near(p) ? PUSH_FRESH_NEAR_USEC : PUSH_FRESH_FAR_USEC;
}

/* How far MemAvailable may still fall until there is a line to send. */
static uint64_t push_distance_kib(const struct push *p)
{
    uint64_t line = p->watermark_now_kib;

    if (p->below)
        line = p->highest_kib > PUSH_FALL_KIB ? p->highest_kib - PUSH_FALL_KIB : 0;
    return p->available_kib > line ? p->available_kib - line : 0;
}

/* Until the next look. */
static uint64_t push_pace_usec(const struct push *p)
{
    bool moves = push_is_near(p) && p->moved_usec && p->looked_usec - p->moved_usec < PUSH_MOVES_USEC;
    uint64_t reach_usec = push_distance_kib(p) * 1000 / PUSH_BURST_KIB_MS;

    return moves ? clamp(reach_usec, PUSH_LOOK_NEAR_USEC, PUSH_LOOK_QUIET_USEC)
                 : clamp(reach_usec, PUSH_LOOK_QUIET_USEC, PUSH_LOOK_FAR_USEC);
}

uint64_t push_next_usec(const struct push *p)
{
    if (!p->looked_usec)
        return 0;
    uint64_t next = p->looked_usec + push_pace_usec(p);
    uint64_t beat = p->sent_usec + p->heartbeat_usec;
    if (p->wanted) {
        uint64_t soon = p->sent_usec ? p->sent_usec + PUSH_SPACING_USEC : p->looked_usec;
        next = soon < next ? soon : next;
    }
    return p->sent_usec && beat > p->looked_usec && beat < next ? beat : next;
}
