/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "bitmap_plan.h"
#include "window.h"

/* What the files of the window share. Nobody else includes this. */

/* Nodes and jobs of ours in QEMU: a disk's number follows. Recovery finds them by these. */
#define WINDOW_NODE_FLEECE "ballast-fl-"
#define WINDOW_NODE_FILTER "ballast-cbw-"
#define WINDOW_NODE_ACCESS "ballast-acc-"
#define WINDOW_NODE_TARGET "ballast-tg-"
#define WINDOW_JOB "ballast-job-"
#define WINDOW_EXPORT "ballast-ex-"
#define WINDOW_JOB_BITMAP "ballast-cp"

/* Of QEMU's job: more workers gained nothing, larger requests it does not make, smaller ones it refuses. */
#define WINDOW_WORKERS_MAX 8ULL
#define WINDOW_REQUEST_MAX (1ULL << 20)
#define WINDOW_REQUEST_MIN (64ULL << 10)

#define WINDOW_POLL_USEC 500000ULL         /* jobs tell by events; this is for lost ones */
#define WINDOW_SYNC_POLL_USEC 50000ULL
#define WINDOW_HOLD_POLL_USEC 10000ULL
#define WINDOW_CONCLUDE_USEC 10000000ULL   /* after ballast-copy gave up a stalled socket */
#define WINDOW_PROBE_USEC 10000000ULL      /* one small file, synced: a disk that is only busy does it */
#define WINDOW_RECONNECT_USEC 60000000ULL  /* a lost monitor is tried again for so long before what is left is left */
#define WINDOW_THAW_TRY_USEC 2000000ULL
#define WINDOW_AGENT_USEC 5000000ULL
#define WINDOW_CONT_TRIES 3
#define WINDOW_LOOK_TRIES 3
#define WINDOW_ACT_USEC 60000000ULL
#define WINDOW_HELPER_USEC 120000000ULL    /* a slow repository: nothing is frozen meanwhile */
#define WINDOW_READY_USEC 60000000ULL      /* ballast-copy reads the parents' indexes */
#define WINDOW_COMMIT_USEC 3600000000ULL   /* what is queued must be written and synced */
#define WINDOW_COPY_END_USEC 10000000ULL
#define WINDOW_SERVER_USEC 10000000ULL     /* it only answers; one that is stopped holds connections, so it goes early */
#define WINDOW_STATUS_USEC 500000ULL       /* a lease ends so late at most */

#define WINDOW_CHECKPOINT "ballast-x-"     /* bitmaps of checkpoints; no repository's name is 'x' */
#define WINDOW_CHECKPOINT_BYTES 65536U     /* their granularity: a cluster of qcow2; 2 MiB of memory for 1 TiB */
#define WINDOW_CHECKPOINTS_MAX 16          /* on a disk: each costs every write of the guest a little */
#define WINDOW_CLIENTS_MAX 20              /* of QEMU's NBD server: the relay's 16, its own look, spare ones */
#define WINDOW_MEET_PREPARED_USEC 300000000ULL /* another guest's repository, leftovers, sync: nobody is frozen meanwhile */
#define WINDOW_MEET_READY_USEC 10000000ULL   /* beyond the time of a hook: to be killed and told */
#define WINDOW_TURN_USEC 86400000000ULL      /* others copy first: a day is longer than any of them */

#define WINDOW_FLASH ".flash" /* in the path of a device that holds firmware; its unit follows */

struct window_disk {
    char name[WINDOW_NAME_SIZE];
    char device[WINDOW_DEVICE_SIZE]; /* qdev as query-block says */
    char file[WINDOW_PATH_SIZE], format[WINDOW_NAME_SIZE]; /* its image, where it has an absolute path; "" */
    char node[WINDOW_NAME_SIZE];     /* of the format layer, to which the device goes back */
    uint64_t size_bytes;
    bool keeps_bitmaps; /* its format stores them */
    bool is_firmware;   /* where the guest keeps its firmware's variables */

    struct bitmap_plan plan;
    struct bitmap_seen bitmaps[BITMAPS_MAX];
    size_t bitmaps_n;
    bool dirtied; /* the new bitmap may be there: window opened */
    uint64_t dirty_bytes;
    char fleece[WINDOW_PATH_SIZE];
    char socket[WINDOW_SOCKET_SIZE];

