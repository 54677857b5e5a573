/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "notify_message.h"

/* One run of the notify command: never through a shell, in a process group of its own, with nothing of ballastd's but three
 * pipes, and with an end. For notify.c's thread; no call blocks longer than starting a program takes. */

#define NOTIFY_OUTPUT_MAX 2048          /* of what it prints; the rest is read and thrown away */
#define NOTIFY_KILL_USEC (5 * 1000000ULL) /* from SIGTERM to SIGKILL */
#define NOTIFY_RESULT_SIZE 96
#define NOTIFY_RUN_FDS 3

struct notify_run {
    bool is_active;
    struct notify_message message;
    pid_t pid;               /* and its process group */
    int pid_fd, in_fd, out_fd; /* -1: closed */
    struct wire_text input;
    size_t written;
    char output[NOTIFY_OUTPUT_MAX + 1];
    size_t output_len;
    bool was_cut;            /* it printed more */
    uint64_t timeout_usec, deadline_usec;
    bool was_ended;          /* its time was over: SIGTERM is sent */
    char result[NOTIFY_RESULT_SIZE]; /* after its end: "" well, else "ended with exit status 3" */
};

/* Starts `command` for r->message (set by the caller, the rest is written here). On failure nothing runs,
 * and the sentence has no subject: "could not be started: ...". */
int notify_run_start(struct notify_run *r, const char *command, uint64_t timeout_usec, uint64_t now_usec, struct err *e);

/* What to wait for; returns how many of fds[NOTIFY_RUN_FDS] were written. */
size_t notify_run_fds(const struct notify_run *r, struct pollfd *fds);

/* Writes, reads, ends it when its time is over. True: it ended, result and output are there, and is_active is false. */
bool notify_run_turn(struct notify_run *r, uint64_t now_usec);

/* Gives up its descriptors; the process runs on. For the end of ballastd. */
void notify_run_leave(struct notify_run *r);
