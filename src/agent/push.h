/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent_line.h"

/* When to look at the guest's memory and when to tell of it (docs/agent-protocol.md, "When the agent speaks"). Pure:
 * the caller looks and sends. */

/* Paces of looking. A look costs what waking a processor costs (0.2 to 0.5 ms of it under emulation, the reading itself
 * 0.01 to 0.03 ms), so there are as few as the distance to the next line allows: what 1 GiB/s takes until it is reached. A burst
 * below that rate is seen when it crosses, however long the guest rested. (At what 320 MiB/s take, a third of the looks, a guest
 * that took 50 MiB at once beside other busy guests lost its process before its host knew.) */
#define PUSH_LOOK_FAR_USEC 200000ULL
#define PUSH_LOOK_QUIET_USEC 20000ULL
#define PUSH_LOOK_NEAR_USEC 5000ULL
#define PUSH_BURST_KIB_MS 1024ULL        /* KiB a ms */
#define PUSH_NEAR_MIN_KIB (32ULL * 1024) /* nearer to the watermark than this, movement counts */
#define PUSH_MOVES_KIB 1024ULL           /* a fall between two looks that counts as movement */
#define PUSH_MOVES_USEC 1000000ULL       /* and how long it does */

#define PUSH_FALL_KIB (8ULL * 1024)      /* a further fall worth a line */
#define PUSH_SPACING_USEC 25000ULL       /* between two samples: 40 a second, below the protocol's 50 */
#define PUSH_REPEAT_USEC 100000ULL       /* while below half the watermark and in trouble */
#define PUSH_STALL_USEC 500000ULL        /* pressure that moved this recently still lasts */

#define PUSH_HEARTBEAT_USEC 1000000ULL   /* until told */
#define PUSH_WATERMARK_MIN_KIB (16ULL * 1024)
#define PUSH_WATERMARK_MAX_KIB (64ULL * 1024)
#define PUSH_WATERMARK_SHARE 16          /* 1/16 of MemTotal, until told */

struct push {
    uint64_t watermark_kib;  /* as told; 0: not told */
    uint64_t heartbeat_usec;
    uint64_t looked_usec;    /* 0: never */
    uint64_t available_kib;  /* at that look */
    uint64_t moved_usec;     /* last movement worth the name; 0: none */
    uint64_t sent_usec;      /* 0: never */
    uint64_t sent_psi_usec;  /* psi_some at the last sample */
    uint64_t psi_usec;       /* psi_some at the last look; AGENT_UNSET: this kernel has none */
    uint64_t psi_moved_usec; /* when it last moved; 0: never seen to */
    uint64_t highest_kib;    /* available, since the last sample: a fall counts from here */
    uint64_t watermark_now_kib;
    bool below;              /* the watermark, and told */
    bool wanted;             /* asked for, or a trigger fired: not sent yet */
    enum agent_why wanted_why;
};

struct push_look {
    uint64_t now_usec;
    uint64_t total_kib;
    uint64_t available_kib;
    uint64_t psi_some_usec; /* AGENT_UNSET: not read or not there */
};

void push_init(struct push *p);

/* A new conversation: the first look sends. What the host told before is forgotten. */
void push_restart(struct push *p);

/* What the host tells; a watermark outside sensible bounds is taken for the nearest. */
void push_set_watermark(struct push *p, uint64_t size_kib);
void push_set_heartbeat(struct push *p, uint64_t interval_usec);

/* A sample is wanted at the next look, whatever it shows. */
void push_want(struct push *p, enum agent_why why);

/* Whether a look at PSI is worth its cost now: only below half the watermark does it decide anything. */
bool push_wants_psi(const struct push *p);

/* After a look: true if a sample is to be sent now, and why. Not sent after all (the port is full)? Then ask again. */
bool push_due(struct push *p, const struct push_look *look, enum agent_why *ret_why);

/* The sample went out at the time of the last look. */
void push_sent(struct push *p);

/* How old a reading of /proc/meminfo may be for the next look where a cheaper sign says that nothing has changed. */
#define PUSH_FRESH_FAR_USEC 1000000ULL
#define PUSH_FRESH_NEAR_USEC 100000ULL
uint64_t push_fresh_usec(const struct push *p);

/* When to look next. */
uint64_t push_next_usec(const struct push *p);
