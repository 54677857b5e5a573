/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "own.h"
#include "wire_text.h"

/* One backup of one running guest, as a state machine (docs/design.md 6): it gives commands, one at a time, and takes
 * answers and events. No I/O, no clock of its own; the daemon and the tests drive it.
 *
 * One const table (window_steps.c) names every step in order. Steps belong to phases:
 *
 *     PREPARE   all that can fail or be slow; the guest runs on
 *     WINDOW    freeze, stop, checkpoint
 *     CLOSE     cont, thaw: always, whatever failed before; then the guardian's word that it is over
 *     COPY      QEMU pushes the checkpoint to ballast-copy
 *     TEARDOWN  everything of ours leaves QEMU again: by what is there, not by what we think is there
 *     SETTLE    the point is committed; bitmaps go on or are folded back
 *
 * A failure in PREPARE or WINDOW goes on with CLOSE, one in COPY with TEARDOWN. Steps that have nothing to undo are left
 * out. Failures in CLOSE and after are kept, and the steps go on. */

struct json_object;
struct window;

#define WINDOW_DISKS_MAX 32      /* as many as a guest can have on one PCI bus */
#define WINDOW_NAME_SIZE 64      /* disks, nodes: QEMU's node names have 31 characters */
#define WINDOW_DEVICE_SIZE 160   /* path of a device in QEMU's object tree */
#define WINDOW_PATH_SIZE 256
#define WINDOW_SOCKET_SIZE 108
#define WINDOW_TEXT_SIZE 512
#define WINDOW_NOTES_MAX 32      /* sentences for the user; further ones are counted */
#define WINDOW_MOUNTS_MAX 64     /* of file systems that can't be frozen, listed in the manifest */
#define WINDOW_HOOK_ENDING ".hook" /* of the note that the hook after the thaw is still to be run: SOCKET_DIR/GUEST.hook */
#define WINDOW_CHECKPOINT_SIZE 41 /* a checkpoint's name, its end included: a date, a serial number, the program's own */

/* How long an exposure lasts that nobody renews: as long as a copy of a large disk takes; one that is forgotten costs the
 * guest writes and the host disk space. */
#define WINDOW_LEASE_DEFAULT_USEC 3600000000ULL
#define WINDOW_LEASE_MIN_USEC 1000000ULL        /* a second */
#define WINDOW_LEASE_MAX_USEC 604800000000ULL   /* a week: its fleecing images grow all the time */

/* What the checkpoint is for. */
enum window_mode {
    WINDOW_BACKUP, /* a point in the repository */
    WINDOW_EXPOSE, /* an NBD export of each disk for other programs, until it is released (window_expose.c). A guest with
                    * disks in an iothread goes over to WINDOW_BACKUP before anything is done to it: an export there would
                    * kill it. Its new point is served instead */
    WINDOW_MODE_COUNT
};

enum window_freeze {
    WINDOW_FREEZE_PREFER,  /* freeze where an agent answers */
    WINDOW_FREEZE_REQUIRE, /* no point without */
    WINDOW_FREEZE_NEVER,
    WINDOW_FREEZE_COUNT
};

enum window_consistency {
    WINDOW_CRASH,  /* as if the power had failed at that instant; all disks at the same one */
    WINDOW_PAUSED, /* its user had paused it */
    WINDOW_FS,     /* file systems frozen, proven by the count of the thaw */
    WINDOW_CONSISTENCY_COUNT
};
const char *window_consistency_text(enum window_consistency c); /* "crash", "paused", "fs" */
const char *window_freeze_text(enum window_freeze f);           /* "prefer", "require", "never" */

enum window_phase {
    WINDOW_PREPARE,
    WINDOW_WINDOW,
    WINDOW_CLOSE,
    WINDOW_COPY,
    WINDOW_TEARDOWN,
    WINDOW_SETTLE,
    WINDOW_PHASE_COUNT
};

/* To whom a command goes. */
enum window_peer {
    WINDOW_MONITOR,  /* QMP command with arguments */
    WINDOW_AGENT,    /* qemu-guest-agent command with arguments */
    WINDOW_GUARDIAN, /* "arm", "disarm", "act" */
    WINDOW_HELPER,   /* "prepare", "remove", "hook": ballast-prepare with the arguments as its input; its answer is its output */
    WINDOW_COPIER,   /* "job", "finish", "cancel": a line to ballast-copy; the answer is the line that ends it */
    WINDOW_SERVER,   /* what stands between an exposure and its clients: "relay", "serve", "status", "end" */
    WINDOW_GROUP,    /* "meet-prepared" ...: answered when all guests of the group are there; "turn": when it may copy */
    WINDOW_CLOCK,    /* nothing: answer after deadline_usec, or earlier */
    WINDOW_PEER_COUNT
};

