/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "boot_line.h"

/* Runs a guest from a point until it is up, and ends it in any case. Each disk is an nbdkit on a pair of sockets with its
 * throw-away overlay in a file without a name: nothing is left behind, however this process ends. All die with it. */

struct boot_wish {
    const char *repository;
    const struct repo_manifest *manifest;
    struct boot_host host;
    const char *expect;      /* on the serial console; NULL: "login:", or an answer of qemu-guest-agent */
    uint64_t within_ms;
    int signal_fd;           /* signalfd(2) of what ends it early */
    bool is_given_up;        /* for the caller: it was */
};

/* 0: it is up, *ret_by says by what ("agent", "console"), *ret_ms after how long. -ETIMEDOUT, -EINTR (a signal), -ECHILD (QEMU
 * ended, with its last line), what boot_line_new() refuses, and what keeps a process from being started. */
int boot_run(const struct boot_wish *wish, const char **ret_by, uint64_t *ret_ms, struct err *e);
