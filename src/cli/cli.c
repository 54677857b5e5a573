/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli_help.h"
#include "text.h"

const struct cli_command cli_commands[] = {
    {"status", cmd_status, CLI_OPTION_JSON | CLI_OPTION_WATCH, 0, 0, "[--watch] [--json]",
     "the host and all guests in one table",
     "Shows what the host has and promised, then a line for each guest: what it may use now (assigned), what it needs "
     "(demand), what it would get when memory is plentiful (target), and what sharing withholds (penalty). Guests that "
     "need a look are explained below the table. With --watch it is shown anew each second until Ctrl-C."},
    {"show", cmd_show, CLI_OPTION_JSON, 1, 1, "GUEST [--json]",
     "everything about one guest, in words",
     "Where the guest's memory is, what it needs and how that is known, how far ballast may go with it and why, what "
     "was decided last and why nothing was done where nothing was done. What its kernel says of its memory stands in "
     "Linux's words beside those of other systems: commit charge, standby (clean cache), modified (dirty), working set. "
     "What is not known is said, with the reason; each group of numbers has its source and age."},
    {"why", cmd_why, CLI_OPTION_JSON, 1, 1, "GUEST [--json]",
     "why a guest has the size it has: the last decisions in words",
     "What is done with the guest now, or why nothing is, and what stands behind it: its need, its limits, who waits and who "
     "must give first. Below, its last decisions with their numbers, newest first; those of one kind in a row are one."},
    {"set", cmd_set, CLI_OPTION_JSON | CLI_OPTION_SAVE, 2, 20, "GUEST KEY=VALUE... [--save] [--json]",
     "changes values of a guest's configuration now",
     "KEY and VALUE are those of ballast.yaml(5), such as minimum=512MiB, priority=7000 or mode=watch; KEY= takes back what was "
     "set. All of a call hold together, or none. They hold until ballastd ends, also over a reload; with --save for good: they "
     "are written to guests.d/ballast-set.yaml, above all other files, which are never touched. Where a file of yours says "
     "something else for this guest, that is said. Asking again changes nothing. Who set what is kept in ballastd's audit log."},
    {"attach", cmd_attach, CLI_OPTION_JSON, 1, 1, "GUEST [--json]", "gives a running guest the port for ballast-agent",
     "Adds the virtio-serial port of the agent to the guest's QEMU, without a reboot, and a controller for it where there is "
     "none; or says why that can't be. It can be repeated. The port stays over reboots of the guest and goes with its QEMU: "
     "the options for its command line are shown."},
    {"pause", cmd_pause, CLI_OPTION_JSON, 0, 1, "[GUEST] [--json]", "no more moves for a guest, or for all",
     "The guest keeps its size until `ballast resume GUEST`, also over a restart of ballastd. It is sampled and metered on. "
     "Without GUEST the same as `ballast off`."},
    {"resume", cmd_resume, CLI_OPTION_JSON, 0, 1, "[GUEST] [--json]", "a paused guest is moved again, or all are",
     "Ends `ballast pause GUEST`. Without GUEST the same as `ballast on`."},
    {"off", cmd_off, CLI_OPTION_JSON, 0, 0, "[--json]", "no more moves at all: every guest keeps what it has",
     "Nothing is moved any more until `ballast on`, also over a restart of ballastd; targets that were told already are "
     "kept. Guests are sampled and metered on."},
    {"release", cmd_release, CLI_OPTION_JSON | CLI_OPTION_ALL | CLI_OPTION_WAIT, 0, 0, "--all [--wait TIME] [--json]",
     "gives every guest all its memory back: before ballast is removed",
     "Empties every balloon, as far as the host has the memory, and waits for it (--wait, a minute by default). Ballast is off "
     "from then on, so nothing is taken again; what becomes free later still goes to guests that lack some. Guests that have "
     "not got all of it are named with the reason, and the exit code is 4. Guests in mode watch or off are not touched. `ballast "
     "on` ends it."},
    {"reserve", cmd_reserve, CLI_OPTION_JSON | CLI_OPTION_MAX | CLI_OPTION_FOR | CLI_OPTION_EXPIRES | CLI_OPTION_CANCEL |
     CLI_OPTION_WAIT, 0, 1, "[SIZE] [--max] [--for GUEST] [--expires TIME] [--wait TIME] [--cancel NUMBER] [--json]",
     "sets memory aside for a guest to come; without a size: lists",
     "Guests give SIZE by priority, none below what it needs, and it is held for the guest named by --for, else for the first new "
     "one whose boot memory fits; unclaimed it goes back after --expires (10 min). It waits until the memory is there (--wait, a "
     "minute by default); more than guests can give is refused at once, with those who keep most. With --max less will do: as much "
     "as there is. A reservation ends with ballastd. --cancel NUMBER gives it back."},
    {"on", cmd_on, CLI_OPTION_JSON, 0, 0, "[--json]", "guests are moved again, after `off`",
     "Ends `ballast off`. Guests that were paused by name stay so until `ballast resume GUEST`."},
    {"top", cmd_top, CLI_OPTION_JSON, 0, 0, "[--json]",
     "the host and all guests on the whole screen, live",
     "A bar for the host and one for each guest (what it needs, what it has beyond, what it lacks, up to its maximum), its "
     "demand of the last five minutes, and for the guest you choose what is decided about it and why, and what was moved "
     "lately. Keys: up and down choose, n a d p m i sort by name, assigned, demand, pressure, moved, priority, / shows "
     "only some, ? explains, q leaves. A ballastd that restarts is waited for. --json prints once what top shows."},
    {"backup", cmd_backup, ~0U, 0, INT_MAX, "COMMAND ...", "backs guests up, and looks after the repository of backups",
     "A repository is a directory that holds points: what the disks of a guest held at one instant, all of them, each "
     "independent of the others. Most of these commands need no ballastd, only the repository. A point is written "
     "GUEST/TIME as `ballast backup list` shows it, or GUEST for that guest's last one."},
    {"doctor", cmd_doctor, CLI_OPTION_JSON, 0, 1, "[GUEST] [--json]",
     "what is missing, and the exact change",
     "Without GUEST it looks at the host, also where no ballastd runs, and counts what is missing for each guest; with GUEST it "
     "tells what that one lacks. Each finding says what to type or to write where, in the words of QEMU, libvirt and Proxmox "
     "VE. Warnings (!) are what does not work as it should, advice (-) what would work better. Exit code 4: there are "
     "warnings."},
    {"record", cmd_record, CLI_OPTION_JSON | CLI_OPTION_FOR, 0, 1, "[FILE] [--for TIME] [--json]",
     "writes what is decided, and all it goes by, to a file",
     "Records from now on, until Ctrl-C or for TIME (\"30 s\", 5min): the state of all guests, then everything that decisions go "
     "by, and the decisions. Without FILE it goes to stdout. A record holds names and sizes of guests and no secrets; with "
     "`ballast replay FILE` every decision in it is made again. ballastd waits for nobody: where the file can't be written fast "
     "enough, the recording breaks off and says so."},
    {"replay", cmd_replay, CLI_OPTION_JSON, 1, 1, "FILE [--json]",
     "decides again what was recorded, and compares",
     "Makes each decision of a record once more, with the same code and from the same inputs, and compares all that comes out, "
     "byte for byte. Says the first that differs, with what it went by. Needs no ballastd. Exit code 1: a decision differs; "
     "4: all are the same, but the record was made by other rules or another configuration, or has no end."},
    {"check-config", cmd_check_config, CLI_OPTION_JSON, 0, 1, "[FILE] [--json]",
     "looks for mistakes in the configuration",
     "Reads FILE (default: the one ballastd would read, with guests.d beside it) and says each mistake with file, "
     "line, key and what is allowed. Needs no ballastd. Exit code 2: mistakes, 4: warnings only."},
    {"notify-test", cmd_notify_test, CLI_OPTION_JSON, 0, 0, "[--json]", "runs the notify command for a test message",
     "Has ballastd run the command of 'notify' in its configuration with BALLAST_EVENT=test, waits for its end and says "
     "how it ended and what it printed. ballast.yaml(5) says what such a command gets. Needs the right to operate."},
    {"dump", cmd_dump, CLI_OPTION_JSON, 0, 0, "[--json]", "all that ballastd knows, raw, for a bug report",
     "One JSON document with the daemon's internal state: what was seen of each guest, learned and decided. The names "
     "are those of the code and promise nothing. It holds names and sizes of guests, and no secrets."},
    {"version", cmd_version, CLI_OPTION_JSON, 0, 0, "[--json]", "versions of ballast and of the ballastd that runs",
     "Says its own version, and the running ballastd's where there is one."},
    {"help", cmd_help, 0, 0, 1, "[COMMAND]", "this list, or one command in full", NULL},
};
const size_t cli_command_count = sizeof(cli_commands) / sizeof(cli_commands[0]);

