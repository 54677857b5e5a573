/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <json-c/json.h>

#include "backup_cli.h"
#include "fresh.h"
#include "wire_field.h"

#define MAC_TEXT_LENGTH 17 /* 52:54:00:12:34:56 */

/* An argument of QEMU's with every mac= in it made a new one of QEMU's own range. */
static void argument_mac(struct wire_text *t, const char *argument)
{
    const char *mac;

    while ((mac = strstr(argument, "mac=")) && strlen(mac + 4) >= MAC_TEXT_LENGTH) {
        char text[FRESH_MAC_SIZE];

        fresh_mac(text);
        wire_text_add(t, argument, (size_t)(mac + 4 - argument));
        wire_text_adds(t, text);
        argument = mac + 4 + MAC_TEXT_LENGTH;
    }
    wire_text_adds(t, argument);
}

/* One argument as it is for a new guest: `before` is the one before it. */
static void argument_renew(struct wire_text *t, const char *before, const char *argument, const char *name)
{
    const char *rest = strchr(argument, ',');
    char uuid[FRESH_UUID_SIZE];

    if (strcmp(before, "-name") == 0) {
        wire_text_format(t, "%s%s", strncmp(argument, "guest=", 6) == 0 ? "guest=" : "", name);
        wire_text_adds(t, rest ? rest : "");
    } else if (strcmp(before, "-uuid") == 0) {
        fresh_uuid(uuid);
        wire_text_adds(t, uuid);
    } else {
        argument_mac(t, argument);
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
