/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "own.h"

/* A helper program of ours beside the loop: lines in, lines out, its end. Starting one takes as long as an exec takes and
 * copies no memory (posix_spawn); nothing else waits. Callbacks come from the loop. */

struct child;
struct sd_event;

#define CHILD_LINE_MAX (1U << 20)  /* of its output: ballast-prepare's answer brings a command line */
#define CHILD_INPUT_MAX (2U << 20) /* unread by it: a manifest has 1 MiB at most */

struct child_config {
    struct sd_event *loop;
    const char *program; /* file name in child_directory() */
    const char *argument; /* NULL: none */
    bool is_irreplaceable; /* as launch.h says: the guardian */
    int input_fd;        /* becomes its standard input (and is closed here); -1: a pipe, for child_write() */
    /* One line, without its newline; in `line` an end follows. child_free() is fine in it: no further one is told then. */
    void (*line)(void *user, const char *line, size_t len);
    /* Once, all lines were told before: wait status. child_free() is fine in it, and needed. */
    void (*ended)(void *user, int status);
    void *user;
};

/* $BALLAST_LIBEXEC_DIR, else where `make install` puts them. */
const char *child_directory(void);

int child_start(const struct child_config *config, struct child **ret, struct err *e);

/* Queues; -EMSGSIZE, -ENOMEM. A child that has closed its input is no error: its end tells. */
int child_write(struct child *c, const char *data, size_t len, struct err *e);
void child_end_input(struct child *c); /* after what is queued */
void child_kill(struct child *c);      /* SIGKILL; ended() comes */

/* Lets it run on, unwatched: for one that ends by itself. Frees c. */
void child_forget(struct child *c);

/* Kills it where it runs. */
struct child *child_free(struct child *c);
OWN_DEFINE(child);