int cli_problem_set(struct cli_problem *p, int exit_code, const char *hint, const char *format, ...)
{
    va_list ap;

    p->exit_code = exit_code;
    wire_text_copy(p->text.hint, sizeof(p->text.hint), hint ? hint : "");
    va_start(ap, format);
    (void)vsnprintf(p->text.error, sizeof(p->text.error), format, ap);
    va_end(ap);
    return exit_code;
}

int cli_complain(const struct cli *cli, const struct cli_problem *p)
{
    struct wire_text t = {0};

    wire_text_adds(&t, "ballast: ");
    (void)term_text(&cli->term, &t, p->text.error, 0);
    wire_text_adds(&t, "\n");
    if (p->text.hint[0]) {
        wire_text_adds(&t, "ballast: ");
        (void)term_text(&cli->term, &t, p->text.hint, 0);
        wire_text_adds(&t, "\n");
    }
    if (!t.failed)
        (void)fputs(t.data, cli->err); /* nowhere left to complain to */
    wire_text_done(&t);
    return p->exit_code;
}

int cli_write(const struct cli *cli, const struct wire_text *t)
{
    struct cli_problem p;

    if (t->failed)
        (void)cli_problem_set(&p, CLI_FAILED, "free some and try again", "no memory for the answer");
    else if (fwrite(t->data ? t->data : "", 1, t->length, cli->out) == t->length && fflush(cli->out) == 0)
        return CLI_DONE;
    else
        (void)cli_problem_set(&p, CLI_FAILED, "is the disk full?", "cannot write the answer: %s", strerror(errno));
    return cli_complain(cli, &p);
}

