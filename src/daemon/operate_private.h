/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "api_routes.h"
#include "config_set.h"
#include "engine_reserve.h"
#include "operate.h"
#include "wire_operate.h"

/* What the files of operate share. Nobody else includes this. */

/* Paused guests and those with values set are remembered by name, also where they are not there now. */
#define OPERATE_GUESTS_MAX ENGINE_GUESTS_MAX

/* Longest list of a request's changes in a sentence; what does not fit is cut. */
#define OPERATE_CHANGES_SIZE 384

enum operate_moves_kind {
    OPERATE_MOVES_ON,
    OPERATE_MOVES_OFF, /* nothing moves: all keep what they have */
    OPERATE_MOVES_RELEASE, /* nothing is taken, and all get back what they booted with */
    OPERATE_MOVES_COUNT
};

/* Who did it, and when. */
struct operate_who {
    uint64_t uid, pid;
    uint64_t time_sec; /* wall clock, for people */
    char program[32];  /* the kernel's name of the process; "" where it was gone */
};

struct operate_paused {
    char guest[WIRE_NAME_SIZE];
    struct operate_who who;
};

/* Values of one guest. `now` holds until ballastd ends, `saved` stands in CONFIG_SET_FILE. */
struct operate_set {
    char guest[WIRE_NAME_SIZE];
    struct config_set now, saved;
    struct operate_who who; /* of the last change; time_sec 0: none since ballastd runs */
    char last[OPERATE_CHANGES_SIZE];
};

struct operate {
    struct operate_env env;
    enum operate_moves_kind moves;
    struct operate_who moves_who;
    struct operate_paused *paused; /* by guest */
    size_t paused_count;
    struct operate_set *sets;      /* by guest */
    size_t set_count;
    struct operate_fell_short {
        uint64_t id;
        char text[WIRE_DONE_TEXT_SIZE]; /* of a reservation that failed: who could give no more, as it was then */
    } fell_short[RESERVE_MAX];
    size_t fell_short_next;
    uint64_t kept;                 /* number of the last write that was handed to the keeper */
    char damaged[ERR_TEXT_SIZE];   /* what was kept could not be read; "" else */
};

/* "alice (ballast)" */
void operate_who_text(const struct operate *o, const struct operate_who *who, char *to, size_t size);

/* Who sent a request; asked at once, since the process may be gone in a moment. */
void operate_who_find(const struct api_request *rq, struct operate_who *ret);

/* A line of the audit log; `more`: further members, or "". */
void operate_audit(struct operate *o, const struct operate_who *who, const char *what, const char *guest, const char *more);

/* Hands the state to the keeper (operate_keep.c). Fills what the answer says of it: the write's number, or a warning. */
void operate_keep(struct operate *o, struct wire_done *d);
/* The same of any other file of the operator's; the text is taken over. */
void operate_keep_file(struct operate *o, const char *path, struct wire_text *text, struct wire_done *d);

/* Reads what was kept at the last run. */
void operate_restore(struct operate *o);

/* Answers with what was done. */
void operate_reply(const struct operate *o, struct wire_done *d, struct api_reply *ret);

/* "on", "off", "release"; false: no such word. */
bool operate_moves_parse(const char *name, enum operate_moves_kind *ret);

/* Off, on or release from now on: audited, kept, told to the engine; `text` goes into the answer. */
void operate_moves_change(struct operate *o, const struct api_request *rq, enum operate_moves_kind moves, const char *text,
                          struct api_reply *ret);

/* The same answer as ever where nothing changes. */
void operate_reply_same(const struct operate *o, const char *text, struct api_reply *ret);

/* One request each (operate_set.c, operate_release.c, operate_reserve.c). */
void operate_request_set(struct operate *o, const struct api_request *rq, struct api_reply *ret);
void operate_request_release(struct operate *o, const struct api_request *rq, struct api_reply *ret);
void operate_request_release_left(struct operate *o, const struct api_request *rq, struct api_reply *ret);
void operate_request_reserve(struct operate *o, const struct api_request *rq, struct api_reply *ret);
void operate_request_reservations(struct operate *o, const struct api_request *rq, struct api_reply *ret);
void operate_request_reservation(struct operate *o, const struct api_request *rq, struct api_reply *ret);
void operate_request_reserve_cancel(struct operate *o, const struct api_request *rq, struct api_reply *ret);
void operate_sets_free(struct operate *o);
