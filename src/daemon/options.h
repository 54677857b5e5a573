/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "err.h"
#include "log.h"
#include "paths.h"

/* ballastd's command line. */

enum options_action {
    OPTIONS_RUN,
    OPTIONS_HELP,
    OPTIONS_HELP_CONFIG, /* the keys of the configuration */
    OPTIONS_VERSION,
};

struct options {
    enum options_action action;
    char config_path[PATHS_SIZE];
    bool config_given; /* by --config: it must exist */
    char runtime_dir[PATHS_SIZE];
    char state_dir[PATHS_SIZE];
    bool dry_run;
    enum log_level log_level;
};

/* Reads the command line; defaults are the system's paths for root and the XDG ones for anybody else.
 * -EINVAL with a sentence for a wrong usage. */
int options_parse(int argc, char **argv, struct options *ret, struct err *e);

void options_print_help(FILE *out);
