/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_options.h"

#include <getopt.h>
#include <string.h>

#include "agent_line.h"

static const char help[] =
    "Usage: ballast-agent [--port PATH]     report this guest's memory to ballastd on the host\n"
    "       ballast-agent status            how much of it is lent to the host, and why\n"
    "\n"
    "  -p, --port PATH   the port to the host (default: " AGENT_PORT_PATH ")\n"
    "  -h, --help        this text\n"
    "  -V, --version     version of the program and of its protocol\n"
    "\n"
    "Runs in the foreground until it is stopped; waits for a port that is not there yet. Exit codes: 0 done, 1 it\n"
    "failed, 2 wrong usage.\n";

static int wrong_usage(const char *what, const char *which)
{
    fprintf(stderr, "ballast-agent: %s '%s'\nTry `ballast-agent --help`.\n", what, which);
    return 2;
}

int agent_options_parse(int argc, char **argv, struct agent_options *ret)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int c;

    *ret = (struct agent_options){.port = AGENT_PORT_PATH};
    opterr = 0;
    while ((c = getopt_long(argc, argv, ":p:hV", known, NULL)) != -1) {
        switch (c) {
        case 'p':
            ret->port = optarg;
            break;
        case 'h':
            (void)fputs(help, stdout); /* nobody to tell where stdout is gone */
            return 0;
        case 'V':
            printf("ballast-agent %s (protocol %d)\n", BALLAST_VERSION, AGENT_PROTOCOL_VERSION);
            return 0;
        case ':':
            return wrong_usage("a value is missing behind", argv[optind - 1]);
        default:
            return wrong_usage("unknown option", argv[optind - 1]);
        }
    }
    if (optind < argc && strcmp(argv[optind], "status") == 0) {
        ret->status = true;
        optind++;
    }
    if (optind < argc)
        return wrong_usage("unknown command", argv[optind]);
    return -1;
}
