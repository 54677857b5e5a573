/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "wire_text.h"

/* One message to whoever looks after the host, as the notify command gets it: environment and JSON (ballast.yaml(5), NOTIFY).
 * Plain data of a fixed size: filling one allocates nothing, since some are sent when memory is short. */

/* What messages are about; each has a row in notify_events. New ones go before NOTIFY_TEST: nothing else knows their order. */
enum notify_event {
    NOTIFY_HOST,   /* the host's memory is hard or low, or better again */
    NOTIFY_BREACH, /* a guest holds more than it says */
    NOTIFY_STUCK,  /* a guest has not moved for long */
    NOTIFY_BACKUP_FAILED, /* of a guest */
    NOTIFY_BACKUP_OLD,    /* a guest's last one is */
    NOTIFY_BACKUP_HOOK,   /* one that a guest's backup ran failed */
    NOTIFY_VERIFY_FAILED, /* damage was found in the repository, or it can't be looked for */
    NOTIFY_TEST,   /* somebody asked for one */
    NOTIFY_EVENT_COUNT
};

struct notify_event_row {
    const char *name; /* BALLAST_EVENT */
    const char *help; /* when it is sent */
};

extern const struct notify_event_row notify_events[NOTIFY_EVENT_COUNT];

enum notify_severity {
    NOTIFY_OK, /* what was told of before is over */
    NOTIFY_WARNING,
    NOTIFY_CRITICAL,
    NOTIFY_SEVERITY_COUNT
};

#define NOTIFY_STATE_SIZE 12
#define NOTIFY_NAME_SIZE 64

struct notify_message {
    uint64_t id;         /* counts up from 1 while ballastd runs; set by notify_send() */
    enum notify_event event;
    enum notify_severity severity;
    char state[NOTIFY_STATE_SIZE]; /* host: "high" ... "low"; guests: "begin", "end" */
    char guest[NOTIFY_NAME_SIZE];  /* "": about the host */
    char host[NOTIFY_NAME_SIZE];   /* set by notify_send() */
    char text[ERR_TEXT_SIZE];      /* one sentence for people */
    int64_t time_sec;    /* wall clock, for people; set by notify_send() */
    uint64_t since_ms;   /* how long the state has lasted */
    uint32_t changes;    /* how often the state changed since the last message of this kind, this change not counted */
    uint64_t dropped;    /* messages lost before this one, as there were too many; notify_send() adds its own */
    uint64_t assigned_bytes, held_bytes; /* of the guest; WIRE_UNKNOWN: not known */
    int64_t free_bytes;                  /* of the host: what is left of the reserve */
    uint64_t reserve_bytes;
};

/* Variables of the environment, BALLAST_*, and PATH; the command gets no others. */
#define NOTIFY_ENV_MAX 12
#define NOTIFY_ENV_ROOM 1536

struct notify_env {
    char *list[NOTIFY_ENV_MAX + 1]; /* ends in NULL; points into room */
    size_t count;
    size_t used;
    char room[NOTIFY_ENV_ROOM];
};

/* The environment for a message. No value has control characters, whatever a guest's name or a sentence brought along. */
void notify_message_env(const struct notify_message *m, struct notify_env *ret);

/* The same and more as one JSON document with a newline at its end. */
void notify_message_print(const struct notify_message *m, struct wire_text *out);
