/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "config.h"
#include "own.h"
#include "view_replay.h"

/* ballast replay FILE: decides again what was recorded. Needs no ballastd. */

#define REPLAY_PIECE 65536

/* Hash of the configuration that ballastd would read here; "" where there is none, or a wrong one. */
static void here_hash_find(char *to, size_t size)
{
    AUTO(config) struct config *config = NULL;
    struct err ignored = {0};

    to[0] = '\0';
    if (config_load(NULL, 0, &config, &ignored) >= 0 && config->is_file)
        (void)snprintf(to, size, "%016" PRIx64, config->hash);
}

/* Whole lines of what was read go to the replay; returns how many bytes they were, or -errno. */
static int64_t lines_take(struct replay *r, const char *data, size_t length, struct err *e)
{
    size_t taken = 0;

    for (const char *end; (end = memchr(data + taken, '\n', length - taken)); taken = (size_t)(end - data) + 1) {
        int code = replay_line(r, data + taken, (size_t)(end - (data + taken)), e);

        if (code < 0)
            return code;
    }
    return (int64_t)taken;
}

/* *ret_cut: it ends within a line. */
static int file_replay(FILE *f, struct replay *r, bool *ret_cut, struct err *e)
{
    AUTO_FREE char *room = malloc(RECORD_LINE_MAX + REPLAY_PIECE);
    size_t used = 0, n;

    if (!room)
        return err_set(e, ENOMEM, "no memory to read it");
    while ((n = fread(room + used, 1, REPLAY_PIECE, f)) > 0) {
        int64_t taken = lines_take(r, room, used + n, e);

        if (taken < 0)
            return (int)taken;
        used = used + n - (size_t)taken;
        memmove(room, room + taken, used);
        if (used > RECORD_LINE_MAX)
            return err_set(e, EBADMSG, "line %" PRIu64 ": it is longer than any line of a record",
                           replay_report(r)->lines + 1);
    }
    *ret_cut = used > 0;
    return ferror(f) ? err_set(e, EIO, "it can't be read: %s", strerror(errno)) : 0;
}

static int replay_show(const struct cli *cli, const struct replay *r)
{
    const struct replay_report *report = replay_report(r);
    struct wire_text t = {0};
    char here[20];
    int code;

    here_hash_find(here, sizeof(here));
    if (cli->options & CLI_OPTION_JSON)
        view_replay_json(&t, report, here);
    else
        view_replay_print(&cli->term, &t, report, here);
    code = cli_write(cli, &t);
    wire_text_done(&t);
    if (code != CLI_DONE || report->differ > 0)
        return code != CLI_DONE ? code : CLI_FAILED;
    return view_replay_has_warnings(report, here) ? CLI_WARNINGS : CLI_DONE;
}

int cmd_replay(struct cli *cli)
{
    AUTO(replay) struct replay *r = NULL;
    const char *path = cli->args[0];
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    struct cli_problem p;
    struct err e = {0};
    bool cut = false;
    int code = f ? replay_new(&r, &e) : err_set(&e, errno, "it can't be opened: %s", strerror(errno));

    if (code >= 0)
        code = file_replay(f, r, &cut, &e);
    if (f && f != stdin)
        (void)fclose(f); /* only read */
    if (code >= 0 && replay_report(r)->lines == 0)
        code = err_set(&e, EBADMSG, cut ? "it is no record of ballast" : "it is empty");
    if (code < 0) {
        (void)cli_problem_set(&p, CLI_FAILED, "records are made by 'ballast record FILE'", "cannot replay '%s': %s", path,
                              e.text);
        return cli_complain(cli, &p);
    }
    return replay_show(cli, r);
}
