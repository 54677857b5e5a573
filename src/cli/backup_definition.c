/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "backup_cli.h"
#include "definition.h"
#include "fresh.h"
#include "script.h"
#include "wire_field.h"

/* One argument as it is for a new guest: `before` is the one before it. */
static void argument_renew(struct wire_text *t, const char *before, const char *argument, const char *name)
{
    char uuid[FRESH_UUID_SIZE];

    if (strcmp(before, "-name") == 0) {
        definition_rename(t, argument, name);
    } else if (strcmp(before, "-uuid") == 0) {
        fresh_uuid(uuid);
        wire_text_adds(t, uuid);
    } else {
        definition_renew_macs(t, argument);
    }
}

/* For a shell: as it is where that is safe, else in quotes. */
static void argument_quote(const struct term *term, struct wire_text *t, const char *argument)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";

    if (argument[0] && argument[strspn(argument, safe)] == '\0') {
        wire_text_adds(t, argument);
        return;
    }
    wire_text_adds(t, "'");
    for (const char *quote; (quote = strchr(argument, '\'')); argument = quote + 1) {
        struct wire_text part = {0};

        wire_text_add(&part, argument, (size_t)(quote - argument));
        (void)term_text(term, t, part.data ? part.data : "", 0);
        wire_text_done(&part);
        wire_text_adds(t, "'\\''");
    }
    (void)term_text(term, t, argument, 0);
    wire_text_adds(t, "'");
}

static void command_line_print(const struct cli *cli, struct json_object *line, struct wire_text *t)
{
    const bool is_json = cli->options & CLI_OPTION_JSON;
    const char *name = cli_value(cli, CLI_OPTION_NAME), *before = "";

    wire_text_adds(t, is_json ? ",\"command_line\":[" : "The guest was started with (give it the restored disks):\n ");
    for (size_t i = 0; i < json_object_array_length(line); i++) {
        const char *argument = json_object_get_string(json_object_array_get_idx(line, i));
        struct wire_text renewed = {0};

        if (!argument)
            continue;
        if (name)
            argument_renew(&renewed, before, argument, name);
        else
            wire_text_adds(&renewed, argument);
        t->failed |= renewed.failed;
        if (is_json) {
            wire_text_adds(t, i ? "," : "");
            wire_text_string(t, renewed.data ? renewed.data : "");
        } else {
            wire_text_adds(t, " ");
            argument_quote(&cli->term, t, renewed.data ? renewed.data : "");
        }
        wire_text_done(&renewed);
        before = argument;
    }
    wire_text_adds(t, is_json ? "]" : "\n");
}

void backup_definition_print(const struct cli *cli, const struct repo_manifest *m, struct wire_text *t)
{
    struct json_object *facts, *line;
    struct err ignored = {0};

    if (wire_json_parse(m->facts, strlen(m->facts), &facts, &ignored) < 0)
        return; /* proven when the manifest was read: only memory can lack */
    if (json_object_object_get_ex(facts, "command_line", &line) && json_object_is_type(line, json_type_array))
        command_line_print(cli, line, t);
    (void)json_object_put(facts);
}

/* ---- a script ---- */

static int script_make(const struct repo_manifest *m, const struct definition_wish *wish, bool is_forced, char path[PATH_MAX],
                       struct wire_text *notes, struct err *e)
{
    struct json_object *facts = NULL, *line = NULL, *renewed = NULL;
    struct wire_text comment = {0};
    const char **argv = NULL;
    int r = wire_json_parse(m->facts, strlen(m->facts), &facts, e);

    if (r == 0 && (!json_object_object_get_ex(facts, "command_line", &line) || !json_object_is_type(line, json_type_array)))
        r = err_set(e, ENODATA, "the point does not tell how its guest was started");
    if (r == 0)
        r = definition_renew(line, wish, &renewed, notes, e);
    if (r == 0)
        argv = calloc(json_object_array_length(renewed) + 1, sizeof(*argv));
    if (r == 0 && !argv)
        r = err_set(e, ENOMEM, "no memory for the command line");
    for (size_t i = 0; r == 0 && i < json_object_array_length(renewed); i++)
        argv[i] = json_object_get_string(json_object_array_get_idx(renewed, i));
    wire_text_format(&comment, "Guest %s, restored from %s/%s by ballast backup restore: another name, UUID and MACs; its disks and its\n"
                     "sockets are in this directory. All else is as it was%s\n%s", wish->name, m->identity, m->time,
                     notes->length ? ":" : ".", notes->length ? notes->data : "");
    if (r == 0 && snprintf(path, PATH_MAX, "%s/start.sh", wish->directory) >= PATH_MAX)
        r = err_set(e, ENAMETOOLONG, "the path '%.60s...' is too long", wish->directory);
    if (r == 0 && is_forced)
        (void)unlink(path); /* what is not there is fine */
    if (r == 0)
        r = script_write(path, comment.data ? comment.data : "", argv, json_object_array_length(renewed), e);
    wire_text_done(&comment);
    free(argv);
    (void)json_object_put(renewed);
    (void)json_object_put(facts);
    return r;
}

static void script_print_json(struct wire_text *t, const char *path, const struct wire_text *notes)
{
    bool is_first = true;

    wire_text_adds(t, ",\"script\":");
    wire_text_string(t, path);
    wire_text_adds(t, ",\"look_at\":[");
    for (const char *at = notes->data ? notes->data : ""; *at; at += strcspn(at, "\n") + 1) { /* each ends with its line */
        char line[512];
        size_t len = strcspn(at, "\n");

        len = len < sizeof(line) ? len : sizeof(line) - 1;
        memcpy(line, at, len);
        line[len] = '\0';
        wire_text_adds(t, is_first ? "" : ",");
        wire_text_string(t, line);
        is_first = false;
    }
    wire_text_adds(t, "]");
}

int backup_definition_script(const struct cli *cli, const struct repo_manifest *m, const char *directory, bool is_qcow2,
                             struct wire_text *t)
{
    char real[PATH_MAX], path[PATH_MAX];
    const struct definition_wish wish = {.name = cli_value(cli, CLI_OPTION_NAME), .directory = real, .is_qcow2 = is_qcow2, .manifest = m};
    struct wire_text notes = {0};
    struct err e = {0};
    int r = CLI_DONE;

    if (!realpath(directory, real)) {
        (void)err_set(&e, errno, "cannot use '%s': %s", directory, strerror(errno));
        return backup_fail(cli, &e, NULL, "no script is made");
    }
    if (script_make(m, &wish, cli->options & CLI_OPTION_FORCE, path, &notes, &e) < 0) {
        (void)backup_fail(cli, &e, "the disks are restored; give them to the command line that ballast backup show POINT prints",
                          "no script is made");
        backup_definition_print(cli, m, t);
        r = CLI_WARNINGS;
    } else if (cli->options & CLI_OPTION_JSON) {
        script_print_json(t, path, &notes);
    } else {
        wire_text_adds(t, "It is started by ");
        (void)term_text(&cli->term, t, path, 0);
        wire_text_adds(t, notes.length ? ". Before it runs beside the guest it was, look at this there:\n" : "\n");
        for (const char *at = notes.length ? notes.data : ""; *at; at += strcspn(at, "\n") + 1) {
            wire_text_adds(t, "  ");
            wire_text_add(t, at, strcspn(at, "\n") + 1);
        }
    }
    wire_text_done(&notes);
    return r;
}
