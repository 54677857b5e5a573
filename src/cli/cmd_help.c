/* SPDX-License-Identifier: Apache-2.0 */
#include "cli_help.h"

#include <string.h>

#include "text.h"

#define HELP_WIDTH 90
#define HELP_COLUMN 16       /* where summaries begin */
#define HELP_GROUP_COLUMN 22 /* those of a group's commands: longer names */

static const char options_text[] =
    "Options:\n"
    "  --socket PATH  ballastd's socket (default: /run/ballast/api.sock; as another user than root\n"
    "                 $XDG_RUNTIME_DIR/ballast/api.sock, where there is one)\n"
    "  --json         one JSON document on stdout and nothing else\n"
    "  --watch        shown anew each second\n"
    "  --save         set: for good, and not only until ballastd ends\n"
    "  --all          release: of all guests\n"
    "  --max          reserve: as much as there is, SIZE at most\n"
    "  --for GUEST    reserve: for this guest only\n"
    "  --for TIME     record: how long (30s)\n"
    "  --expires TIME reserve: given back unclaimed after this time (10min)\n"
    "  --cancel NUMBER\n"
    "                 reserve: gives a reservation back\n"
    "  --wait TIME    release, reserve: how long to wait for the memory (1min)\n"
    "  --help         help on a command\n"
    "  --version      same as `ballast version`\n"
    "\n"
    "Of `ballast backup` (`ballast backup COMMAND --help` tells which go with it):\n"
    "  --repository PATH  the repository (default: the configuration's backup.repository)\n"
    "  --chunk-size SIZE  of a new repository (default: 1 MiB)\n"
    "  --off              run: a guest that is switched off, from its images\n"
    "  --disk NAME=FILE   run --off: its disks, separated by commas (default: as its last point names them)\n"
    "  --each             run: several guests one after the other, not at one instant\n"
    "  --freeze HOW       of a running guest: require, prefer or never (default: the configuration's backup.freeze)\n"
    "  --dry-run          says what would be done, and why\n"
    "  --keep RULES       points to keep: last=3,hourly=24,daily=7,weekly=4,monthly=12,yearly=2\n"
    "  --sample SHARE     verifies so much of the chunks, such as '5 %'\n"
    "  --boot             starts points instead of reading their chunks (backup verify)\n"
    "  --force            overwrites what is there\n"
    "  --format FORMAT    of a restored disk: raw or qcow2 (default: raw)\n"
    "  --writable         serve, attach: clients may write; it is thrown away at the end\n"
    "  --into DIRECTORY   start: the guest is kept, its disks are copied there while it runs\n"
    "  --nic NIC          start: a network, as QEMU's -nic has it (default: none)\n"
    "  --expect TEXT      boot: on the console, it tells that the guest is up (default: \"login:\", or its agent answers)\n"
    "  --checkpoint NAME  expose: changes are recorded under this name from now on\n"
    "  --since NAME       expose: clients see what changed since that checkpoint, or the newest point\n"
    "  --lease TIME       expose, renew: it ends then if nobody renews or releases it (default: 1 h)\n"
    "  --forget NAME      release: nothing is recorded for that checkpoint any more\n"
    "  --max-age TIME     a last point older than this is a failure\n"
    "  --name NAME        name of the restored guest, with a UUID and MACs of its own\n"
    "\n"
    "Exit codes: 0 done; 1 it failed; 2 wrong usage or configuration; 3 ballastd not reachable;\n"
    "4 done, with warnings.\n";

/* Into a pipe (a pager, a man page) paragraphs are wrapped, too. */
static struct term help_term(const struct cli *cli)
{
    struct term term = cli->term;

    if (term.width == TERM_WIDTH_UNLIMITED)
        term.width = HELP_WIDTH;
    return term;
}

static void print_command(const struct term *term, struct wire_text *t, const struct cli_command *command,
                          unsigned column)
{
    unsigned length = (unsigned)strlen(command->name) + 2;

    wire_text_format(t, "  %s", command->name);
    term_pad(t, length < column ? column - length : 1);
    term_wrap(term, t, command->summary, column, column);
}

static int help_all(const struct cli *cli)
{
    const struct term term = help_term(cli);
    struct wire_text t = {0};
    int r;

    wire_text_adds(&t, "usage: ballast [--socket PATH] COMMAND ...\n\n"
                       "Shows and steers ballastd, which moves memory between this host's guests by "
                       "need.\n\nCommands:\n");
    for (size_t i = 0; i < cli_command_count; i++)
        print_command(&term, &t, &cli_commands[i], HELP_COLUMN);
    wire_text_adds(&t, "\n");
    wire_text_adds(&t, options_text);
    r = cli_write(cli, &t);
    wire_text_done(&t);
    return r;
}

int cli_help_command(const struct cli *cli, const struct cli_command *command)
{
    const struct term term = help_term(cli);
    struct wire_text t = {0};
    int r;

    wire_text_format(&t, "usage: ballast [--socket PATH] %s %s\n\n", command->name, command->usage);
    term_wrap(&term, &t, command->help ? command->help : command->summary, 0, 0);
    if (cli_group(command))
        wire_text_adds(&t, "\nCommands:\n");
    for (const struct cli_command *c = cli_group(command); c && c->name; c++)
        print_command(&term, &t, c, HELP_GROUP_COLUMN);
    wire_text_adds(&t, "\n");
    wire_text_adds(&t, options_text);
    r = cli_write(cli, &t);
    wire_text_done(&t);
    return r;
}

int cmd_help(struct cli *cli)
{
    struct cli_problem p;

    if (cli->arg_count == 0)
        return help_all(cli);
    for (size_t i = 0; i < cli_command_count; i++)
        if (strcmp(cli_commands[i].name, cli->args[0]) == 0)
            return cli_help_command(cli, &cli_commands[i]);
    (void)cli_problem_set(&p, CLI_USAGE, "ballast help lists the commands", "there is no command '%s'",
                          text_show(cli->args[0], strlen(cli->args[0])).s);
    return cli_complain(cli, &p);
}
