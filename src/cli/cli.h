/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "term.h"
#include "wire_error.h"

/* `ballast`: a table of commands. Each returns an exit code and says what went wrong in two lines on err: what
 * happened, and what to do. Results go to out; with --json exactly one JSON document and nothing else. */

/* Exit codes (ballast(1)); scripts rely on them. */
enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,       /* wrong usage or configuration */
    CLI_UNREACHABLE = 3, /* ballastd does not answer */
    CLI_WARNINGS = 4     /* done, with warnings */
};

/* Options, as bits of cli_command.options. */
enum cli_option {
    CLI_OPTION_SOCKET = 1 << 0,
    CLI_OPTION_JSON = 1 << 1,
    CLI_OPTION_WATCH = 1 << 2,
    CLI_OPTION_HELP = 1 << 3,
    CLI_OPTION_VERSION = 1 << 4,
    CLI_OPTION_SAVE = 1 << 5,
    CLI_OPTION_ALL = 1 << 6,
    CLI_OPTION_MAX = 1 << 7,
    CLI_OPTION_FOR = 1 << 8,
    CLI_OPTION_EXPIRES = 1 << 9,
    CLI_OPTION_CANCEL = 1 << 10,
    CLI_OPTION_WAIT = 1 << 11,
    CLI_OPTION_REPOSITORY = 1 << 12,
    CLI_OPTION_CHUNK_SIZE = 1 << 13,
    CLI_OPTION_DRY_RUN = 1 << 14,
    CLI_OPTION_KEEP = 1 << 15,
    CLI_OPTION_SAMPLE = 1 << 16,
    CLI_OPTION_FORCE = 1 << 17,
    CLI_OPTION_FORMAT = 1 << 18,
    CLI_OPTION_MAX_AGE = 1 << 19,
    CLI_OPTION_NAME = 1 << 20,
    CLI_OPTION_FREEZE = 1 << 21,
    CLI_OPTION_WRITABLE = 1 << 22,
    CLI_OPTION_INTO = 1 << 28,
    CLI_OPTION_NIC = 1 << 29,
    CLI_OPTION_EXPECT = 1 << 23,
    CLI_OPTION_EACH = 1 << 30,
    CLI_OPTION_BOOT = 1 << 24,
    CLI_OPTION_OFF = 1 << 25,
    CLI_OPTION_DISK = 1 << 26
};
/* Those that no int has. */
#define CLI_OPTION_SINCE (1ULL << 32)
#define CLI_OPTION_CHECKPOINT (1ULL << 33)
#define CLI_OPTION_LEASE (1ULL << 34)
#define CLI_OPTION_FORGET (1ULL << 35)
#define CLI_OPTION_BITS 36

struct cli {
    FILE *out, *err;
    struct term term;          /* of out */
    const char *socket_path;   /* --socket, or the default one */
    uint64_t options;          /* CLI_OPTION_*: given */
    const char *values[CLI_OPTION_BITS]; /* of options that take one, by bit number: cli_value() */
    char *const *args;         /* after the command's name */
    int arg_count;
    long total_ms;             /* longest wait for an answer; 0: CLIENT_TOTAL_MS (tests) */
    unsigned rounds;           /* --watch: stop after so many; 0: never (tests) */
};

struct cli_command {
    const char *name;
    int (*function)(struct cli *cli);
    uint64_t options;          /* beside --socket and --help, which all take */
    int arg_min, arg_max;
    const char *usage;         /* its arguments */
    const char *summary;       /* one line */
    const char *help;          /* paragraphs */
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;

/* The whole program but for process-wide setup. argv as main() gets it; cli brings out, err and term. */
int cli_run(struct cli *cli, int argc, char *const *argv);

/* What went wrong, for two lines. */
struct cli_problem {
    int exit_code;
    struct wire_error text;
};

/* Fills p and returns its exit code; hint NULL: none. */
int cli_problem_set(struct cli_problem *p, int exit_code, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* "ballast: ..." and the hint under it, made safe for a terminal. Returns the exit code. */
int cli_complain(const struct cli *cli, const struct cli_problem *p);

/* Writes all of a text to out; a full disk or a closed pipe is a failure, too. */
int cli_write(const struct cli *cli, const struct wire_text *t);

/* The value of an option that takes one; NULL: not given. */
const char *cli_value(const struct cli *cli, uint64_t option);

int cmd_status(struct cli *cli);
int cmd_show(struct cli *cli);
int cmd_top(struct cli *cli);
int cmd_doctor(struct cli *cli);
int cmd_why(struct cli *cli);
int cmd_record(struct cli *cli);
int cmd_replay(struct cli *cli);
int cmd_check_config(struct cli *cli);
int cmd_dump(struct cli *cli);
int cmd_notify_test(struct cli *cli);
int cmd_version(struct cli *cli);
int cmd_set(struct cli *cli);
int cmd_attach(struct cli *cli);
int cmd_release(struct cli *cli);
int cmd_reserve(struct cli *cli);
int cmd_pause(struct cli *cli);
int cmd_resume(struct cli *cli);
int cmd_off(struct cli *cli);
int cmd_on(struct cli *cli);
int cmd_backup(struct cli *cli);
int cmd_help(struct cli *cli);

/* The commands of `ballast backup` (cmd_backup.c), named "backup COMMAND", with an empty one at the end. */
extern const struct cli_command cli_backup_commands[];

/* The commands of a group, as above; NULL: it is none. */
const struct cli_command *cli_group(const struct cli_command *command);