static const struct cli_command *command_find(const char *name)
{
    for (size_t i = 0; i < cli_command_count; i++)
        if (strcmp(cli_commands[i].name, name) == 0)
            return &cli_commands[i];
    return NULL;
}

const struct cli_command *cli_group(const struct cli_command *command)
{
    return command->function == cmd_backup ? cli_backup_commands : NULL;
}

/* The command of a group that the second word names; the group itself where it names none. */
static const struct cli_command *command_in(const struct cli_command *group, char **words, int count)
{
    const size_t skip = strlen(group->name) + 1;

    for (const struct cli_command *c = cli_group(group); c && c->name && count > 1; c++)
        if (strcmp(c->name + skip, words[1]) == 0)
            return c;
    return group;
}

static int unknown_command(const struct cli *cli, const char *name)
{
    char hint[WIRE_ERROR_TEXT_SIZE] = "ballast help lists the commands";
    const char *close = NULL;
    unsigned least = TEXT_SUGGEST_DISTANCE;
    struct cli_problem p;

    for (size_t i = 0; i < cli_command_count; i++) {
        unsigned distance = text_distance(name, cli_commands[i].name);

        if (distance <= least) {
            least = distance;
            close = cli_commands[i].name;
        }
    }
    if (close)
        (void)snprintf(hint, sizeof(hint), "did you mean 'ballast %s'? ballast help lists the commands", close);
    (void)cli_problem_set(&p, CLI_USAGE, hint, "there is no command '%s'", text_show(name, strlen(name)).s);
    return cli_complain(cli, &p);
}

