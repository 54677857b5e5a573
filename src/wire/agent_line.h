/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* The line protocol between ballast-agent and ballastd over a virtio-serial port (docs/agent-protocol.md): one message
 * a line, a verb and `key=value` words. Parse and print only; neither end allocates. Whatever comes from a guest may be
 * hostile: lengths are checked before anything is looked at; nothing is taken from a line that is wrong in one place. */

/* A single number: it grows when an old reader would misunderstand a new writer. New keys need no new version. */
#define AGENT_PROTOCOL_VERSION 1

/* Longest line with its newline, and the most lines a second: what a sample needs is a tenth of either. */
#define AGENT_LINE_MAX 4096
#define AGENT_LINES_PER_SEC 50

/* Longest text of a status or hello, with its end: longer ones are cut by the printer, refused by the parser. */
#define AGENT_TEXT_SIZE 512

/* A key that was not in the line; never taken for zero. */
#define AGENT_UNSET UINT64_MAX

/* The largest size a line may tell, in KiB (64 PiB): more is no machine but a mistake or a lie. */
#define AGENT_KIB_MAX (1ULL << 46)

enum agent_verb {
    AGENT_VERB_HELLO,     /* both ways: the first line of each side, and the answer to the other's */
    AGENT_VERB_SAMPLE,    /* from the guest: its memory, now */
    AGENT_VERB_PONG,      /* from the guest: the answer to a ping */
    AGENT_VERB_PING,      /* from the host: the guest's clock is wanted */
    AGENT_VERB_ASK,       /* from the host: a sample is wanted now */
    AGENT_VERB_WATERMARK, /* from the host */
    AGENT_VERB_HEARTBEAT, /* from the host */
    AGENT_VERB_STATUS,    /* from the host: how much is lent and why, for people in the guest */
    AGENT_VERB_COUNT
};

/* Why a sample was sent. */
enum agent_why {
    AGENT_WHY_HEARTBEAT, /* its time had come */
    AGENT_WHY_WATERMARK, /* MemAvailable fell through the watermark */
    AGENT_WHY_FALL,      /* and again by 8 MiB */
    AGENT_WHY_PRESSURE,  /* a pressure trigger of the kernel fired */
    AGENT_WHY_STALL,     /* below half the watermark and pressure moves */
    AGENT_WHY_ASKED,
    AGENT_WHY_COUNT
};

/* Numbers by key; docs/agent-protocol.md has their meaning. Sizes in KiB, times in microseconds. */
enum agent_key {
    AGENT_KEY_VERSION,
    AGENT_KEY_SEQ,  /* of a sample: grows with each since the hello */
    AGENT_KEY_WHY,  /* enum agent_why; written as a word; AGENT_UNSET also where the word is not known */
    AGENT_KEY_TIME, /* sample: the guest's CLOCK_MONOTONIC; ping, pong: the host's, returned unchanged */
    AGENT_KEY_GUEST_TIME,
    AGENT_KEY_MEM_TOTAL,
    AGENT_KEY_MEM_FREE,
    AGENT_KEY_MEM_AVAILABLE,
    AGENT_KEY_BALLOON,
    AGENT_KEY_KERNEL_FREE,
    AGENT_KEY_CACHE,
    AGENT_KEY_SHMEM,
    AGENT_KEY_ANON,
    AGENT_KEY_DIRTY,
    AGENT_KEY_COMMITTED,
    AGENT_KEY_COMMIT_LIMIT,
    AGENT_KEY_SWAP_TOTAL,
    AGENT_KEY_SWAP_FREE,
    AGENT_KEY_SWAPPED_IN,
    AGENT_KEY_SWAPPED_OUT,
    AGENT_KEY_REFAULTED,
    AGENT_KEY_PSI_SOME,
    AGENT_KEY_PSI_FULL,
    AGENT_KEY_OOM_KILLS,
    AGENT_KEY_SIZE,     /* watermark */
    AGENT_KEY_INTERVAL, /* heartbeat */
    AGENT_KEY_LENT,
    AGENT_KEY_ASSIGNED,
    AGENT_KEY_MAXIMUM,
    AGENT_KEY_COUNT
};

struct agent_message {
    enum agent_verb verb;
    uint64_t value[AGENT_KEY_COUNT]; /* AGENT_UNSET: not in the line */
    char text[AGENT_TEXT_SIZE];      /* hello, status: the rest of the line behind text=; empty: none */
};

/* Ranges of what the host may ask for: a heartbeat of an hour or a watermark of 1 KiB would only break the agent. */
#define AGENT_INTERVAL_MIN_USEC 100000ULL
#define AGENT_INTERVAL_MAX_USEC 60000000ULL

/* All values unset, no text. */
void agent_message_init(struct agent_message *m, enum agent_verb verb);

/* Reads one line (without its newline; a carriage return before it is part of the line and refused). Unknown keys are
 * skipped, so that a newer peer may say more. Returns 0, or -errno with one sentence that starts with what is wrong and
 * quotes it: -EMSGSIZE too long, -EBADMSG malformed (binary, half a line, a word without value, twice the same key),
 * -ERANGE negative or impossible, -EPROTONOSUPPORT another version, -EPROTO an unknown verb. */
int agent_line_parse(const char *buf, size_t len, struct agent_message *ret, struct err *e);

/* Writes the line with its newline (no NUL) and returns its length, or -EMSGSIZE: then nothing is usable. Keys that do
 * not belong to the verb are left out; control characters of the text become '?'. */
int agent_line_print(const struct agent_message *m, char *buf, size_t size);

/* True for what a guest may send; the others come from the host. A hello comes from both. */
bool agent_verb_is_guests(enum agent_verb verb);
bool agent_verb_is_hosts(enum agent_verb verb);

/* Names as they stand in a line; NULL beyond the last. */
const char *agent_verb_name(enum agent_verb verb);
const char *agent_key_name(enum agent_key key);
const char *agent_why_name(enum agent_why why);
