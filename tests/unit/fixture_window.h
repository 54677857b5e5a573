/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "window.h"

/* A backup's window on a stage: a played QEMU with two disks, a guest agent, a guardian and ballast-copy, which answer as
 * the real ones did when they were recorded, and do what a test has asked for at one step. The played QEMU keeps book of
 * what was put into it, and refuses what the real one refuses. */

enum stage_fault {
    STAGE_NONE,
    STAGE_ERROR,    /* refused with a reason */
    STAGE_TIMEOUT,  /* no answer in time; it was not done */
    STAGE_LATE,     /* no answer in time, but it was done */
    STAGE_LOST,     /* the monitor's connection ends; it is back when the window waits for it */
    STAGE_GONE,     /* the guest's process ends */
    STAGE_RESET,    /* the guest resets; the command is answered well */
    STAGE_PAUSED,   /* its user pauses the guest; the command is answered well */
    STAGE_CANCEL,   /* Ctrl-C; the command is answered well */
    STAGE_OVERTAKEN, /* the guardian's time has come; the command is answered well */
    STAGE_COPY_FAILED, /* ballast-copy says that it failed, and ends; the command is answered well */
    STAGE_FAULT_COUNT
};

#define STAGE_DISKS 2

/* The flash that a guest can't write to, as QEMU 7.2 tells of -drive if=pflash. */
#define STAGE_FLASH                                                                                                    \
    ",{\"device\":\"pflash0\",\"qdev\":\"/machine/system.flash0\",\"removable\":false,\"inserted\":{\"node-name\":\"#block193\"," \
    "\"drv\":\"raw\",\"ro\":true,\"image\":{\"virtual-size\":262144}}}"
#define STAGE_SENDS_MAX 4000 /* a window that comes to no end is wrong */

/* The command under way. */
struct stage_sent {
    struct window_command c;
    char *arguments;
    bool is_due;
};

struct stage {
    struct window *window;
    uint64_t now_usec;
    struct stage_sent last;

    /* One of a group: the test answers what its window sends to WINDOW_GROUP, and hears of its failure. NULL: alone. */
    const char *guest;
    void (*on_failed)(void *stage, const char *text);
    uint64_t group_due_usec; /* when that must be answered */

    /* What a test asks for. */
    unsigned fault_step; /* number of a step; 0: none */
    enum stage_fault fault;
    bool fault_stays;    /* each time, not only the first */
    const char *agent;   /* "absent", "silent", "refuses", "froze-none", "thaws-less", "frozen", "no-freeze"; NULL: well */
    const char *status;  /* of the guest; NULL: "running" */
    const char *nodes_left; /* further nodes: a JSON list without brackets; NULL: none */
    const char *jobs_left;
    const char *job_error; /* QEMU's jobs end with it */
    const char *bitmaps;   /* of disk0, a JSON list; NULL: none */
    const char *prepared;  /* members of ballast-prepare's answer; NULL: an empty repository */
    bool grown;            /* disk1 was resized after query-block told of it */
    enum window_freeze freeze;
    enum window_mode mode;
    const char *since, *checkpoint; /* of an exposure */
    bool no_repository;
    const char *exports_left; /* of other programs: a JSON list without brackets; NULL: none */
    const char *iothread;  /* of vdb; NULL: the guest has none; "refused": it does not say */
    const char *broken;    /* this disk's snapshot, as ballast-expose says; NULL: none */
    bool forgotten;        /* nobody releases it: a short lease */
    const char *forget;    /* with the release */
    uint64_t bandwidth_bytes;
    bool firmware;       /* disk1 holds variables of the firmware, beside one that can't be written to */
    bool hooks, hook_warns;
    const char *hook_error, *hook_after_error; /* what ballast-prepare says of them; NULL: well */
    unsigned die_before;   /* ballastd is killed just before this step, or ... */
    unsigned die_after;    /* ... when the command of this one was taken: its answer is nobody's */

    /* Books. */
    bool stopped, frozen, gone, armed, acted, finished, connected;
    bool copier, committed, hv_frozen;
    bool server, nbd, exports[STAGE_DISKS]; /* ballast-expose; QEMU's server and exports */
    bool told_changes, added_checkpoint, removed_checkpoint, removed_old;
    unsigned asked;
    bool dead;                  /* ballastd */
    bool files;                 /* what ballast-prepare made: images, the note of the job */
    bool nodes[4][STAGE_DISKS]; /* fleece, filter, access, target */
    bool plugged[STAGE_DISKS], job[STAGE_DISKS];
    char pushed[512];           /* the last job */
    bool switched;              /* new bitmaps were added */
    char added[64];             /* the last of them */
    bool folded, dropped_old;
    unsigned hooked, unhooked;  /* times each was asked for */
    char manifest[8192];        /* as ballast-copy got it; "": it did not */
    unsigned step, steps[80], sends; /* times each was taken */
    bool faulted;
    char wrong[256];            /* what no real QEMU would have let pass; "": nothing */
};

void stage_init(struct stage *s);
/* One turn at a time: begin, then while something is due, answer it. What is due to WINDOW_GROUP is the test's, by tell. */
void stage_begin(struct stage *s);
void stage_turn(struct stage *s);
void stage_tell(struct stage *s, const struct err *e);
/* Runs it to its end. False: it did not come to one. */
bool stage_run(struct stage *s);
void stage_done(struct stage *s);

/* After ballastd was killed: what dies with it, and what the guardian does then, unless it was killed, too. */
void stage_bury(struct stage *s, bool guardian_too);
/* The next ballastd undoes what is there; true: it came to an end. die_before and die_after count for it, too. */
bool stage_recover(struct stage *s);

/* Everything was given back: the guest runs and is thawed, nothing is in QEMU, nobody is armed. Where the guest is gone, only
 * what is not its own. Returns what is not so, or NULL. */
const char *stage_left(const struct stage *s);

unsigned stage_number(const char *step);
