/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "err.h"
#include "log.h"

/* ballastd's command line. */

/* Longest path taken, with its end: a unix socket's name must fit below the runtime directory (108 bytes). */
#define OPTIONS_PATH_SIZE 256

enum options_action {
    OPTIONS_RUN,
    OPTIONS_HELP,
    OPTIONS_VERSION,
};

struct options {
    enum options_action action;
    char config_path[OPTIONS_PATH_SIZE];
    bool config_given; /* by --config: it must exist */
    char runtime_dir[OPTIONS_PATH_SIZE];
    char state_dir[OPTIONS_PATH_SIZE];
    bool dry_run;
    enum log_level log_level;
};

/* Reads the command line; defaults are the system's paths for root and the XDG ones for anybody else.
 * -EINVAL with a sentence for a wrong usage. */
int options_parse(int argc, char **argv, struct options *ret, struct err *e);

void options_print_help(FILE *out);
