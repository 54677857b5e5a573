/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "config_keys.h"
#include "daemon.h"
#include "log.h"
#include "log_writer.h"
#include "options.h"
#include "protect.h"

/* docs/design.md, interfaces: 0 stopped by a signal; 1 it failed; 2 wrong usage or configuration. */
enum { EXIT_FAILED = 1, EXIT_WRONG = 2 };

static int run(const struct options *options)
{
    AUTO(daemon) struct daemon *daemon = NULL;
    struct err e = {0};
    bool is_wrong = false;

    protect_stacks();
    if (log_writer_start(&e) < 0) { /* first of all: from here on no line waits for whoever reads the log (S12) */
        log_error("%s", e.text);
        return EXIT_FAILED;
    }
    protect_process();
    if (daemon_new(options, &daemon, &is_wrong, &e) < 0) {
        log_error("%s", e.text);
        return is_wrong ? EXIT_WRONG : EXIT_FAILED;
    }
    if (daemon_run(daemon, &e) < 0) {
        log_error("%s", e.text);
        return EXIT_FAILED;
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct options options;
    struct err e = {0};
    int code;

    if (options_parse(argc, argv, &options, &e) < 0) {
        log_error("%s", e.text);
        return EXIT_WRONG;
    }
    if (options.action == OPTIONS_HELP) {
        options_print_help(stdout);
        return EXIT_SUCCESS;
    }
    if (options.action == OPTIONS_HELP_CONFIG) {
        config_help_print(stdout);
        return EXIT_SUCCESS;
    }
    if (options.action == OPTIONS_VERSION) {
        (void)puts("ballastd " BALLAST_VERSION);
        return EXIT_SUCCESS;
    }
    log_set_level(options.log_level);
    code = run(&options);
    log_writer_stop();
    return code;
}
