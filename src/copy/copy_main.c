/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "receiver.h"

static const char help[] =
    "Usage: ballast-copy     store one backup that QEMU pushes; started by ballastd\n"
    "\n"
    "  -h, --help       this text\n"
    "  -V, --version    version of the program\n"
    "\n"
    "Takes one JSON object a line on stdin and answers so on stdout (docs/backup-protocol.md). Exit codes: 0 a point was\n"
    "committed, 1 it failed or was called off, 2 wrong usage.\n";

int main(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        (void)fputs(help, stdout); /* nobody to tell where stdout is gone */
        return 0;
    }
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        printf("ballast-copy %s\n", BALLAST_VERSION);
        return 0;
    }
    if (argc > 1) {
        fprintf(stderr, "ballast-copy: unknown option '%s'\nTry `ballast-copy --help`.\n", argv[1]);
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* ballastd gone is an error code to us */
    return receiver_run();
}
