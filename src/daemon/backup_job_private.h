/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "backup_fault.h"
#include "backup_job.h"
#include "child.h"
#include "qga.h"

/* What backup_job.c and backup_job_peers.c share. */

#define BACKUP_PROGRESS_DISKS WINDOW_DISKS_MAX

struct sd_event_source;

struct backup_job {
    struct backup_job_config config;
    struct hv_vm *vm; /* NULL: it is gone */
    char guest[64];
    struct hv_backup_sockets sockets;
    int64_t pid;
    uint64_t start_ticks;
    struct window *window;
    bool done;
    int64_t started_sec, ended_sec;
    struct backup_fault fault; /* tests */

    struct sd_event_source *clock;    /* the window's wait, a helper's deadline, the clean-up at the end */
    enum window_peer awaited;         /* whose answer is due; WINDOW_PEER_COUNT: nobody's */
    char awaited_command[24];

    struct qga *agent;
    struct child *helper, *copier, *server;
    bool copier_ready, copier_done;
    char copier_hint[WINDOW_TEXT_SIZE];

    enum guardian_verb guard_verb; /* ordered last */
    bool guard_armed;

    struct backup_progress {
        char disk[64];
        uint64_t received_bytes, data_bytes, stored_bytes, new_chunks;
    } progress[BACKUP_PROGRESS_DISKS];
    size_t progress_n;
};

/* Answers the window's command under way, if it is this peer's. */
void backup_job_answer(struct backup_job *job, enum window_peer peer, struct json_object *value, const struct err *e);
uint64_t backup_job_now(const struct backup_job *job);

/* backup_job_peers.c */
int backup_job_ask_agent(struct backup_job *job, const struct window_command *c, struct err *e);
int backup_job_ask_guardian(struct backup_job *job, const struct window_command *c, struct err *e);
int backup_job_ask_helper(struct backup_job *job, const struct window_command *c, struct err *e);
void backup_job_print_text(struct wire_text *t, const char *key, const char *value); /* with a comma; "": null */

/* backup_job_serve.c */
int backup_job_ask_server(struct backup_job *job, const struct window_command *c, struct err *e);
void backup_job_print_exposure(const struct backup_job *job, const struct window_view *v, struct wire_text *t);

/* backup_job_peers.c */
int backup_job_ask_copier(struct backup_job *job, const struct window_command *c, struct err *e);