    /* of an exposure */
    bool in_iothread;
    char since[2][WINDOW_NAME_SIZE + 24]; /* bitmaps that together tell what changed; "": none */
    bool checkpointed;               /* one of that name was added */
    bool checkpoint_old, forgets;    /* a bitmap of the name to be added, or to be forgotten, is there */
    bool since_there;

    /* in QEMU: sent, or seen */
    bool export_there;
    bool fleece_there, filter_there, plugged, access_there, target_there, job_there, job_concluded;
    uint64_t pushed_bytes;
};

struct window {
    struct window_config config;
    char texts[1536 + 6 * WINDOW_PATH_SIZE]; /* what config points to */
    enum window_mode mode;                   /* an exposure may go over to a backup */
    struct window_env env;
    uint64_t now_usec;
    int64_t utc_usec;

    /* where it is */
    unsigned at;         /* index into window_steps */
    size_t disk;         /* of an each_disk step */
    unsigned tries;      /* of this step */
    bool waiting;        /* for an answer */
    bool polling;        /* for the clock: an event may end it */
    bool running;        /* in advance(): no nesting */
    bool kicked;         /* something happened while polling is not yet waiting */
    bool finished;
    bool cancelled, abandoned;
    bool connected, gone;
    bool looked; /* what query-block says is not older than this TEARDOWN */
    bool waits_connection;
    uint64_t step_since_usec;

    /* what failed */
    bool failed;
    bool failed_by_loss; /* of the monitor's connection, while it had to answer */
    char failed_step[32];
    struct err error;
    char hint[WINDOW_TEXT_SIZE];
    char left[WINDOW_TEXT_SIZE];

    /* what is known */
    struct window_disk disks[WINDOW_DISKS_MAX];
    size_t disks_n;
    bool was_running;
    bool recovered;      /* leftovers were found and undone once */
    bool resume;         /* after that teardown: begin anew */
    bool has_graph;      /* the query that tells what is below a filter */
    char qemu_version[WINDOW_NAME_SIZE];
    struct json_object *nodes; /* answer of the step of that name; owned */
    char bitmap_prefix[WINDOW_NAME_SIZE]; /* "ballast-<repository>-" */
    char parent[WINDOW_NAME_SIZE];        /* newest point of this guest; "": none */
    char *definition;                     /* JSON array: QEMU's command line; owned; may be NULL */
    uint64_t chunk_bytes;

    /* the agent */
    bool use_agent;
    bool can_exec;
    uint64_t sync_pid;
    struct wire_text mounts; /* JSON array of what is mounted in the guest */

    /* the window */
    bool armed, freeze_sent, frozen, stop_sent, window_open;
    bool cont_done, thaw_done, acted;
    uint64_t armed_usec, freeze_usec, frozen_usec, thawed_usec, stop_usec, stopped_usec, continue_usec, cont_usec;
    uint64_t frozen_count, thawed_count;
    int64_t checkpoint_utc_usec;
    enum window_consistency consistency;

    bool hook_sent; /* the one after the thaw is owed */
    char hook_before[WINDOW_TEXT_SIZE], hook_after[WINDOW_TEXT_SIZE]; /* "": none; "done"; what it failed by */
    /* an exposure */
    bool from_repository, has_iothreads;
    bool nbd_there, server_there, directory_there;
    bool is_exposed, was_exposed, released;
    char forget[WINDOW_CHECKPOINT_SIZE]; /* "": none */
    char end_reason[WINDOW_TEXT_SIZE];
    uint64_t lease_until_usec, exposed_usec, unexposed_usec;
    uint64_t fleece_bytes, clients, sent_bytes;

    bool fleece_hangs;
    bool job_failed; /* a job of QEMU's has ended too early */
    bool copier_there, copied, finish_sent, committed;
    char point[WINDOW_NAME_SIZE * 2];

    char notes[WINDOW_NOTES_MAX][WINDOW_TEXT_SIZE];
    size_t notes_n, notes_more;
};

/* What take() and refused() say besides 0 and -errno. */
enum { WINDOW_AGAIN = 1 /* ask again after step->poll_usec */ };

