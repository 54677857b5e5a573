/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* What ballastd and its guardian say to each other, over a SOCK_SEQPACKET pair (S7). Both come from one build and one
 * start, so messages are structs; the version still is checked.
 *
 *     arm ----------> armed | refused      the marker is on disk, duplicates of the sockets are held, the timer runs
 *     disarm -------> disarmed             the window is over; marker and duplicates are gone
 *     act ----------> ended | not_ended    cont and thaw, now, again and again until both are answered
 *                     taken, then ended    its time was up: done without being asked
 *
 * When ballastd's end closes, everything that is armed is acted on; then the guardian ends. */

#define GUARDIAN_VERSION 1U
#define GUARDIAN_WINDOWS_MAX 64 /* guests frozen at once */
#define GUARDIAN_PATH_SIZE 112  /* any unix socket's path */
#define GUARDIAN_TEXT_SIZE 256

/* Markers are RUNTIME_DIR/backup/GUEST.frozen */
#define GUARDIAN_MARKER_ENDING ".frozen"

enum guardian_verb {
    GUARDIAN_ARM,
    GUARDIAN_DISARM,
    GUARDIAN_ACT,
    GUARDIAN_VERB_COUNT
};

struct guardian_order {
    uint32_t version, verb;
    char guest[64];
    /* the rest with ARM only */
    int64_t pid; /* of QEMU: when it is gone nothing is frozen any more; 0: not known */
    uint64_t start_ticks;
    uint64_t hard_usec; /* from now on */
    bool may_stop, may_freeze;
    bool has_monitor, has_agent; /* a descriptor for it comes along, in this order */
    char monitor[GUARDIAN_PATH_SIZE], agent[GUARDIAN_PATH_SIZE];
};

enum guardian_answer {
    GUARDIAN_ARMED,
    GUARDIAN_REFUSED,
    GUARDIAN_DISARMED,
    GUARDIAN_TAKEN,
    GUARDIAN_ENDED,
    GUARDIAN_NOT_ENDED, /* the guest agent still does not answer; it is tried on */
    GUARDIAN_ANSWER_COUNT
};

struct guardian_word {
    uint32_t version, answer;
    char guest[64];
    char text[GUARDIAN_TEXT_SIZE]; /* REFUSED, NOT_ENDED: why */
};

/* monitor_fd, agent_fd: duplicated by the kernel on the way, stay the caller's; -1: none. Never waits: -EAGAIN. */
int guardian_send_order(int fd, const struct guardian_order *order, int monitor_fd, int agent_fd, struct err *e);

/* Descriptors are the caller's, CLOEXEC; -1 where none came. 1 with *ret; 0: the peer is gone; -EAGAIN: nothing there;
 * -EPROTO: nonsense, which was dropped. */
int guardian_receive_order(int fd, struct guardian_order *ret, int *ret_monitor_fd, int *ret_agent_fd, struct err *e);

int guardian_send_word(int fd, const struct guardian_word *word, struct err *e);
int guardian_receive_word(int fd, struct guardian_word *ret, struct err *e);