/* The options of all commands. */
static const struct option_name {
    const char *name;
    uint64_t option;
    const char *value; /* what follows it; NULL: nothing does */
} option_names[] = {
    {"--socket", CLI_OPTION_SOCKET, "PATH"},
    {"--json", CLI_OPTION_JSON, NULL},
    {"--watch", CLI_OPTION_WATCH, NULL},
    {"--save", CLI_OPTION_SAVE, NULL},
    {"--all", CLI_OPTION_ALL, NULL},
    {"--max", CLI_OPTION_MAX, NULL},
    {"--for", CLI_OPTION_FOR, "GUEST or TIME"},
    {"--expires", CLI_OPTION_EXPIRES, "TIME"},
    {"--cancel", CLI_OPTION_CANCEL, "NUMBER"},
    {"--wait", CLI_OPTION_WAIT, "TIME"},
    {"--help", CLI_OPTION_HELP, NULL},
    {"-h", CLI_OPTION_HELP, NULL},
    {"--version", CLI_OPTION_VERSION, NULL},
    {"--repository", CLI_OPTION_REPOSITORY, "PATH"},
    {"--chunk-size", CLI_OPTION_CHUNK_SIZE, "SIZE"},
    {"--dry-run", CLI_OPTION_DRY_RUN, NULL},
    {"--keep", CLI_OPTION_KEEP, "RULES"},
    {"--sample", CLI_OPTION_SAMPLE, "SHARE"},
    {"--force", CLI_OPTION_FORCE, NULL},
    {"--format", CLI_OPTION_FORMAT, "FORMAT"},
    {"--max-age", CLI_OPTION_MAX_AGE, "TIME"},
    {"--name", CLI_OPTION_NAME, "NAME"},
    {"--freeze", CLI_OPTION_FREEZE, "require|prefer|never"},
    {"--writable", CLI_OPTION_WRITABLE, NULL},
    {"--into", CLI_OPTION_INTO, "DIRECTORY"},
    {"--nic", CLI_OPTION_NIC, "NIC"},
    {"--expect", CLI_OPTION_EXPECT, "TEXT"},
    {"--each", CLI_OPTION_EACH, NULL},
    {"--boot", CLI_OPTION_BOOT, NULL},
    {"--off", CLI_OPTION_OFF, NULL},
    {"--disk", CLI_OPTION_DISK, "NAME=FILE"},
    {"--since", CLI_OPTION_SINCE, "POINT|CHECKPOINT"},
    {"--checkpoint", CLI_OPTION_CHECKPOINT, "NAME"},
    {"--lease", CLI_OPTION_LEASE, "TIME"},
    {"--forget", CLI_OPTION_FORGET, "CHECKPOINT"},
};
#define OPTION_NAME_COUNT (sizeof(option_names) / sizeof(option_names[0]))

const char *cli_value(const struct cli *cli, uint64_t option)
{
    return cli->values[__builtin_ctzll(option)];
}

/* One option; *ret_used: how many arguments it took. "--socket=PATH" and "--socket PATH" are the same. */
static int option_read(struct cli *cli, char *const *argv, int left, int *ret_used, struct cli_problem *p)
{
    const char *arg = argv[0], *value = strchr(arg, '=');
    size_t length = value ? (size_t)(value - arg) : strlen(arg);
    const struct option_name *o = NULL;
    char hint[96];

    for (size_t i = 0; i < OPTION_NAME_COUNT; i++)
        if (strlen(option_names[i].name) == length && strncmp(option_names[i].name, arg, length) == 0)
            o = &option_names[i];
    if (!o)
        return cli_problem_set(p, CLI_USAGE, "ballast help COMMAND lists a command's options",
                               "there is no option '%s'",
                               text_show(arg, length).s);
    *ret_used = 1;
    cli->options |= o->option;
    if (!o->value)
        return value ? cli_problem_set(p, CLI_USAGE, "leave out what follows the '='", "'%s' takes no value",
                                       o->name) : CLI_DONE;
    *ret_used = value ? 1 : 2;
    value = value ? value + 1 : left > 1 ? argv[1] : "";
    cli->values[__builtin_ctzll(o->option)] = value;
    (void)snprintf(hint, sizeof(hint), "write it as %s %s", o->name, o->value);
    return value[0] ? CLI_DONE : cli_problem_set(p, CLI_USAGE, hint, "%s lacks its %s", o->name, o->value);
}