struct window_command {
    enum window_peer peer;
    const char *command;
    const char *arguments; /* JSON text of an object, or NULL */
    uint64_t deadline_usec;
};

/* Waits, all of them limits of one step (docs/design.md 10). */
struct window_times {
    uint64_t freeze_usec;     /* the agent's answer to freeze */
    uint64_t checkpoint_usec; /* from stop to the last filter */
    uint64_t hard_usec;       /* from arming to the guardian's hand */
    uint64_t monitor_usec;    /* any other command to the monitor */
    uint64_t sync_usec;       /* /bin/sync in the guest */
    uint64_t fleece_usec;     /* a guest's write waits for its fleecing image; whole seconds count */
    uint64_t stall_usec;      /* the repository takes nothing while data waits */
};
#define WINDOW_TIMES                                                                                                   \
    ((struct window_times){.freeze_usec = 10000000, .checkpoint_usec = 2000000, .hard_usec = 15000000,                 \
                           .monitor_usec = 10000000, .sync_usec = 30000000, .fleece_usec = 20000000,                         \
                           .stall_usec = 30000000})

struct window_config {
    enum window_mode mode;
    const char *guest;      /* its name */
    const char *identity;   /* its directory in the repository */
    const char *repository; /* directory; "": none, which only an exposure can do without */
    const char *state_dir;  /* fleecing images go to state_dir/fleece */
    const char *socket_dir; /* NBD sockets */
    pid_t pid;              /* of QEMU: owner of what it must open; 0: not known */
    enum window_freeze freeze;
    struct window_times times;
    uint64_t bandwidth_bytes; /* a second; 0: no limit */
    const char *before_freeze, *after_thaw; /* commands of the administrator's; NULL: none */
    uint64_t before_usec, after_usec;       /* how long each may take */
    bool hook_warns;        /* one that fails before the freeze is only told of */
    bool grouped;           /* meets others at one instant (window_group.h) */
    bool recover;           /* only CLOSE and TEARDOWN: what an earlier ballastd left ... */
    bool recover_marked; /* ... with a marker, which goes */
    bool recover_stopped, recover_frozen; /* ... and with a window open, as it says of this QEMU */
    bool recover_hook;      /* ... and the hook after the thaw not yet run */
    const char *hold_step;  /* tests: this step waits for env.held(); NULL: none */

    /* Of an exposure; NULL: none. */
    const char *since;      /* a checkpoint's name, or the newest point: its changes since are told to clients */
    const char *checkpoint; /* from now on QEMU records changes under this name */
    uint64_t lease_usec;
    bool exposed_before;    /* an exposure's directory is still there: its NBD server may be, too */
};

/* A checkpoint's name is usable: 1..WINDOW_CHECKPOINT_SIZE - 1 of letters, digits, '.', '_', '-', none of the last three
 * in front. */
bool window_checkpoint_is_valid(const char *name);

struct window_env {
    /* Sends; the answer comes by window_answer(), never from inside. A failure here counts as the answer. */
    int (*send)(void *user, const struct window_command *c, struct err *e);
    /* The freeze window begins, or is over. */
    void (*frozen)(void *user, bool frozen);
    /* Before each step, for logs and tests; `number` as in the manual. */
    void (*step)(void *user, unsigned number, const char *name);
    bool (*held)(void *user);      /* may be NULL */
    /* The first failure: the other guests of the group are not to wait. NULL: nobody needs to know. Not the place to call the
     * window from. */
    void (*failed)(void *user, const char *text);
    void (*print_group)(void *user, struct wire_text *t); /* the manifest's "group", an object; NULL: none */
    void (*finished)(void *user);  /* last call; window_free() is fine in it */
    void *user;
};

/* config's texts are copied. 0 or -ENOMEM. */
int window_new(const struct window_config *config, const struct window_env *env, struct window **ret, struct err *e);
struct window *window_free(struct window *w);
OWN_DEFINE(window);

/* Sends the first command. now_usec: CLOCK_MONOTONIC, here and below. utc_usec: since 1970. */
void window_start(struct window *w, uint64_t now_usec, int64_t utc_usec);

/* The answer to the command that was sent last; value is borrowed, NULL with e. */
void window_answer(struct window *w, struct json_object *value, const struct err *e, uint64_t now_usec,
                   int64_t utc_usec);