struct window_step {
    const char *name;
    enum window_phase phase;
    enum window_peer peer;
    const char *command;
    bool each_disk;
    /* NULL: always. d is NULL but in each_disk steps. */
    bool (*needed)(const struct window *w, const struct window_disk *d);
    /* Prints the arguments; NULL: none. */
    void (*build)(struct window *w, struct window_disk *d, struct wire_text *t);
    /* Takes the answer. NULL: any is fine. */
    int (*take)(struct window *w, struct window_disk *d, struct json_object *value, struct err *e);
    /* Takes a refusal, a timeout: 0 makes it none, WINDOW_AGAIN tries again. NULL: it is a failure. */
    int (*refused)(struct window *w, struct window_disk *d, struct err *e);
    /* Just before it is sent; NULL: nothing. */
    void (*sent)(struct window *w, struct window_disk *d);
    uint64_t (*deadline_usec)(const struct window *w);
    uint64_t poll_usec; /* between tries */
    unsigned modes; /* of enum window_mode, one bit each, in which it is taken; 0: all */
};
#define WINDOW_ONLY(mode) (1U << (mode))

extern const struct window_step window_steps[];
extern const unsigned window_step_count;

/* A sentence for the user. */
void window_add_note(struct window *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What to do about the failure that is being returned. */
void window_set_hint(struct window *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

size_t window_disk_index(const struct window *w, const struct window_disk *d);

/* `"key":"PREFIX<number of d>"` */
void window_print_node(const struct window *w, const struct window_disk *d, struct wire_text *t, const char *key,
                       const char *prefix);
void window_print_text(struct wire_text *t, const char *key, const char *value);

/* window_prepare.c */
int window_take_status(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_version(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_schema(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_blocks(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_nodes(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_jobs(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
void window_build_prepare(struct window *w, struct window_disk *d, struct wire_text *t);
int window_take_prepare(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
bool window_needs_bitmap_repair(const struct window *w, const struct window_disk *d);
void window_build_bitmap_repair(struct window *w, struct window_disk *d, struct wire_text *t);

/* window_agent.c */
bool window_needs_agent(const struct window *w, const struct window_disk *d);
bool window_needs_sync(const struct window *w, const struct window_disk *d);
bool window_needs_sync_wait(const struct window *w, const struct window_disk *d);
int window_take_agent_info(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_agent_refused(struct window *w, struct window_disk *d, struct err *e);
int window_take_mounts(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_freeze_status(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
void window_build_sync(struct window *w, struct window_disk *d, struct wire_text *t);
int window_take_sync(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
void window_build_sync_wait(struct window *w, struct window_disk *d, struct wire_text *t);
int window_take_sync_wait(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_ignore(struct window *w, struct window_disk *d, struct err *e);
int window_take_freeze(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_freeze_refused(struct window *w, struct window_disk *d, struct err *e);
bool window_needs_thaw(const struct window *w, const struct window_disk *d);
int window_take_thaw(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_thaw_refused(struct window *w, struct window_disk *d, struct err *e);

/* window_hook.c */
#define WINDOW_HOOK_DONE "done"
bool window_needs_hook_before(const struct window *w, const struct window_disk *d);
void window_build_hook_before(struct window *w, struct window_disk *d, struct wire_text *t);
void window_sent_hook_before(struct window *w, struct window_disk *d);
int window_take_hook_before(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_hook_before_refused(struct window *w, struct window_disk *d, struct err *e);
bool window_needs_hook_after(const struct window *w, const struct window_disk *d);
void window_build_hook_after(struct window *w, struct window_disk *d, struct wire_text *t);
int window_take_hook_after(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_hook_after_refused(struct window *w, struct window_disk *d, struct err *e);
uint64_t window_within_hook(const struct window *w);
const char *window_hook_failure(const struct window *w); /* "": none */

/* window_probe.c */
bool window_needs_probe(const struct window *w, const struct window_disk *d);
void window_build_probe(struct window *w, struct window_disk *d, struct wire_text *t);
int window_probe_refused(struct window *w, struct window_disk *d, struct err *e);
int window_probe_left_refused(struct window *w, struct window_disk *d, struct err *e);

/* window_undo.c */
bool window_needs_undo(const struct window *w, const struct window_disk *d);
int window_take_jobs_left(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_concluded(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_nodes_left(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_blocks_left(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
bool window_needs_graph(const struct window *w, const struct window_disk *d);
int window_take_graph(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);

/* window_facts.c */
int64_t window_point_utc_usec(const struct window *w);
void window_print_facts(const struct window *w, struct wire_text *t);
void window_print_time(int64_t utc_usec, char *to, size_t size);

/* window.c: leaves the step under way for the first of TEARDOWN */
void window_jump_to_teardown(struct window *w);

/* window_prepare.c */
void window_print_helper_names(const struct window *w, struct wire_text *t); /* what ballast-prepare is to remove */
void window_read_bitmaps(struct window *w, struct json_object *nodes);

/* window_undo.c */
int window_take_pushed(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);

/* What the table of steps names of window_prepare.c, window_checkpoint.c, window_copy.c, window_undo.c, in this order. */
void window_sent_freeze(struct window *w, struct window_disk *d);
bool window_needs_stop(const struct window *w, const struct window_disk *d);
void window_sent_stop(struct window *w, struct window_disk *d);
int window_take_stop(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
void window_sent_cont(struct window *w, struct window_disk *d);
void window_build_switch(struct window *w, struct window_disk *d, struct wire_text *t);
void window_sent_switch(struct window *w, struct window_disk *d);
void window_build_filter(struct window *w, struct window_disk *d, struct wire_text *t);
void window_sent_filter(struct window *w, struct window_disk *d);
void window_build_plug(struct window *w, struct window_disk *d, struct wire_text *t);
void window_sent_plug(struct window *w, struct window_disk *d);
void window_build_access(struct window *w, struct window_disk *d, struct wire_text *t);
void window_sent_access(struct window *w, struct window_disk *d);
bool window_needs_cont(const struct window *w, const struct window_disk *d);
int window_take_cont(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_cont_refused(struct window *w, struct window_disk *d, struct err *e);
bool window_needs_act(const struct window *w, const struct window_disk *d);
int window_take_act(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
bool window_needs_disarm(const struct window *w, const struct window_disk *d);
int window_take_disarm(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
bool window_needs_clear(const struct window *w, const struct window_disk *d);
int window_take_clear(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_dirty(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
void window_build_job(struct window *w, struct window_disk *d, struct wire_text *t);
void window_sent_job(struct window *w, struct window_disk *d);
int window_take_job(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
void window_build_target(struct window *w, struct window_disk *d, struct wire_text *t);
void window_sent_target(struct window *w, struct window_disk *d);
void window_build_push(struct window *w, struct window_disk *d, struct wire_text *t);
void window_sent_push(struct window *w, struct window_disk *d);
bool window_needs_copy_end(const struct window *w, const struct window_disk *d);
int window_take_copy_end(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
bool window_has_job(const struct window *w, const struct window_disk *d);
bool window_has_running_job(const struct window *w, const struct window_disk *d);
bool window_has_any_job(const struct window *w, const struct window_disk *d);
void window_build_job_cancel(struct window *w, struct window_disk *d, struct wire_text *t);
void window_build_job_id(struct window *w, struct window_disk *d, struct wire_text *t);
bool window_has_target(const struct window *w, const struct window_disk *d);
bool window_has_access(const struct window *w, const struct window_disk *d);
bool window_is_plugged(const struct window *w, const struct window_disk *d);
bool window_has_filter(const struct window *w, const struct window_disk *d);
bool window_has_fleece(const struct window *w, const struct window_disk *d);
void window_build_yank(struct window *w, struct window_disk *d, struct wire_text *t);
void window_build_drop_target(struct window *w, struct window_disk *d, struct wire_text *t);
void window_build_drop_access(struct window *w, struct window_disk *d, struct wire_text *t);
void window_build_drop_filter(struct window *w, struct window_disk *d, struct wire_text *t);
void window_build_drop_fleece(struct window *w, struct window_disk *d, struct wire_text *t);
void window_build_unplug(struct window *w, struct window_disk *d, struct wire_text *t);
void window_build_remove(struct window *w, struct window_disk *d, struct wire_text *t);
bool window_has_fleece_files(const struct window *w, const struct window_disk *d);
bool window_needs_finish(const struct window *w, const struct window_disk *d);
void window_build_finish(struct window *w, struct window_disk *d, struct wire_text *t);
void window_sent_finish(struct window *w, struct window_disk *d);
int window_take_finish(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
bool window_needs_bitmaps(const struct window *w, const struct window_disk *d);
void window_build_bitmaps(struct window *w, struct window_disk *d, struct wire_text *t);
int window_bitmaps_refused(struct window *w, struct window_disk *d, struct err *e);
void window_build_flat(struct window *w, struct window_disk *d, struct wire_text *t);
void window_build_fleece(struct window *w, struct window_disk *d, struct wire_text *t);
void window_sent_fleece(struct window *w, struct window_disk *d);
int window_fleece_refused(struct window *w, struct window_disk *d, struct err *e);
bool window_needs_arm(const struct window *w, const struct window_disk *d);
void window_sent_arm(struct window *w, struct window_disk *d);
int window_take_job_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_target_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_access_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_filter_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_fleece_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_unplugged(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_look_again(struct window *w, struct window_disk *d, struct err *e);

/* window_undo.c: the number behind prefix; false: not such a name, or not one that we give */
bool window_number_of(const char *name, const char *prefix, size_t *ret);
struct window_disk *window_disk_numbered(struct window *w, size_t number);

/* window_prepare.c */
int window_undo_first(struct window *w, struct err *e);

/* window_expose.c */
int window_forget(struct window *w, const char *name, struct err *e); /* as window_release() says */
int window_take_iothreads(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
bool window_has_iothreads(const struct window *w, const struct window_disk *d);
void window_build_iothread(struct window *w, struct window_disk *d, struct wire_text *t);
int window_take_iothread(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_iothread_refused(struct window *w, struct window_disk *d, struct err *e);
int window_take_exports(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
void window_print_exposed(struct window *w, struct wire_text *t);
int window_plan_exposed(struct window *w, struct json_object *prepared, struct err *e);
bool window_needs_checkpoint_old(const struct window *w, const struct window_disk *d);
void window_build_checkpoint_old(struct window *w, struct window_disk *d, struct wire_text *t);
void window_build_nbd(struct window *w, struct window_disk *d, struct wire_text *t);
void window_sent_nbd(struct window *w, struct window_disk *d);
int window_nbd_refused(struct window *w, struct window_disk *d, struct err *e);
bool window_needs_checkpoint(const struct window *w, const struct window_disk *d);
void window_build_checkpoint(struct window *w, struct window_disk *d, struct wire_text *t);
void window_sent_checkpoint(struct window *w, struct window_disk *d);
bool window_needs_since(const struct window *w, const struct window_disk *d);
void window_build_since(struct window *w, struct window_disk *d, struct wire_text *t);
void window_sent_since(struct window *w, struct window_disk *d);
void window_build_export(struct window *w, struct window_disk *d, struct wire_text *t);
void window_sent_export(struct window *w, struct window_disk *d);
void window_build_relay(struct window *w, struct window_disk *d, struct wire_text *t);
void window_sent_server(struct window *w, struct window_disk *d);
int window_take_status_exposed(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_server_gone_refused(struct window *w, struct window_disk *d, struct err *e);
bool window_has_server(const struct window *w, const struct window_disk *d);
int window_take_server_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
int window_take_exports_left(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
bool window_has_export(const struct window *w, const struct window_disk *d);
bool window_has_any_export(const struct window *w, const struct window_disk *d);
void window_build_drop_export(struct window *w, struct window_disk *d, struct wire_text *t);
int window_take_exports_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
bool window_has_nbd(const struct window *w, const struct window_disk *d);
int window_take_nbd_gone(struct window *w, struct window_disk *d, struct json_object *v, struct err *e);
bool window_needs_checkpoint_settled(const struct window *w, const struct window_disk *d);
void window_build_checkpoint_settled(struct window *w, struct window_disk *d, struct wire_text *t);
int window_checkpoint_unsettled(struct window *w, struct window_disk *d, struct err *e);
int window_nbd_gone_refused(struct window *w, struct window_disk *d, struct err *e);
bool window_needs_served_remove(const struct window *w, const struct window_disk *d);
void window_build_served_remove(struct window *w, struct window_disk *d, struct wire_text *t);
bool window_needs_serve(const struct window *w, const struct window_disk *d);
void window_build_serve(struct window *w, struct window_disk *d, struct wire_text *t);
void window_print_exposed_names(const struct window *w, struct wire_text *t); /* what ballast-prepare is to remove */