/* Options may stand anywhere; "--" ends them. The rest goes to words, in order. */
static int words_read(struct cli *cli, int argc, char *const *argv, char **words, int *ret_count, struct cli_problem *p)
{
    bool only_words = false;
    int count = 0, used = 1;

    for (int i = 1; i < argc; i += used) {
        used = 1;
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (only_words || argv[i][0] != '-' || !argv[i][1]) {
            words[count++] = argv[i];
        } else {
            int r = option_read(cli, argv + i, argc - i, &used, p);

            if (r != CLI_DONE)
                return r;
        }
    }
    *ret_count = count;
    return CLI_DONE;
}

static int usage_check(const struct cli *cli, const struct cli_command *command, struct cli_problem *p)
{
    const uint64_t allowed = command->options | CLI_OPTION_SOCKET | CLI_OPTION_HELP;
    char hint[WIRE_ERROR_TEXT_SIZE];

    (void)snprintf(hint, sizeof(hint), "usage: ballast %s %s", command->name, command->usage);
    for (size_t i = 0; i < OPTION_NAME_COUNT; i++)
        if (cli->options & ~allowed & option_names[i].option)
            return cli_problem_set(p, CLI_USAGE, hint, "'%s' does not go with '%s'", option_names[i].name,
                                   command->name);
    if (cli->arg_count < command->arg_min)
        return cli_problem_set(p, CLI_USAGE, hint, "'%s' lacks an argument", command->name);
    if (cli->arg_count > command->arg_max)
        return cli_problem_set(p, CLI_USAGE, hint, "'%s' is one argument too many",
                               text_show(cli->args[command->arg_max], strlen(cli->args[command->arg_max])).s);
    return CLI_DONE;
}

static int run_words(struct cli *cli, char **words, int count)
{
    const struct cli_command *command, *group;
    struct cli_problem p;

    if (count == 0 && cli->options & CLI_OPTION_VERSION)
        return cmd_version(cli);
    if (count == 0 && cli->options & CLI_OPTION_HELP)
        return cmd_help(cli);
    if (count == 0) {
        (void)cli_problem_set(&p, CLI_USAGE, "ballast status shows the host and its guests; ballast help lists all",
                              "a command is missing");
        return cli_complain(cli, &p);
    }
    group = command_find(words[0]);
    if (!group)
        return unknown_command(cli, words[0]);
    command = command_in(group, words, count);
    cli->args = words + 1 + (command != group);
    cli->arg_count = count - 1 - (command != group);
    if (cli->options & CLI_OPTION_HELP)
        return cli_help_command(cli, command);
    if (usage_check(cli, command, &p) != CLI_DONE)
        return cli_complain(cli, &p);
    return command->function(cli);
}

int cli_run(struct cli *cli, int argc, char *const *argv)
{
    struct cli_problem p;
    char **words = calloc((size_t)argc + 1, sizeof(*words));
    int count = 0, r;

    if (!words)
        abort(); /* so small a piece: nothing else would work either */
    r = words_read(cli, argc, argv, words, &count, &p);
    if (cli_value(cli, CLI_OPTION_SOCKET))
        cli->socket_path = cli_value(cli, CLI_OPTION_SOCKET);
    r = r == CLI_DONE ? run_words(cli, words, count) : cli_complain(cli, &p);
    free(words);
    return r;
}