/* An event of the monitor. */
void window_event(struct window *w, const char *name, struct json_object *data, uint64_t now_usec);

/* The monitor's connection ended (its command under way was answered with ECANCELED before), or is there again. gone: the
 * guest is, too. */
void window_lost(struct window *w, bool gone, const char *reason, uint64_t now_usec);
void window_back(struct window *w, uint64_t now_usec);

/* The guardian took the window over: its time was up. */
void window_overtaken(struct window *w, uint64_t now_usec);

/* ballast-copy failed or ended by itself, while no command was with it. */
void window_copy_failed(struct window *w, const char *text, const char *hint, uint64_t now_usec);

/* What to do about the failure that is told next. */
void window_hint(struct window *w, const char *hint);
/* Another guest of its group failed: this one gives up, too, as soon as the command under way is answered. */
void window_abandon(struct window *w, const char *text, uint64_t now_usec);

/* Gives up as soon as the command under way is answered; nothing happens after the copy is complete. */
void window_cancel(struct window *w, uint64_t now_usec);

/* An exposure ends well: it was asked for. forget: the checkpoint of that name is no longer needed; NULL: none is. -ENOENT:
 * there is none of that name, and nothing was done. */
int window_release(struct window *w, const char *forget, uint64_t now_usec, struct err *e);

/* Its lease begins anew. */
void window_renew(struct window *w, uint64_t lease_usec, uint64_t now_usec);

/* ---- What became of it. */
enum window_disk_kind {
    WINDOW_FULL,
    WINDOW_INCREMENTAL
};

struct window_disk_view {
    const char *name, *socket;
    uint64_t size_bytes;
    enum window_disk_kind kind;
    uint64_t dirty_bytes;
    uint64_t pushed_bytes; /* as QEMU's job says */
    bool tells_changes;    /* exposed: clients see what changed since the point or checkpoint asked for */
};

struct window_view {
    const char *step; /* the one under way, or the last */
    unsigned step_number;
    enum window_phase phase;
    bool done, failed;
    bool abandoned;            /* failed only because another guest of the group did */
    const char *error, *hint;  /* of the first failure; "" */
    const char *failed_step;
    const char *point;         /* "" until committed */
    const char *left;          /* what could not be undone, one sentence; "" */
    const char *hook;          /* what a hook failed by, one sentence; "" */
    enum window_consistency consistency;
    int64_t checkpoint_utc_usec; /* 0: none yet */
    uint64_t frozen_count, thawed_count;
    uint64_t freeze_usec;      /* from the freeze command to the thaw's answer; 0: not frozen */
    uint64_t stop_usec;        /* from stop to cont's answer; 0: not stopped */
    size_t disks_n;
    size_t notes_n, notes_more;

    /* Of an exposure. */
    bool is_exposed;         /* now */
    bool was_exposed;
    bool from_repository;    /* its point is served, not QEMU's export */
    const char *since, *checkpoint; /* as asked for; "" */
    const char *end_reason;  /* why it ended other than by release; "" */
    uint64_t lease_until_usec, exposed_usec, unexposed_usec; /* CLOCK_MONOTONIC; 0: not yet */
    uint64_t fleece_bytes;   /* what its fleecing images hold */
    uint64_t clients, sent_bytes;
};
void window_look(const struct window *w, struct window_view *ret);

/* When it stood still, by the clock of now_usec. */
struct window_instant {
    bool is_paused;          /* by its user, before and after */
    uint64_t stopped_usec;   /* stop was answered; 0: not */
    uint64_t continued_usec; /* cont was sent; 0: not */
    char time[20];           /* its point's, as the repository writes it: the point is there once it is committed */
};
void window_look_instant(const struct window *w, struct window_instant *ret);
void window_look_disk(const struct window *w, size_t i, struct window_disk_view *ret);
const char *window_note(const struct window *w, size_t i);

/* {"before_freeze":...,"after_thaw":...}: null where there was none, "done", or what it failed by. */
void window_print_hooks(const struct window *w, struct wire_text *t);
/* The context that tells clients of an exposure what changed: an NBD metadata context of this name behind
 * "qemu:dirty-bitmap:". */
#define WINDOW_SINCE_BITMAP "ballast-since"

/* Where clients connect to for disk i. */
void window_server_path(const struct window *w, size_t i, char ret[WINDOW_SOCKET_SIZE]);

/* Name and number of each step, for the manual and tests: NULL behind the last. */
const char *window_step_name(unsigned number);

/* Of one that has a name. */
enum window_phase window_step_phase(unsigned number);
bool window_step_is_each_disk(unsigned number);
